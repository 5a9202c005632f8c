//! What is not beaten in all respects at once.

use serde::Serialize;

/// A candidate as a plot of quality against cost shows it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Point {
    /// What it is.
    pub name: String,
    /// Quality without labels, larger is better; see `proxy.rs`.
    pub proxy: f64,
    /// Predicted instructions of a score.
    pub instructions: u64,
    /// Bytes of its image.
    pub image_bytes: usize,
    /// Whether no other one is at least as good in proxy, instructions and bytes, and better in one.
    pub pareto: bool,
    /// Whether it became the image.
    pub chosen: bool,
}

/// Marks the points (quality, costs) that no other one beats: of equal points the first.
#[must_use]
pub fn front<const N: usize>(points: &[(f64, [f64; N])]) -> Vec<bool> {
    let beats = |a: usize, b: usize| {
        let ((quality, costs), (other, others)) = (&points[a], &points[b]);
        let no_worse = quality >= other && costs.iter().zip(others).all(|(a, b)| a <= b);
        no_worse && (points[a] != points[b] || a < b)
    };
    (0..points.len()).map(|b| !(0..points.len()).any(|a| a != b && beats(a, b))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_front_is_what_nothing_beats() {
        let points = [
            (0.9, [10.0, 5.0]),
            (0.8, [10.0, 5.0]), // beaten by the first
            (0.8, [9.0, 6.0]),  // cheaper in one
            (0.9, [10.0, 5.0]), // a twin
            (0.1, [1.0, 1.0]),  // the cheapest
            (0.1, [1.0, 2.0]),  // beaten by it
        ];
        assert_eq!(front(&points), [true, false, true, false, true, false]);
        assert_eq!(front::<2>(&[]), Vec::<bool>::new());
    }
}
