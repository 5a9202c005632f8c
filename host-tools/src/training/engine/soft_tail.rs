//! Logarithmic tails on a tile: no parameters, a gradient that fades beyond the knee.

use super::kernels::{Kernels, PANELS};
use super::lanes::Line;
use super::transform::TileTransform;
use crate::flow;
use crate::training::random::Random;

/// The map that [`flow::SoftTail`] documents.
pub(crate) struct TileSoftTail {
    features: usize,
    knee: f32,
}

impl TileSoftTail {
    /// `knee` positive.
    pub(crate) fn new(features: usize, knee: f32) -> Self {
        Self { features, knee }
    }
}

// `kept` holds the inputs.
impl TileTransform for TileSoftTail {
    fn parameters(&self) -> usize {
        0
    }
    fn kept(&self) -> usize {
        self.features * PANELS
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
    ) {
        kept.copy_from_slice(values);
        for (values, log_det) in values.chunks_exact_mut(self.features).zip(log_det) {
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
        let panels = slope.chunks_exact_mut(self.features).zip(kept.chunks_exact(self.features));
        for ((slope, kept), weight) in panels.zip(weight) {
            k.soft_tail_gradient(self.knee, kept, weight, slope);
        }
    }
}
