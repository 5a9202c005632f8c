//! The cost table in Markdown.

use super::budget::Budgets;
use super::reference::REFERENCE;
use super::{Kind, Row};
use crate::device::Board;
use std::fmt::Write as _;

const NUMERICS: [&str; 3] = ["f32", "i16", "i8"];

/// The document `docs/device-cost.md`, from the committed budgets.
#[must_use]
pub fn document(budgets: &Budgets) -> String {
    format!(
        "# What flowlet costs on a device\n\n\
         Written by `cargo xtask gates --accept` from `firmware/budgets.csv`; do not edit. `cargo xtask bench` (or `flowlet \
         bench`)\nmeasures and prints these tables, `cargo xtask gates` fails if they no longer fit what is measured.\n\n\
         {CONDITIONS}Measured with {}.\n\n{}",
        budgets.tools,
        text(&budgets.rows)
    )
}

const CONDITIONS: &str = "\
* **Boards** are emulated by QEMU; see [boards.md](boards.md). Nothing here was measured on hardware.
* **Instructions** are executed instructions, of whole scores by SysTick under `-icount shift=0` (mean of 8 readings), of
  parts by a log of every instruction. Instructions are not cycles.
* **Cycles** are an estimate: published timings of the core, applied to the same log; memory without wait states, no
  waiting for results. `host-tools/src/bench/cycles.rs` has every rule. Cores whose timings are not published have none.
* **Flows** have random weights from a fixed seed, of the size that training gives (`host-tools/src/bench/reference.rs`):
  standardizer, soft tail, couplings on both halves in turn with permutations between, soft tail, standard normal base.
  Conditioners have two hidden layers with ReLU; splines have 8 bins.
* **Layers** are whole: bias, sums, and activation (hidden) or scaling (output) included; inputs x outputs.
* **Code** is that of a firmware that opens an image and scores, built for one set of supported parts (`flowlet::support`),
  less that of an empty one: `.text` and `.rodata`. `opt-level = \"s\"` and fat LTO, as
  everything here.
* **Stack** is the high-water mark of loading an image and scoring; **stack bound** is proved for the same from the linked
  machine code, whatever the image: frames along the deepest chain of calls, pointers going wherever they may, no
  recursion (`host-tools/src/bench/stack.rs`). No score measured here may exceed it. Interrupts come on top.
  **Workspace** is what the image asks for.
* The Cortex-M0 and M3 have no FPU: their f32 is computed in software. `-` stands where the 16 KB of RAM or the flash
  of the micro:bit are too small.

";

/// The tables of these rows.
#[must_use]
pub fn text(rows: &[Row]) -> String {
    let table = Tables { rows, boards: boards(rows) };
    let mut text = String::new();
    table.reference(&mut text);
    table.code(&mut text);
    for board in &table.boards {
        table.layers(*board, &mut text);
    }
    table.parts(
        Kind::Function,
        "Functions, instructions (estimated cycles) per element of an array",
        &mut text,
    );
    table.parts(Kind::Transform, "Transforms of 16 features, instructions (estimated cycles)", &mut text);
    table.scores(&mut text);
    text
}

fn boards(rows: &[Row]) -> Vec<Board> {
    Board::ALL.into_iter().filter(|board| rows.iter().any(|row| row.board == board.name())).collect()
}

struct Tables<'a> {
    rows: &'a [Row],
    boards: Vec<Board>,
}

impl<'a> Tables<'a> {
    fn find(&self, board: Board, kind: Kind, name: &str, numeric: &str) -> Option<&'a Row> {
        let key = (board.name(), kind, name, numeric);
        self.rows.iter().find(|row| row.key() == key)
    }

    /// Names of a kind, in the order of their first row.
    fn names(&self, kind: Kind) -> Vec<&'a str> {
        let mut names: Vec<&str> = Vec::new();
        for row in self.rows.iter().filter(|row| row.kind == kind) {
            if !names.contains(&row.name.as_str()) {
                names.push(&row.name);
            }
        }
        names
    }

    /// A header whose columns from the second on are cores.
    fn header(&self, first: &str, text: &mut String) {
        let cores = self.boards.iter().map(|board| format!(" {} |", core_name(*board))).collect::<String>();
        let _ = writeln!(text, "| {first} |{cores}\n|---|{}", "---:|".repeat(self.boards.len()));
    }

    fn reference(&self, text: &mut String) {
        let _ =
            writeln!(text, "## The reference score\n\n`{REFERENCE}`: 10,752 multiply-accumulates, 48 exp.\n");
        let _ = writeln!(text, "| core | numbers | instructions | stack | workspace | image |");
        let _ = writeln!(text, "|---|---|---:|---:|---:|---:|");
        for &board in &self.boards {
            for numeric in NUMERICS {
                let row = self.find(board, Kind::Score, REFERENCE, numeric);
                let cell = |figure: fn(&Row) -> Option<u64>| row.and_then(figure).map_or("-".into(), grouped);
                let _ = writeln!(
                    text,
                    "| {} | {numeric} | {} | {} | {} | {} |",
                    core_name(board),
                    cell(|row| row.instructions.map(|n| n as u64)),
                    cell(|row| row.stack_bytes),
                    cell(|row| row.workspace_bytes),
                    cell(|row| row.image_bytes),
                );
            }
        }
        text.push('\n');
    }

    fn code(&self, text: &mut String) {
        text.push_str("## Code, static RAM and stack of the runtime, bytes\n\n");
        self.header("", text);
        for name in self.names(Kind::Code) {
            for (what, figure) in [
                ("code", (|row| row.code_bytes) as fn(&Row) -> Option<u64>),
                ("static RAM", |row| row.static_bytes),
                ("stack bound", |row| row.stack_bytes),
            ] {
                let _ = write!(text, "| {name}, {what} |");
                for &board in &self.boards {
                    let bytes = self.find(board, Kind::Code, name, "all").and_then(figure);
                    let _ = write!(text, " {} |", bytes.map_or("-".into(), grouped));
                }
                text.push('\n');
            }
        }
        text.push('\n');
    }

    fn layers(&self, board: Board, text: &mut String) {
        let shapes = ["8x16", "8x32", "16x32", "32x32", "32x16", "64x64"];
        let what = if super::cycles::Core::of(board).is_some() { " / estimated cycles" } else { "" };
        let name = core_name(board);
        let _ = writeln!(text, "## Dense layers on {name}, instructions{what} per multiply-accumulate\n");
        let _ = writeln!(text, "| layer | {} |\n|---|{}", shapes.join(" | "), "---:|".repeat(shapes.len()));
        for numeric in NUMERICS {
            for what in ["hidden", "output"] {
                let _ = write!(text, "| {numeric} {what} |");
                for shape in shapes {
                    let row = self.find(board, Kind::Layer, &format!("{shape} {what}"), numeric);
                    let _ = write!(text, " {} |", row.map_or("-".into(), per_mac));
                }
                text.push('\n');
            }
        }
        text.push('\n');
    }

    fn parts(&self, kind: Kind, title: &str, text: &mut String) {
        let _ = writeln!(text, "## {title}\n");
        self.header("", text);
        for name in self.names(kind) {
            for numeric in NUMERICS {
                let cells: Vec<_> =
                    self.boards.iter().map(|&board| self.find(board, kind, name, numeric)).collect();
                // Functions in fixed point are the same for both widths of weights.
                if cells.iter().all(Option::is_none) || (kind == Kind::Function && numeric == "i8") {
                    continue;
                }
                let numbers = if kind == Kind::Function && numeric == "i16" { "fixed" } else { numeric };
                let _ = write!(text, "| {name}, {numbers} |");
                for row in cells {
                    let _ = write!(text, " {} |", row.map_or("-".into(), |row| with_cycles(row, kind)));
                }
                text.push('\n');
            }
        }
        text.push('\n');
    }

    fn scores(&self, text: &mut String) {
        text.push_str("## Scores, instructions\n\n");
        self.header("flow, numbers", text);
        for name in self.names(Kind::Score) {
            for numeric in NUMERICS {
                let _ = write!(text, "| {name}, {numeric} |");
                for &board in &self.boards {
                    let row = self.find(board, Kind::Score, name, numeric);
                    let count = row.and_then(|row| row.instructions).map(|n| n as u64);
                    let _ = write!(text, " {} |", count.map_or("-".into(), grouped));
                }
                text.push('\n');
            }
        }
    }
}

/// As ARM writes it.
fn core_name(board: Board) -> &'static str {
    match board {
        Board::Microbit => "Cortex-M0",
        Board::Mps2An385 => "Cortex-M3",
        Board::Mps2An386 => "Cortex-M4F",
        Board::Mps2An500 => "Cortex-M7F",
        Board::Mps2An505 => "Cortex-M33F",
        Board::Mps3An547 => "Cortex-M55",
    }
}

fn grouped(count: u64) -> String {
    crate::cli::grouped(count as usize)
}

fn per_mac(row: &Row) -> String {
    let macs = row.macs.unwrap_or(1) as f64;
    let instructions = row.instructions.unwrap_or(0.0) / macs;
    match row.cycles {
        Some(cycles) => format!("{instructions:.2} / {:.2}", cycles / macs),
        None => format!("{instructions:.2}"),
    }
}

fn with_cycles(row: &Row, kind: Kind) -> String {
    let number = |x: f64| if kind == Kind::Function { format!("{x:.1}") } else { grouped(x as u64) };
    let instructions = number(row.instructions.unwrap_or(0.0));
    match row.cycles {
        Some(cycles) => format!("{instructions} ({})", number(cycles)),
        None => instructions,
    }
}
