//! A reading in, a score out.

use crate::arithmetic::fixed::{convert, FRACTION_BITS};
use crate::arithmetic::Arithmetic;
use crate::image::descriptor::{Numeric, Statistic};
use crate::image::Model;
use crate::pass::{self, in_arithmetic, Workspace};
use crate::support::{Capability, Everything, Support};
use crate::Error;

/// Fractional bits of an offset.
const OFFSET_BITS: i32 = 24;

/// By how much two versions of this crate may differ in the `log_prob` of one image, in nats.
///
/// Bits are a promise of one version, between the host and all targets. From one version to another an elementary
/// function may get faster or more exact, and scores keep to the error budgets of `docs/numerics.md`; what those add
/// up to in flows of the usual size stays below this.
#[must_use]
pub fn version_tolerance(numeric: Numeric, log_prob: f32) -> f32 {
    let (absolute, relative) = match numeric {
        Numeric::F32 => (1e-4, 1e-5),
        Numeric::I16 | Numeric::I8 => (2e-3, 1e-4),
        Numeric::F32FastMath => (1e-1, 1e-2),
    };
    absolute + relative * log_prob.abs()
}

/// What a flow says of one reading.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Score {
    /// Log-density in nats, in the units of the features (the standardizer included).
    pub log_prob: f32,
    /// Share of normal readings that are at least as unlikely, by the image's calibration.
    pub p_value: f32,
    /// The calibrated statistic that the image chose: larger is more anomalous. In nats for `-log_prob` and
    /// typicality.
    pub score: f32,
    /// Whether the statistic exceeds the image's threshold.
    pub alarm: bool,
}

/// All that one pass over a reading says; see [`Scorer::statistics`].
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Statistics {
    /// Log-density of the quoted expert in nats, as in [`Score`].
    pub log_prob: f32,
    /// `-log_prob` of the experts combined, in nats.
    pub negative_log_prob: Graded,
    /// `|z|^2` of the base variable; of several experts the quoted one's, the largest or the mean.
    pub squared_norm: Graded,
    /// `|log_prob + entropy|` of the experts combined, in nats: too likely counts as anomalous too (Nalisnick et
    /// al. 2019, "Detecting out-of-distribution inputs to deep generative models using typicality").
    pub typicality: Graded,
}

/// A statistic and how rare it is.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Graded {
    /// The statistic: larger is more anomalous.
    pub value: f32,
    /// Share of normal readings with at least this value; `None` if the image holds no calibration of it.
    pub p_value: Option<f32>,
}

/// Scores readings with a model in a fixed workspace.
#[derive(Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Scorer<'m, 'w, S = Everything> {
    model: &'m Model<'m, S>,
    workspace: Workspace<'w>,
}

impl<'m, 'w, S: Support> Scorer<'m, 'w, S> {
    /// A scorer that works in `workspace`, of at least [`crate::workspace_words`] words.
    ///
    /// # Errors
    /// [`Error::WorkspaceTooSmall`], with the number of words that it needs.
    pub fn new(model: &'m Model<'m, S>, workspace: &'w mut [u32]) -> Result<Self, Error> {
        Ok(Scorer { model, workspace: Workspace::for_scoring(model, workspace)? })
    }

    /// How many features a reading has.
    #[must_use]
    pub fn features(&self) -> usize {
        self.model.features()
    }

    /// How many values a reading has, context inputs included.
    #[must_use]
    pub fn inputs(&self) -> usize {
        self.model.inputs()
    }

    /// Scores one reading, in the order and the units of the model's features; of a model with context
    /// inputs, their values stand behind the features.
    ///
    /// Deterministic to the bit on every target. A finite reading always gets a score: wild values
    /// saturate, and score worse than tame ones.
    ///
    /// # Errors
    /// [`Error::FeatureCount`]; [`Error::NotFinite`] for a NaN or an infinity, which is a sensor fault
    /// and not an anomaly.
    pub fn score(&mut self, reading: &[f32]) -> Result<Score, Error> {
        let (reading, context) = pass::split(self.model, reading)?;
        self.score_finite(reading, context)
    }

    /// As [`Self::score`], with the features and the context (operating point: speed, load, temperature) apart.
    ///
    /// # Errors
    /// As [`Self::score`], and [`Error::ContextCount`].
    pub fn score_in_context(&mut self, reading: &[f32], context: &[f32]) -> Result<Score, Error> {
        pass::check_reading(self.model, reading, context)?;
        self.score_finite(reading, context)
    }

    #[inline]
    fn score_finite(&mut self, reading: &[f32], context: &[f32]) -> Result<Score, Error> {
        in_arithmetic!(S, self.model.numeric() => self.score_in(reading, context), else None)
            .ok_or(Error::LogicBug)
    }

    /// As [`Self::score`], with the standardized features less `offsets` (see [`crate::stream::Recentring::offsets`]):
    /// in units of 2^-24 standard deviations, one per feature, of which missing ones count as zero. With zeros alone the
    /// bits are those of [`Self::score`].
    ///
    /// Cost: that of [`Self::score`], and some 40 instructions per feature and expert.
    ///
    /// # Errors
    /// As [`Self::score`].
    pub fn score_recentred(&mut self, reading: &[f32], offsets: &[i32]) -> Result<Score, Error> {
        let (reading, context) = pass::split(self.model, reading)?;
        in_arithmetic!(S, self.model.numeric() => self.score_recentred_in(reading, context, offsets), else None)
            .ok_or(Error::LogicBug)
    }

    /// The standardized features of a reading, `(x - mean) / std` by the training's mean and standard deviation, in units
    /// of 2^-16 standard deviations, saturated at ±32767 of them: what [`crate::stream::Drift`] and
    /// [`crate::stream::Recentring`] listen to. The rest of `out`, if it is longer, is left as it is.
    ///
    /// Nothing is kept from a score for it: who does not ask pays nothing, who does pays for a standardizer.
    ///
    /// # Errors
    /// As [`Self::score`].
    pub fn standardized(&mut self, reading: &[f32], out: &mut [i32]) -> Result<(), Error> {
        let mut out = out.iter_mut();
        self.standardized_each(reading, &mut |value| {
            if let Some(out) = out.next() {
                *out = value;
            }
        })
    }

    /// As [`Self::standardized`], one after the other.
    pub(crate) fn standardized_each(
        &mut self,
        reading: &[f32],
        take: &mut dyn FnMut(i32),
    ) -> Result<(), Error> {
        let (reading, _) = pass::split(self.model, reading)?;
        in_arithmetic!(S, self.model.numeric() => self.standardized_in(reading, take), else None)
            .ok_or(Error::LogicBug)
    }

    /// Every statistic of a reading (features, then context) with its p-value, from one pass.
    ///
    /// Cost: that of [`Self::score`], the squared norm, and two more looks into a sketch.
    ///
    /// # Errors
    /// As [`Self::score`].
    pub fn statistics(&mut self, reading: &[f32]) -> Result<Statistics, Error> {
        let (reading, context) = pass::split(self.model, reading)?;
        in_arithmetic!(S, self.model.numeric() => self.statistics_in(reading, context), else None)
            .ok_or(Error::LogicBug)
    }

    /// Scores the image's self-test vectors; gives the largest `|log_prob - expected|`, in nats. Zero on
    /// every target that runs the version of this crate that the image was made with; see
    /// [`Self::self_test_passes`] for others.
    ///
    /// # Errors
    /// What [`Self::score`] reports, and [`Error::LeftOut`] without [`Capability::SelfTest`].
    pub fn self_test(&mut self) -> Result<f32, Error> {
        let model = self.model;
        Self::has_self_test()?;
        let mut worst = 0.0f32;
        for (reading, expected) in model.self_test_vectors() {
            let found = self.score(reading)?.log_prob;
            if found.to_bits() != expected.to_bits() {
                let error = (found - expected).abs();
                // A NaN must not pass for zero.
                worst = if error <= worst { worst } else { error };
            }
        }
        Ok(worst)
    }

    /// Whether the image's self-test vectors score as they should: within [`version_tolerance`] of what the image
    /// says, so that an image made by another version of this crate passes and a damaged one does not.
    ///
    /// # Errors
    /// What [`Self::score`] reports, and [`Error::LeftOut`] without [`Capability::SelfTest`].
    pub fn self_test_passes(&mut self) -> Result<bool, Error> {
        let model = self.model;
        Self::has_self_test()?;
        for (reading, expected) in model.self_test_vectors() {
            let found = self.score(reading)?.log_prob;
            let error = (found - expected).abs();
            let within = error <= version_tolerance(model.numeric(), expected);
            if found.to_bits() != expected.to_bits() && !within {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Vectors that were not checked would not be all.
    fn has_self_test() -> Result<(), Error> {
        if S::CAPABILITIES.has(Capability::SelfTest) {
            Ok(())
        } else {
            Err(Error::LeftOut(Capability::SelfTest))
        }
    }

    fn score_in<A: Arithmetic>(&mut self, reading: &[f32], context: &[f32]) -> Option<Score> {
        let want_norm = self.statistic_in_use() == Statistic::SquaredNorm;
        let pass = pass::run::<A, S>(self.model, (reading, context), &mut self.workspace, want_norm)?;
        self.judge::<A>(&pass)
    }

    fn score_recentred_in<A: Arithmetic>(
        &mut self,
        reading: &[f32],
        context: &[f32],
        offsets: &[i32],
    ) -> Option<Score> {
        let want_norm = self.statistic_in_use() == Statistic::SquaredNorm;
        let adjust = |values: &mut [A::Value]| {
            for (value, &offset) in values.iter_mut().zip(offsets) {
                *value = A::subtract(*value, A::from_f32(convert::fixed_to_f32(offset.into(), OFFSET_BITS)));
            }
        };
        let inputs = (reading, context);
        let pass = pass::run_adjusted::<A, S>(self.model, inputs, &mut self.workspace, want_norm, adjust)?;
        self.judge::<A>(&pass)
    }

    fn standardized_in<A: Arithmetic>(&mut self, reading: &[f32], take: &mut dyn FnMut(i32)) -> Option<()> {
        let values: &mut [A::Value] = bytemuck::cast_slice_mut(self.workspace.values);
        let values = values.get_mut(..reading.len())?;
        self.model.standardizer::<A>()?.forward::<A>(reading, values)?;
        for &value in values.iter() {
            // At most 32767 in size.
            take(convert::f32_to_fixed(A::to_f32(value), FRACTION_BITS as i32) as i32);
        }
        Some(())
    }

    /// Known where no other is supported.
    #[inline(always)]
    fn statistic_in_use(&self) -> Statistic {
        if S::CAPABILITIES.has(Capability::OtherStatistics) {
            self.model.core.statistic()
        } else {
            Statistic::NegativeLogProb
        }
    }

    fn judge<A: Arithmetic>(&self, pass: &pass::Pass<A::Log>) -> Option<Score> {
        let statistic = pass::statistic::<A>(self.statistic_in_use(), pass, self.model.core.entropy);
        let calibration = self.model.calibration()?;
        Some(Score {
            log_prob: A::log_to_f32(pass.log_prob),
            p_value: calibration.p_value::<A>(statistic),
            score: A::log_to_f32(statistic),
            alarm: statistic > calibration.threshold::<A>()?,
        })
    }

    fn statistics_in<A: Arithmetic>(&mut self, reading: &[f32], context: &[f32]) -> Option<Statistics> {
        let pass = pass::run::<A, S>(self.model, (reading, context), &mut self.workspace, true)?;
        let graded = |statistic| {
            let value = pass::statistic::<A>(statistic, &pass, self.model.core.entropy);
            let p_value = self.model.calibration_of(statistic).map(|c| c.p_value::<A>(value));
            Graded { value: A::log_to_f32(value), p_value }
        };
        Some(Statistics {
            log_prob: A::log_to_f32(pass.log_prob),
            negative_log_prob: graded(Statistic::NegativeLogProb),
            squared_norm: graded(Statistic::SquaredNorm),
            typicality: graded(Statistic::Typicality),
        })
    }
}
