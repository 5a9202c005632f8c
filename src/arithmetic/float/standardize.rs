//! Readings past the limit, in f32.

use crate::arithmetic::READING_LIMIT;

/// Words of one feature: mean, 1 / std, std.
const WORDS: usize = 3;
/// Standardized features are cut off here before they are scaled: their quotients stay finite.
const REACH: f32 = 1e38;

/// See [`crate::arithmetic::Arithmetic::standardize_far`].
pub(super) fn far(readings: &[f32], parameters: &[u32], values: &mut [f32]) -> Option<()> {
    let mut farthest = READING_LIMIT;
    for ((value, &reading), words) in values.iter_mut().zip(readings).zip(parameters.chunks_exact(WORDS)) {
        let &[mean, inverse_std, _] = words else { return None };
        let z = (reading - f32::from_bits(mean)) * f32::from_bits(inverse_std);
        *value = z.clamp(-REACH, REACH);
        farthest = farthest.max(value.abs());
    }
    for value in values.iter_mut() {
        // Not by a factor for all: 1 / 10^38 is subnormal.
        *value = (*value / farthest * READING_LIMIT).clamp(-READING_LIMIT, READING_LIMIT);
    }
    Some(())
}
