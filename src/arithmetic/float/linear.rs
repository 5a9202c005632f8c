//! Gains and rows of weights in f32.
//!
//! ```text
//! gain  word 0   u, normal
//!       word 1   1 / u, normal
//! row   weights, f32
//! ```

use super::finite;

/// Words of a gain.
pub(super) const GAIN_WORDS: usize = 2;

/// `x` times the gain.
pub(super) fn gain(x: f32, words: &[u32]) -> Option<f32> {
    let &[gain, _] = words else { return None };
    Some(x * f32::from_bits(gain))
}

/// `y` times the stored reciprocal.
pub(super) fn gain_inverse(y: f32, words: &[u32]) -> Option<f32> {
    let &[_, reciprocal] = words else { return None };
    Some(y * f32::from_bits(reciprocal))
}

/// Whether the gain is above zero, if its words are in range.
pub(super) fn gain_is_positive(words: &[u32]) -> Option<bool> {
    gain_to_f32(words).map(f32::is_sign_positive)
}

/// The gain itself, if its words are in range.
pub(super) fn gain_to_f32(words: &[u32]) -> Option<f32> {
    let &[gain, reciprocal] = words else { return None };
    let (gain, reciprocal) = (f32::from_bits(gain), f32::from_bits(reciprocal));
    let in_range = gain.is_normal() && reciprocal.is_normal() && (gain * reciprocal - 1.0).abs() < 1e-6;
    in_range.then_some(gain)
}

pub(super) fn row_is_valid(words: &[u32], weights: usize) -> bool {
    words.len() == weights && words.iter().all(|&w| finite(w).is_some())
}

/// The sum of `x` times the weights, in order.
pub(super) fn row_sum(words: &[u32], x: &[f32]) -> Option<f32> {
    let weights: &[f32] = bytemuck::cast_slice(words);
    let mut sum = 0.0;
    for (&w, &x) in weights.iter().zip(x) {
        sum += w * x;
    }
    Some(sum)
}

/// A weight.
pub(super) fn row_weight(words: &[u32], index: usize) -> Option<f32> {
    words.get(index).map(|&w| f32::from_bits(w))
}
