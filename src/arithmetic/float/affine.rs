//! Scale maps of affine couplings in f32, besides tanh.

use super::Elementary;

/// `clamp raw / (1 + |raw|)`.
pub(super) fn soft_sign(raw: f32, clamp: f32) -> f32 {
    clamp * (raw / (1.0 + raw.abs()))
}

/// `ln(sigmoid(y) + floor)`, in the form of [`crate::arithmetic::fixed::affine::log_sigmoid`].
pub(super) fn log_sigmoid<E: Elementary>(y: f32, floor: f32) -> f32 {
    let e = E::exp(-y.abs());
    let below = E::ln(1.0 + e);
    let above = if y >= 0.0 {
        E::ln((1.0 + floor) + floor * e)
    } else if floor == 0.0 {
        y
    } else {
        E::ln(e * (1.0 + floor) + floor)
    };
    above - below
}
