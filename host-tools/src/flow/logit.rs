//! Log-odds of bounded features.

use serde::{Deserialize, Serialize};

/// `z = ln(x / (1 - x))` for `x` in `margin..=1 - margin`, continued linearly with the slope of the edge, so
/// that it is invertible on all reals and has a continuous derivative. After a standardizer that brings the
/// range of bounded data into the margins (Dinh et al. 2017, section 4.1).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Logit {
    /// Distance of the edges from 0 and 1; between 0 and 0.5.
    pub margin: f32,
}
