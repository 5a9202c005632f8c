//! `flowlet simulate`

use super::files;
use super::output::{grouped, Output};
use super::progress::Progress;
use super::scoring;
use super::tables::TableArgs;
use crate::device::toolchain::Install;
use crate::device::{Board, Row, Simulation, Simulator};
use anyhow::bail;
use clap::Args;
use flowlet::Score;
use serde_json::json;
use std::path::PathBuf;

/// Score a table on an emulated board and compare with the host, bit by bit
///
/// Runs the firmware in QEMU. Exit code 1 if a single bit of a single row differs.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  flowlet simulate pump.flow today.csv
  flowlet simulate pump.flow today.csv --board mps2-an386 -o device-scores.csv --json")]
pub(super) struct SimulateArgs {
    /// The image
    #[arg(value_name = "M.flow")]
    model: PathBuf,
    /// The table: .csv, .npy or .parquet
    data: PathBuf,
    /// The board, by QEMU's name of the machine
    #[arg(long, value_name = "MACHINE", default_value = "mps2-an386", value_parser = board)]
    board: Board,
    /// Where to write the device's scores
    #[arg(short, long, value_name = "scores.csv")]
    output: Option<PathBuf>,
    #[command(flatten)]
    table: TableArgs,
}

pub(super) fn board(name: &str) -> Result<Board, String> {
    name.parse().map_err(|error: crate::device::UnknownBoard| error.to_string())
}

/// Rows whose bits differ between host and device.
pub(super) fn mismatches(host: &[Score], device: &[Row]) -> Vec<usize> {
    let same = |host: &Score, device: &Row| {
        device.is_ok_and(|bits| {
            bits.log_prob == host.log_prob.to_bits()
                && bits.p_value == host.p_value.to_bits()
                && bits.score == host.score.to_bits()
                && bits.alarm == host.alarm
        })
    };
    let rows = host.len().max(device.len());
    (0..rows)
        .filter(|&row| !host.get(row).zip(device.get(row)).is_some_and(|(host, device)| same(host, device)))
        .collect()
}

/// The device's scores; `None` if it refused a row.
fn device_scores(rows: &[Row]) -> Option<Vec<Score>> {
    let score = |row: &Row| {
        row.ok().map(|bits| Score {
            log_prob: f32::from_bits(bits.log_prob),
            p_value: f32::from_bits(bits.p_value),
            score: f32::from_bits(bits.score),
            alarm: bits.alarm,
        })
    };
    rows.iter().map(score).collect()
}

impl SimulateArgs {
    pub(super) fn run(self, output: &Output) -> anyhow::Result<()> {
        if let Some(path) = &self.output {
            files::check_target(path)?;
        }
        let image = scoring::read_image(&self.model)?;
        let table = self.table.read_for(&self.data, &image, output)?;
        let host = scoring::score_rows(&image, &table.values, |_| {})?;
        let simulator = Simulator::new(self.board, Install::Forbidden)?;
        let progress = Progress::start(output, "simulating", "rows", table.rows as u64);
        let columns = table.columns.len();
        let result =
            simulator.run(image.bytes(), &table.values, columns, |rows| progress.advance(rows as u64));
        progress.finish();
        let simulation = result?;

        let mismatched = mismatches(&host, &simulation.rows);
        if let Some(path) = &self.output {
            match device_scores(&simulation.rows) {
                Some(scores) => files::write_whole(path, scoring::scores_csv(&table, &scores).as_bytes())?,
                None => output.warn("the device refused rows that the host scores, so no scores are written"),
            }
        }
        self.report(output, &simulation, &mismatched)?;
        match mismatched.first() {
            Some(&row) => bail!(
                "{} of {} rows differ between host and device, the first is row {}",
                mismatched.len(),
                table.rows,
                table.row_number(row)
            ),
            None => Ok(()),
        }
    }

    fn report(&self, output: &Output, simulation: &Simulation, mismatched: &[usize]) -> anyhow::Result<()> {
        let Simulation { rows, instructions_per_score, stack_bytes, workspace_bytes, code_bytes } =
            simulation;
        let json = json!({
            "board": self.board.name(),
            "core": self.board.core(),
            "rows": rows.len(),
            "instructions_per_score": instructions_per_score,
            "stack_bytes": stack_bytes,
            "workspace_bytes": workspace_bytes,
            "code_bytes": code_bytes,
            "mismatched_rows": mismatched.len(),
            "output": self.output,
        });
        let text = format!(
            "{} ({}, in QEMU): {} rows, {} differ from the host\n\
             instructions  {} per score\n\
             memory        {workspace_bytes} bytes of workspace, {stack_bytes} of stack\n\
             code          {} bytes, the whole firmware without the image",
            self.board.name(),
            self.board.core(),
            grouped(rows.len()),
            mismatched.len(),
            instructions_per_score.map_or_else(|| "?".to_owned(), |n| grouped(n.round() as usize)),
            grouped(*code_bytes as usize),
        );
        output.finish(&text, &json)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::ScoreBits;

    #[test]
    fn every_bit_counts() {
        let score = Score { log_prob: -0.0, p_value: 0.5, score: 0.0, alarm: false };
        let bits =
            ScoreBits { log_prob: (-0.0_f32).to_bits(), p_value: 0.5_f32.to_bits(), score: 0, alarm: false };
        assert_eq!(mismatches(&[score; 2], &[Ok(bits); 2]), [0_usize; 0]);
        assert_eq!(mismatches(&[score; 2], &[Ok(bits)]), [1]);
        for wrong in [
            ScoreBits { log_prob: 0, ..bits },
            ScoreBits { p_value: bits.p_value + 1, ..bits },
            ScoreBits { score: 1 << 31, ..bits },
            ScoreBits { alarm: true, ..bits },
        ] {
            assert_eq!(mismatches(&[score; 2], &[Ok(bits), Ok(wrong)]), [1]);
        }
        assert_eq!(mismatches(&[score], &[Err(3)]), [0]);
    }
}
