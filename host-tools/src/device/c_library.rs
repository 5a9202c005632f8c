//! The C library: built for a target, linked to a program in C.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::c_tools::arm_tool;
use super::firmware::Source;
use super::process;
use super::toolchain::{Install, Toolchain};
use super::DeviceError;

/// As for firmware.
const BUILD_LIMIT: Duration = Duration::from_secs(30 * 60);
const COMPILE_LIMIT: Duration = Duration::from_secs(120);

/// `libflowlet.a` for a target, and where its header lies.
#[derive(Clone, Debug)]
pub struct CLibrary {
    /// `libflowlet.a`.
    pub archive: PathBuf,
    /// The folder with `flowlet.h`.
    pub include: PathBuf,
    /// The crate's folder, with the examples.
    pub home: PathBuf,
}

impl CLibrary {
    /// Builds the library, opening every image; quick if nothing changed.
    ///
    /// # Errors
    /// [`DeviceError::Missing`] without a compiler, [`DeviceError::Build`] with the compiler's words.
    pub fn build(source: &Source, target: &str, install: Install) -> Result<Self, DeviceError> {
        let toolchain = Toolchain::for_target(target, install)?;
        let folder = Self::target_dir(source, toolchain);
        let mut command = toolchain.cargo("rustc", target);
        command
            .current_dir(source.firmware())
            .args(["--locked", "--release", "--package", "flowlet-c", "--crate-type", "staticlib"])
            .arg("--target-dir")
            .arg(&folder);
        run(&mut command, BUILD_LIMIT)?;
        let home = source.firmware().join("c-api");
        let archive = folder.join(target).join("release").join("libflowlet.a");
        Ok(Self { archive, include: home.join("include"), home })
    }

    /// Where builds go: beside those of the boards, which have other features.
    fn target_dir(source: &Source, toolchain: Toolchain) -> PathBuf {
        let base = match env::var_os("CARGO_TARGET_DIR") {
            Some(folder) => env::current_dir().unwrap_or_default().join(folder).join("firmware"),
            None => source.firmware().join("target"),
        };
        base.join("c-library").join(toolchain.name())
    }
}

/// Runs GCC for Arm chips with these arguments, in a folder.
///
/// # Errors
/// [`DeviceError::Missing`] without the compiler, [`DeviceError::Build`] with its words.
pub fn arm_gcc(
    tool: &str,
    folder: &Path,
    arguments: &[&str],
    install: Install,
) -> Result<String, DeviceError> {
    run(Command::new(arm_tool(tool, install)?).current_dir(folder).args(arguments), COMPILE_LIMIT)
}

/// Runs a compiler; gives what it said on standard output.
fn run(command: &mut Command, limit: Duration) -> Result<String, DeviceError> {
    let text = format!("{command:?}");
    let doing = format!("running {}", command.get_program().to_string_lossy());
    let captured = process::run(command, limit).map_err(DeviceError::io(doing))?;
    if captured.status.is_some_and(|status| status.success()) {
        return Ok(String::from_utf8_lossy(&captured.stdout).into_owned());
    }
    let mut output = String::from_utf8_lossy(&captured.stderr).into_owned();
    if captured.status.is_none() {
        output += &format!("\nstopped after {} seconds", limit.as_secs());
    }
    Err(DeviceError::Build { command: text, output })
}
