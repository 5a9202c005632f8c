//! Independent standard normals: no parameters.

use super::TileBase;
use crate::flow;
use crate::training::engine::kernels::Kernels;
use crate::training::engine::lanes::Line;
use crate::training::random::Random;

/// Over so many features.
pub(crate) struct TileStandardNormal(pub(crate) usize);

impl TileBase for TileStandardNormal {
    fn parameters(&self) -> usize {
        0
    }
    fn scratch(&self) -> usize {
        0
    }
    fn fit(&self, _: &mut [Line], _: &[f32], _: &mut Random) {}
    fn export(&self, _: &[Line]) -> flow::Base {
        flow::Base::StandardNormal
    }

    /// Minus the log of the density at zero.
    fn constant(&self) -> f64 {
        0.5 * self.0 as f64 * (2.0 * std::f64::consts::PI).ln()
    }

    fn loss(&self, k: &dyn Kernels, _: &[Line], z: &mut [Line], _: &mut [Line]) -> Line {
        k.base(z, &Line::ZERO)
    }

    fn gradient(
        &self,
        k: &dyn Kernels,
        _: (&[Line], &mut [Line]),
        z: &mut [Line],
        weight: &Line,
        _: &mut [Line],
    ) -> Line {
        k.base(z, weight)
    }
}
