//! Child processes that are always collected: output captured, time limited, killed on the way out.

use std::io::{self, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// More output than this is dropped; a runaway child must not fill the memory.
const MOST_OUTPUT: u64 = 64 << 20;

/// What a child left behind.
#[derive(Debug)]
pub(super) struct Captured {
    /// `None`: it ran out of time and was killed.
    pub(super) status: Option<ExitStatus>,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: Vec<u8>,
}

/// Runs the command, without input, for at most `limit`.
pub(super) fn run(command: &mut Command, limit: Duration) -> io::Result<Captured> {
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let mut child = Guard(child);
    let stdout = drain(child.0.stdout.take());
    let stderr = drain(child.0.stderr.take());
    let status = wait(&mut child.0, limit)?;
    // A killed child closes its pipes, which ends the readers.
    drop(child);
    Ok(Captured {
        status,
        stdout: stdout.join().unwrap_or_default(),
        stderr: stderr.join().unwrap_or_default(),
    })
}

fn wait(child: &mut Child, limit: Duration) -> io::Result<Option<ExitStatus>> {
    let end = Instant::now() + limit;
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= end {
            return Ok(None);
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

fn drain(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // What arrived before an error is what there is.
            let _ = pipe.by_ref().take(MOST_OUTPUT).read_to_end(&mut bytes);
            let _ = io::copy(&mut pipe, &mut io::sink());
        }
        bytes
    })
}

struct Guard(Child);

impl Drop for Guard {
    fn drop(&mut self) {
        // Both fail only for a child that is gone already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn output_and_status_are_collected() {
        let mut command = Command::new("sh");
        let captured = run(command.args(["-c", "echo out; echo err >&2; exit 3"]), Duration::from_secs(20));
        let captured = captured.unwrap();
        assert_eq!(captured.status.unwrap().code(), Some(3));
        assert_eq!((captured.stdout.as_slice(), captured.stderr.as_slice()), (&b"out\n"[..], &b"err\n"[..]));
    }

    #[test]
    fn a_child_that_hangs_is_killed() {
        let start = Instant::now();
        let captured = run(Command::new("sleep").arg("60"), Duration::from_millis(50)).unwrap();
        assert!(captured.status.is_none());
        assert!(start.elapsed() < Duration::from_secs(30));
    }
}
