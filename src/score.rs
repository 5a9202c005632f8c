//! A reading in, a score out.

use crate::arithmetic::{Arithmetic, Fixed, Float};
use crate::conditioner::Scratch;
use crate::image::descriptor::Numeric;
use crate::image::Model;
use crate::Error;

/// By the bits: a core without an FPU then calls no soft-float comparison.
pub(crate) fn is_finite(x: f32) -> bool {
    x.to_bits() & 0x7f80_0000 != 0x7f80_0000
}

/// What a flow says of one reading.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Score {
    /// Log-density in nats, in the units of the features (the standardizer included).
    pub log_prob: f32,
    /// Share of normal readings that are at least as unlikely, by the image's calibration.
    pub p_value: f32,
    /// The calibrated statistic: larger is more anomalous. In nats for `-log_prob`.
    pub score: f32,
    /// Whether the statistic exceeds the image's threshold.
    pub alarm: bool,
}

/// Scores readings with a model in a fixed workspace.
#[derive(Debug)]
pub struct Scorer<'m, 'w> {
    model: &'m Model<'m>,
    values: &'w mut [u32],
    scratch: Scratch<'w>,
}

impl<'m, 'w> Scorer<'m, 'w> {
    /// A scorer that works in `workspace`, of at least [`crate::workspace_words`] words.
    ///
    /// # Errors
    /// [`Error::WorkspaceTooSmall`], with the number of words that it needs.
    pub fn new(model: &'m Model<'m>, workspace: &'w mut [u32]) -> Result<Self, Error> {
        let found_words = u32::try_from(workspace.len()).unwrap_or(u32::MAX);
        let needed = model.workspace_bytes() / 4;
        let too_small = Error::WorkspaceTooSmall { needed_words: needed as u32, found_words };
        let (used, _) = workspace.split_at_mut_checked(needed).ok_or(too_small)?;
        let (values, buffers) = used.split_at_mut_checked(model.inputs()).ok_or(Error::LogicBug)?;
        let half = buffers.len() / 2;
        let (front, back) = buffers.split_at_mut_checked(half).ok_or(Error::LogicBug)?;
        Ok(Scorer { model, values, scratch: Scratch { front, back } })
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
        self.check_reading(reading)?;
        match self.model.numeric() {
            Numeric::F32 => self.score_in::<Float>(reading),
            Numeric::I16 | Numeric::I8 => self.score_in::<Fixed>(reading),
            #[cfg(feature = "fast-math")]
            Numeric::F32FastMath => self.score_in::<Float<crate::arithmetic::FastMath>>(reading),
            #[cfg(not(feature = "fast-math"))]
            Numeric::F32FastMath => None,
        }
        .ok_or(Error::LogicBug)
    }

    /// Scores the image's self-test vectors; gives the largest `|log_prob - expected|`, in nats. Zero on
    /// every target that computes as the host did.
    ///
    /// # Errors
    /// What [`Self::score`] reports.
    pub fn self_test(&mut self) -> Result<f32, Error> {
        let model = self.model;
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

    fn check_reading(&self, reading: &[f32]) -> Result<(), Error> {
        if reading.len() != self.model.inputs() {
            return Err(Error::FeatureCount {
                expected: self.model.inputs() as u16,
                found: u16::try_from(reading.len()).unwrap_or(u16::MAX),
            });
        }
        for (feature, x) in reading.iter().enumerate() {
            if !is_finite(*x) {
                return Err(Error::NotFinite { feature: feature as u16 });
            }
        }
        Ok(())
    }

    fn score_in<A: Arithmetic>(&mut self, reading: &[f32]) -> Option<Score> {
        let expert = self.model.quoted()?;
        let values: &mut [A::Value] = bytemuck::cast_slice_mut(self.values);
        let mut log_prob = self.model.standardizer::<A>()?.forward::<A>(reading, values)?;
        let (values, context) = values.split_at_mut_checked(self.model.features())?;
        log_prob = A::add(log_prob, expert.chain.forward::<A>(values, context, &mut self.scratch)?);
        log_prob = A::settle(A::add(log_prob, expert.base.log_prob::<A>(values)));

        let calibration = self.model.calibration()?;
        let statistic = A::negate(log_prob);
        Some(Score {
            log_prob: A::log_to_f32(log_prob),
            p_value: calibration.p_value::<A>(statistic),
            score: A::log_to_f32(statistic),
            alarm: statistic > calibration.threshold::<A>()?,
        })
    }
}
