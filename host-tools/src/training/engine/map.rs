//! What a coupling does to its transformed features, on a panel. One file per map implements it.

use super::kernels::Kernels;
use super::lanes::Line;
use crate::flow;

/// An elementwise invertible map whose parameters are a net's outputs.
pub(crate) trait TileMap: Send + Sync {
    /// Lines of parameters for `moved` features: the conditioner's outputs.
    fn outputs(&self, moved: usize) -> usize;

    /// Lines kept per panel from `forward` to `backward`, besides the outputs.
    fn kept(&self, moved: usize) -> usize;

    /// Outputs with which the map is the identity.
    fn identity(&self, moved: usize) -> Vec<f32> {
        vec![0.0; self.outputs(moved)]
    }

    /// What it is called in a flow.
    fn export(&self) -> flow::CouplingMap;

    /// Maps the lines `x` in place and adds to `log_det`; may use `outputs` as memory for `backward`.
    fn forward(
        &self,
        k: &dyn Kernels,
        x: &mut [Line],
        outputs: &mut [Line],
        kept: &mut [Line],
        log_det: &mut Line,
    );

    /// `slope` goes from the gradient of the images to that of the inputs; `outputs` becomes that of the
    /// parameters. The loss holds `-weight * log_det` per sample.
    fn backward(
        &self,
        k: &dyn Kernels,
        slope: &mut [Line],
        outputs: &mut [Line],
        kept: &mut [Line],
        weight: &Line,
    );
}
