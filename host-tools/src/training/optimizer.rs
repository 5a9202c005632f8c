//! AdamW with clipping of the gradient's norm, a one-cycle schedule, and an average of the weights.

use super::engine::{AdamStep, Kernels, Line};
use serde::{Deserialize, Serialize};
use std::ops::Range;

const BETA1: f32 = 0.9;
const BETA2: f32 = 0.999;
const EPSILON: f32 = 1e-8;

/// Moments and the average.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Optimizer {
    first: Vec<Line>,
    second: Vec<Line>,
    average: Option<(f32, Vec<Line>)>,
    steps: i32,
}

/// What keeps steps small.
#[derive(Clone, Copy)]
pub(crate) struct Clipping {
    /// Decoupled weight decay per unit of learning rate.
    pub(crate) weight_decay: f32,
    /// Bound of the gradient's norm.
    pub(crate) grad_norm: f32,
}

/// Moments and average of a part of the parameters.
pub(crate) struct Moments<'a> {
    first: &'a mut [Line],
    second: &'a mut [Line],
    average: Option<(f32, &'a mut [Line])>,
    steps: i32,
}

impl Optimizer {
    /// For these parameters; `horizon` of the average in steps, 0 for none.
    pub(crate) fn new(parameters: &[Line], horizon: f32) -> Self {
        Self {
            first: vec![Line::ZERO; parameters.len()],
            second: vec![Line::ZERO; parameters.len()],
            average: (horizon > 0.0).then(|| (horizon, parameters.to_vec())),
            steps: 0,
        }
    }

    /// The moments of consecutive parts of the parameters.
    pub(crate) fn parts(&mut self, parts: impl Iterator<Item = Range<usize>>) -> Vec<Moments<'_>> {
        let mut rest = (self.first.as_mut_slice(), self.second.as_mut_slice());
        let mut average = self.average.as_mut().map(|(horizon, average)| (*horizon, average.as_mut_slice()));
        let steps = self.steps;
        parts
            .map(|part| {
                let (first, first_rest) = std::mem::take(&mut rest.0).split_at_mut(part.len());
                let (second, second_rest) = std::mem::take(&mut rest.1).split_at_mut(part.len());
                rest = (first_rest, second_rest);
                let own = average.take().map(|(horizon, lines)| {
                    let (own, others) = lines.split_at_mut(part.len());
                    average = Some((horizon, others));
                    (horizon, own)
                });
                Moments { first, second, average: own, steps }
            })
            .collect()
    }

    /// Takes over the number of steps that all parts have taken.
    pub(crate) fn set_steps(&mut self, steps: i32) {
        self.steps = steps;
    }

    /// What to evaluate and keep: the average, or the parameters themselves.
    pub(crate) fn smooth<'a>(&'a self, parameters: &'a [Line]) -> &'a [Line] {
        self.average.as_ref().map_or(parameters, |(_, average)| average)
    }
}

impl Moments<'_> {
    /// Steps taken so far.
    pub(crate) fn steps(&self) -> i32 {
        self.steps
    }

    /// One step down `gradient`, of which, as of `parameters`, this is the part; `norm` is that of the whole.
    pub(crate) fn step(
        &mut self,
        k: &dyn Kernels,
        lr: f32,
        (clipping, norm): (Clipping, f64),
        gradient: &[Line],
        parameters: &mut [Line],
    ) {
        let Clipping { weight_decay, grad_norm } = clipping;
        self.steps += 1;
        let correct1 = 1.0 - f64::from(BETA1).powi(self.steps);
        let correct2 = (1.0 - f64::from(BETA2).powi(self.steps)).sqrt();
        let step = AdamStep {
            rate: (f64::from(lr) * correct2 / correct1) as f32,
            beta1: BETA1,
            beta2: BETA2,
            epsilon: (f64::from(EPSILON) * correct2) as f32,
            scale: (f64::from(grad_norm) / norm.max(f64::from(grad_norm))) as f32,
            keep: 1.0 - lr * weight_decay,
        };
        k.adam(step, gradient, self.first, self.second, parameters);
        if let Some((horizon, average)) = &mut self.average {
            // Short at first, so that the start is forgotten.
            let rate = 1.0 / horizon.min(1.0 + self.steps as f32 / 10.0);
            k.approach(parameters, rate, average);
        }
    }
}

/// One cycle (Smith and Topin 2019) as a factor of the peak rate: a linear rise over the first tenth, then a
/// cosine down to a hundredth. `done` in 0..=1.
pub(crate) fn one_cycle(done: f64) -> f64 {
    const RISE: f64 = 0.1;
    if done < RISE {
        0.04 + 0.96 * done / RISE
    } else {
        0.01 + 0.99 * cosine((done - RISE) / (1.0 - RISE))
    }
}

/// From 1 to 0 along half a cosine.
pub(crate) fn cosine(done: f64) -> f64 {
    0.5 * (1.0 + (std::f64::consts::PI * done.clamp(0.0, 1.0)).cos())
}
