//! The spline map of a coupling (Durkan et al. 2019) on a panel.

use super::kernels::{Kernels, SplineSettings};
use super::lanes::Line;
use super::map::TileMap;
use crate::flow;

/// Rational-quadratic splines with outputs, feature by feature, `[widths, heights, derivatives]`.
pub(crate) struct TileSpline {
    spline: flow::Spline,
    settings: SplineSettings,
}

impl TileSpline {
    /// Splines of 2 to 32 bins.
    pub(crate) fn new(spline: flow::Spline) -> Self {
        let clipped = spline.parameters == flow::SplineParameters::SoftClipped;
        let settings = SplineSettings {
            bins: spline.bins,
            bound: spline.bound,
            min_bin: spline.min_bin,
            min_derivative: spline.min_derivative,
            clipped,
            end: SplineSettings::raw_of_one(clipped, spline.min_derivative),
        };
        Self { spline, settings }
    }
}

// `outputs` keeps the exponentials of widths and heights, `kept` what `SplineKernels::spline` says.
impl TileMap for TileSpline {
    fn outputs(&self, moved: usize) -> usize {
        self.settings.raw() * moved
    }
    fn kept(&self, moved: usize) -> usize {
        self.settings.kept() * moved
    }
    fn identity(&self, moved: usize) -> Vec<f32> {
        let settings = self.settings;
        let bins = 2 * settings.bins;
        let one = settings.end;
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
        k.spline(self.settings, x, outputs, kept, log_det);
    }

    fn backward(
        &self,
        k: &dyn Kernels,
        slope: &mut [Line],
        outputs: &mut [Line],
        kept: &mut [Line],
        weight: &Line,
    ) {
        k.spline_gradient(self.settings, slope, outputs, kept, weight);
    }
}
