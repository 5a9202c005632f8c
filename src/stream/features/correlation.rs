//! Correlation of two channels over a window: Pearson's, without delay.
//!
//! Budget: 4e-6 in f32, 2e-3 in integers (of channels that peak at 16 counts or more); 0 where a channel stands still.

use super::log;
use super::moments::{power, FixedMoments, FloatMoments, Sum};

/// Error budget in f32.
pub const ABSOLUTE_F32: f64 = 4e-6;
/// Error budget in integers.
pub const ABSOLUTE_I16: f64 = 2e-3;

pub(super) fn of_f32(a: (&[f32], &FloatMoments), b: (&[f32], &FloatMoments)) -> f32 {
    let ((xs, of_x), (ys, of_y)) = (a, b);
    let energy = of_x.square * of_y.square;
    if energy == 0.0 {
        return 0.0;
    }
    let (factor_x, factor_y) = (power(-of_x.exponent), power(-of_y.exponent));
    let mut sum = Sum::default();
    for (&x, &y) in xs.iter().zip(ys) {
        sum.add(of_x.deviation(x, factor_x) * of_y.deviation(y, factor_y));
    }
    let r = sum.total() / xs.len() as f32 / libm::sqrtf(energy);
    r.clamp(-1.0, 1.0)
}

pub(super) fn of_i16(a: (&[i16], &FixedMoments), b: (&[i16], &FixedMoments)) -> f32 {
    let ((xs, of_x), (ys, of_y)) = (a, b);
    let mut sum = 0i64;
    for (&x, &y) in xs.iter().zip(ys) {
        sum += i64::from(of_x.deviation(x) * of_y.deviation(y));
    }
    if sum == 0 || of_x.square == 0 || of_y.square == 0 {
        return 0.0;
    }
    let r = log::log2(sum.unsigned_abs()) - (log::log2(of_x.square) + log::log2(of_y.square)) / 2;
    log::signed(sum < 0, r.min(0))
}
