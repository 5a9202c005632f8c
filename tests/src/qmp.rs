//! QEMU's machine protocol: one JSON object a line over a socket.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{json, Value};

/// Nothing takes so long on a machine that works.
const LIMIT: Duration = Duration::from_secs(60);

/// A connection to one emulator.
pub struct Qmp {
    reader: BufReader<UnixStream>,
}

/// Connects to a socket that is about to be there.
///
/// # Panics
/// If it does not come.
#[must_use]
pub fn connect(path: &Path) -> UnixStream {
    let end = Instant::now() + LIMIT;
    loop {
        match UnixStream::connect(path) {
            Ok(stream) => {
                stream.set_read_timeout(Some(LIMIT)).expect("a socket with a time limit");
                return stream;
            }
            Err(error) => assert!(Instant::now() < end, "{}: {error}", path.display()),
        }
        thread::sleep(Duration::from_millis(5));
    }
}

impl Qmp {
    /// Connects and shakes hands.
    ///
    /// # Panics
    /// If the emulator does not.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        let mut qmp = Self { reader: BufReader::new(connect(path)) };
        let greeting = qmp.line();
        assert!(greeting.get("QMP").is_some(), "{greeting}");
        qmp.execute("qmp_capabilities", &json!({}));
        qmp
    }

    /// Runs a command; gives what it returns.
    ///
    /// # Panics
    /// If it fails.
    pub fn execute(&mut self, command: &str, arguments: &Value) -> Value {
        match self.try_execute(command, arguments) {
            Ok(returned) => returned,
            Err(error) => panic!("{command} {arguments}: {error}"),
        }
    }

    /// Runs a command.
    ///
    /// # Errors
    /// What the emulator says.
    ///
    /// # Panics
    /// If it says nothing.
    pub fn try_execute(&mut self, command: &str, arguments: &Value) -> Result<Value, String> {
        let request = format!("{}\n", json!({"execute": command, "arguments": arguments}));
        self.reader.get_mut().write_all(request.as_bytes()).expect("an emulator that listens");
        loop {
            let mut answer = self.line();
            if let Some(returned) = answer.get_mut("return") {
                return Ok(returned.take());
            }
            if let Some(error) = answer.get("error") {
                return Err(error.to_string());
            }
            // Events in between are of no interest.
        }
    }

    /// The word at an address of the machine's memory.
    ///
    /// # Panics
    /// If the monitor answers in another form than `ADDRESS: 0xWORD`.
    pub fn word(&mut self, address: u32) -> u32 {
        let line = json!({"command-line": format!("xp /1wx {address:#x}")});
        let answer = self.execute("human-monitor-command", &line);
        let text = answer.as_str().unwrap_or_default();
        let word = text.trim().rsplit("0x").next().and_then(|hex| u32::from_str_radix(hex, 16).ok());
        word.unwrap_or_else(|| panic!("no word at {address:#x}: {text}"))
    }

    fn line(&mut self) -> Value {
        let mut line = String::new();
        self.reader.read_line(&mut line).expect("an emulator that answers in time");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line}: {error}"))
    }
}
