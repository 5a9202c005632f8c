//! Factoring out (multi-scale architecture, Dinh et al. 2017): later steps see only the first features.
//!
//! The others are finished and go to the base as they are; `log_det = 0`. The chain does the cutting.
//!
//! Body in the image: one word, the number of features that later steps see.

use super::Transform;
use crate::arithmetic::Arithmetic;
use crate::conditioner::{GradientScratch, Needs, Scratch};
use crate::{Fault, Part};

/// Only the first `keep` active features go on.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Split {
    keep: u32,
}

impl Split {
    pub(super) fn parse(body: &[u32]) -> Option<Self> {
        match *body {
            [keep] => Some(Split { keep }),
            _ => None,
        }
    }

    /// Features that later steps see.
    #[must_use]
    pub fn keep(&self) -> usize {
        self.keep as usize
    }
}

impl<A: Arithmetic> Transform<A> for Split {
    fn check(&self, features: usize, _contexts: usize, _needs: &mut Needs) -> Result<(), Fault> {
        if self.keep == 0 || self.keep() >= features {
            return Err(Fault::malformed(Part::Transform));
        }
        Ok(())
    }

    fn forward(&self, _: &mut [A::Value], _: &[A::Value], _: &mut Scratch<'_>) -> Option<A::Log> {
        Some(A::ZERO_LOG)
    }

    fn inverse(&self, _: &mut [A::Value], _: &[A::Value], _: &mut Scratch<'_>) -> Option<A::Log> {
        Some(A::ZERO_LOG)
    }

    fn backward(
        &self,
        _: &mut [A::Value],
        _: &mut [f32],
        _: &[A::Value],
        _: &mut GradientScratch<'_>,
    ) -> Option<()> {
        Some(())
    }
}
