//! The calibration that a site gave itself.

use super::{fixed, Surprise, LEAST_RANK, OCTAVES};
use crate::Score;
use heapless::Vec;
use serde::{Deserialize, Serialize};

/// Fractional bits of a slope.
const SLOPE_BITS: u32 = 16;
/// `256 log2(e)`, with [`SLOPE_BITS`]: units of a surprise over a distance of one mean excess.
const LOG2_E: u64 = 24_204_406;

/// From the statistic to the surprise, by the quantiles of a site.
///
/// Octave `i` is the value that a share `2^-i` of the site's normal readings exceeds; between two the surprise is linear in the
/// statistic (quadratic below the first bit), and beyond the last it goes on with one slope, up to a ceiling.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiteCalibration {
    /// Q23.8, ascending.
    octaves: Vec<i32, OCTAVES>,
    slope: u32,
    readings: u32,
    ceiling: Surprise,
}

#[cfg(feature = "defmt")]
impl defmt::Format for SiteCalibration {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "SiteCalibration {{ readings: {}, ceiling: {} }}", self.readings, self.ceiling);
    }
}

impl SiteCalibration {
    /// With the sum of `count` excesses, in units of the octaves.
    pub(super) fn new(
        octaves: Vec<i32, OCTAVES>,
        excess: i64,
        count: u32,
        readings: u32,
        trusted: u32,
    ) -> Option<Self> {
        let last = octaves.len().checked_sub(1)? as u32;
        // Equal readings have no tail: the least one that there is then.
        let excess = u64::try_from(excess).ok()?.max(1);
        let slope = (LOG2_E * u64::from(count)).checked_div(excess)?;
        let ceiling = Surprise::from_raw(u16::try_from((last + trusted) << Surprise::FRACTION_BITS).ok()?);
        Some(SiteCalibration { octaves, slope: u32::try_from(slope).ok()?, readings, ceiling })
    }

    /// The surprise of a reading on this site; hand it to [`crate::stream::Alarm::step`].
    #[must_use]
    pub fn of(&self, score: &Score) -> Surprise {
        self.surprise(score.score)
    }

    /// That of a statistic. Never above [`Self::ceiling`].
    ///
    /// Cost: a search among some ten numbers and a division of 32 bits; no soft float.
    #[must_use]
    pub fn surprise(&self, statistic: f32) -> Surprise {
        let value = fixed(statistic);
        let above = self.octaves.iter().take_while(|&&q| q <= value).count();
        let Some(whole) = above.checked_sub(1) else { return Surprise::ZERO };
        let low = self.octaves.get(whole).copied().unwrap_or(value);
        let offset = value.abs_diff(low);
        let part = match self.octaves.get(above) {
            Some(&high) => {
                // Shifted so that the numerator keeps eight bits of fraction.
                let width = high.abs_diff(low);
                let shift = if width >> 24 == 0 { 0 } else { 8 };
                let part = ((offset >> shift) << 8).checked_div(width >> shift).unwrap_or(0).min(255);
                // Within the more likely half of the readings the logarithm is bent, and a line would make them rarer.
                if whole == 0 {
                    (part * part) >> 8
                } else {
                    part
                }
            }
            None => {
                u32::try_from((u64::from(offset) * u64::from(self.slope)) >> SLOPE_BITS).unwrap_or(u32::MAX)
            }
        };
        let whole = (whole as u32) << Surprise::FRACTION_BITS;
        let surprise = u16::try_from(whole.saturating_add(part)).unwrap_or(u16::MAX);
        Surprise::from_raw(surprise).min(self.ceiling)
    }

    /// The largest surprise that it speaks of: a level above it is never reached.
    #[must_use]
    pub fn ceiling(&self) -> Surprise {
        self.ceiling
    }

    /// Readings that it was made from.
    #[must_use]
    pub fn readings(&self) -> u32 {
        self.readings
    }

    /// What the readings say of a level: that the real share of normal readings which reach it lies between `2^-high` and
    /// `2^-low`, as `(low, high)`, with 95 % confidence; beyond the readings if the tail is exponential.
    ///
    /// The share above the `r`-th largest reading has a Beta distribution whatever that of the statistic is; its bounds here
    /// are those of its limit for many readings, a Gamma distribution, at the smallest rank that the octave can have.
    /// Extrapolated bits are as uncertain as the mean of 31 excesses besides.
    #[must_use]
    pub fn interval(&self, level: Surprise) -> (Surprise, Surprise) {
        let last = (self.octaves.len().saturating_sub(1) as u16) << Surprise::FRACTION_BITS;
        // Rank at the upper of the octaves around the level: 16 or more but for the last ones.
        let octave = u32::from(level.raw()).div_ceil(1 << Surprise::FRACTION_BITS);
        let rank = self.readings.saturating_add(1).checked_shr(octave).unwrap_or(0);
        let (below, above) = if rank >= 2 * LEAST_RANK { RANK_16 } else { RANK_8 };
        let beyond = u32::from(level.raw().saturating_sub(last));
        let low = below + ((beyond * SCALE.0) >> 8) as u16;
        let high = above + ((beyond * SCALE.1) >> 8) as u16;
        let raw = level.raw();
        (Surprise::from_raw(raw.saturating_sub(low)), Surprise::from_raw(raw.saturating_add(high)))
    }
}

/// Units of a surprise between a rank of 16 and the bounds of its Gamma distribution: `256 log2(gamma.ppf(0.9875, 16) / 16)` and
/// `-256 log2(gamma.ppf(0.0125, 16) / 16)`, of scipy.stats, rounded up. Bounds of 97.5 %, which interpolation between ranks brings
/// nearer to the 95 % that are stated.
const RANK_16: (u16, u16) = (184, 239);
/// The same of a rank of 8.
const RANK_8: (u16, u16) = (248, 359);
/// Of 31 excesses, relatively, in 256ths: `1 - gamma.ppf(0.0125, 31) / 31`, `gamma.ppf(0.9875, 31) / 31 - 1`.
const SCALE: (u32, u32) = (92, 114);
