//! Factoring out on a tile: nothing happens to the values; what stands behind works on fewer lines.

use super::kernels::{Kernels, PANELS};
use super::lanes::Line;
use super::transform::TileTransform;
use crate::flow;
use crate::training::random::Random;

/// Marks where only the first `keep` features go on.
pub(crate) struct TileSplit {
    /// Transforms behind must be made for so many active features.
    pub(crate) keep: usize,
}

impl TileTransform for TileSplit {
    fn parameters(&self) -> usize {
        0
    }
    fn kept(&self) -> usize {
        0
    }
    fn scratch(&self) -> usize {
        0
    }
    fn initialize(&self, _: &mut [Line], _: &mut Random) {}

    fn export(&self, _: &[Line]) -> flow::Transform {
        flow::Transform::Split(flow::Split { keep: self.keep })
    }

    fn forward(
        &self,
        _: &dyn Kernels,
        _: &[Line],
        _: &mut [Line],
        _: &mut [Line; PANELS],
        _: &mut [Line],
        _: &mut [Line],
    ) {
    }

    fn backward(
        &self,
        _: &dyn Kernels,
        _: &[Line],
        _: &mut [Line],
        _: &mut [Line],
        _: &[Line; PANELS],
        _: &mut [Line],
        _: &mut [Line],
    ) {
    }
}
