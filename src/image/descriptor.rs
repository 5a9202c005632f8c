//! The postcard part of an image: what it is, for whom, and where its numbers lie.
//!
//! Records stand one behind the other, so that a device reads them front to back without holding a
//! list: one [`Head`], then as many [`Feature`] as it has features, as many [`Feature`] as it has
//! context inputs, as many [`ExpertRecord`] as it has experts, and, from version 2 on, one [`Notes`], behind
//! which may stand one [`OtherStatistics`], behind that one [`CertificateRecord`], and behind that one
//! [`AlarmRecord`]. Offsets count words from the start of the
//! word section. Strings are borrowed from flash.

use crate::base::BaseRecord;
pub use crate::stream::AlarmRecord;
use crate::support::{Capabilities, Capability};
use serde::{Deserialize, Serialize};

/// Most features of a reading.
pub const MAX_FEATURES: usize = 256;
/// Most experts of an image.
pub const MAX_EXPERTS: usize = 8;

/// The arithmetic that an image is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Numeric {
    /// f32, see [`crate::arithmetic::float::elementary`].
    F32,
    /// Fixed point, conditioner weights in i16.
    I16,
    /// Fixed point, conditioner weights in i8.
    I8,
    /// f32 with functions of micromath; needs the cargo feature `fast-math`.
    F32FastMath,
}

impl Numeric {
    /// What it needs.
    pub(crate) fn needs(self) -> Capabilities {
        match self {
            Numeric::F32 => Capabilities::of(&[Capability::Float]),
            Numeric::I16 => Capabilities::of(&[Capability::Fixed, Capability::I16Weights]),
            Numeric::I8 => Capabilities::of(&[Capability::Fixed, Capability::I8Weights]),
            Numeric::F32FastMath => Capabilities::of(&[Capability::FastMath]),
        }
    }
}

/// How the log-densities of several experts become one statistic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Combine {
    /// That of the quoted expert alone.
    Quoted,
    /// Their minimum.
    Minimum,
    /// Their mean.
    Mean,
}

/// What is compared with the threshold; larger is more anomalous.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Statistic {
    /// `-log_prob`, in nats.
    NegativeLogProb,
    /// `|z|^2`, see [`crate::base::Base::squared_norm`].
    SquaredNorm,
    /// `|log_prob + entropy|`, in nats.
    Typicality,
}

impl Statistic {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 3] = [Statistic::NegativeLogProb, Statistic::SquaredNorm, Statistic::Typicality];

    /// Which of [`OtherStatistics::others`] is that of `self` in an image that uses `used`.
    pub(crate) fn index_among_others(self, used: Self) -> Option<usize> {
        Self::ALL.iter().filter(|&&other| other != used).position(|&other| other == self)
    }
}

/// Where the calibration lies, and what it was made from.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct CalibrationRecord {
    /// Offset of: threshold (2 words, as a log-density), then the quantiles.
    pub offset: u32,
    /// Number of quantiles.
    pub quantiles: u16,
    /// Normal readings that it was made from.
    pub readings: u32,
    /// Share of normal readings that the threshold was set to let alarm.
    pub false_alarm_rate: f32,
}

/// Where the self-test vectors lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct SelfTestRecord {
    /// Offset of: per vector its features as f32, then the bits of its log_prob.
    pub offset: u32,
    /// Number of vectors.
    pub vectors: u16,
}

/// First record of a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Head<'a> {
    /// Name of the model.
    pub name: &'a str,
    /// What made it, from what.
    pub provenance: &'a str,
    /// Settings of the feature front-end that the features come from; empty if they are readings.
    pub front_end: &'a [u8],
    /// The arithmetic.
    pub numeric: Numeric,
    /// Features of a reading.
    pub features: u16,
    /// Inputs that condition but are not scored.
    pub contexts: u16,
    /// Number of experts.
    pub experts: u8,
    /// The expert whose log-density is `log_prob`.
    pub quoted: u8,
    /// How experts combine.
    pub combine: Combine,
    /// What is thresholded.
    pub statistic: Statistic,
    /// Mean of `-log_prob`, experts combined, over normal readings, for typicality; f32 nats.
    pub entropy: f32,
    /// Offset of the standardizer.
    pub standardizer: u32,
    /// The calibration.
    pub calibration: CalibrationRecord,
    /// The self-test.
    pub self_test: SelfTestRecord,
}

/// Name and unit of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Feature<'a> {
    /// As in the header of the training table.
    pub name: &'a str,
    /// Unit, or empty.
    pub unit: &'a str,
}

/// A flow over the inputs: a chain of transforms and a base.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct ExpertRecord {
    /// Offset of the chain's first block.
    pub chain: u32,
    /// Number of its transforms.
    pub transforms: u16,
    /// What it maps to.
    pub base: BaseRecord,
}

/// What nobody needs to score a reading; behind the experts, from version 2 on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Notes<'a> {
    /// The chain as it was trained, before export fused what could be fused.
    pub trained_as: &'a str,
}

/// Statistics besides the one in use.
pub const OTHER_STATISTICS: usize = Statistic::ALL.len() - 1;

/// The calibrations of the two statistics that the image does not use; behind the notes, or absent.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct OtherStatistics {
    /// In the order of [`Statistic::ALL`], the used one left out.
    pub others: [CalibrationRecord; OTHER_STATISTICS],
}

/// By how much scores may differ from those of exact arithmetic: `|log_prob - exact|` in nats, proved when the image was
/// made; behind the other statistics, or absent. Infinite where nothing could be proved. No device needs it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct CertificateRecord {
    /// For every reading within the ranges of the calibration's readings, feature by feature.
    pub over_box: f32,
    /// For every reading within [`Self::radius`] standard deviations, in each feature, of a row looked at.
    pub near_rows: f32,
    /// See [`Self::near_rows`].
    pub radius: f32,
    /// For the rows themselves.
    pub at_rows: f32,
    /// Rows of the calibration that were looked at.
    pub rows: u32,
}
