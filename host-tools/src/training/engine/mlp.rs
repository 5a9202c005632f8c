//! A multi-layer perceptron on a tile: ReLU after every layer but the last.

use super::conditioner::TileConditioner;
use super::kernels::{DenseRef, Kernels, Shape, PANELS, TILE};
use super::lanes::{floats, Line, LINE};
use crate::flow::{Activation, Conditioner, Dense, Mlp};
use crate::training::random::Random;

/// Shape of a perceptron and where its parts lie.
#[derive(Clone, Debug)]
pub(crate) struct TileMlp {
    layers: Vec<Shape>,
}

impl TileMlp {
    /// `inputs -> hidden[0] -> ... -> outputs`; all sizes positive.
    pub(crate) fn new(inputs: usize, hidden: &[usize], outputs: usize) -> Self {
        let mut layers = Vec::with_capacity(hidden.len() + 1);
        let mut inputs = inputs;
        for &outputs in hidden.iter().chain(std::iter::once(&outputs)) {
            layers.push(Shape { inputs, outputs });
            inputs = outputs;
        }
        Self { layers }
    }

    fn lines(shape: Shape) -> (usize, usize) {
        (shape.outputs * shape.stride(), shape.outputs.div_ceil(LINE))
    }

    fn split<'a>(&self, parameters: &'a [Line]) -> Vec<DenseRef<'a>> {
        let mut rest = parameters;
        self.layers
            .iter()
            .map(|&shape| {
                let (weights, tail) = rest.split_at(Self::lines(shape).0);
                let (bias, tail) = tail.split_at(Self::lines(shape).1);
                rest = tail;
                DenseRef { shape, weights, bias }
            })
            .collect()
    }
}

impl TileConditioner for TileMlp {
    /// Lines of parameters: per layer the padded rows of `W`, then `b`.
    fn parameters(&self) -> usize {
        self.layers.iter().map(|&s| Self::lines(s)).map(|(w, b)| w + b).sum()
    }

    /// Lines kept per tile: every layer's outputs.
    fn kept(&self) -> usize {
        self.layers.iter().map(|s| s.outputs * PANELS).sum()
    }

    /// Where in `kept` the outputs of the last layer begin.
    fn outputs_at(&self) -> usize {
        self.kept() - self.layers.last().map_or(0, |s| s.outputs * PANELS)
    }

    /// Lines of scratch that [`Self::backward`] needs.
    fn scratch(&self) -> usize {
        let widest = self.layers.iter().map(|s| s.inputs.max(s.outputs)).max().unwrap_or(0);
        let turned = self.layers.iter().map(|s| s.stride() * TILE).max().unwrap_or(0);
        2 * widest * PANELS + turned
    }

    /// He-uniform weights (He et al. 2015), zero biases; the last layer all zero, so that the transform
    /// starts as the identity.
    fn initialize(&self, parameters: &mut [Line], random: &mut Random, outputs: &[f32]) {
        let mut rest = parameters;
        for (i, &shape) in self.layers.iter().enumerate() {
            let (weights, tail) = rest.split_at_mut(Self::lines(shape).0);
            let (bias, tail) = tail.split_at_mut(Self::lines(shape).1);
            weights.fill(Line::ZERO);
            bias.fill(Line::ZERO);
            if i + 1 < self.layers.len() {
                let bound = (6.0 / shape.inputs as f32).sqrt();
                for row in weights.chunks_exact_mut(shape.stride()) {
                    for k in 0..shape.inputs {
                        row[k / LINE].0[k % LINE] = (2.0 * random.uniform() - 1.0) * bound;
                    }
                }
            }
            if i + 1 == self.layers.len() {
                for (o, &output) in outputs.iter().enumerate() {
                    bias[o / LINE].0[o % LINE] = output;
                }
            }
            rest = tail;
        }
    }

    /// The parameters without padding.
    fn export(&self, parameters: &[Line]) -> Conditioner {
        let dense = |DenseRef { shape, weights, bias }| Dense {
            inputs: shape.inputs,
            outputs: shape.outputs,
            weights: floats(weights)
                .chunks_exact(shape.stride() * LINE)
                .flat_map(|row| &row[..shape.inputs])
                .copied()
                .collect(),
            bias: floats(bias)[..shape.outputs].to_vec(),
        };
        let layers = self.split(parameters).into_iter().map(dense).collect();
        Conditioner::Mlp(Mlp { activation: Activation::Relu, layers })
    }

    /// Runs `x` (`PANELS * inputs` lines) through the net; every layer's outputs go to `kept`.
    fn forward(&self, k: &dyn Kernels, parameters: &[Line], x: &[Line], kept: &mut [Line]) {
        let (mut rest_p, mut rest_k, mut x) = (parameters, kept, x);
        for (i, &shape) in self.layers.iter().enumerate() {
            let (weights, tail) = rest_p.split_at(Self::lines(shape).0);
            let (bias, tail) = tail.split_at(Self::lines(shape).1);
            rest_p = tail;
            let (out, tail) = rest_k.split_at_mut(shape.outputs * PANELS);
            rest_k = tail;
            k.dense(DenseRef { shape, weights, bias }, x, out, i + 1 < self.layers.len());
            x = out;
        }
    }

    /// From the gradient of the outputs, which has replaced them in `kept`, to the gradient of the
    /// parameters (added to `gradient`) and of `x` (returned, in `scratch`).
    fn backward<'s>(
        &self,
        k: &dyn Kernels,
        (parameters, gradient): (&[Line], &mut [Line]),
        x: &[Line],
        kept: &mut [Line],
        scratch: &'s mut [Line],
    ) -> &'s [Line] {
        let widest = self.layers.iter().map(|s| s.inputs.max(s.outputs)).max().unwrap_or(0) * PANELS;
        let kept = &*kept;
        let (mut next, tail) = scratch.split_at_mut(widest);
        let (mut delta, turned) = tail.split_at_mut(widest);
        let mut parameters_end = self.parameters();
        let mut kept_end = self.kept();
        for (i, &shape) in self.layers.iter().enumerate().rev() {
            let (w, b) = Self::lines(shape);
            let bias_at = parameters_end - b;
            let weights_at = bias_at - w;
            let outputs_at = kept_end - shape.outputs * PANELS;
            let last = i + 1 == self.layers.len();
            let delta_now: &[Line] = if last { &kept[outputs_at..kept_end] } else { delta };
            let delta_now = &delta_now[..shape.outputs * PANELS];
            let inputs: &[Line] =
                if i == 0 { x } else { &kept[outputs_at - shape.inputs * PANELS..outputs_at] };
            let (dw, db) = gradient[weights_at..parameters_end].split_at_mut(w);
            k.dense_weights(shape, inputs, delta_now, dw, db, turned);
            let net = DenseRef {
                shape,
                weights: &parameters[weights_at..bias_at],
                bias: &parameters[bias_at..parameters_end],
            };
            k.dense_input(net, delta_now, next, (i > 0).then_some(inputs));
            std::mem::swap(&mut next, &mut delta);
            parameters_end = weights_at;
            kept_end = outputs_at;
        }
        &delta[..self.layers[0].inputs * PANELS]
    }
}
