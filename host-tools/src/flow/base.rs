//! Base distributions.

mod entropy;

pub(crate) use entropy::ln_gamma;

use super::ElementwiseAffine;
use serde::{Deserialize, Serialize};

/// What a chain maps normal readings to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Base {
    /// Independent standard normals.
    #[default]
    StandardNormal,
    /// Independent normals.
    DiagonalNormal(DiagonalNormal),
    /// Independent Student-t distributions.
    StudentT(StudentT),
    /// A mixture of diagonal normals.
    Mixture(Mixture),
}

/// Independent normals, one per feature.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DiagonalNormal {
    /// Per feature.
    pub mean: Vec<f32>,
    /// Logarithm of the standard deviation per feature.
    pub log_std: Vec<f32>,
}

/// Independent Student-t distributions, one per feature: tails heavier than normal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StudentT {
    /// Degrees of freedom per feature, positive.
    pub degrees: Vec<f32>,
    /// Per feature.
    pub location: Vec<f32>,
    /// Logarithm of the scale per feature.
    pub log_scale: Vec<f32>,
}

/// A mixture of `K` diagonal normals over `d` features.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mixture {
    /// Logarithms of the weights, `K`; up to a common constant, which evaluation and export take out.
    pub log_weights: Vec<f32>,
    /// `K x d`, row-major.
    pub means: Vec<f32>,
    /// Logarithms of the standard deviations, `K x d`, row-major.
    pub log_std: Vec<f32>,
}

impl DiagonalNormal {
    /// The map onto the standard normal: behind it the density is the same.
    #[must_use]
    pub fn standardizing(&self) -> ElementwiseAffine {
        let shift = |(&mean, &log_std): (&f32, &f32)| (-f64::from(mean) * (-f64::from(log_std)).exp()) as f32;
        ElementwiseAffine {
            log_scale: self.log_std.iter().map(|s| -s).collect(),
            shift: self.mean.iter().zip(&self.log_std).map(shift).collect(),
        }
    }
}

impl Mixture {
    /// Number of components.
    #[must_use]
    pub fn components(&self) -> usize {
        self.log_weights.len()
    }

    /// Mean and logarithm of the standard deviation of each feature of a component.
    pub fn component(&self, index: usize) -> (&[f32], &[f32]) {
        let features = self.means.len() / self.components().max(1);
        let own = index * features..(index + 1) * features;
        (&self.means[own.clone()], &self.log_std[own])
    }
}

impl Base {
    /// Its standard name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Base::StandardNormal => "standard_normal",
            Base::DiagonalNormal(_) => "diagonal_normal",
            Base::StudentT(_) => "student_t",
            Base::Mixture(_) => "mixture",
        }
    }

    /// Number of trained parameters.
    #[must_use]
    pub fn parameters(&self) -> usize {
        match self {
            Base::StandardNormal => 0,
            Base::DiagonalNormal(b) => 2 * b.mean.len(),
            Base::StudentT(b) => 3 * b.location.len(),
            Base::Mixture(b) => b.log_weights.len() + 2 * b.means.len(),
        }
    }

    /// Multiply-accumulates of one evaluation.
    #[must_use]
    pub fn macs(&self) -> usize {
        match self {
            Base::StandardNormal | Base::DiagonalNormal(_) | Base::StudentT(_) => 0,
            Base::Mixture(b) => 2 * b.means.len(),
        }
    }
}
