//! A plain f64 evaluation of a flow: the oracle for training, for the device's arithmetic and for export.
//!
//! Simple loops straight from the definitions in [`super`], shared with nothing else on purpose.

mod base;
mod conditioner;
mod coupling;
mod elementwise;
mod linear;
mod marginal;
mod spline;
#[cfg(test)]
mod tests;

use super::{Flow, Transform};
use base::BaseStage;
use coupling::CouplingStage;
use elementwise::{AffineStage, LogitStage, SoftTailStage, StandardizeStage};
use linear::LinearStage;
use marginal::MarginalStage;

/// A flow with its parameters widened to f64.
#[derive(Clone, Debug, PartialEq)]
pub struct Reference {
    features: usize,
    stages: Vec<Stage>,
    base: BaseStage,
}

/// A reading's image under the flow.
#[derive(Clone, Debug, PartialEq)]
pub struct Image {
    /// The base variable.
    pub z: Vec<f64>,
    /// Sum of the log-determinants of all transforms, in nats.
    pub log_det: f64,
}

#[derive(Clone, Debug, PartialEq)]
enum Stage {
    Standardize(StandardizeStage),
    SoftTail(SoftTailStage),
    Permutation(Vec<usize>),
    ElementwiseAffine(AffineStage),
    Linear(LinearStage),
    Coupling(CouplingStage),
    Marginal(MarginalStage),
    Logit(LogitStage),
    Split(usize),
}

fn widen(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&v| f64::from(v)).collect()
}

impl From<&Flow> for Reference {
    fn from(flow: &Flow) -> Self {
        let stages = flow.transforms.iter().map(|t| Stage::new(t, flow.features)).collect();
        Self { features: flow.features, stages, base: BaseStage::new(&flow.base, flow.features) }
    }
}

impl Stage {
    fn new(transform: &Transform, features: usize) -> Self {
        match transform {
            Transform::Standardize(t) => Stage::Standardize(StandardizeStage::new(t, features)),
            Transform::SoftTail(t) => Stage::SoftTail(SoftTailStage { knee: f64::from(t.knee) }),
            Transform::Permutation(t) => Stage::Permutation(t.order.clone()),
            Transform::ElementwiseAffine(t) => Stage::ElementwiseAffine(AffineStage::new(t)),
            Transform::Linear(t) => Stage::Linear(LinearStage::new(t)),
            Transform::Coupling(t) => Stage::Coupling(CouplingStage::new(t)),
            Transform::Marginal(t) => Stage::Marginal(MarginalStage::new(t)),
            Transform::Logit(t) => Stage::Logit(LogitStage { margin: f64::from(t.margin) }),
            Transform::Split(t) => Stage::Split(t.keep),
        }
    }

    /// `x` holds the active features; `context` is standardized.
    fn forward(&self, x: &[f64], context: &[f64]) -> (Vec<f64>, f64) {
        match self {
            Stage::Standardize(t) => t.forward(x),
            Stage::SoftTail(t) => t.forward(x),
            Stage::Permutation(order) => (order.iter().map(|&i| x[i]).collect(), 0.0),
            Stage::ElementwiseAffine(t) => t.forward(x),
            Stage::Linear(t) => t.forward(x),
            Stage::Coupling(t) => t.forward(x, context),
            Stage::Marginal(t) => t.forward(x),
            Stage::Logit(t) => t.forward(x),
            Stage::Split(_) => (x.to_vec(), 0.0),
        }
    }

    fn inverse(&self, z: &[f64], context: &[f64]) -> Vec<f64> {
        match self {
            Stage::Standardize(t) => t.inverse(z),
            Stage::SoftTail(t) => t.inverse(z),
            Stage::Permutation(order) => {
                let mut x = vec![0.0; z.len()];
                for (&z, &to) in z.iter().zip(order) {
                    x[to] = z;
                }
                x
            }
            Stage::ElementwiseAffine(t) => t.inverse(z),
            Stage::Linear(t) => t.inverse(z),
            Stage::Coupling(t) => t.inverse(z, context),
            Stage::Marginal(t) => t.inverse(z),
            Stage::Logit(t) => t.inverse(z),
            Stage::Split(_) => z.to_vec(),
        }
    }

    fn keeps(&self, active: usize) -> usize {
        match self {
            Stage::Split(keep) => *keep,
            _ => active,
        }
    }

    fn parameters_mut(&mut self) -> Vec<&mut f64> {
        match self {
            Stage::ElementwiseAffine(t) => t.parameters_mut(),
            Stage::Linear(t) => t.parameters_mut(),
            Stage::Coupling(t) => t.net.parameters_mut(),
            _ => Vec::new(),
        }
    }
}

impl Reference {
    /// Maps a reading to the base variable; `x` has one value per input: features, then context.
    #[must_use]
    pub fn forward(&self, x: &[f64]) -> Image {
        let (mut z, context) = (x[..self.features].to_vec(), self.context(x));
        let (mut log_det, mut active) = (0.0, self.features);
        for stage in &self.stages {
            let (mapped, log) = stage.forward(&z[..active], &context);
            z[..active].copy_from_slice(&mapped);
            log_det += log;
            active = stage.keeps(active);
        }
        Image { z, log_det }
    }

    /// Maps a base variable back to the reading it belongs to; `context` in its units.
    #[must_use]
    pub fn inverse_in(&self, z: &[f64], context: &[f64]) -> Vec<f64> {
        let context = self.context(&[&vec![0.0; self.features], context].concat());
        let mut seen = vec![self.features];
        for stage in &self.stages {
            seen.push(stage.keeps(seen[seen.len() - 1]));
        }
        let mut x = z.to_vec();
        for (stage, active) in self.stages.iter().zip(seen).rev() {
            let mapped = stage.inverse(&x[..active], &context);
            x[..active].copy_from_slice(&mapped);
        }
        x
    }

    /// Maps a base variable back to the reading it belongs to, for a flow without context.
    #[must_use]
    pub fn inverse(&self, z: &[f64]) -> Vec<f64> {
        self.inverse_in(z, &[])
    }

    /// Log-density of a reading in nats, in the units of `x`.
    #[must_use]
    pub fn log_prob(&self, x: &[f64]) -> f64 {
        let Image { z, log_det } = self.forward(x);
        log_det + self.base.log_prob(&z)
    }

    /// Log-density of a reading given in f32, in nats, in the units of `x`.
    #[must_use]
    pub fn log_prob_f32(&self, x: &[f32]) -> f64 {
        self.log_prob(&widen(x))
    }

    /// Log-density of a base variable under the base distribution, in nats.
    #[must_use]
    pub fn base_log_prob(&self, z: &[f64]) -> f64 {
        self.base.log_prob(z)
    }

    /// What the net of each coupling sees of a reading: the conditioning features, then the context,
    /// saturated.
    #[must_use]
    pub fn conditioner_inputs(&self, x: &[f64]) -> Vec<Vec<f64>> {
        let (mut z, context) = (x[..self.features].to_vec(), self.context(x));
        let (mut inputs, mut active) = (Vec::new(), self.features);
        for stage in &self.stages {
            if let Stage::Coupling(coupling) = stage {
                inputs.push(coupling.inputs(&z, &context).concat());
            }
            let (mapped, _) = stage.forward(&z[..active], &context);
            z[..active].copy_from_slice(&mapped);
            active = stage.keeps(active);
        }
        inputs
    }

    /// All trained parameters in the order in which [`Flow`] holds them: transform by transform (of a net
    /// layer by layer, weights before biases), then the base.
    pub fn parameters_mut(&mut self) -> impl Iterator<Item = &mut f64> {
        let base = self.base.parameters_mut();
        self.stages.iter_mut().flat_map(Stage::parameters_mut).chain(base)
    }

    /// The standardized context of a row.
    fn context(&self, x: &[f64]) -> Vec<f64> {
        match self.stages.first() {
            Some(Stage::Standardize(t)) => t.context(x, self.features),
            _ => x[self.features..].to_vec(),
        }
    }
}
