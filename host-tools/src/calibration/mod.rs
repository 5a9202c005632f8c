//! From the statistics of held-out normal readings to p-values and thresholds, and how far those can be trusted.

pub mod drift;
pub mod pareto;
mod rate;
mod tail;

pub use rate::FalseAlarms;
pub use tail::{RateInterval, Tail, CONFIDENCE};
