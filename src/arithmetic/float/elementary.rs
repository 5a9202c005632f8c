//! exp, tanh and ln in f32: the same bits on every target, with an FPU and without.
//!
//! Of floating point they need one product and one conversion to an integer, both exactly rounded by IEEE 754;
//! the rest is integer arithmetic on tables (`host-tools/scripts/float_tables.py`). No fused multiply-add, no f64. On a
//! Cortex-M4F a table look-up and two or three products of integers take less than half of what a polynomial in f32 does.
//!
//! | function | domain | error budget |
//! |---|---|---|
//! | [`exp`] | -30 to 30 | [`EXP_RELATIVE`] |
//! | [`exp`] | all | [`EXP_RELATIVE_ALL`], from 2^-126 on |
//! | [`tanh`] | all | [`TANH_ABSOLUTE`] |
//! | [`silu`] | all | [`SILU_RELATIVE`], from -87 on |
//! | `ln` | `>= 1` | 1 unit in the last place: the `libm` crate's |

#[cfg(not(flowlet_float_kernels = "vfp"))]
use self::portable_scaled_tanh_each as scaled_tanh_each;
use super::bits::HAS_FPU;
use super::table;
#[cfg(flowlet_float_kernels = "vfp")]
use super::vfp::scaled_tanh_each;
use crate::arithmetic::fixed::product_high;
use crate::pass::is_finite;

/// Largest relative error of [`exp`] within ±30.
pub const EXP_RELATIVE: f64 = 2e-6;
/// Largest relative error of [`exp`] where it neither saturates nor leaves the normal numbers.
pub const EXP_RELATIVE_ALL: f64 = 5e-6;
/// Largest absolute error of [`tanh`].
pub const TANH_ABSOLUTE: f64 = 6e-7;
/// Largest relative error of [`silu`], where its exponential does not saturate.
pub const SILU_RELATIVE: f64 = 5e-6;

/// The transcendental functions that a flow's score needs, in f32.
pub trait Elementary: Copy + 'static {
    /// `e^x`.
    fn exp(x: f32) -> f32;
    /// Hyperbolic tangent.
    fn tanh(x: f32) -> f32;
    /// Natural logarithm of `x >= 1`.
    fn ln(x: f32) -> f32;
    /// `tanh(x)` of each, in place.
    fn tanh_each(values: &mut [f32]) {
        for value in values {
            *value = Self::tanh(*value);
        }
    }
    /// `scale * tanh(x)`.
    #[inline(always)]
    fn scaled_tanh(x: f32, scale: f32) -> f32 {
        scale * Self::tanh(x)
    }
    /// See [`crate::arithmetic::Arithmetic::affine_tanh`].
    #[inline(always)]
    fn affine_tanh(x: &mut [f32], shifts: &[f32], raws: &mut [f32], clamp: f32) -> f32 {
        let (mut log_det, mut trace) = (0.0, 0.0);
        for ((x, &shift), &mut raw) in x.iter_mut().zip(shifts).zip(raws) {
            let log_scale = Self::scaled_tanh(raw, clamp);
            *x = *x * Self::exp(log_scale) + shift;
            log_det += log_scale;
            trace += raw;
        }
        // tanh has forgotten what was no number, and the score must not.
        if is_finite(trace) {
            log_det
        } else {
            f32::NAN
        }
    }
}

/// The functions of this module; the logarithm, which no reading near the data needs, is `libm`'s.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Tables;

impl Elementary for Tables {
    #[inline(always)]
    fn exp(x: f32) -> f32 {
        exp(x)
    }
    #[inline(always)]
    fn tanh(x: f32) -> f32 {
        tanh(x)
    }
    fn ln(x: f32) -> f32 {
        libm::logf(x)
    }
    // Elsewhere the sums would cost more than the function.
    #[cfg(flowlet_float_kernels = "vfp")]
    fn tanh_each(values: &mut [f32]) {
        scaled_tanh_each(values, TANH_UNIT);
    }
    #[inline(always)]
    fn scaled_tanh(x: f32, scale: f32) -> f32 {
        tanh_units(x) * (scale * TANH_UNIT)
    }
    fn affine_tanh(x: &mut [f32], shifts: &[f32], raws: &mut [f32], clamp: f32) -> f32 {
        affine_tanh(x, shifts, raws, clamp)
    }
}

/// [`Elementary::affine_tanh`] by tables, in two loops: what one needs does not fit a Cortex-M's registers.
fn affine_tanh(x: &mut [f32], shifts: &[f32], raws: &mut [f32], clamp: f32) -> f32 {
    let sums = scaled_tanh_each(raws, clamp * TANH_UNIT);
    scale_each(x, shifts, raws);
    // tanh has forgotten what was no number, and the score must not.
    if is_finite(sums.values) {
        sums.results
    } else {
        f32::NAN
    }
}

/// Of an array's values and of what became of them, in their order.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub(super) struct Sums {
    results: f32,
    values: f32,
}

/// `unit y` of each value, y its tanh in units of 2^-31, in place.
#[cfg(not(flowlet_float_kernels = "vfp"))]
#[inline(never)]
fn portable_scaled_tanh_each(values: &mut [f32], unit: f32) -> Sums {
    let mut sums = Sums::default();
    for value in values {
        sums.values += *value;
        *value = tanh_units(*value) * unit;
        sums.results += *value;
    }
    sums
}

/// `x * exp(log_scale) + shift` of each, in place.
#[inline(never)]
fn scale_each(x: &mut [f32], shifts: &[f32], log_scales: &[f32]) {
    for ((x, &shift), &log_scale) in x.iter_mut().zip(shifts).zip(log_scales) {
        *x = *x * exp(log_scale) + shift;
    }
}

/// log2(e) in Q24.
const LOG2_E_Q24: f32 = core::f32::consts::LOG2_E * 16_777_216.0;
/// The bits of one.
const ONE_BITS: i32 = 127 << 23;
/// 2^28.
const TANH_STEP: f32 = 268_435_456.0;
/// 2^-31.
const TANH_UNIT: f32 = 1.0 / 2_147_483_648.0;

/// `e^x`: total, rising, exactly one at zero.
///
/// Saturates at the largest finite number; loses digits below 2^-126, and is zero below 2^-127. NaN counts as zero.
/// Within ±30 most of the error is the rounding of `x log2(e)` to 24 bits.
#[must_use]
// A product of 64 bits takes much code where those of 32 are all there is.
#[cfg_attr(flowlet_integer_kernels = "armv6m", inline(never))]
#[cfg_attr(not(flowlet_integer_kernels = "armv6m"), inline(always))]
pub fn exp(x: f32) -> f32 {
    // The conversion saturates, at ±128 octaves. As the bits of a number, octaves are a line through all powers of two; the
    // tables have what is missing between these.
    let octaves = x * LOG2_E_Q24;
    let octaves = if HAS_FPU { octaves as i32 } else { to_fixed(octaves, 0) };
    let line = (octaves >> 1).wrapping_add(ONE_BITS);
    let index = ((line >> 17) & 63) as usize;
    let first = table::EXP_FIRST.get(index).copied().unwrap_or(0);
    let slope = table::EXP_SLOPE.get(index).copied().unwrap_or(0);
    let r = line & 0x1_ffff;
    // It never falls: the line gains one with each unit of r, and its correction loses less.
    let slope = slope.wrapping_add((first & 0x7ff).wrapping_mul(r));
    let bits = line.wrapping_add(first >> 11).wrapping_add(product_high(slope, r));
    // Two octaves too low it is a negative number.
    f32::from_bits((bits & !(bits >> 31)) as u32)
}

/// `(x 2^fraction_bits) as i32` without floating point, for up to 30 of these.
#[cfg_attr(flowlet_integer_kernels = "armv6m", inline(never))]
#[cfg_attr(not(flowlet_integer_kernels = "armv6m"), inline(always))]
fn to_fixed(x: f32, fraction_bits: u32) -> i32 {
    let bits = x.to_bits();
    let sign = (bits as i32) >> 31;
    let mantissa = bits & 0x7f_ffff | 0x80_0000;
    let right = (157 - fraction_bits as i32) - (bits >> 23 & 0xff) as i32;
    match right {
        // Below that nothing is left.
        0..=31 => {
            let size = ((mantissa << 7) >> right) as i32;
            (size ^ sign).wrapping_sub(sign)
        }
        ..0 if bits << 1 <= 0xff00_0000 => i32::MAX ^ sign,
        _ => 0,
    }
}

/// tanh in units of 2^-31.
#[cfg_attr(flowlet_integer_kernels = "armv6m", inline(never))]
#[cfg_attr(not(flowlet_integer_kernels = "armv6m"), inline(always))]
fn tanh_units(x: f32) -> f32 {
    // In Q28; the conversion saturates at ±8.
    let x = if HAS_FPU { (x * TANH_STEP) as i32 } else { to_fixed(x, 28) };
    let size = x.unsigned_abs();
    let [c0, c1, c2, c3] = table::TANH.get((size >> 25) as usize).copied().unwrap_or_default();
    // Steps of 1/8. The lowest bit of the index is the sign of the position: odd steps are seen from their end.
    let p = (size << 6) as i32;
    let bend = c2.wrapping_add(product_high(c3, p));
    let slope = c1.wrapping_add(product_high(bend, p));
    let y = c0.wrapping_add(product_high(slope, p));
    let sign = x >> 31;
    (y ^ sign).wrapping_sub(sign) as f32
}

/// Hyperbolic tangent: total, odd, at most 1 - 2^-22; falls nowhere by more than 2^-24. NaN counts as zero.
#[must_use]
#[inline(always)]
pub fn tanh(x: f32) -> f32 {
    tanh_units(x) * TANH_UNIT
}

/// `x / (1 + e^-x)`; zero below -87.
#[must_use]
#[inline(always)]
pub fn silu(x: f32) -> f32 {
    silu_with::<Tables>(x)
}

/// [`silu`] by any exponential.
#[inline(always)]
pub(super) fn silu_with<E: Elementary>(x: f32) -> f32 {
    if x < -87.0 {
        0.0
    } else {
        x / (1.0 + E::exp(-x))
    }
}

/// Functions of the `libm` crate: exp and ln within 1 unit in the last place, tanh within 2.5. Three to four times
/// the cost, for those who want the last digit.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Libm;

impl Elementary for Libm {
    fn exp(x: f32) -> f32 {
        libm::expf(x)
    }
    fn tanh(x: f32) -> f32 {
        libm::tanhf(x)
    }
    fn ln(x: f32) -> f32 {
        libm::logf(x)
    }
}

/// `exp` and `tanh` from micromath: smaller code on parts without an FPU, 2.4e-3 relative error.
///
/// The logarithm stays with libm: micromath's errs by 0.1, which no score can bear.
#[cfg(feature = "fast-math")]
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct FastMath;

#[cfg(feature = "fast-math")]
impl Elementary for FastMath {
    fn exp(x: f32) -> f32 {
        micromath::F32Ext::exp(x)
    }
    fn tanh(x: f32) -> f32 {
        // 1 - 2 / (e^2x + 1); beyond 9 the result is 1 in f32 anyway.
        let x = x.clamp(-9.0, 9.0);
        1.0 - 2.0 / (micromath::F32Ext::exp(2.0 * x) + 1.0)
    }
    fn ln(x: f32) -> f32 {
        libm::logf(x)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::println;

    /// Every `step`-th number from `low` on to `high`, both of one sign, by their bits.
    fn floats(low: f32, high: f32, step: usize) -> impl Iterator<Item = f32> {
        (low.to_bits()..=high.to_bits()).step_by(step).map(f32::from_bits)
    }

    #[test]
    fn exp_keeps_its_budgets_and_never_falls() {
        let mut worst = [(0f64, 0f32); 2];
        for sign in [1.0f32, -1.0] {
            let mut before = 1.0;
            for x in floats(1e-9, 87.3, 97).map(|x| sign * x) {
                let found = exp(x);
                assert!(sign * (found - before) >= 0.0, "falls at {x}");
                before = found;
                let error = (f64::from(found) / f64::from(x).exp() - 1.0).abs();
                let worst = &mut worst[usize::from(x.abs() > 30.0)];
                *worst = if error > worst.0 { (error, x) } else { *worst };
            }
        }
        println!("exp within 30: {:?}; beyond: {:?}", worst[0], worst[1]);
        assert!(worst[0].0 <= EXP_RELATIVE && worst[1].0 <= EXP_RELATIVE_ALL, "{worst:?}");
        assert_eq!(exp(0.0).to_bits(), 1f32.to_bits());
        assert_eq!(exp(-0.0).to_bits(), 1f32.to_bits());
    }

    #[test]
    fn exp_is_total_and_saturates() {
        for x in [88.73f32, 88.8, 100.0, 1e30, f32::MAX, f32::INFINITY] {
            assert!(exp(x) > 3.4e38 && exp(x).is_finite(), "{x}: {}", exp(x));
        }
        for x in [-88.1f32, -104.0, -1e30, f32::MIN, f32::NEG_INFINITY] {
            assert_eq!(exp(x).to_bits(), 0, "{x}");
        }
        let mut before = 0.0;
        for x in floats(87.0, 89.0, 1).map(|x| -x).collect::<std::vec::Vec<_>>().into_iter().rev() {
            let y = exp(x);
            assert!(y >= before && (f64::from(y) - f64::from(x).exp()).abs() < 2f64.powi(-127), "{x}");
            before = y;
        }
        assert_eq!(exp(f32::NAN), 1.0);
    }

    #[test]
    fn tanh_keeps_its_budget_is_odd_and_as_good_as_monotone() {
        let (mut worst, mut before) = ((0f64, 0f32), 0f32);
        for x in floats(0.0, 9.0, 101).chain(floats(1e-3, 8.5, 13)) {
            if x == 1e-3 {
                before = 0.0;
            }
            let found = tanh(x);
            // The last place of what is below one.
            assert!(found >= before - 6e-8, "falls at {x}");
            before = found;
            assert_eq!(tanh(-x), -found);
            let error = (f64::from(found) - f64::from(x).tanh()).abs();
            worst = if error > worst.0 { (error, x) } else { worst };
        }
        println!("tanh: {worst:?}");
        assert!(worst.0 <= TANH_ABSOLUTE, "{worst:?}");
        for x in [8.0, 100.0, f32::MAX, f32::INFINITY] {
            assert_eq!(tanh(x), 1.0 - 2.0f32.powi(-22));
            assert_eq!(tanh(-x), -tanh(x));
        }
        assert_eq!(tanh(f32::NAN), 0.0);
    }

    #[test]
    fn a_conversion_without_floating_point_gives_the_same() {
        let all = (0..=u32::MAX).step_by(997).map(f32::from_bits);
        let ends = [f32::NAN, -f32::NAN, 8.0, -8.0, 0.0, -0.0, f32::INFINITY, f32::NEG_INFINITY];
        for x in all.chain(ends) {
            assert_eq!(to_fixed(x, 28), (x * TANH_STEP) as i32, "{x}");
            assert_eq!(to_fixed(x, 0), x as i32, "{x}");
        }
    }

    #[test]
    fn silu_keeps_its_budget() {
        let mut worst = 0f64;
        for x in floats(1e-6, 1e4, 997).flat_map(|x| [x, -x]) {
            let wide = f64::from(x);
            let exact = wide / (1.0 + (-wide).exp());
            let found = f64::from(silu(x));
            if x >= -87.0 {
                worst = worst.max((found / exact - 1.0).abs());
            } else {
                assert_eq!(found, 0.0);
            }
        }
        println!("silu: {worst:e}");
        assert!(worst <= SILU_RELATIVE, "{worst:e}");
        assert_eq!(silu(f32::MAX), f32::MAX);
        assert_eq!(silu(f32::MIN), 0.0);
    }
}
