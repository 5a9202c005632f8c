//! The fixed-point arithmetic: a wide trunk and narrow nets, in integer instructions alone.
//!
//! | quantity | format | on overflow |
//! |---|---|---|
//! | values of the chain | Q15.16 in i32 | saturate |
//! | log-determinants and log-densities | Q47.16 in i64 | cannot (64 features, 2^47) |
//! | activations of conditioners | i16, scale by layer | saturate |
//! | weights | i8 or i16, scale by output row | - |
//! | accumulators | i32 | cannot: an L1 bound on each row is checked at load |
//!
//! No float instruction and no soft-float call is used: readings enter, and scores leave, through
//! the bits of their f32.

pub mod activation;
pub mod affine;
#[cfg(flowlet_integer_kernels = "armv81m")]
mod armv81m;
pub mod base;
pub mod convert;
pub mod elementary;
pub mod linear;
mod logit;
mod marginal;
pub mod ratio;
pub(crate) mod spline;
mod standardize;
mod statistics;
pub(in crate::arithmetic) mod table;

use super::activation::Activation;
use super::dense::{power_of_two, Dense};
use super::Arithmetic;
use crate::support::{Capabilities, Capability, Everything, Support};
use crate::{Fault, Part};
use core::marker::PhantomData;

/// Fractional bits of the trunk and of log-densities.
pub const FRACTION_BITS: u32 = 16;
/// One, in Q15.16.
pub const ONE: i32 = 1 << FRACTION_BITS;
/// Fractional bits of the statistic's quantiles in a calibration sketch: Q23.8 in i32.
pub const QUANTILE_BITS: u32 = 8;
/// ln(2 pi) / 2 in Q.32.
const HALF_LN_2PI_Q32: u32 = 3_946_810_947;
/// Words of the standardizer for one feature: center (low, high), multiplier, scale, exponent.
const STANDARDIZER_WORDS: usize = 5;
/// Fractional bits of the standardizer's multiplier.
const MULTIPLIER_BITS: u32 = 28;
/// `READING_LIMIT` in Q15.16.
const READING_LIMIT: i64 = 32767 << FRACTION_BITS;

/// The fixed-point arithmetic, for i8 and for i16 weights.
pub type Fixed = FixedWith<Everything>;

/// The fixed-point arithmetic for the flows of a [`Support`].
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct FixedWith<S>(PhantomData<S>);

/// Narrows to i32 with saturation.
pub(crate) fn saturate(x: i64) -> i32 {
    let narrow = x as i32;
    if i64::from(narrow) == x {
        narrow
    } else if x < 0 {
        i32::MIN
    } else {
        i32::MAX
    }
}

/// `x / 2^bits`, rounded to nearest (ties towards plus infinity); `1 <= bits <= 63`.
pub(crate) fn round_shift(x: i64, bits: u32) -> i64 {
    // Halving last needs no room for the rounding constant; the sum cannot overflow.
    ((x >> (bits.wrapping_sub(1) & 63)) + 1) >> 1
}

/// `a * b / 2^bits`, rounded as [`round_shift`] does, and saturated; `1 <= bits <= 63`, not both of
/// them `i32::MIN`.
#[inline]
pub(crate) fn product_shift(a: i32, b: i32, bits: u32) -> i32 {
    match bits {
        // The upper half of the product decides: on a core that multiplies 32 bits only, the lower is not even
        // put together.
        33..=63 => product_shift_high(a, b, bits),
        32 => elementary::high_rounded(a, b),
        _ => saturate(round_shift(i64::from(a) * i64::from(b), bits)),
    }
}

/// [`product_shift`] with `33 <= bits <= 63`.
#[inline(always)]
pub(crate) fn product_shift_high(a: i32, b: i32, bits: u32) -> i32 {
    ((product_high(a, b) >> (bits.wrapping_sub(33) & 31)) + 1) >> 1
}

/// The upper 32 bits of `a * b`.
#[inline(always)]
pub(crate) fn product_high(a: i32, b: i32) -> i32 {
    if cfg!(flowlet_integer_kernels = "armv6m") {
        product_high_by_halves(a, b)
    } else {
        ((i64::from(a) * i64::from(b)) >> 32) as i32
    }
}

/// The same from products of 16-bit halves: what a 64-bit product is without an instruction for it, less its
/// lower half.
#[inline(always)]
fn product_high_by_halves(a: i32, b: i32) -> i32 {
    let (high, rest) = product_by_halves(a, b);
    high.wrapping_add(rest >> 16)
}

/// The same, rounded to nearest: `(a * b + 2^31) >> 32`.
#[inline(always)]
fn product_high_rounded_by_halves(a: i32, b: i32) -> i32 {
    let (high, rest) = product_by_halves(a, b);
    high.wrapping_add(((rest >> 15) + 1) >> 1)
}

/// `a * b / 2^32` without its last 16 bits, as a whole number and 2^16ths, which may be negative.
#[inline(always)]
fn product_by_halves(a: i32, b: i32) -> (i32, i32) {
    let (a_high, a_low) = (a >> 16, a & 0xffff);
    let (b_high, b_low) = (b >> 16, b & 0xffff);
    let lowest = (a_low as u32).wrapping_mul(b_low as u32);
    // Each sum is at most 2^31 - 2^16 in size.
    let middle = a_high.wrapping_mul(b_low).wrapping_add((lowest >> 16) as i32);
    let other = a_low.wrapping_mul(b_high).wrapping_add(middle & 0xffff);
    (a_high.wrapping_mul(b_high).wrapping_add(middle >> 16), other)
}

/// `x * 2^exponent * mantissa`, mantissa in Q30, as made by [`elementary::exp`].
fn scale(x: i32, (mantissa, exponent): (u32, i32)) -> i32 {
    // mantissa < 2^31, so that the product is exact in i64.
    let product = i64::from(x) * i64::from(mantissa as i32);
    let right = 30 - exponent;
    match right {
        1..=63 => saturate(round_shift(product, right as u32)),
        64.. => 0,
        // Grown by 2^30 or more: all but zero saturate.
        _ => saturate(product.signum() * i64::MAX),
    }
}

/// A soft tail beyond its knee, which is positive, and by how much it goes on there.
#[inline(always)]
fn beyond_knee(x: i32, knee: i32) -> (i32, i32) {
    let grown = elementary::ln_above_one(x.unsigned_abs().wrapping_sub(knee as u32).wrapping_add(ONE as u32));
    let size = knee.saturating_add(grown);
    let sign = x >> 31;
    ((size ^ sign).wrapping_sub(sign), grown)
}

impl<S: Support> FixedWith<S> {
    /// Whether the standardizer's log-density is the only one that an image states: soft tails, couplings and 2^16 blocks make
    /// sums below 2^57, and no addition overflows.
    const IS_MODERATE: bool = !S::CAPABILITIES.intersects(Capabilities::of(&[
        Capability::ElementwiseAffine,
        Capability::Linear,
        Capability::Marginal,
        Capability::Logit,
        Capability::StudentT,
        Capability::Mixture,
        Capability::Experts,
        Capability::Split,
        Capability::OtherStatistics,
    ]));
}

impl<S> FixedWith<S> {
    fn standardizer(parameters: &[u32]) -> Option<(i64, i64, i64, i32)> {
        let &[low, high, multiplier, scale, exponent] = parameters else { return None };
        Some((
            i64::from(low) | (i64::from(high as i32) << 32),
            i64::from(multiplier),
            i64::from(scale),
            exponent as i32,
        ))
    }
}

/// `inputs` saturated at `limit`, rounded and shifted right, by 1 to 15 bits.
#[cfg(not(flowlet_integer_kernels = "armv81m"))]
#[inline(always)]
fn load_inputs(inputs: &[i32], limit: i32, shift: u8, out: &mut [i16]) {
    let (shift, half) = (u32::from(shift & 15), (1 << (shift & 15)) >> 1);
    // A limit is positive: from `-limit` to `limit` the sum is within twice the limit, and beyond it is not.
    let span = (limit as u32).wrapping_mul(2);
    for (out, &x) in out.iter_mut().zip(inputs) {
        let x = if x.wrapping_add(limit) as u32 > span { farthest(x, limit) } else { x };
        *out = ((x + half) >> shift) as i16;
    }
}

/// The limit that a far value saturates at.
#[cfg(not(flowlet_integer_kernels = "armv81m"))]
#[cold]
#[inline(never)]
fn farthest(x: i32, limit: i32) -> i32 {
    if x < 0 {
        -limit
    } else {
        limit
    }
}

impl<S: Support> Arithmetic for FixedWith<S> {
    const SUPPORTS: Capabilities = S::CAPABILITIES;

    type Value = i32;
    type Log = i64;
    type Activation = i16;

    const ZERO: i32 = 0;
    const ZERO_LOG: i64 = 0;
    const STANDARDIZER_WORDS: usize = STANDARDIZER_WORDS;
    const INPUT_GROUP: usize = 4;
    const GAIN_WORDS: usize = linear::GAIN_WORDS;

    fn value(word: u32) -> Option<i32> {
        Some(word as i32)
    }

    fn log(words: [u32; 2]) -> Option<i64> {
        Some(i64::from(words[0]) | (i64::from(words[1] as i32) << 32))
    }

    fn is_moderate(log: i64) -> bool {
        // 62 bits with the sign, by the upper half: two of them, and what chain and base add, fit an i64.
        ((log >> 32) as u32).wrapping_add(1 << 29) < 1 << 30
    }

    fn is_positive(value: i32) -> bool {
        value > 0
    }

    fn to_f32(value: i32) -> f32 {
        convert::fixed_to_f32(i64::from(value), FRACTION_BITS as i32)
    }

    fn from_f32(x: f32) -> i32 {
        if x.is_nan() {
            0
        } else {
            convert::f32_to_fixed(x, FRACTION_BITS as i32).clamp(-READING_LIMIT, READING_LIMIT) as i32
        }
    }

    fn add_values(a: i32, b: i32) -> i32 {
        a.saturating_add(b)
    }

    fn subtract(a: i32, b: i32) -> i32 {
        a.saturating_sub(b)
    }

    fn standardize(reading: f32, parameters: &[u32]) -> Option<i32> {
        Some(standardize::any(reading.to_bits(), parameters.first_chunk()?))
    }

    fn is_at_limit(value: i32) -> bool {
        i64::from(value.unsigned_abs()) >= READING_LIMIT
    }

    fn standardize_far(readings: &[f32], parameters: &[u32], values: &mut [i32]) -> Option<()> {
        standardize::far(readings, parameters, values)
    }

    fn standardize_each(readings: &[f32], parameters: &[u32], values: &mut [i32]) -> Option<bool> {
        standardize::each(readings, parameters, values)
    }

    fn unstandardize(value: i32, parameters: &[u32]) -> Option<f32> {
        let (center, _, scale, exponent) = Self::standardizer(parameters)?;
        let offset = round_shift(i64::from(value).wrapping_mul(scale), FRACTION_BITS);
        Some(convert::fixed_to_f32(center.saturating_add(offset), exponent))
    }

    #[inline(always)]
    fn standardizer_is_valid(parameters: &[u32]) -> bool {
        let mut rest = parameters;
        while let Some((&[_, high, multiplier, scale, exponent], behind)) = rest.split_first_chunk() {
            rest = behind;
            // A center of 62 bits with its sign, by its upper half; the others by their distance from the least.
            let is_valid = high.wrapping_add(1 << 29) < 1 << 30
                && multiplier.wrapping_sub(1 << 23) <= 1 << 23
                && scale.wrapping_sub(1 << 20) <= 1 << 20
                && exponent.wrapping_add(130) <= 300;
            if !is_valid {
                return false;
            }
        }
        rest.is_empty()
    }

    fn soft_tail(x: i32, knee: i32) -> (i32, i64) {
        if x.unsigned_abs() <= knee.unsigned_abs() {
            return (x, 0);
        }
        let (z, grown) = beyond_knee(x, knee);
        (z, -i64::from(grown))
    }

    #[inline(never)]
    fn soft_tails(x: &mut [i32], knee: i32) -> i64 {
        // |x| <= knee in one comparison; nearly all values pass it.
        let reach = (knee as u32).wrapping_mul(2);
        // 256 logarithms, each below 10.4, fit 28 bits.
        let mut all = 0i32;
        for x in x {
            if x.wrapping_add(knee) as u32 > reach {
                let grown;
                (*x, grown) = beyond_knee(*x, knee);
                all = all.wrapping_add(grown);
            }
        }
        -i64::from(all)
    }

    fn soft_tail_inverse(z: i32, knee: i32) -> (i32, i64) {
        let grown = z.unsigned_abs().saturating_sub(knee.unsigned_abs()).min(i32::MAX as u32) as i32;
        if grown <= 0 {
            return (z, 0);
        }
        let size = scale(ONE, elementary::exp(grown)).saturating_add(knee.saturating_sub(ONE));
        let size = size.min(READING_LIMIT as i32);
        (if z < 0 { size.saturating_neg() } else { size }, -i64::from(grown))
    }

    fn is_wide(clamp: i32) -> bool {
        clamp > affine::FAST_CLAMP
    }

    fn log_scale(raw: i32, clamp: i32) -> i32 {
        affine::log_scale(raw, clamp)
    }

    fn soft_sign(raw: i32, clamp: i32) -> i32 {
        affine::soft_sign(raw, clamp)
    }

    fn log_sigmoid(y: i32, floor: u32) -> i32 {
        affine::log_sigmoid(y, floor)
    }

    fn scale_floor(word: u32) -> Option<f32> {
        (word == 0 || (affine::LEAST_FLOOR..=affine::ONE_Q30).contains(&word))
            .then(|| convert::fixed_to_f32(i64::from(word), 30))
    }

    fn affine(x: i32, log_scale: i32, shift: i32) -> i32 {
        scale(x, elementary::exp(log_scale)).saturating_add(shift)
    }

    fn affine_tanh(x: &mut [i32], shifts: &[i32], raws: &mut [i32], clamp: i32) -> i64 {
        affine::affine_tanh(x, shifts, raws, clamp, S::CAPABILITIES.has(Capability::WideClamps))
    }

    fn affine_tanh_inverse(z: &mut [i32], shifts: &[i32], raws: &[i32], clamp: i32) -> i64 {
        affine::affine_tanh_inverse(z, shifts, raws, clamp)
    }

    fn affine_inverse(z: i32, log_scale: i32, shift: i32) -> i32 {
        scale(z.saturating_sub(shift), elementary::exp(log_scale.saturating_neg()))
    }

    fn gain(x: i32, words: &[u32]) -> Option<i32> {
        linear::gain(x, words)
    }

    fn gain_inverse(y: i32, words: &[u32]) -> Option<i32> {
        linear::gain_inverse(y, words)
    }

    fn gain_is_positive(words: &[u32]) -> Option<bool> {
        linear::gain_is_positive(words)
    }

    fn gain_to_f32(words: &[u32]) -> Option<f32> {
        linear::gain_to_f32(words)
    }

    fn row_words(weights: usize) -> usize {
        linear::row_words(weights)
    }

    fn row_is_valid(words: &[u32], weights: usize) -> bool {
        linear::row_is_valid(words, weights)
    }

    fn row_sum(words: &[u32], x: &[i32]) -> Option<i32> {
        linear::row_sum(words, x)
    }

    fn row_weight(words: &[u32], index: usize) -> Option<f32> {
        linear::row_weight(words, index)
    }

    fn add_value(sum: i64, value: i32) -> i64 {
        sum.saturating_add(i64::from(value))
    }

    fn add(a: i64, b: i64) -> i64 {
        if Self::IS_MODERATE {
            a.wrapping_add(b)
        } else {
            a.saturating_add(b)
        }
    }

    fn negate(a: i64) -> i64 {
        if Self::IS_MODERATE {
            a.wrapping_neg()
        } else {
            a.saturating_neg()
        }
    }

    fn settle(log: i64) -> i64 {
        log
    }

    fn settle_norm(norm: i64) -> i64 {
        norm
    }

    fn standard_normal(z: &[i32]) -> i64 {
        // As the product with a constant of 32 bits, in halves: of 256 features at most, each fits 32 bits.
        let (high, low) = (HALF_LN_2PI_Q32 >> 16, HALF_LN_2PI_Q32 & 0xffff);
        let count = z.len() as u32;
        let below = (count.wrapping_mul(low).wrapping_add(1 << 15)) >> 16;
        let constant = count.wrapping_mul(high).wrapping_add(below);
        // Half the squares of 256 values stay below 2^53.
        base::half_squares(z).wrapping_add(i64::from(constant)).wrapping_neg()
    }

    fn log_to_f32(log: i64) -> f32 {
        convert::normal_to_f32(log, FRACTION_BITS as i32)
    }

    fn tail_probability(statistic: i64, quantiles: &[u32]) -> f32 {
        let statistic = saturate(statistic >> (FRACTION_BITS - QUANTILE_BITS));
        let above = quantiles.partition_point(|&q| (q as i32) < statistic);
        let whole = above.saturating_sub(1) as u32;
        let mut part = 0;
        if above > 0 {
            if let Some((&low, &high)) = quantiles.get(above - 1).zip(quantiles.get(above)) {
                // low < statistic <= high. Shifted so that the numerator keeps 16 bits of fraction.
                let width = high.wrapping_sub(low);
                let offset = (statistic as u32).wrapping_sub(low);
                let excess = 16u32.saturating_sub(convert::leading_zeros(width));
                let (offset, width) = (offset >> excess, width >> excess);
                part = if cfg!(flowlet_integer_kernels = "armv6m") {
                    standardize::quotient(offset, width, FRACTION_BITS)
                } else {
                    (offset << FRACTION_BITS).checked_div(width).unwrap_or(0)
                };
            }
        }
        // position / STEPS_PER_OCTAVE octaves below one.
        let position = ((whole << FRACTION_BITS) + part) / crate::calibration::STEPS_PER_OCTAVE;
        let (mantissa, exponent) = elementary::exp2((position as i32).wrapping_neg());
        // By the check 2^-32 at least.
        convert::normal_to_f32(i64::from(mantissa), 30 - exponent)
    }

    fn quantiles_ascend(previous: u32, next: u32) -> bool {
        previous as i32 <= next as i32
    }

    fn load_inputs(inputs: &[i32], limit: i32, shift: u8, out: &mut [i16]) {
        // What is not a multiple of 4 has no padding.
        if let Some(last) = out.last_chunk_mut::<4>() {
            *last = [0; 4];
        }
        // By the check 1 <= shift <= 15, and limit >> shift fits i16.
        #[cfg(flowlet_integer_kernels = "armv81m")]
        armv81m::load_inputs(inputs, limit, shift, out);
        #[cfg(not(flowlet_integer_kernels = "armv81m"))]
        load_inputs(inputs, limit, shift, out);
    }

    fn input_format_is_valid(limit: i32, shift: u8) -> bool {
        (1..=15).contains(&shift)
            && limit > 0
            && (limit as u32 + ((1 << (shift & 15)) >> 1)) >> (shift & 15) <= 32767
    }

    fn input_unit(shift: u8) -> f32 {
        power_of_two(FRACTION_BITS as i32 - i32::from(shift))
    }

    fn activate(activation: Activation, shift: u8, values: &[i32], out: &mut [i16]) {
        let (used, rest) = out.split_at_mut_checked(values.len()).unwrap_or_default();
        for (out, &x) in used.iter_mut().zip(values) {
            *out = activation::activate(activation, shift, x);
        }
        for padding in rest {
            *padding = core::hint::black_box(0);
        }
    }

    fn activate_slopes(activation: Activation, shift: u8, values: &[i32], out: &mut [f32]) {
        for (out, &x) in out.iter_mut().zip(values) {
            *out = activation::slope(activation, shift, x);
        }
    }

    fn activation_is_valid(activation: Activation, shift: u8) -> bool {
        activation::shift_is_valid(activation, shift)
    }

    #[inline(always)]
    fn dense_layer<'a>(words: &'a [u32], input: &[u32], output: &mut [u32]) -> Option<&'a [u32]> {
        let done = super::dense::fixed_at_once(words, input, output, S::CAPABILITIES);
        if super::dense::takes_all(S::CAPABILITIES) {
            return done;
        }
        done.or_else(|| super::dense::fixed_layer(words, input, output, S::CAPABILITIES))
    }

    fn dense_hidden(layer: &Dense<'_>, input: &[i16], output: &mut [i16]) -> Option<()> {
        if S::CAPABILITIES.has(Capability::Activations) {
            super::dense::fixed_hidden(layer, input, output)
        } else {
            super::dense::fixed_relu(layer, input, output)
        }
    }

    fn hidden_slopes(layer: &Dense<'_>, input: &[i16], out: &mut [f32]) -> Option<()> {
        super::dense::fixed_slopes(layer, input, out)
    }

    fn dense_output(layer: &Dense<'_>, input: &[i16], output: &mut [i32]) -> Option<()> {
        super::dense::fixed_output(layer, input, output)
    }

    #[inline(always)]
    fn check_dense(layer: &Dense<'_>) -> Result<(), Fault> {
        let malformed = Err(Fault::malformed(Part::Conditioner));
        if layer.encoding.is_float() {
            return malformed;
        }
        S::CAPABILITIES.check_activation(layer.activation)?;
        if !super::dense::is_native(layer.encoding) && !S::CAPABILITIES.has(Capability::OtherOrders) {
            return Err(Fault::left_out(Capability::OtherOrders));
        }
        if layer.inputs > super::dense::NARROW && !S::CAPABILITIES.has(Capability::WideLayers) {
            return Err(Fault::left_out(Capability::WideLayers));
        }
        let is_homogeneous = layer.activation.is_homogeneous();
        // From one to 62 for a product, from zero to 30 else.
        let is_scaled = u8::from(layer.is_output || !is_homogeneous);
        let shift_fits = layer.shift.wrapping_sub(is_scaled) < 31 << is_scaled;
        let activation_fits = if is_homogeneous {
            layer.activation_shift == 0
        } else {
            activation::shift_is_valid(layer.activation, layer.activation_shift)
        };
        if !shift_fits || !activation_fits {
            return malformed;
        }
        super::dense::check_accumulators(layer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    extern crate std;
    use std::vec::Vec;

    #[test]
    fn shifted_products_are_those_of_64_bits() {
        let ends = [i32::MIN, i32::MIN + 1, -65537, -65536, -65535, -1, 0, 1, 65535, 65536, i32::MAX];
        let mut state = 3u64;
        let mut random = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 32) as i32
        };
        let pairs: Vec<(i32, i32)> = ends
            .iter()
            .flat_map(|&a| ends.map(|b| (a, b)))
            .filter(|&pair| pair != (i32::MIN, i32::MIN))
            .chain((0..4000).map(|i| (random() >> (i % 31), random() >> (i % 29))))
            .collect();
        for (a, b) in pairs {
            let product = i64::from(a) * i64::from(b);
            assert_eq!(product_high_by_halves(a, b), (product >> 32) as i32, "{a} {b}");
            let rounded = ((product + (1 << 31)) >> 32) as i32;
            assert_eq!(product_high_rounded_by_halves(a, b), rounded, "{a} {b}");
            for bits in 1..=63 {
                assert_eq!(
                    product_shift(a, b, bits),
                    saturate(round_shift(product, bits)),
                    "{a} {b} by {bits}"
                );
            }
        }
    }
}
