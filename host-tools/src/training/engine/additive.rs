//! The additive map of a coupling (NICE, Dinh et al. 2015).

use super::kernels::Kernels;
use super::lanes::Line;
use super::map::TileMap;
use crate::flow;

/// `z = x + shift`, with outputs `[shift (m)]`; no log-determinant, and nothing kept.
pub(crate) struct TileAdditive;

impl TileMap for TileAdditive {
    fn outputs(&self, moved: usize) -> usize {
        moved
    }
    fn kept(&self, _: usize) -> usize {
        0
    }
    fn export(&self) -> flow::CouplingMap {
        flow::CouplingMap::Additive
    }

    fn forward(&self, k: &dyn Kernels, x: &mut [Line], outputs: &mut [Line], _: &mut [Line], _: &mut Line) {
        k.add(outputs, x);
    }

    /// The gradient of a shift is that of its image, and so is that of the input.
    fn backward(&self, _: &dyn Kernels, slope: &mut [Line], outputs: &mut [Line], _: &mut [Line], _: &Line) {
        outputs.copy_from_slice(slope);
    }
}
