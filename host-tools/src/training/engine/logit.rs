//! Log-odds on a tile, and the dequantizing noise in front of them: no parameters.
//!
//! By the device's own f32 code, value by value.

use super::kernels::{split_mix, Kernels, PANELS};
use super::lanes::Line;
use super::transform::TileTransform;
use crate::flow;
use crate::training::random::Random;
use flowlet::arithmetic::logit::LogitArithmetic;
use flowlet::arithmetic::Float;

/// The map that [`flow::Logit`] documents.
pub(crate) struct TileLogit {
    active: usize,
    stride: usize,
    margin: f32,
}

impl TileLogit {
    /// Over the first `active` lines of panels of `stride`; a margin that can be written to an image.
    pub(crate) fn new(active: usize, stride: usize, margin: f32) -> Self {
        Self { active, stride, margin }
    }
}

// `kept` holds the inputs.
impl TileTransform for TileLogit {
    fn parameters(&self) -> usize {
        0
    }
    fn kept(&self) -> usize {
        self.active * PANELS
    }
    fn scratch(&self) -> usize {
        0
    }
    fn initialize(&self, _: &mut [Line], _: &mut Random) {}

    fn export(&self, _: &[Line]) -> flow::Transform {
        flow::Transform::Logit(flow::Logit { margin: self.margin })
    }

    fn forward(
        &self,
        _: &dyn Kernels,
        _: &[Line],
        values: &mut [Line],
        log_det: &mut [Line; PANELS],
        kept: &mut [Line],
        _: &mut [Line],
    ) {
        let Some(edge) = <Float>::logit_edge(self.margin) else { return };
        let panels = values.chunks_exact_mut(self.stride).zip(kept.chunks_exact_mut(self.active));
        for ((values, kept), log_det) in panels.zip(log_det) {
            for (values, kept) in values.iter_mut().zip(kept) {
                *kept = *values;
                for (x, log_det) in values.0.iter_mut().zip(&mut log_det.0) {
                    let (z, log) = <Float>::logit(edge, *x);
                    *x = z;
                    *log_det += log;
                }
            }
        }
    }

    fn backward(
        &self,
        _: &dyn Kernels,
        _: &[Line],
        _: &mut [Line],
        slope: &mut [Line],
        weight: &[Line; PANELS],
        kept: &mut [Line],
        _: &mut [Line],
    ) {
        let (low, high) = (self.margin, 1.0 - self.margin);
        let panels = slope.chunks_exact_mut(self.stride).zip(kept.chunks_exact(self.active));
        for ((slope, kept), weight) in panels.zip(weight) {
            for (slope, kept) in slope.iter_mut().zip(kept) {
                for ((g, p), weight) in slope.0.iter_mut().zip(kept.0).zip(weight.0) {
                    *g = if (low..=high).contains(&p) {
                        // As on the device: the loss holds weight ln(p (1 - p)).
                        (*g + weight * (1.0 - 2.0 * p)) / (p * (1.0 - p))
                    } else {
                        *g / (low * high)
                    };
                }
            }
        }
    }
}

/// Adds to every value a number that is uniform within half of `step` either way.
pub(super) fn dequantize(values: &mut [Line], step: f32, seed: u64) {
    for (index, line) in values.iter_mut().enumerate() {
        for (lane, v) in line.0.iter_mut().enumerate() {
            let bits = split_mix(seed ^ split_mix((index << 4 | lane) as u64)) >> 40;
            *v += step * (bits as f32 / 16_777_216.0 - 0.5);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::lanes::LINE;
    use super::*;

    #[test]
    fn dequantizing_noise_is_uniform_over_a_step() {
        let mut values = vec![Line::ZERO; 2000];
        dequantize(&mut values, 0.25, 5);
        let flat: Vec<f64> = values.iter().flat_map(|l| l.0).map(f64::from).collect();
        let n = (values.len() * LINE) as f64;
        let mean = flat.iter().sum::<f64>() / n;
        let variance = flat.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n;
        assert!(flat.iter().all(|v| v.abs() <= 0.125));
        assert!(mean.abs() < 1e-3 && (variance * 12.0 / 0.0625 - 1.0).abs() < 0.02, "{mean} {variance}");
        let mut other = vec![Line::ZERO; 2000];
        dequantize(&mut other, 0.25, 6);
        assert!(other != values);
    }
}
