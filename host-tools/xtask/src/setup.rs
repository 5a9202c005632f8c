//! Installs what is missing.

use flowlet_tools::device::{arm_tool, cmake, Board, DeviceError, Install, Qemu, Toolchain};

use crate::report::{Outcome, Report};

/// Targets that the runtime must build for.
pub(crate) const TARGETS: [&str; 2] = ["thumbv6m-none-eabi", "thumbv7em-none-eabihf"];

pub(crate) fn run() -> anyhow::Result<bool> {
    let mut report = Report::default();
    steps(&mut report);
    Ok(report.finish())
}

/// One step for each tool.
pub(crate) fn steps(report: &mut Report) {
    let boards = Board::ALL.map(Board::target);
    let extra = boards.iter().filter(|target| !TARGETS.contains(target));
    for target in TARGETS.iter().chain(extra) {
        report.step(&format!("compiler for {target}"), || {
            match Toolchain::for_target(target, Install::Allowed) {
                Ok(toolchain) => Outcome::Passed(format!("toolchain: {}", toolchain.name())),
                Err(missing) => Outcome::Skipped(missing),
            }
        });
    }
    report.step("emulator", || {
        let found = Qemu::find(Install::Allowed).map(|_| ()).map_err(DeviceError::from);
        Outcome::from(found)
    });
    report.step("C compiler for chips", || {
        let found = arm_tool("gcc", Install::Allowed).map(|_| ()).map_err(DeviceError::from);
        Outcome::from(found)
    });
    report.step("CMake", || {
        let found = cmake(Install::Allowed).map(|_| ()).map_err(DeviceError::from);
        Outcome::from(found)
    });
}
