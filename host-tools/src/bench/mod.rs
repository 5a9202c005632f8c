//! What flowlet costs on each board, measured under emulation: scores, parts of flows, code, memory.
//!
//! [`measure`] gives the [`Row`]s of a board; [`budget`] keeps and compares them, [`table`] writes them down.

pub mod budget;
pub mod cycles;
mod parts;
pub mod reference;
pub mod stack;
pub mod table;
pub mod thumb;
mod trace;

use crate::device::{
    static_bytes, Binary, Board, DeviceError, Install, Minimal, Qemu, Refusal, Simulator, Source,
};
use crate::export::ExportError;
use rayon::prelude::*;
use reference::{numeric_name, Reference, NUMERICS};
use serde::{Deserialize, Serialize};

/// Rows that are scored to count instructions: what a score costs hardly depends on the reading.
const ROWS: usize = 8;

/// What a [`Row`] is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// One score of a whole flow.
    Score,
    /// One part of a flow: standardizer, a transform, the base.
    Transform,
    /// A dense layer with its activation or its scaling.
    Layer,
    /// An elementary function, per element of an array.
    Function,
    /// The runtime alone.
    Code,
}

/// One line of the cost table. What a row does not have is left out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// QEMU's machine.
    pub board: String,
    /// Its core.
    pub core: String,
    /// What the row is about.
    pub kind: Kind,
    /// Which flow, transform, layer, function.
    pub name: String,
    /// `f32`, `i16`, `i8`; `all` of code.
    pub numeric: String,
    /// Executed instructions.
    pub instructions: Option<f64>,
    /// Estimated cycles; see [`cycles`].
    pub cycles: Option<f64>,
    /// Multiply-accumulates.
    pub macs: Option<u64>,
    /// Deepest stack of loading and scoring; of code, the bound on it.
    pub stack_bytes: Option<u64>,
    /// What the image asks of its caller.
    pub workspace_bytes: Option<u64>,
    /// The image.
    pub image_bytes: Option<u64>,
    /// Machine code and constants.
    pub code_bytes: Option<u64>,
    /// Static RAM.
    pub static_bytes: Option<u64>,
}

impl Row {
    fn new(board: Board, kind: Kind, name: impl Into<String>, numeric: &str) -> Self {
        Self {
            board: board.name().into(),
            core: board.core().into(),
            kind,
            name: name.into(),
            numeric: numeric.into(),
            instructions: None,
            cycles: None,
            macs: None,
            stack_bytes: None,
            workspace_bytes: None,
            image_bytes: None,
            code_bytes: None,
            static_bytes: None,
        }
    }

    /// What tells the row from every other.
    #[must_use]
    pub fn key(&self) -> (&str, Kind, &str, &str) {
        (&self.board, self.kind, &self.name, &self.numeric)
    }
}

/// Why there is no table.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The emulator, the compiler or the board.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// A reference flow has no image.
    #[error("{0}: {1}")]
    Export(String, ExportError),
    /// A flow could not be trained.
    #[error("{0}: {1}")]
    Train(String, crate::training::TrainError),
    /// The board's answers and the trace do not fit.
    #[error("{0}")]
    Trace(String),
    /// The file of budgets.
    #[error("{}: {reason}", path.display())]
    Budgets {
        /// Its path.
        path: std::path::PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

impl From<crate::device::Missing> for BenchError {
    fn from(missing: crate::device::Missing) -> Self {
        Self::Device(missing.into())
    }
}

/// How much is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The whole table.
    Whole,
    /// What a gate looks at: all flows on the Cortex-M4F, those of 16 features elsewhere, and every part.
    Gate,
}

impl Scope {
    fn flows(self, board: Board) -> Vec<Reference> {
        let mut flows = reference::flows();
        if self == Self::Gate && board != Board::Mps2An386 {
            flows.retain(|reference| reference.flow.features == 16);
        }
        flows
    }

    /// How often [`measure`] calls its `progress`.
    #[must_use]
    pub fn steps(self, board: Board) -> u64 {
        ((self.flows(board).len() + reference::parts().len()) * NUMERICS.len()) as u64
    }
}

/// Measures a board; `progress` hears of each run.
///
/// # Errors
/// [`BenchError`].
pub fn measure(
    board: Board,
    scope: Scope,
    install: Install,
    progress: impl Fn() + Sync,
) -> Result<Vec<Row>, BenchError> {
    let qemu = Qemu::find(install)?;
    let binaries: [Binary; 3 + Minimal::ALL.len()] = std::array::from_fn(|index| match index {
        0 => Binary::ScoreRows,
        1 => Binary::BenchParts,
        2 => Binary::Minimal(Minimal::Empty),
        _ => Binary::Minimal(Minimal::ALL[index - 3]),
    });
    let [score_rows, bench_parts, empty, built @ ..] =
        Source::find()?.build_all(board, binaries.each_ref(), install)?;
    let static_of_empty = static_bytes(&empty.elf)?;
    let mut rows = Vec::new();
    for (minimal, firmware) in Minimal::ALL.into_iter().zip(&built) {
        rows.push(Row {
            stack_bytes: Some(stack::bound(&firmware.elf, &MINIMAL_ENTRIES)?.bytes),
            code_bytes: Some(firmware.code_bytes.saturating_sub(empty.code_bytes)),
            static_bytes: Some(static_bytes(&firmware.elf)?.saturating_sub(static_of_empty)),
            ..Row::new(board, Kind::Code, minimal.support(), "all")
        });
    }

    let score_rows_elf = score_rows.elf.clone();
    let simulator = Simulator::with_firmware(board, qemu.clone(), score_rows);
    let jobs = |flows: Vec<Reference>| -> Vec<_> {
        flows.into_iter().flat_map(|flow| NUMERICS.map(|numeric| (flow.clone(), numeric))).collect()
    };
    let scores = jobs(scope.flows(board)).into_par_iter().map(|(flow, numeric)| {
        let row = score_of(&simulator, board, &flow, numeric);
        progress();
        row
    });
    let scores: Vec<Row> = scores.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect();
    hold_bound(&stack::bound(&score_rows_elf, &GAUGE)?, &scores)?;
    rows.extend(scores);

    let parts = jobs(reference::parts()).into_par_iter().map(|(flow, numeric)| {
        let parts = parts::measure(&qemu, board, &bench_parts.elf, &flow, numeric);
        progress();
        parts
    });
    for row in parts.collect::<Result<Vec<_>, _>>()?.into_iter().flatten() {
        if !rows.iter().any(|known| known.key() == row.key()) {
            rows.push(row);
        }
    }
    rows.sort_by_key(|row| row.kind);
    Ok(rows)
}

/// The functions of a minimal firmware that open the image and score.
const MINIMAL_ENTRIES: [&str; 2] = ["minimal4main", "__cortex_m_rt_main"];
/// The function of `score_rows` below which the high-water mark is taken.
const GAUGE: [&str; 1] = ["stack5gauge"];

/// No score may have taken more stack than the bound of what it ran in: else the bound is none.
fn hold_bound(bound: &stack::Bound, scores: &[Row]) -> Result<(), BenchError> {
    match scores.iter().find(|row| row.stack_bytes.is_some_and(|bytes| bytes > bound.bytes)) {
        None => Ok(()),
        Some(row) => Err(BenchError::Trace(format!(
            "{}, {}: {} bytes of stack were used, and {} are the bound, by {}",
            row.board,
            row.name,
            row.stack_bytes.unwrap_or(0),
            bound.bytes,
            bound.chain.join(" > ")
        ))),
    }
}

/// What a score costs; `None` if the board has no room for the image or its workspace.
pub(crate) fn score_of(
    simulator: &Simulator,
    board: Board,
    flow: &Reference,
    numeric: crate::export::Numeric,
) -> Result<Option<Row>, BenchError> {
    let image = flow.image(board, numeric).map_err(|error| BenchError::Export(flow.name.clone(), error))?;
    let features = flow.flow.features;
    let rows = flow.rows.get(..ROWS * features).unwrap_or(&flow.rows);
    let simulation = match simulator.run(image.bytes(), rows, features, |_| {}) {
        Err(DeviceError::TooLarge { .. } | DeviceError::Refused(Refusal::Workspace { .. })) => {
            return Ok(None)
        }
        other => other?,
    };
    Ok(Some(Row {
        instructions: simulation.instructions_per_score.map(f64::round),
        macs: Some(flow.flow.macs() as u64),
        stack_bytes: Some(simulation.stack_bytes.into()),
        workspace_bytes: Some(simulation.workspace_bytes.into()),
        image_bytes: Some(image.bytes().len() as u64),
        ..Row::new(board, Kind::Score, &flow.name, numeric_name(numeric))
    }))
}
