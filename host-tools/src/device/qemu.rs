//! The emulator: one run, from a firmware to what it left on its lines.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::process;
use super::toolchain::{self, Install, Missing};
use super::{Board, DeviceError};

/// An emulator that was found and runs.
#[derive(Clone, Debug)]
pub struct Qemu {
    program: PathBuf,
}

/// What a run that ended by itself left behind.
#[derive(Clone, Debug)]
pub struct Finished {
    /// The firmware's exit code.
    pub code: i32,
    /// Bytes sent over the serial line.
    pub serial: Vec<u8>,
    /// Bytes written by semihosting, such as defmt frames.
    pub stdout: Vec<u8>,
    /// What the emulator said.
    pub stderr: String,
}

impl Qemu {
    /// Finds `qemu-system-arm` (or what `FLOWLET_QEMU` names); installs it if allowed.
    ///
    /// # Errors
    /// [`Missing`], with the command that would help.
    pub fn find(install: Install) -> Result<Self, Missing> {
        toolchain::qemu(install).map(|program| Self { program })
    }

    /// The emulator's file.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// Runs a firmware until it leaves, with `job` in the board's memory.
    ///
    /// Instructions are counted, not timed: one takes a nanosecond of the board's time.
    ///
    /// # Errors
    /// [`DeviceError::Timeout`] if it does not leave within `limit`, [`DeviceError::Stopped`] if
    /// the emulator ended by a signal, [`DeviceError::Io`] if it could not be run.
    pub fn run(
        &self,
        board: Board,
        elf: &Path,
        job: Option<&[u8]>,
        limit: Duration,
    ) -> Result<Finished, DeviceError> {
        self.run_with(board, elf, job, limit, |command| command.args(["-icount", "shift=0"]))
    }

    /// Runs a firmware as [`Self::run`] does, as fast as the emulator can: its clocks mean nothing.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub(crate) fn run_uncounted(
        &self,
        board: Board,
        elf: &Path,
        job: &[u8],
        limit: Duration,
    ) -> Result<Finished, DeviceError> {
        self.run_with(board, elf, Some(job), limit, |command| command)
    }

    /// Runs a firmware as [`Self::run`] does, and writes the address of every instruction in some ranges to a log.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub(crate) fn trace(
        &self,
        board: Board,
        elf: &Path,
        job: &[u8],
        (log, ranges): (&Path, &str),
        limit: Duration,
    ) -> Result<Finished, DeviceError> {
        self.run_with(board, elf, Some(job), limit, |command| {
            command.args(["-singlestep", "-d", "exec,nochain", "-dfilter", ranges, "-D"]).arg(log)
        })
    }

    fn run_with(
        &self,
        board: Board,
        elf: &Path,
        job: Option<&[u8]>,
        limit: Duration,
        options: impl FnOnce(&mut Command) -> &mut Command,
    ) -> Result<Finished, DeviceError> {
        let folder = tempfile::tempdir().map_err(DeviceError::io("making a temporary folder"))?;
        // Files are named relative to the working folder: commas in a path would end QEMU's options.
        let elf = env::current_dir().map_err(DeviceError::io("finding the current folder"))?.join(elf);
        let mut command = Command::new(&self.program);
        command
            .current_dir(folder.path())
            .args(["-machine", board.name(), "-display", "none", "-monitor", "none"])
            .args(["-chardev", "file,id=replies,path=replies", "-serial", "chardev:replies"])
            .args(["-semihosting-config", "enable=on,target=native"])
            .arg("-kernel")
            .arg(&elf);
        options(&mut command);
        if let Some(job) = job {
            fs::write(folder.path().join("job"), job).map_err(DeviceError::io("writing the job"))?;
            command
                .arg("-device")
                .arg(format!("loader,file=job,addr={:#x},force-raw=on", board.job_address()));
        }
        let doing = format!("running {}", self.program.display());
        let captured = process::run(&mut command, limit).map_err(DeviceError::io(doing))?;
        let serial = fs::read(folder.path().join("replies")).unwrap_or_default();
        let Some(status) = captured.status else {
            let answered = serial.iter().filter(|&&byte| byte == 0).count();
            return Err(DeviceError::Timeout { limit, answered });
        };
        let stderr = String::from_utf8_lossy(&captured.stderr).trim_end().to_owned();
        match status.code() {
            Some(code) => Ok(Finished { code, serial, stdout: captured.stdout, stderr }),
            None => Err(DeviceError::Stopped { code: None, meaning: "the emulator was killed", stderr }),
        }
    }
}

impl Finished {
    /// The run, if the firmware left with code 0.
    ///
    /// # Errors
    /// [`DeviceError::Stopped`] with what the code means.
    pub fn success(self) -> Result<Self, DeviceError> {
        // The codes are those of `flowlet_firmware::exit_code`.
        let meaning = match self.code {
            0 => return Ok(self),
            1 => "the emulator rejected its command line, the firmware or the job",
            10 => "the firmware gave up",
            101 => "a panic, which is a defect of the firmware",
            102 => "a hard fault: a defect, or a stack that ran over",
            103 => "an exception that nothing handles",
            _ => "unknown",
        };
        Err(DeviceError::Stopped { code: Some(self.code), meaning, stderr: self.stderr })
    }
}
