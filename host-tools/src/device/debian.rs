//! Debian's packages: installed where that is allowed, or unpacked into a folder of the user's own.

use super::toolchain::{output, quiet, Install, Missing};
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What both ways of getting a package share: nothing that is only nice to have.
const LEAN: &str = "--no-install-recommends";

/// Whether this system has Debian's packages.
pub(super) fn is_debian() -> bool {
    Path::new("/etc/debian_version").exists() && quiet(Command::new("apt-get").arg("--version"))
}

/// Installs packages, as root only, and never at the price of a package that the user has.
pub(super) fn apt(what: &str, packages: &[&str], install: Install) -> Result<(), Missing> {
    let missing = || Missing::new(what, apt_command(packages));
    if !is_debian() {
        return Err(Missing::new(what, format!("# on Debian: {}", apt_command(packages))));
    }
    if install == Install::Forbidden || !is_root() {
        return Err(missing());
    }
    update();
    let mut get = Command::new("apt-get");
    get.args(["install", "-y", LEAN, "--no-remove"]).args(packages);
    get.env("DEBIAN_FRONTEND", "noninteractive");
    if quiet(&mut get) {
        Ok(())
    } else {
        Err(missing())
    }
}

/// The command with which a user installs packages.
pub(super) fn apt_command(packages: &[&str]) -> String {
    format!("sudo apt-get update && sudo apt-get install -y {LEAN} {}", packages.join(" "))
}

/// A program that [`unpack`] got earlier and that still runs.
pub(super) fn unpacked(program: &str) -> Option<PathBuf> {
    let launcher = folder(program)?.join(program);
    quiet(Command::new(&launcher).arg("--version")).then_some(launcher)
}

/// Unpacks the package of a program's name, with the packages that it lacks, into the user's cache folder.
///
/// Nothing is installed and no rights are needed. Returns the path of a launcher, or `None` if any step fails.
pub(super) fn unpack(program: &str) -> Option<PathBuf> {
    if is_root() {
        update();
    }
    let simulated = output(Command::new("apt-get").args(["install", "--simulate", LEAN, program]))?;
    let packages = to_install(&simulated);
    let folder = folder(program)?;
    let parent = folder.parent()?;
    fs::create_dir_all(parent).ok()?;
    let made = tempfile::tempdir_in(parent).ok()?;
    let fetched = made.path().join("packages");
    fs::create_dir(&fetched).ok()?;
    if !quiet(Command::new("apt-get").arg("download").args(packages).current_dir(&fetched)) {
        return None;
    }
    for package in fs::read_dir(&fetched).ok()? {
        let package = package.ok()?.path();
        if !quiet(Command::new("dpkg-deb").arg("--extract").arg(package).arg(made.path())) {
            return None;
        }
    }
    fs::remove_dir_all(&fetched).ok()?;
    write_launcher(made.path(), program)?;
    // Another process may have been faster; otherwise a folder there is one that no longer runs.
    if let Some(there) = unpacked(program) {
        return Some(there);
    }
    fs::remove_dir_all(&folder).ok();
    fs::rename(made.keep(), &folder).ok()?;
    unpacked(program)
}

/// The packages that a simulated installation would install.
fn to_install(simulated: &str) -> Vec<&str> {
    simulated.lines().filter_map(|line| line.strip_prefix("Inst ")?.split(' ').next()).collect()
}

/// A script that starts the program with the libraries and the data beside it.
fn write_launcher(folder: &Path, program: &str) -> Option<()> {
    let script = format!(
        "#!/bin/sh\n\
         here=$(dirname \"$(readlink -f \"$0\")\")\n\
         for libraries in \"$here\"/usr/lib/*-linux-gnu* \"$here\"/lib/*-linux-gnu*; do\n    \
             LD_LIBRARY_PATH=\"$libraries${{LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}}\"\n\
         done\n\
         export LD_LIBRARY_PATH\n\
         exec \"$here/usr/bin/{program}\" -L \"$here/usr/share/qemu\" \"$@\"\n"
    );
    let path = folder.join(program);
    fs::write(&path, script).ok()?;
    quiet(Command::new("chmod").arg("755").arg(path)).then_some(())
}

/// Where a program lies unpacked.
fn folder(program: &str) -> Option<PathBuf> {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")))?;
    Some(cache.join("flowlet").join(program))
}

fn is_root() -> bool {
    output(Command::new("id").arg("-u")).is_some_and(|id| id.trim() == "0")
}

/// A stale list of packages may still do, if the update fails.
fn update() {
    quiet(Command::new("apt-get").arg("update"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_missing_is_fetched() {
        let simulated = "NOTE: This is only a simulation!\nRemv qemu-utils [1:10.0.2]\n\
            Inst libfdt1 (1.6.1-4+b1 Debian:12.15/oldstable [amd64])\n\
            Inst qemu-system-arm (1:7.2 Debian:12.15/oldstable [amd64]) []\nConf libfdt1 (1.6.1-4+b1)\n";
        assert_eq!(to_install(simulated), ["libfdt1", "qemu-system-arm"]);
    }

    #[cfg(unix)]
    #[test]
    fn the_launcher_starts_what_lies_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let programs = folder.path().join("usr/bin");
        fs::create_dir_all(&programs).unwrap();
        fs::create_dir_all(folder.path().join("usr/lib/a-linux-gnu")).unwrap();
        let program = programs.join("tool");
        fs::write(&program, "#!/bin/sh\necho \"$LD_LIBRARY_PATH|$*\"\n").unwrap();
        assert!(quiet(Command::new("chmod").arg("755").arg(&program)));
        write_launcher(folder.path(), "tool").unwrap();
        let printed = output(Command::new(folder.path().join("tool")).arg("-M").arg("microbit")).unwrap();
        let (libraries, arguments) = printed.trim().split_once('|').unwrap();
        let here = fs::canonicalize(folder.path()).unwrap();
        assert!(
            libraries.split(':').any(|path| Path::new(path) == here.join("usr/lib/a-linux-gnu")),
            "{libraries}"
        );
        let data = here.join("usr/share/qemu");
        assert_eq!(arguments, format!("-L {} -M microbit", data.display()));
    }
}
