//! Base distributions: what the chain maps normal readings to, and where the density is simple.
//!
//! One file per distribution; their parameters lie among the image's words, and their records in the
//! descriptor say where.

mod standard_normal;

use crate::arithmetic::Arithmetic;
use crate::Error;
use serde::{Deserialize, Serialize};

/// The base distribution of an expert, as its descriptor names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum BaseRecord {
    /// Independent standard normals: `-(sum of z^2) / 2 - n ln(2 pi) / 2`.
    StandardNormal,
}

/// A base distribution over all features, borrowed from the image.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Base<'a> {
    /// See [`BaseRecord::StandardNormal`].
    StandardNormal(core::marker::PhantomData<&'a [u32]>),
}

impl<'a> Base<'a> {
    /// The base that `record` names, over `features` features, in the image's `words`; `None` if its words
    /// are not all there.
    #[must_use]
    pub fn parse(record: BaseRecord, _words: &'a [u32], _features: usize) -> Option<Self> {
        match record {
            BaseRecord::StandardNormal => Some(Base::StandardNormal(core::marker::PhantomData)),
        }
    }

    /// Its standard name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Base::StandardNormal(_) => "standard_normal",
        }
    }

    /// Checks its parameters once.
    ///
    /// # Errors
    /// [`Error::Malformed`] or [`Error::NotFiniteParameter`] with [`crate::Part::Base`].
    pub fn check<A: Arithmetic>(&self) -> Result<(), Error> {
        match self {
            Base::StandardNormal(_) => Ok(()),
        }
    }

    /// Log-density of `z` in nats.
    #[must_use]
    pub fn log_prob<A: Arithmetic>(&self, z: &[A::Value]) -> A::Log {
        match self {
            Base::StandardNormal(_) => A::standard_normal(z),
        }
    }

    /// The slope of `-log_prob` with respect to `z`.
    pub fn slope<A: Arithmetic>(&self, z: &[A::Value], slope: &mut [f32]) {
        match self {
            Base::StandardNormal(_) => standard_normal::slope::<A>(z, slope),
        }
    }

    /// The most likely base variable near `z`.
    pub fn mode<A: Arithmetic>(&self, _z: &[A::Value], out: &mut [A::Value]) {
        match self {
            Base::StandardNormal(_) => out.fill(A::ZERO),
        }
    }
}
