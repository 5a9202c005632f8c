//! What a trainable transform must do on a tile. One file per transform implements it.

use super::kernels::{Kernels, PANELS};
use super::lanes::Line;
use crate::flow;
use crate::training::random::Random;

/// An invertible transform in the density direction, with its gradient.
///
/// A tile is panel by panel a line per input: `stride` lines, the features and then the context. A transform
/// works on the first lines of each panel, as many as features are active, and never changes the context.
pub(crate) trait TileTransform: Send + Sync {
    /// Lines of trained parameters.
    fn parameters(&self) -> usize;

    /// Lines that `forward` leaves for `backward`.
    fn kept(&self) -> usize;

    /// Lines of scratch that `forward` and `backward` need.
    fn scratch(&self) -> usize;

    /// Whether `backward` adds at most once to each place of the gradient.
    fn adds_once(&self) -> bool {
        true
    }

    /// Starting values of the parameters.
    fn initialize(&self, parameters: &mut [Line], random: &mut Random);

    /// Whether [`Self::fit`] is to be called.
    fn wants_data(&self) -> bool {
        false
    }

    /// Starting values from the values that reach the transform: row-major, one column per feature of the flow.
    fn fit(&self, _parameters: &mut [Line], _values: &[f32], _random: &mut Random) {}

    /// The trained transform, its parameters (or, for tests, their gradients) unpadded.
    fn export(&self, parameters: &[Line]) -> flow::Transform;

    /// Replaces `values` by their images and adds the log-determinants.
    fn forward(
        &self,
        k: &dyn Kernels,
        parameters: &[Line],
        values: &mut [Line],
        log_det: &mut [Line; PANELS],
        kept: &mut [Line],
        scratch: &mut [Line],
    );

    /// Replaces `slope`, the gradient of the loss with respect to the images, by that with respect to the
    /// inputs, and adds the gradient of the parameters to `gradient`. The loss holds
    /// `-weight * log_det` per sample.
    #[allow(clippy::too_many_arguments)] // the pieces of one tile; a struct would only rename them
    fn backward(
        &self,
        k: &dyn Kernels,
        parameters: &[Line],
        gradient: &mut [Line],
        slope: &mut [Line],
        weight: &[Line; PANELS],
        kept: &mut [Line],
        scratch: &mut [Line],
    );
}
