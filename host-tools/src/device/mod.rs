//! The device side, seen from the host: set-up, firmware builds, the emulator, simulation.
//!
//! ```no_run
//! use flowlet_tools::device::{simulate, Board};
//!
//! let image = std::fs::read("model.flow")?;
//! let rows = [0.1, 0.2, 0.3, 1.1, 1.2, 1.3];
//! let simulation = simulate(&image, &rows, 3, Board::Mps2An386)?;
//! println!("{} rows, {:?} instructions each", simulation.rows.len(), simulation.instructions_per_score);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod audit;
mod board;
mod c_library;
mod c_tools;
mod debian;
mod error;
mod firmware;
mod inquiry;
mod process;
mod qemu;
mod replies;
mod simulate;
pub mod skips;
pub mod toolchain;

pub use audit::{is_copy, is_f64, is_panic, is_soft_float};
pub use board::{Board, UnknownBoard};
pub use c_library::{arm_gcc, CLibrary};
pub use c_tools::{arm_tool, cmake};
pub use error::DeviceError;
pub use firmware::{code_bytes, static_bytes, symbols, Binary, Firmware, Live, Minimal, Source};
pub use flowlet_protocol::layers::{Kind as LayerKind, WIDEST as WIDEST_LAYER};
pub use flowlet_protocol::{error_code, error_text, JobError, Refusal, ScoreBits};
pub use inquiry::{layer_digests, stream_digests, Inquirer, Inquiry};
pub use qemu::{Finished, Qemu};
pub(crate) use replies::{loaded, unexpected, Messages};
pub(crate) use simulate::timed_job;
pub use simulate::{simulate, Row, Simulation, Simulator};
pub use toolchain::{browser, Install, Missing, Toolchain};
