//! The cost table, and whether it keeps to the committed budgets.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{anyhow, Context};
use clap::Args;
use flowlet_tools::bench::budget::Budgets;
use flowlet_tools::bench::{self, table, BenchError, Row, Scope};
use flowlet_tools::cost::fit;
use flowlet_tools::device::{Board, DeviceError, Install, Missing, Qemu, Toolchain};

use crate::report::{Outcome, Report};
use crate::run;

/// Options of `cargo xtask bench`.
#[derive(Args)]
pub(crate) struct Bench {
    /// One board, by QEMU's name of the machine; all of them without it
    #[arg(long, value_name = "MACHINE")]
    board: Option<Board>,
    /// Fit the cost model that `inspect` predicts with, instead of measuring the table: writes
    /// host-tools/data/cost/coefficients.csv and prints how far off it is
    #[arg(long)]
    fit: bool,
}

impl Bench {
    pub(crate) fn run(self) -> anyhow::Result<bool> {
        if self.fit {
            return self.fit();
        }
        let mut rows = Vec::new();
        for board in boards(self.board) {
            eprintln!("measuring {board}");
            rows.extend(bench::measure(board, Scope::Whole, Install::Allowed, || {})?);
        }
        println!("{}", table::text(&rows));
        Ok(true)
    }
}

impl Bench {
    fn fit(&self) -> anyhow::Result<bool> {
        let budgets = Budgets::read(&run::root().join("firmware/budgets.csv"))?;
        let mut coefficients = fit::Coefficients::new();
        println!("| core, numbers | flows | median error | largest | of |\n|---|---|---:|---:|---|");
        for board in boards(self.board) {
            let (fitted, errors) = fit::fit(board, &budgets, Install::Allowed)?;
            for fit::Error { column, is_held_out, flows, median, largest: (largest, name) } in errors {
                let which = if is_held_out { "held out" } else { "fitted" };
                let (median, largest) = (100.0 * median, 100.0 * largest);
                println!("| {column} | {flows} {which} | {median:.1} % | {largest:.1} % | {name} |");
            }
            coefficients.extend(fitted);
        }
        let path = run::root().join("host-tools/data/cost/coefficients.csv");
        let old = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        std::fs::write(&path, fit::file(&old, &coefficients)).with_context(|| path.display().to_string())?;
        Ok(true)
    }
}

/// Options of `cargo xtask gates`.
#[derive(Args)]
pub(crate) struct Gates {
    /// One board, by QEMU's name of the machine; all of them without it
    #[arg(long, value_name = "MACHINE")]
    board: Option<Board>,
    /// Measure the whole table, not only what the gate looks at
    #[arg(long)]
    whole: bool,
    /// Measure the whole table and write it down: budgets and docs/device-cost.md. Figures that grew keep their budget
    #[arg(long)]
    accept: bool,
    /// With --accept: raise the budgets of figures that grew, too; say why in the commit
    #[arg(long, requires = "accept")]
    raise: bool,
}

impl Gates {
    pub(crate) fn run(self) -> anyhow::Result<bool> {
        let mut report = Report::default();
        let path = run::root().join("firmware/budgets.csv");
        let mut budgets = match Budgets::read(&path) {
            Err(_) if self.accept && !path.exists() => Budgets::default(),
            other => other?,
        };
        let tools = tools();
        let hint = if tools == budgets.tools {
            String::new()
        } else {
            format!("\n(the budgets were measured with {}, this is {tools})", budgets.tools)
        };
        for board in boards(self.board) {
            report.step(&format!("budgets, {board}"), || {
                let scope = if self.accept || self.whole { Scope::Whole } else { Scope::Gate };
                let measured = match bench::measure(board, scope, Install::Allowed, || {}) {
                    Ok(measured) => measured,
                    Err(BenchError::Device(DeviceError::Missing(missing))) => {
                        return Outcome::Skipped(missing)
                    }
                    Err(error) => return Outcome::Failed(error.to_string()),
                };
                if self.accept {
                    budgets.accept(board.name(), &measured, self.raise);
                }
                verdict(&budgets, board, &measured, scope, &hint)
            });
        }
        if self.accept {
            budgets.tools = tools;
            let text = budgets.text().map_err(|reason| anyhow!(reason))?;
            std::fs::write(&path, text).with_context(|| path.display().to_string())?;
            std::fs::write(document(), table::document(&budgets))
                .with_context(|| document().display().to_string())?;
        } else {
            report.step("docs/device-cost.md", || check_document(&budgets));
        }
        Ok(report.finish())
    }
}

fn boards(board: Option<Board>) -> Vec<Board> {
    board.map_or_else(|| Board::ALL.to_vec(), |board| vec![board])
}

fn document() -> PathBuf {
    run::root().join("docs/device-cost.md")
}

/// Whether what was measured of a board keeps to its budgets; every figure that does not is printed.
fn verdict(budgets: &Budgets, board: Board, measured: &[Row], scope: Scope, hint: &str) -> Outcome {
    let changes = budgets.compare(measured);
    let gone = if scope == Scope::Whole { budgets.gone(board.name(), measured) } else { Vec::new() };
    for change in &changes {
        eprintln!("  {change}");
    }
    for row in &gone {
        eprintln!("  {row}: has a budget and was not measured");
    }
    let total = changes.len() + gone.len();
    if total == 0 {
        return Outcome::Passed(format!("{} rows", measured.len()));
    }
    let worse = changes.iter().filter(|change| change.is_worse()).count();
    let how = if worse > 0 {
        "cargo xtask gates --accept --raise takes the new figures, with a reason in the commit"
    } else {
        "cargo xtask gates --accept takes the new figures"
    };
    Outcome::Failed(format!("{total} figures left their budgets, {worse} of them upwards: {how}{hint}"))
}

fn check_document(budgets: &Budgets) -> Outcome {
    match std::fs::read_to_string(document()) {
        Ok(text) if text == table::document(budgets) => Outcome::Passed(String::new()),
        Ok(_) => {
            Outcome::Failed("it is not what firmware/budgets.csv says: run cargo xtask gates --accept".into())
        }
        Err(error) => Outcome::Failed(error.to_string()),
    }
}

/// Versions of what the figures depend on.
fn tools() -> String {
    let first_line = |command: &mut Command| {
        let output = command.output().ok()?;
        String::from_utf8(output.stdout).ok()?.lines().next().map(str::to_owned)
    };
    let compiler = |toolchain: Result<Toolchain, Missing>| {
        let program = if toolchain == Ok(Toolchain::Debian) { "/usr/bin/rustc" } else { "rustc" };
        first_line(Command::new(program).arg("--version"))
    };
    let compiler = compiler(Toolchain::for_target(Board::Mps2An386.target(), Install::Forbidden));
    let emulator = Qemu::find(Install::Forbidden).ok();
    let emulator = emulator.and_then(|qemu| first_line(Command::new(qemu.program()).arg("--version")));
    let unknown = || "unknown".to_owned();
    format!("{}; {}", compiler.unwrap_or_else(unknown), emulator.unwrap_or_else(unknown))
}
