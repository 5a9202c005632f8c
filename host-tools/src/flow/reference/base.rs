//! Base distributions.

use super::widen;
use crate::flow::ln_gamma;
use crate::flow::Base;
use std::f64::consts::PI;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum BaseStage {
    StandardNormal,
    DiagonalNormal { mean: Vec<f64>, log_std: Vec<f64> },
    StudentT { degrees: Vec<f64>, location: Vec<f64>, log_scale: Vec<f64> },
    Mixture { log_weights: Vec<f64>, means: Vec<f64>, log_std: Vec<f64> },
}

impl BaseStage {
    pub(super) fn new(base: &Base, _features: usize) -> Self {
        match base {
            Base::StandardNormal => BaseStage::StandardNormal,
            Base::DiagonalNormal(b) => {
                BaseStage::DiagonalNormal { mean: widen(&b.mean), log_std: widen(&b.log_std) }
            }
            Base::StudentT(b) => BaseStage::StudentT {
                degrees: widen(&b.degrees),
                location: widen(&b.location),
                log_scale: widen(&b.log_scale),
            },
            Base::Mixture(b) => BaseStage::Mixture {
                log_weights: widen(&b.log_weights),
                means: widen(&b.means),
                log_std: widen(&b.log_std),
            },
        }
    }

    pub(super) fn log_prob(&self, z: &[f64]) -> f64 {
        match self {
            BaseStage::StandardNormal => z.iter().map(|&z| normal(z, 0.0, 0.0)).sum(),
            BaseStage::DiagonalNormal { mean, log_std } => {
                (0..z.len()).map(|i| normal(z[i], mean[i], log_std[i])).sum()
            }
            BaseStage::StudentT { degrees, location, log_scale } => {
                (0..z.len()).map(|i| student(z[i], degrees[i], location[i], log_scale[i])).sum()
            }
            BaseStage::Mixture { log_weights, means, log_std } => {
                let total = log_sum_exp(log_weights.iter().copied());
                let d = z.len();
                log_sum_exp((0..log_weights.len()).map(|k| {
                    let at = k * d;
                    log_weights[k] - total
                        + (0..d).map(|i| normal(z[i], means[at + i], log_std[at + i])).sum::<f64>()
                }))
            }
        }
    }

    pub(super) fn parameters_mut(&mut self) -> Vec<&mut f64> {
        match self {
            BaseStage::StandardNormal => Vec::new(),
            BaseStage::DiagonalNormal { mean, log_std } => mean.iter_mut().chain(log_std).collect(),
            BaseStage::StudentT { degrees, location, log_scale } => {
                degrees.iter_mut().chain(location).chain(log_scale).collect()
            }
            BaseStage::Mixture { log_weights, means, log_std } => {
                log_weights.iter_mut().chain(means).chain(log_std).collect()
            }
        }
    }
}

fn normal(z: f64, mean: f64, log_std: f64) -> f64 {
    let u = (z - mean) * (-log_std).exp();
    -0.5 * u * u - log_std - 0.5 * (2.0 * PI).ln()
}

fn student(z: f64, degrees: f64, location: f64, log_scale: f64) -> f64 {
    let q = (z - location) * (-log_scale).exp();
    let half = 0.5 * (degrees + 1.0);
    ln_gamma(half)
        - ln_gamma(0.5 * degrees)
        - 0.5 * (PI * degrees).ln()
        - log_scale
        - half * (q * q / degrees).ln_1p()
}

fn log_sum_exp(terms: impl Iterator<Item = f64> + Clone) -> f64 {
    let largest = terms.clone().fold(f64::NEG_INFINITY, f64::max);
    largest + terms.map(|t| (t - largest).exp()).sum::<f64>().ln()
}
