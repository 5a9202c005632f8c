//! Flows whose conditioners are of every kind.

use crate::Random;
use flowlet_tools::export::Metadata;
use flowlet_tools::flow::{
    Activation, Conditioner, Conv1d, ConvLayer, Coupling, CouplingMap, Dense, Flow, Mask, Mlp, Padding,
    ResidualBlock, ResidualNet, ScaleMap, SoftTail, Standardize, Transform,
};

/// Every activation.
pub const ACTIVATIONS: [Activation; 4] =
    [Activation::Relu, Activation::LeakyRelu, Activation::Tanh, Activation::Silu];

/// Kinds of nets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Two hidden layers of odd widths.
    Mlp,
    /// Two blocks.
    Residual,
    /// Kernels up to the time step.
    Causal,
    /// Kernels around it.
    Same,
}

/// Every kind.
pub const KINDS: [Kind; 4] = [Kind::Mlp, Kind::Residual, Kind::Causal, Kind::Same];

/// A sequence of `length` steps (even) of `channels` features, and context inputs.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Time steps.
    pub length: usize,
    /// Features of a step.
    pub channels: usize,
    /// Context inputs.
    pub contexts: usize,
}

fn dense(random: &mut Random, inputs: usize, outputs: usize) -> Dense {
    let size = 1.0 / (inputs as f32).sqrt();
    Dense {
        inputs,
        outputs,
        weights: (0..inputs * outputs).map(|_| size * random.normal()).collect(),
        bias: (0..outputs).map(|_| 0.1 * random.normal()).collect(),
    }
}

fn convolution(random: &mut Random, inputs: usize, outputs: usize, kernel: usize) -> ConvLayer {
    let Dense { weights, bias, .. } = dense(random, kernel * inputs, outputs);
    ConvLayer { inputs, outputs, kernel, weights, bias }
}

/// A net for `length` steps of `given` channels that puts out `parameters` for each of `moved` channels.
fn net(
    random: &mut Random,
    (kind, activation): (Kind, Activation),
    (length, given, moved): (usize, usize, usize),
    contexts: usize,
    parameters: usize,
) -> Conditioner {
    let (inputs, outputs) = (length * given + contexts, parameters * length * moved);
    match kind {
        Kind::Mlp => {
            let layers = vec![dense(random, inputs, 13), dense(random, 13, 6), dense(random, 6, outputs)];
            Conditioner::Mlp(Mlp { activation, layers })
        }
        Kind::Residual => {
            let width = 11;
            let block = |random: &mut Random| ResidualBlock {
                first: dense(random, width, width),
                second: dense(random, width, width),
            };
            Conditioner::Residual(ResidualNet {
                activation,
                initial: dense(random, inputs, width),
                blocks: vec![block(random), block(random)],
                last: dense(random, width, outputs),
            })
        }
        Kind::Causal | Kind::Same => {
            let (padding, kernels) =
                if kind == Kind::Causal { (Padding::Causal, [2, 4]) } else { (Padding::Same, [5, 3]) };
            let layers = vec![
                convolution(random, given + contexts, 7, kernels[0]),
                convolution(random, 7, parameters * moved, kernels[1]),
            ];
            Conditioner::Conv1d(Conv1d { activation, length, channels: given, padding, layers })
        }
    }
}

/// Standardizer, soft tail and four couplings with random nets of one kind, which condition on even steps, odd
/// steps, the first channel and the other channels in turn (on steps only, if there is one channel).
#[must_use]
pub fn net_flow(random: &mut Random, kind: Kind, activation: Activation, shape: Shape) -> Flow {
    let map = CouplingMap::Affine { scale: ScaleMap::Tanh { clamp: 0.8 } };
    net_flow_with(random, kind, activation, shape, &map)
}

/// The same with couplings of another map.
#[must_use]
pub fn net_flow_with(
    random: &mut Random,
    kind: Kind,
    activation: Activation,
    shape: Shape,
    map: &CouplingMap,
) -> Flow {
    let Shape { length, channels, contexts } = shape;
    let features = length * channels;
    let mut transforms = vec![
        Transform::Standardize(Standardize {
            mean: (0..features + contexts).map(|_| 100.0 * random.normal()).collect(),
            std: (0..features + contexts).map(|_| (2.0 * random.normal()).exp2()).collect(),
        }),
        Transform::SoftTail(SoftTail { knee: 4.0 }),
    ];
    for index in 0..4 {
        let first = index % 2 == 0;
        let in_time = channels == 1 || index < 2;
        let conditions = |i: usize| {
            (if in_time { (i / channels).is_multiple_of(2) } else { i.is_multiple_of(channels) }) == first
        };
        let mask = Mask((0..features).map(conditions).collect());
        let (length, given, moved) = if in_time {
            (length / 2, channels, channels)
        } else {
            let given = mask.given().len() / length;
            (length, given, channels - given)
        };
        transforms.push(Transform::Coupling(Coupling {
            conditioner: net(
                random,
                (kind, activation),
                (length, given, moved),
                contexts,
                map.outputs_per_feature(),
            ),
            mask,
            map: map.clone(),
            input_limit: 2.5,
        }));
    }
    Flow { features, contexts, transforms, ..Flow::default() }
}

/// Metadata with features `f0`, `f1`, ... and contexts `c0`, ...
#[must_use]
pub fn metadata(flow: &Flow) -> Metadata {
    Metadata {
        contexts: (0..flow.contexts).map(|i| (format!("c{i}"), String::new())).collect(),
        ..crate::metadata(flow.features)
    }
}
