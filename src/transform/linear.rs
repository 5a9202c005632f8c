//! A dense invertible linear map as triangular factors (Kingma and Dhariwal 2018, "Glow", section 3.2):
//! `z = L (U x) + shift`, L unit lower and U upper triangular, `log_det = sum(ln |U[i][i]|)`.
//!
//! Both factors work in place, U from its first row down and L from its last row up, so that each row finds
//! what it needs still unchanged: `n^2` multiply-accumulates and no scratch. The inverse walks the same
//! rows the other way round. Whatever the weights were rounded to, it undoes them: a sum of the way
//! there is the same sum on the way back, and a diagonal element comes with its reciprocal.
//!
//! Body in the image, in the order of the loops:
//!
//! ```text
//! word 0, 1   log_det, as a log
//! then        rows of U, first to last: the diagonal element as a gain, not zero, then the row behind it
//! then        rows of L, last to first: the shift, a value, then the row before the diagonal
//! ```

use super::Transform;
use crate::arithmetic::Arithmetic;
use crate::conditioner::{GradientScratch, Needs, Scratch};
use crate::{Fault, Part};

/// `z = L (U x) + shift`, borrowed from the image.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Linear<'a> {
    log_det: [u32; 2],
    words: &'a [u32],
}

/// A row of a factor, as it lies in the image.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Row<'a> {
    /// Of U: the diagonal element, and the weights behind it.
    Upper {
        /// As [`Arithmetic::gain`] takes it.
        diagonal: &'a [u32],
        /// As [`Arithmetic::row_sum`] takes it.
        weights: &'a [u32],
    },
    /// Of L: the weights before the diagonal, which is one.
    Lower {
        /// A value.
        shift: u32,
        /// As [`Arithmetic::row_sum`] takes it.
        weights: &'a [u32],
    },
}

impl<'a> Row<'a> {
    fn upper<A: Arithmetic>(words: &'a [u32]) -> Option<Self> {
        let (diagonal, weights) = words.split_at_checked(A::GAIN_WORDS)?;
        Some(Row::Upper { diagonal, weights })
    }

    fn lower(words: &'a [u32]) -> Option<Self> {
        let (&shift, weights) = words.split_first()?;
        Some(Row::Lower { shift, weights })
    }
}

/// Words of row `i` of U, of `n`.
fn upper_words<A: Arithmetic>(n: usize, i: usize) -> usize {
    A::GAIN_WORDS + A::row_words(n - 1 - i)
}

/// Words of row `i` of L.
fn lower_words<A: Arithmetic>(i: usize) -> usize {
    1 + A::row_words(i)
}

impl<'a> Linear<'a> {
    pub(super) fn parse(body: &'a [u32]) -> Option<Self> {
        let (&log_det, words) = body.split_first_chunk::<2>()?;
        Some(Linear { log_det, words })
    }

    /// The rows for `n` features as the density direction takes them, each with its index; fewer only if
    /// the image was never checked.
    pub fn rows<A: Arithmetic>(&self, n: usize) -> impl Iterator<Item = (usize, Row<'a>)> + use<'a, A> {
        let mut words = self.words;
        let upper = move |i| {
            let (row, rest) = words.split_at_checked(upper_words::<A>(n, i))?;
            words = rest;
            Some((i, Row::upper::<A>(row)?))
        };
        let upper_total = (0..n).map(|i| upper_words::<A>(n, i)).sum();
        let mut words = self.words.get(upper_total..).unwrap_or_default();
        let lower = move |i| {
            let (row, rest) = words.split_at_checked(lower_words::<A>(i))?;
            words = rest;
            Some((i, Row::lower(row)?))
        };
        (0..n).map_while(upper).chain((0..n).rev().map_while(lower))
    }

    /// The same rows as the other direction takes them, last to first.
    fn rows_back<A: Arithmetic>(&self, n: usize) -> impl Iterator<Item = (usize, Row<'a>)> + use<'a, A> {
        let mut words = self.words;
        let back = move |(i, is_upper): (usize, bool)| {
            let length = if is_upper { upper_words::<A>(n, i) } else { lower_words::<A>(i) };
            let (rest, row) = words.split_at_checked(words.len().checked_sub(length)?)?;
            words = rest;
            Some((i, if is_upper { Row::upper::<A>(row)? } else { Row::lower(row)? }))
        };
        (0..n).map(|i| (i, false)).chain((0..n).rev().map(|i| (i, true))).map_while(back)
    }
}

impl<A: Arithmetic> Transform<A> for Linear<'_> {
    fn check(&self, features: usize, _contexts: usize, _needs: &mut Needs) -> Result<(), Fault> {
        let malformed = Fault::malformed(Part::Transform);
        let not_finite = Fault::not_finite(Part::Transform);
        let words = (0..features).map(|i| upper_words::<A>(features, i) + lower_words::<A>(i)).sum();
        if self.words.len() != words {
            return Err(malformed);
        }
        A::log(self.log_det).ok_or(not_finite)?;
        for (i, row) in self.rows::<A>(features) {
            let is_valid = match row {
                Row::Upper { diagonal, weights } => {
                    A::gain_is_positive(diagonal).is_some() && A::row_is_valid(weights, features - 1 - i)
                }
                Row::Lower { shift, weights } => {
                    A::value(shift).ok_or(not_finite)?;
                    A::row_is_valid(weights, i)
                }
            };
            if !is_valid {
                return Err(malformed);
            }
        }
        Ok(())
    }

    fn forward(&self, x: &mut [A::Value], _: &[A::Value], _: &mut Scratch<'_>) -> Option<A::Log> {
        for (i, row) in self.rows::<A>(x.len()) {
            let (before, rest) = x.split_at_mut_checked(i)?;
            let (own, behind) = rest.split_first_mut()?;
            *own = match row {
                Row::Upper { diagonal, weights } => {
                    A::add_values(A::gain(*own, diagonal)?, A::row_sum(weights, behind)?)
                }
                Row::Lower { shift, weights } => {
                    A::add_values(A::add_values(*own, A::row_sum(weights, before)?), A::value(shift)?)
                }
            };
        }
        A::log(self.log_det)
    }

    fn inverse(&self, z: &mut [A::Value], _: &[A::Value], _: &mut Scratch<'_>) -> Option<A::Log> {
        for (i, row) in self.rows_back::<A>(z.len()) {
            let (before, rest) = z.split_at_mut_checked(i)?;
            let (own, behind) = rest.split_first_mut()?;
            *own = match row {
                Row::Upper { diagonal, weights } => {
                    A::gain_inverse(A::subtract(*own, A::row_sum(weights, behind)?), diagonal)?
                }
                Row::Lower { shift, weights } => {
                    A::subtract(A::subtract(*own, A::value(shift)?), A::row_sum(weights, before)?)
                }
            };
        }
        A::log(self.log_det)
    }

    /// `slope` becomes `U^T (L^T slope)`: each row is spread before it is overwritten.
    fn backward(
        &self,
        z: &mut [A::Value],
        slope: &mut [f32],
        context: &[A::Value],
        scratch: &mut GradientScratch<'_>,
    ) -> Option<()> {
        let spread = |to: &mut [f32], weights: &[u32], by: f32| {
            for (index, to) in to.iter_mut().enumerate() {
                *to += by * A::row_weight(weights, index)?;
            }
            Some(())
        };
        for (i, row) in self.rows_back::<A>(slope.len()) {
            let (before, rest) = slope.split_at_mut_checked(i)?;
            let (own, behind) = rest.split_first_mut()?;
            match row {
                Row::Upper { diagonal, weights } => {
                    spread(behind, weights, *own)?;
                    *own *= A::gain_to_f32(diagonal)?;
                }
                Row::Lower { weights, .. } => spread(before, weights, *own)?,
            }
        }
        Transform::<A>::inverse(self, z, context, &mut scratch.scratch).map(|_| ())
    }
}
