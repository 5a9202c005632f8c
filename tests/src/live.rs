//! A board under QEMU with a sensor on its bus, whose field the test sets and whose log it reads.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use flowlet_tools::device::{skips, Binary, Board, DeviceError, Firmware, Install, Live, Qemu, Source};
use serde_json::json;

use crate::defmt_log::DefmtLog;
use crate::qmp::{connect, Qmp};

/// A line of the log comes within this, or never.
const LIMIT: Duration = Duration::from_secs(60);

/// A firmware that says more is caught in a loop.
const MOST_LINES: usize = 1000;

/// Counts per gauss of the field's axes at 1.3 gauss (ST DocID018771, table 75).
pub const COUNTS_PER_GAUSS: [u32; 3] = [1100, 1100, 980];

/// The emulator and a live firmware, or `None` if this machine lacks one, which is then on record.
///
/// # Panics
/// If the firmware does not build.
#[must_use]
pub fn find(board: Board, live: Live, test: &str) -> Option<(Qemu, Firmware)> {
    let found = || {
        let qemu = Qemu::find(Install::Forbidden)?;
        let firmware = Source::find()?.build(board, &Binary::Live(live), Install::Forbidden)?;
        Ok((qemu, firmware))
    };
    match found() {
        Ok(found) => Some(found),
        Err(DeviceError::Missing(missing)) => {
            skips::record(test, &missing);
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// The running board.
pub struct Stand {
    qemu: Child,
    /// The emulator's monitor.
    pub qmp: Qmp,
    data_ready: UnixStream,
    frames: Receiver<Vec<u8>>,
    log: DefmtLog,
    lines: std::collections::VecDeque<String>,
    _folder: tempfile::TempDir,
}

impl Stand {
    /// Starts an `mps2-an386` with an image in its memory, and with the magnetometer on its bus or without.
    ///
    /// # Panics
    /// If the emulator does not start.
    #[must_use]
    pub fn start(qemu: &Qemu, elf: &Path, image: &[u8], with_sensor: bool, icount: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(folder.path().join("image"), image).expect("a file in a temporary folder");
        let board = Board::Mps2An386;
        let mut command = Command::new(qemu.program());
        command
            .current_dir(folder.path())
            .args(["-machine", board.name(), "-display", "none", "-monitor", "none", "-S"])
            .args(["-icount", icount, "-semihosting-config", "enable=on,target=native"])
            .args(["-qmp", "unix:qmp,server=on,wait=off", "-serial", "null"])
            .args(["-chardev", "socket,id=ready,path=ready,server=on,wait=off", "-serial", "chardev:ready"])
            .arg("-device")
            .arg(format!("loader,file=image,addr={:#x},force-raw=on", board.job_address()))
            .arg("-kernel")
            .arg(elf.canonicalize().expect("the firmware that was just built"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        if with_sensor {
            command.args(["-device", "lsm303dlhc_mag,address=0x1e,id=mag"]);
        }
        let mut qemu = command.spawn().expect("an emulator that starts");
        let mut stdout = qemu.stdout.take().expect("a pipe");
        let (sender, frames) = mpsc::channel();
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = stdout.read(&mut buffer) {
                if sender.send(buffer[..count].to_vec()).is_err() {
                    break;
                }
            }
        });
        let mut stand = Self {
            qemu,
            qmp: Qmp::new(&folder.path().join("qmp")),
            data_ready: connect(&folder.path().join("ready")),
            frames,
            log: DefmtLog::of(elf),
            lines: std::collections::VecDeque::new(),
            _folder: folder,
        };
        stand.qmp.execute("cont", &json!({}));
        stand
    }

    /// Sets the field to counts of the sensor, and the temperature to eighths of a degree.
    ///
    /// # Panics
    /// If the emulated sensor refuses; it takes no negative fields.
    pub fn set_field(&mut self, counts: [i16; 4]) {
        for ((axis, count), gain) in ["x", "y", "z"].iter().zip(counts).zip(COUNTS_PER_GAUSS) {
            // The property is in thousandths of a microtesla; QEMU rounds down to counts.
            let nanotesla = u32::try_from(count).expect("a field that QEMU takes") * 100_000;
            self.set(&format!("mag-{axis}"), i64::from(nanotesla.div_ceil(gain)));
        }
        self.set("temperature", i64::from(counts[3]) * 125);
    }

    fn set(&mut self, property: &str, value: i64) {
        let path = "/machine/peripheral/mag";
        self.qmp.execute("qom-set", &json!({"path": path, "property": property, "value": value}));
    }

    /// An edge of the data-ready line.
    ///
    /// # Panics
    /// If the emulator is gone.
    pub fn data_ready(&mut self) {
        self.data_ready.write_all(&[0]).expect("a line to the emulator");
    }

    /// The next line of the log.
    ///
    /// # Panics
    /// If none comes.
    pub fn line(&mut self) -> String {
        loop {
            if let Some(line) = self.lines.pop_front() {
                return line;
            }
            let bytes = self.frames.recv_timeout(LIMIT).expect("a line of the log in time");
            self.lines.extend(self.log.receive(&bytes));
        }
    }

    /// The lines until the firmware ends, and its exit code.
    ///
    /// # Panics
    /// If it does not end.
    pub fn rest(mut self) -> (Vec<String>, Option<i32>) {
        let mut lines = Vec::from(std::mem::take(&mut self.lines));
        loop {
            assert!(lines.len() < MOST_LINES, "no end after {:#?}", &lines[..20]);
            match self.frames.recv_timeout(LIMIT) {
                Ok(bytes) => lines.extend(self.log.receive(&bytes)),
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
                Err(mpsc::RecvTimeoutError::Timeout) => panic!("no end after {lines:#?}"),
            }
        }
        let code = self.qemu.wait().expect("a child").code();
        (lines, code)
    }
}

impl Drop for Stand {
    fn drop(&mut self) {
        // Both fail only for an emulator that is gone already.
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
    }
}

/// The text behind `name: ` in a line, up to a comma, a blank or a bracket.
///
/// # Panics
/// If there is none.
#[must_use]
pub fn field<'l>(line: &'l str, name: &str) -> &'l str {
    let (_, rest) = line.split_once(&format!("{name}: ")).unwrap_or_else(|| panic!("no {name} in {line}"));
    rest.split([',', ' ', '}', ')']).next().unwrap_or_default()
}

/// The bits of the float behind `name: `; defmt prints floats so that they come back.
///
/// # Panics
/// If there is none.
#[must_use]
pub fn bits(line: &str, name: &str) -> u32 {
    let text = field(line, name);
    text.parse::<f32>().unwrap_or_else(|error| panic!("{text}: {error}")).to_bits()
}
