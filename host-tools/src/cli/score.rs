//! `flowlet score`

use super::files::Whole;
use super::output::{grouped, Output};
use super::progress::Progress;
use super::scoring;
use super::tables::TableArgs;
use crate::batch::Batch;
use crate::export::ImageFile;
use crate::table::Chunk;
use anyhow::Context;
use clap::Args;
use flowlet::Model;
use serde_json::json;
use std::fs::File;
use std::io::{Seek, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Score every row of a table with the device's bits
///
/// What is printed is what the device computes, bit for bit. Columns are matched by the names stored in the image. The
/// table is read in parts, on all cores: its length does not matter to memory. Without -o, the scores go to standard output (with --json, only their summary does).
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  flowlet score pump.flow today.csv -o scores.csv
  flowlet score pump.flow today.npy --stream -o scores.csv         windows of raw samples
  flowlet score pump.flow today.csv --skip-bad-rows | sort -t, -g -k2 | head

Columns of the result: row (from 0), log_prob (nats, in the data's units), p_value (share of normal readings at least as
unlikely), score (larger is more anomalous), alarm (0 or 1), and label if --label is given.")]
pub(super) struct ScoreArgs {
    /// The image
    #[arg(value_name = "M.flow")]
    model: PathBuf,
    /// The table: .csv, .npy or .parquet
    data: PathBuf,
    /// Where to write the scores
    #[arg(short, long, value_name = "scores.csv")]
    output: Option<PathBuf>,
    #[command(flatten)]
    table: TableArgs,
}

/// Chunks that each thread takes between two looks at the file.
const CHUNKS_PER_THREAD: usize = 2;

impl ScoreArgs {
    pub(super) fn run(self, output: &Output) -> anyhow::Result<()> {
        let mut sink = match &self.output {
            Some(path) => Sink::File(Box::new(Whole::create(path)?)),
            None if output.is_json() => Sink::Nowhere,
            // On standard output too, all rows or none.
            None => Sink::Spool(tempfile::tempfile().context("cannot create a temporary file")?),
        };
        let image = scoring::read_image(&self.model)?;
        let model = image.model()?;
        let scorer = Batch::new(&model);
        let started = Instant::now();
        if self.table.stream.stream {
            return self.windows(&image, sink, output);
        }
        let mut chunks = self.table.open_for(&self.data, &image)?;
        let told = chunks.notes();
        told.iter().for_each(|note| output.note(note));
        let (total, unit) = chunks.total();
        let progress = Progress::start(output, "scoring", unit, total);
        sink.write(scoring::scores_header(self.table.label.is_some()).as_bytes())?;

        let most = CHUNKS_PER_THREAD * rayon::current_num_threads();
        let (mut rows, mut alarms) = (0, 0);
        let mut batch = chunks.next_batch(most)?;
        while !batch.is_empty() {
            // The next chunks are read while these are scored.
            let (next, scored) = rayon::join(
                || chunks.next_batch(most),
                || scoring::score_chunks(&scorer, &batch, !matches!(sink, Sink::Nowhere)),
            );
            for chunk in scored? {
                sink.write(chunk.lines.as_bytes())?;
                rows += chunk.rows;
                alarms += chunk.alarms;
            }
            batch = next?;
            progress.set(chunks.done(), "", false);
        }
        progress.finish();
        let seconds = started.elapsed().as_secs_f64();
        let notes = chunks.notes();
        notes.iter().filter(|note| !told.contains(note)).for_each(|note| output.note(note));

        let skipped_rows = chunks.skipped_rows();
        self.finish(&model, sink, Found { rows, alarms, seconds, skipped_rows, notes }, output)
    }

    /// Scores every window of a stream.
    fn windows(&self, image: &ImageFile, mut sink: Sink, output: &Output) -> anyhow::Result<()> {
        let started = Instant::now();
        let table = self.table.read_for(&self.data, image, output)?;
        let model = image.model()?;
        let (skipped_rows, notes) = (table.skipped_rows, table.notes.clone());
        sink.write(scoring::scores_header(table.labels.is_some()).as_bytes())?;
        let chunk = [Chunk { table, first_row: 0 }];
        let (mut rows, mut alarms) = (0, 0);
        for scored in scoring::score_chunks(&Batch::new(&model), &chunk, !matches!(sink, Sink::Nowhere))? {
            sink.write(scored.lines.as_bytes())?;
            rows += scored.rows;
            alarms += scored.alarms;
        }
        let seconds = started.elapsed().as_secs_f64();
        self.finish(&model, sink, Found { rows, alarms, seconds, skipped_rows, notes }, output)
    }

    /// Puts the scores into their place and says what was found.
    fn finish(&self, model: &Model<'_>, sink: Sink, found: Found, output: &Output) -> anyhow::Result<()> {
        let Found { rows, alarms, seconds, skipped_rows, notes } = found;
        let rows_per_second = rows as f64 / seconds.max(1e-9);
        let summary = format!(
            "{} rows, {} alarms, {} rows/s",
            grouped(rows),
            grouped(alarms),
            grouped(rows_per_second.round() as usize)
        );
        let text = match sink {
            Sink::File(file) => {
                file.commit()?;
                let path = self.output.as_deref().unwrap_or(Path::new(""));
                format!("{}: {summary}", path.display())
            }
            Sink::Nowhere => String::new(),
            Sink::Spool(mut file) => {
                file.rewind()?;
                std::io::copy(&mut file, &mut std::io::stdout().lock())?;
                output.note(&summary);
                String::new()
            }
        };
        let json = json!({
            "rows": rows,
            "alarms": alarms,
            "rows_per_second": rows_per_second,
            "seconds": seconds,
            "skipped_rows": skipped_rows,
            "numeric": scoring::name(model.numeric()),
            "output": self.output,
            "notes": notes,
        });
        output.finish(&text, &json)
    }
}

/// What came of a table.
struct Found {
    rows: usize,
    alarms: usize,
    seconds: f64,
    skipped_rows: usize,
    notes: Vec<String>,
}

/// Where lines of scores go.
enum Sink {
    File(Box<Whole>),
    Spool(File),
    Nowhere,
}

impl Sink {
    fn write(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        match self {
            Self::File(file) => file.write(bytes),
            Self::Spool(file) => file.write_all(bytes).context("cannot write a temporary file"),
            Self::Nowhere => Ok(()),
        }
    }
}
