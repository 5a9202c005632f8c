//! Affine couplings in fixed point: the loop of those with a tanh clamp, and the other scale maps.
//!
//! The log-scale of `clamp tanh(raw)` is bounded, and so is its exponential: with `clamp log2(e) < 2^n` a scale is a
//! number of 31 bits with a fixed place of its point, and scaling a value that is not far out takes two shifts and
//! one rounded long product.
//!
//! | function | domain | error budget |
//! |---|---|---|
//! | [`soft_sign`] | all | 1.6e-5 absolute per unit of the clamp, plus half a unit of Q15.16 |
//! | [`log_sigmoid`] | all | 6e-5 absolute |
//! | [`ln_q30`] | `> 0` | 2e-5 absolute |

use super::elementary::{self, high_rounded};
use super::standardize::quotient;
use super::{round_shift, saturate, scale, table, FRACTION_BITS, ONE};

/// ln(2) in Q31.
const LN_2_Q31: i64 = 1_488_522_236;
/// One, in Q2.30.
pub const ONE_Q30: u32 = 1 << 30;
/// Least floor of a sigmoid scale that is not zero, in Q2.30: 2^-16. Below it the last bit of the exponential
/// weighs more than the budget allows.
pub const LEAST_FLOOR: u32 = 1 << 14;

/// Largest clamp that `affine_tanh` takes the faster way, in Q15.16: 3.4, so that scales stay below 2^5.
pub const FAST_CLAMP: i32 = 222_822;
/// `clamp` counts as at most this, in Q15.16: 16,383 nats.
const LARGEST_CLAMP: i32 = (1 << 30) - 1;

/// What the features of one coupling share.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Scales {
    /// The clamp in Q17, as a multiplier of Q31 that leaves Q16.
    pub(super) clamp: i32,
    /// `clamp log2(e)` in Q22, which leaves Q21.
    pub(super) octaves: i32,
    /// All scales are below `2^bits`, 1 to 5.
    pub(super) bits: u32,
}

impl Scales {
    /// `None` for a clamp that the faster way does not take.
    #[must_use]
    pub fn new(clamp: i32) -> Option<Self> {
        (1..=FAST_CLAMP).contains(&clamp).then(|| Self::of_checked(clamp))
    }

    /// [`Self::new`] of a clamp that it takes.
    #[inline(always)]
    fn of_checked(clamp: i32) -> Self {
        // Q24 times Q30, to Q22.
        let octaves = high_rounded(clamp << 8, elementary::LOG2_E_Q30);
        // What the compiler knows of its sign would cost a product of each feature three instructions more.
        let octaves = core::hint::black_box(octaves);
        Scales { clamp: clamp << 1, octaves, bits: (octaves as u32 >> 22) + 1 }
    }

    /// All scales are below two to this, 1 to 5.
    #[must_use]
    pub fn bits(self) -> u32 {
        self.bits
    }

    /// tanh in Q31 to the log-scale in Q15.16.
    #[cfg(not(flowlet_integer_kernels = "armv81m"))]
    #[inline(always)]
    #[must_use]
    pub fn log_scale(self, tanh: i32) -> i32 {
        high_rounded(tanh, self.clamp)
    }

    /// tanh in Q31 to its scale in units of `2^(bits - 31)`.
    #[inline(always)]
    #[must_use]
    pub fn scale(self, tanh: i32) -> i32 {
        let (mantissa, exponent) = elementary::exp2_q21(high_rounded(tanh, self.octaves));
        // exponent < bits, as |tanh| <= 1 - 2^-22.
        let right = (self.bits as i32).wrapping_sub(1).wrapping_sub(exponent);
        (mantissa >> (right & 31)) as i32
    }

    /// `x` times a scale.
    #[inline(always)]
    fn apply(self, x: i32, scale: i32) -> i32 {
        let left = self.bits + 1;
        let lifted = x << (left & 31);
        if lifted >> (left & 31) == x {
            high_rounded(lifted, scale)
        } else {
            self.apply_far(x, scale)
        }
    }

    /// The same for any `x`.
    #[cold]
    #[inline(never)]
    fn apply_far(self, x: i32, scale: i32) -> i32 {
        // 26 to 30 bits; halving last needs no room for the rounding.
        let product = i64::from(x) * i64::from(scale);
        saturate(((product >> (30u32.wrapping_sub(self.bits) & 31)) + 1) >> 1)
    }
}

/// `clamp * tanh(raw)` in Q15.16.
#[must_use]
pub fn log_scale(raw: i32, clamp: i32) -> i32 {
    high_rounded(elementary::tanh_q31(raw), clamp.min(LARGEST_CLAMP) << 1)
}

/// See [`crate::arithmetic::Arithmetic::affine_tanh`].
///
/// Without `wide`, the image was checked to have no clamp above [`FAST_CLAMP`].
#[inline(always)]
pub(super) fn affine_tanh(x: &mut [i32], shifts: &[i32], raws: &mut [i32], clamp: i32, wide: bool) -> i64 {
    let scales = if wide { Scales::new(clamp) } else { Some(Scales::of_checked(clamp)) };
    match scales {
        #[cfg(flowlet_integer_kernels = "armv81m")]
        Some(scales) => {
            let (log_det, is_done) = super::armv81m::affine_tanh(x, shifts, raws, scales);
            if !is_done {
                scale_each(x, shifts, raws, scales);
            }
            i64::from(log_det)
        }
        #[cfg(not(flowlet_integer_kernels = "armv81m"))]
        Some(scales) => {
            // Two loops, each with registers of its own: what one needs does not fit.
            let log_det = tanh_each(raws, scales);
            scale_each(x, shifts, raws, scales);
            log_det
        }
        None => affine_tanh_wide(x, shifts, raws, clamp),
    }
}

/// tanh in Q31 of each, in place; gives the sum of the log-scales.
#[cfg(not(flowlet_integer_kernels = "armv81m"))]
#[inline(never)]
fn tanh_each(raws: &mut [i32], scales: Scales) -> i64 {
    // 256 times the largest clamp that comes here fit 26 bits.
    let mut log_det = 0i32;
    for raw in raws {
        *raw = elementary::tanh_q31(*raw);
        log_det = log_det.wrapping_add(scales.log_scale(*raw));
    }
    i64::from(log_det)
}

/// `x * scale + shift` of each, in place.
#[inline(never)]
fn scale_each(x: &mut [i32], shifts: &[i32], tanhs: &[i32], scales: Scales) {
    for ((x, &shift), &tanh) in x.iter_mut().zip(shifts).zip(tanhs) {
        *x = scales.apply(*x, scales.scale(tanh)).saturating_add(shift);
    }
}

/// [`affine_tanh`] with a clamp of any size.
#[cold]
fn affine_tanh_wide(x: &mut [i32], shifts: &[i32], raws: &[i32], clamp: i32) -> i64 {
    let mut log_det = 0i64;
    for ((x, &shift), &raw) in x.iter_mut().zip(shifts).zip(raws) {
        let log_scale = log_scale(raw, clamp);
        *x = scale(*x, elementary::exp(log_scale)).saturating_add(shift);
        log_det = log_det.wrapping_add(i64::from(log_scale));
    }
    log_det
}

/// See [`crate::arithmetic::Arithmetic::affine_tanh_inverse`].
pub(super) fn affine_tanh_inverse(z: &mut [i32], shifts: &[i32], raws: &[i32], clamp: i32) -> i64 {
    let mut log_det = 0i64;
    for ((z, &shift), &raw) in z.iter_mut().zip(shifts).zip(raws) {
        let log_scale = log_scale(raw, clamp);
        let moved = z.saturating_sub(shift);
        *z = match Scales::new(clamp) {
            Some(scales) => scales.apply(moved, scales.scale(elementary::tanh_q31(raw).wrapping_neg())),
            None => scale(moved, elementary::exp(log_scale.saturating_neg())),
        };
        log_det = log_det.wrapping_add(i64::from(log_scale));
    }
    log_det
}

/// `clamp raw / (1 + |raw|)`, in Q15.16.
#[must_use]
pub fn soft_sign(raw: i32, clamp: i32) -> i32 {
    // What a denominator below 2^31 takes; all shares beyond are the same.
    let size = raw.unsigned_abs().min((i32::MAX - ONE) as u32);
    // Rounded to nearest, and below one, so that the product with the clamp fits.
    let share = (quotient(size, size + ONE as u32, FRACTION_BITS + 1) + 1) >> 1;
    let share = if raw < 0 { -i64::from(share) } else { i64::from(share) };
    round_shift(share * i64::from(clamp), FRACTION_BITS) as i32
}

/// `ln(sigmoid(y) + floor)` for y in Q15.16 and the floor in Q2.30, at most one; in Q15.16.
///
/// With `e = exp(-|y|)` it is `ln((1 + floor) + floor e) - ln(1 + e)` for `y >= 0`, else
/// `ln(e (1 + floor) + floor) - ln(1 + e)`: no difference of near numbers, and no division.
#[must_use]
pub fn log_sigmoid(y: i32, floor: u32) -> i32 {
    let floor = floor.min(ONE_Q30);
    let (mantissa, exponent) = elementary::exp(if y < 0 { y } else { y.saturating_neg() });
    // exp of what is not positive: at most one.
    let e = match exponent {
        0.. => ONE_Q30,
        -31..=-1 => round_shift(i64::from(mantissa), exponent.unsigned_abs()) as u32,
        _ => 0,
    };
    let below = ln_q30(ONE_Q30 + e);
    let product = |a: u32, b: u32| ((u64::from(a) * u64::from(b) + (1 << 29)) >> 30) as u32;
    let above = if y >= 0 {
        ln_q30(ONE_Q30 + floor + product(floor, e))
    } else if floor == 0 {
        y
    } else {
        ln_q30(product(e, ONE_Q30 + floor) + floor)
    };
    above.saturating_sub(below)
}

/// Natural logarithm of `x > 0` in Q2.30, in Q15.16; that of 2^-30 for zero.
#[must_use]
pub fn ln_q30(x: u32) -> i32 {
    let x = x.max(1);
    let zeros = x.leading_zeros();
    // As `elementary::ln`: six bits of index, sixteen of position.
    let normal = x << (zeros & 31);
    let index = ((normal >> 25) & 0x3f) as usize;
    let position = (normal >> 9) & 0xffff;
    let log2 = table::log2(index, position).unwrap_or(0);
    let whole = (1 - zeros as i32) << 20;
    round_shift(i64::from(whole + log2) * LN_2_Q31, 35) as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn real(q: i32) -> f64 {
        f64::from(q) / 65536.0
    }

    #[test]
    fn ln_keeps_its_budget_below_one_too() {
        let mut worst = 0f64;
        for x in (1..4000u32).chain((4000..=u32::MAX - 100_003).step_by(100_003)) {
            let exact = (f64::from(x) / f64::from(1u32 << 30)).ln();
            worst = worst.max((real(ln_q30(x)) - exact).abs());
        }
        assert!(worst < 2e-5, "{worst:e}");
        assert_eq!(ln_q30(ONE_Q30), 0);
    }

    #[test]
    fn log_sigmoid_keeps_its_budget() {
        let mut worst = 0f64;
        for floor in [0.0, f64::from(LEAST_FLOOR) / f64::from(ONE_Q30), 1e-3, 0.25, 1.0] {
            let word = (floor * f64::from(ONE_Q30)).round() as u32;
            let floor = f64::from(word) / f64::from(ONE_Q30);
            for y in (-40 * ONE..40 * ONE).step_by(97) {
                let exact = if floor == 0.0 && y < 0 {
                    real(y) - real(y).exp().ln_1p()
                } else {
                    (1.0 / (1.0 + (-real(y)).exp()) + floor).ln()
                };
                worst = worst.max((real(log_sigmoid(y, word)) - exact).abs());
            }
        }
        assert!(worst < 6e-5, "{worst:e}");
        assert_eq!(log_sigmoid(i32::MIN, 0), i32::MIN);
        assert_eq!(log_sigmoid(i32::MAX, 0), 0);
        assert!((real(log_sigmoid(i32::MIN, ONE_Q30 / 1000)) - 0.001f64.ln()).abs() < 1e-4);
    }

    #[test]
    fn soft_sign_keeps_its_budget_and_is_odd_and_monotone() {
        let clamp = 3 * ONE;
        let (mut worst, mut before) = (0f64, i32::MIN);
        for raw in (-60 * ONE..60 * ONE).step_by(331).chain([i32::MAX]) {
            let found = soft_sign(raw, clamp);
            let exact = 3.0 * real(raw) / (1.0 + real(raw).abs());
            worst = worst.max((real(found) - exact).abs());
            assert!(found >= before && soft_sign(-raw, clamp) <= -found + 1, "{raw}");
            before = found;
        }
        assert!(worst < 3.0 * 1.6e-5 + 0.8e-5, "{worst:e}");
        assert_eq!(soft_sign(i32::MIN, ONE), -ONE + 2);
    }

    #[test]
    fn soft_sign_is_a_rounded_quotient_of_64_bits() {
        let last = (i32::MAX - 40_000..=i32::MAX).step_by(7);
        let near = i32::MAX - ONE - 9..i32::MAX - ONE + 9;
        let all = (0..1 << 20).chain((0..i32::MAX).step_by(1013)).chain(last).chain(near);
        for raw in all.flat_map(|raw| [raw, -raw]).chain([i32::MIN]) {
            let (size, below) = (u64::from(raw.unsigned_abs()), u64::from(raw.unsigned_abs()) + ONE as u64);
            let share = (((size << FRACTION_BITS) + below / 2) / below) as i32;
            assert_eq!(soft_sign(raw, ONE), if raw < 0 { -share } else { share }, "{raw}");
        }
    }
}
