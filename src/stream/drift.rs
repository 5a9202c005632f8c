//! Whether readings still are like those of the training, channel by channel: a slow mean and spread of each standardized
//! feature, in a few words of memory.
//!
//! The standardized features have mean 0 and variance 1 over the training rows, in every model, whatever flow stands behind
//! them; so they are what is tested. (A mixture base or several experts have no one `z` with a known distribution. Whether
//! readings have become rarer as a whole, an [`super::Ewma`] of the surprise with a small weight says, with a rate that is
//! known exactly.)
//!
//! A mean over some 2^8 independent readings is close to normal, which gives its limit for an allowed rate: `flowlet
//! alarm --drift` computes it, see `docs/alarms.md`. Neighbours in time are seldom independent: take every so many readings only, farther apart than they
//! resemble each other.

use super::detector::Follow;
use crate::support::Support;
use crate::Scorer;

use core::fmt;
use serde::{Deserialize, Serialize};

/// Standardized values count up to here, in units of 2^-16 standard deviations: 8. One wild reading shall not be a drift.
const CLIP: i32 = 8 << 16;
/// What means have more than values: 8 more fractional bits, 24 in all.
const GUARD_BITS: u32 = 8;
const ONE: u32 = 1 << 24;
/// The bit of a channel's square that says that it was reported; squares are at most 2^30.
const REPORTED: u32 = 1 << 31;

/// What counts as drift.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct DriftSettings {
    /// A new reading has the weight `2^-shift` in the means; 4 to 12.
    pub shift: u8,
    /// Only one reading in so many is looked at, at least 1.
    pub every: u16,
    /// Largest distance of a channel's mean from the training's, in units of 2^-24 standard deviations.
    pub mean_limit: u32,
    /// Smallest variance, in units of 2^-24 of the training's.
    pub least_variance: u32,
    /// Largest variance in these units.
    pub most_variance: u32,
}

/// Settings of a drift test out of their ranges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct DriftSettingsError;

impl fmt::Display for DriftSettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a drift test needs a shift of 4 to 12, every >= 1, and a least variance below the largest",
        )
    }
}

impl core::error::Error for DriftSettingsError {}

impl DriftSettings {
    /// Whether they are in their ranges.
    ///
    /// # Errors
    /// [`DriftSettingsError`].
    pub fn check(&self) -> Result<(), DriftSettingsError> {
        let fits =
            (4..=12).contains(&self.shift) && self.every > 0 && self.least_variance < self.most_variance;
        if fits {
            Ok(())
        } else {
            Err(DriftSettingsError)
        }
    }

    /// How far moments are beyond the limits, zero within.
    fn excess(&self, Moments { mean, variance }: Moments) -> u32 {
        let of_mean = mean.unsigned_abs().saturating_sub(self.mean_limit);
        let of_variance = variance.saturating_sub(self.most_variance);
        of_mean.max(of_variance).max(self.least_variance.saturating_sub(variance))
    }

    /// The limits within which a drift is over: closer by a quarter, so that it is not said again and again at the edge.
    fn inner(&self) -> Self {
        let Self { mean_limit, least_variance, most_variance, .. } = *self;
        DriftSettings {
            mean_limit: mean_limit.saturating_sub(mean_limit / 4),
            least_variance: least_variance.saturating_add(ONE.saturating_sub(least_variance) / 4),
            most_variance: most_variance.saturating_sub(most_variance.saturating_sub(ONE) / 4),
            ..*self
        }
    }
}

/// What is known of a channel, and whether it was reported as drifted: two words each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Channel {
    mean: i32,
    square: u32,
}

impl Channel {
    /// A channel as in training.
    pub const START: Self = Channel { mean: 0, square: ONE };

    /// Its slow mean and variance.
    #[must_use]
    pub fn moments(&self) -> Moments {
        let square = (i64::from(self.mean) * i64::from(self.mean)) >> 24;
        let variance = i64::from(self.square & !REPORTED) - square;
        Moments { mean: self.mean, variance: u32::try_from(variance).unwrap_or(0) }
    }

    /// Whether [`Drift::notice`] has said that it left its limits, and not yet that it is back.
    #[must_use]
    pub fn is_reported(&self) -> bool {
        self.square & REPORTED != 0
    }

    fn take(&mut self, value: i32, shift: u32) {
        let value = value.clamp(-CLIP, CLIP);
        // At most 2^27, and its square 2^30.
        self.mean = self.mean.wrapping_add((value << GUARD_BITS).wrapping_sub(self.mean) >> shift);
        let square = ((i64::from(value) * i64::from(value)) >> GUARD_BITS) as i32;
        let before = (self.square & !REPORTED) as i32;
        let now = before.wrapping_add(square.wrapping_sub(before) >> shift) as u32;
        self.square = now | (self.square & REPORTED);
    }
}

/// Mean and variance of a standardized channel, relative to the training's, with 24 fractional bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Moments {
    /// In units of 2^-24 standard deviations.
    pub mean: i32,
    /// In units of 2^-24 of the training's variance.
    pub variance: u32,
}

/// A channel that left its limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Drifted {
    /// Index of the feature.
    pub channel: u16,
    /// What became of it.
    pub moments: Moments,
}

/// What became of a channel; said once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum DriftNews {
    /// It left its limits.
    Came(Drifted),
    /// It is back, by a quarter of the way from its limits to the training's moments at least.
    Over(Drifted),
}

/// Watches the standardized features of a stream.
///
/// A [`super::Detector`] does it beside its alarm ([`super::Detector::with_drift`]); [`Self::notice`] says it once for
/// each channel, [`Self::update`] at each reading.
///
/// ```
/// use flowlet::stream::{Channel, Drift, DriftSettings};
/// let one = 1 << 24;
/// let settings =
///     DriftSettings { shift: 6, every: 1, mean_limit: one / 2, least_variance: one / 4, most_variance: 4 * one };
/// let mut channels = [Channel::START; 2];
/// let mut drift = Drift::new(settings, &mut channels)?;
/// // The second channel wobbles about 1.5 standard deviations.
/// let found = (0..200).find_map(|i| drift.update(&[0, (1 << 16) + (i % 2 << 16)]));
/// assert_eq!(found.map(|d| d.channel), Some(1));
/// # Ok::<(), flowlet::stream::DriftSettingsError>(())
/// ```
#[derive(Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Drift<'c> {
    settings: DriftSettings,
    channels: &'c mut [Channel],
    wait: u16,
}

impl<'c> Drift<'c> {
    /// A test that keeps its state in `channels`, one per feature; they may come from before a power cut.
    ///
    /// # Errors
    /// [`DriftSettingsError`].
    pub fn new(settings: DriftSettings, channels: &'c mut [Channel]) -> Result<Self, DriftSettingsError> {
        settings.check()?;
        Ok(Drift { settings, channels, wait: 0 })
    }

    /// Takes the standardized features of a reading ([`crate::Scorer::standardized`]); gives the channel that is farthest
    /// beyond its limits, if one is.
    ///
    /// Cost: some 60 instructions per channel on a Cortex-M0.
    pub fn update(&mut self, standardized: &[i32]) -> Option<Drifted> {
        if self.look(standardized) {
            self.worst()
        } else {
            None
        }
    }

    /// As [`Self::update`], but says what is new, once. Of several channels at one reading the first is the one that is
    /// farthest beyond its limits; the others follow with the next readings that are looked at.
    pub fn notice(&mut self, standardized: &[i32]) -> Option<DriftNews> {
        if self.look(standardized) {
            self.news()
        } else {
            None
        }
    }

    /// Takes a reading, if it is one to look at.
    fn look(&mut self, standardized: &[i32]) -> bool {
        let is_due = self.is_due();
        if is_due {
            for (channel, &value) in self.channels.iter_mut().zip(standardized) {
                channel.take(value, self.settings.shift.into());
            }
        }
        is_due
    }

    /// Whether this reading is looked at.
    fn is_due(&mut self) -> bool {
        let is_due = self.wait == 0;
        self.wait = if is_due { self.settings.every } else { self.wait }.saturating_sub(1);
        is_due
    }

    /// What there is to say that was not said.
    fn news(&mut self) -> Option<DriftNews> {
        let (mut farthest, mut news) = (0, None);
        for (index, channel) in (0..).zip(self.channels.iter()) {
            let moments = channel.moments();
            let drifted = Drifted { channel: index, moments };
            if !channel.is_reported() {
                let excess = self.settings.excess(moments);
                if excess > farthest {
                    (farthest, news) = (excess, Some(DriftNews::Came(drifted)));
                }
            } else if news.is_none() && self.settings.inner().excess(moments) == 0 {
                news = Some(DriftNews::Over(drifted));
            }
        }
        let (DriftNews::Came(drifted) | DriftNews::Over(drifted)) = news?;
        if let Some(channel) = self.channels.get_mut(usize::from(drifted.channel)) {
            channel.square ^= REPORTED;
        }
        news
    }

    /// The channel that is farthest beyond its limits.
    #[must_use]
    pub fn worst(&self) -> Option<Drifted> {
        let mut worst = (0, None);
        for (index, channel) in (0..).zip(self.channels.iter()) {
            let moments = channel.moments();
            let excess = self.settings.excess(moments);
            if excess > worst.0 {
                worst = (excess, Some(Drifted { channel: index, moments }));
            }
        }
        worst.1
    }

    /// What is known of each channel.
    #[must_use]
    pub fn channels(&self) -> &[Channel] {
        self.channels
    }

    /// Forgets all; what was reported as drifted is not reported as over.
    pub fn reset(&mut self) {
        self.channels.fill(Channel::START);
        self.wait = 0;
    }
}

impl Follow for Drift<'_> {
    type News = Option<DriftNews>;

    fn follow<S: Support>(&mut self, scorer: &mut Scorer<'_, '_, S>, reading: &[f32]) -> Self::News {
        if !self.is_due() {
            return None;
        }
        let shift = self.settings.shift.into();
        let mut channels = self.channels.iter_mut();
        let mut take = |value| {
            if let Some(channel) = channels.next() {
                channel.take(value, shift);
            }
        };
        // The reading has just been scored.
        scorer.standardized_each(reading, &mut take).ok()?;
        self.news()
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    struct Random(u64);

    impl Random {
        fn normal(&mut self) -> f64 {
            let mut sum = 0.0;
            for _ in 0..12 {
                self.0 =
                    self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                sum += (self.0 >> 32) as f64 / 4_294_967_296.0;
            }
            sum - 6.0
        }
    }

    fn units(x: f64) -> i32 {
        (x * 65_536.0) as i32
    }

    #[test]
    fn moments_are_those_of_floating_point() {
        let settings = DriftSettings {
            shift: 8,
            every: 3,
            mean_limit: 1 << 30,
            least_variance: 0,
            most_variance: 1 << 30,
        };
        let mut channels = [Channel::START; 1];
        let mut drift = Drift::new(settings, &mut channels).unwrap();
        let (mut random, mut mean, mut square) = (Random(1), 0.0, 1.0);
        for i in 0..30_000 {
            // Wild ones too, which count as eight deviations.
            let z = if i % 1000 == 0 { 1e4 } else { 0.4 + 1.5 * random.normal() };
            assert_eq!(drift.update(&[units(z)]), None);
            if i % 3 == 0 {
                let z = z.clamp(-8.0, 8.0);
                mean += (z - mean) / 256.0;
                square += (z * z - square) / 256.0;
            }
            let found = drift.channels()[0].moments();
            assert!((f64::from(found.mean) / 16_777_216.0 - mean).abs() < 1e-4);
            assert!((f64::from(found.variance) / 16_777_216.0 - (square - mean * mean)).abs() < 5e-4);
        }
    }

    #[test]
    fn it_names_the_channel_and_the_amount() {
        let one = 1 << 24;
        let settings = DriftSettings {
            shift: 8,
            every: 1,
            mean_limit: one / 4,
            least_variance: one / 2,
            most_variance: one * 2,
        };
        for (mean, std) in [(0.6, 1.0), (-0.6, 1.0), (0.0, 1.9), (0.0, 0.3)] {
            let mut channels = [Channel::START; 5];
            let mut drift = Drift::new(settings, &mut channels).unwrap();
            let mut random = Random(2);
            let normal: Vec<i32> = (0..5000).map(|_| units(random.normal())).collect();
            // In the limits as long as nothing moves ...
            assert!(normal.chunks_exact(5).all(|row| drift.update(row).is_none()), "{mean} {std}");
            let mut last = None;
            for _ in 0..3000 {
                let row: [i32; 5] = core::array::from_fn(|i| {
                    let z = random.normal();
                    units(if i == 3 { mean + std * z } else { z })
                });
                last = drift.update(&row);
            }
            // ... and by how much it is off when something has.
            let found = last.expect("it drifted");
            assert_eq!(found.channel, 3);
            assert!((f64::from(found.moments.mean) / 16_777_216.0 - mean).abs() < 0.25, "{found:?}");
            assert!(
                (f64::from(found.moments.variance) / 16_777_216.0 / std / std - 1.0).abs() < 0.35,
                "{found:?}"
            );
            drift.reset();
            assert_eq!(drift.worst(), None);
        }
    }

    /// Channel by channel, each once when it comes and once when it is over, also where two come at the same reading.
    #[test]
    fn news_are_said_once() {
        let one = 1 << 24;
        let settings = DriftSettings {
            shift: 6,
            every: 2,
            mean_limit: one / 2,
            least_variance: one / 4,
            most_variance: 3 * one,
        };
        let mut channels = [Channel::START; 4];
        let mut drift = Drift::new(settings, &mut channels).unwrap();
        let mut random = Random(3);
        // Moved by a standard deviation: channel 1 and 3 at the same time, then 0; back in another order.
        let moved = |step: usize| {
            [
                (4000..9000).contains(&step),
                (2000..6000).contains(&step),
                false,
                (2000..12_000).contains(&step),
            ]
        };
        let mut told = Vec::new();
        let mut most_reported = 0;
        for step in 0..14_000 {
            // A third of the normal spread
            let row = moved(step).map(|is| units(0.7 * random.normal() + f64::from(u8::from(is))));
            let news = drift.notice(&row);
            assert!(step % 2 == 0 || news.is_none(), "only every second is looked at");
            match news {
                Some(DriftNews::Came(d)) => told.push((d.channel, true, step)),
                Some(DriftNews::Over(d)) => told.push((d.channel, false, step)),
                None => {}
            }
            most_reported = most_reported.max(drift.channels().iter().filter(|c| c.is_reported()).count());
        }
        let of = |channel, came| {
            let steps: Vec<usize> =
                told.iter().filter(|t| (t.0, t.1) == (channel, came)).map(|t| t.2).collect();
            assert_eq!(steps.len(), 1, "{channel} {came}: {told:?}");
            steps[0]
        };
        for (channel, from, to) in [(0, 4000, 9000), (1, 2000, 6000), (3, 2000, 12_000)] {
            assert!((from..from + 300).contains(&of(channel, true)), "{told:?}");
            assert!((to..to + 500).contains(&of(channel, false)), "{told:?}");
        }
        assert_eq!((told.len(), most_reported), (6, 3), "channel 2 never moved: {told:?}");
    }

    /// A channel at the edge of its limits is not news at each step over it.
    #[test]
    fn the_edge_of_a_limit_is_said_once() {
        let one = 1 << 24;
        let settings = DriftSettings {
            shift: 5,
            every: 1,
            mean_limit: one / 2,
            least_variance: 0,
            most_variance: 4 * one,
        };
        let mut channels = [Channel::START; 1];
        let mut drift = Drift::new(settings, &mut channels).unwrap();
        let (mut beyond, mut news) = (0, 0);
        let mut was_beyond = false;
        for step in 0..4000 {
            // The mean wanders between 0.45 and 0.55.
            let z = if step / 50 % 2 == 0 { 0.57 } else { 0.43 };
            news += usize::from(drift.notice(&[units(z)]).is_some());
            let is_beyond = drift.worst().is_some();
            beyond += usize::from(is_beyond && !was_beyond);
            was_beyond = is_beyond;
        }
        assert!(beyond > 20, "{beyond}");
        assert_eq!(news, 1);
    }

    #[test]
    fn the_wildest_readings_wrap_nothing() {
        let settings =
            DriftSettings { shift: 4, every: 1, mean_limit: 0, least_variance: 0, most_variance: 1 << 24 };
        let mut channels = [Channel::START; 2];
        let mut drift = Drift::new(settings, &mut channels).unwrap();
        for _ in 0..1000 {
            let found = drift.update(&[i32::MAX, i32::MIN]);
            assert!(found.is_some());
        }
        let [a, b] = [0, 1].map(|i| drift.channels()[i].moments());
        assert!(a.mean > 7 << 24 && b.mean < -(7 << 24), "{a:?} {b:?}");
        for wrong in [
            DriftSettings { shift: 3, ..settings },
            DriftSettings { shift: 13, ..settings },
            DriftSettings { every: 0, ..settings },
            DriftSettings { least_variance: 1 << 24, ..settings },
        ] {
            assert_eq!(Drift::new(wrong, &mut channels).err(), Some(DriftSettingsError));
        }
    }
}
