//! Nets.

use super::widen;
use crate::flow::{Activation, Conditioner, ConvLayer, CouplingMap, Dense, Padding};

#[derive(Clone, Debug, PartialEq)]
pub(super) enum NetStage {
    Mlp {
        activation: Activation,
        layers: Vec<Layer>,
    },
    Residual {
        activation: Activation,
        initial: Layer,
        blocks: Vec<[Layer; 2]>,
        last: Layer,
    },
    Conv1d {
        activation: Activation,
        length: usize,
        channels: usize,
        convolutions: Vec<Convolution>,
        order: Order,
    },
}

/// How a step's output channels become the coupling's parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Order {
    /// Parameters of one transformed feature.
    parameters: usize,
    /// Whether they stand together, as a spline's do.
    by_feature: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Convolution {
    kernel: usize,
    /// Zero steps before the sequence.
    lead: usize,
    inputs: usize,
    weights: Vec<f64>,
    bias: Vec<f64>,
}

impl Convolution {
    fn new(c: &ConvLayer, padding: Padding) -> Self {
        Self {
            kernel: c.kernel,
            lead: if padding == Padding::Causal { c.kernel - 1 } else { c.kernel / 2 },
            inputs: c.inputs,
            weights: widen(&c.weights),
            bias: widen(&c.bias),
        }
    }

    /// From steps to steps, straight from the sum that [`ConvLayer`] states.
    fn apply(&self, x: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let output = |t: usize, o: usize| {
            let mut sum = self.bias[o];
            for k in 0..self.kernel {
                let Some(step) = (t + k).checked_sub(self.lead).and_then(|s| x.get(s)) else { continue };
                for (i, x) in step.iter().enumerate() {
                    sum += self.weights[(o * self.kernel + k) * self.inputs + i] * x;
                }
            }
            sum
        };
        (0..x.len()).map(|t| (0..self.bias.len()).map(|o| output(t, o)).collect()).collect()
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Layer {
    inputs: usize,
    weights: Vec<f64>,
    bias: Vec<f64>,
}

impl Layer {
    fn new(d: &Dense) -> Self {
        Self { inputs: d.inputs, weights: widen(&d.weights), bias: widen(&d.bias) }
    }

    fn apply(&self, x: &[f64]) -> Vec<f64> {
        let rows = self.weights.chunks_exact(self.inputs).zip(&self.bias);
        rows.map(|(row, bias)| bias + row.iter().zip(x).map(|(w, x)| w * x).sum::<f64>()).collect()
    }

    fn parameters_mut(&mut self) -> impl Iterator<Item = &mut f64> {
        self.weights.iter_mut().chain(&mut self.bias)
    }
}

pub(super) fn activate(activation: Activation, x: f64) -> f64 {
    match activation {
        Activation::Relu => x.max(0.0),
        Activation::LeakyRelu => x.max(0.01 * x),
        Activation::Tanh => x.tanh(),
        Activation::Silu => x / (1.0 + (-x).exp()),
    }
}

impl NetStage {
    /// The net of a coupling with this map.
    pub(super) fn new(conditioner: &Conditioner, map: &CouplingMap) -> Self {
        match conditioner {
            Conditioner::Mlp(net) => NetStage::Mlp {
                activation: net.activation,
                layers: net.layers.iter().map(Layer::new).collect(),
            },
            Conditioner::Residual(net) => NetStage::Residual {
                activation: net.activation,
                initial: Layer::new(&net.initial),
                blocks: net.blocks.iter().map(|b| [Layer::new(&b.first), Layer::new(&b.second)]).collect(),
                last: Layer::new(&net.last),
            },
            Conditioner::Conv1d(net) => NetStage::Conv1d {
                activation: net.activation,
                length: net.length,
                channels: net.channels,
                convolutions: net.layers.iter().map(|l| Convolution::new(l, net.padding)).collect(),
                order: Order {
                    parameters: map.outputs_per_feature(),
                    by_feature: matches!(map, CouplingMap::Spline(_)),
                },
            },
        }
    }

    /// Outputs for saturated inputs.
    pub(super) fn evaluate(&self, given: &[f64], context: &[f64]) -> Vec<f64> {
        let inputs = [given, context].concat();
        let act = |values: Vec<f64>, a: Activation| values.into_iter().map(|v| activate(a, v)).collect();
        match self {
            NetStage::Mlp { activation, layers } => {
                let mut h: Vec<f64> = inputs;
                for (index, layer) in layers.iter().enumerate() {
                    h = layer.apply(&h);
                    if index + 1 < layers.len() {
                        h = act(h, *activation);
                    }
                }
                h
            }
            NetStage::Residual { activation, initial, blocks, last } => {
                let mut h = initial.apply(&inputs);
                for [first, second] in blocks {
                    let inner: Vec<f64> = act(first.apply(&act(h.clone(), *activation)), *activation);
                    h.iter_mut().zip(second.apply(&inner)).for_each(|(h, add)| *h += add);
                }
                last.apply(&h)
            }
            NetStage::Conv1d { activation, length, channels, convolutions, order } => {
                let mut h: Vec<Vec<f64>> =
                    given.chunks_exact(*channels).map(|step| [step, context].concat()).collect();
                for (index, convolution) in convolutions.iter().enumerate() {
                    h = convolution.apply(&h);
                    if index + 1 < convolutions.len() {
                        h = h.into_iter().map(|step| act(step, *activation)).collect();
                    }
                }
                let moved = h[0].len() / order.parameters;
                let mut outputs = vec![0.0; length * h[0].len()];
                for (t, step) in h.iter().enumerate() {
                    for (channel, &value) in step.iter().enumerate() {
                        let (p, feature) = (channel / moved, t * moved + channel % moved);
                        let at = if order.by_feature {
                            feature * order.parameters + p
                        } else {
                            p * length * moved + feature
                        };
                        outputs[at] = value;
                    }
                }
                outputs
            }
        }
    }

    pub(super) fn parameters_mut(&mut self) -> Vec<&mut f64> {
        match self {
            NetStage::Mlp { layers, .. } => layers.iter_mut().flat_map(Layer::parameters_mut).collect(),
            NetStage::Residual { initial, blocks, last, .. } => initial
                .parameters_mut()
                .chain(blocks.iter_mut().flatten().flat_map(Layer::parameters_mut))
                .chain(last.parameters_mut())
                .collect(),
            NetStage::Conv1d { convolutions, .. } => {
                convolutions.iter_mut().flat_map(|c| c.weights.iter_mut().chain(&mut c.bias)).collect()
            }
        }
    }
}
