//! A flow's trained parameters: what training produces, and what export and quantization read.
//!
//! Convention everywhere: the *density direction* maps a reading `x` to the base variable `z`, and
//! `log p(x) = log N(z; 0, I) + sum of log_det`, in nats and in the units of `x`.

mod reference;

pub use reference::{Image, Reference};

/// A trained flow over `features` inputs: transforms in density order, then a standard normal base.
#[derive(Clone, Debug, PartialEq)]
pub struct Flow {
    /// Number of inputs, the dimension of every transform.
    pub features: usize,
    /// The chain, applied first to last in the density direction.
    pub transforms: Vec<Transform>,
}

/// One invertible transform with its parameters.
#[derive(Clone, Debug, PartialEq)]
pub enum Transform {
    /// `z = (x - mean) / std`, per feature, saturated at 32767 standard deviations.
    Standardize(Standardize),
    /// Identity within `knee`, logarithmic beyond it.
    SoftTail(SoftTail),
    /// `z[i] = x[order[i]]`.
    Permutation(Permutation),
    /// One part of the vector scales and shifts the other.
    AffineCoupling(AffineCoupling),
}

/// Per-feature centring and scaling; `log_det = -sum(ln std)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Standardize {
    /// Mean per feature, in the feature's unit.
    pub mean: Vec<f32>,
    /// Standard deviation per feature, in the feature's unit; finite and positive.
    pub std: Vec<f32>,
}

/// `z = x` for `|x| <= knee`, else `sign(x) (knee + ln(1 + |x| - knee))`: continuous with its first
/// derivative, so that a far-out reading costs log-normal tails instead of overflowing;
/// `log_det = -sum(max(0, |z| - knee))`.
#[derive(Clone, Debug, PartialEq)]
pub struct SoftTail {
    /// Where the logarithm starts, in standard deviations; positive.
    pub knee: f32,
}

/// A fixed reordering of the features; `log_det = 0`.
#[derive(Clone, Debug, PartialEq)]
pub struct Permutation {
    /// `z[i] = x[order[i]]`; each index once.
    pub order: Vec<usize>,
}

/// Affine coupling (RealNVP, Dinh et al. 2017).
///
/// The vector is cut at `split`: with `condition_on_first` the part `x[..split]` conditions and
/// `x[split..]` is transformed, else the other way round. The conditioner sees
/// `clamp(x_c, -input_limit, input_limit)` and puts out `[shift (m), raw_scale (m)]` for the `m`
/// transformed features: `log_scale = clamp * tanh(raw_scale / clamp)`,
/// `z_t = x_t * exp(log_scale) + shift`, `log_det = sum(log_scale)`.
#[derive(Clone, Debug, PartialEq)]
pub struct AffineCoupling {
    /// Where the vector is cut; `0 < split < features`.
    pub split: usize,
    /// Whether the first part conditions the second.
    pub condition_on_first: bool,
    /// Bound of `|log_scale|` (soft clamp), in nats; positive.
    pub clamp: f32,
    /// Bound at which conditioner inputs saturate, in standard deviations; positive.
    pub input_limit: f32,
    /// The net.
    pub conditioner: Mlp,
}

/// A multi-layer perceptron: ReLU after every layer but the last.
#[derive(Clone, Debug, PartialEq)]
pub struct Mlp {
    /// Its dense layers, first to last; at least one.
    pub layers: Vec<Dense>,
}

/// `y = W x + b`.
#[derive(Clone, Debug, PartialEq)]
pub struct Dense {
    /// Number of inputs.
    pub inputs: usize,
    /// Number of outputs.
    pub outputs: usize,
    /// `W`, row-major, `outputs x inputs`.
    pub weights: Vec<f32>,
    /// `b`, one per output.
    pub bias: Vec<f32>,
}

impl AffineCoupling {
    /// How many features condition and how many are transformed, of `features` in all.
    #[must_use]
    pub fn parts(&self, features: usize) -> (usize, usize) {
        if self.condition_on_first {
            (self.split, features - self.split)
        } else {
            (features - self.split, self.split)
        }
    }
}

impl Flow {
    /// Number of trained parameters: weights and biases of all conditioners.
    #[must_use]
    pub fn parameters(&self) -> usize {
        self.dense_layers().map(|d| d.weights.len() + d.bias.len()).sum()
    }

    /// Multiply-accumulates of one score: weights of all conditioners.
    #[must_use]
    pub fn macs(&self) -> usize {
        self.dense_layers().map(|d| d.weights.len()).sum()
    }

    /// Its couplings, in density order.
    pub fn couplings(&self) -> impl Iterator<Item = &AffineCoupling> {
        self.transforms.iter().filter_map(|t| match t {
            Transform::AffineCoupling(c) => Some(c),
            _ => None,
        })
    }

    fn dense_layers(&self) -> impl Iterator<Item = &Dense> {
        self.couplings().flat_map(|c| &c.conditioner.layers)
    }
}
