//! The numbers: f32 and fixed point behind one trait, so that each transform is written once.
//!
//! Both are always compiled. The image says which one it wants; the choice is made once per score.

pub mod activation;
pub mod base;
pub mod dense;
pub mod fixed;
pub mod float;
pub mod logit;
pub mod marginal;
pub mod spline;
pub mod statistics;

use crate::support::Capabilities;
use activation::Activation;
use base::BaseArithmetic;
use bytemuck::Pod;
use dense::Dense;
use logit::LogitArithmetic;
use marginal::MarginalArithmetic;

use statistics::StatisticsArithmetic;

pub use fixed::{Fixed, FixedWith};
#[cfg(feature = "fast-math")]
pub use float::FastMath;
pub use float::{Elementary, Float, FloatWith, Libm, Tables};
pub use spline::SplineArithmetic;

/// Readings saturate at this many standard deviations, in every arithmetic: where one feature lies farther out,
/// the whole reading moves back along its ray until that feature is at the limit.
///
/// It is the range of the fixed-point trunk (Q15.16); f32 shares it so that both agree on wild inputs.
pub const READING_LIMIT: f32 = 32767.0;

/// A standardizer's words of each of so many inputs, 511 at most: the compiler knows then that no product wraps, and divides
/// nothing. None of them if they are not all there, which the check excludes.
#[inline(always)]
fn parameters_of_each<const WORDS: usize>(parameters: &[u32], count: usize) -> &[[u32; WORDS]] {
    parameters.get(..WORDS * (count & 0x1ff)).unwrap_or_default().as_chunks().0
}

/// A set of numbers that a flow can be evaluated in.
///
/// `Value` flows through the chain, `Log` sums log-determinants and log-densities, `Activation` is
/// what conditioner nets pass from layer to layer. All functions are total: they saturate, and
/// neither panic nor wrap.
pub trait Arithmetic:
    Copy
    + 'static
    + BaseArithmetic<<Self as Arithmetic>::Value, <Self as Arithmetic>::Log>
    + LogitArithmetic<<Self as Arithmetic>::Value, <Self as Arithmetic>::Log>
    + MarginalArithmetic<<Self as Arithmetic>::Value, <Self as Arithmetic>::Log>
    + SplineArithmetic<<Self as Arithmetic>::Value, <Self as Arithmetic>::Log>
    + StatisticsArithmetic<<Self as Arithmetic>::Log>
{
    /// The trunk: f32, or Q15.16 in i32.
    type Value: Pod + PartialOrd + core::fmt::Debug;
    /// Log-densities in nats: f32, or Q47.16 in i64.
    type Log: Copy + PartialOrd + core::fmt::Debug;
    /// Activations of conditioners: f32 or i16.
    type Activation: Pod;

    /// What else flows in these numbers may need: the code of what is not here is not linked.
    const SUPPORTS: Capabilities;

    /// Zero.
    const ZERO: Self::Value;
    /// The sum's neutral element.
    const ZERO_LOG: Self::Log;
    /// 32-bit words that one feature of the standardizer takes in the image.
    const STANDARDIZER_WORDS: usize;
    /// A conditioner's inputs are padded to a multiple of this.
    const INPUT_GROUP: usize;
    /// Inputs with their padding.
    #[inline(always)]
    fn padded_inputs(inputs: usize) -> usize {
        if Self::INPUT_GROUP == 1 {
            inputs
        } else {
            dense::padded(inputs)
        }
    }

    /// Reads a parameter of the chain from its image word; `None` if it is not finite.
    fn value(word: u32) -> Option<Self::Value>;
    /// Reads a log-density from two image words (low, high); `None` if it is not finite.
    fn log(words: [u32; 2]) -> Option<Self::Log>;
    /// Whether a sum with the standardizer's log-density cannot overflow, whatever flow stands behind it.
    fn is_moderate(log: Self::Log) -> bool;
    /// Whether `value > 0`.
    fn is_positive(value: Self::Value) -> bool;
    /// A value as f32, for slopes and explanations.
    fn to_f32(value: Self::Value) -> f32;
    /// The nearest value to a number; saturates, and gives zero for NaN.
    fn from_f32(x: f32) -> Self::Value;
    /// `a + b`.
    fn add_values(a: Self::Value, b: Self::Value) -> Self::Value;
    /// `a - b`.
    fn subtract(a: Self::Value, b: Self::Value) -> Self::Value;

    /// `(reading - mean) / std` of one feature, saturated at [`READING_LIMIT`]; `parameters` has
    /// [`Self::STANDARDIZER_WORDS`] words. The reading must be finite.
    fn standardize(reading: f32, parameters: &[u32]) -> Option<Self::Value>;
    /// [`Self::standardize`] of each reading, into `values`; whether any is at the limit.
    fn standardize_each(readings: &[f32], parameters: &[u32], values: &mut [Self::Value]) -> Option<bool>;
    /// Whether a standardized feature is at the limit.
    fn is_at_limit(value: Self::Value) -> bool;
    /// A reading of which [`Self::standardize`] finds a feature at the limit: all features scaled by one factor, so
    /// that the farthest comes to lie on the limit. `parameters` are those of all features.
    ///
    /// Saturating each feature alone would leave the ray, and a matrix behind it could then turn a step outwards
    /// into one inwards.
    fn standardize_far(readings: &[f32], parameters: &[u32], values: &mut [Self::Value]) -> Option<()>;
    /// `value * std + mean`.
    fn unstandardize(value: Self::Value, parameters: &[u32]) -> Option<f32>;
    /// Whether the standardizer's words, [`Self::STANDARDIZER_WORDS`] of each input, are in range.
    fn standardizer_is_valid(parameters: &[u32]) -> bool;

    /// Identity within `knee`, logarithmic beyond (see [`crate::transform::SoftTail`]): the value and
    /// its log-derivative.
    fn soft_tail(x: Self::Value, knee: Self::Value) -> (Self::Value, Self::Log);
    /// [`Self::soft_tail`] of each value, in place; gives the sum of the log-derivatives.
    fn soft_tails(x: &mut [Self::Value], knee: Self::Value) -> Self::Log;
    /// Inverse of [`Self::soft_tail`], with the log-derivative of the forward map at the result.
    fn soft_tail_inverse(z: Self::Value, knee: Self::Value) -> (Self::Value, Self::Log);

    /// Whether [`Self::affine_tanh`] has a way of its own for a clamp, which [`crate::Capability::WideClamps`] is for.
    fn is_wide(clamp: Self::Value) -> bool;
    /// `clamp * tanh(raw)`.
    fn log_scale(raw: Self::Value, clamp: Self::Value) -> Self::Value;
    /// `raw` saturated at `limit > 0` on both sides.
    fn saturate(raw: Self::Value, limit: Self::Value) -> Self::Value {
        let low = Self::subtract(Self::ZERO, limit);
        if raw > limit {
            limit
        } else if raw < low {
            low
        } else {
            raw
        }
    }
    /// `clamp * raw / (1 + |raw|)`.
    fn soft_sign(raw: Self::Value, clamp: Self::Value) -> Self::Value;
    /// `ln(sigmoid(y) + floor)`; the floor as [`Self::scale_floor`] has accepted it.
    fn log_sigmoid(y: Self::Value, floor: u32) -> Self::Value;
    /// The floor of [`Self::log_sigmoid`] from its image word (f32, or Q2.30); `None` outside 0 to 1.
    fn scale_floor(word: u32) -> Option<f32>;
    /// `x * exp(log_scale) + shift`.
    fn affine(x: Self::Value, log_scale: Self::Value, shift: Self::Value) -> Self::Value;
    /// `(z - shift) * exp(-log_scale)`.
    fn affine_inverse(z: Self::Value, log_scale: Self::Value, shift: Self::Value) -> Self::Value;

    /// `x * exp(log_scale) + shift` of each value, in place, with `log_scale = clamp * tanh(raw)`; gives the sum of
    /// the log-scales. All of a RealNVP coupling but its net. Leaves anything in `raws`.
    fn affine_tanh(
        x: &mut [Self::Value],
        shifts: &[Self::Value],
        raws: &mut [Self::Value],
        clamp: Self::Value,
    ) -> Self::Log;
    /// `(z - shift) * exp(-log_scale)`: undoes [`Self::affine_tanh`], and gives the same sum.
    fn affine_tanh_inverse(
        z: &mut [Self::Value],
        shifts: &[Self::Value],
        raws: &[Self::Value],
        clamp: Self::Value,
    ) -> Self::Log {
        let mut log_det = Self::ZERO_LOG;
        for ((z, &shift), &raw) in z.iter_mut().zip(shifts).zip(raws) {
            let log_scale = Self::log_scale(raw, clamp);
            *z = Self::affine_inverse(*z, log_scale, shift);
            log_det = Self::add_value(log_det, log_scale);
        }
        log_det
    }

    /// 32-bit words of a gain: a factor and what its inverse needs.
    const GAIN_WORDS: usize;
    /// `x` times the gain.
    fn gain(x: Self::Value, words: &[u32]) -> Option<Self::Value>;
    /// `y` divided by the gain.
    fn gain_inverse(y: Self::Value, words: &[u32]) -> Option<Self::Value>;
    /// Whether the gain is above zero; `None` if its words are not in range.
    fn gain_is_positive(words: &[u32]) -> Option<bool>;
    /// The gain as f32; `None` if its words are not in range.
    fn gain_to_f32(words: &[u32]) -> Option<f32>;
    /// 32-bit words of a row of so many weights.
    fn row_words(weights: usize) -> usize;
    /// Whether a row's words are in range.
    fn row_is_valid(words: &[u32], weights: usize) -> bool;
    /// The sum over `x` of a row's weights times it.
    fn row_sum(words: &[u32], x: &[Self::Value]) -> Option<Self::Value>;
    /// A weight of a row as f32.
    fn row_weight(words: &[u32], index: usize) -> Option<f32>;

    /// `sum + value`.
    fn add_value(sum: Self::Log, value: Self::Value) -> Self::Log;
    /// `a + b`.
    fn add(a: Self::Log, b: Self::Log) -> Self::Log;
    /// `-a`.
    fn negate(a: Self::Log) -> Self::Log;
    /// The log-density itself if it is a number, else the lowest one: only an image with absurd weights
    /// gets there, and it must not score well.
    fn settle(log: Self::Log) -> Self::Log;
    /// The squared norm itself if it is a number, else the largest one: it must not pass for a small norm.
    fn settle_norm(norm: Self::Log) -> Self::Log;
    /// `-(sum of z^2) / 2 - n ln(2 pi) / 2`, the log-density of a standard normal.
    fn standard_normal(z: &[Self::Value]) -> Self::Log;
    /// To f32, rounded to nearest.
    fn log_to_f32(log: Self::Log) -> f32;

    /// Tail probability in (0, 1] of a statistic, from the quantile words of a calibration sketch.
    fn tail_probability(statistic: Self::Log, quantiles: &[u32]) -> f32;
    /// Whether one quantile word may precede the next (both finite, not descending).
    fn quantiles_ascend(previous: u32, next: u32) -> bool;

    /// Saturates conditioner inputs at `limit` and converts them to activations; `shift` is the
    /// number of fractional bits of an integer activation. Fills the rest of `out` with zeros.
    fn load_inputs(inputs: &[Self::Value], limit: Self::Value, shift: u8, out: &mut [Self::Activation]);
    /// Whether `limit` and `shift` of [`Self::load_inputs`] fit the activations.
    fn input_format_is_valid(limit: Self::Value, shift: u8) -> bool;

    /// Input activations per unit of the value: what the slope of a loaded input is multiplied with.
    fn input_unit(shift: u8) -> f32;

    /// `activation` of each value, as activations; zeros behind them. `shift` is the right shift from
    /// Q15.16 to an integer activation.
    fn activate(activation: Activation, shift: u8, values: &[Self::Value], out: &mut [Self::Activation]);
    /// Derivatives of [`Self::activate`], in activations per unit of the value.
    fn activate_slopes(activation: Activation, shift: u8, values: &[Self::Value], out: &mut [f32]);
    /// Whether [`Self::activate`] takes `shift`.
    fn activation_is_valid(activation: Activation, shift: u8) -> bool;

    /// The layer at the front of `words`, hidden or last, between buffers of activations (or, of the last, values);
    /// gives the words behind it. `None` only if the buffers do not fit or the image was never checked.
    fn dense_layer<'a>(words: &'a [u32], input: &[u32], output: &mut [u32]) -> Option<&'a [u32]>;
    /// A hidden layer with its activation function; `None` only if the buffers do not fit.
    fn dense_hidden(
        layer: &Dense<'_>,
        input: &[Self::Activation],
        output: &mut [Self::Activation],
    ) -> Option<()>;
    /// Derivatives of a hidden layer's activations with respect to its sums, which
    /// [`Dense::backward`] then takes to its inputs. `out` has the layer's padded outputs.
    ///
    /// Sums are computed again: one pass over the weights.
    fn hidden_slopes(layer: &Dense<'_>, input: &[Self::Activation], out: &mut [f32]) -> Option<()>;
    /// The last layer, back in the trunk's numbers; `None` only if the buffers do not fit.
    fn dense_output(layer: &Dense<'_>, input: &[Self::Activation], output: &mut [Self::Value]) -> Option<()>;
    /// Checks a layer's numbers once: encoding, finite values, accumulators that cannot overflow.
    fn check_dense(layer: &Dense<'_>) -> Result<(), crate::Fault>;
}
