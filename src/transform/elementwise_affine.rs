//! Scale and shift of each feature (ActNorm of Kingma and Dhariwal 2018, "Glow"; the scaling layer of Dinh
//! et al. 2015, "NICE"): `z = x gain + shift`, `log_det = sum(ln gain)`.
//!
//! Body in the image:
//!
//! ```text
//! word 0, 1   log_det, as a log
//! then        per feature its gain, positive (`Arithmetic::GAIN_WORDS`), then its shift, a value
//! ```

use super::Transform;
use crate::arithmetic::Arithmetic;
use crate::conditioner::{GradientScratch, Needs, Scratch};
use crate::{Fault, Part};

/// `z = x gain + shift`, borrowed from the image.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct ElementwiseAffine<'a> {
    log_det: [u32; 2],
    words: &'a [u32],
}

impl<'a> ElementwiseAffine<'a> {
    pub(super) fn parse(body: &'a [u32]) -> Option<Self> {
        let (&log_det, words) = body.split_first_chunk::<2>()?;
        Some(ElementwiseAffine { log_det, words })
    }

    /// Per feature the words of its gain and its shift.
    pub fn features<A: Arithmetic>(&self) -> impl Iterator<Item = (&'a [u32], u32)> + use<'a, A> {
        self.words.chunks_exact(A::GAIN_WORDS + 1).filter_map(|words| {
            let (&shift, gain) = words.split_last()?;
            Some((gain, shift))
        })
    }
}

impl<A: Arithmetic> Transform<A> for ElementwiseAffine<'_> {
    fn check(&self, features: usize, _contexts: usize, _needs: &mut Needs) -> Result<(), Fault> {
        if self.words.len() != features * (A::GAIN_WORDS + 1) {
            return Err(Fault::malformed(Part::Transform));
        }
        let not_finite = Fault::not_finite(Part::Transform);
        A::log(self.log_det).ok_or(not_finite)?;
        for (gain, shift) in self.features::<A>() {
            A::value(shift).ok_or(not_finite)?;
            if A::gain_is_positive(gain) != Some(true) {
                return Err(Fault::malformed(Part::Transform));
            }
        }
        Ok(())
    }

    fn forward(&self, x: &mut [A::Value], _: &[A::Value], _: &mut Scratch<'_>) -> Option<A::Log> {
        for (x, (gain, shift)) in x.iter_mut().zip(self.features::<A>()) {
            *x = A::add_values(A::gain(*x, gain)?, A::value(shift)?);
        }
        A::log(self.log_det)
    }

    fn inverse(&self, z: &mut [A::Value], _: &[A::Value], _: &mut Scratch<'_>) -> Option<A::Log> {
        for (z, (gain, shift)) in z.iter_mut().zip(self.features::<A>()) {
            *z = A::gain_inverse(A::subtract(*z, A::value(shift)?), gain)?;
        }
        A::log(self.log_det)
    }

    fn backward(
        &self,
        z: &mut [A::Value],
        slope: &mut [f32],
        context: &[A::Value],
        scratch: &mut GradientScratch<'_>,
    ) -> Option<()> {
        for (slope, (gain, _)) in slope.iter_mut().zip(self.features::<A>()) {
            *slope *= A::gain_to_f32(gain)?;
        }
        Transform::<A>::inverse(self, z, context, &mut scratch.scratch).map(|_| ())
    }
}
