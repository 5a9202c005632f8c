//! What a trainable conditioner net must do on a tile. One file per net implements it.

use super::kernels::Kernels;
use super::lanes::Line;
use crate::flow;
use crate::training::random::Random;

/// A net from `PANELS * inputs` lines to `PANELS * outputs` lines, panel by panel, with its gradient.
pub(crate) trait TileConditioner: Send + Sync {
    /// Lines of trained parameters.
    fn parameters(&self) -> usize;

    /// Lines kept per tile from `forward` to `backward`; the outputs are the last of them.
    fn kept(&self) -> usize;

    /// Where in `kept` the outputs begin.
    fn outputs_at(&self) -> usize;

    /// Lines of scratch that `forward` and `backward` need.
    fn scratch(&self) -> usize;

    /// Whether `backward` adds at most once to each place of the gradient.
    fn adds_once(&self) -> bool {
        true
    }

    /// Starting values: the last layer's weights zero and its biases `outputs`, so that the coupling starts as
    /// its map at those parameters, the identity.
    fn initialize(&self, parameters: &mut [Line], random: &mut Random, outputs: &[f32]);

    /// The parameters (or, for tests, their gradients) without padding.
    fn export(&self, parameters: &[Line]) -> flow::Conditioner;

    /// Runs `x` through the net; the outputs go to the end of `kept`.
    fn forward(
        &self,
        k: &dyn Kernels,
        parameters: &[Line],
        x: &[Line],
        kept: &mut [Line],
        scratch: &mut [Line],
    );

    /// From the gradient of the outputs, which has replaced them in `kept`, to the gradient of the parameters
    /// (added to `gradient`) and of `x` (returned, in `scratch`).
    fn backward<'s>(
        &self,
        k: &dyn Kernels,
        parameters: (&[Line], &mut [Line]),
        x: &[Line],
        kept: &mut [Line],
        scratch: &'s mut [Line],
    ) -> &'s [Line];
}
