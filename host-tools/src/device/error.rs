//! What can go wrong between host and board.

use std::path::PathBuf;
use std::time::Duration;

use flowlet_protocol::frame::FrameError;
use flowlet_protocol::{error_text, Refusal};

use super::toolchain::Missing;

/// What went wrong between host and board.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// A tool is not on this machine.
    #[error(transparent)]
    Missing(#[from] Missing),
    /// The firmware's sources are not where they are looked for.
    #[error(
        "no firmware sources at {}; set FLOWLET_SOURCE to a checkout of flowlet (the folder that holds `firmware`)",
        .0.display()
    )]
    NoSource(PathBuf),
    /// The compiler rejected the firmware.
    #[error("building the firmware failed (`{command}`):\n{output}")]
    Build {
        /// What was run.
        command: String,
        /// What it said, without progress lines.
        output: String,
    },
    /// A binary is not an ELF file.
    #[error("{}: not a readable ELF file: {reason}", .path.display())]
    Elf {
        /// The file.
        path: PathBuf,
        /// What the reader said.
        reason: String,
    },
    /// A file or a process could not be handled.
    #[error("{doing}: {source}")]
    Io {
        /// What was being done.
        doing: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The board was silent for too long and was stopped.
    #[error("the board did not finish within {limit:.1?} and was stopped; {answered} replies had arrived")]
    Timeout {
        /// How long it was given.
        limit: Duration,
        /// Frames received until then.
        answered: usize,
    },
    /// The board stopped for a reason of its own.
    #[error("the board stopped with code {}: {meaning}{}{stderr}", .code.map_or("(none)".into(), |code| code.to_string()), if .stderr.is_empty() { "" } else { "\n" })]
    Stopped {
        /// The exit code, if there was one.
        code: Option<i32>,
        /// What the code means.
        meaning: &'static str,
        /// What the emulator said.
        stderr: String,
    },
    /// A reply was damaged.
    #[error("reply {index} of the board is damaged: {error}")]
    Frame {
        /// Which reply, from 0.
        index: usize,
        /// What is wrong with it.
        error: FrameError,
    },
    /// The replies are whole, but not what was asked.
    #[error("the board's replies make no sense: {0}")]
    Replies(String),
    /// The board can't do the job.
    #[error("the board refused the job: {}", explain(.0))]
    Refused(Refusal),
    /// The caller's rows are not rows.
    #[error("{values} values are no whole number of rows of {features} features")]
    Shape {
        /// How many values there are.
        values: usize,
        /// How many belong to a row.
        features: usize,
    },
    /// Image and rows do not fit the board's memory.
    #[error("an image of {image_bytes} bytes and a row of {features} features do not fit the {room} bytes that the board has for them")]
    TooLarge {
        /// Bytes of the image.
        image_bytes: usize,
        /// Features of a row.
        features: usize,
        /// Bytes that the board has.
        room: usize,
    },
}

impl DeviceError {
    pub(crate) fn io(doing: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let doing = doing.into();
        |source| Self::Io { doing, source }
    }
}

fn explain(refusal: &Refusal) -> String {
    match refusal {
        Refusal::Job(error) => format!("{error} (host tools and firmware from the same checkout?)"),
        Refusal::Image(code) => format!("{} (error {code}; see `flowlet verify`)", error_text(*code)),
        Refusal::Features { image, rows } => {
            format!("the image takes {image} features, the rows have {rows}")
        }
        Refusal::Workspace { needed, available } => {
            format!("the image needs {needed} bytes of workspace, the board has {available}")
        }
        Refusal::Board => "its hardware was already in use".into(),
    }
}
