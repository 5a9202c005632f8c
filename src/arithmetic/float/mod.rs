//! The f32 arithmetic: exp and tanh from tables, log from the `libm` crate on every target, no fused
//! multiply-add, a fixed order of summation, and therefore the same bits on host and device.

mod activation;
mod affine;
mod bits;
pub mod elementary;
mod linear;
mod logit;
mod marginal;
pub(crate) mod spline;

use crate::arithmetic::activation::Activation;
use crate::arithmetic::dense::Dense;
use crate::arithmetic::{dense, Arithmetic, READING_LIMIT};
use crate::pass::is_finite;
use crate::support::{Capabilities, Capability, Everything, Support};
use crate::{Fault, Part};
use core::marker::PhantomData;

mod base;
mod standardize;
mod statistics;
mod table;
#[cfg(flowlet_float_kernels = "vfp")]
mod vfp;

#[cfg(feature = "fast-math")]
pub use elementary::FastMath;
pub use elementary::{Elementary, Libm, Tables};

/// The f32 arithmetic over a set of elementary functions.
pub type Float<E = Tables> = FloatWith<E, Everything>;

/// The f32 arithmetic for the flows of a [`Support`].
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct FloatWith<E, S>(PhantomData<(E, S)>);

/// ln(2 pi) / 2.
const HALF_LN_2PI: f32 = 0.918_938_5;

fn finite(word: u32) -> Option<f32> {
    let value = f32::from_bits(word);
    is_finite(value).then_some(value)
}

/// A hidden layer of any kind; apart, so that its frame is not set up for a usual one.
#[inline(never)]
fn hidden<E: Elementary>(layer: &Dense<'_>, input: &[f32], output: &mut [f32]) -> Option<()> {
    if layer.activation == Activation::Relu {
        return dense::f32_relu(layer, input, output);
    }
    dense::f32_sums(layer, input, output)?;
    activation::activate_each::<E>(layer.activation, output.get_mut(..layer.padded_outputs())?);
    Some(())
}

/// The layer at the front of `words`, of any kind; apart for the same reason.
#[inline(never)]
fn any_layer<'a, E: Elementary, S: Support>(
    words: &'a [u32],
    input: &[f32],
    output: &mut [f32],
) -> Option<&'a [u32]> {
    // By reference: a layer that is moved is copied.
    let Some((layer, rest)) = &Dense::parse_float(words) else { return None };
    if layer.is_output {
        FloatWith::<E, S>::dense_output(layer, input, output)?;
    } else {
        FloatWith::<E, S>::dense_hidden(layer, input, output)?;
    }
    Some(rest)
}

/// A soft tail beyond its knee, and its log-derivative.
#[inline(always)]
fn beyond_knee<E: Elementary>(x: f32, knee: f32) -> (f32, f32) {
    let grown = E::ln(1.0 + (x.abs() - knee));
    ((knee + grown).copysign(x), -grown)
}

impl<E: Elementary, S: Support> Arithmetic for FloatWith<E, S> {
    const SUPPORTS: Capabilities = S::CAPABILITIES;

    type Value = f32;
    type Log = f32;
    type Activation = f32;

    const ZERO: f32 = 0.0;
    const ZERO_LOG: f32 = 0.0;
    /// mean, 1 / std, std.
    const STANDARDIZER_WORDS: usize = 3;
    const INPUT_GROUP: usize = 1;
    const GAIN_WORDS: usize = linear::GAIN_WORDS;

    fn value(word: u32) -> Option<f32> {
        finite(word)
    }

    fn log(words: [u32; 2]) -> Option<f32> {
        finite(words[0])
    }

    fn is_moderate(_log: f32) -> bool {
        true
    }

    fn is_positive(value: f32) -> bool {
        bits::is_positive_within(value, f32::INFINITY)
    }

    fn to_f32(value: f32) -> f32 {
        value
    }

    fn from_f32(x: f32) -> f32 {
        if x.is_nan() {
            0.0
        } else {
            x.clamp(-READING_LIMIT, READING_LIMIT)
        }
    }

    fn add_values(a: f32, b: f32) -> f32 {
        a + b
    }

    fn subtract(a: f32, b: f32) -> f32 {
        a - b
    }

    fn standardize(reading: f32, parameters: &[u32]) -> Option<f32> {
        let &[mean, inverse_std, _] = parameters else { return None };
        let z = (reading - f32::from_bits(mean)) * f32::from_bits(inverse_std);
        Some(z.clamp(-READING_LIMIT, READING_LIMIT))
    }

    fn is_at_limit(value: f32) -> bool {
        value.abs() >= READING_LIMIT
    }

    fn standardize_far(readings: &[f32], parameters: &[u32], values: &mut [f32]) -> Option<()> {
        standardize::far(readings, parameters, values)
    }

    fn standardize_each(readings: &[f32], parameters: &[u32], values: &mut [f32]) -> Option<bool> {
        standardize::each(readings, parameters, values)
    }

    fn unstandardize(value: f32, parameters: &[u32]) -> Option<f32> {
        let &[mean, _, std] = parameters else { return None };
        Some(value * f32::from_bits(std) + f32::from_bits(mean))
    }

    fn standardizer_is_valid(parameters: &[u32]) -> bool {
        let mut rest = parameters;
        while let Some((&[mean, inverse_std, std], behind)) = rest.split_first_chunk() {
            rest = behind;
            let is_positive = |w| bits::is_positive_within(f32::from_bits(w), f32::MAX);
            if finite(mean).is_none() || !is_positive(inverse_std) || !is_positive(std) {
                return false;
            }
        }
        true
    }

    fn soft_tail(x: f32, knee: f32) -> (f32, f32) {
        if bits::is_beyond(x, knee) {
            beyond_knee::<E>(x, knee)
        } else {
            (x, 0.0)
        }
    }

    fn soft_tails(x: &mut [f32], knee: f32) -> f32 {
        let mut log_det = 0.0;
        for x in x {
            if bits::is_beyond(*x, knee) {
                let (z, log) = beyond_knee::<E>(*x, knee);
                *x = z;
                log_det += log;
            }
        }
        log_det
    }

    fn soft_tail_inverse(z: f32, knee: f32) -> (f32, f32) {
        let grown = z.abs() - knee;
        if grown > 0.0 {
            // e^11 is past the reading limit; capped so that no infinity arises.
            let x = knee - 1.0 + E::exp(grown.min(11.0));
            (x.min(READING_LIMIT).copysign(z), -grown)
        } else {
            (z, 0.0)
        }
    }

    fn is_wide(_clamp: f32) -> bool {
        false
    }

    fn log_scale(raw: f32, clamp: f32) -> f32 {
        E::scaled_tanh(raw, clamp)
    }

    fn soft_sign(raw: f32, clamp: f32) -> f32 {
        affine::soft_sign(raw, clamp)
    }

    fn log_sigmoid(y: f32, floor: u32) -> f32 {
        affine::log_sigmoid::<E>(y, f32::from_bits(floor))
    }

    fn scale_floor(word: u32) -> Option<f32> {
        finite(word).filter(|floor| (0.0..=1.0).contains(floor))
    }

    fn affine(x: f32, log_scale: f32, shift: f32) -> f32 {
        x * E::exp(log_scale) + shift
    }

    fn affine_tanh(x: &mut [f32], shifts: &[f32], raws: &mut [f32], clamp: f32) -> f32 {
        E::affine_tanh(x, shifts, raws, clamp)
    }

    fn affine_inverse(z: f32, log_scale: f32, shift: f32) -> f32 {
        (z - shift) * E::exp(-log_scale)
    }

    fn gain(x: f32, words: &[u32]) -> Option<f32> {
        linear::gain(x, words)
    }

    fn gain_inverse(y: f32, words: &[u32]) -> Option<f32> {
        linear::gain_inverse(y, words)
    }

    fn gain_is_positive(words: &[u32]) -> Option<bool> {
        linear::gain_is_positive(words)
    }

    fn gain_to_f32(words: &[u32]) -> Option<f32> {
        linear::gain_to_f32(words)
    }

    fn row_words(weights: usize) -> usize {
        weights
    }

    fn row_is_valid(words: &[u32], weights: usize) -> bool {
        linear::row_is_valid(words, weights)
    }

    fn row_sum(words: &[u32], x: &[f32]) -> Option<f32> {
        linear::row_sum(words, x)
    }

    fn row_weight(words: &[u32], index: usize) -> Option<f32> {
        linear::row_weight(words, index)
    }

    fn add_value(sum: f32, value: f32) -> f32 {
        sum + value
    }

    fn add(a: f32, b: f32) -> f32 {
        a + b
    }

    fn negate(a: f32) -> f32 {
        -a
    }

    fn settle_norm(norm: f32) -> f32 {
        -Self::settle(-norm)
    }

    fn settle(log: f32) -> f32 {
        if is_finite(log) {
            log
        } else {
            f32::MIN
        }
    }

    fn standard_normal(z: &[f32]) -> f32 {
        let mut log = 0.0;
        for &z in z {
            log -= 0.5 * z * z + HALF_LN_2PI;
        }
        log
    }

    fn log_to_f32(log: f32) -> f32 {
        log
    }

    fn tail_probability(statistic: f32, quantiles: &[u32]) -> f32 {
        let above = quantiles.partition_point(|&q| statistic > f32::from_bits(q));
        // Known to be positive it would be converted by a routine that nothing else needs.
        let mut position = core::hint::black_box(above.saturating_sub(1) as i32) as f32;
        // Neither before the first quantile nor past the last.
        if let Some((&low, &high)) = quantiles.get(above.wrapping_sub(1)).zip(quantiles.get(above)) {
            let (low, high) = (f32::from_bits(low), f32::from_bits(high));
            position += (statistic - low) / (high - low);
        }
        E::exp(position * (-core::f32::consts::LN_2 / crate::calibration::STEPS_PER_OCTAVE as f32))
    }

    fn quantiles_ascend(previous: u32, next: u32) -> bool {
        let (previous, next) = (f32::from_bits(previous), f32::from_bits(next));
        // A difference that overflows would make the interpolation's quotient NaN; where one of both is not finite, neither is it.
        let descend = previous > next;
        !descend && is_finite(next - previous)
    }

    fn load_inputs(inputs: &[f32], limit: f32, _shift: u8, out: &mut [f32]) {
        let (used, rest) = out.split_at_mut_checked(inputs.len()).unwrap_or_default();
        for (out, &x) in used.iter_mut().zip(inputs) {
            *out = bits::saturated(x, limit);
        }
        rest.fill(0.0);
    }

    fn input_format_is_valid(limit: f32, shift: u8) -> bool {
        bits::is_positive_within(limit, READING_LIMIT) && shift == 0
    }

    fn input_unit(_shift: u8) -> f32 {
        1.0
    }

    fn activate(activation: Activation, _shift: u8, values: &[f32], out: &mut [f32]) {
        let (used, rest) = out.split_at_mut_checked(values.len()).unwrap_or_default();
        for (out, &x) in used.iter_mut().zip(values) {
            *out = activation::activate::<E>(activation, x);
        }
        rest.fill(0.0);
    }

    fn activate_slopes(activation: Activation, _shift: u8, values: &[f32], out: &mut [f32]) {
        for (out, &x) in out.iter_mut().zip(values) {
            *out = activation::slope::<E>(activation, x);
        }
    }

    fn activation_is_valid(_activation: Activation, shift: u8) -> bool {
        shift == 0
    }

    #[inline(always)]
    fn dense_layer<'a>(words: &'a [u32], input: &[u32], output: &mut [u32]) -> Option<&'a [u32]> {
        let (input, output) = (bytemuck::cast_slice(input), bytemuck::cast_slice_mut(output));
        dense::f32_at_once(words, input, output, any_layer::<E, S>)
    }

    fn dense_hidden(layer: &Dense<'_>, input: &[f32], output: &mut [f32]) -> Option<()> {
        match dense::f32_usual(layer, input, output) {
            Some(done) => done,
            None if S::CAPABILITIES.has(Capability::Activations) => hidden::<E>(layer, input, output),
            None => dense::f32_relu(layer, input, output),
        }
    }

    fn hidden_slopes(layer: &Dense<'_>, input: &[f32], out: &mut [f32]) -> Option<()> {
        dense::f32_sums(layer, input, out)?;
        for y in out.get_mut(..layer.padded_outputs())? {
            *y = activation::slope::<E>(layer.activation, *y);
        }
        Some(())
    }

    fn dense_output(layer: &Dense<'_>, input: &[f32], output: &mut [f32]) -> Option<()> {
        dense::f32_sums(layer, input, output)
    }

    fn check_dense(layer: &Dense<'_>) -> Result<(), Fault> {
        if !layer.encoding.is_float()
            || layer.shift != 0
            || layer.activation_shift != 0
            || !layer.multipliers.is_empty()
        {
            return Err(Fault::malformed(Part::Conditioner));
        }
        S::CAPABILITIES.check_activation(layer.activation)?;
        if layer.bias.iter().chain(layer.weights).all(|&w| finite(w).is_some()) {
            Ok(())
        } else {
            Err(Fault::not_finite(Part::Conditioner))
        }
    }
}
