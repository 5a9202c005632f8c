//! A fixed reordering of the features, so that the next coupling mixes others; `log_det = 0`.
//!
//! Body in the image: the order as u16, two to a word: `z[i] = x[order[i]]`. A reversal is the order
//! `n-1, ..., 0`.

use super::Transform;
use crate::arithmetic::Arithmetic;
use crate::conditioner::{GradientScratch, Needs, Scratch};
use crate::{Fault, Part};
use bytemuck::Pod;

/// `z[i] = x[order[i]]`.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Permutation<'a> {
    order: &'a [u16],
}

impl<'a> Permutation<'a> {
    pub(super) fn parse(body: &'a [u32]) -> Self {
        Permutation { order: bytemuck::cast_slice(body) }
    }

    /// Where each value comes from; with one padding entry if the number of features is odd.
    #[must_use]
    pub fn order(&self) -> &'a [u16] {
        self.order
    }
}

/// Density direction of a permutation's block, `kept` at least as long as `x`; apart, so that its loops have all
/// registers.
#[inline(never)]
pub(super) fn forward<V: Pod>(body: &[u32], x: &mut [V], kept: &mut [u32]) -> Option<()> {
    let before: &mut [V] = bytemuck::cast_slice_mut(kept.get_mut(..x.len())?);
    // Four at a time: one load and one store of several registers where a core has them.
    let (kept, kept_rest) = before.as_chunks_mut::<4>();
    let (fours, rest) = x.as_chunks::<4>();
    for (kept, &four) in kept.iter_mut().zip(fours) {
        *kept = four;
    }
    for (kept, &x) in kept_rest.iter_mut().zip(rest) {
        *kept = x;
    }
    for (z, &from) in x.iter_mut().zip(Permutation::parse(body).order) {
        *z = *before.get(usize::from(from))?;
    }
    Some(())
}

impl<A: Arithmetic> Transform<A> for Permutation<'_> {
    fn check(&self, features: usize, _contexts: usize, needs: &mut Needs) -> Result<(), Fault> {
        let malformed = Err(Fault::malformed(Part::Transform));
        let Some((order, padding)) = self.order.split_at_checked(features) else { return malformed };
        if !matches!(padding, [] | [0]) || padding.len() != features & 1 {
            return malformed;
        }
        // As many entries as features, each of them present: a permutation.
        if (0..features).any(|feature| !order.iter().any(|&from| usize::from(from) == feature)) {
            return malformed;
        }
        needs.at_least(features);
        Ok(())
    }

    fn forward(&self, x: &mut [A::Value], _: &[A::Value], scratch: &mut Scratch<'_>) -> Option<A::Log> {
        forward(bytemuck::cast_slice(self.order), x, scratch.front).map(|()| A::ZERO_LOG)
    }

    fn inverse(&self, z: &mut [A::Value], _: &[A::Value], scratch: &mut Scratch<'_>) -> Option<A::Log> {
        let before: &mut [A::Value] = bytemuck::cast_slice_mut(scratch.front.get_mut(..z.len())?);
        for (kept, &z) in before.iter_mut().zip(z.iter()) {
            *kept = z;
        }
        for (value, &to) in before.iter().zip(self.order) {
            *z.get_mut(usize::from(to))? = *value;
        }
        Some(A::ZERO_LOG)
    }

    fn backward(
        &self,
        z: &mut [A::Value],
        slope: &mut [f32],
        context: &[A::Value],
        scratch: &mut GradientScratch<'_>,
    ) -> Option<()> {
        let before: &mut [f32] = bytemuck::cast_slice_mut(scratch.scratch.front.get_mut(..slope.len())?);
        for (kept, &slope) in before.iter_mut().zip(slope.iter()) {
            *kept = slope;
        }
        for (&value, &to) in before.iter().zip(self.order) {
            *slope.get_mut(usize::from(to))? = value;
        }
        Transform::<A>::inverse(self, z, context, &mut scratch.scratch).map(|_| ())
    }
}
