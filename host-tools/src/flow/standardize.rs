//! Centring and scaling.

use serde::{Deserialize, Serialize};

/// Per-input centring and scaling, features first, then context; `log_det = -sum(ln std)` over the features.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Standardize {
    /// Mean per input, in the input's unit.
    pub mean: Vec<f32>,
    /// Standard deviation per input, in the input's unit; finite and positive.
    pub std: Vec<f32>,
}
