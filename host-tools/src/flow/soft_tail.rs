//! Logarithmic tails.

use serde::{Deserialize, Serialize};

/// `z = x` for `|x| <= knee`, else `sign(x) (knee + ln(1 + |x| - knee))`: continuous with its first
/// derivative, so that a far-out reading costs log-normal tails instead of overflowing;
/// `log_det = -sum(max(0, |z| - knee))`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SoftTail {
    /// Where the logarithm starts, in standard deviations; positive.
    pub knee: f32,
}
