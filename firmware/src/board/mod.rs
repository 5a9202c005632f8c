//! The board that the binary is built for.
//!
//! Every board offers the same names: `NAME`, `INSTRUCTIONS_PER_TICK`, `Board` with `Board::take`,
//! `Uart`, `AlarmOutput`, and `exit`.

#[cfg(feature = "mps2-an386")]
mod mps2_an386;
#[cfg(feature = "mps2-an386")]
pub use mps2_an386::*;

#[cfg(not(feature = "mps2-an386"))]
compile_error!("choose a board: --features mps2-an386");
