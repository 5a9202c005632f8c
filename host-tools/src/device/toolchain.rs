//! Compilers for chips and the emulator: found, or installed where that is allowed, or named with
//! the command that would get them.
//!
//! Two compilers will do. The one that is current (rustup's, or a distribution's) needs the
//! target's core library, which `rustup target add` brings. Where that fails, as behind a mirror
//! that carries no targets, Debian's own compiler builds the core library from source; see
//! [`Toolchain::Debian`]. `FLOWLET_TOOLCHAIN=current` or `=debian` forces the choice.

use super::debian::{self, apt, apt_command};
use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Debian's packages for [`Toolchain::Debian`].
const DEBIAN_PACKAGES: [&str; 4] = ["rustc-web", "cargo-web", "rust-web-src", "lld-19"];
const DEBIAN_CLIPPY: [&str; 1] = ["rust-web-clippy"];
const DEBIAN_LINKER: &str = "ld.lld-19";
const QEMU: &str = "qemu-system-arm";

/// Whether missing tools may be installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Install {
    /// Install what is missing.
    Allowed,
    /// Leave the machine as it is.
    Forbidden,
}

/// Something that is not on this machine, and how to get it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} is missing; to get it, run:\n    {command}")]
pub struct Missing {
    /// What is missing.
    pub what: String,
    /// The command that gets it.
    pub command: String,
}

impl Missing {
    pub(super) fn new(what: impl Into<String>, command: impl Into<String>) -> Self {
        Self { what: what.into(), command: command.into() }
    }
}

/// A way to compile for a chip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Toolchain {
    /// The compiler that is current, with the target installed.
    Current,
    /// Debian's compiler in `/usr/bin`, building the core library itself.
    Debian,
}

impl Toolchain {
    /// A toolchain that compiles for the target.
    ///
    /// # Errors
    /// [`Missing`], if there is none and none could be installed.
    pub fn for_target(target: &str, install: Install) -> Result<Self, Missing> {
        match env::var("FLOWLET_TOOLCHAIN").as_deref() {
            Ok("current" | "rustup") => current(target, install),
            Ok("debian") => debian(install),
            Ok(other) => Err(Missing::new(
                format!("a toolchain called '{other}' (FLOWLET_TOOLCHAIN)"),
                "unset FLOWLET_TOOLCHAIN    # or set it to `current` or `debian`",
            )),
            // The advice of the first is the better one for most: it needs no rights.
            Err(_) => current(target, install).or_else(|advice| debian(install).map_err(|_| advice)),
        }
    }

    /// A cargo command (`build`, `clippy`, ...) for the target; arguments can follow.
    pub fn cargo(self, subcommand: &str, target: &str) -> Command {
        let mut command = match self {
            Self::Current => Command::new(tool("CARGO", "cargo")),
            // `cargo clippy` would look into ~/.cargo/bin first, where rustup's is.
            Self::Debian if subcommand == "clippy" => Command::new("/usr/bin/cargo-clippy"),
            Self::Debian => Command::new("/usr/bin/cargo"),
        };
        command.args([subcommand, "--target", target]);
        // Meant for the host, these would reach the chip's code: they outrank its own settings.
        for name in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_RUSTFLAGS", "CARGO_BUILD_TARGET"] {
            command.env_remove(name);
        }
        if self == Self::Debian {
            use_debian(&mut command);
            let linker = format!("CARGO_TARGET_{}_LINKER", target.to_uppercase().replace(['-', '.'], "_"));
            command.env(linker, DEBIAN_LINKER).arg("-Zbuild-std=core");
        }
        command
    }

    /// A word for folder names: what the compilers make does not mix.
    pub fn name(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::Debian => "debian",
        }
    }

    /// Makes sure that `cargo clippy` works with this toolchain.
    ///
    /// # Errors
    /// [`Missing`].
    pub fn clippy(self, install: Install) -> Result<(), Missing> {
        match self {
            Self::Current => component("clippy", install),
            Self::Debian if Path::new("/usr/bin/cargo-clippy").exists() => Ok(()),
            Self::Debian => apt("the linter of Debian's Rust", &DEBIAN_CLIPPY, install),
        }
    }
}

/// Makes sure that a component of the current toolchain (`clippy`, `rustfmt`) is there.
///
/// # Errors
/// [`Missing`].
pub fn component(name: &str, install: Install) -> Result<(), Missing> {
    let subcommand = if name == "rustfmt" { "fmt" } else { name };
    let works = || quiet(Command::new(tool("CARGO", "cargo")).args([subcommand, "--version"]));
    let add = ["component", "add", name];
    if works() || (install == Install::Allowed && quiet(Command::new("rustup").args(add)) && works()) {
        return Ok(());
    }
    Err(Missing::new(format!("cargo {subcommand}"), format!("rustup {}", add.join(" "))))
}

/// Finds the emulator, or what `FLOWLET_QEMU` names.
pub(super) fn qemu(install: Install) -> Result<PathBuf, Missing> {
    if let Some(named) = env::var_os("FLOWLET_QEMU") {
        let works = quiet(Command::new(&named).arg("--version"));
        return works.then(|| PathBuf::from(&named)).ok_or_else(|| {
            let what = format!("the emulator that FLOWLET_QEMU names, {},", Path::new(&named).display());
            Missing::new(what, "unset FLOWLET_QEMU    # or name a working qemu-system-arm")
        });
    }
    let works = || quiet(Command::new(QEMU).arg("--version"));
    if works() {
        return Ok(PathBuf::from(QEMU));
    }
    if let Some(unpacked) = debian::unpacked(QEMU) {
        return Ok(unpacked);
    }
    let what = "the emulator qemu-system-arm";
    // Installed if that costs the user nothing; else, as where another release's qemu-utils is in the way or
    // the rights are missing, unpacked beside what is installed.
    if debian::is_debian() && install == Install::Allowed {
        if apt(what, &[QEMU], install).is_ok() && works() {
            return Ok(PathBuf::from(QEMU));
        }
        if let Some(unpacked) = debian::unpack(QEMU) {
            return Ok(unpacked);
        }
    }
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    Err(Missing::new(what, qemu_command(env::consts::OS, &release)))
}

/// Finds a Chromium, or what `FLOWLET_BROWSER` names: tests look at reports with it.
///
/// # Errors
/// [`Missing`], if there is none and none could be installed.
pub fn browser(install: Install) -> Result<PathBuf, Missing> {
    const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
    let works = |name: &OsString| quiet(Command::new(name).arg("--version"));
    if let Some(named) = env::var_os("FLOWLET_BROWSER") {
        return if works(&named) {
            Ok(named.into())
        } else {
            let what = format!("the browser that FLOWLET_BROWSER names, {},", Path::new(&named).display());
            Err(Missing::new(what, "unset FLOWLET_BROWSER    # or name a working Chromium"))
        };
    }
    let found = || NAMES.into_iter().map(OsString::from).find(works).map(PathBuf::from);
    if let Some(browser) = found() {
        return Ok(browser);
    }
    let what = "a browser to look at reports with (chromium)";
    apt(what, &["chromium"], install)?;
    found().ok_or_else(|| Missing::new(what, apt_command(&["chromium"])))
}

/// The command that installs the emulator on a system of this kind.
fn qemu_command(os: &str, release: &str) -> &'static str {
    let is = |name: &str| {
        let ids =
            release.lines().filter_map(|line| line.strip_prefix("ID=").or(line.strip_prefix("ID_LIKE=")));
        ids.flat_map(|ids| ids.trim_matches('"').split(' ')).any(|id| id == name)
    };
    match os {
        "macos" => "brew install qemu",
        "windows" => "winget install SoftwareFreedomConservancy.QEMU",
        _ if is("debian") || is("ubuntu") => "sudo apt-get install --no-install-recommends qemu-system-arm",
        _ if is("fedora") || is("rhel") => "sudo dnf install qemu-system-arm",
        _ if is("arch") => "sudo pacman -S qemu-system-arm",
        _ if is("alpine") => "sudo apk add qemu-system-arm",
        _ => {
            "install QEMU's Arm emulator with your package manager, so that `qemu-system-arm --version` works"
        }
    }
}

fn current(target: &str, install: Install) -> Result<Toolchain, Missing> {
    let add = ["target", "add", target];
    let there = || has_target(target);
    if there() || (install == Install::Allowed && quiet(Command::new("rustup").args(add)) && there()) {
        return Ok(Toolchain::Current);
    }
    let command = if quiet(Command::new("rustup").arg("--version")) || !debian::is_debian() {
        format!("rustup {}", add.join(" "))
    } else {
        apt_command(&DEBIAN_PACKAGES)
    };
    Err(Missing::new(format!("the core library for {target}"), command))
}

/// Whether the current compiler has the core library of a target.
fn has_target(target: &str) -> bool {
    let mut rustc = Command::new(tool("RUSTC", "rustc"));
    let Some(folder) = output(rustc.args(["--print", "target-libdir", "--target", target])) else {
        return false;
    };
    let entries = fs::read_dir(folder.trim()).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name()).any(|name| name.to_string_lossy().starts_with("libcore-"))
}

fn debian(install: Install) -> Result<Toolchain, Missing> {
    let there = || {
        let mut rustc = Command::new("/usr/bin/rustc");
        use_debian(&mut rustc);
        let sysroot = output(rustc.args(["--print", "sysroot"])).unwrap_or_default();
        let core = Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library/core/src/lib.rs");
        core.exists()
            && quiet(use_debian(&mut Command::new("/usr/bin/cargo")).arg("--version"))
            && quiet(Command::new(DEBIAN_LINKER).arg("--version"))
    };
    if there() {
        return Ok(Toolchain::Debian);
    }
    let what = "Debian's Rust compiler with the sources of its core library";
    apt(what, &DEBIAN_PACKAGES, install)?;
    if there() {
        Ok(Toolchain::Debian)
    } else {
        Err(Missing::new(what, apt_command(&DEBIAN_PACKAGES)))
    }
}

/// Makes a command see Debian's compiler and nothing of rustup: neither its proxies in the path,
/// nor what it and an outer `cargo` leave in the environment.
fn use_debian(command: &mut Command) -> &mut Command {
    let path = env::var_os("PATH").unwrap_or_default();
    let path = env::join_paths([PathBuf::from("/usr/bin")].into_iter().chain(env::split_paths(&path)));
    for name in [
        "RUSTUP_TOOLCHAIN",
        "RUSTC_WRAPPER",
        "RUSTC_WORKSPACE_WRAPPER",
        "CARGO_BUILD_RUSTC",
        "CARGO_BUILD_RUSTC_WRAPPER",
        "CARGO_BUILD_RUSTC_WORKSPACE_WRAPPER",
        "RUST_RECURSION_COUNT",
        "LD_LIBRARY_PATH",
    ] {
        command.env_remove(name);
    }
    command
        .env("PATH", path.unwrap_or_else(|_| OsString::from("/usr/bin")))
        .env("CARGO", "/usr/bin/cargo")
        .env("RUSTC", "/usr/bin/rustc")
        .env("RUSTDOC", "/usr/bin/rustdoc")
        // Building the core library is not a stable feature; this compiler allows it when told so.
        .env("RUSTC_BOOTSTRAP", "1")
}

/// What an outer cargo says its tool is, or the one in the path.
fn tool(variable: &str, name: &str) -> OsString {
    env::var_os(variable).unwrap_or_else(|| name.into())
}

/// Whether the command runs and succeeds; what it prints is dropped.
pub(super) fn quiet(command: &mut Command) -> bool {
    let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// What the command prints, if it succeeds.
pub(super) fn output(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_target_is_not_there() {
        assert!(!has_target("thumbv99-none-eabi"));
    }

    #[test]
    fn advice_for_the_emulator_fits_the_system() {
        let debian = qemu_command("linux", "NAME=x\nID=ubuntu\nID_LIKE=debian\n");
        assert!(debian.contains("apt-get"));
        assert!(qemu_command("linux", "ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n").contains("dnf"));
        assert!(qemu_command("macos", "").contains("brew"));
        assert!(qemu_command("linux", "").contains("qemu-system-arm"));
    }

    #[test]
    fn debian_builds_see_nothing_of_rustup() {
        let command = Toolchain::Debian.cargo("build", "thumbv6m-none-eabi");
        let value = |name: &str| command.get_envs().find(|(key, _)| *key == name).map(|(_, value)| value);
        assert_eq!(value("RUSTUP_TOOLCHAIN"), Some(None), "removed");
        assert_eq!(value("RUSTC"), Some(Some("/usr/bin/rustc".as_ref())));
        assert_eq!(value("CARGO_TARGET_THUMBV6M_NONE_EABI_LINKER"), Some(Some(DEBIAN_LINKER.as_ref())));
        let path = value("PATH").flatten().unwrap();
        assert_eq!(env::split_paths(path).next(), Some("/usr/bin".into()));
        assert!(command.get_args().any(|argument| argument == "-Zbuild-std=core"));
    }
}
