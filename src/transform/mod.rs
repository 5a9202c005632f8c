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

pub mod affine_coupling;
mod permutation;
mod soft_tail;
pub mod standardize;

pub use affine_coupling::AffineCoupling;
pub use permutation::Permutation;
pub use soft_tail::SoftTail;
pub use standardize::Standardizer;

use crate::arithmetic::Arithmetic;
use crate::conditioner::Scratch;
use crate::{Error, Part};

/// An invertible map of the chain, in one arithmetic.
///
/// Both directions work in place on as many values as the model has features, and both give the
/// log-determinant of the *density* direction. `None` stands for what cannot happen once
/// [`Self::check`] has accepted the transform and the scratch is as large as it said.
pub trait Transform<A: Arithmetic> {
    /// Checks the parameters once; gives the words that each [`Scratch`] buffer needs.
    ///
    /// # Errors
    /// What is malformed, unsupported, not finite, or could overflow.
    fn check(&self, features: usize) -> Result<usize, Error>;

    /// Density direction: reading to base variable.
    fn forward(&self, x: &mut [A::Value], scratch: &mut Scratch<'_>) -> Option<A::Log>;

    /// Sampling direction: base variable to reading.
    fn inverse(&self, z: &mut [A::Value], scratch: &mut Scratch<'_>) -> Option<A::Log>;
}

/// A transform as it stands in a chain.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Step<'a> {
    /// See [`SoftTail`].
    SoftTail(SoftTail),
    /// See [`Permutation`].
    Permutation(Permutation<'a>),
    /// See [`AffineCoupling`].
    AffineCoupling(AffineCoupling<'a>),
}

/// Kind bytes of the chain's blocks.
pub mod kind {
    /// [`super::SoftTail`].
    pub const SOFT_TAIL: u8 = 1;
    /// [`super::Permutation`].
    pub const PERMUTATION: u8 = 2;
    /// [`super::AffineCoupling`].
    pub const AFFINE_COUPLING: u8 = 3;
}

impl<'a> Step<'a> {
    fn parse(kind: u8, body: &'a [u32]) -> Option<Self> {
        match kind {
            kind::SOFT_TAIL => SoftTail::parse(body).map(Step::SoftTail),
            kind::PERMUTATION => Some(Step::Permutation(Permutation::parse(body))),
            kind::AFFINE_COUPLING => AffineCoupling::parse(body).map(Step::AffineCoupling),
            _ => None,
        }
    }

    /// The transform's standard name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Step::SoftTail(_) => "soft_tail",
            Step::Permutation(_) => "permutation",
            Step::AffineCoupling(_) => "affine_coupling",
        }
    }
}

impl<A: Arithmetic> Transform<A> for Step<'_> {
    fn check(&self, features: usize) -> Result<usize, Error> {
        match self {
            Step::SoftTail(t) => Transform::<A>::check(t, features),
            Step::Permutation(t) => Transform::<A>::check(t, features),
            Step::AffineCoupling(t) => Transform::<A>::check(t, features),
        }
    }

    fn forward(&self, x: &mut [A::Value], scratch: &mut Scratch<'_>) -> Option<A::Log> {
        match self {
            Step::SoftTail(t) => Transform::<A>::forward(t, x, scratch),
            Step::Permutation(t) => Transform::<A>::forward(t, x, scratch),
            Step::AffineCoupling(t) => Transform::<A>::forward(t, x, scratch),
        }
    }

    fn inverse(&self, z: &mut [A::Value], scratch: &mut Scratch<'_>) -> Option<A::Log> {
        match self {
            Step::SoftTail(t) => Transform::<A>::inverse(t, z, scratch),
            Step::Permutation(t) => Transform::<A>::inverse(t, z, scratch),
            Step::AffineCoupling(t) => Transform::<A>::inverse(t, z, scratch),
        }
    }
}

/// A chain of transforms in density order, borrowed from the image.
#[derive(Clone, Copy, Debug)]
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
        let mut words = self.words;
        (0..self.transforms).map_while(move |_| {
            let (step, rest) = next(words)?;
            words = rest;
            Some(step)
        })
    }

    /// The words that the chain occupies, and the [`Scratch`] words that it needs, after checking every
    /// step.
    ///
    /// # Errors
    /// What the first faulty step reports.
    pub fn check<A: Arithmetic>(&self, features: usize) -> Result<(usize, usize), Error> {
        let mut words = self.words;
        let mut buffer_words = 0;
        for _ in 0..self.transforms {
            let (step, rest) = next(words).ok_or(Error::Malformed(Part::Transform))?;
            words = rest;
            buffer_words = buffer_words.max(Transform::<A>::check(&step, features)?);
        }
        Ok((self.words.len() - words.len(), buffer_words))
    }

    /// Reading to base variable, in place; gives the sum of the log-determinants.
    pub fn forward<A: Arithmetic>(&self, x: &mut [A::Value], scratch: &mut Scratch<'_>) -> Option<A::Log> {
        let mut log_det = A::ZERO_LOG;
        let mut words = self.words;
        for _ in 0..self.transforms {
            let (step, rest) = next(words)?;
            words = rest;
            log_det = A::add(log_det, Transform::<A>::forward(&step, x, scratch)?);
        }
        Some(log_det)
    }

    /// Base variable to reading, in place; gives the sum of the density direction's log-determinants.
    ///
    /// Blocks link forwards only, so that this walks the chain once per step: quadratic in a number of
    /// steps that is small, and never on the path of a score.
    pub fn inverse<A: Arithmetic>(&self, z: &mut [A::Value], scratch: &mut Scratch<'_>) -> Option<A::Log> {
        let mut log_det = A::ZERO_LOG;
        for index in (0..self.transforms).rev() {
            let step = self.steps().nth(index)?;
            log_det = A::add(log_det, Transform::<A>::inverse(&step, z, scratch)?);
        }
        Some(log_det)
    }
}

/// The step at the front of `words`, and the words behind it.
fn next(words: &[u32]) -> Option<(Step<'_>, &[u32])> {
    let (&head, rest) = words.split_first()?;
    let (body, rest) = rest.split_at_checked((head >> 8) as usize)?;
    Some((Step::parse(head as u8, body)?, rest))
}
