//! The affine map of a coupling (RealNVP, Dinh et al. 2017) with a tanh clamp.

use super::kernels::Kernels;
use super::lanes::Line;
use super::map::TileMap;
use crate::flow;

/// `z = x exp(clamp tanh(raw / clamp)) + shift`, with outputs `[shift (m), raw (m)]`.
pub(crate) struct TileAffine {
    /// Bound of `|log_scale|` in nats; positive.
    pub(crate) clamp: f32,
}

// `kept` holds e^log_scale; `outputs` is reused as `AffineKernels::affine` says.
impl TileMap for TileAffine {
    fn outputs(&self, moved: usize) -> usize {
        2 * moved
    }
    fn kept(&self, moved: usize) -> usize {
        moved
    }
    fn export(&self) -> flow::CouplingMap {
        flow::CouplingMap::Affine { scale: flow::ScaleMap::Tanh { clamp: self.clamp } }
    }

    fn forward(
        &self,
        k: &dyn Kernels,
        x: &mut [Line],
        outputs: &mut [Line],
        kept: &mut [Line],
        log_det: &mut Line,
    ) {
        let (shift, raw) = outputs.split_at_mut(x.len());
        k.affine(self.clamp, x, shift, raw, kept, log_det);
    }

    fn backward(
        &self,
        k: &dyn Kernels,
        slope: &mut [Line],
        outputs: &mut [Line],
        kept: &mut [Line],
        weight: &Line,
    ) {
        let (shift, raw) = outputs.split_at_mut(slope.len());
        k.affine_gradient(slope, shift, raw, kept, weight);
    }
}
