//! Independent standard normals: `log_prob = -(sum of z^2) / 2 - n ln(2 pi) / 2`, computed by
//! [`Arithmetic::standard_normal`].

use crate::arithmetic::Arithmetic;

/// The slope of `-log_prob` is z itself.
pub(super) fn slope<A: Arithmetic>(z: &[A::Value], slope: &mut [f32]) {
    for (slope, &z) in slope.iter_mut().zip(z) {
        *slope = A::to_f32(z);
    }
}
