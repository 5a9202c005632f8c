//! Quantization-aware fine-tuning: the integers of an image's nets are moved so that the device's own score comes closer to
//! that of the flow in f32.
//!
//! Each step evaluates a batch of readings with the device's code and the integers as they are ([`pass`]), and moves the real
//! numbers behind them (latents, [`latent`]) down the straight-through gradient of
//!
//! `mean over the batch of huber(log_prob(device) - log_prob(f32))`:
//!
//! the f32 flow teaches (Hinton et al. 2015), so that no labels are needed, readings that no density fits (repeated values,
//! anomalies among them) do no harm, and where both agree the gradient vanishes. Scales, shifts and multipliers stay as
//! calibration set them; so does all that is no perceptron: the chain, the base, residual nets and convolutions.
//!
//! Readings that were held out judge the integers every few steps; unless their `|delta log_prob|` got smaller and their
//! trimmed likelihood no worse, the image stays as it was.

mod latent;
mod pass;
#[cfg(test)]
mod tests;

use super::encode::Encoded;
use super::Stored;
use crate::flow::{Flow, Reference};
use crate::metrics::trimmed_mean;
use crate::training::Random;
use latent::{places, Latents};
use pass::{Pass, Place};
use rayon::prelude::*;

/// Readings to tune on, and others that judge; row-major, as many columns as the flow has inputs, finite.
#[derive(Clone, Copy, Debug)]
pub struct TuningRows<'a> {
    /// Readings that the integers are tuned on.
    pub tuned: &'a [f32],
    /// Readings that judge: none of those above.
    pub held_out: &'a [f32],
}

/// How long and how far.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tuning {
    /// Steps.
    pub steps: usize,
    /// Readings per step.
    pub batch: usize,
    /// First step's length in units of the integer grid; it falls to nothing along half a cosine.
    pub rate: f32,
    /// Seed of the readings' order.
    pub seed: u64,
}

impl Default for Tuning {
    fn default() -> Self {
        Tuning { steps: 300, batch: 256, rate: 0.005, seed: 0 }
    }
}

/// What quantization costs an expert on the readings that judge, in nats.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Loss {
    /// Negative log-likelihood of the device less that of the f32 flow, each a mean without its worst 2 %.
    pub trimmed_nll: f64,
    /// Mean `|log_prob(device) - log_prob(f32)|`.
    pub mean_delta: f64,
}

impl Loss {
    /// Whether the device is closer to the f32 flow.
    fn is_better_than(self, other: Loss) -> bool {
        self.mean_delta < other.mean_delta
    }
}

/// What tuning made of an expert.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FineTuned {
    /// With the integers as they were.
    pub before: Loss,
    /// With those that were kept.
    pub after: Loss,
    /// Steps that those have taken; 0 if none were better.
    pub steps: usize,
}

/// Readings of a step that one thread takes at a time; their gradients are added in order.
const CHUNK: usize = 16;
/// Steps between two judgements.
const JUDGED_EVERY: usize = 25;
/// Readings that judge at most, spread over all.
const MOST_JUDGES: usize = 2048;
/// The likelihood of held-out readings is a mean without this share, the least likely ones.
const TRIM: f64 = 0.02;
/// Differences count squared up to here, in nats; beyond, a reading pulls no harder.
const HUBER: f32 = 1.0;
/// What the random generator is for.
const PURPOSE: u64 = 6;

impl Stored<'_> {
    /// Tunes each expert by itself; `None` of those that have no integers to tune, as of f32 and of flows without
    /// perceptrons. See the module for the method.
    ///
    /// Deterministic for the seed at any number of threads.
    pub fn fine_tune(&mut self, rows: TuningRows<'_>, tuning: &Tuning) -> Vec<Option<FineTuned>> {
        let Stored { ensemble, encoded, .. } = self;
        let experts = ensemble.experts.iter().enumerate();
        experts
            .map(|(expert, flow)| Tuner::new(flow, expert, encoded, rows, tuning)?.run(encoded, tuning))
            .collect()
    }
}

/// What the steps have in common.
struct Tuner<'a> {
    expert: usize,
    shape: (usize, usize),
    places: Vec<Vec<Place>>,
    /// Readings to tune on, each with its log-density by the f32 flow.
    tuned: Vec<(&'a [f32], f32)>,
    judges: Vec<&'a [f32]>,
    /// Log-densities of the readings that judge, by the f32 flow.
    exact: Vec<f64>,
}

impl<'a> Tuner<'a> {
    fn new(
        flow: &Flow,
        expert: usize,
        encoded: &Encoded,
        rows: TuningRows<'a>,
        tuning: &Tuning,
    ) -> Option<Self> {
        let inputs = flow.inputs();
        let places = places(encoded.perceptrons(expert));
        // Spread over all where there are more.
        let some = |rows: &'a [f32], most: usize| -> Vec<&'a [f32]> {
            let rows = rows.chunks_exact(inputs);
            let every = rows.len().div_ceil(most.max(1)).max(1);
            rows.step_by(every).collect()
        };
        let tuned = some(rows.tuned, tuning.steps * tuning.batch);
        let judges = some(rows.held_out, MOST_JUDGES);
        if places.iter().all(Vec::is_empty) || tuned.is_empty() || judges.is_empty() {
            return None;
        }
        let teacher = Reference::from(flow);
        let exact = judges.par_iter().map(|row| teacher.log_prob_f32(row)).collect();
        let tuned = tuned.into_par_iter().map(|row| (row, teacher.log_prob_f32(row) as f32)).collect();
        let shape = (flow.features, flow.contexts);
        Some(Tuner { expert, shape, places, tuned, judges, exact })
    }

    fn pass<'e>(&self, encoded: &'e Encoded) -> Option<Pass<'e>> {
        Pass::new(encoded, self.expert, self.shape, &self.places)
    }

    fn run(&self, encoded: &mut Encoded, tuning: &Tuning) -> Option<FineTuned> {
        let mut latents = Latents::new(encoded.perceptrons(self.expert));
        let before = self.judge(encoded)?;
        let mut found = FineTuned { before, after: before, steps: 0 };
        let mut best = encoded.nets(self.expert).to_vec();
        let mut order: Vec<usize> = (0..self.tuned.len()).collect();
        let mut random = Random::new(tuning.seed, PURPOSE + self.expert as u64);
        let mut at = order.len();
        let mut integers = Vec::new();
        for step in 0..tuning.steps {
            let batch: Vec<(&[f32], f32)> = (0..tuning.batch)
                .map(|_| {
                    if at == order.len() {
                        random.shuffle(&mut order);
                        at = 0;
                    }
                    at += 1;
                    self.tuned[order[at - 1]]
                })
                .collect();
            latent::integers(encoded.perceptrons(self.expert), &mut integers);
            let Some(mut gradient) = self.gradient(encoded, &integers, &batch) else { break };
            let done = step as f32 / tuning.steps as f32;
            let rate = tuning.rate * 0.5 * (1.0 + (std::f32::consts::PI * done).cos());
            latents.step(&self.places, &mut gradient, rate);
            self.round(&latents, encoded);
            if (step + 1) % JUDGED_EVERY == 0 || step + 1 == tuning.steps {
                let after = self.judge(encoded)?;
                if after.is_better_than(found.after) && after.trimmed_nll <= before.trimmed_nll {
                    found = FineTuned { after, steps: step + 1, ..found };
                    best = encoded.nets(self.expert).to_vec();
                }
            }
        }
        encoded.rewrite(self.expert, |net, layers| layers.clone_from_slice(&best[net]));
        Some(found)
    }

    fn round(&self, latents: &Latents, encoded: &mut Encoded) {
        encoded.rewrite(self.expert, |net, layers| latents.round(&self.places[net], layers));
    }

    /// The batch's gradient per integer; `None` if it is no number.
    fn gradient(&self, encoded: &Encoded, integers: &[f32], batch: &[(&[f32], f32)]) -> Option<Vec<f32>> {
        let pass = self.pass(encoded)?;
        let part = |rows: &[(&[f32], f32)]| -> Option<Vec<f32>> {
            let mut memory = pass.memory(self.shape.1);
            let mut gradient = vec![0.0; integers.len()];
            for &(row, exact) in rows {
                let short = exact - pass.log_prob(row, &mut memory)?;
                pass.backward(&mut memory, short.clamp(-HUBER, HUBER), integers, &mut gradient)?;
            }
            Some(gradient)
        };
        let parts: Vec<Option<Vec<f32>>> = batch.par_chunks(CHUNK).map(part).collect();
        let mut sum = vec![0.0; integers.len()];
        for part in parts {
            sum.iter_mut().zip(part?).for_each(|(sum, part)| *sum += part / batch.len() as f32);
        }
        sum.iter().all(|g| g.is_finite()).then_some(sum)
    }

    /// What the integers cost on the readings that judge.
    fn judge(&self, encoded: &Encoded) -> Option<Loss> {
        let pass = self.pass(encoded)?;
        let part = |rows: &[&[f32]]| -> Option<Vec<f64>> {
            let mut memory = pass.memory(self.shape.1);
            rows.iter().map(|row| pass.log_prob(row, &mut memory).map(f64::from)).collect()
        };
        let parts: Option<Vec<Vec<f64>>> = self.judges.par_chunks(4 * CHUNK).map(part).collect();
        let device = parts?.concat();
        let nll = |values: &[f64]| trimmed_mean(&values.iter().map(|v| -v).collect::<Vec<_>>(), TRIM);
        let apart = device.iter().zip(&self.exact).map(|(a, b)| (a - b).abs());
        Some(Loss {
            trimmed_nll: nll(&device)? - nll(&self.exact)?,
            mean_delta: apart.sum::<f64>() / device.len() as f64,
        })
    }
}
