//! From one reading's surprise to an alarm that people can live with: votes, an average, a sum; raised at one level,
//! cleared at a lower one, and not twice in a row.
//!
//! All in integers, in a state of fixed size, and without an end: nothing overflows however long the stream is. What a
//! setting costs in false alarms and in delay, `flowlet alarm` computes from the settings alone; see `docs/alarms.md`.

mod settings;
#[cfg(test)]
mod tests;

pub use settings::{
    AlarmRecord, AlarmSettings, Cusum, Ewma, SettingsError, Votes, LARGEST_LIMIT, LEAST_WEIGHT, MOST_VOTERS,
};

use super::Surprise;
use crate::Score;

/// What an alarm says after a reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Verdict {
    /// No alarm.
    Quiet,
    /// The alarm was raised by this reading.
    Raised,
    /// It was raised before, and stays.
    On,
    /// It ended with this reading.
    Cleared,
}

impl Verdict {
    /// What the pin shows.
    #[must_use]
    pub fn is_on(self) -> bool {
        matches!(self, Verdict::Raised | Verdict::On)
    }
}

/// What an alarm has heard: how far its detectors are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Evidence {
    /// Votes among the last readings.
    pub votes: u8,
    /// The average.
    pub ewma: Surprise,
    /// The sum, in units of 2^-8 bits.
    pub cusum: u32,
}

/// Turns surprises into an alarm.
///
/// The detectors start anew when the alarm clears, and rest until the hold-off is over. So the mean number of readings
/// from one false alarm to the next is at least the mean run length from the start, plus the hold-off: what the host
/// promises.
///
/// ```
/// use flowlet::stream::{Alarm, AlarmSettings, Surprise, Verdict, Votes};
/// let level = Surprise::from_bits(8);
/// let votes = Votes { needed: 2, of: 3, level, clear: level };
/// let mut alarm = Alarm::new(AlarmSettings::new(Some(votes), None, None, 0)?);
/// assert_eq!(alarm.step(Surprise::from_bits(9)), Verdict::Quiet);
/// assert_eq!(alarm.step(Surprise::from_bits(1)), Verdict::Quiet);
/// assert_eq!(alarm.step(Surprise::from_bits(9)), Verdict::Raised);
/// # Ok::<(), flowlet::stream::SettingsError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Alarm {
    settings: AlarmSettings,
    detectors: Detectors,
    is_on: bool,
    /// Readings until there may be a rise.
    rest: u32,
}

/// State of the detectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
struct Detectors {
    /// Which of the last 32 readings reached the level, the newest lowest.
    reached: u32,
    /// Which reached the lower one.
    held: u32,
    /// Q8.24.
    ewma: u32,
    cusum: u32,
}

/// The average is kept with so many bits more than a surprise has.
const EWMA_GUARD_BITS: u32 = 16;

impl Detectors {
    const START: Self =
        Detectors { reached: 0, held: 0, ewma: (Surprise::MEAN.raw() as u32) << EWMA_GUARD_BITS, cusum: 0 };
}

impl Alarm {
    /// An alarm that has heard nothing yet.
    #[must_use]
    pub fn new(settings: AlarmSettings) -> Self {
        Alarm { settings, detectors: Detectors::START, is_on: false, rest: 0 }
    }

    /// Takes the next reading's score.
    ///
    /// A reading that a sensor fault spoiled has no score and does not count: leave it out.
    pub fn update(&mut self, score: &Score) -> Verdict {
        self.step(Surprise::of(score))
    }

    /// Takes the next reading's surprise, where it does not come from the image's calibration
    /// (see [`super::SiteCalibration`]).
    ///
    /// Cost: some 100 instructions on a Cortex-M0 with everything on; no division, no 64-bit numbers.
    pub fn step(&mut self, surprise: Surprise) -> Verdict {
        let resting = self.rest > 0 && !self.is_on;
        self.rest = self.rest.saturating_sub(1);
        if resting {
            return Verdict::Quiet;
        }
        match (self.is_on, self.listen(surprise)) {
            (false, false) => Verdict::Quiet,
            (true, true) => Verdict::On,
            (false, true) => {
                self.is_on = true;
                self.rest = self.settings.hold_off();
                Verdict::Raised
            }
            (true, false) => {
                self.is_on = false;
                self.detectors = Detectors::START;
                Verdict::Cleared
            }
        }
    }

    /// Steps the detectors; whether one of them is above the level that counts now.
    fn listen(&mut self, surprise: Surprise) -> bool {
        let Detectors { reached, held, ewma, cusum } = &mut self.detectors;
        let mut above = false;
        if let Some(votes) = self.settings.votes() {
            *reached = *reached << 1 | u32::from(surprise >= votes.level);
            *held = *held << 1 | u32::from(surprise >= votes.clear);
            let counted = if self.is_on { *held } else { *reached };
            above |= among(counted, votes.of) >= u32::from(votes.needed);
        }
        if let Some(settings) = self.settings.ewma() {
            *ewma = approach(*ewma, u32::from(surprise.raw()) << EWMA_GUARD_BITS, settings.weight);
            let level = if self.is_on { settings.clear } else { settings.level };
            above |= *ewma >> EWMA_GUARD_BITS >= u32::from(level.raw());
        }
        if let Some(settings) = self.settings.cusum() {
            // At most 2^24 and 2^16: no wrap.
            let sum = cusum.saturating_add(u32::from(surprise.raw()));
            *cusum = sum.saturating_sub(u32::from(settings.reference.raw())).min(settings.limit);
            above |= if self.is_on { *cusum > settings.clear } else { *cusum >= settings.limit };
        }
        above
    }

    /// Whether the alarm is on.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.is_on
    }

    /// What its detectors have heard.
    #[must_use]
    pub fn evidence(&self) -> Evidence {
        let of = self.settings.votes().map_or(0, |v| v.of);
        Evidence {
            votes: among(self.detectors.reached, of) as u8,
            ewma: Surprise::from_raw((self.detectors.ewma >> EWMA_GUARD_BITS) as u16),
            cusum: self.detectors.cusum,
        }
    }

    /// Its settings.
    #[must_use]
    pub fn settings(&self) -> AlarmSettings {
        self.settings
    }

    /// Forgets all it has heard, and the hold-off: after a gap in the stream, or when somebody acknowledged the alarm.
    pub fn reset(&mut self) {
        *self = Self::new(self.settings);
    }
}

/// Ones among the lowest `of` bits.
fn among(mask: u32, of: u8) -> u32 {
    let dropped = u32::from(settings::MOST_VOTERS.saturating_sub(of));
    mask.checked_shl(dropped).unwrap_or(0).count_ones()
}

/// `from` moved towards `to` by the share `weight / 2^16` of their distance, rounded towards `from`.
fn approach(from: u32, to: u32, weight: u16) -> u32 {
    let way = |distance: u32| {
        let weight = u32::from(weight);
        // Neither product wraps, and their sum is below the distance.
        (distance >> 16).wrapping_mul(weight).wrapping_add((distance & 0xffff).wrapping_mul(weight) >> 16)
    };
    if to >= from {
        from.wrapping_add(way(to.wrapping_sub(from)))
    } else {
        from.wrapping_sub(way(from.wrapping_sub(to)))
    }
}
