//! Activation functions of the conditioners' hidden units, with their derivatives.
//!
//! | function | definition | in fixed point |
//! |---|---|---|
//! | ReLU | `max(x, 0)` | exact up to the final rounding |
//! | leaky ReLU | `x` for `x >= 0`, else `0.01 x` | slope 41943 / 2^22, off by 3e-9 |
//! | tanh | `tanh(x)` | table, within 8e-5 after rounding to Q0.15 |
//! | SiLU | `x / (1 + e^-x)` (Elfwing et al. 2018) | `x (1 + tanh(x/2)) / 2` |
//!
//! ReLU and leaky ReLU are positively homogeneous, so that a unit's scale folds into the next layer's
//! column; tanh and SiLU are not, and such a layer brings its accumulators back to Q15.16 first.

/// Slope of the leaky ReLU below zero.
pub const LEAKY_SLOPE: f32 = 0.01;

/// What a hidden unit does with its sum. The numbers are those of the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(u8)]
pub enum Activation {
    /// `max(x, 0)`.
    Relu = 1,
    /// `x`, or [`LEAKY_SLOPE`] times it below zero.
    LeakyRelu = 2,
    /// Hyperbolic tangent.
    Tanh = 3,
    /// `x / (1 + e^-x)`, also called swish.
    Silu = 4,
    /// `x` itself: of an output layer, and where a residual net's trunk meets its last layer.
    Linear = 5,
}

impl Activation {
    /// The activation of a number in the image; [`Activation::Linear`] included.
    #[must_use]
    pub fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            1 => Activation::Relu,
            2 => Activation::LeakyRelu,
            3 => Activation::Tanh,
            4 => Activation::Silu,
            5 => Activation::Linear,
            _ => return None,
        })
    }

    /// Whether `f(a x) = a f(x)` for every `a > 0`, so that scales pass through it.
    #[must_use]
    pub fn is_homogeneous(self) -> bool {
        matches!(self, Activation::Relu | Activation::LeakyRelu | Activation::Linear)
    }

    /// Its usual name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Activation::Relu => "relu",
            Activation::LeakyRelu => "leaky-relu",
            Activation::Tanh => "tanh",
            Activation::Silu => "silu",
            Activation::Linear => "linear",
        }
    }
}
