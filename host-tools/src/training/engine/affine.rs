//! The affine map of a coupling (RealNVP, Dinh et al. 2017).

use super::kernels::Kernels;
use super::lanes::Line;
use super::map::TileMap;
use crate::flow;

/// `z = x exp(log_scale(raw)) + shift`, with outputs `[shift (m), raw (m)]`.
///
/// It starts as the identity, except with a sigmoid, which starts at `sigmoid(offset) + floor` as in nflows:
/// where that is one, its slope is next to nothing.
pub(crate) struct TileAffine {
    /// From `raw` to the log-scale.
    pub(crate) scale: flow::ScaleMap,
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
        flow::CouplingMap::Affine { scale: self.scale }
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
        k.affine(self.scale, x, shift, raw, kept, log_det);
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
