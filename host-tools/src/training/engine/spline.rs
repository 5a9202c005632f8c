//! The spline map of a coupling (Durkan et al. 2019) on a panel.

use super::kernels::{Kernels, SplineSettings};
use super::lanes::Line;
use super::map::TileMap;
use crate::flow;

/// Rational-quadratic splines with outputs, feature by feature, `[widths, heights, derivatives]`.
pub(crate) struct TileSpline {
    /// At most 32 bins.
    pub(crate) spline: flow::Spline,
}

impl TileSpline {
    fn settings(&self) -> SplineSettings {
        SplineSettings {
            bins: self.spline.bins,
            bound: self.spline.bound,
            min_bin: self.spline.min_bin,
            min_derivative: self.spline.min_derivative,
            clipped: self.spline.parameters == flow::SplineParameters::SoftClipped,
        }
    }
}

// `outputs` keeps the softmax of widths and heights, `kept` what `SplineKernels::spline` says.
impl TileMap for TileSpline {
    fn outputs(&self, moved: usize) -> usize {
        self.settings().raw() * moved
    }
    fn kept(&self, moved: usize) -> usize {
        self.settings().kept() * moved
    }
    fn identity(&self, moved: usize) -> Vec<f32> {
        let settings = self.settings();
        let bins = 2 * settings.bins;
        let one = settings.raw_of_one();
        (0..self.outputs(moved)).map(|i| if i % settings.raw() < bins { 0.0 } else { one }).collect()
    }
    fn export(&self) -> flow::CouplingMap {
        flow::CouplingMap::Spline(self.spline)
    }

    fn forward(
        &self,
        k: &dyn Kernels,
        x: &mut [Line],
        outputs: &mut [Line],
        kept: &mut [Line],
        log_det: &mut Line,
    ) {
        k.spline(self.settings(), x, outputs, kept, log_det);
    }

    fn backward(
        &self,
        k: &dyn Kernels,
        slope: &mut [Line],
        outputs: &mut [Line],
        kept: &mut [Line],
        weight: &Line,
    ) {
        k.spline_gradient(self.settings(), slope, outputs, kept, weight);
    }
}
