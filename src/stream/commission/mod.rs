//! Learning on site: what the statistic of normal readings looks like where the device really stands, without training.
//!
//! A pump of the same type on another foundation scores a little worse all the time, and the p-values of the image then
//! promise too few false alarms. [`Commissioning`] watches normal readings there, in fixed memory, and makes a
//! [`SiteCalibration`]: surprises by the site's own quantiles, for the same [`super::Alarm`] with the same settings.
//!
//! **The sketch.** Level 0 keeps the 32 largest statistics of all readings, level `j` those of every `2^j`-th one. The value
//! that a share `2^-i` exceeds then lies among the 32 of some level, at a rank of 8 to 32, so that the relative error of its
//! tail probability is the same in every octave: that of a rank (as in the relative-error sketch of Cormode et al. 2021,
//! by sampling where that one compacts). Ranks are conformal: the `r`-th largest of `n` stands for `r / (n + 1)`.
//!
//! **Beyond the readings** the tail goes on exponentially, with the mean excess of the 32 largest, for three bits and no
//! further.

mod site;
#[cfg(test)]
mod tests;

pub use site::SiteCalibration;

use super::Surprise;
use crate::arithmetic::fixed::{convert, QUANTILE_BITS};
use crate::Score;
use core::fmt;
use heapless::Vec;
use serde::{Deserialize, Serialize};

/// Statistics that a level keeps.
const SLOTS: usize = 32;
/// The smallest rank that vouches for a quantile.
const LEAST_RANK: u32 = 8;
/// Octaves of the tail that are taken on trust.
const TRUSTED_OCTAVES: u32 = 3;
/// Fewest readings that a tail is fitted to: all slots of level 0 above the rank of an octave.
const FEWEST: u32 = 2 * SLOTS as u32 - 1;
/// Octaves that a site's calibration may have.
const OCTAVES: usize = 28;

/// What a false-alarm rate must rest on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Promise {
    /// The readings alone: at least 8 of them were as surprising.
    Readings,
    /// The readings, and for up to three more bits a tail that goes on exponentially.
    Tail,
}

/// Why there is no site calibration yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum CommissioningError {
    /// Too few readings for what the alarm needs to tell apart.
    TooFew {
        /// How many more are needed.
        more: u32,
    },
    /// More readings are needed than are ever counted: a lower level, or more votes, is the remedy.
    TooRare,
    /// The state was damaged while it was stored.
    Damaged,
}

impl fmt::Display for CommissioningError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooFew { more } => write!(f, "{more} more normal readings are needed"),
            Self::TooRare => {
                f.write_str("no number of readings vouches for so rare an alarm: use more votes")
            }
            Self::Damaged => f.write_str("the collected readings were damaged: start anew"),
        }
    }
}

impl core::error::Error for CommissioningError {}

/// Collects normal readings with `LEVELS` times 132 bytes; up to `31 2^(LEVELS - 1)` of them, by default 253,951.
///
/// It can be stored (serde, postcard) and goes on where it was, so a power cut costs nothing; keep a checksum with it.
///
/// ```
/// use flowlet::stream::{Commissioning, Promise, Surprise};
/// let mut commissioning = Commissioning::<8>::new();
/// for i in 0..300 {
///     commissioning.add(((i * 37) % 300) as f32);
/// }
/// let site = commissioning.finish(Surprise::from_bits(5), Promise::Readings)?;
/// // Of 300 readings a 32nd lies above 290.
/// assert_eq!(site.surprise(291.0), Surprise::from_bits(5));
/// # Ok::<(), flowlet::stream::CommissioningError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commissioning<const LEVELS: usize = 14> {
    readings: u32,
    /// Per level the largest statistics, ascending, Q23.8.
    levels: Vec<Vec<i32, SLOTS>, LEVELS>,
}

#[cfg(feature = "defmt")]
impl<const LEVELS: usize> defmt::Format for Commissioning<LEVELS> {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "Commissioning {{ readings: {} }}", self.readings);
    }
}

impl<const LEVELS: usize> Default for Commissioning<LEVELS> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const LEVELS: usize> Commissioning<LEVELS> {
    /// Most readings that are counted.
    pub const CAPACITY: u32 = {
        let levels = if LEVELS > 22 { 22 } else { LEVELS };
        if levels == 0 {
            0
        } else {
            (31 << (levels - 1)) - 1
        }
    };

    /// No readings yet.
    #[must_use]
    pub fn new() -> Self {
        Commissioning { readings: 0, levels: Vec::new() }
    }

    /// Readings so far.
    #[must_use]
    pub fn readings(&self) -> u32 {
        self.readings
    }

    /// Takes the score of a normal reading; false, and nothing is changed, once [`Self::CAPACITY`] is reached.
    pub fn collect(&mut self, score: &Score) -> bool {
        self.add(score.score)
    }

    /// Takes a statistic, larger being more anomalous.
    ///
    /// Cost: a comparison per level that the reading belongs to, two on average; rarely an insertion among 32. No soft float.
    pub fn add(&mut self, statistic: f32) -> bool {
        if self.readings >= Self::CAPACITY {
            return false;
        }
        let value = fixed(statistic);
        // Reading 0 belongs to every level, reading 1 to the first, reading 2 to two ...
        let last = (self.readings.trailing_zeros() as usize).min(LEVELS.saturating_sub(1));
        for level in 0..=last {
            if level == self.levels.len() {
                let _ = self.levels.push(Vec::new());
            }
            if let Some(slots) = self.levels.get_mut(level) {
                keep_largest(slots, value);
            }
        }
        self.readings = self.readings.saturating_add(1);
        true
    }

    /// Readings that a level has seen.
    fn seen(&self, level: usize) -> u32 {
        let every = 1u32.checked_shl(level as u32).unwrap_or(u32::MAX);
        self.readings.div_ceil(every)
    }

    /// How many readings it takes for an alarm that must tell surprises up to `needs` apart
    /// ([`super::AlarmSettings::needs`]); `None` if more than are counted.
    ///
    /// By the readings alone `8 2^needs`: 512 for 6 bits, 8192 for 10. With the tail an eighth of that.
    #[must_use]
    pub fn readings_for(needs: Surprise, promise: Promise) -> Option<u32> {
        let octaves = u32::from(needs.raw()).div_ceil(1 << Surprise::FRACTION_BITS);
        let octaves = match promise {
            Promise::Readings => octaves,
            Promise::Tail => octaves.saturating_sub(TRUSTED_OCTAVES),
        };
        let least = LEAST_RANK.checked_shl(octaves).filter(|n| n >> octaves == LEAST_RANK)?.saturating_sub(1);
        let least = least.max(FEWEST);
        (least <= Self::CAPACITY).then_some(least)
    }

    /// The site's calibration, if the readings suffice for an alarm that needs to tell surprises up to `needs` apart.
    ///
    /// # Errors
    /// [`CommissioningError`]; collect more and ask again.
    pub fn finish(&self, needs: Surprise, promise: Promise) -> Result<SiteCalibration, CommissioningError> {
        let least = Self::readings_for(needs, promise).ok_or(CommissioningError::TooRare)?;
        if self.readings < least {
            return Err(CommissioningError::TooFew { more: least - self.readings });
        }
        self.site(promise).ok_or(CommissioningError::Damaged)
    }

    fn site(&self, promise: Promise) -> Option<SiteCalibration> {
        let is_whole = (0..self.levels.len())
            .zip(&self.levels)
            .all(|(level, slots)| slots.len() == (self.seen(level) as usize).min(SLOTS) && slots.is_sorted());
        if !is_whole {
            return None;
        }
        let last = (self.readings + 1).checked_div(LEAST_RANK)?.checked_ilog2()?;
        let mut octaves = Vec::new();
        let mut before = i32::MIN;
        for octave in 0..=last {
            // The sample of a coarser level may contradict a finer one's.
            before = self.quantile(octave)?.max(before);
            octaves.push(before).ok()?;
        }
        let top = self.levels.first()?;
        let start = i64::from(*top.first()?);
        let excess: i64 = top.iter().map(|&x| i64::from(x) - start).sum();
        let trusted = if promise == Promise::Tail { TRUSTED_OCTAVES } else { 0 };
        SiteCalibration::new(octaves, excess, top.len() as u32 - 1, self.readings, trusted)
    }

    /// The value that a share `2^-octave` exceeds, between the two order statistics next to that rank.
    fn quantile(&self, octave: u32) -> Option<i32> {
        for (level, slots) in self.levels.iter().enumerate() {
            // Rank with eight fractional bits.
            let rank = (u64::from(self.seen(level)) + 1) << 8 >> octave;
            let (whole, part) = ((rank >> 8) as usize, (rank & 0xff) as i64);
            // Above all of a level's readings lies nothing, below the smallest everything.
            let is_all = octave == 0 && self.seen(level) as usize <= slots.len();
            if is_all {
                return slots.first().copied();
            }
            if whole > slots.len() || (whole == slots.len() && part > 0) {
                continue;
            }
            let upper = i64::from(*slots.get(slots.len().checked_sub(whole)?)?);
            let lower = match slots.get(slots.len().wrapping_sub(whole + 1)) {
                Some(&lower) => i64::from(lower),
                None => upper,
            };
            return i32::try_from(upper - (((upper - lower) * part) >> 8)).ok();
        }
        None
    }
}

/// A statistic in Q23.8, saturated; what is no number counts as the largest.
fn fixed(statistic: f32) -> i32 {
    convert::f32_to_fixed(statistic, QUANTILE_BITS as i32).clamp(i32::MIN.into(), i32::MAX.into()) as i32
}

/// Puts a value among the largest, ascending; the smallest leaves if there is no room.
///
/// By exchanging neighbours, as `insert` and `rotate_left` could panic.
fn keep_largest(slots: &mut Vec<i32, SLOTS>, value: i32) {
    if slots.push(value).is_ok() {
        // Down from the back.
        let mut rest: &mut [i32] = slots;
        while let [front @ .., last] = rest {
            match front.last_mut() {
                Some(before) if *before > *last => core::mem::swap(before, last),
                _ => return,
            }
            rest = front;
        }
        return;
    }
    match slots.first_mut() {
        Some(smallest) if value > *smallest => *smallest = value,
        _ => return,
    }
    // Up from the front.
    let mut rest: &mut [i32] = slots;
    while let [first, back @ ..] = rest {
        match back.first_mut() {
            Some(next) if *next < *first => core::mem::swap(next, first),
            _ => return,
        }
        rest = back;
    }
}
