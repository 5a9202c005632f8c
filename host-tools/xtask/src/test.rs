//! Every test and every build.

use std::io::{self, BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::{env, fs};

use flowlet_tools::device::{
    browser, is_copy, is_f64, is_panic, skips, symbols, Binary, Board, DeviceError, Install, Minimal,
    Missing, Source, Toolchain,
};

use crate::report::{Outcome, Report, Tests};
use crate::{lint, run, setup};

/// Combinations of the runtime's features that must build for every target.
const FEATURES: [&str; 2] = ["", "defmt,fast-math"];

/// One board for each target.
const MINIMAL_BOARDS: [Board; 4] = [Board::Microbit, Board::Mps2An385, Board::Mps2An386, Board::Mps2An505];

pub(crate) fn run() -> anyhow::Result<bool> {
    let mut report = Report::default();
    setup::steps(&mut report);
    // Only tests need it, and they count themselves where it is missing.
    if let Err(missing) = browser(Install::Allowed) {
        println!("{missing}");
    }
    let mut tests = Tests::default();
    report.step("tests of the workspace", || host_tests(&mut tests));
    report.tests = Some(tests);
    for target in setup::TARGETS {
        for features in FEATURES {
            let with = if features.is_empty() { String::new() } else { format!(", {features}") };
            report.step(&format!("runtime for {target}{with}"), || runtime(target, features));
        }
    }
    for board in Board::ALL {
        report.step(&format!("firmware score_rows, {board}"), || firmware(board, &Binary::ScoreRows));
    }
    let board = Board::Mps2An386;
    report.step(&format!("firmware explain_rows, {board}"), || firmware(board, &Binary::ExplainRows));
    report.step(&format!("firmware compiled_in, {board}"), || match compiled_in() {
        Ok(binary) => firmware(board, &binary),
        Err(missing) => Outcome::Skipped(missing),
    });
    for board in MINIMAL_BOARDS {
        report.step(&format!("minimal firmwares, {board}"), || minimal(board));
    }
    lint::firmware_steps(&mut report);
    Ok(report.finish())
}

fn host_tests(tests: &mut Tests) -> Outcome {
    let log = env::temp_dir().join(format!("flowlet-skips-{}", std::process::id()));
    // What an earlier process of this number left is not ours.
    let _ = fs::remove_file(&log);
    let mut command = run::cargo(&["test", "--workspace", "--release", "--no-fail-fast"]);
    let outcome = counted(command.env(skips::VARIABLE, &log), tests);
    let skipped = fs::read_to_string(&log).unwrap_or_default();
    tests.skipped = skipped.lines().map(str::to_owned).collect();
    let _ = fs::remove_file(&log);
    outcome.unwrap_or_else(|error| Outcome::Failed(format!("cargo test: {error}")))
}

/// Runs tests, their output shown as it comes and counted.
fn counted(command: &mut Command, tests: &mut Tests) -> io::Result<Outcome> {
    let mut child = command.stdout(Stdio::piped()).spawn()?;
    let mut failures = Vec::new();
    if let Some(pipe) = child.stdout.take() {
        for line in BufReader::new(pipe).split(b'\n') {
            let line = line?;
            let line = String::from_utf8_lossy(&line);
            tests.count(&line);
            if let Some(name) = line.strip_prefix("test ").and_then(|line| line.strip_suffix(" ... FAILED")) {
                failures.push(name.to_owned());
            }
            writeln!(io::stdout(), "{line}")?;
        }
    }
    let status = child.wait()?;
    Ok(if status.success() && tests.failed == 0 {
        Outcome::Passed(format!("{} tests", tests.passed))
    } else if failures.is_empty() {
        Outcome::Failed(format!("{status}; see above"))
    } else {
        Outcome::Failed(failures.join(", "))
    })
}

fn runtime(target: &str, features: &str) -> Outcome {
    let toolchain = match Toolchain::for_target(target, Install::Allowed) {
        Ok(toolchain) => toolchain,
        Err(missing) => return Outcome::Skipped(missing),
    };
    let mut command = toolchain.cargo("build", target);
    command.current_dir(run::root());
    command.args(["--locked", "--release", "--package", "flowlet", "--lib", "--no-default-features"]);
    command.args(["--features", features]);
    if toolchain != Toolchain::Current {
        let base = env::var_os("CARGO_TARGET_DIR").map_or_else(|| run::root().join("target"), PathBuf::from);
        command.arg("--target-dir").arg(base.join(toolchain.name()));
    }
    run::shown(&mut command)
}

fn firmware(board: Board, binary: &Binary) -> Outcome {
    let built = Source::find().and_then(|source| {
        let firmware = source.build(board, binary, Install::Allowed)?;
        // The transport of defmt has panics of its own.
        let may_panic = matches!(binary, Binary::CompiledIn { .. });
        let unwanted = symbols(&firmware.elf, |name| is_f64(name) || (is_panic(name) && !may_panic))?;
        Ok((firmware.code_bytes, unwanted))
    });
    match built {
        Ok((_, unwanted)) if !unwanted.is_empty() => {
            Outcome::Failed(format!("it can panic, or computes in f64: {}", unwanted.join(", ")))
        }
        Ok((code_bytes, _)) => Outcome::Passed(format!("{code_bytes} bytes of code and constants")),
        Err(DeviceError::Missing(missing)) => Outcome::Skipped(missing),
        Err(error) => Outcome::Failed(error.to_string()),
    }
}

/// Builds the minimal firmwares, looks for what they forbid, and says what the runtime takes beside an empty one.
fn minimal(board: Board) -> Outcome {
    let build = |minimal| Source::find()?.build(board, &Binary::Minimal(minimal), Install::Allowed);
    let check = || {
        let empty = build(Minimal::Empty)?.code_bytes;
        let (mut sizes, mut faults) = (Vec::new(), Vec::new());
        for minimal in Minimal::ALL {
            let firmware = build(minimal)?;
            // The Cortex-M0 copies small structures by a call, where the others copy them in registers.
            let is_usual = |name: &str| board == Board::Microbit && is_copy(name);
            let unwanted = symbols(&firmware.elf, |name| minimal.forbids(name) && !is_usual(name))?;
            if !unwanted.is_empty() {
                faults.push(format!("{} links {}", minimal.name(), unwanted.join(", ")));
            }
            sizes.push(format!("{} {}", minimal.support(), firmware.code_bytes.saturating_sub(empty)));
        }
        Ok((sizes, faults))
    };
    match check() {
        Ok((sizes, faults)) if faults.is_empty() => Outcome::Passed(format!("bytes: {}", sizes.join(", "))),
        Ok((_, faults)) => Outcome::Failed(faults.join("; ")),
        Err(DeviceError::Missing(missing)) => Outcome::Skipped(missing),
        Err(error) => Outcome::Failed(error.to_string()),
    }
}

/// The binary with a model compiled in, with a model to compile: one that the user made or named,
/// or a golden image of the tests.
pub(crate) fn compiled_in() -> Result<Binary, Missing> {
    let named = env::var_os("FLOWLET_IMAGE").map(PathBuf::from);
    let made = run::root().join("firmware/models/model.flow");
    let golden = || {
        let folders = ["tests/golden", "tests/data", "tests"].map(|folder| run::root().join(folder));
        let entries = folders.into_iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten().flatten();
        let mut images: Vec<_> = entries.map(|entry| entry.path()).filter(|path| is_image(path)).collect();
        images.sort();
        images.into_iter().next()
    };
    let image = named.or_else(|| made.exists().then_some(made)).or_else(golden);
    image.map(|image| Binary::CompiledIn { image }).ok_or_else(|| Missing {
        what: "a model to compile in".into(),
        command: "cargo run --release --bin flowlet -- train DATA.csv -o firmware/models/model.flow".into(),
    })
}

fn is_image(path: &std::path::Path) -> bool {
    path.extension().is_some_and(|extension| extension == "flow")
}
