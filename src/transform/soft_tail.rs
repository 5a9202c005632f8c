//! Logarithmic tails: the identity where the data lie, compression where they do not.
//!
//! `z = x` for `|x| <= knee`, else `z = sign(x) (knee + ln(1 + |x| - knee))`. The map and its first
//! derivative are continuous, and `log_det = -sum(max(0, |z| - knee))`. A base of normal tails thereby
//! becomes one of log-normal tails in `x`: one wild reading costs tens of nats instead of millions, and
//! neither f32 nor Q15.16 runs out of digits. It is the extreme-value idea of heavy-tailed flows
//! (Jaini et al. 2020, "Tails of Lipschitz triangular flows") in its cheapest form.
//!
//! Body in the image: one word, the knee in the arithmetic's numbers.

use super::Transform;
use crate::arithmetic::Arithmetic;
use crate::conditioner::{GradientScratch, Needs, Scratch};
use crate::{Fault, Part};

/// Identity within `knee`, logarithmic beyond.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct SoftTail {
    knee: u32,
}

impl SoftTail {
    pub(super) fn parse(body: &[u32]) -> Option<Self> {
        match *body {
            [knee] => Some(SoftTail { knee }),
            _ => None,
        }
    }

    /// Where the logarithm starts, in standard deviations.
    #[must_use]
    pub fn knee<A: Arithmetic>(&self) -> Option<A::Value> {
        A::value(self.knee)
    }
}

/// Density direction of a soft tail's block.
#[inline(always)]
pub(super) fn forward<A: Arithmetic>(body: &[u32], x: &mut [A::Value]) -> Option<A::Log> {
    Some(A::soft_tails(x, SoftTail::parse(body)?.knee::<A>()?))
}

impl<A: Arithmetic> Transform<A> for SoftTail {
    fn check(&self, _features: usize, _contexts: usize, _needs: &mut Needs) -> Result<(), Fault> {
        match A::value(self.knee) {
            Some(knee) if A::is_positive(knee) => Ok(()),
            Some(_) => Err(Fault::malformed(Part::Transform)),
            None => Err(Fault::not_finite(Part::Transform)),
        }
    }

    fn forward(&self, x: &mut [A::Value], _: &[A::Value], _scratch: &mut Scratch<'_>) -> Option<A::Log> {
        Some(A::soft_tails(x, A::value(self.knee)?))
    }

    fn inverse(&self, z: &mut [A::Value], _: &[A::Value], _scratch: &mut Scratch<'_>) -> Option<A::Log> {
        let knee = A::value(self.knee)?;
        let mut log_det = A::ZERO_LOG;
        for z in z {
            let (x, log) = A::soft_tail_inverse(*z, knee);
            *z = x;
            log_det = A::add(log_det, log);
        }
        Some(log_det)
    }

    fn backward(
        &self,
        z: &mut [A::Value],
        slope: &mut [f32],
        _: &[A::Value],
        _: &mut GradientScratch<'_>,
    ) -> Option<()> {
        let knee = A::value(self.knee)?;
        for (z, slope) in z.iter_mut().zip(slope) {
            let (x, _) = A::soft_tail_inverse(*z, knee);
            // dz/dx = 1 / (1 + beyond), and L holds ln(1 + beyond).
            let beyond = A::to_f32(x).abs() - A::to_f32(knee);
            if beyond > 0.0 {
                *slope = (*slope + 1f32.copysign(A::to_f32(x))) / (1.0 + beyond);
            }
            *z = x;
        }
        Some(())
    }
}
