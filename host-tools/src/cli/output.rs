//! What a command says, and where.

use serde_json::Value;
use std::io::{self, IsTerminal, Write};

/// Results on standard output; notes, warnings, errors and progress on standard error.
#[derive(Debug)]
pub(super) struct Output {
    json: bool,
    quiet: bool,
}

impl Output {
    pub(super) fn new(json: bool, quiet: bool) -> Self {
        Self { json, quiet }
    }

    /// Whether progress and notes are unwanted.
    pub(super) fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Something worth knowing.
    pub(super) fn note(&self, text: &str) {
        if !self.quiet {
            self.say("note", text);
        }
    }

    /// Something that may be wrong; also said with `--quiet`.
    pub(super) fn warn(&self, text: &str) {
        self.say("warning", text);
    }

    /// Why the command failed: the whole chain of causes on one line.
    pub(super) fn error(&self, error: &anyhow::Error) {
        self.say("error", &one_line(error));
    }

    /// The command's result: the object with `--json`, else the text.
    pub(super) fn finish(&self, text: &str, json: &Value) -> anyhow::Result<()> {
        let mut out = io::stdout().lock();
        if self.json {
            serde_json::to_writer(&mut out, json).map_err(io::Error::from)?;
            writeln!(out)?;
        } else if !text.is_empty() {
            writeln!(out, "{}", text.trim_end())?;
        }
        out.flush()?;
        Ok(())
    }

    /// Whether results are wanted as JSON.
    pub(super) fn is_json(&self) -> bool {
        self.json
    }

    fn say(&self, kind: &str, text: &str) {
        let mut err = io::stderr().lock();
        // With standard error gone there is nobody left to tell.
        let _ = if err.is_terminal() && std::env::var_os("NO_COLOR").is_none() {
            let colour = match kind {
                "error" => "31",
                "warning" => "33",
                _ => "36",
            };
            writeln!(err, "\x1b[1;{colour}m{kind}\x1b[0m: {text}")
        } else {
            writeln!(err, "{kind}: {text}")
        };
    }
}

/// Whether the reader of standard output went away, as `| head` does; that ends the work without a complaint.
pub(super) fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .any(|cause| cause.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe))
}

/// A count with its digits in groups of three.
pub(crate) fn grouped(count: usize) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// An error and its causes; a cause that its parent already quotes is not said twice.
fn one_line(error: &anyhow::Error) -> String {
    let mut line = error.to_string();
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        if !line.contains(&cause) {
            line.push_str(": ");
            line.push_str(&cause);
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn causes_are_said_once() {
        let error =
            anyhow::anyhow!("no such file").context("cannot read a.csv: no such file").context("training");
        assert_eq!(one_line(&error), "training: cannot read a.csv: no such file");
    }

    #[test]
    fn digits_are_grouped() {
        assert_eq!([0, 12, 123, 1234, 1_234_567].map(grouped), ["0", "12", "123", "1,234", "1,234,567"]);
    }

    #[test]
    fn a_closed_pipe_is_found_among_causes() {
        let closed = || io::Error::from(io::ErrorKind::BrokenPipe);
        assert!(is_closed_pipe(&Err::<(), _>(closed()).context("writing").expect_err("it is one")));
        assert!(!is_closed_pipe(&io::Error::from(io::ErrorKind::NotFound).into()));
    }
}
