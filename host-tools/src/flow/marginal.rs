//! Monotone maps of single features.

use serde::{Deserialize, Serialize};

/// One monotone map per feature, as a rule from quantiles of the data to those of a standard normal;
/// `log_det` is the sum of the logarithms of the slopes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Marginal {
    /// What joins the knots.
    pub form: MarginalKind,
    /// One per active feature, all with as many knots.
    pub features: Vec<MarginalMap>,
}

/// What joins the knots of a [`MarginalMap`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MarginalKind {
    /// Straight lines; `slopes` are those of the tails: left, right.
    Linear,
    /// Rational quadratics (Gregory and Delbourgo 1982); `slopes` has one per knot, and the tails go on with
    /// those of the first and the last.
    RationalQuadratic,
}

/// A monotone map through knots.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MarginalMap {
    /// Where the knots stand, ascending.
    pub x: Vec<f32>,
    /// Where they go, ascending.
    pub y: Vec<f32>,
    /// Positive; see [`MarginalKind`].
    pub slopes: Vec<f32>,
}

impl Marginal {
    /// Fitted numbers.
    #[must_use]
    pub fn parameters(&self) -> usize {
        self.features.iter().map(|m| m.x.len() + m.y.len() + m.slopes.len()).sum()
    }
}
