//! All stages in a row: a sample in, now and then an event out.

use super::alarm::{self, Alarm};
use super::drift::Drift;
use super::features::{self, extract};
use super::front_end::FrontEnd;
use super::health::{self, Fault, Health, Sample};
use super::window::Window;
use crate::arithmetic::fixed::convert::fixed_to_f32;
use crate::pass::short;
use crate::support::{Everything, Support};
use crate::{Error, Score, Scorer};

/// What stands between a healthy sample of `C` channels and the scorer: nothing ([`Readings`]), or a window and its
/// features.
pub trait Front<const C: usize> {
    /// How many features a reading has.
    fn features(&self) -> usize;

    /// Takes a sample; gives the features of a reading if one is complete now.
    ///
    /// # Errors
    /// What the stage reports.
    fn push(&mut self, counts: &[i16; C]) -> Result<Option<&[f32]>, Error>;

    /// Forgets what it has collected: the next sample does not follow on the last.
    fn clear(&mut self);
}

/// Every sample is a reading: the model's features are the sensor's counts.
///
/// For slow sensors, and the smallest detector; integers alone.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Readings<const C: usize> {
    features: [f32; C],
}

impl<const C: usize> Default for Readings<C> {
    fn default() -> Self {
        Self { features: [0.0; C] }
    }
}

impl<const C: usize> Front<C> for Readings<C> {
    fn features(&self) -> usize {
        C
    }

    fn push(&mut self, counts: &[i16; C]) -> Result<Option<&[f32]>, Error> {
        self.features = counts.map(|count| fixed_to_f32(count.into(), 0));
        Ok(Some(&self.features))
    }

    fn clear(&mut self) {}
}

/// A window of samples is a reading, and the model's features are those that its front end says.
///
/// `T` is what the front end's samples are: `i16`, the sensor's counts as they are, or `f32`, counts times the channel's
/// scale. `CAPACITY` is the window's room for samples, `window * channels` at least. All buffers are the caller's, so that
/// they can be statics.
#[derive(Debug)]
pub struct Windows<'m, 'w, T: features::Sample, const C: usize, const CAPACITY: usize> {
    front_end: FrontEnd<'m>,
    scales: [f32; C],
    window: &'w mut Window<T, CAPACITY>,
    scratch: &'w mut [T::Word],
    features: &'w mut [f32],
}

impl<'m, 'w, T: features::Sample, const C: usize, const CAPACITY: usize> Windows<'m, 'w, T, C, CAPACITY> {
    /// A stage that collects samples in `window`, works in `scratch`, of [`FrontEnd::scratch_words`] at least, and leaves
    /// features in `features`, of [`FrontEnd::features`] at least.
    ///
    /// # Errors
    /// [`Error::ChannelCount`] if samples of the front end do not have `C` channels, [`Error::WorkspaceTooSmall`] if the
    /// scratch is, [`Error::FeatureCount`] if there is too little room for features, and as [`Window::follow`].
    pub fn new(
        front_end: FrontEnd<'m>,
        window: &'w mut Window<T, CAPACITY>,
        scratch: &'w mut [T::Word],
        features: &'w mut [f32],
    ) -> Result<Self, Error> {
        let (expected, found) = (front_end.channel_count(), C);
        if expected != found {
            return Err(Error::ChannelCount { expected: short(expected), found: short(found) });
        }
        let (needed, found) = (front_end.scratch_words(), scratch.len());
        if needed > found {
            return Err(Error::WorkspaceTooSmall { needed_words: needed as u32, found_words: found as u32 });
        }
        let (expected, found) = (front_end.features(), features.len());
        if expected > found {
            return Err(Error::FeatureCount { expected: short(expected), found: short(found) });
        }
        let mut scales = [0.0; C];
        for (scale, channel) in scales.iter_mut().zip(front_end.channels()) {
            *scale = channel.scale;
        }
        window.follow(&front_end)?;
        Ok(Self { front_end, scales, window, scratch, features })
    }
}

impl<T: FromCount, const C: usize, const CAPACITY: usize> Front<C> for Windows<'_, '_, T, C, CAPACITY> {
    fn features(&self) -> usize {
        self.front_end.features()
    }

    fn push(&mut self, counts: &[i16; C]) -> Result<Option<&[f32]>, Error> {
        let mut sample = [T::ZERO; C];
        for ((value, &count), &scale) in sample.iter_mut().zip(counts).zip(&self.scales) {
            *value = T::from_count(count, scale);
        }
        if !self.window.push(&sample)? {
            return Ok(None);
        }
        extract(&self.front_end, self.window, self.scratch, self.features).map(Some)
    }

    fn clear(&mut self) {
        self.window.clear();
    }
}

#[cfg(feature = "defmt")]
impl<T: features::Sample + defmt::Format, const C: usize, const CAPACITY: usize> defmt::Format
    for Windows<'_, '_, T, C, CAPACITY>
{
    fn format(&self, f: defmt::Formatter<'_>) {
        // Without the scratch, which says nothing.
        defmt::write!(f, "Windows {{ window: {}, features: {} }}", self.window, self.features);
    }
}

/// What a sensor's count becomes in a window.
pub trait FromCount: features::Sample {
    /// The sample of a count; `scale` is in units per count.
    fn from_count(count: i16, scale: f32) -> Self;
}

impl FromCount for i16 {
    fn from_count(count: i16, _: f32) -> Self {
        count
    }
}

impl FromCount for f32 {
    fn from_count(count: i16, scale: f32) -> Self {
        f32::from(count) * scale
    }
}

/// What follows a [`Detector`]'s readings beside the alarm: nothing (`()`, which costs nothing), or a [`Drift`].
pub trait Follow {
    /// What it says of a reading.
    type News;

    /// Takes a reading, features and context, that was scored.
    fn follow<S: Support>(&mut self, scorer: &mut Scorer<'_, '_, S>, reading: &[f32]) -> Self::News;
}

impl Follow for () {
    type News = ();

    fn follow<S: Support>(&mut self, _: &mut Scorer<'_, '_, S>, _: &[f32]) {}
}

/// What became of a sample.
///
/// `N` is what follows the readings beside the alarm has to say: nothing, or, of a detector with a [`Drift`],
/// `Option<`[`DriftNews`](super::DriftNews)`>`. It comes with the score, so that neither hides the other.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Event<N = ()> {
    /// It completed a reading, and this is what the model and the alarm say of it, and what is new of a drift.
    Scored(Score, alarm::Verdict, N),
    /// The sensor, or the way from it, has a fault; said once, until it is another one or over. Meanwhile nothing is
    /// scored, and the alarm stays as it is.
    Faulty(Fault),
    /// The fault is over. From the next sample on, readings are collected anew.
    Recovered(Fault),
    /// The reading could not be scored. Not after [`Detector::new`] has looked at the model, unless features are not
    /// finite.
    Failed(Error),
}

/// From samples of `C` channels to an alarm.
///
/// ```
/// use flowlet::stream::health::{Health, Sample, Settings};
/// use flowlet::stream::{Alarm, AlarmSettings, Detector, Event, Readings, Surprise, Votes};
/// # fn demo(image: &[u8], samples: impl Iterator<Item = Sample<3>>) -> Result<(), flowlet::Error> {
/// let model = flowlet::Model::from_bytes(image)?;
/// let mut workspace = [0u32; 1024];
/// let scorer = flowlet::Scorer::new(&model, &mut workspace)?;
/// let (level, clear) = (Surprise::from_bits(7), Surprise::from_bits(5));
/// let votes = Votes { needed: 3, of: 5, level, clear };
/// let Ok(settings) = AlarmSettings::new(Some(votes), None, None, 0) else { return Ok(()) };
/// let health = Health::new(Settings::<3>::default());
/// let mut detector = Detector::new(health, Readings::default(), scorer, Alarm::new(settings))?;
/// for sample in samples {
///     match detector.push(&sample) {
///         Some(Event::Scored(_, verdict, ())) if verdict.is_on() => { /* raise the pin */ }
///         Some(Event::Faulty(fault)) => { /* call somebody else */ }
///         _ => {}
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Detector<'m, 'w, F, const C: usize, S = Everything, D = ()> {
    health: Health<C>,
    front: F,
    scorer: Scorer<'m, 'w, S>,
    alarm: Alarm,
    follower: D,
}

impl<'m, 'w, F: Front<C>, const C: usize, S: Support> Detector<'m, 'w, F, C, S> {
    /// Puts the stages in a row.
    ///
    /// # Errors
    /// [`Error::FeatureCount`] if the model takes other readings than the stage before it gives.
    pub fn new(health: Health<C>, front: F, scorer: Scorer<'m, 'w, S>, alarm: Alarm) -> Result<Self, Error> {
        let (expected, found) = (scorer.inputs(), front.features());
        if expected == found {
            Ok(Self { health, front, scorer, alarm, follower: () })
        } else {
            Err(Error::FeatureCount { expected: short(expected), found: short(found) })
        }
    }

    /// The same detector, which also says when the features of its readings drift ([`Event::Scored`]'s last part).
    ///
    /// Cost: a standardizer's, and some 60 instructions per feature on a Cortex-M0, in each reading that the drift test
    /// looks at. No memory but the test's.
    ///
    /// # Errors
    /// [`Error::FeatureCount`] if the test has another number of channels than the model has features (context inputs are
    /// not followed).
    pub fn with_drift<'c>(self, drift: Drift<'c>) -> Result<Detector<'m, 'w, F, C, S, Drift<'c>>, Error> {
        let Self { health, front, scorer, alarm, .. } = self;
        let (expected, found) = (scorer.features(), drift.channels().len());
        if expected == found {
            Ok(Detector { health, front, scorer, alarm, follower: drift })
        } else {
            Err(Error::FeatureCount { expected: short(expected), found: short(found) })
        }
    }
}

impl<F: Front<C>, const C: usize, S: Support, D: Follow> Detector<'_, '_, F, C, S, D> {
    /// Takes the next sample; `None` if there is nothing to say of it.
    pub fn push(&mut self, sample: &Sample<C>) -> Option<Event<D::News>> {
        let before = self.health.fault();
        match (self.health.observe(sample), before) {
            (health::Verdict::Faulty(fault), before) => {
                self.front.clear();
                let is_known = before.is_some_and(|before| before.is_like(&fault));
                (!is_known).then_some(Event::Faulty(fault))
            }
            (health::Verdict::Recovering { .. }, _) => None,
            (health::Verdict::Healthy, Some(over)) => Some(Event::Recovered(over)),
            (health::Verdict::Healthy, None) => self.score(sample),
        }
    }

    fn score(&mut self, sample: &Sample<C>) -> Option<Event<D::News>> {
        let counts = sample.reading.as_ref().ok()?;
        let scored = match self.front.push(counts) {
            Ok(None) => return None,
            Ok(Some(features)) => self.scorer.score(features).map(|score| (score, features)),
            Err(error) => Err(error),
        };
        Some(match scored {
            Ok((score, features)) => {
                let news = self.follower.follow(&mut self.scorer, features);
                Event::Scored(score, self.alarm.update(&score), news)
            }
            Err(error) => Event::Failed(error),
        })
    }

    /// The fault that is not over yet.
    #[must_use]
    pub fn fault(&self) -> Option<Fault> {
        self.health.fault()
    }

    /// The alarm, to be looked at or acknowledged.
    pub fn alarm(&mut self) -> &mut Alarm {
        &mut self.alarm
    }

    /// The drift test, of a detector that has one: to be looked at, kept over a power cut or reset.
    pub fn drift(&mut self) -> &mut D {
        &mut self.follower
    }
}
