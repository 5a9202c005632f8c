//! Formatting, lints, documentation.

use std::process::Command;

use flowlet_tools::device::{
    toolchain, Binary, Board, DeviceError, Install, Live, Minimal, Missing, Source, Toolchain,
};

use crate::report::{Outcome, Report};
use crate::run;
use crate::test::compiled_in;

pub(crate) fn run() -> anyhow::Result<bool> {
    let mut report = Report::default();
    let needs = |component| toolchain::component(component, Install::Allowed);
    let workspaces = [
        ("workspace", "Cargo.toml"),
        ("firmware", "firmware/Cargo.toml"),
        ("hardware", "firmware/hardware/Cargo.toml"),
    ];
    for (name, manifest) in workspaces {
        report.step(&format!("formatting, {name}"), || {
            let mut command = run::cargo(&["fmt", "--all", "--check", "--manifest-path", manifest]);
            after(needs("rustfmt"), &mut command)
        });
    }
    report.step("lints, workspace", || {
        let arguments = ["clippy", "--workspace", "--all-targets", "--release", "--", "-D", "warnings"];
        after(needs("clippy"), &mut run::cargo(&arguments))
    });
    report.step("documentation, workspace", || {
        // The library for C has the runtime's name; its documentation is the header.
        let mut command =
            run::cargo(&["doc", "--workspace", "--exclude", "flowlet-c", "--lib", "--no-deps", "--release"]);
        run::shown(command.env("RUSTDOCFLAGS", "-D warnings"))
    });
    firmware_steps(&mut report);
    Ok(report.finish())
}

/// Lints of the firmware: every board with one binary, one board with the others.
pub(crate) fn firmware_steps(report: &mut Report) {
    let boards = Board::ALL.map(|board| (board, "score_rows", Ok(Binary::ScoreRows)));
    let others = [
        ("explain_rows", Ok(Binary::ExplainRows)),
        ("layer_digests", Ok(Binary::LayerDigests)),
        ("minimal_everything", Ok(Binary::Minimal(Minimal::Everything))),
        ("bench_parts", Ok(Binary::BenchParts)),
        ("compiled_in", compiled_in()),
    ];
    let others = others.map(|(name, binary)| (Board::Mps2An386, name, binary));
    let live = [
        (Board::Mps2An386, Live::Magnetometer),
        (Board::Mps2An386, Live::Sampling),
        (Board::Microbit, Live::Microbit),
    ];
    let others =
        others.into_iter().chain(live.map(|(board, live)| (board, live.name(), Ok(Binary::Live(live)))));
    // Of the boards to buy, what they share: the HAL crates would have to be checked anew for the rest.
    for (folder, package) in
        [("c-api", "flowlet-c"), ("sensors", "flowlet-sensors"), ("hardware", "detector")]
    {
        report.step(&format!("lints, {package}"), || {
            library(folder, package).unwrap_or_else(|error| Outcome::from(Err(error)))
        });
    }
    for (board, name, binary) in boards.into_iter().chain(others) {
        report.step(&format!("lints, {name}, {board}"), || match binary {
            Ok(binary) => firmware(board, &binary).unwrap_or_else(|error| Outcome::from(Err(error))),
            Err(missing) => Outcome::Skipped(missing),
        });
    }
}

/// Lints of a library, in a folder of the firmware, as it is built for chips.
fn library(folder: &str, package: &str) -> Result<Outcome, DeviceError> {
    let target = Board::Mps2An386.target();
    let toolchain = Toolchain::for_target(target, Install::Allowed)?;
    toolchain.clippy(Install::Allowed)?;
    let mut command = toolchain.cargo("clippy", target);
    command.current_dir(Source::find()?.firmware().join(folder));
    let arguments =
        ["--locked", "--release", "--package", package, "--all-features", "--lib", "--", "-D", "warnings"];
    Ok(run::shown(command.args(arguments)))
}

fn firmware(board: Board, binary: &Binary) -> Result<Outcome, DeviceError> {
    let toolchain = Toolchain::for_target(board.target(), Install::Allowed)?;
    toolchain.clippy(Install::Allowed)?;
    let mut command = Source::find()?.cargo(toolchain, "clippy", board, binary);
    Ok(run::shown(command.args(["--lib", "--", "-D", "warnings"])))
}

fn after(needed: Result<(), Missing>, command: &mut Command) -> Outcome {
    match needed {
        Ok(()) => run::shown(command),
        Err(missing) => Outcome::Skipped(missing),
    }
}
