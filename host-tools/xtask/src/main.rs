//! `cargo xtask`: set-up, demo, tests and lints of the flowlet workspace.

mod bench;
mod build_c;
mod demo;
mod lint;
mod report;
mod run;
mod setup;
mod test;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Set-up, demo, tests and lints of flowlet.
///
/// Each command installs what it lacks (compiler targets, the emulator, GCC and CMake for C) if it may: with rustup, or
/// as root on Debian with apt-get; an emulator that cannot be installed there is unpacked into
/// ~/.cache/flowlet. Otherwise it prints the command to run, goes on with what it can, and counts
/// what it skipped. Where the variable CI is set, a skip is a failure.
///
/// FLOWLET_TOOLCHAIN=current|debian forces the compiler for chips, FLOWLET_QEMU names an emulator,
/// FLOWLET_ARM_GCC an arm-none-eabi-gcc, FLOWLET_BROWSER a Chromium, which tests look at reports with.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", verbatim_doc_comment)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Installs what is missing: compiler targets for the chips, QEMU, GCC and CMake for C
    Setup,
    /// Sets up, then goes the whole way on the bundled data: train, quantize, score on an emulated chip
    Demo(demo::Demo),
    /// Sets up, then runs every test and build; reports all failures, not the first
    ///
    /// Tests of the workspace (release profile); the runtime for thumbv6m and thumbv7em, with and
    /// without its features; the firmware, with its lints.
    Test,
    /// Measures what flowlet costs on every emulated board, and prints the tables
    Bench(bench::Bench),
    /// Compares that with the committed budgets: RAM +0 %, code +1 %, instructions +2 %
    ///
    /// Says what moved and by how much, in either direction. --accept writes new budgets (firmware/budgets.csv) and the
    /// tables (docs/device-cost.md).
    Gates(bench::Gates),
    /// Builds libflowlet.a for C, and generates its header
    ///
    /// For thumbv6m-none-eabi and thumbv7em-none-eabihf, opening every image. docs/c-api.md has the command
    /// for other targets and for less.
    BuildC,
    /// Checks formatting, lints and documentation of both workspaces; warnings are errors
    Lint,
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Setup => setup::run(),
        Command::Demo(demo) => demo.run(),
        Command::Test => test::run(),
        Command::Bench(bench) => bench.run(),
        Command::Gates(gates) => gates.run(),
        Command::BuildC => build_c::run(),
        Command::Lint => lint::run(),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
