//! The standardizer: from a reading in the user's units to the chain's numbers and back.
//!
//! `z = (x - mean) / std` per feature, the whole reading saturated at [`crate::arithmetic::READING_LIMIT`]: past it
//! the reading stands still on its ray, whatever the chain behind makes of it. `log_det = -sum(ln std)` over the
//! features; context inputs, which stand behind them, are standardized too, each saturated alone, and not scored. It is the door of every arithmetic: f32 readings come in here, and only
//! the chain's own numbers go on.
//!
//! ```text
//! word 0, 1   log_det (f32 and zero, or Q47.16 low and high)
//! then        per input, f32:         mean, 1 / std, std
//!             per input, fixed point: center low, center high, multiplier, scale, exponent
//! ```
//!
//! In fixed point the reading becomes an integer `x 2^exponent`, with the exponent chosen so that
//! `scale = std 2^exponent` lies in `[2^20, 2^21]`; `z = (x 2^exponent - center) * multiplier / 2^28`
//! in Q15.16. So a pressure of 100,000 with a standard deviation of 1 keeps all of its digits.

use crate::arithmetic::Arithmetic;
use crate::{Fault, Part};

/// Per-feature centring and scaling, borrowed from the image.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Standardizer<'a> {
    log_det: [u32; 2],
    parameters: &'a [u32],
}

impl<'a> Standardizer<'a> {
    /// The standardizer at the front of `words`, and the words behind it.
    #[must_use]
    pub fn parse<A: Arithmetic>(words: &'a [u32], inputs: usize) -> Option<(Self, &'a [u32])> {
        let (&log_det, rest) = words.split_first_chunk::<2>()?;
        let (parameters, rest) = rest.split_at_checked(inputs * A::STANDARDIZER_WORDS)?;
        Some((Standardizer { log_det, parameters }, rest))
    }

    /// Checks that all numbers are finite and in range.
    ///
    /// # Errors
    /// [`crate::Error::Malformed`] with [`Part::Standardizer`].
    #[inline(never)]
    pub fn check<A: Arithmetic>(&self) -> Result<(), Fault> {
        let valid =
            A::log(self.log_det).is_some_and(A::is_moderate) && A::standardizer_is_valid(self.parameters);
        if valid {
            Ok(())
        } else {
            Err(Fault::malformed(Part::Standardizer))
        }
    }

    /// The parameter words of each feature.
    pub fn parameters<A: Arithmetic>(&self) -> impl Iterator<Item = &'a [u32]> + use<'a, A> {
        self.parameters.chunks_exact(A::STANDARDIZER_WORDS)
    }

    /// `-sum(ln std)`.
    #[must_use]
    pub fn log_det<A: Arithmetic>(&self) -> Option<A::Log> {
        A::log(self.log_det)
    }

    /// Standardizes finite `readings` into `values`; gives the log-determinant.
    pub fn forward<A: Arithmetic>(&self, readings: &[f32], values: &mut [A::Value]) -> Option<A::Log> {
        if self.each::<A>(readings, values)? {
            self.far::<A>(readings, values)?;
        }
        A::log(self.log_det)
    }

    /// Standardizes each input alone; whether any is at the limit.
    fn each<A: Arithmetic>(&self, readings: &[f32], values: &mut [A::Value]) -> Option<bool> {
        A::standardize_each(readings, self.parameters, values)
    }

    #[cold]
    #[inline(never)]
    fn far<A: Arithmetic>(&self, readings: &[f32], values: &mut [A::Value]) -> Option<()> {
        A::standardize_far(readings, self.parameters, values)
    }

    /// Standardizes the context, which stands behind `features` features.
    pub fn context<A: Arithmetic>(
        &self,
        features: usize,
        context: &[f32],
        values: &mut [A::Value],
    ) -> Option<()> {
        let parameters = self.parameters.get(features * A::STANDARDIZER_WORDS..)?;
        // The same code as for the features: inlined twice, it would cost a score more.
        Standardizer { parameters, ..*self }.each::<A>(context, values).map(|_| ())
    }

    /// Values back to readings in the user's units.
    pub fn inverse<A: Arithmetic>(&self, values: &[A::Value], readings: &mut [f32]) -> Option<()> {
        let parameters = self.parameters.chunks_exact(A::STANDARDIZER_WORDS);
        for ((reading, &value), parameters) in readings.iter_mut().zip(values).zip(parameters) {
            *reading = A::unstandardize(value, parameters)?;
        }
        Some(())
    }
}
