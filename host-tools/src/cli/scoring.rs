//! Scores of whole tables, with the device's bits, on all cores.

use crate::batch::Batch;
use crate::export::{Core, ImageFile, Numeric};
use crate::table::{Chunk, Table};
use anyhow::Context;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::ValueEnum;
use flowlet::arithmetic::{Arithmetic, FastMath, Fixed, Float, FloatWith};
use flowlet::{Everything, Model, Score};
use rayon::prelude::*;
use std::fmt::Write;
use std::path::Path;

/// Rows that one thread takes at a time.
const BLOCK: usize = 1024;

/// The numbers that an image computes with, as the command line names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum NumericArg {
    /// 32-bit float
    F32,
    /// Fixed point with 16-bit weights
    I16,
    /// Fixed point with 8-bit weights
    I8,
    /// 32-bit float with exp and tanh of micromath; needs firmware with the cargo feature fast-math
    F32FastMath,
}

impl From<NumericArg> for Numeric {
    fn from(arg: NumericArg) -> Self {
        match arg {
            NumericArg::F32 => Self::F32,
            NumericArg::I16 => Self::I16,
            NumericArg::I8 => Self::I8,
            NumericArg::F32FastMath => Self::F32FastMath,
        }
    }
}

/// The cores that weights can be ordered for, as the command line names them.
pub(super) fn core_parser() -> impl TypedValueParser<Value = Core> {
    PossibleValuesParser::new(Core::ALL.map(Core::name))
        .map(|name| Core::ALL.into_iter().find(|core| core.name() == name).unwrap_or_default())
}

/// A numeric's name on the command line and in JSON.
pub(super) fn name(numeric: Numeric) -> &'static str {
    match numeric {
        Numeric::F32 => "f32",
        Numeric::I16 => "i16",
        Numeric::I8 => "i8",
        Numeric::F32FastMath => "f32-fast-math",
    }
}

/// Names of an image's inputs, in its order: the features, then the context. What a table is read by.
pub(super) fn input_names(image: &ImageFile) -> anyhow::Result<Vec<String>> {
    let model = image.model()?;
    Ok(model.feature_names().chain(model.context_names()).map(|input| input.name.to_owned()).collect())
}

/// Scores rows, in their order; `done` hears of every block.
pub(super) fn score_rows(
    image: &ImageFile,
    values: &[f32],
    done: impl Fn(usize) + Sync,
) -> anyhow::Result<Vec<Score>> {
    let model = image.model()?;
    let batch = Batch::new(&model);
    let columns = model.inputs();
    let blocks = values
        .par_chunks(columns * BLOCK)
        .map_init(
            || batch.worker(),
            |worker, block| {
                let scores = worker.score(block);
                done(block.len() / columns);
                scores
            },
        )
        .collect::<Result<Vec<Vec<Score>>, flowlet::Error>>()
        .context("scoring")?;
    Ok(blocks.concat())
}

/// The score above which an image alarms.
pub(super) fn threshold(model: &Model<'_>) -> Option<f32> {
    let calibration = model.calibration()?;
    Some(match model.numeric() {
        Numeric::F32 => <Float>::log_to_f32(calibration.threshold::<Float>()?),
        Numeric::I16 | Numeric::I8 => <Fixed>::log_to_f32(calibration.threshold::<Fixed>()?),
        Numeric::F32FastMath => {
            type Fast = FloatWith<FastMath, Everything>;
            Fast::log_to_f32(calibration.threshold::<Fast>()?)
        }
    })
}

/// Reads and checks an image.
pub(super) fn read_image(path: &Path) -> anyhow::Result<ImageFile> {
    Ok(ImageFile::read(path)?)
}

/// `scores.csv`: numbers in the shortest form that reads back as the same f32.
pub(super) fn scores_csv(table: &Table, scores: &[Score]) -> String {
    let mut text = scores_header(table.labels.is_some()).to_owned();
    append_scores(&mut text, table, 0, scores);
    text
}

/// First line of `scores.csv`.
pub(super) fn scores_header(labelled: bool) -> &'static str {
    if labelled {
        "row,log_prob,p_value,score,alarm,label\n"
    } else {
        "row,log_prob,p_value,score,alarm\n"
    }
}

/// The lines of a table whose rows count from `first_row`.
fn append_scores(text: &mut String, table: &Table, first_row: usize, scores: &[Score]) {
    text.reserve(scores.len() * 48);
    for (index, Score { log_prob, p_value, score, alarm }) in scores.iter().enumerate() {
        let (row, alarm) = (first_row + table.row_number(index), u8::from(*alarm));
        // Writing to a String cannot fail.
        let _ = write!(text, "{row},{log_prob:?},{p_value:?},{score:?},{alarm}");
        if let Some(labels) = &table.labels {
            let _ = write!(text, ",{}", u8::from(labels[index]));
        }
        text.push('\n');
    }
}

/// What became of a chunk of a table.
pub(super) struct Scored {
    /// Its lines of `scores.csv`, if they are wanted.
    pub(super) lines: String,
    pub(super) rows: usize,
    pub(super) alarms: usize,
}

/// Scores chunks in parallel, each thread with buffers of its own; gives them in their order.
pub(super) fn score_chunks(batch: &Batch<'_>, chunks: &[Chunk], lines: bool) -> anyhow::Result<Vec<Scored>> {
    let scored: Result<Vec<Scored>, flowlet::Error> = chunks
        .par_iter()
        .map_init(
            || batch.worker(),
            |worker, chunk| {
                let scores = worker.score(&chunk.table.values)?;
                let mut text = String::new();
                if lines {
                    append_scores(&mut text, &chunk.table, chunk.first_row, &scores);
                }
                let alarms = scores.iter().filter(|score| score.alarm).count();
                Ok(Scored { lines: text, rows: scores.len(), alarms })
            },
        )
        .collect();
    scored.context("scoring")
}

/// Mean and maximum of the absolute difference of two images' log-densities.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Delta {
    pub(super) mean: f64,
    pub(super) max: f64,
}

impl Delta {
    pub(super) fn between(a: &[Score], b: &[Score]) -> Self {
        let mut delta = Self { mean: 0.0, max: 0.0 };
        for (a, b) in a.iter().zip(b) {
            let difference = (f64::from(a.log_prob) - f64::from(b.log_prob)).abs();
            delta.mean += difference;
            delta.max = delta.max.max(difference);
        }
        delta.mean /= a.len().max(1) as f64;
        delta
    }
}
