//! Additive coupling (NICE, Dinh et al. 2015): `z = x + shift`, `log_det = 0`.

use super::Direction;
use crate::arithmetic::Arithmetic;

/// Maps the transformed part in place; `outputs` starts with its shifts.
pub(super) fn couple<A: Arithmetic>(
    transformed: &mut [A::Value],
    outputs: &[A::Value],
    direction: Direction,
) -> Option<A::Log> {
    let shifts = outputs.get(..transformed.len())?;
    for (x, &shift) in transformed.iter_mut().zip(shifts) {
        *x = match direction {
            Direction::Forward => A::add_values(*x, shift),
            Direction::Inverse => A::subtract(*x, shift),
        };
    }
    Some(A::ZERO_LOG)
}

/// From z back to x; the slope of a shift is that of z.
pub(super) fn backward<A: Arithmetic>(
    transformed: &mut [A::Value],
    slope: &[f32],
    outputs: &[A::Value],
    slopes: &mut [f32],
) -> Option<()> {
    for (to, &slope) in slopes.iter_mut().zip(slope) {
        *to = slope;
    }
    couple::<A>(transformed, outputs, Direction::Inverse).map(|_| ())
}
