//! Readings drawn from the flow: a base variable by the caller's random source, through the chain backwards.

use crate::arithmetic::Arithmetic;
use crate::image::Model;
use crate::pass::{self, in_arithmetic, Workspace};
use crate::support::{Everything, Support};
use crate::Error;
use rand_core::RngCore;

/// Draws readings from a model's quoted expert, in the workspace of a [`crate::Scorer`].
///
/// The same random numbers give the same bits on every target: the base is sampled in f32 with functions of the
/// `libm` crate, the chain and the standardizer run backwards in the image's arithmetic.
///
/// ```
/// # struct Random(u64);
/// # impl rand_core::RngCore for Random {
/// #     fn next_u32(&mut self) -> u32 { (self.next_u64() >> 32) as u32 }
/// #     fn next_u64(&mut self) -> u64 {
/// #         self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
/// #         self.0
/// #     }
/// #     fn fill_bytes(&mut self, to: &mut [u8]) { to.fill_with(|| self.next_u32() as u8) }
/// # }
/// # static IMAGE: &[u8] =
/// #     flowlet::include_image!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/v1-f32.flow"));
/// let model = flowlet::Model::from_bytes(IMAGE)?;
/// let mut workspace = [0; flowlet::workspace_words(IMAGE)];
/// let mut sampler = flowlet::Sampler::new(&model, &mut workspace)?;
/// let mut reading = [0.0; 3];
/// sampler.sample(&mut Random(1), &mut reading)?;
/// # Ok::<(), flowlet::Error>(())
/// ```
#[derive(Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Sampler<'m, 'w, S = Everything> {
    model: &'m Model<'m, S>,
    workspace: Workspace<'w>,
}

impl<'m, 'w, S: Support> Sampler<'m, 'w, S> {
    /// A sampler that works in `workspace`, of at least [`crate::workspace_words`] words.
    ///
    /// # Errors
    /// [`Error::WorkspaceTooSmall`], with the number of words that it needs.
    pub fn new(model: &'m Model<'m, S>, workspace: &'w mut [u32]) -> Result<Self, Error> {
        Ok(Sampler { model, workspace: Workspace::for_scoring(model, workspace)? })
    }

    /// Draws one reading into `out`, one value per feature in its unit, from a model without context.
    ///
    /// Cost: about that of a score.
    ///
    /// # Errors
    /// [`Error::FeatureCount`] if `out` has another length; [`Error::ContextCount`] for a model that has context.
    pub fn sample(&mut self, random: &mut impl RngCore, out: &mut [f32]) -> Result<(), Error> {
        self.sample_in_context(random, &[], out)
    }

    /// Draws one reading in a context.
    ///
    /// # Errors
    /// As [`Self::sample`], and [`Error::NotFinite`] for a context value that is no number.
    pub fn sample_in_context(
        &mut self,
        random: &mut impl RngCore,
        context: &[f32],
        out: &mut [f32],
    ) -> Result<(), Error> {
        if out.len() != self.model.features() {
            let expected = self.model.features() as u16;
            return Err(Error::FeatureCount { expected, found: pass::short(out.len()) });
        }
        pass::check_context(self.model, context)?;
        in_arithmetic!(S, self.model.numeric() => self.sample_in(random, context, out), else None)
            .ok_or(Error::LogicBug)
    }

    fn sample_in<A: Arithmetic>(
        &mut self,
        random: &mut impl RngCore,
        context: &[f32],
        out: &mut [f32],
    ) -> Option<()> {
        let expert = self.model.quoted()?;
        let standardizer = self.model.standardizer::<A>()?;
        let values: &mut [A::Value] = bytemuck::cast_slice_mut(self.workspace.values);
        let (values, context_values) = values.split_at_mut_checked(out.len())?;
        standardizer.context::<A>(out.len(), context, context_values)?;
        expert.base.sample::<A>(random, out);
        for (value, &drawn) in values.iter_mut().zip(out.iter()) {
            *value = A::from_f32(drawn);
        }
        expert.chain.inverse::<A>(values, context_values, &mut self.workspace.scratch)?;
        standardizer.inverse::<A>(values, out)
    }
}
