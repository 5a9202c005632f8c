//! Couplings: one part of the vector decides how the other is mapped.

use super::{Conditioner, Mlp};
use serde::{Deserialize, Serialize};

/// A coupling of the active features.
///
/// The conditioner sees `clamp(x, -input_limit, input_limit)` of the conditioning features, in their order,
/// then the context values likewise, and puts out the parameters of the transformed features.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Coupling {
    /// Which features condition.
    pub mask: Mask,
    /// What happens to the others.
    pub map: CouplingMap,
    /// Bound at which conditioner inputs saturate, in standard deviations; positive.
    pub input_limit: f32,
    /// The net.
    pub conditioner: Conditioner,
}

/// Per active feature whether it conditions (`true`) or is transformed (`false`); some of each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mask(pub Vec<bool>);

/// What a coupling does to its transformed features.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum CouplingMap {
    /// NICE (Dinh et al. 2015): `z = x + shift`; outputs `[shift (m)]`.
    Additive,
    /// RealNVP (Dinh et al. 2017): `z = x exp(log_scale) + shift`; outputs `[shift (m), raw (m)]`.
    Affine {
        /// From `raw` to `log_scale`.
        scale: ScaleMap,
    },
    /// Rational-quadratic spline (Durkan et al. 2019); outputs per transformed feature
    /// `[widths (bins), heights (bins), derivatives (bins - 1)]`, raw.
    Spline(Spline),
}

/// How the log-scale of an affine coupling is bounded.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ScaleMap {
    /// `clamp tanh(raw / clamp)`.
    Tanh {
        /// Bound of `|log_scale|`, in nats; positive.
        clamp: f32,
    },
    /// `raw` cut off at `-clamp` and `clamp`.
    Hard {
        /// Bound of `|log_scale|`, in nats; positive.
        clamp: f32,
    },
    /// `raw / (1 + |raw| / clamp)` (zuko).
    SoftSign {
        /// Bound of `|log_scale|`, in nats; positive.
        clamp: f32,
    },
    /// `ln(sigmoid(raw + offset) + floor)` (nflows: 2 and 1e-3; normflows: 2 and 0).
    Sigmoid {
        /// Added to `raw`.
        offset: f32,
        /// Smallest scale; at least 0.
        floor: f32,
    },
}

/// Shape of a rational-quadratic spline with linear tails: the identity outside `-bound..=bound`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spline {
    /// Number of bins.
    pub bins: usize,
    /// Half-width of the box.
    pub bound: f32,
    /// Least width and height of a bin, as a share of the box.
    pub min_bin: f32,
    /// Least derivative at a knot.
    pub min_derivative: f32,
    /// What raw parameters mean.
    pub parameters: SplineParameters,
}

/// From a net's outputs to bins and derivatives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SplineParameters {
    /// Bins: `min_bin + (1 - bins min_bin) softmax(raw)`; derivatives: `min_derivative + softplus(raw)` (nflows,
    /// normflows).
    Softplus,
    /// Bins: softmax of `raw / (1 + |2 raw / ln 1e-3|)`; derivatives: exp of `raw / (1 + |raw / ln 1e-3|)` (zuko).
    SoftClipped,
}

impl Mask {
    /// The first half (the smaller one, if `n` is odd) conditions, or the rest does.
    #[must_use]
    pub fn half(n: usize, first: bool) -> Self {
        Self::split(n, n / 2, first)
    }

    /// The first `at` features condition, or the rest does.
    #[must_use]
    pub fn split(n: usize, at: usize, first: bool) -> Self {
        Mask((0..n).map(|i| (i < at) == first).collect())
    }

    /// Every second feature conditions, from index 0 on if `even` (checkerboard in one dimension).
    #[must_use]
    pub fn alternating(n: usize, even: bool) -> Self {
        Mask((0..n).map(|i| (i % 2 == 0) == even).collect())
    }

    /// Indices of the conditioning features, ascending.
    #[must_use]
    pub fn given(&self) -> Vec<usize> {
        (0..self.0.len()).filter(|&i| self.0[i]).collect()
    }

    /// Indices of the transformed features, ascending.
    #[must_use]
    pub fn moved(&self) -> Vec<usize> {
        (0..self.0.len()).filter(|&i| !self.0[i]).collect()
    }

    /// `Some((split, first))` if the conditioning features are the first `split` ones, or all but them.
    #[must_use]
    pub fn as_split(&self) -> Option<(usize, bool)> {
        let first = *self.0.first()?;
        let at = self.0.iter().position(|&c| c != first)?;
        self.0[at..].iter().all(|&c| c != first).then_some((at, first))
    }
}

impl ScaleMap {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            ScaleMap::Tanh { .. } => "tanh",
            ScaleMap::Hard { .. } => "hard",
            ScaleMap::SoftSign { .. } => "soft_sign",
            ScaleMap::Sigmoid { .. } => "sigmoid",
        }
    }
}

impl CouplingMap {
    /// What the image divides raw log-scales by, so that the device need not: the clamp of `clamp f(raw)`.
    #[must_use]
    pub fn raw_unit(&self) -> f32 {
        match self {
            CouplingMap::Affine { scale: ScaleMap::Tanh { clamp } | ScaleMap::SoftSign { clamp } } => *clamp,
            _ => 1.0,
        }
    }

    /// Outputs of the conditioner per transformed feature.
    #[must_use]
    pub fn outputs_per_feature(&self) -> usize {
        match self {
            CouplingMap::Additive => 1,
            CouplingMap::Affine { .. } => 2,
            CouplingMap::Spline(s) => 3 * s.bins - 1,
        }
    }
}

impl Coupling {
    /// An affine coupling with a tanh clamp and a perceptron.
    #[must_use]
    pub fn affine(mask: Mask, clamp: f32, input_limit: f32, net: Mlp) -> Self {
        let map = CouplingMap::Affine { scale: ScaleMap::Tanh { clamp } };
        Coupling { mask, map, input_limit, conditioner: Conditioner::Mlp(net) }
    }

    /// Its standard name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self.map {
            CouplingMap::Additive => "additive_coupling",
            CouplingMap::Affine { .. } => "affine_coupling",
            CouplingMap::Spline(_) => "spline_coupling",
        }
    }
}
