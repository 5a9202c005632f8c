//! AdamW with clipping of the gradient's norm, a one-cycle schedule, and an average of the weights.

use super::engine::{AdamStep, Kernels, Line};
use serde::{Deserialize, Serialize};

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

    /// One step down `gradient`; returns the gradient's norm before clipping.
    pub(crate) fn step(
        &mut self,
        k: &dyn Kernels,
        lr: f32,
        (weight_decay, grad_norm): (f32, f32),
        gradient: &[Line],
        parameters: &mut [Line],
    ) -> f64 {
        let norm = k.sum_of_squares(gradient).sqrt();
        if !norm.is_finite() {
            return norm;
        }
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
        k.adam(step, gradient, &mut self.first, &mut self.second, parameters);
        if let Some((horizon, average)) = &mut self.average {
            // Short at first, so that the start is forgotten.
            let rate = 1.0 / horizon.min(1.0 + self.steps as f32 / 10.0);
            k.approach(parameters, rate, average);
        }
        norm
    }

    /// What to evaluate and keep: the average, or the parameters themselves.
    pub(crate) fn smooth<'a>(&'a self, parameters: &'a [Line]) -> &'a [Line] {
        self.average.as_ref().map_or(parameters, |(_, average)| average)
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
