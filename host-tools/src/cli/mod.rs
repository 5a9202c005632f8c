//! The `flowlet` command: one file per subcommand, each with its arguments and a `run`.
//!
//! Exit codes: 0 done; 1 failed, with one message on standard error; 2 wrong usage. Results go to standard
//! output, with `--json` as one object and nothing else; notes, warnings and progress go to standard error.

mod alarm;
mod bench;
mod certified;
mod checkpoint;
mod chip;
mod confidence;
mod demo;
mod eval;
mod explain;
mod export;
mod false_alarms;
mod files;
mod fine_tuning;
mod fit;
mod flow_parts;
mod inspect;
mod output;
pub(crate) use output::grouped;
mod progress;
mod quantize;
mod report;
mod sample;
mod score;
mod scoring;
mod simulate;
mod streams;
mod tables;
mod train;
mod trained;
mod verify;

use clap::{Args, Parser, Subcommand};
use output::Output;
use std::process::ExitCode;

/// Normalizing flows for microcontrollers: train on normal readings, fit to the chip, score on the device.
#[derive(Debug, Parser)]
#[command(name = "flowlet", version, propagate_version = true, max_term_width = 110)]
#[command(after_help = "\
Start here:
  flowlet demo                                  the whole way on bundled data
  flowlet train pump.csv -o pump.flow           learn what normal looks like
  flowlet score pump.flow today.csv -o out.csv  how likely is every reading?
  flowlet simulate pump.flow today.csv          the same on an emulated Cortex-M4F

Exit codes: 0 done, 1 failed, 2 wrong usage.")]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Options of every subcommand.
#[derive(Args, Clone, Copy, Debug)]
struct Global {
    /// Print one JSON object on standard output, and nothing else there
    #[arg(long, global = true, help_heading = "Output")]
    json: bool,
    /// No progress and no notes; warnings and errors remain
    #[arg(short, long, global = true, help_heading = "Output")]
    quiet: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    Train(Box<train::TrainArgs>),
    Chips(chip::ChipsArgs),
    Score(score::ScoreArgs),
    Eval(eval::EvalArgs),
    Alarm(alarm::AlarmArgs),
    Quantize(quantize::QuantizeArgs),
    Inspect(inspect::InspectArgs),
    Verify(verify::VerifyArgs),
    Simulate(simulate::SimulateArgs),
    Explain(explain::ExplainArgs),
    Export(export::ExportArgs),
    Report(report::ReportArgs),
    Sample(sample::SampleArgs),
    Bench(bench::BenchArgs),
    Demo(demo::DemoArgs),
}

/// The command was used wrongly in a way that only shows after parsing; exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct UsageError(String);

/// A [`UsageError`] for `?` and `return Err(...)`.
fn usage(message: impl Into<String>) -> anyhow::Error {
    UsageError(message.into()).into()
}

/// Runs the command that the process was started with.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help into a closed pipe is no failure.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(2) } else { ExitCode::SUCCESS };
        }
    };
    let output = Output::new(cli.global.json, cli.global.quiet);
    match cli.command.run(&output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if output::is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            output.error(&error);
            ExitCode::from(if error.is::<UsageError>() { 2 } else { 1 })
        }
    }
}

impl Command {
    fn run(self, output: &Output) -> anyhow::Result<()> {
        match self {
            Self::Train(args) => args.run(output),
            Self::Chips(args) => args.run(output),
            Self::Score(args) => args.run(output),
            Self::Eval(args) => args.run(output),
            Self::Alarm(args) => args.run(output),
            Self::Quantize(args) => args.run(output),
            Self::Inspect(args) => args.run(output),
            Self::Verify(args) => args.run(output),
            Self::Simulate(args) => args.run(output),
            Self::Explain(args) => args.run(output),
            Self::Export(args) => args.run(output),
            Self::Report(args) => args.run(output),
            Self::Sample(args) => args.run(output),
            Self::Bench(args) => args.run(output),
            Self::Demo(args) => args.run(output),
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_arguments_are_consistent() {
        use clap::CommandFactory;
        super::Cli::command().debug_assert();
    }
}
