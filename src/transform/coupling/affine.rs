//! Affine coupling (RealNVP, Dinh et al. 2017): `z = x exp(log_scale) + shift`,
//! `log_det = sum(log_scale)`, with the net's outputs `[shift, raw]`.
//!
//! The log-scale is bounded, by one of several maps of `raw`.

use super::Direction;
use crate::arithmetic::Arithmetic;

/// From the net's raw output to the log-scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[non_exhaustive]
pub enum ScaleMap {
    /// `clamp tanh(raw)`.
    Tanh = 0,
}

impl ScaleMap {
    pub(super) fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(ScaleMap::Tanh),
            _ => None,
        }
    }

    fn log_scale<A: Arithmetic>(self, raw: A::Value, bound: A::Value) -> A::Value {
        match self {
            ScaleMap::Tanh => A::log_scale(raw, bound),
        }
    }

    /// `d log_scale / d raw`.
    fn derivative<A: Arithmetic>(self, _raw: A::Value, log_scale: A::Value, bound: A::Value) -> f32 {
        match self {
            ScaleMap::Tanh => {
                let bound = A::to_f32(bound);
                let tanh = A::to_f32(log_scale) / bound;
                bound * (1.0 - tanh * tanh)
            }
        }
    }
}

/// Maps the transformed part in place.
pub(super) fn couple<A: Arithmetic>(
    transformed: &mut [A::Value],
    outputs: &[A::Value],
    (scale, bound): (ScaleMap, A::Value),
    direction: Direction,
) -> Option<A::Log> {
    let (shifts, raws) = outputs.split_at_checked(transformed.len())?;
    let mut log_det = A::ZERO_LOG;
    for ((x, &shift), &raw) in transformed.iter_mut().zip(shifts).zip(raws) {
        let log_scale = scale.log_scale::<A>(raw, bound);
        *x = match direction {
            Direction::Forward => A::affine(*x, log_scale, shift),
            Direction::Inverse => A::affine_inverse(*x, log_scale, shift),
        };
        log_det = A::add_value(log_det, log_scale);
    }
    Some(log_det)
}

/// From z back to x, from the slope of z to that of x, and to those of the net's outputs.
pub(super) fn backward<A: Arithmetic>(
    transformed: &mut [A::Value],
    slope: &mut [f32],
    outputs: &[A::Value],
    (scale, bound): (ScaleMap, A::Value),
    slopes: &mut [f32],
) -> Option<()> {
    let (shifts, raws) = outputs.split_at_checked(transformed.len())?;
    let (slope_shift, slope_raw) = slopes.split_at_mut_checked(transformed.len())?;
    let parameters = shifts.iter().zip(raws);
    let to = slope_shift.iter_mut().zip(slope_raw);
    for (((x, slope), (&shift, &raw)), (to_shift, to_raw)) in
        transformed.iter_mut().zip(slope).zip(parameters).zip(to)
    {
        let log_scale = scale.log_scale::<A>(raw, bound);
        let stretched = A::to_f32(A::subtract(*x, shift));
        *x = A::affine_inverse(*x, log_scale, shift);
        *to_shift = *slope;
        // L holds -log_scale.
        *to_raw = (*slope * stretched - 1.0) * scale.derivative::<A>(raw, log_scale, bound);
        *slope *= libm::expf(A::to_f32(log_scale));
    }
    Some(())
}
