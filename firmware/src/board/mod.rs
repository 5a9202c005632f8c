//! The board that the binary is built for.
//!
//! Each board's file names its memory, its clock, its serial line and its alarm output; the rest is
//! the same everywhere.
#![allow(unsafe_code, reason = "memory that the host fills")]

#[cfg(not(feature = "microbit"))]
mod cmsdk;
mod ending;
#[cfg(all(feature = "live", feature = "mps2-an386"))]
pub mod interrupts;
#[cfg(all(feature = "live", feature = "mps2-an386"))]
pub mod mps2_live;
mod register;

#[cfg(feature = "microbit")]
#[path = "microbit.rs"]
mod chosen;
#[cfg(feature = "mps2-an385")]
#[path = "mps2_an385.rs"]
mod chosen;
#[cfg(feature = "mps2-an386")]
#[path = "mps2_an386.rs"]
mod chosen;
#[cfg(feature = "mps2-an500")]
#[path = "mps2_an500.rs"]
mod chosen;
#[cfg(feature = "mps2-an505")]
#[path = "mps2_an505.rs"]
mod chosen;
#[cfg(feature = "mps3-an547")]
#[path = "mps3_an547.rs"]
mod chosen;

#[cfg(not(any(
    feature = "microbit",
    feature = "mps2-an385",
    feature = "mps2-an386",
    feature = "mps2-an500",
    feature = "mps2-an505",
    feature = "mps3-an547",
)))]
compile_error!("choose a board: --features mps2-an386, or another of those in Cargo.toml");

pub use chosen::{AlarmOutput, Uart, CLOCK_HZ, NAME, WORKSPACE_WORDS};
pub use ending::exit;

use crate::stopwatch::Stopwatch;

/// What the board has.
pub struct Board {
    /// The serial line to the host.
    pub uart: Uart,
    /// The alarm output.
    pub alarm: AlarmOutput,
    /// The clock that counts instructions.
    pub stopwatch: Stopwatch,
    /// The memory in which the host places its job.
    pub job: &'static [u8],
}

impl Board {
    /// The board, once.
    pub fn take() -> Option<Self> {
        let core = cortex_m::Peripherals::take()?;
        // SAFETY: each board's file gives plain memory, always mapped; nothing of the program is linked
        // into it (its `memory.x` leaves it out) and nothing writes to it, so it is constant while we run.
        let job = unsafe { core::slice::from_raw_parts(chosen::JOB_START as *const u8, chosen::JOB_BYTES) };
        Some(Self { uart: Uart::new(), alarm: AlarmOutput::new(), stopwatch: Stopwatch::new(core.SYST), job })
    }

    /// The image that the host placed in memory in the place of a job: as many bytes as it states itself, none if they
    /// are more than there are. Nothing about it is checked.
    pub fn image(&self) -> &'static [u8] {
        let length =
            self.job.get(8..).and_then(|rest| rest.first_chunk::<4>()).copied().map(u32::from_le_bytes);
        self.job.get(..length.unwrap_or(0) as usize).unwrap_or_default()
    }
}
