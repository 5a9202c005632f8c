//! Trainable base distributions on a panel; one file each.

mod mixture;
mod standard_normal;
mod student_t;
#[cfg(test)]
mod tests;

pub(crate) use mixture::TileMixture;
pub(crate) use standard_normal::TileStandardNormal;
pub(crate) use student_t::TileStudentT;

use super::kernels::Kernels;
use super::lanes::Line;
use crate::flow;
use crate::training::random::Random;

/// A base distribution with its gradient.
pub(crate) trait TileBase: Send + Sync {
    /// Lines of trained parameters.
    fn parameters(&self) -> usize;

    /// Lines of scratch that the methods on panels need.
    fn scratch(&self) -> usize;

    /// Starting values from the values that the untrained chain gives: row-major, one column per feature.
    fn fit(&self, parameters: &mut [Line], values: &[f32], random: &mut Random);

    /// Back into the range of the parameters, after a step of the optimizer.
    fn project(&self, _parameters: &mut [Line]) {}

    /// The trained base, its parameters (or, for tests, their gradients) unpadded.
    fn export(&self, parameters: &[Line]) -> flow::Base;

    /// Added to every sample's loss, in nats.
    fn constant(&self) -> f64;

    /// `-log_prob` of each sample of a panel, up to the constant.
    fn loss(&self, k: &dyn Kernels, parameters: &[Line], z: &mut [Line], scratch: &mut [Line]) -> Line;

    /// The same, turning `z` into the gradient `weight * d loss / dz` and adding that of the parameters to
    /// `gradient`.
    fn gradient(
        &self,
        k: &dyn Kernels,
        parameters: (&[Line], &mut [Line]),
        z: &mut [Line],
        weight: &Line,
        scratch: &mut [Line],
    ) -> Line;
}
