//! How likely is this sensor reading? Exact log-likelihoods of small normalizing flows on a
//! microcontroller: `no_std`, no heap, fixed buffers, f32 or fixed point.
//!
//! An image made by the `flowlet` host tool holds a trained flow, its calibration and its
//! self-test. [`Model::from_bytes`] checks it once and borrows it from flash; a [`Scorer`] then turns
//! each reading into a [`Score`]: the log-density in nats, a calibrated p-value, the statistic and
//! the alarm.
//!
//! ```
//! # fn demo(image: &[u8]) -> Result<(), flowlet::Error> {
//! let model = flowlet::Model::from_bytes(image)?;
//! let mut workspace = [0u32; 256];
//! let mut scorer = flowlet::Scorer::new(&model, &mut workspace)?;
//! let score = scorer.score(&[0.1, 0.2, 0.3])?;
//! if score.alarm { /* raise the pin */ }
//! # Ok(())
//! # }
//! ```
//!
//! [`Scorer::statistics`] gives every statistic of a reading from one pass, an [`Explainer`] says which
//! features made it unlikely and where the nearest normal reading lies, and a [`Sampler`] draws readings.
//!
//! The same code runs on the host and on the chip and gives the same bits on both.
//!
//! Where things are: [`image`] is the file and its one check, [`transform`] one invertible transform
//! per file, [`conditioner`] the nets inside couplings, [`arithmetic`] the two sets of numbers, [`base`] the
//! distribution that a flow maps to, and [`stream`] the way from a sensor's samples to an alarm.
#![no_std]
#![deny(missing_docs)]

#[cfg(target_endian = "big")]
compile_error!("images are little-endian and used in place: big-endian targets are not supported");

pub mod arithmetic;
pub mod base;
pub mod calibration;
pub mod conditioner;
mod error;
mod explain;
pub mod image;
mod pass;
mod sample;
mod score;
pub mod stream;
pub mod support;
pub mod transform;

pub use error::{Error, Fault, Part};
pub use explain::{explain_workspace_words, Explainer, Explanation};
pub use image::{workspace_bytes, workspace_words, Model};
pub use sample::Sampler;
pub use score::{version_tolerance, Graded, Score, Scorer, Statistics};
pub use support::{
    Capabilities, Capability, Everything, FixedAffine, FixedAuto, FixedEverything, FixedTransforms,
    FloatAffine, FloatEverything, I16Affine, I8Affine, Support,
};
