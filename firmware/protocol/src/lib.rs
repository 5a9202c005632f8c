//! What host and board say to each other when a board scores rows.
//!
//! The host places one [`job`] in the board's memory: an image and the rows to score. The board
//! answers over its serial line with [`Message`]s, each in a [`frame`] of its own. Host and
//! firmware both depend on this crate, so the two cannot disagree about a byte.
//!
//! ```
//! use flowlet_protocol::{frame, Message, Outcome};
//!
//! let message = Message::Row { index: 7, outcome: Outcome::Failed(3) };
//! let sent = frame::encode(&message).unwrap();
//! assert_eq!(sent.last(), Some(&0), "a zero byte ends a frame and is nowhere else");
//! let mut received = sent[..sent.len() - 1].to_vec();
//! assert_eq!(frame::decode(&mut received), Ok(message));
//! ```
#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic"))]

mod error_code;
pub mod frame;
pub mod inquiry;
pub mod job;
pub mod layers;
pub mod streams;

use serde::{Deserialize, Serialize};

pub use error_code::{error_code, error_text};
pub use job::JobError;

/// One reply of the board.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// The job can't be done; nothing follows.
    Refused(Refusal),
    /// The image was loaded and the job understood; the rows follow.
    Loaded {
        /// Features of a row.
        features: u32,
        /// Rows in the job.
        rows: u32,
        /// Bytes of workspace that the image needs.
        workspace_bytes: u32,
    },
    /// The outcome of one row.
    Row {
        /// Which row of the job, from 0.
        index: u32,
        /// What came of it.
        outcome: Outcome,
    },
    /// Every row was answered; nothing follows.
    Finished(Measurements),
    /// Some of the words that [`inquiry::inquire`] gives for a row.
    Words {
        /// Which row of the job, from 0.
        row: u32,
        /// Words of the row that went before.
        at: u32,
        /// Whether these are the row's last ones.
        is_last: bool,
        /// How many there are.
        count: u8,
        /// The words; zeros behind them.
        words: [u32; WORDS_PER_MESSAGE],
    },
    /// What a part of a flow costs.
    Part {
        /// Which part.
        part: Part,
        /// How often it ran.
        repeats: u32,
        /// Ticks of the timed loop.
        ticks: u64,
        /// Ticks of the same loop with the part left out.
        overhead_ticks: u64,
    },
}

/// A part of a flow that is measured alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Part {
    /// From readings to standardized values.
    Standardizer,
    /// A step of the chain.
    Transform {
        /// Which step, from 0.
        index: u16,
    },
    /// A dense layer of a conditioner.
    Layer {
        /// Which step of the chain the conditioner is in, from 0.
        transform: u16,
        /// Inputs.
        inputs: u16,
        /// Outputs.
        outputs: u16,
        /// Whether it is the last one.
        is_output: bool,
    },
    /// The log-density of the base.
    Base,
    /// A function of [`FUNCTION_ELEMENTS`] numbers, one by one, from an array into the same array.
    Function(Function),
}

/// Numbers that one run of a [`Part::Function`] goes over.
pub const FUNCTION_ELEMENTS: usize = 32;

/// An elementary function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Function {
    /// `e^x`.
    Exp,
    /// `2^x`, fixed point only.
    Exp2,
    /// Hyperbolic tangent.
    Tanh,
    /// Natural logarithm.
    Ln,
    /// `x sigmoid(x)`, to activations.
    Silu,
}

/// Words in one [`Message::Words`].
pub const WORDS_PER_MESSAGE: usize = 8;

/// What came of one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// The row has a score.
    Scored(ScoreBits),
    /// The scorer refused the row, with the [number](error_code) of its error.
    Failed(u8),
}

/// A score, its floats as bits so that none is rounded, quieted or printed on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScoreBits {
    /// Bits of the log-likelihood in nats.
    pub log_prob: u32,
    /// Bits of the p-value.
    pub p_value: u32,
    /// Bits of the calibrated statistic.
    pub score: u32,
    /// Whether the row is an alarm.
    pub alarm: bool,
}

/// What the board measured while it scored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measurements {
    /// Scores inside the timed loop; 0 if no row could be scored.
    pub timed_scores: u32,
    /// Ticks of the timed loop.
    pub ticks: u64,
    /// Ticks of the same loop with the score left out.
    pub overhead_ticks: u64,
    /// Ticks in a second of the board's time.
    pub clock_hz: u32,
    /// The deepest stack that loading and scoring reached, in bytes below their caller.
    pub stack_bytes: u32,
}

impl Measurements {
    /// Instructions in one tick of an emulated board, where an instruction takes one nanosecond.
    #[must_use]
    pub fn instructions_per_tick(&self) -> f64 {
        1e9 / f64::from(self.clock_hz.max(1))
    }
}

/// Why a board can't do a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// The job is malformed.
    Job(JobError),
    /// The image was rejected, with the [number](error_code) of the error.
    Image(u8),
    /// The rows have another number of features than the image.
    Features {
        /// Features that the image expects.
        image: u32,
        /// Features of a row in the job.
        rows: u32,
    },
    /// The image needs a larger workspace than the board has.
    Workspace {
        /// Bytes needed.
        needed: u32,
        /// Bytes that the board has.
        available: u32,
    },
    /// The firmware could not start (it found its own hardware taken).
    Board,
}
