//! Scale and shift of each feature with a start from data (ActNorm, Kingma and Dhariwal 2018, "Glow").

use super::kernels::{Kernels, PANELS};
use super::lanes::{floats, Line, LINE};
use super::transform::TileTransform;
use crate::flow;
use crate::training::random::Random;

/// `z = x exp(log_scale) + shift` over the first `active` lines; after its start from data, z has mean 0 and
/// deviation 1.
pub(crate) struct TileActNorm {
    active: usize,
    stride: usize,
    /// Features of a row of the values that it is fitted on.
    features: usize,
}

/// A column that varies less than this is constant: its scale starts at one.
const LEAST_DEVIATION: f64 = 1e-3;

impl TileActNorm {
    /// Over the first `active` of `features` features; panels have `stride` lines.
    pub(crate) fn new(active: usize, features: usize, stride: usize) -> Self {
        Self { active, stride, features }
    }

    /// Lines of one kind of parameters.
    fn lines(&self) -> usize {
        self.active.div_ceil(LINE)
    }
}

// Parameters: log-scales, then shifts. `kept` holds the scales, then x times its scale.
impl TileTransform for TileActNorm {
    fn parameters(&self) -> usize {
        2 * self.lines()
    }
    fn kept(&self) -> usize {
        self.lines() + self.active * PANELS
    }
    fn scratch(&self) -> usize {
        0
    }
    /// It adds panel by panel.
    fn adds_once(&self) -> bool {
        false
    }
    fn initialize(&self, parameters: &mut [Line], _: &mut Random) {
        parameters.fill(Line::ZERO);
    }
    fn wants_data(&self) -> bool {
        true
    }

    fn fit(&self, parameters: &mut [Line], values: &[f32], _: &mut Random) {
        let (log_scale, shift) = parameters.split_at_mut(self.lines());
        let rows = values.chunks_exact(self.features);
        let n = rows.len().max(1) as f64;
        for i in 0..self.active {
            let column = || rows.clone().map(|row| f64::from(row[i]));
            let mean = column().sum::<f64>() / n;
            let deviation = (column().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt();
            let scale = if deviation > LEAST_DEVIATION { 1.0 / deviation } else { 1.0 };
            log_scale[i / LINE].0[i % LINE] = scale.ln() as f32;
            shift[i / LINE].0[i % LINE] = (-mean * scale) as f32;
        }
    }

    fn export(&self, parameters: &[Line]) -> flow::Transform {
        let (log_scale, shift) = parameters.split_at(self.lines());
        let unpadded = |lines: &[Line]| floats(lines)[..self.active].to_vec();
        flow::Transform::ElementwiseAffine(flow::ElementwiseAffine {
            log_scale: unpadded(log_scale),
            shift: unpadded(shift),
        })
    }

    fn forward(
        &self,
        k: &dyn Kernels,
        parameters: &[Line],
        values: &mut [Line],
        log_det: &mut [Line; PANELS],
        kept: &mut [Line],
        _: &mut [Line],
    ) {
        let (log_scale, shift) = parameters.split_at(self.lines());
        let (scale, kept) = kept.split_at_mut(self.lines());
        k.exponential(log_scale, scale);
        let sum: f32 = floats(log_scale)[..self.active].iter().sum();
        for log_det in log_det {
            log_det.0.iter_mut().for_each(|v| *v += sum);
        }
        for (values, kept) in values.chunks_exact_mut(self.stride).zip(kept.chunks_exact_mut(self.active)) {
            k.elementwise(scale, shift, &mut values[..self.active], kept);
        }
    }

    fn backward(
        &self,
        k: &dyn Kernels,
        _: &[Line],
        gradient: &mut [Line],
        slope: &mut [Line],
        weight: &[Line; PANELS],
        kept: &mut [Line],
        _: &mut [Line],
    ) {
        let (log_scale, shift) = gradient.split_at_mut(self.lines());
        let (scale, kept) = kept.split_at(self.lines());
        for (slope, kept) in slope.chunks_exact_mut(self.stride).zip(kept.chunks_exact(self.active)) {
            k.elementwise_gradient(scale, kept, &mut slope[..self.active], log_scale, shift);
        }
        let total = total(weight);
        for i in 0..self.active {
            log_scale[i / LINE].0[i % LINE] -= total;
        }
    }
}

/// Sum of all samples' shares of the loss.
pub(super) fn total(weight: &[Line; PANELS]) -> f32 {
    floats(weight).iter().sum()
}
