//! Affine coupling: one part of the vector scales and shifts the other (RealNVP, Dinh et al. 2017,
//! "Density estimation using Real NVP").
//!
//! With `x` cut into the conditioning part `c` and the transformed part `t`, and the net's outputs
//! `[shift, raw]`:
//!
//! `log_scale = clamp * tanh(raw)`, `z_t = t * exp(log_scale) + shift`, `log_det = sum(log_scale)`.
//!
//! The net sees `c` saturated at `input_limit`. The map stays invertible, as a conditioner may be any
//! function of `c`; a far-out reading meets the scale of the edge instead of an extrapolated one.
//!
//! ```text
//! word 0   split u16, flags u8 (bit 0: the first part conditions), input_shift u8
//! word 1   clamp
//! word 2   input_limit
//! word 3   conditioner kind u8 (1: MLP), layers u8, context inputs u16 (0)
//! then     the conditioner's layers
//! ```

use super::Transform;
use crate::arithmetic::Arithmetic;
use crate::conditioner::{Mlp, Scratch};
use crate::{Error, Part};

/// Conditioner kind byte of an MLP.
pub const MLP: u8 = 1;

/// `z_t = x_t exp(log_scale(x_c)) + shift(x_c)`.
#[derive(Clone, Copy, Debug)]
pub struct AffineCoupling<'a> {
    split: usize,
    flags: u8,
    input_shift: u8,
    clamp: u32,
    input_limit: u32,
    conditioner_kind: u8,
    context: u16,
    conditioner: Mlp<'a>,
}

impl<'a> AffineCoupling<'a> {
    pub(super) fn parse(body: &'a [u32]) -> Option<Self> {
        let (&[shape, clamp, input_limit, net], words) = body.split_first_chunk::<4>()?;
        let [_, _, flags, input_shift] = shape.to_le_bytes();
        let [conditioner_kind, layers, _, _] = net.to_le_bytes();
        Some(AffineCoupling {
            split: (shape & 0xffff) as usize,
            flags,
            input_shift,
            clamp,
            input_limit,
            conditioner_kind,
            context: (net >> 16) as u16,
            conditioner: Mlp::new(usize::from(layers), words),
        })
    }

    /// Where the vector is cut.
    #[must_use]
    pub fn split(&self) -> usize {
        self.split
    }

    /// Whether the first part conditions and the second is transformed.
    #[must_use]
    pub fn condition_on_first(&self) -> bool {
        self.flags & 1 == 1
    }

    /// Bound of `|log_scale|`, in nats.
    #[must_use]
    pub fn clamp<A: Arithmetic>(&self) -> Option<A::Value> {
        A::value(self.clamp)
    }

    /// Where conditioner inputs saturate, in standard deviations.
    #[must_use]
    pub fn input_limit<A: Arithmetic>(&self) -> Option<A::Value> {
        A::value(self.input_limit)
    }

    /// Right shift from a value to an input activation (fixed point).
    #[must_use]
    pub fn input_shift(&self) -> u8 {
        self.input_shift
    }

    /// The net, whose outputs are `[shift, raw]`.
    #[must_use]
    pub fn conditioner(&self) -> Mlp<'a> {
        self.conditioner
    }

    /// The conditioning and the transformed part of `x`.
    fn parts<'x, V>(&self, x: &'x mut [V]) -> Option<(&'x mut [V], &'x mut [V])> {
        let (first, second) = x.split_at_mut_checked(self.split)?;
        Some(if self.condition_on_first() { (first, second) } else { (second, first) })
    }

    /// Runs the net and hands each transformed value with its log-scale and shift to `apply`.
    fn couple<A: Arithmetic>(
        &self,
        x: &mut [A::Value],
        scratch: &mut Scratch<'_>,
        apply: impl Fn(A::Value, A::Value, A::Value) -> A::Value,
    ) -> Option<A::Log> {
        let clamp = A::value(self.clamp)?;
        let limit = A::value(self.input_limit)?;
        let (conditioning, transformed) = self.parts(x)?;
        let outputs = self.conditioner.evaluate::<A>(conditioning, limit, self.input_shift, scratch)?;
        let (shifts, raws) = outputs.split_at_checked(transformed.len())?;
        let mut log_det = A::ZERO_LOG;
        for ((value, &shift), &raw) in transformed.iter_mut().zip(shifts).zip(raws) {
            let log_scale = A::log_scale(raw, clamp);
            *value = apply(*value, log_scale, shift);
            log_det = A::add_value(log_det, log_scale);
        }
        Some(log_det)
    }
}

impl<A: Arithmetic> Transform<A> for AffineCoupling<'_> {
    fn check(&self, features: usize) -> Result<usize, Error> {
        if self.conditioner_kind != MLP {
            return Err(Error::Unsupported(Part::Conditioner));
        }
        if self.context != 0 {
            return Err(Error::Unsupported(Part::Context));
        }
        let number = |word| A::value(word).ok_or(Error::NotFiniteParameter(Part::Transform));
        let (clamp, limit) = (number(self.clamp)?, number(self.input_limit)?);
        if self.split == 0
            || self.split >= features
            || self.flags > 1
            || !A::is_positive(clamp)
            || !A::input_format_is_valid(limit, self.input_shift)
        {
            return Err(Error::Malformed(Part::Transform));
        }
        let rest = features - self.split;
        let (inputs, transformed) =
            if self.condition_on_first() { (self.split, rest) } else { (rest, self.split) };
        self.conditioner.check::<A>(inputs, 2 * transformed)
    }

    fn forward(&self, x: &mut [A::Value], scratch: &mut Scratch<'_>) -> Option<A::Log> {
        self.couple::<A>(x, scratch, A::affine)
    }

    fn inverse(&self, z: &mut [A::Value], scratch: &mut Scratch<'_>) -> Option<A::Log> {
        self.couple::<A>(z, scratch, A::affine_inverse)
    }
}
