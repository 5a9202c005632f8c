//! `flowlet bench`

use super::output::Output;
use super::progress::Progress;
use crate::bench::{self, Scope};
use crate::device::{Board, Install};
use clap::Args;
use serde_json::json;

/// Measure what flowlet costs on emulated boards: the cost table of this build
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  flowlet bench
  flowlet bench --board mps2-an386 --json")]
pub(super) struct BenchArgs {
    /// One board, by QEMU's name of the machine; all of them without it
    #[arg(long, value_name = "MACHINE", value_parser = super::simulate::board)]
    board: Option<Board>,
}

impl BenchArgs {
    pub(super) fn run(self, output: &Output) -> anyhow::Result<()> {
        let boards = self.board.map_or_else(|| Board::ALL.to_vec(), |board| vec![board]);
        let total = boards.iter().map(|&board| Scope::Whole.steps(board)).sum();
        let progress = Progress::start(output, "measuring", "runs", total);
        let measure =
            |&board: &Board| bench::measure(board, Scope::Whole, Install::Forbidden, || progress.advance(1));
        let rows = boards.iter().map(measure).collect::<Result<Vec<_>, _>>();
        progress.finish();
        let rows = rows?.concat();
        output.finish(&bench::table::text(&rows), &json!({ "rows": rows }))
    }
}
