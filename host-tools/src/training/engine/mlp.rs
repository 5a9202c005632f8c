//! A multi-layer perceptron on a tile: the activation after every layer but the last.

use super::conditioner::TileConditioner;
use super::kernels::{Kernels, PANELS};
use super::lanes::Line;
use super::layer::{starting_bound, Layer};
use crate::flow::{Activation, Conditioner, Mlp};
use crate::training::random::Random;

/// Shape of a perceptron and where its parts lie.
#[derive(Clone, Debug)]
pub(crate) struct TileMlp {
    activation: Activation,
    layers: Vec<Layer>,
    parameters: usize,
    /// Lines kept of all layers.
    kept: usize,
}

impl TileMlp {
    /// `inputs -> hidden[0] -> ... -> outputs`; all sizes positive.
    pub(crate) fn new(activation: Activation, inputs: usize, hidden: &[usize], outputs: usize) -> Self {
        let (mut at, mut inputs) = (0, inputs);
        let layer = |&outputs: &usize| {
            let layer = Layer::new(inputs, outputs, &mut at);
            inputs = outputs;
            layer
        };
        let layers = hidden.iter().chain(std::iter::once(&outputs)).map(layer).collect();
        let mut mlp = Self { activation, layers, parameters: at, kept: 0 };
        mlp.kept =
            (0..mlp.layers.len()).map(|i| mlp.kept_of(i)).map(|(outputs, slopes)| outputs + slopes).sum();
        mlp
    }

    /// Lines kept per layer: outputs and, of a hidden layer whose derivative they do not tell, derivatives.
    fn kept_of(&self, index: usize) -> (usize, usize) {
        let outputs = self.layers[index].shape.outputs * PANELS;
        let is_plain = self.activation == Activation::Relu || index + 1 == self.layers.len();
        (outputs, if is_plain { 0 } else { outputs })
    }

    /// Widest layer, in lines.
    fn widest(&self) -> usize {
        self.layers.iter().map(|l| l.shape.inputs.max(l.shape.outputs)).max().unwrap_or(0) * PANELS
    }
}

impl TileConditioner for TileMlp {
    fn parameters(&self) -> usize {
        self.parameters
    }

    fn kept(&self) -> usize {
        self.kept
    }

    fn outputs_at(&self) -> usize {
        self.kept - self.kept_of(self.layers.len() - 1).0
    }

    fn scratch(&self) -> usize {
        let turned = self.layers.iter().map(|l| l.shape.scratch()).max().unwrap_or(0);
        2 * self.widest() + turned
    }

    fn initialize(&self, parameters: &mut [Line], random: &mut Random, outputs: &[f32]) {
        if let Some((last, hidden)) = self.layers.split_last() {
            for layer in hidden {
                layer.initialize(parameters, starting_bound(self.activation, layer.shape.inputs), random);
            }
            last.initialize_constant(parameters, outputs);
        }
    }

    fn export(&self, parameters: &[Line]) -> Conditioner {
        let layers = self.layers.iter().map(|layer| layer.export(parameters)).collect();
        Conditioner::Mlp(Mlp { activation: self.activation, layers })
    }

    fn forward(
        &self,
        k: &dyn Kernels,
        parameters: &[Line],
        x: &[Line],
        kept: &mut [Line],
        scratch: &mut [Line],
    ) {
        let (mut rest, mut x) = (kept, x);
        for (i, layer) in self.layers.iter().enumerate() {
            let (outputs, slopes) = self.kept_of(i);
            let (out, tail) = rest.split_at_mut(outputs);
            let (slopes, tail) = tail.split_at_mut(slopes);
            rest = tail;
            let relu = self.activation == Activation::Relu && i + 1 < self.layers.len();
            k.dense(layer.of(parameters), x, out, relu, scratch);
            if !slopes.is_empty() {
                k.activate(self.activation, out, slopes);
            }
            x = out;
        }
    }

    fn backward<'s>(
        &self,
        k: &dyn Kernels,
        (parameters, gradient): (&[Line], &mut [Line]),
        x: &[Line],
        kept: &mut [Line],
        scratch: &'s mut [Line],
    ) -> &'s [Line] {
        let kept = &*kept;
        let (mut next, tail) = scratch.split_at_mut(self.widest());
        let (mut delta, turned) = tail.split_at_mut(self.widest());
        let mut kept_end = self.kept;
        for (i, layer) in self.layers.iter().enumerate().rev() {
            let (outputs, slopes) = self.kept_of(i);
            let outputs_at = kept_end - slopes - outputs;
            let last = i + 1 == self.layers.len();
            let delta_now: &[Line] = if last { &kept[outputs_at..kept_end] } else { delta };
            let delta_now = &delta_now[..outputs];
            let (inputs, slopes) = if i == 0 {
                (x, &[][..])
            } else {
                let (before, slopes) = self.kept_of(i - 1);
                kept[outputs_at - slopes - before..outputs_at].split_at(before)
            };
            let (dw, db) = layer.of_mut(gradient);
            k.dense_weights(layer.shape, inputs, delta_now, dw, db, turned);
            let gate = (i > 0 && slopes.is_empty()).then_some(inputs);
            let width = layer.shape.inputs * PANELS;
            k.dense_input(layer.of(parameters), delta_now, &mut next[..width], gate);
            if !slopes.is_empty() {
                k.multiply(slopes, &mut next[..width]);
            }
            std::mem::swap(&mut next, &mut delta);
            kept_end = outputs_at;
        }
        &delta[..self.layers[0].shape.inputs * PANELS]
    }
}
