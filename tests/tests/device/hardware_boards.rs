//! The firmware for boards to buy compiles with their HAL crates, and keeps to its budgets of flash and RAM.

use flowlet_tools::device::{
    code_bytes, skips, static_bytes, DeviceError, Install, Missing, Source, Toolchain,
};
use std::fs;
use std::path::Path;
use std::process::Command;

/// A line of `budgets.csv`: ceilings in bytes.
struct Budget {
    board: String,
    target: String,
    flash: u64,
    ram: u64,
}

fn budgets(hardware: &Path) -> Vec<Budget> {
    let text = fs::read_to_string(hardware.join("budgets.csv")).expect("firmware/hardware/budgets.csv");
    let lines = text.lines().skip(1).map(|line| line.split(',').collect::<Vec<_>>());
    lines
        .map(|cells| Budget {
            board: cells[0].into(),
            target: cells[1].into(),
            flash: cells[2].parse().expect("bytes"),
            ram: cells[3].parse().expect("bytes"),
        })
        .collect()
}

/// Makes sure that the HAL crates are there: the only crates that nothing else here needs.
fn fetched(hardware: &Path) -> Result<(), Missing> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let run = Command::new(cargo).args(["fetch", "--locked", "--quiet"]).current_dir(hardware).output();
    let what = "the HAL crates of firmware/hardware".into();
    let command = "cargo fetch --locked --manifest-path firmware/hardware/Cargo.toml".into();
    run.is_ok_and(|output| output.status.success()).then_some(()).ok_or(Missing { what, command })
}

/// Bytes of flash and of static RAM.
fn build(hardware: &Path, budget: &Budget) -> Result<(u64, u64), DeviceError> {
    let toolchain = Toolchain::for_target(&budget.target, Install::Forbidden)?;
    let target_dir = hardware.join("target").join(toolchain.name());
    let output = toolchain
        .cargo("build", &budget.target)
        .args(["--locked", "--release", "--package", &budget.board, "--target-dir"])
        .arg(&target_dir)
        // The budgets are for the image that the folder names.
        .env_remove("FLOWLET_IMAGE")
        .current_dir(hardware)
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}: {}", budget.board, String::from_utf8_lossy(&output.stderr));
    let elf = target_dir.join(&budget.target).join("release").join(&budget.board);
    Ok((code_bytes(&elf)?, static_bytes(&elf)?))
}

#[test]
fn boards_keep_to_their_budgets() {
    let hardware = Source::find().expect("the source tree").firmware().join("hardware");
    let done = || {
        fetched(&hardware)?;
        let mut over = Vec::new();
        println!("| board | flash, bytes | static RAM, bytes |\n|---|---|---|");
        for budget in budgets(&hardware) {
            let (flash, ram) = build(&hardware, &budget)?;
            println!("| {} | {flash} | {ram} |", budget.board);
            if flash > budget.flash || ram > budget.ram {
                let Budget { board, flash: most, ram: most_ram, .. } = &budget;
                over.push(format!("{board}: {flash} of {most} bytes of flash, {ram} of {most_ram} of RAM"));
            }
        }
        assert!(over.is_empty(), "over firmware/hardware/budgets.csv: {}", over.join("; "));
        Ok(())
    };
    match done() {
        Ok(()) => {}
        Err(DeviceError::Missing(missing)) => skips::record("boards_keep_to_their_budgets", &missing),
        Err(error) => panic!("{error}"),
    }
}
