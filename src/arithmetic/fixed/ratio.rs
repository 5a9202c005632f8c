//! Quotients, roots and numbers with an exponent, in integers, for maps that need more range than Q15.16.
//!
//! A Cortex-M4 divides 32 by 32 bits in hardware and nothing wider: a quotient here is one such division,
//! a Newton step, and multiplications. Errors are against exact arithmetic; the tests hold the budgets.
//!
//! | function | error budget |
//! |---|---|
//! | [`ratio`] | 2^-29 absolute |
//! | [`sqrt`] | 1, downwards |
//! | [`log2`], of a [`Scaled`] too | 2e-6 absolute |
//! | [`exp_negative`] | 5e-7 relative plus 2^-30 |
//! | [`softplus`] | 7e-5 relative, and no more than 1.5e-6 absolute, plus 2^-29 |

use super::table;

/// Of [`ratio`]: 2^-29.
pub const RATIO_ABSOLUTE: f64 = 1.0 / 536_870_912.0;
/// Of [`log2`].
pub const LOG2_ABSOLUTE: f64 = 2e-6;
/// Of [`exp_negative`], beside [`EXP_NEGATIVE_ABSOLUTE`].
pub const EXP_NEGATIVE_RELATIVE: f64 = 5e-7;
/// Of [`exp_negative`]: 2^-30.
pub const EXP_NEGATIVE_ABSOLUTE: f64 = 1.0 / 1_073_741_824.0;
/// Of [`softplus`], beside [`SOFTPLUS_FLOOR`].
pub const SOFTPLUS_RELATIVE: f64 = 7e-5;
/// Of [`softplus`], likewise.
pub const SOFTPLUS_ABSOLUTE: f64 = 1.5e-6;
/// Of [`softplus`]: 2^-29.
pub const SOFTPLUS_FLOOR: f64 = 1.0 / 536_870_912.0;

/// One in Q31, the format of shares.
pub const UNIT: u32 = 1 << 31;
/// ln(2) in Q18 and twice one in Q15, both fitted over the remainder of a power of two.
const REMAINDER_LINEAR: u32 = 181_703;
const REMAINDER_SQUARE: u32 = 65_860;
/// ln(2) in Q31.
const LN_2_Q31: u64 = 1_488_522_236;
/// log2(e) in Q30.
const LOG2_E_Q30: u64 = 1_549_082_005;

/// A positive number `mantissa * 2^exponent`, the mantissa within `[2^31, 2^32)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Scaled {
    /// Its top bit is set.
    pub mantissa: u32,
    /// Power of two.
    pub exponent: i32,
}

impl Scaled {
    /// `x * 2^exponent`, cut to 32 bits; zero counts as one.
    #[must_use]
    pub fn new(x: u64, exponent: i32) -> Self {
        let x = x | u64::from(x == 0);
        let zeros = x.leading_zeros();
        Scaled {
            mantissa: ((x << (zeros & 63)) >> 32) as u32,
            exponent: exponent.wrapping_add(32).wrapping_sub(zeros as i32),
        }
    }

    /// The product, cut to 32 bits.
    #[must_use]
    pub fn times(self, other: Self) -> Self {
        let product = u64::from(self.mantissa).wrapping_mul(u64::from(other.mantissa));
        Self::new(product, self.exponent.wrapping_add(other.exponent))
    }

    /// `self * 2^-exponent` as an integer, at least 1; saturates.
    #[must_use]
    pub fn at(self, exponent: i32) -> u32 {
        let right = exponent.wrapping_sub(self.exponent);
        match right {
            1..=31 => (self.mantissa >> right).max(1),
            32.. => 1,
            0 => self.mantissa,
            _ => u32::MAX,
        }
    }

    /// `log2(self)` in Q20.
    #[must_use]
    pub fn log2(self) -> i32 {
        log2(self.mantissa).wrapping_add(self.exponent.wrapping_add(31) << 20)
    }
}

/// `2^63 / d` for `d` with its top bit set, within 2^-30 relative; saturates.
#[must_use]
pub fn reciprocal(d: u32) -> u32 {
    // 17 bits from the divider; the Newton step squares the error. Rounding the divisor halves it.
    let high = (d >> 16) + ((d >> 15) & 1);
    let guess = u32::MAX.checked_div(high).unwrap_or(0);
    // 2^48 - d guess is below 2^33 in size: cut by 4 bits it fits i32, as one SMULL wants it.
    let error = (1i64 << 48).wrapping_sub(u64::from(d).wrapping_mul(u64::from(guess)) as i64);
    let step = ((error >> 4) as i32 as i64).wrapping_mul(i64::from(guess as i32)) >> 29;
    let refined = (i64::from(guess) << 15).wrapping_add(step);
    if refined > i64::from(u32::MAX) {
        u32::MAX
    } else {
        refined as u32
    }
}

/// `numerator / denominator` in Q31 for `numerator <= denominator`, at most [`UNIT`]; a denominator of zero
/// gives zero.
#[must_use]
pub fn ratio(numerator: u64, denominator: u64) -> u32 {
    let zeros = denominator.leading_zeros();
    if zeros == 64 {
        return 0;
    }
    let denominator = ((denominator << zeros) >> 32) as u32;
    let numerator = ((numerator.min(u64::MAX >> zeros) << zeros) >> 32) as u32;
    let share = u64::from(numerator).wrapping_mul(u64::from(reciprocal(denominator)));
    ((share >> 32) as u32).min(UNIT)
}

/// Square root, rounded down.
#[must_use]
pub fn sqrt(x: u64) -> u32 {
    // One bit of the root at a time, from the top: `bit` is its square's place.
    let (mut rest, mut root, mut bit) = (x, 0u64, 1u64 << 62);
    while bit != 0 {
        let trial = root | bit;
        root >>= 1;
        if rest >= trial {
            rest = rest.wrapping_sub(trial);
            root |= bit;
        }
        bit >>= 2;
    }
    root as u32
}

/// `log2(x / 2^31)` in Q20 for `x` with its top bit set.
#[must_use]
pub fn log2(x: u32) -> i32 {
    let index = ((x >> 25) & 0x3f) as usize;
    table::log2(index, (x >> 9) & 0xffff).unwrap_or(0)
}

/// `e^-d` in Q30, for `d` in Q12.20; zero past 21.
#[inline(always)]
#[must_use]
pub fn exp_negative(d: u32) -> u32 {
    if d >= 21 << 20 {
        return 0;
    }
    // -d log2(e) = f - whole, in Q20; d log2(e) is below 2^25.
    let t = (u64::from(d).wrapping_mul(LOG2_E_Q30).wrapping_add(1 << 29) >> 30) as u32;
    let f = t.wrapping_neg();
    let whole = (t + 0xf_ffff) >> 20;
    let base = table::EXP2.get(((f >> 14) & 63) as usize).copied().unwrap_or(1 << 30);
    // The remainder r < 2^-6: 2^r - 1 = u + u^2/2 + u^3/6 + ..., u = r ln 2 in Q30; the two factors make up
    // for the cubic term, to 2e-8.
    let u = ((f & 0x3fff) * REMAINDER_LINEAR + (1 << 7)) >> 8;
    let square = ((((u >> 8) * (u >> 8)) >> 16) * REMAINDER_SQUARE) >> 15;
    let growth = (u64::from(u + square).wrapping_mul(u64::from(base)) >> 30) as u32;
    (base + growth) >> (whole & 31)
}

/// `ln(1 + e^x)` in Q30 for `x` in Q15.16.
#[must_use]
pub fn softplus(x: i32) -> u64 {
    let size = x.unsigned_abs();
    let small = if size < 22 << 16 { exp_negative(size << 4) } else { 0 };
    let grown = if small < 1 << 24 {
        // t - t^2 / 2 + t^3 / 3 for t below 1/64; the powers in Q30 fit 32 bits.
        let square = (u64::from(small).wrapping_mul(u64::from(small)) >> 30) as u32;
        let cube = (u64::from(square).wrapping_mul(u64::from(small)) >> 30) as u32;
        u64::from(small - (square >> 1) + (cube.wrapping_mul(21_845) >> 16))
    } else {
        let one_more = ((1 << 30) + small) << 1;
        // A sum of 2 is one octave more.
        let octaves = if small >= 1 << 30 { 1 << 20 } else { log2(one_more | UNIT) };
        // Q20 times Q31, to Q30.
        (octaves as u64).wrapping_mul(LN_2_Q31) >> 21
    };
    grown + (u64::from(x.max(0) as u32) << 14)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::println;

    struct Random(u64);
    impl Random {
        fn next(&mut self) -> u64 {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            self.0 ^ (self.0 >> 29)
        }
    }

    #[test]
    fn ratio_keeps_its_budget() {
        let mut random = Random(3);
        let mut worst = 0.0_f64;
        for i in 0..500_000u32 {
            let denominator = (random.next() >> (i % 60)).max(1);
            let numerator = random.next() % denominator.saturating_add(1);
            let exact = numerator as f64 / denominator as f64;
            worst = worst.max((f64::from(ratio(numerator, denominator)) / f64::from(UNIT) - exact).abs());
        }
        println!("ratio errs by {worst:e}");
        assert!(worst < RATIO_ABSOLUTE, "{worst:e}");
        for x in [1, 2, 3, 65_535, u64::from(u32::MAX), u64::MAX] {
            assert!(ratio(x, x) >= UNIT - 2, "{x}");
            assert_eq!(ratio(0, x), 0);
        }
        assert_eq!(ratio(5, 0), 0);
        assert!(ratio(u64::MAX, 1) >= UNIT - 2);
    }

    #[test]
    fn sqrt_is_the_floor_of_the_root() {
        let mut random = Random(4);
        for i in 0..50_000u32 {
            let x = random.next() >> (i % 64);
            let root = u128::from(sqrt(x));
            assert!(root * root <= u128::from(x) && (root + 1) * (root + 1) > u128::from(x), "{x}");
        }
        assert_eq!(sqrt(u64::MAX), u32::MAX);
    }

    #[test]
    fn log2_and_exponentials_keep_their_budgets() {
        let mut worst = [0.0_f64; 4];
        for x in (UNIT..=u32::MAX).step_by(4099) {
            let exact = (f64::from(x) / f64::from(UNIT)).log2();
            worst[0] = worst[0].max((f64::from(log2(x)) / f64::from(1 << 20) - exact).abs());
        }
        for d in (0u32..22 << 20).step_by(37) {
            let (exact, found) =
                ((-f64::from(d) / f64::from(1 << 20)).exp(), f64::from(exp_negative(d)) / f64::from(1 << 30));
            worst[1] = worst[1].max(((found - exact).abs() - EXP_NEGATIVE_ABSOLUTE) / exact);
        }
        for x in (-14 << 16..14 << 16).step_by(5).chain([-30 << 16, 30 << 16, i32::MAX, i32::MIN]) {
            let real = f64::from(x) / 65536.0;
            let exact = if real > 30.0 { real } else { real.exp().ln_1p() };
            let found = softplus(x) as f64 / f64::from(1 << 30);
            let error = (found - exact).abs() - SOFTPLUS_FLOOR;
            worst[2] = worst[2].max(error / exact);
            worst[3] = worst[3].max(error);
        }
        println!("log2 {:e}, exp {:e}, softplus {:e}, {:e}", worst[0], worst[1], worst[2], worst[3]);
        assert!(worst[0] < LOG2_ABSOLUTE && worst[1] < EXP_NEGATIVE_RELATIVE, "{worst:?}");
        assert!(worst[2] < SOFTPLUS_RELATIVE && worst[3] < SOFTPLUS_ABSOLUTE, "{worst:?}");
    }

    #[test]
    fn scaled_numbers_keep_their_value() {
        let mut random = Random(5);
        for i in 0..10_000u32 {
            let (a, b) = (random.next() >> (i % 63), random.next() >> (i % 61));
            let real = |s: Scaled| f64::from(s.mantissa) * f64::from(s.exponent).exp2();
            let product = Scaled::new(a, -7).times(Scaled::new(b, 3));
            let exact = a.max(1) as f64 * b.max(1) as f64 / 16.0;
            assert!((real(product) / exact - 1.0).abs() < 1.5e-9);
            assert!((f64::from(product.log2()) / f64::from(1 << 20) - exact.log2()).abs() < LOG2_ABSOLUTE);
        }
    }
}
