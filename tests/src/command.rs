//! The real `flowlet` binary, run as users run it.
//!
//! Cargo tells a test where binaries of its own package are, but not those of another one. So the first
//! test of a process has cargo build `flowlet` in the profile and the target folder that the test itself
//! was built in, which takes no time if it is up to date; `FLOWLET_BIN` names another binary to test.

use crate::Random;
use serde_json::Value;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use tempfile::TempDir;

/// The `flowlet` binary.
///
/// # Panics
/// If it cannot be built.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| std::env::var_os("FLOWLET_BIN").map_or_else(build, PathBuf::from))
}

fn build() -> PathBuf {
    // TARGET/PROFILE/deps/test-hash; with `--target`, TARGET ends in the triple, and what is built there
    // without naming the triple again comes to lie in the same place.
    let test = std::env::current_exe().expect("a test has a path");
    let profile = test.parent().and_then(Path::parent).expect("tests lie in TARGET/PROFILE/deps");
    let target = profile.parent().expect("and profiles in TARGET");
    let name = match profile.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(other) => other,
    };
    let built = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--quiet", "--bin", "flowlet", "--profile", name])
        // Beside xtask it has the features of libraries that it has in `cargo xtask test`: it is not compiled anew.
        .args(["--package", "flowlet-tools", "--package", "xtask"])
        .arg("--manifest-path")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.toml"))
        .arg("--target-dir")
        .arg(target)
        .status()
        .expect("cargo runs");
    assert!(built.success(), "flowlet was not built");
    profile.join(format!("flowlet{}", std::env::consts::EXE_SUFFIX))
}

/// How a command ended.
#[derive(Clone, Debug)]
pub struct Run {
    /// Exit code.
    pub code: i32,
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
}

impl Run {
    /// The JSON object that is all of the output of a command that succeeded.
    ///
    /// # Panics
    /// If it failed or wrote anything else.
    pub fn json(&self) -> Value {
        assert_eq!(self.code, 0, "{self:?}");
        let value: Value = serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}: {self:?}"));
        assert!(value.is_object(), "{self:?}");
        value
    }

    /// The one message of a command that failed as it should: on standard error, in one line, naming
    /// everything in `parts`.
    ///
    /// # Panics
    /// If it is not so.
    pub fn fails(&self, code: i32, parts: &[&str]) {
        assert_eq!(self.code, code, "{self:?}");
        assert_eq!(self.stdout, "", "{self:?}");
        assert!(!self.stderr.contains("panicked"), "{self:?}");
        let errors: Vec<&str> = self.stderr.lines().filter(|line| line.starts_with("error: ")).collect();
        assert_eq!(errors.len(), 1, "{self:?}");
        for part in parts {
            assert!(errors[0].contains(part), "'{part}' is not in {self:?}");
        }
    }
}

/// A folder for one test, removed after it.
#[derive(Debug)]
pub struct Folder(TempDir);

impl Default for Folder {
    fn default() -> Self {
        Self::new()
    }
}

impl Folder {
    /// An empty folder.
    ///
    /// # Panics
    /// If the system has no room for it.
    pub fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes a file.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> &Self {
        std::fs::write(self.path().join(name), content).expect("a file in the folder");
        self
    }

    /// Reads a file.
    ///
    /// # Panics
    /// If there is none.
    pub fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path().join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    /// Names of all files, sorted.
    ///
    /// # Panics
    /// If the folder is gone.
    pub fn list(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.path()).expect("the folder is there");
        let mut names: Vec<String> = entries
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    /// Runs `flowlet` in this folder with words of arguments.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn flowlet(&self, arguments: &str) -> Run {
        let output = self.command(arguments).stdin(Stdio::null()).output().expect("flowlet starts");
        Run {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// The command that [`Self::flowlet`] runs.
    pub fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(binary());
        command.current_dir(self.path()).args(arguments.split_whitespace());
        command
    }
}

/// A table of three related columns `a`, `b`, `c` and a label: normal rows near a curve, and after every
/// tenth of them an anomalous one off it.
pub fn labelled_csv(rows: usize, seed: u64) -> String {
    let mut random = Random(seed);
    let mut text = "a,b,c,label\n".to_owned();
    for row in 0..rows {
        let (t, e) = (random.normal(), random.normal());
        let anomalous = row % 11 == 10;
        let off = if anomalous { 4.0 } else { 0.0 };
        let (a, b, c) = (20.0 + t, 3.0 * t + 0.3 * e + off, 100.0 + t * t + 0.2 * random.normal() - off);
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{a:.4},{b:.4},{c:.4},{}", u8::from(anomalous));
    }
    text
}

/// The same without the label and the anomalous rows.
pub fn normal_csv(rows: usize, seed: u64) -> String {
    let labelled = labelled_csv(rows, seed);
    let kept = labelled.lines().filter_map(|line| line.strip_suffix(",0").or(line.strip_suffix(",label")));
    kept.map(|line| format!("{line}\n")).collect()
}

/// Options that make training quick.
pub const QUICK: &str = "--flow realnvp --layers 2 --hidden 8 --epochs 3 --seed 5";

/// A folder with `m.flow`, an image in f32 of [`normal_csv`], and `test.csv`, labelled rows.
///
/// # Panics
/// If training fails.
pub fn trained() -> Folder {
    static IMAGE: OnceLock<Vec<u8>> = OnceLock::new();
    let image = IMAGE.get_or_init(|| {
        let folder = Folder::new();
        folder.write("train.csv", normal_csv(400, 1));
        let run = folder.flowlet(&format!("train train.csv -o m.flow --numeric f32 {QUICK}"));
        assert_eq!(run.code, 0, "{run:?}");
        folder.read("m.flow")
    });
    let folder = Folder::new();
    folder.write("m.flow", image).write("test.csv", labelled_csv(300, 2));
    folder
}
