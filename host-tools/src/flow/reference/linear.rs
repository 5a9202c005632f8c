//! Triangular factors.

use super::widen;
use crate::flow::Linear;

#[derive(Clone, Debug, PartialEq)]
pub(super) struct LinearStage {
    n: usize,
    lower: Vec<f64>,
    upper: Vec<f64>,
    shift: Vec<f64>,
}

impl LinearStage {
    pub(super) fn new(t: &Linear) -> Self {
        Self { n: t.shift.len(), lower: widen(&t.lower), upper: widen(&t.upper), shift: widen(&t.shift) }
    }

    pub(super) fn forward(&self, x: &[f64]) -> (Vec<f64>, f64) {
        let n = self.n;
        let y: Vec<f64> = (0..n).map(|i| (i..n).map(|j| self.upper[i * n + j] * x[j]).sum()).collect();
        let below = |i: usize| (0..i).map(|j| self.lower[i * n + j] * y[j]).sum::<f64>();
        let z = (0..n).map(|i| y[i] + below(i) + self.shift[i]).collect();
        (z, (0..n).map(|i| self.upper[i * n + i].abs().ln()).sum())
    }

    pub(super) fn inverse(&self, z: &[f64]) -> Vec<f64> {
        let n = self.n;
        let mut y = vec![0.0; n];
        for i in 0..n {
            y[i] = z[i] - self.shift[i] - (0..i).map(|j| self.lower[i * n + j] * y[j]).sum::<f64>();
        }
        for i in (0..n).rev() {
            let rest: f64 = (i + 1..n).map(|j| self.upper[i * n + j] * y[j]).sum();
            y[i] = (y[i] - rest) / self.upper[i * n + i];
        }
        y
    }

    /// All entries, those that are not read included: their derivative is zero.
    pub(super) fn parameters_mut(&mut self) -> Vec<&mut f64> {
        self.lower.iter_mut().chain(&mut self.upper).chain(&mut self.shift).collect()
    }
}
