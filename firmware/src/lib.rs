//! What the firmware binaries share: the board, the conversation with the host, a stack gauge and a stopwatch.
//!
//! A board is one file in `board/`, one `memory.x` in `boards/`, and one cargo feature. All
//! `unsafe` code of the firmware is in `board/` and in [`stack`].
#![no_std]

pub mod board;
pub mod conversation;
pub mod minimal;
#[cfg(all(feature = "live", feature = "mps2-an386"))]
pub mod sampling;
pub mod stack;
pub mod stopwatch;

/// Codes with which a binary leaves, for the host to tell what went wrong. Small numbers are
/// left to emulators and debuggers.
pub mod exit_code {
    /// All was answered; also when the answer is a refusal.
    pub const DONE: i32 = 0;
    /// The binary could not do its work and said why.
    pub const FAILED: i32 = 10;
    /// A panic: a defect of the firmware.
    pub const PANIC: i32 = 101;
    /// A hard fault: a defect, or a stack that ran over.
    pub const HARD_FAULT: i32 = 102;
    /// An exception or interrupt that nothing handles.
    pub const EXCEPTION: i32 = 103;
}
