//! Readings near the data, and readings past the limit, in f32.

use super::bits::{is_beyond, saturated};
use crate::arithmetic::{parameters_of_each, READING_LIMIT};

/// Words of one feature: mean, 1 / std, std.
const WORDS: usize = 3;
/// Standardized features are cut off here before they are scaled: their quotients stay finite.
const REACH: f32 = 1e38;
/// The number before the limit.
const BELOW_LIMIT: f32 = READING_LIMIT.next_down();

/// See [`crate::arithmetic::Arithmetic::standardize_each`]. Beside the trait, whose generic functions are compiled for
/// size where their users are.
pub(super) fn each(readings: &[f32], parameters: &[u32], values: &mut [f32]) -> Option<bool> {
    let mut is_far = false;
    let parameters = parameters_of_each::<WORDS>(parameters, readings.len());
    for ((value, &reading), &[mean, inverse_std, _]) in values.iter_mut().zip(readings).zip(parameters) {
        let z = (reading - f32::from_bits(mean)) * f32::from_bits(inverse_std);
        *value = z;
        if is_beyond(z, BELOW_LIMIT) {
            *value = READING_LIMIT.copysign(z);
            is_far = true;
        }
    }
    Some(is_far)
}

/// See [`crate::arithmetic::Arithmetic::standardize_far`].
pub(super) fn far(readings: &[f32], parameters: &[u32], values: &mut [f32]) -> Option<()> {
    let mut farthest = READING_LIMIT;
    let parameters = parameters_of_each::<WORDS>(parameters, readings.len());
    for ((value, &reading), &[mean, inverse_std, _]) in values.iter_mut().zip(readings).zip(parameters) {
        let z = (reading - f32::from_bits(mean)) * f32::from_bits(inverse_std);
        *value = saturated(z, REACH);
        if is_beyond(*value, farthest) {
            farthest = value.abs();
        }
    }
    for value in values.iter_mut() {
        // Not by a factor for all: 1 / 10^38 is subnormal.
        *value = saturated(*value / farthest * READING_LIMIT, READING_LIMIT);
    }
    Some(())
}
