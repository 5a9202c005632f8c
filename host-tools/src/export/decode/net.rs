//! Conditioner nets of an image as real ones.
//!
//! A fixed-point net becomes the real net that its integers stand for. Where a layer's function passes scales
//! on, its integer activations are taken as the real ones, so that no scale is lost; elsewhere integers are
//! real numbers times a power of two.

use super::dense;
use crate::flow::{
    Activation, Conditioner, Conv1d, ConvLayer, CouplingMap, Dense, Mlp, Padding, ResidualBlock, ResidualNet,
};
use flowlet::arithmetic::activation::Activation as Encoded;
use flowlet::arithmetic::dense::{Dense as Layer, Encoding};
use flowlet::conditioner::{self, conv1d, Net};

/// The net of a coupling with this map, whose integer inputs have `16 - input_shift` fractional bits.
pub(super) fn decode(net: &Net<'_>, input_shift: u8, map: &CouplingMap) -> Conditioner {
    let input_scale = scale_of(input_shift);
    let mut decoded = match net {
        Net::Mlp(net) => Conditioner::Mlp(mlp(net, input_scale)),
        Net::Residual(net) => Conditioner::Residual(residual(net, input_scale)),
        Net::Conv1d(net) => Conditioner::Conv1d(convolution(net, input_scale, map)),
        other => unreachable!("no import of {}", other.name()),
    };
    // The second half of an affine coupling's outputs may be in units of the clamp.
    let unit = map.raw_unit();
    if unit != 1.0 {
        let (weights, bias) = match &mut decoded {
            Conditioner::Mlp(net) => last(&mut net.layers, |l| (&mut l.weights, &mut l.bias)),
            Conditioner::Residual(net) => (&mut net.last.weights, &mut net.last.bias),
            Conditioner::Conv1d(net) => last(&mut net.layers, |l| (&mut l.weights, &mut l.bias)),
        };
        let (half_weights, half_bias) = (weights.len() / 2, bias.len() / 2);
        weights[half_weights..].iter_mut().chain(&mut bias[half_bias..]).for_each(|v| *v *= unit);
    }
    decoded
}

type Parameters<'a> = (&'a mut Vec<f32>, &'a mut Vec<f32>);

fn last<T>(layers: &mut [T], parts: impl FnOnce(&mut T) -> Parameters<'_>) -> Parameters<'_> {
    parts(layers.last_mut().expect(super::CHECKED))
}

/// Integer units per real unit behind a right shift from Q15.16; 1 in f32, where there is none.
fn scale_of(shift: u8) -> f64 {
    match shift {
        0 => 1.0,
        shift => (16.0 - f64::from(shift)).exp2(),
    }
}

fn activation(encoded: Encoded) -> Activation {
    match encoded {
        Encoded::LeakyRelu => Activation::LeakyRelu,
        Encoded::Tanh => Activation::Tanh,
        Encoded::Silu => Activation::Silu,
        // A net without hidden layers has none.
        Encoded::Relu | Encoded::Linear => Activation::Relu,
    }
}

/// A layer as a real one, its inputs having `input_scale` units; gives the scale of its activations too.
fn layer(layer: &Layer<'_>, input_scale: f64) -> (Dense, f64) {
    let weights = dense::weights(layer);
    let (mut real_weights, mut bias) = (Vec::new(), Vec::new());
    for (row, row_weights) in weights.chunks_exact(layer.inputs).enumerate() {
        let word = layer.bias[row];
        let shift = f64::from(layer.shift);
        let (offset, scale) = match (layer.encoding, layer.multipliers.get(row)) {
            (Encoding::F32Rows4 | Encoding::F32Rows8, _) => (f64::from(f32::from_bits(word)), 1.0),
            (_, Some(&multiplier)) => {
                (f64::from(word as i32), f64::from(multiplier as i32) / shift.exp2() / 65536.0)
            }
            (_, None) => {
                // The bias of a ReLU layer holds one half of the shift's unit for rounding.
                let rounds = layer.shift > 0 && layer.activation == Encoded::Relu;
                let half = if rounds { (shift - 1.0).exp2() } else { 0.0 };
                (f64::from(word as i32) - half, 1.0 / shift.exp2())
            }
        };
        bias.push((offset * scale) as f32);
        real_weights.extend(row_weights.iter().map(|w| (w * scale * input_scale) as f32));
    }
    let real = Dense { inputs: layer.inputs, outputs: layer.outputs, weights: real_weights, bias };
    (real, scale_of(layer.activation_shift))
}

fn mlp(net: &conditioner::Mlp<'_>, input_scale: f64) -> Mlp {
    let act = net.layers().next().map_or(Activation::Relu, |first| activation(first.activation));
    let mut scale = input_scale;
    let layers = net
        .layers()
        .map(|encoded| {
            let (real, next) = layer(&encoded, scale);
            scale = next;
            real
        })
        .collect();
    Mlp { activation: act, layers }
}

fn residual(net: &conditioner::Residual<'_>, input_scale: f64) -> ResidualNet {
    let (initial, _) = layer(&net.initial().expect(super::CHECKED), input_scale);
    let (mut act, mut blocks, mut end) = (Activation::Relu, Vec::new(), None);
    for stage in net.stages() {
        let (first, scale) = layer(&stage.first, scale_of(stage.gate.shift));
        match stage.second {
            Some(second) => {
                act = activation(stage.gate.activation);
                blocks.push(ResidualBlock { first, second: layer(&second, scale).0 });
            }
            None => end = Some(first),
        }
    }
    ResidualNet { activation: act, initial, blocks, last: end.expect(super::CHECKED) }
}

fn convolution(net: &conditioner::Conv1d<'_>, input_scale: f64, map: &CouplingMap) -> Conv1d {
    let mut act = Activation::Relu;
    let mut layers = Vec::new();
    let (mut inputs, mut scale) = (net.channels() + net.contexts(), input_scale);
    for conv1d::ConvLayer { kernel, dense } in net.layers() {
        let (real, next) = layer(&dense, scale);
        scale = next;
        if !dense.is_output {
            act = activation(dense.activation);
        }
        let steps = real.weights.chunks_exact(dense.inputs / kernel);
        layers.push(ConvLayer {
            inputs,
            outputs: real.outputs,
            kernel,
            weights: steps.flat_map(|step| &step[..inputs]).copied().collect(),
            bias: real.bias,
        });
        inputs = real.outputs;
    }
    if let (CouplingMap::Spline(_), Some(last)) = (map, layers.last_mut()) {
        by_parameter(last, map.outputs_per_feature());
    }
    let padding = match net.padding() {
        conv1d::Padding::Causal => Padding::Causal,
        conv1d::Padding::Same => Padding::Same,
    };
    Conv1d { activation: act, length: net.length(), channels: net.channels(), padding, layers }
}

/// Output channels from feature after feature, as the image has them, to parameter after parameter.
fn by_parameter(layer: &mut ConvLayer, parameters: usize) {
    let (features, size) = (layer.outputs / parameters, layer.kernel * layer.inputs);
    let order: Vec<usize> =
        (0..layer.outputs).map(|to| (to % features) * parameters + to / features).collect();
    layer.weights = order.iter().flat_map(|&row| &layer.weights[row * size..][..size]).copied().collect();
    layer.bias = order.iter().map(|&row| layer.bias[row]).collect();
}
