//! The `.flow` image: one contiguous, position-independent, little-endian file, checked once and
//! used in place from flash. `docs/image-format.md` describes every byte.
//!
//! ```text
//!    0   magic "FLOW", version, length, CRC-32 of all that follows        (layout)
//!   32   descriptor: postcard records, read front to back                 (descriptor)
//!   ..   zeros to a multiple of 16
//!   ..   words: standardizer, chains, calibration, self-test; u32 each    (model, check)
//! ```
//!
//! What no score needs is checked when it is asked for, not at the door: see `asked.rs`.

mod asked;
mod check;
pub mod descriptor;
pub mod layout;
mod model;
pub(crate) mod record;

pub(crate) use asked::Asked;
pub use layout::{workspace_bytes, workspace_words, Aligned};
pub use model::{Expert, Model};
