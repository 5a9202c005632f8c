//! What an [`super::Alarm`] listens to, checked once.

use crate::image::record::take;
use crate::image::Asked;
use crate::stream::Surprise;
use crate::{Error, Part};
use core::fmt;
use serde::{Deserialize, Serialize};

/// Most readings that votes are counted over.
pub const MOST_VOTERS: u8 = 32;
/// The smallest weight of an average, `2^-10`: below, rounding would be felt.
pub const LEAST_WEIGHT: u16 = 1 << 6;
/// The largest limit of a sum, in units of 2^-8 bits: 65,536 bits.
pub const LARGEST_LIMIT: u32 = 1 << 24;

/// Raises the alarm when `needed` of the last `of` readings have a surprise of at least `level`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Votes {
    /// 1 to `of`.
    pub needed: u8,
    /// 1 to [`MOST_VOTERS`].
    pub of: u8,
    /// Surprise of a reading that votes for the alarm; above zero.
    pub level: Surprise,
    /// Once raised, it stays while `needed` of the last `of` readings reach this; above zero, at most `level`.
    pub clear: Surprise,
}

/// Raises the alarm when the exponentially weighted mean of the surprise reaches `level` (Roberts 1959).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Ewma {
    /// Share of a new reading in the mean, in units of 2^-16; at least [`LEAST_WEIGHT`].
    pub weight: u16,
    /// Above `clear`, or equal.
    pub level: Surprise,
    /// Once raised, it stays while the mean is at least this; above [`Surprise::MEAN`].
    pub clear: Surprise,
}

/// Raises the alarm when the sum of what surprises exceed `reference` by, never below zero, reaches `limit` (Page 1954,
/// "Continuous inspection schemes").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Cusum {
    /// Between the mean surprise of normal readings and that of anomalous ones; above [`Surprise::MEAN`].
    pub reference: Surprise,
    /// The decision interval, in units of 2^-8 bits; 1 to [`LARGEST_LIMIT`]. The sum stops there.
    pub limit: u32,
    /// Once raised, it stays while the sum is above this; below `limit`.
    pub clear: u32,
}

/// Settings of an alarm that can work: what it listens to, any of it or all (the alarm is on if one of them says so), and
/// how long it waits.
///
/// ```
/// use flowlet::stream::{AlarmSettings, Surprise, Votes};
/// let level = Surprise::from_bits(8);
/// let votes = Votes { needed: 3, of: 5, level, clear: Surprise::from_bits(4) };
/// let settings = AlarmSettings::new(Some(votes), None, None, 60)?;
/// # assert_eq!(settings.votes(), Some(votes));
/// # Ok::<(), flowlet::stream::SettingsError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[serde(try_from = "AlarmRecord", into = "AlarmRecord")]
pub struct AlarmSettings {
    votes: Option<Votes>,
    ewma: Option<Ewma>,
    cusum: Option<Cusum>,
    hold_off: u32,
}

/// Why settings cannot work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum SettingsError {
    /// Nothing is listened to: the alarm would be silent for ever.
    Silent,
    /// See the ranges of [`Votes`].
    Votes,
    /// See the ranges of [`Ewma`].
    Ewma,
    /// See the ranges of [`Cusum`].
    Cusum,
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Silent => "an alarm needs votes, an average or a sum to listen to",
            Self::Votes => "votes need 1 <= needed <= of <= 32 and 0 < clear <= level",
            Self::Ewma => "an average needs a weight of at least 2^-10 and 1.45 bits < clear <= level",
            Self::Cusum => "a sum needs a reference above 1.45 bits and clear < limit <= 65536 bits",
        })
    }
}

impl core::error::Error for SettingsError {}

impl AlarmSettings {
    /// Checks settings; after a rise there is no other for `hold_off` readings.
    ///
    /// # Errors
    /// [`SettingsError`], by the ranges that the fields state.
    pub fn new(
        votes: Option<Votes>,
        ewma: Option<Ewma>,
        cusum: Option<Cusum>,
        hold_off: u32,
    ) -> Result<Self, SettingsError> {
        if votes.is_none() && ewma.is_none() && cusum.is_none() {
            return Err(SettingsError::Silent);
        }
        if votes.is_some_and(|v| {
            !(1..=MOST_VOTERS).contains(&v.of)
                || !(1..=v.of).contains(&v.needed)
                || v.clear == Surprise::ZERO
                || v.clear > v.level
        }) {
            return Err(SettingsError::Votes);
        }
        if ewma.is_some_and(|e| e.weight < LEAST_WEIGHT || e.clear <= Surprise::MEAN || e.clear > e.level) {
            return Err(SettingsError::Ewma);
        }
        if cusum
            .is_some_and(|c| c.reference <= Surprise::MEAN || c.limit > LARGEST_LIMIT || c.clear >= c.limit)
        {
            return Err(SettingsError::Cusum);
        }
        Ok(AlarmSettings { votes, ewma, cusum, hold_off })
    }

    /// Votes, if they count.
    #[must_use]
    pub fn votes(&self) -> Option<Votes> {
        self.votes
    }

    /// The average, if it counts.
    #[must_use]
    pub fn ewma(&self) -> Option<Ewma> {
        self.ewma
    }

    /// The sum, if it counts.
    #[must_use]
    pub fn cusum(&self) -> Option<Cusum> {
        self.cusum
    }

    /// Readings after a rise before there may be another.
    #[must_use]
    pub fn hold_off(&self) -> u32 {
        self.hold_off
    }

    /// The largest surprise that it needs to tell apart: beyond it a calibration need not reach.
    #[must_use]
    pub fn needs(&self) -> Surprise {
        let votes = self.votes.map_or(Surprise::ZERO, |v| v.level);
        let ewma = self.ewma.map_or(Surprise::ZERO, |e| e.level);
        let cusum = self.cusum.map_or(Surprise::ZERO, |c| c.reference);
        votes.max(ewma).max(cusum)
    }
}

/// [`AlarmSettings`] as they are stored: numbers alone, so that their reader is small. What is off is all zeros.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[allow(missing_docs, reason = "the fields of the settings of the same name")]
pub struct AlarmRecord {
    pub needed: u32,
    pub of: u32,
    pub votes_level: u32,
    pub votes_clear: u32,
    pub weight: u32,
    pub ewma_level: u32,
    pub ewma_clear: u32,
    pub reference: u32,
    pub limit: u32,
    pub cusum_clear: u32,
    pub hold_off: u32,
}

impl AlarmRecord {
    /// Numbers of a record.
    pub(crate) const NUMBERS: usize = 11;

    /// From its numbers, in their order.
    pub(crate) fn from_numbers(numbers: [u32; Self::NUMBERS]) -> Self {
        let [needed, of, votes_level, votes_clear, weight, ewma_level, ewma_clear, reference, limit, cusum_clear, hold_off] =
            numbers;
        AlarmRecord {
            needed,
            of,
            votes_level,
            votes_clear,
            weight,
            ewma_level,
            ewma_clear,
            reference,
            limit,
            cusum_clear,
            hold_off,
        }
    }
}

impl From<AlarmSettings> for AlarmRecord {
    fn from(settings: AlarmSettings) -> Self {
        let mut record = AlarmRecord { hold_off: settings.hold_off, ..AlarmRecord::default() };
        if let Some(v) = settings.votes {
            record.needed = v.needed.into();
            record.of = v.of.into();
            record.votes_level = v.level.raw().into();
            record.votes_clear = v.clear.raw().into();
        }
        if let Some(e) = settings.ewma {
            record.weight = e.weight.into();
            record.ewma_level = e.level.raw().into();
            record.ewma_clear = e.clear.raw().into();
        }
        if let Some(c) = settings.cusum {
            record.reference = c.reference.raw().into();
            record.limit = c.limit;
            record.cusum_clear = c.clear;
        }
        record
    }
}

impl TryFrom<AlarmRecord> for AlarmSettings {
    type Error = SettingsError;

    fn try_from(r: AlarmRecord) -> Result<Self, SettingsError> {
        let is_off = |numbers: &[u32]| numbers.iter().all(|&n| n == 0);
        let short = |n: u32| u16::try_from(n).ok();
        let surprise = |n: u32| short(n).map(Surprise::from_raw);
        let votes = if is_off(&[r.needed, r.of, r.votes_level, r.votes_clear]) {
            None
        } else {
            Some(votes(r, surprise).ok_or(SettingsError::Votes)?)
        };
        let ewma = if is_off(&[r.weight, r.ewma_level, r.ewma_clear]) {
            None
        } else {
            let read = || {
                let (level, clear) = (surprise(r.ewma_level)?, surprise(r.ewma_clear)?);
                Some(Ewma { weight: short(r.weight)?, level, clear })
            };
            Some(read().ok_or(SettingsError::Ewma)?)
        };
        let cusum = if is_off(&[r.reference, r.limit, r.cusum_clear]) {
            None
        } else {
            let reference = surprise(r.reference).ok_or(SettingsError::Cusum)?;
            Some(Cusum { reference, limit: r.limit, clear: r.cusum_clear })
        };
        AlarmSettings::new(votes, ewma, cusum, r.hold_off)
    }
}

impl<'a> Asked<'a> for AlarmSettings {
    const ABSENT: Error = Error::NoAlarm;

    fn check(record: &'a [u8], _inputs: usize) -> Result<Self, Error> {
        let malformed = Error::Malformed(Part::Alarm);
        match take::<AlarmRecord>(record) {
            Some((record, [])) => Self::try_from(record).map_err(|_| malformed),
            _ => Err(malformed),
        }
    }
}

fn votes(r: AlarmRecord, surprise: impl Fn(u32) -> Option<Surprise>) -> Option<Votes> {
    Some(Votes {
        needed: u8::try_from(r.needed).ok()?,
        of: u8::try_from(r.of).ok()?,
        level: surprise(r.votes_level)?,
        clear: surprise(r.votes_clear)?,
    })
}
