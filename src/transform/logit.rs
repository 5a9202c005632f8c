//! Log-odds: bounded numbers to unbounded ones (Dinh et al. 2017, section 4.1).
//!
//! `z = ln(x / (1 - x))` for `x` in `margin..=1 - margin`, continued linearly with the slope of the edge: the
//! map and its first derivative are continuous, and it is invertible on all reals, so that a reading beyond
//! the bounds scores too. `log_det = -sum(ln(x (1 - x)))`, that of the edge beyond it. The standardizer
//! brings the range of the data into the margins. For integers `0..=N` with dequantization (a uniform part
//! of a step is added in training, half a step in scoring) it is `x = margin + (1 - 2 margin) (v + 0.5) / (N + 1)`.
//!
//! Body in the image: one word, the margin in the arithmetic's numbers, 2^-12 to 1/4.

use super::Transform;
use crate::arithmetic::Arithmetic;
use crate::conditioner::{GradientScratch, Needs, Scratch};
use crate::{Fault, Part};

/// `ln(x / (1 - x))` of every feature.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Logit {
    margin: u32,
}

impl Logit {
    pub(super) fn parse(body: &[u32]) -> Option<Self> {
        match *body {
            [margin] => Some(Logit { margin }),
            _ => None,
        }
    }

    /// Distance from 0 and 1 at which the map becomes linear.
    #[must_use]
    pub fn margin<A: Arithmetic>(&self) -> Option<A::Value> {
        A::value(self.margin)
    }
}

impl<A: Arithmetic> Transform<A> for Logit {
    fn check(&self, _features: usize, _contexts: usize, _needs: &mut Needs) -> Result<(), Fault> {
        let margin = A::value(self.margin).ok_or(Fault::not_finite(Part::Transform))?;
        A::logit_edge(margin).map(|_| ()).ok_or(Fault::malformed(Part::Transform))
    }

    fn forward(&self, x: &mut [A::Value], _: &[A::Value], _: &mut Scratch<'_>) -> Option<A::Log> {
        let edge = A::logit_edge(A::value(self.margin)?)?;
        let mut log_det = A::ZERO_LOG;
        for x in x {
            let (z, log) = A::logit(edge, *x);
            *x = z;
            log_det = A::add(log_det, log);
        }
        Some(log_det)
    }

    fn inverse(&self, z: &mut [A::Value], _: &[A::Value], _: &mut Scratch<'_>) -> Option<A::Log> {
        let edge = A::logit_edge(A::value(self.margin)?)?;
        let mut log_det = A::ZERO_LOG;
        for z in z {
            let (x, log) = A::logit_inverse(edge, *z);
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
        let margin = A::value(self.margin)?;
        let edge = A::logit_edge(margin)?;
        let margin = A::to_f32(margin);
        for (z, slope) in z.iter_mut().zip(slope) {
            let (x, _) = A::logit_inverse(edge, *z);
            *z = x;
            let p = A::to_f32(x);
            if (p - 0.5).abs() > 0.5 - margin {
                *slope /= margin * (1.0 - margin);
            } else {
                // dz/dx = 1 / (x (1 - x)), and L holds ln(x (1 - x)).
                *slope = (*slope + 1.0 - 2.0 * p) / (p * (1.0 - p));
            }
        }
        Some(())
    }
}
