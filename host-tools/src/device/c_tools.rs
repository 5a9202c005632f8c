//! What builds C programs for chips, GCC and CMake: found, or installed where that is allowed.

use super::debian::{self, apt, apt_command};
use super::toolchain::{quiet, Install, Missing};
use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The compiler alone: flowlet's examples in C use no C library.
const PACKAGES: [&str; 1] = ["gcc-arm-none-eabi"];

/// A tool of GCC for Arm chips, such as `gcc`, `g++` or `objcopy`: from the path, or beside what `FLOWLET_ARM_GCC` names.
///
/// # Errors
/// [`Missing`], if there is none and none could be installed.
pub fn arm_tool(tool: &str, install: Install) -> Result<PathBuf, Missing> {
    let works = |name: &OsString| quiet(Command::new(name).arg("--version"));
    if let Some(named) = env::var_os("FLOWLET_ARM_GCC") {
        let beside = beside(Path::new(&named), tool).filter(|path| works(&path.into()));
        return beside.ok_or_else(|| {
            let what = format!("{tool} beside what FLOWLET_ARM_GCC names, {},", Path::new(&named).display());
            Missing::new(what, "unset FLOWLET_ARM_GCC    # or name a working arm-none-eabi-gcc")
        });
    }
    let name = OsString::from(format!("arm-none-eabi-{tool}"));
    if works(&name) {
        return Ok(name.into());
    }
    let what = "a C compiler for Arm chips (arm-none-eabi-gcc)";
    if debian::is_debian() {
        apt(what, &PACKAGES, install)?;
        return works(&name).then(|| name.into()).ok_or_else(|| Missing::new(what, apt_command(&PACKAGES)));
    }
    let command = match env::consts::OS {
        "macos" => "brew install --cask gcc-arm-embedded",
        "windows" => "winget install Arm.GnuArmEmbeddedToolchain",
        _ => "install GCC for arm-none-eabi with your package manager, so that `arm-none-eabi-gcc --version` works",
    };
    Err(Missing::new(what, command))
}

/// CMake, with make.
///
/// # Errors
/// [`Missing`], if it is not there and could not be installed.
pub fn cmake(install: Install) -> Result<PathBuf, Missing> {
    let works = || ["cmake", "make"].iter().all(|name| quiet(Command::new(name).arg("--version")));
    if !works() {
        apt("CMake with make", &["cmake", "make"], install)?;
    }
    works()
        .then(|| "cmake".into())
        .ok_or_else(|| Missing::new("CMake with make", "cmake --version && make --version"))
}

/// `…/arm-none-eabi-objcopy` for `…/arm-none-eabi-gcc`.
fn beside(gcc: &Path, tool: &str) -> Option<PathBuf> {
    let name = gcc.file_name()?.to_str()?;
    let stem = name.strip_suffix(env::consts::EXE_SUFFIX)?.strip_suffix("gcc")?;
    Some(gcc.with_file_name(format!("{stem}{tool}{}", env::consts::EXE_SUFFIX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tools_lie_beside_each_other() {
        let gcc = format!("/opt/arm/bin/arm-none-eabi-gcc{}", env::consts::EXE_SUFFIX);
        let found = beside(Path::new(&gcc), "objcopy").expect("a name that ends in gcc");
        assert_eq!(found.file_stem().and_then(|stem| stem.to_str()), Some("arm-none-eabi-objcopy"));
        assert_eq!(found.parent(), Path::new(&gcc).parent());
        assert_eq!(beside(Path::new("/usr/bin/clang"), "objcopy"), None);
    }
}
