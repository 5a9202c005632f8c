//! Invertible transforms, one per file, each in its density direction (reading to base variable) and
//! its inverse, with the logarithm of the absolute determinant of its Jacobian.
//!
//! A chain lies in the image as blocks of words, each headed by
//!
//! ```text
//! bits 0..8    kind
//! bits 8..32   length of the body behind this word, in words
//! ```
//!
//! so that walking a chain costs a few instructions per transform and no RAM.

pub mod coupling;
mod elementwise_affine;
pub mod linear;
mod logit;
pub mod marginal;
mod permutation;
mod soft_tail;
mod split;
pub mod standardize;

pub use coupling::Coupling;
pub use elementwise_affine::ElementwiseAffine;
pub use linear::Linear;
pub use logit::Logit;
pub use marginal::Marginal;
pub use permutation::Permutation;
pub use soft_tail::SoftTail;
pub use split::Split;
pub use standardize::Standardizer;

use crate::arithmetic::Arithmetic;
use crate::conditioner::{GradientScratch, Needs, Scratch};
use crate::support::{Capabilities, Capability};
use crate::{Fault, Part};

/// An invertible map of the chain, in one arithmetic.
///
/// All directions work in place on the active features, and both ways give the log-determinant of the
/// *density* direction. `context` holds the standardized context values. `None` stands for what cannot
/// happen once [`Self::check`] has accepted the transform and the scratch is as large as it said.
pub trait Transform<A: Arithmetic> {
    /// Checks the parameters once; raises `needs` to what the transform takes.
    ///
    /// # Errors
    /// What is malformed, unsupported, not finite, or could overflow.
    fn check(&self, features: usize, contexts: usize, needs: &mut Needs) -> Result<(), Fault>;

    /// Density direction: reading to base variable.
    fn forward(&self, x: &mut [A::Value], context: &[A::Value], scratch: &mut Scratch<'_>) -> Option<A::Log>;

    /// Sampling direction: base variable to reading.
    fn inverse(&self, z: &mut [A::Value], context: &[A::Value], scratch: &mut Scratch<'_>) -> Option<A::Log>;

    /// From the output back: `z` becomes `x` as by [`Self::inverse`], and `slope` goes from `dL/dz` to
    /// `dL/dx`, where `L = -log_prob` holds `-log_det`.
    ///
    /// Slopes are f32 in every arithmetic: those of the real function that the image's numbers stand for,
    /// at the values that the image's arithmetic gives.
    fn backward(
        &self,
        z: &mut [A::Value],
        slope: &mut [f32],
        context: &[A::Value],
        scratch: &mut GradientScratch<'_>,
    ) -> Option<()>;
}

/// A transform as it stands in a chain.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Step<'a> {
    /// See [`SoftTail`].
    SoftTail(SoftTail),
    /// See [`Permutation`].
    Permutation(Permutation<'a>),
    /// See [`Coupling`].
    Coupling(Coupling<'a>),
    /// See [`ElementwiseAffine`].
    ElementwiseAffine(ElementwiseAffine<'a>),
    /// See [`Linear`].
    Linear(Linear<'a>),
    /// See [`Marginal`].
    Marginal(Marginal<'a>),
    /// See [`Logit`].
    Logit(Logit),
    /// See [`Split`].
    Split(Split),
}

/// Kind bytes of the chain's blocks.
pub mod kind {
    /// [`super::SoftTail`].
    pub const SOFT_TAIL: u8 = 1;
    /// [`super::Permutation`].
    pub const PERMUTATION: u8 = 2;
    /// [`super::Coupling`] as version 1 of the format has it: affine, with a tanh clamp.
    pub const AFFINE_COUPLING: u8 = 3;
    /// [`super::Coupling`] with any map.
    pub const COUPLING: u8 = 4;
    /// [`super::ElementwiseAffine`].
    pub const ELEMENTWISE_AFFINE: u8 = 5;
    /// [`super::Linear`].
    pub const LINEAR: u8 = 6;
    /// [`super::Marginal`].
    pub const MARGINAL: u8 = 7;
    /// [`super::Logit`].
    pub const LOGIT: u8 = 8;
    /// [`super::Split`].
    pub const SPLIT: u8 = 9;
}

impl<'a> Step<'a> {
    /// A block as a step; `None` if it is malformed, or needs more than `supports`.
    fn parse(kind: u8, body: &'a [u32], supports: Capabilities) -> Option<Self> {
        let has = |capability| supports.has(capability);
        match kind {
            kind::SOFT_TAIL if has(Capability::SoftTail) => SoftTail::parse(body).map(Step::SoftTail),
            kind::PERMUTATION => Some(Step::Permutation(Permutation::parse(body))),
            kind::AFFINE_COUPLING | kind::COUPLING => {
                Coupling::parse(kind, body, supports).map(Step::Coupling)
            }
            kind::ELEMENTWISE_AFFINE if has(Capability::ElementwiseAffine) => {
                ElementwiseAffine::parse(body).map(Step::ElementwiseAffine)
            }
            kind::LINEAR if has(Capability::Linear) => Linear::parse(body).map(Step::Linear),
            kind::MARGINAL if has(Capability::Marginal) => Marginal::parse(body).map(Step::Marginal),
            kind::LOGIT if has(Capability::Logit) => Logit::parse(body).map(Step::Logit),
            kind::SPLIT if has(Capability::Split) => Split::parse(body).map(Step::Split),
            _ => None,
        }
    }

    /// The transform's standard name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Step::SoftTail(_) => "soft_tail",
            Step::Permutation(_) => "permutation",
            Step::Coupling(coupling) => match coupling.map() {
                coupling::Map::Additive => "additive_coupling",
                coupling::Map::Affine(_) => "affine_coupling",
                coupling::Map::Spline(_) => "spline_coupling",
            },
            Step::ElementwiseAffine(_) => "elementwise_affine",
            Step::Linear(_) => "linear",
            Step::Marginal(_) => "marginal",
            Step::Logit(_) => "logit",
            Step::Split(_) => "split",
        }
    }

    /// Words of [`GradientScratch::kept`] that the way back takes with `active` features.
    #[must_use]
    pub fn gradient_words(&self, active: usize) -> usize {
        match self {
            Step::Coupling(coupling) => coupling.gradient_words(active),
            _ => 0,
        }
    }

    /// How many of `active` features the next step sees.
    #[must_use]
    pub fn keeps(&self, active: usize) -> usize {
        match self {
            Step::Split(split) => split.keep(),
            _ => active,
        }
    }
}

/// What a block needs besides what is always there, by its kind and its first words.
pub(crate) fn block_needs(kind: u8, body: &[u32]) -> Capabilities {
    const FROM_KIND: u8 = Capability::ElementwiseAffine as u8 - kind::ELEMENTWISE_AFFINE;
    match kind {
        kind::AFFINE_COUPLING | kind::COUPLING => coupling::block_needs(kind, body),
        kind::SOFT_TAIL => Capabilities::of(&[Capability::SoftTail]),
        // Numbered as their capabilities are: no table.
        kind::ELEMENTWISE_AFFINE..=kind::LOGIT => Capabilities::of_number(kind + FROM_KIND),
        kind::SPLIT => Capabilities::of(&[Capability::Split]),
        _ => Capabilities::NONE,
    }
}

/// The same call on whatever transform a step is; `$else` for one that is not supported, and is not linked.
macro_rules! dispatch {
    ($step:expr, $A:ident, $t:ident => $call:expr, else $none:expr) => {
        match $step {
            Step::SoftTail($t) if $A::SUPPORTS.has(Capability::SoftTail) => $call,
            Step::Permutation($t) => $call,
            Step::Coupling($t) => $call,
            Step::ElementwiseAffine($t) if $A::SUPPORTS.has(Capability::ElementwiseAffine) => $call,
            Step::Linear($t) if $A::SUPPORTS.has(Capability::Linear) => $call,
            Step::Marginal($t) if $A::SUPPORTS.has(Capability::Marginal) => $call,
            Step::Logit($t) if $A::SUPPORTS.has(Capability::Logit) => $call,
            Step::Split($t) if $A::SUPPORTS.has(Capability::Split) => $call,
            _ => $none,
        }
    };
}

impl<A: Arithmetic> Transform<A> for Step<'_> {
    fn check(&self, features: usize, contexts: usize, needs: &mut Needs) -> Result<(), Fault> {
        dispatch!(self, A, t => Transform::<A>::check(t, features, contexts, needs), else Err(Fault::unsupported(Part::Transform)))
    }

    fn forward(&self, x: &mut [A::Value], context: &[A::Value], scratch: &mut Scratch<'_>) -> Option<A::Log> {
        dispatch!(self, A, t => Transform::<A>::forward(t, x, context, scratch), else None)
    }

    fn inverse(&self, z: &mut [A::Value], context: &[A::Value], scratch: &mut Scratch<'_>) -> Option<A::Log> {
        dispatch!(self, A, t => Transform::<A>::inverse(t, z, context, scratch), else None)
    }

    fn backward(
        &self,
        z: &mut [A::Value],
        slope: &mut [f32],
        context: &[A::Value],
        scratch: &mut GradientScratch<'_>,
    ) -> Option<()> {
        dispatch!(self, A, t => Transform::<A>::backward(t, z, slope, context, scratch), else None)
    }
}

/// A chain of transforms in density order, borrowed from the image.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Chain<'a> {
    words: &'a [u32],
    transforms: usize,
}

impl<'a> Chain<'a> {
    /// A chain of `transforms` blocks at the front of `words`.
    #[must_use]
    pub fn new(words: &'a [u32], transforms: usize) -> Self {
        Chain { words, transforms }
    }

    /// Number of transforms.
    #[must_use]
    pub fn len(&self) -> usize {
        self.transforms
    }

    /// Whether the flow is its base distribution alone.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.transforms == 0
    }

    /// Its steps in density order; fewer than [`Self::len`] only if the image was never checked.
    pub fn steps(&self) -> impl Iterator<Item = Step<'a>> + use<'a> {
        self.steps_within(Capabilities::ALL)
    }

    /// What its blocks need, in fixed point or in f32.
    pub(crate) fn needs(&self, is_fixed: bool) -> Capabilities {
        let mut needs = Capabilities::NONE;
        let mut words = self.words;
        for _ in 0..self.transforms {
            let Some((kind, body, rest)) = block(words) else { break };
            words = rest;
            needs = needs.union(block_needs(kind, body));
            if let Some(Step::Coupling(coupling)) = Step::parse(kind, body, Capabilities::ALL) {
                needs = needs.union(coupling.net().needs());
                if is_fixed && coupling.is_wide() {
                    needs = needs.with(Capability::WideClamps);
                }
            }
        }
        needs
    }

    fn steps_within(&self, supports: Capabilities) -> impl Iterator<Item = Step<'a>> + use<'a> {
        let mut words = self.words;
        (0..self.transforms).map_while(move |_| {
            let (step, rest) = next(words, supports)?;
            words = rest;
            Some(step)
        })
    }

    /// Checks every step; raises `needs` to what they take.
    ///
    /// # Errors
    /// What the first faulty step reports.
    pub fn check<A: Arithmetic>(
        &self,
        features: usize,
        contexts: usize,
        needs: &mut Needs,
    ) -> Result<(), Fault> {
        let mut words = self.words;
        let mut active = features;
        for _ in 0..self.transforms {
            let Some((step, rest)) = next(words, A::SUPPORTS) else {
                return Err(refusal(words, A::SUPPORTS));
            };
            words = rest;
            Transform::<A>::check(&step, active, contexts, needs)?;
            active = step.keeps(active);
        }
        Ok(())
    }

    /// What the way back through `features` features keeps of one step, in words: [`GradientScratch::kept`].
    #[must_use]
    pub fn gradient_words(&self, features: usize) -> usize {
        let (mut active, mut most) = (features, 0);
        for step in self.steps() {
            most = most.max(step.gradient_words(active));
            active = step.keeps(active);
        }
        most
    }

    /// Reading to base variable, in place; gives the sum of the log-determinants.
    pub fn forward<A: Arithmetic>(
        &self,
        x: &mut [A::Value],
        context: &[A::Value],
        scratch: &mut Scratch<'_>,
    ) -> Option<A::Log> {
        let mut log_det = A::ZERO_LOG;
        let mut words = self.words;
        let mut active = x.len();
        for _ in 0..self.transforms {
            let (kind, body, rest) = block(words)?;
            words = rest;
            forward_block::<A>(kind, body, x.get_mut(..active)?, context, scratch, &mut log_det)?;
            if kind == kind::SPLIT && A::SUPPORTS.has(Capability::Split) {
                active = Split::parse(body)?.keep();
            }
        }
        Some(log_det)
    }

    /// Base variable to reading, in place; gives the sum of the density direction's log-determinants.
    pub fn inverse<A: Arithmetic>(
        &self,
        z: &mut [A::Value],
        context: &[A::Value],
        scratch: &mut Scratch<'_>,
    ) -> Option<A::Log> {
        let mut log_det = A::ZERO_LOG;
        for index in (0..self.transforms).rev() {
            let (step, active) = self.step(index, z.len(), A::SUPPORTS)?;
            let log = Transform::<A>::inverse(&step, z.get_mut(..active)?, context, scratch)?;
            log_det = A::add(log_det, log);
        }
        Some(log_det)
    }

    /// Base variable to reading and the slope of `-log_prob` with it, in place (see
    /// [`Transform::backward`]); memory is that of one transform, however many there are.
    pub fn backward<A: Arithmetic>(
        &self,
        z: &mut [A::Value],
        slope: &mut [f32],
        context: &[A::Value],
        scratch: &mut GradientScratch<'_>,
    ) -> Option<()> {
        for index in (0..self.transforms).rev() {
            let (step, active) = self.step(index, z.len(), A::SUPPORTS)?;
            let (z, slope) = (z.get_mut(..active)?, slope.get_mut(..active)?);
            Transform::<A>::backward(&step, z, slope, context, scratch)?;
        }
        Some(())
    }

    /// Step `index`, and the features that it sees.
    ///
    /// Blocks link forwards only, so that this walks the chain once per step: quadratic in a number of
    /// steps that is small, and never on the path of a score.
    fn step(&self, index: usize, features: usize, supports: Capabilities) -> Option<(Step<'a>, usize)> {
        let mut active = features;
        let mut steps = self.steps_within(supports);
        for _ in 0..index {
            active = steps.next()?.keeps(active);
        }
        Some((steps.next()?, active))
    }
}

/// [`Transform::forward`] of a block, without a [`Step`] between: what is parsed stays in registers. The log-determinant is added
/// to `log`.
#[inline(always)]
fn forward_block<A: Arithmetic>(
    kind: u8,
    body: &[u32],
    x: &mut [A::Value],
    context: &[A::Value],
    scratch: &mut Scratch<'_>,
    log: &mut A::Log,
) -> Option<()> {
    match kind {
        kind::SOFT_TAIL if A::SUPPORTS.has(Capability::SoftTail) => {
            *log = A::add(*log, soft_tail::forward::<A>(body, x)?);
            Some(())
        }
        kind::PERMUTATION => permutation::forward(body, x, scratch.front),
        kind::AFFINE_COUPLING | kind::COUPLING => {
            coupling::forward_block::<A>(kind, body, x, context, scratch, log)
        }
        _ => forward_other::<A>(kind, body, x, context, scratch, log),
    }
}

/// [`forward_block`] of the kinds whose own work is long; apart, so that their registers are not saved for others.
#[inline(never)]
fn forward_other<A: Arithmetic>(
    kind: u8,
    body: &[u32],
    x: &mut [A::Value],
    context: &[A::Value],
    scratch: &mut Scratch<'_>,
    log: &mut A::Log,
) -> Option<()> {
    let own = match kind {
        kind::ELEMENTWISE_AFFINE if A::SUPPORTS.has(Capability::ElementwiseAffine) => {
            Transform::<A>::forward(&ElementwiseAffine::parse(body)?, x, context, scratch)
        }
        kind::LINEAR if A::SUPPORTS.has(Capability::Linear) => {
            Transform::<A>::forward(&Linear::parse(body)?, x, context, scratch)
        }
        kind::MARGINAL if A::SUPPORTS.has(Capability::Marginal) => {
            Transform::<A>::forward(&Marginal::parse(body)?, x, context, scratch)
        }
        kind::LOGIT if A::SUPPORTS.has(Capability::Logit) => {
            Transform::<A>::forward(&Logit::parse(body)?, x, context, scratch)
        }
        kind::SPLIT if A::SUPPORTS.has(Capability::Split) => {
            Transform::<A>::forward(&Split::parse(body)?, x, context, scratch)
        }
        _ => None,
    }?;
    *log = A::add(*log, own);
    Some(())
}

/// The kind and the body of the block at the front of `words`, and the words behind it.
fn block(words: &[u32]) -> Option<(u8, &[u32], &[u32])> {
    let (&head, rest) = words.split_first()?;
    let (body, rest) = rest.split_at_checked((head >> 8) as usize)?;
    Some((head as u8, body, rest))
}

/// The step at the front of `words`, and the words behind it.
fn next(words: &[u32], supports: Capabilities) -> Option<(Step<'_>, &[u32])> {
    let (kind, body, rest) = block(words)?;
    Some((Step::parse(kind, body, supports)?, rest))
}

/// Why the block at the front of `words` is no step: what it needs is left out, or it is malformed.
#[cold]
#[inline(never)]
fn refusal(words: &[u32], supports: Capabilities) -> Fault {
    let needs = block(words).map_or(Capabilities::NONE, |(kind, body, _)| block_needs(kind, body));
    supports.refusal_or(needs, Fault::malformed(Part::Transform))
}
