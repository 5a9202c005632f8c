//! Affine coupling (RealNVP, Dinh et al. 2017): `z = x exp(log_scale) + shift`,
//! `log_det = sum(log_scale)`, with the net's outputs `[shift, raw]`.
//!
//! The log-scale is bounded, by one of several maps of `raw`.

use super::Direction;
use crate::arithmetic::Arithmetic;
use crate::support::{Capabilities, Capability};
use crate::{Fault, Part};
use core::slice;

/// From the net's raw output to the log-scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ScaleMap {
    /// `clamp tanh(raw)`.
    Tanh,
    /// `raw`, cut off at `-clamp` and `clamp`.
    Hard,
    /// `clamp raw / (1 + |raw|)`.
    SoftSign,
    /// `ln(sigmoid(raw + offset) + floor)`.
    Sigmoid {
        /// A value's image word.
        offset: u32,
        /// From 0 to 1: f32, or Q2.30.
        floor: u32,
    },
}

/// Option bytes of an affine coupling block.
pub mod scale_map {
    /// [`super::ScaleMap::Tanh`].
    pub const TANH: u8 = 0;
    /// [`super::ScaleMap::Hard`].
    pub const HARD: u8 = 1;
    /// [`super::ScaleMap::SoftSign`].
    pub const SOFT_SIGN: u8 = 2;
    /// [`super::ScaleMap::Sigmoid`].
    pub const SIGMOID: u8 = 3;
}

impl ScaleMap {
    /// The map of an option byte, its parameters at the front of `words`; gives the words behind them.
    pub(super) fn parse(option: u8, words: &[u32], supports: Capabilities) -> Option<(Self, &[u32])> {
        match option {
            scale_map::TANH => Some((ScaleMap::Tanh, words)),
            _ if !supports.has(Capability::ScaleMaps) => None,
            scale_map::HARD => Some((ScaleMap::Hard, words)),
            scale_map::SOFT_SIGN => Some((ScaleMap::SoftSign, words)),
            scale_map::SIGMOID => {
                let (&[offset, floor], words) = words.split_first_chunk::<2>()?;
                Some((ScaleMap::Sigmoid { offset, floor }, words))
            }
            _ => None,
        }
    }

    /// The map itself, known to be tanh where nothing else is supported.
    #[inline(always)]
    fn within<A: Arithmetic>(self) -> Self {
        if A::SUPPORTS.has(Capability::ScaleMaps) {
            self
        } else {
            ScaleMap::Tanh
        }
    }

    /// Whether the parameters are in range; `bound` is the block's word 1. An error if they are not finite.
    pub(super) fn check<A: Arithmetic>(self, bound: u32) -> Result<bool, Fault> {
        let number = |word| A::value(word).ok_or(Fault::not_finite(Part::Transform));
        Ok(match self.within::<A>() {
            ScaleMap::Tanh if !A::SUPPORTS.has(Capability::WideClamps) && A::is_wide(number(bound)?) => {
                return Err(Fault::left_out(Capability::WideClamps));
            }
            ScaleMap::Tanh | ScaleMap::Hard | ScaleMap::SoftSign => A::is_positive(number(bound)?),
            ScaleMap::Sigmoid { offset, floor } => {
                number(offset)?;
                bound == 0 && A::scale_floor(floor).is_some()
            }
        })
    }

    /// The log-scale of a raw output; `bound` is the coupling's. `None` only if the image was never checked.
    pub fn log_scale<A: Arithmetic>(self, raw: A::Value, bound: A::Value) -> Option<A::Value> {
        Some(match self.within::<A>() {
            ScaleMap::Tanh => A::log_scale(raw, bound),
            ScaleMap::Hard => A::saturate(raw, bound),
            ScaleMap::SoftSign => A::soft_sign(raw, bound),
            ScaleMap::Sigmoid { offset, floor } => {
                A::log_sigmoid(A::add_values(raw, A::value(offset)?), floor)
            }
        })
    }

    /// `d log_scale / d raw`.
    fn derivative<A: Arithmetic>(self, raw: A::Value, log_scale: A::Value, bound: A::Value) -> Option<f32> {
        let (x, bound) = (A::to_f32(raw), A::to_f32(bound));
        Some(match self.within::<A>() {
            ScaleMap::Tanh => {
                let tanh = A::to_f32(log_scale) / bound;
                bound * (1.0 - tanh * tanh)
            }
            ScaleMap::Hard if x.abs() < bound => 1.0,
            ScaleMap::Hard => 0.0,
            ScaleMap::SoftSign => {
                let below = 1.0 + x.abs();
                bound / (below * below)
            }
            ScaleMap::Sigmoid { offset, floor } => {
                let y = x + A::to_f32(A::value(offset)?);
                let e = libm::expf(-y.abs());
                let (low, high) = (e / (1.0 + e), 1.0 / (1.0 + e));
                // The smaller and the larger of sigmoid and one minus it.
                let (sigmoid, rest) = if y >= 0.0 { (high, low) } else { (low, high) };
                let floor = A::scale_floor(floor)?;
                if floor == 0.0 {
                    rest
                } else {
                    sigmoid * rest / (sigmoid + floor)
                }
            }
        })
    }
}

/// Maps the transformed part in place.
pub(super) fn couple<A: Arithmetic>(
    transformed: &mut [A::Value],
    outputs: &mut [A::Value],
    (scale, bound): (ScaleMap, A::Value),
    direction: Direction,
) -> Option<A::Log> {
    let (shifts, raws) = outputs.split_at_mut_checked(transformed.len())?;
    if scale == ScaleMap::Tanh {
        // Behind them is what else the buffer holds.
        let raws = raws.get_mut(..transformed.len())?;
        return Some(match direction {
            Direction::Forward => A::affine_tanh(transformed, shifts, raws, bound),
            Direction::Inverse => A::affine_tanh_inverse(transformed, shifts, raws, bound),
        });
    }
    let mut log_det = A::ZERO_LOG;
    for ((x, &shift), &raw) in transformed.iter_mut().zip(shifts.iter()).zip(raws.iter()) {
        let log_scale = scale.log_scale::<A>(raw, bound)?;
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
        let log_scale = scale.log_scale::<A>(raw, bound)?;
        let stretched = A::to_f32(A::subtract(*x, shift));
        if scale == ScaleMap::Tanh {
            A::affine_tanh_inverse(slice::from_mut(x), &[shift], &[raw], bound);
        } else {
            *x = A::affine_inverse(*x, log_scale, shift);
        }
        *to_shift = *slope;
        // L holds -log_scale.
        *to_raw = (*slope * stretched - 1.0) * scale.derivative::<A>(raw, log_scale, bound)?;
        *slope *= libm::expf(A::to_f32(log_scale));
    }
    Some(())
}
