//! Dense layers among a net's parameters: per layer the padded rows of `W`, then `b`.

use super::kernels::{DenseRef, Shape};
use super::lanes::{floats, Line, LINE};
use crate::flow::{Activation, Dense};
use crate::training::random::Random;
use std::ops::Range;

/// A layer and where its parameters lie.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layer {
    pub(crate) shape: Shape,
    at: usize,
}

impl Layer {
    /// The layer behind `at` lines of parameters; moves `at` behind it.
    pub(crate) fn new(inputs: usize, outputs: usize, at: &mut usize) -> Self {
        let layer = Self { shape: Shape { inputs, outputs }, at: *at };
        *at = layer.range().end;
        layer
    }

    fn weight_lines(&self) -> usize {
        self.shape.outputs * self.shape.stride()
    }

    fn range(&self) -> Range<usize> {
        self.at..self.at + self.weight_lines() + self.shape.outputs.div_ceil(LINE)
    }

    /// Its parameters.
    pub(crate) fn of<'a>(&self, parameters: &'a [Line]) -> DenseRef<'a> {
        let (weights, bias) = parameters[self.range()].split_at(self.weight_lines());
        DenseRef { shape: self.shape, weights, bias }
    }

    /// Its parameters' gradients: of the weights, and of the bias.
    pub(crate) fn of_mut<'a>(&self, gradient: &'a mut [Line]) -> (&'a mut [Line], &'a mut [Line]) {
        gradient[self.range()].split_at_mut(self.weight_lines())
    }

    /// Weights uniform in `-bound..=bound`, zero biases.
    pub(crate) fn initialize(&self, parameters: &mut [Line], bound: f32, random: &mut Random) {
        let (weights, bias) = self.of_mut(parameters);
        weights.fill(Line::ZERO);
        bias.fill(Line::ZERO);
        for row in weights.chunks_exact_mut(self.shape.stride()) {
            for k in 0..self.shape.inputs {
                row[k / LINE].0[k % LINE] = (2.0 * random.uniform() - 1.0) * bound;
            }
        }
    }

    /// Zero weights, so that the outputs are `outputs` whatever the inputs.
    pub(crate) fn initialize_constant(&self, parameters: &mut [Line], outputs: &[f32]) {
        let (weights, bias) = self.of_mut(parameters);
        weights.fill(Line::ZERO);
        bias.fill(Line::ZERO);
        for (o, &output) in outputs.iter().enumerate() {
            bias[o / LINE].0[o % LINE] = output;
        }
    }

    /// The parameters without padding.
    pub(crate) fn export(&self, parameters: &[Line]) -> Dense {
        let DenseRef { shape, weights, bias } = self.of(parameters);
        Dense {
            inputs: shape.inputs,
            outputs: shape.outputs,
            weights: floats(weights)
                .chunks_exact(shape.stride() * LINE)
                .flat_map(|row| &row[..shape.inputs])
                .copied()
                .collect(),
            bias: floats(bias)[..shape.outputs].to_vec(),
        }
    }
}

/// Bound of uniform starting weights that keeps the size of what passes: He et al. 2015 for functions that
/// halve it, LeCun et al. 1998 for tanh.
pub(crate) fn starting_bound(activation: Activation, inputs: usize) -> f32 {
    let gain = if activation == Activation::Tanh { 3.0 } else { 6.0 };
    (gain / inputs as f32).sqrt()
}
