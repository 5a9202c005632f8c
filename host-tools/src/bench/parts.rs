//! The parts of a flow, one by one: traces of the firmware `bench_parts`.

use super::cycles::{estimate, Core};
use super::reference::{numeric_name, Reference, TRANSFORMS};
use super::trace::{self, Stretch};
use super::{BenchError, Kind, Row};
use crate::device::{loaded, timed_job, unexpected, Board, DeviceError, Messages, Qemu, Refusal};
use crate::export::{ImageFile, Numeric};
use flowlet_protocol::{Function, Measurements, Message, Part, FUNCTION_ELEMENTS};
use std::path::Path;
use std::time::Duration;

/// Runs of each part when the clock counts: with 40 instructions a tick, the mean is right to one instruction.
const REPEATS: u32 = 128;

/// The name by which `bench_parts` begins and ends a run.
const MARK: &str = "bench_mark";

/// The shapes of layers that the table has.
const SHAPES: [(u16, u16); 6] = [(8, 16), (8, 32), (16, 32), (32, 32), (32, 16), (64, 64)];

/// The rows of all parts of a flow; none if the board has no room for it.
pub(super) fn measure(
    qemu: &Qemu,
    board: Board,
    elf: &Path,
    flow: &Reference,
    numeric: Numeric,
) -> Result<Vec<Row>, BenchError> {
    let image = flow.image(board, numeric).map_err(|error| BenchError::Export(flow.name.clone(), error))?;
    let features = flow.flow.features;
    let row = flow.rows.get(..features).unwrap_or_default();
    let job = |repeats| timed_job(image.bytes(), row, features, repeats);
    let (run, stretches) = trace::run(qemu, board, elf, &job(1)?, MARK)?;
    let parts: Vec<Part> = match run.success().and_then(|run| read(&run.serial, features)) {
        Err(DeviceError::TooLarge { .. } | DeviceError::Refused(Refusal::Workspace { .. })) => {
            return Ok(Vec::new())
        }
        other => other?.into_iter().map(|(part, _)| part).collect(),
    };
    if stretches.len() != 2 * parts.len() {
        let text = format!("{} marks for {} parts", 2 * stretches.len(), parts.len());
        return Err(BenchError::Trace(text));
    }
    let mut counts = Vec::new();
    for (&part, pair) in parts.iter().zip(stretches.chunks_exact(2)) {
        counts.push((part, run_less_empty(pair, |stretch| stretch.executed.len() as f64)));
    }
    let core = Core::of(board);
    let cycles = stretches
        .chunks_exact(2)
        .map(|pair| core.map(|core| run_less_empty(pair, |s| estimate(core, &s.executed, s.end) as f64)));
    if flow.name == TRANSFORMS && numeric == Numeric::F32 {
        let run = qemu.run(board, elf, Some(&job(REPEATS)?), Duration::from_secs(600))?;
        compare_clock(&counts, &read(&run.success()?.serial, features)?)?;
    }
    let names = step_names(&image);
    let rows = counts.iter().zip(cycles).filter_map(|(&(part, count), cycles)| {
        let (kind, name, per) = describe(part, &names, flow)?;
        let tenth = |x: f64| (10.0 * x / per).round() / 10.0;
        let macs = match part {
            Part::Layer { inputs, outputs, .. } => Some(u64::from(inputs) * u64::from(outputs)),
            _ => None,
        };
        Some(Row {
            instructions: Some(tenth(count)),
            cycles: cycles.map(tenth),
            macs,
            ..Row::new(board, kind, name, numeric_name(numeric))
        })
    });
    Ok(rows.collect())
}

/// A figure of a part's run less that of the empty one.
fn run_less_empty(pair: &[Stretch], figure: impl Fn(&Stretch) -> f64) -> f64 {
    let mut figures = pair.iter().map(figure);
    figures.next().unwrap_or(0.0) - figures.next().unwrap_or(0.0)
}

/// The clock, which counts what lies around the marks too, must say about the same as the trace: else the board's
/// frequency is another one than its firmware believes.
fn compare_clock(traced: &[(Part, f64)], clocked: &[(Part, f64)]) -> Result<(), BenchError> {
    for ((part, traced), (_, clocked)) in traced.iter().zip(clocked) {
        if (traced - clocked).abs() > 20.0 + 0.02 * traced {
            let text = format!("{part:?}: {clocked} instructions by the clock, {traced} by the trace");
            return Err(BenchError::Trace(text));
        }
    }
    Ok(())
}

/// What the table calls a part, and how many elements its count is for; `None` for what it leaves out.
fn describe(part: Part, names: &[String], flow: &Reference) -> Option<(Kind, String, f64)> {
    let whole = flow.name == TRANSFORMS;
    match part {
        Part::Layer { inputs, outputs, is_output, .. } => {
            let what = if is_output { "output" } else { "hidden" };
            SHAPES
                .contains(&(inputs, outputs))
                .then(|| (Kind::Layer, format!("{inputs}x{outputs} {what}"), 1.0))
        }
        Part::Standardizer if whole => Some((Kind::Transform, "standardizer".into(), 1.0)),
        Part::Base if whole => Some((Kind::Transform, "standard normal base".into(), 1.0)),
        Part::Transform { index } if whole => {
            Some((Kind::Transform, names.get(usize::from(index))?.clone(), 1.0))
        }
        Part::Function(function) if whole => {
            let name = match function {
                Function::Exp => "exp",
                Function::Exp2 => "exp2",
                Function::Tanh => "tanh",
                Function::Ln => "ln",
                Function::Silu => "silu",
            };
            Some((Kind::Function, name.into(), FUNCTION_ELEMENTS as f64))
        }
        _ => None,
    }
}

/// The names of an image's transforms, in order.
fn step_names(image: &ImageFile) -> Vec<String> {
    let Ok(model) = image.model() else { return Vec::new() };
    let names = model
        .experts()
        .next()
        .map(|expert| expert.chain.steps().map(|step| step.name().replace('_', " ")).collect());
    names.unwrap_or_default()
}

/// Parts and their instructions, from what the board sent.
fn read(serial: &[u8], features: usize) -> Result<Vec<(Part, f64)>, DeviceError> {
    let mut messages = Messages::new(serial);
    loaded(&mut messages, 1, features)?;
    let mut ticks_of = Vec::new();
    loop {
        match messages.next()? {
            Message::Part { part, repeats, ticks, overhead_ticks } => {
                let ticks = ticks as f64 - overhead_ticks as f64;
                ticks_of.push((part, ticks / f64::from(repeats.max(1))));
            }
            Message::Finished(measured) => {
                messages.end()?;
                return Ok(instructions(&ticks_of, &measured));
            }
            Message::Refused(refusal) => return Err(DeviceError::Refused(refusal)),
            other => return Err(unexpected(&other, "a part")),
        }
    }
}

fn instructions(ticks_of: &[(Part, f64)], measured: &Measurements) -> Vec<(Part, f64)> {
    ticks_of.iter().map(|&(part, ticks)| (part, ticks * measured.instructions_per_tick())).collect()
}
