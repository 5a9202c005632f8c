//! Nets.

use super::widen;
use crate::flow::{Activation, Conditioner, Dense};

#[derive(Clone, Debug, PartialEq)]
pub(super) enum NetStage {
    Mlp { activation: Activation, layers: Vec<Layer> },
    Residual { activation: Activation, initial: Layer, blocks: Vec<[Layer; 2]>, last: Layer },
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
    pub(super) fn new(conditioner: &Conditioner) -> Self {
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
            Conditioner::Conv1d(_) => unimplemented!("conv1d"),
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
        }
    }
}
