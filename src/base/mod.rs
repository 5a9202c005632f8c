//! Base distributions: what the chain maps normal readings to, and where the density is simple.
//!
//! One file per distribution; their parameters lie among the image's words, and their records in the
//! descriptor say where. A diagonal normal is not among them: the exporter folds it into an elementwise
//! affine in front of the standard normal.

mod mixture;
mod random;
mod standard_normal;
mod student_t;

pub use mixture::{Mixture, MAX_COMPONENTS};
pub use student_t::StudentT;

use crate::arithmetic::Arithmetic;
use crate::support::{Capabilities, Capability};
use crate::Fault;
use rand_core::RngCore;
use serde::{Deserialize, Serialize};

/// The base distribution of an expert, as its descriptor names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum BaseRecord {
    /// Independent standard normals: `-(sum of z^2) / 2 - n ln(2 pi) / 2`.
    StandardNormal,
    /// Independent Student-t distributions, see [`StudentT`].
    StudentT {
        /// Offset of its words in the image.
        offset: u32,
    },
    /// A mixture of diagonal normals, see [`Mixture`].
    Mixture {
        /// Offset of its words in the image.
        offset: u32,
        /// Number of components, 1 to [`MAX_COMPONENTS`].
        components: u8,
    },
}

impl BaseRecord {
    /// What it needs.
    pub(crate) fn needs(self) -> Capabilities {
        match self {
            BaseRecord::StandardNormal => Capabilities::NONE,
            BaseRecord::StudentT { .. } => Capabilities::NONE.with(Capability::StudentT),
            BaseRecord::Mixture { .. } => Capabilities::NONE.with(Capability::Mixture),
        }
    }
}

/// A base distribution over all features, borrowed from the image.
///
/// What an arithmetic does not support counts as a standard normal in it: no image with such a base opens.
///
/// Checked once ([`Self::check`]); afterwards everything is total.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Base<'a> {
    /// See [`BaseRecord::StandardNormal`].
    StandardNormal(core::marker::PhantomData<&'a [u32]>),
    /// See [`StudentT`].
    StudentT(StudentT<'a>),
    /// See [`Mixture`].
    Mixture(Mixture<'a>),
}

impl<'a> Base<'a> {
    /// The base that `record` names, over `features` features, in the image's `words`; `None` if its words
    /// begin beyond the end. Whether they are all there is for [`Self::check`], which knows the arithmetic.
    #[must_use]
    pub fn parse(record: BaseRecord, words: &'a [u32], features: usize) -> Option<Self> {
        Self::parse_within(record, words, features, Capabilities::ALL)
    }

    /// The same of a record that needs no more than `supports`; a standard normal of one that does.
    pub(crate) fn parse_within(
        record: BaseRecord,
        words: &'a [u32],
        features: usize,
        supports: Capabilities,
    ) -> Option<Self> {
        Some(match record {
            BaseRecord::StudentT { offset } if supports.has(Capability::StudentT) => {
                Base::StudentT(StudentT::new(words.get(offset as usize..)?, features))
            }
            BaseRecord::Mixture { offset, components } if supports.has(Capability::Mixture) => {
                let words = words.get(offset as usize..)?;
                Base::Mixture(Mixture::new(words, features, usize::from(components)))
            }
            _ => Base::StandardNormal(core::marker::PhantomData),
        })
    }

    pub(crate) fn needs(&self) -> Capabilities {
        match self {
            Base::StandardNormal(_) => Capabilities::NONE,
            Base::StudentT(_) => Capabilities::NONE.with(Capability::StudentT),
            Base::Mixture(_) => Capabilities::NONE.with(Capability::Mixture),
        }
    }

    /// Its standard name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Base::StandardNormal(_) => "standard_normal",
            Base::StudentT(_) => "student_t",
            Base::Mixture(_) => "mixture",
        }
    }

    /// Checks its parameters once.
    ///
    /// # Errors
    /// [`crate::Error::Malformed`] or [`crate::Error::NotFiniteParameter`] with [`crate::Part::Base`].
    pub fn check<A: Arithmetic>(&self) -> Result<(), Fault> {
        match self {
            Base::StudentT(base) if A::SUPPORTS.has(Capability::StudentT) => base.check::<A>(),
            Base::Mixture(base) if A::SUPPORTS.has(Capability::Mixture) => base.check::<A>(),
            _ => Ok(()),
        }
    }

    /// Log-density of `z` in nats.
    #[must_use]
    pub fn log_prob<A: Arithmetic>(&self, z: &[A::Value]) -> A::Log {
        match self {
            Base::StudentT(base) if A::SUPPORTS.has(Capability::StudentT) => base.log_prob::<A>(z),
            Base::Mixture(base) if A::SUPPORTS.has(Capability::Mixture) => base.log_prob::<A>(z),
            _ => A::standard_normal(z),
        }
    }

    /// Squared distance from the centre in units of the base's scales: `|z|^2` for the standard normal, the
    /// sum of `q^2` for Student-t, the squared Mahalanobis norm within the most responsible component of a
    /// mixture.
    #[must_use]
    pub fn squared_norm<A: Arithmetic>(&self, z: &[A::Value]) -> A::Log {
        match self {
            Base::StudentT(base) if A::SUPPORTS.has(Capability::StudentT) => base.squared_norm::<A>(z),
            Base::Mixture(base) if A::SUPPORTS.has(Capability::Mixture) => base.squared_norm::<A>(z),
            _ => A::squared_norm(z),
        }
    }

    /// The slope of `-log_prob` with respect to `z`, in nats per unit of z; f32 in every arithmetic.
    pub fn slope<A: Arithmetic>(&self, z: &[A::Value], slope: &mut [f32]) {
        match self {
            Base::StudentT(base) if A::SUPPORTS.has(Capability::StudentT) => base.slope::<A>(z, slope),
            Base::Mixture(base) if A::SUPPORTS.has(Capability::Mixture) => base.slope::<A>(z, slope),
            _ => standard_normal::slope::<A>(z, slope),
        }
    }

    /// The most likely base variable near `z`: the mean of the most responsible component of a mixture, the
    /// only mode of the others.
    pub fn mode<A: Arithmetic>(&self, z: &[A::Value], out: &mut [A::Value]) {
        match self {
            Base::StudentT(base) if A::SUPPORTS.has(Capability::StudentT) => base.mode::<A>(out),
            Base::Mixture(base) if A::SUPPORTS.has(Capability::Mixture) => base.mode::<A>(z, out),
            _ => out.fill(A::ZERO),
        }
    }

    /// One sample, in f32 whatever the arithmetic; `A` is that of the image's words.
    ///
    /// The functions are those of the `libm` crate: the same random numbers give the same bits everywhere.
    pub fn sample<A: Arithmetic>(&self, random: &mut impl RngCore, out: &mut [f32]) {
        match self {
            Base::StudentT(base) if A::SUPPORTS.has(Capability::StudentT) => base.sample::<A>(random, out),
            Base::Mixture(base) if A::SUPPORTS.has(Capability::Mixture) => base.sample::<A>(random, out),
            _ => random::fill_normal(random, out),
        }
    }
}
