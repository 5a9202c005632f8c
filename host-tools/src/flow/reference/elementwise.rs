//! Transforms of single features.

use super::widen;
use crate::flow::{ElementwiseAffine, Standardize};

#[derive(Clone, Debug, PartialEq)]
pub(super) struct StandardizeStage {
    mean: Vec<f64>,
    std: Vec<f64>,
    features: usize,
}

impl StandardizeStage {
    pub(super) fn new(t: &Standardize, features: usize) -> Self {
        Self { mean: widen(&t.mean), std: widen(&t.std), features }
    }

    pub(super) fn forward(&self, x: &[f64]) -> (Vec<f64>, f64) {
        let z = (0..x.len()).map(|i| (x[i] - self.mean[i]) / self.std[i]).collect();
        (z, -self.std[..self.features].iter().map(|s| s.ln()).sum::<f64>())
    }

    pub(super) fn inverse(&self, z: &[f64]) -> Vec<f64> {
        (0..z.len()).map(|i| z[i] * self.std[i] + self.mean[i]).collect()
    }

    /// The context of a whole row, standardized.
    pub(super) fn context(&self, row: &[f64], features: usize) -> Vec<f64> {
        (features..row.len()).map(|i| (row[i] - self.mean[i]) / self.std[i]).collect()
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct SoftTailStage {
    pub(super) knee: f64,
}

impl SoftTailStage {
    pub(super) fn forward(&self, x: &[f64]) -> (Vec<f64>, f64) {
        let mut log_det = 0.0;
        let mut tail = |x: f64| {
            let beyond = x.abs() - self.knee;
            if beyond <= 0.0 {
                return x;
            }
            log_det -= beyond.ln_1p();
            x.signum() * (self.knee + beyond.ln_1p())
        };
        (x.iter().map(|&x| tail(x)).collect(), log_det)
    }

    pub(super) fn inverse(&self, z: &[f64]) -> Vec<f64> {
        let tail = |z: &f64| {
            let beyond = z.abs() - self.knee;
            if beyond <= 0.0 {
                *z
            } else {
                z.signum() * (self.knee + beyond.exp_m1())
            }
        };
        z.iter().map(tail).collect()
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct AffineStage {
    log_scale: Vec<f64>,
    shift: Vec<f64>,
}

impl AffineStage {
    pub(super) fn new(t: &ElementwiseAffine) -> Self {
        Self { log_scale: widen(&t.log_scale), shift: widen(&t.shift) }
    }

    pub(super) fn forward(&self, x: &[f64]) -> (Vec<f64>, f64) {
        let z = (0..x.len()).map(|i| x[i] * self.log_scale[i].exp() + self.shift[i]).collect();
        (z, self.log_scale.iter().sum())
    }

    pub(super) fn inverse(&self, z: &[f64]) -> Vec<f64> {
        (0..z.len()).map(|i| (z[i] - self.shift[i]) * (-self.log_scale[i]).exp()).collect()
    }

    pub(super) fn parameters_mut(&mut self) -> Vec<&mut f64> {
        self.log_scale.iter_mut().chain(&mut self.shift).collect()
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct LogitStage {
    pub(super) margin: f64,
}

impl LogitStage {
    /// Value and slope at the upper edge; the lower one is its mirror image about one half.
    fn edge(&self) -> (f64, f64) {
        let p = 1.0 - self.margin;
        ((p / self.margin).ln(), 1.0 / (p * self.margin))
    }

    pub(super) fn forward(&self, x: &[f64]) -> (Vec<f64>, f64) {
        let (top, slope) = self.edge();
        let mut log_det = 0.0;
        let z = x
            .iter()
            .map(|&p| {
                let beyond = (p - 0.5).abs() - (0.5 - self.margin);
                if beyond > 0.0 {
                    log_det += slope.ln();
                    (top + slope * beyond) * (p - 0.5).signum()
                } else {
                    log_det -= (p * (1.0 - p)).ln();
                    (p / (1.0 - p)).ln()
                }
            })
            .collect();
        (z, log_det)
    }

    pub(super) fn inverse(&self, z: &[f64]) -> Vec<f64> {
        let (top, slope) = self.edge();
        let back = |&z: &f64| {
            let beyond = z.abs() - top;
            if beyond > 0.0 {
                0.5 + z.signum() * (0.5 - self.margin + beyond / slope)
            } else {
                1.0 / (1.0 + (-z).exp())
            }
        };
        z.iter().map(back).collect()
    }
}
