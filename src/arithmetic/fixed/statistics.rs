//! [`StatisticsArithmetic`] in integers.

use super::{convert, FixedWith, FRACTION_BITS, MULTIPLIER_BITS};
use crate::arithmetic::statistics::StatisticsArithmetic;
use crate::support::Support;

/// `2^32 / count`, rounded, for `count` from 0 (unused) to 8.
const RECIPROCALS: [u32; 9] =
    [0, 0, 1 << 31, 1_431_655_765, 1 << 30, 858_993_459, 715_827_883, 613_566_757, 1 << 29];

impl<S: Support> StatisticsArithmetic<i64> for FixedWith<S> {
    fn log_from_f32(x: f32) -> i64 {
        convert::f32_to_fixed(x, FRACTION_BITS as i32)
    }

    fn mean_log(sum: i64, count: usize) -> i64 {
        match RECIPROCALS.get(count) {
            Some(&reciprocal) if reciprocal > 0 => {
                let reciprocal = i64::from(reciprocal);
                // The upper half's product is whole in units of 2^32; the lower half's is rounded.
                let (high, low) = (sum >> 32, sum & 0xffff_ffff);
                let low = (low.wrapping_mul(reciprocal)).wrapping_add(1 << 31) >> 32;
                high.wrapping_mul(reciprocal).wrapping_add(low)
            }
            _ => sum,
        }
    }

    fn inverse_std(parameters: &[u32]) -> Option<f32> {
        let (_, multiplier, _, exponent) = Self::standardizer(parameters)?;
        // z 2^16 = (x 2^exponent - center) multiplier / 2^28.
        let fraction_bits = (FRACTION_BITS + MULTIPLIER_BITS) as i32 - exponent;
        Some(convert::fixed_to_f32(multiplier, fraction_bits))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Fixed;
    use super::*;

    #[test]
    fn means_are_rounded_quotients() {
        let mut state = 9u64;
        for i in 0..100_000u64 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let sum = (state as i64) >> (i % 48);
            for count in 1..=8usize {
                let exact = sum as f64 / count as f64;
                let found = Fixed::mean_log(sum, count);
                let bound = 0.5 + (sum as f64).abs() * (2f64.powi(-33) + 2f64.powi(-52));
                assert!((found as f64 - exact).abs() <= bound, "{sum} / {count}: {found}");
                if count.is_power_of_two() && sum.unsigned_abs() < 1 << 52 {
                    assert_eq!(found, (exact + 0.5).floor() as i64, "{sum} / {count}");
                }
            }
        }
        // Three experts that agree: their mean is what each says, up to 2^31 units (32,768 nats).
        for log in [0, 1, -1, 70_000, -70_000, 1 << 30, -(1 << 30)] {
            assert_eq!(Fixed::mean_log(3 * log, 3), log);
        }
        assert_eq!(Fixed::mean_log(i64::MIN, 2), i64::MIN / 2);
    }
}
