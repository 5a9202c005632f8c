//! Fitted maps of single features on a tile: no parameters; for what has to come after the noise.
//!
//! By the device's own f32 code, value by value: it is some per cent of a tile's time.

use super::kernels::{Kernels, PANELS};
use super::lanes::Line;
use super::transform::TileTransform;
use crate::flow;
use crate::training::random::Random;
use flowlet::arithmetic::marginal::{Knots, MarginalArithmetic, MarginalForm};
use flowlet::arithmetic::Float;

/// The map that [`flow::Marginal`] documents.
pub(crate) struct TileMarginal {
    stride: usize,
    map: flow::Marginal,
    /// Per feature the words of `x`, `y` and slopes.
    words: Vec<[Vec<u32>; 3]>,
}

impl TileMarginal {
    /// Over the first lines of panels of `stride`; the map must be one that can be written to an image.
    pub(crate) fn new(stride: usize, map: flow::Marginal) -> Self {
        let words = |values: &[f32]| values.iter().map(|v| v.to_bits()).collect();
        let words = map.features.iter().map(|m| [words(&m.x), words(&m.y), words(&m.slopes)]).collect();
        Self { stride, map, words }
    }

    fn active(&self) -> usize {
        self.words.len()
    }

    fn knots(&self) -> impl Iterator<Item = Knots<'_>> {
        let form = match self.map.form {
            flow::MarginalKind::Linear => MarginalForm::Linear,
            flow::MarginalKind::RationalQuadratic => MarginalForm::RationalQuadratic,
        };
        self.words.iter().map(move |[x, y, slopes]| Knots { form, x, y, slopes, x_shift: 0, y_shift: 0 })
    }
}

// `kept` holds the inputs.
impl TileTransform for TileMarginal {
    fn parameters(&self) -> usize {
        0
    }
    fn kept(&self) -> usize {
        self.active() * PANELS
    }
    fn scratch(&self) -> usize {
        0
    }
    fn initialize(&self, _: &mut [Line], _: &mut Random) {}

    fn export(&self, _: &[Line]) -> flow::Transform {
        flow::Transform::Marginal(self.map.clone())
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
        let panels = values.chunks_exact_mut(self.stride).zip(kept.chunks_exact_mut(self.active()));
        for ((values, kept), log_det) in panels.zip(log_det) {
            for ((values, kept), knots) in values.iter_mut().zip(kept).zip(self.knots()) {
                *kept = *values;
                for (x, log_det) in values.0.iter_mut().zip(&mut log_det.0) {
                    let (z, log) = <Float>::marginal(&knots, *x).unwrap_or((f32::NAN, 0.0));
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
        let panels = slope.chunks_exact_mut(self.stride).zip(kept.chunks_exact(self.active()));
        for ((slope, kept), weight) in panels.zip(weight) {
            for ((slope, kept), knots) in slope.iter_mut().zip(kept).zip(self.knots()) {
                for ((g, x), weight) in slope.0.iter_mut().zip(kept.0).zip(weight.0) {
                    let piece = <Float>::marginal_piece(&knots, x);
                    let (rise, bend) = piece.map_or((f32::NAN, 0.0), |p| p.derivatives());
                    *g = *g * rise - weight * bend;
                }
            }
        }
    }
}
