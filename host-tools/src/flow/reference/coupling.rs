//! Couplings with any map and net.

use super::conditioner::NetStage;
use super::spline;
use crate::flow::{Coupling, CouplingMap, ScaleMap};

#[derive(Clone, Debug, PartialEq)]
pub(super) struct CouplingStage {
    given: Vec<usize>,
    moved: Vec<usize>,
    limit: f64,
    map: CouplingMap,
    pub(super) net: NetStage,
}

impl CouplingStage {
    pub(super) fn new(c: &Coupling) -> Self {
        Self {
            given: c.mask.given(),
            moved: c.mask.moved(),
            limit: f64::from(c.input_limit),
            map: c.map.clone(),
            net: NetStage::new(&c.conditioner, &c.map),
        }
    }

    /// The conditioning features and the context, saturated; `x` may be either side of the coupling, which
    /// leaves the inputs as they are.
    pub(super) fn inputs(&self, x: &[f64], context: &[f64]) -> [Vec<f64>; 2] {
        let clamp = |v: &f64| v.clamp(-self.limit, self.limit);
        [self.given.iter().map(|&i| clamp(&x[i])).collect(), context.iter().map(clamp).collect()]
    }

    fn outputs(&self, x: &[f64], context: &[f64]) -> Vec<f64> {
        let [given, context] = self.inputs(x, context);
        self.net.evaluate(&given, &context)
    }

    pub(super) fn forward(&self, x: &[f64], context: &[f64]) -> (Vec<f64>, f64) {
        let outputs = self.outputs(x, context);
        let m = self.moved.len();
        let (mut z, mut log_det) = (x.to_vec(), 0.0);
        for (k, &i) in self.moved.iter().enumerate() {
            match &self.map {
                CouplingMap::Additive => z[i] += outputs[k],
                CouplingMap::Affine { scale } => {
                    let log_scale = log_scale(*scale, outputs[m + k]);
                    z[i] = x[i] * log_scale.exp() + outputs[k];
                    log_det += log_scale;
                }
                CouplingMap::Spline(s) => {
                    let per = self.map.outputs_per_feature();
                    let (mapped, log) = spline::forward(s, &outputs[k * per..][..per], x[i]);
                    z[i] = mapped;
                    log_det += log;
                }
            }
        }
        (z, log_det)
    }

    pub(super) fn inverse(&self, z: &[f64], context: &[f64]) -> Vec<f64> {
        let outputs = self.outputs(z, context);
        let m = self.moved.len();
        let mut x = z.to_vec();
        for (k, &i) in self.moved.iter().enumerate() {
            match &self.map {
                CouplingMap::Additive => x[i] -= outputs[k],
                CouplingMap::Affine { scale } => {
                    x[i] = (z[i] - outputs[k]) * (-log_scale(*scale, outputs[m + k])).exp();
                }
                CouplingMap::Spline(s) => {
                    let per = self.map.outputs_per_feature();
                    x[i] = spline::inverse(s, &outputs[k * per..][..per], z[i]);
                }
            }
        }
        x
    }
}

fn log_scale(scale: ScaleMap, raw: f64) -> f64 {
    match scale {
        ScaleMap::Tanh { clamp } => f64::from(clamp) * (raw / f64::from(clamp)).tanh(),
        ScaleMap::Hard { clamp } => raw.clamp(-f64::from(clamp), f64::from(clamp)),
        ScaleMap::SoftSign { clamp } => raw / (1.0 + raw.abs() / f64::from(clamp)),
        ScaleMap::Sigmoid { offset, floor } => {
            (1.0 / (1.0 + (-(raw + f64::from(offset))).exp()) + f64::from(floor)).ln()
        }
    }
}
