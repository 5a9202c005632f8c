//! Independent Student-t distributions, one per feature: tails heavier than normal, so that one wild
//! feature costs a logarithm and not a square.
//!
//! `log_prob = constant - sum of (nu + 1) / 2 ln(1 + q^2 / nu)`, `q = (z - location) exp(-log_scale)`; the
//! exporter computes the constant, so that the device needs no gamma function.
//!
//! ```text
//! word 0   the constant, a value
//! then per feature [`BaseArithmetic::STUDENT_WORDS`]
//!   f32          location, 1 / scale, 1 / nu, (nu + 1) / 2
//!   fixed point  location (Q15.16), mantissa of 1 / scale (2^30 to 2^31), 1 / nu (Q1.30), (nu + 1) / 2 (Q10.21),
//!                shift: 1 / scale = mantissa / 2^shift
//! ```
//!
//! [`BaseArithmetic::STUDENT_WORDS`]: crate::arithmetic::base::BaseArithmetic::STUDENT_WORDS

use super::random;
use crate::arithmetic::base::StudentNumbers;
use crate::arithmetic::Arithmetic;
use crate::{Fault, Part};
use rand_core::RngCore;

/// Independent Student-t distributions, borrowed from an image.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct StudentT<'a> {
    words: &'a [u32],
    features: usize,
}

impl<'a> StudentT<'a> {
    pub(super) fn new(words: &'a [u32], features: usize) -> Self {
        StudentT { words, features }
    }

    /// The words of all features.
    fn parameters<A: Arithmetic>(&self) -> Option<&'a [u32]> {
        self.words.get(1..A::STUDENT_WORDS.checked_mul(self.features)?.checked_add(1)?)
    }

    fn constant<A: Arithmetic>(&self) -> Option<A::Value> {
        A::value(*self.words.first()?)
    }

    /// The parameters of one feature in f32.
    #[must_use]
    pub fn numbers<A: Arithmetic>(&self, feature: usize) -> Option<StudentNumbers> {
        A::student_numbers(self.parameters::<A>()?.chunks_exact(A::STUDENT_WORDS).nth(feature)?)
    }

    /// Checks its words: all there, finite, within their ranges.
    ///
    /// # Errors
    /// [`crate::Error::Malformed`] and [`crate::Error::NotFiniteParameter`] of [`Part::Base`].
    pub(super) fn check<A: Arithmetic>(&self) -> Result<(), Fault> {
        let words = self.parameters::<A>().ok_or(Fault::malformed(Part::Base))?;
        self.constant::<A>().ok_or(Fault::not_finite(Part::Base))?;
        words.chunks_exact(A::STUDENT_WORDS).try_for_each(A::check_student)
    }

    pub(super) fn log_prob<A: Arithmetic>(&self, z: &[A::Value]) -> A::Log {
        let constant = self.constant::<A>().unwrap_or(A::ZERO);
        let energy = A::student_energy(z, self.parameters::<A>().unwrap_or_default());
        A::add_value(A::negate(energy), constant)
    }

    pub(super) fn squared_norm<A: Arithmetic>(&self, z: &[A::Value]) -> A::Log {
        A::student_squared_norm(z, self.parameters::<A>().unwrap_or_default())
    }

    /// `(nu + 1) q / (nu + q^2) / scale`: it fades far out.
    pub(super) fn slope<A: Arithmetic>(&self, z: &[A::Value], slope: &mut [f32]) {
        let words = self.parameters::<A>().unwrap_or_default().chunks_exact(A::STUDENT_WORDS);
        for ((slope, &z), words) in slope.iter_mut().zip(z).zip(words) {
            let Some(numbers) = A::student_numbers(words) else { continue };
            let q = (A::to_f32(z) - numbers.location) * numbers.inverse_scale;
            let growth = (numbers.degrees + 1.0) / (numbers.degrees + q * q);
            *slope = growth * q * numbers.inverse_scale;
        }
    }

    pub(super) fn mode<A: Arithmetic>(&self, out: &mut [A::Value]) {
        let words = self.parameters::<A>().unwrap_or_default().chunks_exact(A::STUDENT_WORDS);
        for (out, words) in out.iter_mut().zip(words) {
            *out = A::student_location(words).unwrap_or(A::ZERO);
        }
    }

    pub(super) fn sample<A: Arithmetic>(&self, random: &mut impl RngCore, out: &mut [f32]) {
        let words = self.parameters::<A>().unwrap_or_default().chunks_exact(A::STUDENT_WORDS);
        for (out, words) in out.iter_mut().zip(words) {
            let Some(numbers) = A::student_numbers(words) else { continue };
            let t = random::student(random, numbers.degrees);
            *out = numbers.location + t / numbers.inverse_scale;
        }
    }
}
