//! Builds firmware from the source tree.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use object::{Object, ObjectSection, ObjectSymbol};

use super::audit::{is_copy, is_f64, is_panic, is_soft_float};
use super::process;
use super::toolchain::{Install, Toolchain};
use super::{Board, DeviceError};

/// A clean build takes half a minute on a slow machine; downloads may take longer.
const BUILD_LIMIT: Duration = Duration::from_secs(30 * 60);

/// A binary of the firmware.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Binary {
    /// Takes image and rows at run time.
    ScoreRows,
    /// Takes image and rows at run time, and says all that there is to say of each.
    ExplainRows,
    /// Takes an image with a front end and raw samples at run time, and answers with features and scores.
    ScoreWindows,
    /// Runs dense layers and answers with digests of what they give.
    LayerDigests,
    /// Runs streams through what stands behind the scorer and answers with digests.
    StreamDigests,
    /// Takes an image at run time, and says what each part of the flow costs.
    BenchParts,
    /// Has this image compiled in.
    CompiledIn {
        /// The image's file.
        image: PathBuf,
    },
    /// Scores one reading and does nothing else, to see what the runtime costs.
    Minimal(Minimal),
    /// Watches a sensor.
    Live(Live),
}

/// A live detector: from a sensor's samples to an alarm. Takes an image at run time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Live {
    /// A magnetometer that says when it has a sample; `mps2-an386` only.
    Magnetometer,
    /// The same at a fixed rate, with samples counted; `mps2-an386` only.
    Sampling,
    /// A recording, in integers; `microbit` only.
    Microbit,
}

impl Live {
    /// The name of the binary.
    pub fn name(self) -> &'static str {
        match self {
            Self::Magnetometer => "live_magnetometer",
            Self::Sampling => "live_sampling",
            Self::Microbit => "live_microbit",
        }
    }

    /// The cargo features that it needs beside the board's.
    fn features(self) -> &'static str {
        match self {
            Self::Magnetometer | Self::Sampling => ",live",
            Self::Microbit => "",
        }
    }
}

/// What a minimal firmware supports: the types of the runtime of the same names, or no runtime at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Minimal {
    /// No runtime.
    Empty,
    /// `flowlet::I8Affine`.
    I8Affine,
    /// `flowlet::I16Affine`.
    I16Affine,
    /// `flowlet::FixedAffine`.
    FixedAffine,
    /// `flowlet::FloatAffine`.
    FloatAffine,
    /// `flowlet::FixedAuto`.
    FixedAuto,
    /// `flowlet::FixedTransforms`.
    FixedTransforms,
    /// `flowlet::FixedEverything`.
    FixedEverything,
    /// `flowlet::FloatEverything`.
    FloatEverything,
    /// `flowlet::Everything`.
    Everything,
}

impl Minimal {
    /// Those with a runtime.
    pub const ALL: [Self; 9] = [
        Self::I8Affine,
        Self::I16Affine,
        Self::FixedAffine,
        Self::FloatAffine,
        Self::FixedAuto,
        Self::FixedTransforms,
        Self::FixedEverything,
        Self::FloatEverything,
        Self::Everything,
    ];

    /// The name of the binary.
    pub fn name(self) -> &'static str {
        match self {
            Self::Empty => "minimal_empty",
            Self::I8Affine => "minimal_i8_affine",
            Self::I16Affine => "minimal_i16_affine",
            Self::FixedAffine => "minimal_fixed_affine",
            Self::FloatAffine => "minimal_float_affine",
            Self::FixedAuto => "minimal_fixed_auto",
            Self::FixedTransforms => "minimal_fixed_transforms",
            Self::FixedEverything => "minimal_fixed_everything",
            Self::FloatEverything => "minimal_float_everything",
            Self::Everything => "minimal_everything",
        }
    }

    /// The name of the type that it is built with, as [`flowlet::support::READY_MADE`] has it.
    pub fn support(self) -> &'static str {
        match self {
            Self::Empty => "none",
            Self::I8Affine => "I8Affine",
            Self::I16Affine => "I16Affine",
            Self::FixedAffine => "FixedAffine",
            Self::FloatAffine => "FloatAffine",
            Self::FixedAuto => "FixedAuto",
            Self::FixedTransforms => "FixedTransforms",
            Self::FixedEverything => "FixedEverything",
            Self::FloatEverything => "FloatEverything",
            Self::Everything => "Everything",
        }
    }

    /// Whether a symbol has no place in it: no panic and no f64 in any, no float routine in a fixed-point affine flow's (the
    /// checks of other parts still compare f32), and no copying in an affine flow's, so that weights are surely used where
    /// they lie.
    pub fn forbids(self, symbol: &str) -> bool {
        let is_fixed = matches!(self, Self::I8Affine | Self::I16Affine | Self::FixedAffine);
        let copies_nothing = is_fixed || self == Self::FloatAffine;
        is_panic(symbol)
            || is_f64(symbol)
            || (is_fixed && is_soft_float(symbol))
            || (copies_nothing && is_copy(symbol))
    }
}

impl Binary {
    /// The name of the binary.
    pub fn name(&self) -> &'static str {
        match self {
            Self::ScoreRows => "score_rows",
            Self::ExplainRows => "explain_rows",
            Self::ScoreWindows => "score_windows",
            Self::LayerDigests => "layer_digests",
            Self::StreamDigests => "stream_digests",
            Self::BenchParts => "bench_parts",
            Self::CompiledIn { .. } => "compiled_in",
            Self::Minimal(minimal) => minimal.name(),
            Self::Live(live) => live.name(),
        }
    }
}

/// A firmware that was built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Firmware {
    /// The ELF file.
    pub elf: PathBuf,
    /// Bytes of machine code and constants in it.
    pub code_bytes: u64,
}

/// The firmware's source tree.
#[derive(Clone, Debug)]
pub struct Source {
    firmware: PathBuf,
}

impl Source {
    /// The tree in `FLOWLET_SOURCE`, or the one that this crate was built from.
    ///
    /// # Errors
    /// [`DeviceError::NoSource`].
    pub fn find() -> Result<Self, DeviceError> {
        let built_from = || Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        Self::at(&env::var_os("FLOWLET_SOURCE").map_or_else(built_from, PathBuf::from))
    }

    /// The tree whose root (the folder that holds `firmware`) is given.
    ///
    /// # Errors
    /// [`DeviceError::NoSource`].
    pub fn at(root: &Path) -> Result<Self, DeviceError> {
        let firmware = root.join("firmware");
        let no_source = |_| DeviceError::NoSource(firmware.clone());
        let found = firmware.canonicalize().map_err(no_source)?;
        if found.join("Cargo.toml").is_file() {
            Ok(Self { firmware: found })
        } else {
            Err(DeviceError::NoSource(found))
        }
    }

    /// The folder `firmware`.
    pub fn firmware(&self) -> &Path {
        &self.firmware
    }

    /// Where a toolchain's builds of the firmware for a board go: boards of one target differ in features and
    /// flags, and would overwrite each other's binaries.
    pub fn target_dir(&self, toolchain: Toolchain, board: Board) -> PathBuf {
        let base = match env::var_os("CARGO_TARGET_DIR") {
            Some(folder) => env::current_dir().unwrap_or_default().join(folder).join("firmware"),
            None => self.firmware.join("target"),
        };
        let base = match toolchain {
            Toolchain::Current => base,
            Toolchain::Debian => base.join(toolchain.name()),
        };
        base.join(board.name())
    }

    /// A cargo command for the firmware of a board, in the firmware's folder.
    pub fn cargo(&self, toolchain: Toolchain, subcommand: &str, board: Board, binary: &Binary) -> Command {
        let mut command = toolchain.cargo(subcommand, board.target());
        command
            .current_dir(&self.firmware)
            .args(["--locked", "--release", "--no-default-features", "--bin", binary.name()])
            .arg("--target-dir")
            .arg(self.target_dir(toolchain, board));
        if let Some(cpu) = board.target_cpu() {
            let target = board.target().to_uppercase().replace(['-', '.'], "_");
            command.env(format!("CARGO_TARGET_{target}_RUSTFLAGS"), format!("-Ctarget-cpu={cpu}"));
        }
        match binary {
            Binary::CompiledIn { image } => {
                let image = env::current_dir().unwrap_or_default().join(image);
                command.env("FLOWLET_IMAGE", image).arg("--features");
                command.arg(format!("{},compiled-in", board.name()))
            }
            Binary::Live(live) => {
                command.arg("--features").arg(format!("{}{}", board.name(), live.features()))
            }
            _ => command.args(["--features", board.name()]),
        };
        command
    }

    /// Builds a binary; quick if nothing changed.
    ///
    /// # Errors
    /// [`DeviceError::Missing`] without a compiler, [`DeviceError::Build`] with the compiler's words.
    pub fn build(&self, board: Board, binary: &Binary, install: Install) -> Result<Firmware, DeviceError> {
        let [firmware] = self.build_all(board, [binary], install)?;
        Ok(firmware)
    }

    /// Builds several binaries at once. If one of them has an image compiled in, it must be the first.
    ///
    /// # Errors
    /// As [`Self::build`].
    pub fn build_all<const N: usize>(
        &self,
        board: Board,
        binaries: [&Binary; N],
        install: Install,
    ) -> Result<[Firmware; N], DeviceError> {
        let toolchain = Toolchain::for_target(board.target(), install)?;
        let mut command = self.cargo(
            toolchain,
            "build",
            board,
            binaries.first().unwrap_or(&&Binary::Minimal(Minimal::Empty)),
        );
        for binary in binaries.iter().skip(1) {
            command.args(["--bin", binary.name()]);
        }
        let text = format!("{command:?}");
        let captured = process::run(&mut command, BUILD_LIMIT).map_err(DeviceError::io("running cargo"))?;
        if !captured.status.is_some_and(|status| status.success()) {
            let mut output = readable(&String::from_utf8_lossy(&captured.stderr));
            if captured.status.is_none() {
                output += "\nstopped after half an hour";
            }
            return Err(DeviceError::Build { command: text, output });
        }
        let folder = self.target_dir(toolchain, board).join(board.target()).join("release");
        let elfs = binaries.map(|binary| folder.join(binary.name()));
        let mut firmwares = elfs.map(|elf| Firmware { elf, code_bytes: 0 });
        for firmware in &mut firmwares {
            firmware.code_bytes = code_bytes(&firmware.elf)?;
        }
        Ok(firmwares)
    }
}

/// Cargo's words without its progress.
fn readable(stderr: &str) -> String {
    let progress = ["Compiling ", "Downloading ", "Downloaded ", "Updating ", "Locking ", "Blocking "];
    let lines =
        stderr.lines().filter(|line| !progress.iter().any(|word| line.trim_start().starts_with(word)));
    lines.collect::<Vec<_>>().join("\n")
}

/// Bytes of machine code and constants (`.text` and `.rodata`) in an ELF file.
///
/// # Errors
/// [`DeviceError::Io`], [`DeviceError::Elf`].
pub fn code_bytes(elf: &Path) -> Result<u64, DeviceError> {
    let bytes = fs::read(elf).map_err(DeviceError::io(format!("reading {}", elf.display())))?;
    let unreadable = |reason: String| DeviceError::Elf { path: elf.into(), reason };
    let file = object::File::parse(&*bytes).map_err(|error| unreadable(error.to_string()))?;
    let size = |name| file.section_by_name(name).map(|section| section.size());
    let text = size(".text").ok_or_else(|| unreadable("no .text section".into()))?;
    Ok(text + size(".rodata").unwrap_or(0))
}

/// Bytes of static RAM (`.data`, `.bss` and `.uninit`) of an ELF file.
///
/// # Errors
/// [`DeviceError::Io`], [`DeviceError::Elf`].
pub fn static_bytes(elf: &Path) -> Result<u64, DeviceError> {
    let bytes = fs::read(elf).map_err(DeviceError::io(format!("reading {}", elf.display())))?;
    let file = object::File::parse(&*bytes)
        .map_err(|error| DeviceError::Elf { path: elf.into(), reason: error.to_string() })?;
    let size = |name| file.section_by_name(name).map_or(0, |section| section.size());
    Ok([".data", ".bss", ".uninit"].into_iter().map(size).sum())
}

/// Symbols in an ELF file that `unwanted` picks by their mangled names.
///
/// # Errors
/// [`DeviceError::Io`], [`DeviceError::Elf`].
pub fn symbols(elf: &Path, unwanted: impl Fn(&str) -> bool) -> Result<Vec<String>, DeviceError> {
    let bytes = fs::read(elf).map_err(DeviceError::io(format!("reading {}", elf.display())))?;
    let file = object::File::parse(&*bytes)
        .map_err(|error| DeviceError::Elf { path: elf.into(), reason: error.to_string() })?;
    let names = file.symbols().filter_map(|symbol| symbol.name().ok().map(str::to_owned));
    Ok(names.filter(|name| unwanted(name)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minimal_firmwares_forbid_what_they_can_do_without() {
        let panic = "_ZN4core9panicking5panic17h0123456789abcdefE";
        for minimal in Minimal::ALL {
            assert!(minimal.forbids(panic) && minimal.forbids("__aeabi_dadd"), "{minimal:?}");
            assert!(!minimal.forbids("__aeabi_lmul"), "{minimal:?}");
            assert!(flowlet::support::READY_MADE.iter().any(|(name, _)| *name == minimal.support()));
        }
        assert!(Minimal::FixedAffine.forbids("__aeabi_fmul") && Minimal::FixedAffine.forbids("__aeabi_i2f"));
        assert!(Minimal::I8Affine.forbids("__aeabi_fmul") && Minimal::I16Affine.forbids("memcpy"));
        assert!(!Minimal::FloatAffine.forbids("__aeabi_fmul"));
        assert!(Minimal::FixedAffine.forbids("__aeabi_memcpy4") && Minimal::FloatAffine.forbids("memcpy"));
    }

    #[test]
    fn the_source_is_found_and_a_wrong_place_is_named() {
        assert!(Source::find().unwrap().firmware().join("build.rs").exists());
        let error = Source::at(Path::new("/nowhere")).unwrap_err().to_string();
        assert!(error.contains("/nowhere") && error.contains("FLOWLET_SOURCE"), "{error}");
    }

    #[test]
    fn errors_are_kept_and_progress_is_dropped() {
        let text = "   Compiling a v1\nerror[E0308]: no\n  --> src/x.rs:1:1\n Downloaded b\n";
        assert_eq!(readable(text), "error[E0308]: no\n  --> src/x.rs:1:1");
    }

    #[test]
    fn a_file_that_is_no_elf_is_an_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(matches!(code_bytes(file.path()), Err(DeviceError::Elf { .. })));
        assert!(matches!(code_bytes(Path::new("/nowhere")), Err(DeviceError::Io { .. })));
    }

    #[test]
    fn the_size_is_that_of_code_and_constants() {
        let test = env::current_exe().unwrap();
        if cfg!(target_os = "linux") {
            assert!(code_bytes(&test).unwrap() > 10_000);
            assert!(!symbols(&test, is_panic).unwrap().is_empty(), "a test can panic");
        }
    }
}
