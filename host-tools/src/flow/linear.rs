//! Dense invertible linear maps.

use serde::{Deserialize, Serialize};

/// `z = L (U x) + shift` for `n` active features, `L` unit lower triangular and `U` upper triangular;
/// `log_det = sum(ln |U[i][i]|)`. With a permutation beside it, any invertible matrix (Kingma and Dhariwal 2018,
/// "Glow", section 3.2; nflows' `LULinear`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Linear {
    /// `L`, row-major, `n x n`; only what is strictly below the diagonal is read.
    pub lower: Vec<f32>,
    /// `U`, row-major, `n x n`; only the diagonal (no zero on it) and what is above is read.
    pub upper: Vec<f32>,
    /// Per output.
    pub shift: Vec<f32>,
}
