//! Logarithmic tails on a tile: no parameters, a gradient that fades beyond the knee.

use super::kernels::{Kernels, PANELS};
use super::lanes::Line;
use super::transform::TileTransform;
use crate::flow;
use crate::training::random::Random;

/// The map that [`flow::SoftTail`] documents.
pub(crate) struct TileSoftTail {
    active: usize,
    stride: usize,
    knee: f32,
}

impl TileSoftTail {
    /// Over the first `active` lines of panels of `stride`; `knee` positive.
    pub(crate) fn new(active: usize, stride: usize, knee: f32) -> Self {
        Self { active, stride, knee }
    }
}

// `kept` holds the inputs.
impl TileTransform for TileSoftTail {
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
        flow::Transform::SoftTail(flow::SoftTail { knee: self.knee })
    }

    fn forward(
        &self,
        k: &dyn Kernels,
        _: &[Line],
        values: &mut [Line],
        log_det: &mut [Line; PANELS],
        kept: &mut [Line],
        _: &mut [Line],
    ) {
        let panels = values.chunks_exact_mut(self.stride).zip(kept.chunks_exact_mut(self.active));
        for ((values, kept), log_det) in panels.zip(log_det) {
            let values = &mut values[..self.active];
            kept.copy_from_slice(values);
            k.soft_tail(self.knee, values, log_det);
        }
    }

    fn backward(
        &self,
        k: &dyn Kernels,
        _: &[Line],
        _: &mut [Line],
        slope: &mut [Line],
        weight: &[Line; PANELS],
        kept: &mut [Line],
        _: &mut [Line],
    ) {
        let panels = slope.chunks_exact_mut(self.stride).zip(kept.chunks_exact(self.active));
        for ((slope, kept), weight) in panels.zip(weight) {
            k.soft_tail_gradient(self.knee, kept, weight, &mut slope[..self.active]);
        }
    }
}
