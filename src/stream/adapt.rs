//! Re-centring: the standardizer follows a slow benign drift (a sensor that ages, a season) within stated limits.
//!
//! Off unless a firmware makes a [`Recentring`] and scores with it; undone by [`Recentring::reset`]; its offsets can be read
//! at any time. What it can hide is bounded: whatever the readings do, a channel is never moved by more than `limit`, and never
//! faster than `most_step` a reading. So an anomaly that comes as a slow ramp raises the alarm `limit` standard deviations
//! later than without re-centring. Of one that comes as a jump only those readings are learned that still pass for normal,
//! while the alarm is off: of a large one none, of one that the alarm hardly sees up to the limit.

use super::Surprise;
use core::fmt;
use serde::{Deserialize, Serialize};

/// Residuals count up to here, in units of 2^-16 standard deviations: 4.
const CLIP: i32 = 4 << 16;
/// What offsets have more than values: 8 more fractional bits, 24 in all.
const GUARD_BITS: u32 = 8;
/// The largest limit: 16 standard deviations.
const LARGEST_LIMIT: u32 = 16 << 24;

/// How far and how fast the centre may move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct RecentringSettings {
    /// A reading moves the centre by `2^-shift` of its distance; 4 to 20.
    pub shift: u8,
    /// Largest offset of a channel, in units of 2^-24 standard deviations; at most 16 of them.
    pub limit: u32,
    /// Largest step of a reading, in these units.
    pub most_step: u32,
    /// Only readings of a smaller surprise are learned from; 4 bits leave out a 16th of the normal ones.
    pub learn_below: Surprise,
}

/// Settings of a re-centring out of their ranges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct RecentringSettingsError;

impl fmt::Display for RecentringSettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("re-centring needs a shift of 4 to 20 and a limit of at most 16 standard deviations")
    }
}

impl core::error::Error for RecentringSettingsError {}

/// Follows the centre of normal readings; hand [`Self::offsets`] to [`crate::Scorer::score_recentred`].
///
/// ```
/// use flowlet::stream::{Recentring, RecentringSettings, Surprise};
/// let settings = RecentringSettings {
///     shift: 8,
///     limit: 1 << 23,
///     most_step: 1 << 16,
///     learn_below: Surprise::from_bits(4),
/// };
/// let mut offsets = [0; 2];
/// let mut centre = Recentring::new(settings, &mut offsets)?;
/// for _ in 0..10_000 {
///     centre.learn(&[20_000, -200_000], Surprise::from_bits(1));
/// }
/// // The first channel by all of its 0.3 standard deviations, the second by no more than half of one.
/// assert!((centre.offsets()[0] - (20_000 << 8)).abs() < 1 << 9);
/// assert_eq!(centre.offsets()[1], -(1 << 23));
/// # Ok::<(), flowlet::stream::RecentringSettingsError>(())
/// ```
#[derive(Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Recentring<'o> {
    settings: RecentringSettings,
    offsets: &'o mut [i32],
}

impl<'o> Recentring<'o> {
    /// A re-centring that keeps its state in `offsets`, one per feature; zeros to begin with, or those from before a power
    /// cut, which are cut off at the limit.
    ///
    /// # Errors
    /// [`RecentringSettingsError`].
    pub fn new(
        settings: RecentringSettings,
        offsets: &'o mut [i32],
    ) -> Result<Self, RecentringSettingsError> {
        if !(4..=20).contains(&settings.shift) || settings.limit > LARGEST_LIMIT {
            return Err(RecentringSettingsError);
        }
        let limit = settings.limit as i32;
        offsets.iter_mut().for_each(|offset| *offset = (*offset).clamp(-limit, limit));
        Ok(Recentring { settings, offsets })
    }

    /// Learns from a reading: its standardized features ([`crate::Scorer::standardized`], without offsets), and the surprise
    /// of its re-centred score. Whether it was learned from.
    ///
    /// Do not call it while the alarm is on.
    pub fn learn(&mut self, standardized: &[i32], surprise: Surprise) -> bool {
        if surprise >= self.settings.learn_below {
            return false;
        }
        let limit = self.settings.limit as i32;
        let most = i32::try_from(self.settings.most_step).unwrap_or(i32::MAX);
        for (offset, &value) in self.offsets.iter_mut().zip(standardized) {
            let residual = value.saturating_sub(*offset >> GUARD_BITS).clamp(-CLIP, CLIP);
            // Rounded to nearest: rounded down, centres would creep.
            let half = (1i32 << self.settings.shift) >> 1;
            let step =
                ((residual << GUARD_BITS).wrapping_add(half) >> self.settings.shift).clamp(-most, most);
            *offset = offset.saturating_add(step).clamp(-limit, limit);
        }
        true
    }

    /// What to take off the standardized features, in units of 2^-24 standard deviations.
    #[must_use]
    pub fn offsets(&self) -> &[i32] {
        self.offsets
    }

    /// Back to the training's centre.
    pub fn reset(&mut self) {
        self.offsets.fill(0);
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::stream::{Alarm, AlarmSettings, Verdict, Votes};
    use std::println;

    const CHANNELS: usize = 4;
    const ONE: i32 = 1 << 24;

    /// Four independent normal channels under the standard normal: their exact surprise is known.
    struct World {
        random: u64,
        alarm: Alarm,
        offsets: [i32; CHANNELS],
        settings: Option<RecentringSettings>,
        rises: u32,
    }

    fn settings() -> RecentringSettings {
        let limit = (ONE / 2) as u32;
        RecentringSettings { shift: 10, limit, most_step: 1 << 14, learn_below: Surprise::from_bits(4) }
    }

    impl World {
        fn new(settings: Option<RecentringSettings>) -> Self {
            let level = Surprise::from_raw(6 * 256 + 128);
            let votes = Votes { needed: 3, of: 5, level, clear: level };
            let alarm = Alarm::new(AlarmSettings::new(Some(votes), None, None, 0).unwrap());
            World { random: 1, alarm, offsets: [0; CHANNELS], settings, rises: 0 }
        }

        fn normal(&mut self) -> f64 {
            (0..12)
                .map(|_| {
                    self.random = self
                        .random
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1_442_695_040_888_963_407);
                    (self.random >> 32) as f64 / 4_294_967_296.0
                })
                .sum::<f64>()
                - 6.0
        }

        /// A reading whose channels are off by so many standard deviations.
        fn step(&mut self, off: [f64; CHANNELS]) -> Verdict {
            let z = off.map(|off| ((off + self.normal()) * 65_536.0) as i32);
            let half: f64 = z
                .iter()
                .zip(self.offsets)
                .map(|(&z, offset)| {
                    (f64::from(z) / 65_536.0 - f64::from(offset) / f64::from(ONE)).powi(2) / 2.0
                })
                .sum();
            // The tail of chi-squared with four degrees of freedom.
            let surprise =
                Surprise::from_raw(((half - half.ln_1p()) / core::f64::consts::LN_2 * 256.0) as u16);
            let verdict = self.alarm.step(surprise);
            self.rises += u32::from(verdict == Verdict::Raised);
            if let Some(settings) = self.settings.filter(|_| !verdict.is_on()) {
                Recentring::new(settings, &mut self.offsets).unwrap().learn(&z, surprise);
            }
            verdict
        }

        fn largest_offset(&self) -> f64 {
            f64::from(self.offsets.iter().map(|o| o.abs()).max().unwrap()) / f64::from(ONE)
        }
    }

    #[test]
    fn a_jump_into_an_anomaly_alarms_and_is_hidden_by_no_more_than_the_limit() {
        for off in [2.5, 3.0, 5.0, -4.0] {
            let mut world = World::new(Some(settings()));
            let quiet = (0..20_000).filter(|_| !world.step([0.0; CHANNELS]).is_on()).count();
            assert!(quiet > 19_900, "{quiet}");
            let before = world.largest_offset();
            assert!(before < 0.2, "{before}");
            let delay = (1..500).find(|_| world.step([off, 0.0, 0.0, 0.0]).is_on()).expect("an alarm");
            // Ten thousand anomalous readings later it still alarms.
            let on = (0..10_000).filter(|_| world.step([off, 0.0, 0.0, 0.0]).is_on()).count();
            let moved = world.largest_offset();
            println!("{off}: alarm after {delay} readings, on for {on} of 10,000, offset {before:.2}, then {moved:.2}");
            assert!(moved <= 0.5);
            let plain = {
                let mut world = World::new(None);
                (0..10_000).filter(|_| world.step([off, 0.0, 0.0, 0.0]).is_on()).count()
            };
            // What is left of the anomaly at the worst offset alarms at least as often as that without re-centring.
            let worst = {
                let mut world = World::new(None);
                let left = off - 0.5 * off.signum();
                (0..10_000).filter(|_| world.step([left, 0.0, 0.0, 0.0]).is_on()).count()
            };
            assert!(on as f64 >= 0.8 * worst as f64 && on <= plain + 300, "{off}: {on} {worst} {plain}");
        }
    }

    #[test]
    fn a_slow_ramp_into_an_anomaly_alarms_no_later_than_the_limit_allows() {
        // Slower than the centre can follow, and than it may.
        let per_reading = 0.0001;
        let shift_at_alarm = |settings: Option<RecentringSettings>| {
            let mut world = World::new(settings);
            let mut worst = 0.0f64;
            // The shift at which it is on for a tenth of a thousand readings: later than chance.
            let (mut on, mut at) = (0, 0.0);
            for i in 0..100_000 {
                at = per_reading * f64::from(i);
                on += u32::from(world.step([at, 0.0, 0.0, 0.0]).is_on());
                worst = worst.max(world.largest_offset());
                if i % 1000 == 999 {
                    if on > 100 {
                        break;
                    }
                    on = 0;
                }
            }
            (at, worst)
        };
        let (plain, _) = shift_at_alarm(None);
        let (followed, worst) = shift_at_alarm(Some(settings()));
        println!("alarm at a shift of {plain:.2} without, {followed:.2} with re-centring; offset at most {worst:.3}");
        assert!(worst <= 0.5 && worst > 0.45, "the limit is reached and kept: {worst}");
        assert!(followed <= plain + 0.5 + 0.2 && followed > plain, "{plain} {followed}");
    }

    #[test]
    fn a_slow_benign_drift_no_longer_alarms() {
        let rises = |settings: Option<RecentringSettings>| {
            let mut world = World::new(settings);
            for i in 0..200_000 {
                // A season of 100,000 readings, nearly half a standard deviation in each channel.
                let off = 0.45 * (f64::from(i) / 100_000.0 * core::f64::consts::TAU).sin();
                world.step([off; CHANNELS]);
            }
            world.rises
        };
        let (plain, followed, still) = (rises(None), rises(Some(settings())), {
            let mut world = World::new(None);
            for _ in 0..200_000 {
                world.step([0.0; CHANNELS]);
            }
            world.rises
        });
        println!("{plain} false alarms with the drift, {followed} with re-centring, {still} without a drift");
        assert!(
            plain > 2 * still && f64::from(followed) < 0.6 * f64::from(plain),
            "{plain} {followed} {still}"
        );
    }

    #[test]
    fn it_can_be_undone_and_what_comes_from_storage_is_cut_off() {
        let mut offsets = [i32::MAX, i32::MIN, 5];
        let mut centre = Recentring::new(settings(), &mut offsets).unwrap();
        assert_eq!(centre.offsets(), [ONE / 2, -ONE / 2, 5]);
        assert!(!centre.learn(&[0; 3], Surprise::from_bits(4)), "too surprising to learn from");
        assert!(centre.learn(&[i32::MIN, i32::MAX, i32::MAX], Surprise::ZERO));
        // No faster than the largest step.
        assert_eq!(centre.offsets(), [ONE / 2 - (1 << 14), -ONE / 2 + (1 << 14), 5 + (1 << 14)]);
        centre.reset();
        assert_eq!(centre.offsets(), [0; 3]);
        for wrong in [
            RecentringSettings { shift: 3, ..settings() },
            RecentringSettings { shift: 21, ..settings() },
            RecentringSettings { limit: (16 << 24) + 1, ..settings() },
        ] {
            assert_eq!(Recentring::new(wrong, &mut offsets).err(), Some(RecentringSettingsError));
        }
    }
}
