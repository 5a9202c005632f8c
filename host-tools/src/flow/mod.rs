//! A flow's trained parameters: what training produces, and what export and quantization read.
//!
//! Convention everywhere: the *density direction* maps a reading `x` to the base variable `z`, and
//! `log p(x) = log p_base(z) + sum of log_det`, in nats and in the units of `x`. One file per transform; all
//! types have a JSON form, in which golden tests and importers write them.

mod base;
mod conditioner;
mod coupling;
mod elementwise_affine;
mod image;
mod linear;
mod logit;
pub(crate) mod lu;
mod marginal;
mod permutation;
mod reference;
mod soft_tail;
mod split;
mod standardize;
mod summary;

pub(crate) use base::ln_gamma;
pub use base::{Base, DiagonalNormal, Mixture, StudentT};
pub use conditioner::{
    Activation, Conditioner, Conv1d, ConvLayer, Dense, Mlp, Padding, ResidualBlock, ResidualNet,
};
pub use coupling::{Coupling, CouplingMap, Mask, ScaleMap, Spline, SplineParameters};
pub use elementwise_affine::ElementwiseAffine;
pub use image::ImageShape;
pub use linear::Linear;
pub use logit::Logit;
pub use marginal::{Marginal, MarginalKind, MarginalMap};
pub use permutation::Permutation;
pub use reference::{Image, Reference};
pub use soft_tail::SoftTail;
pub use split::Split;
pub use standardize::Standardize;

use serde::{Deserialize, Serialize};

/// A trained flow: transforms in density order, then a base distribution.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Flow {
    /// Number of scored inputs, the dimension of the flow.
    pub features: usize,
    /// Number of context inputs, which every conditioner sees and which are not scored; they stand behind the
    /// features in a row.
    #[serde(default)]
    pub contexts: usize,
    /// The chain, applied first to last in the density direction.
    pub transforms: Vec<Transform>,
    /// What the chain maps to.
    #[serde(default)]
    pub base: Base,
}

/// One invertible transform with its parameters.
///
/// Each acts on the active features: all of them, or, behind a [`Split`], those that it keeps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Transform {
    /// `z = (x - mean) / std`, per input, saturated at 32767 standard deviations. First in a chain, or absent.
    Standardize(Standardize),
    /// Identity within `knee`, logarithmic beyond it.
    SoftTail(SoftTail),
    /// `z[i] = x[order[i]]`.
    Permutation(Permutation),
    /// Scale and shift of each feature (ActNorm).
    ElementwiseAffine(ElementwiseAffine),
    /// Dense invertible map as triangular factors.
    Linear(Linear),
    /// One part of the vector decides how the other is mapped.
    Coupling(Coupling),
    /// A monotone map of each feature, quantile to normal.
    Marginal(Marginal),
    /// Log-odds of bounded features.
    Logit(Logit),
    /// Factors out features.
    Split(Split),
}

impl Transform {
    /// Its standard name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Transform::Standardize(_) => "standardize",
            Transform::SoftTail(_) => "soft_tail",
            Transform::Permutation(_) => "permutation",
            Transform::ElementwiseAffine(_) => "elementwise_affine",
            Transform::Linear(_) => "linear",
            Transform::Coupling(c) => c.name(),
            Transform::Marginal(_) => "marginal",
            Transform::Logit(_) => "logit",
            Transform::Split(_) => "split",
        }
    }

    /// How many of `active` features the next transform sees.
    #[must_use]
    pub fn keeps(&self, active: usize) -> usize {
        match self {
            Transform::Split(split) => split.keep,
            _ => active,
        }
    }

    /// Trained or fitted numbers in it; standardizers, tails and orders do not count.
    #[must_use]
    pub fn parameters(&self) -> usize {
        match self {
            Transform::ElementwiseAffine(t) => t.log_scale.len() + t.shift.len(),
            Transform::Linear(t) => t.lower.len() + t.shift.len(),
            Transform::Coupling(c) => c.conditioner.parameters(),
            Transform::Marginal(t) => t.parameters(),
            _ => 0,
        }
    }

    /// Multiply-accumulates of one pass.
    #[must_use]
    pub fn macs(&self) -> usize {
        match self {
            Transform::Linear(t) => t.lower.len(),
            Transform::Coupling(c) => c.conditioner.macs(),
            _ => 0,
        }
    }
}

impl Flow {
    /// Features and context inputs: the length of a row.
    #[must_use]
    pub fn inputs(&self) -> usize {
        self.features + self.contexts
    }

    /// Number of trained parameters: of all transforms and of the base.
    #[must_use]
    pub fn parameters(&self) -> usize {
        self.transforms.iter().map(Transform::parameters).sum::<usize>() + self.base.parameters()
    }

    /// Multiply-accumulates of one score.
    #[must_use]
    pub fn macs(&self) -> usize {
        self.transforms.iter().map(Transform::macs).sum::<usize>() + self.base.macs()
    }

    /// The names of its transforms in order, repetitions folded: `standardize, (linear, affine_coupling) x4`.
    #[must_use]
    pub fn summary(&self) -> String {
        summary::summary(&self.transforms.iter().map(Transform::name).collect::<Vec<_>>())
    }

    /// Its couplings, in density order.
    pub fn couplings(&self) -> impl Iterator<Item = &Coupling> {
        self.transforms.iter().filter_map(|t| match t {
            Transform::Coupling(c) => Some(c),
            _ => None,
        })
    }

    /// The transforms, each with the number of features that it acts on.
    pub fn active_transforms(&self) -> impl Iterator<Item = (&Transform, usize)> {
        let mut active = self.features;
        self.transforms.iter().map(move |t| {
            let seen = active;
            active = t.keeps(active);
            (t, seen)
        })
    }
}
