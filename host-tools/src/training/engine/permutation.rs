//! Fixed reordering of the features: moves lines, has no parameters.

use super::kernels::{Kernels, PANELS};
use super::lanes::Line;
use super::transform::TileTransform;
use crate::flow;
use crate::training::random::Random;

/// `z[i] = x[order[i]]`.
pub(crate) struct TilePermutation {
    order: Vec<usize>,
    stride: usize,
}

impl TilePermutation {
    /// `order` holds each index of the active features once; panels have `stride` lines.
    pub(crate) fn new(order: Vec<usize>, stride: usize) -> Self {
        Self { order, stride }
    }
}

impl TileTransform for TilePermutation {
    fn parameters(&self) -> usize {
        0
    }
    fn kept(&self) -> usize {
        self.order.len()
    }
    fn scratch(&self) -> usize {
        self.order.len()
    }
    fn initialize(&self, _: &mut [Line], _: &mut Random) {}

    fn export(&self, _: &[Line]) -> flow::Transform {
        flow::Transform::Permutation(flow::Permutation { order: self.order.clone() })
    }

    fn forward(
        &self,
        _: &dyn Kernels,
        _: &[Line],
        values: &mut [Line],
        _: &mut [Line; PANELS],
        kept: &mut [Line],
        _: &mut [Line],
    ) {
        for values in values.chunks_exact_mut(self.stride) {
            kept.copy_from_slice(&values[..self.order.len()]);
            for (z, &from) in values.iter_mut().zip(&self.order) {
                *z = kept[from];
            }
        }
    }

    fn backward(
        &self,
        _: &dyn Kernels,
        _: &[Line],
        _: &mut [Line],
        slope: &mut [Line],
        _: &[Line; PANELS],
        _: &mut [Line],
        scratch: &mut [Line],
    ) {
        let scratch = &mut scratch[..self.order.len()];
        for slope in slope.chunks_exact_mut(self.stride) {
            scratch.copy_from_slice(&slope[..self.order.len()]);
            for (g, &from) in scratch.iter().zip(&self.order) {
                slope[from] = *g;
            }
        }
    }
}
