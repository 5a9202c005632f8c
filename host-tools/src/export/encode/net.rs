//! Conditioner nets.

use super::{is_fixed, EncodedDense, ExportError, Numeric, Observed};
use crate::export::dense::Numbers;
use crate::export::quantizer::{self, Role};
use crate::flow::{self, Conditioner, Conv1d, ConvLayer, CouplingMap, Dense, Padding};
use flowlet::arithmetic::activation::Activation;
use flowlet::arithmetic::dense::{Encoding, MAX_WIDTH};
use flowlet::conditioner::{conv1d, kind, mlp};

/// A net as words, and what its coupling says of it.
pub(in crate::export) struct EncodedNet {
    pub(in crate::export) kind: u8,
    pub(in crate::export) layers_byte: u8,
    pub(in crate::export) words: Vec<u32>,
    /// Of a perceptron, for the certified bound; else empty.
    pub(in crate::export) layers: Vec<EncodedDense>,
}

/// Encodes the net of a coupling with this map, which sees `contexts` context values; integer inputs have
/// `16 - shift` fractional bits.
pub(in crate::export) fn encode(
    conditioner: &Conditioner,
    map: &CouplingMap,
    contexts: usize,
    numeric: Numeric,
    shift: u8,
    observed: &[Observed],
) -> Result<EncodedNet, ExportError> {
    let net = normalized(conditioner, map);
    let mut writer = Writer { numeric, observed: observed.iter(), layers: Vec::new(), words: Vec::new() };
    let input_scale = if is_fixed(numeric) { f64::from(16 - shift).exp2() } else { 1.0 };
    let kind = match &net {
        Conditioner::Mlp(net) => {
            let act = activation(net.activation);
            let mut scales = vec![input_scale; net.layers[0].inputs];
            for (index, layer) in net.layers.iter().enumerate() {
                let is_last = index + 1 == net.layers.len();
                scales =
                    writer.layer(layer, &scales, if is_last { Role::Output } else { Role::Hidden(act) })?;
            }
            kind::MLP
        }
        Conditioner::Residual(net) => {
            let act = activation(net.activation);
            writer.layer(&net.initial, &vec![input_scale; net.initial.inputs], Role::Output)?;
            for block in &net.blocks {
                let scales = writer.gate(act, &block.first);
                let scales = writer.layer(&block.first, &scales, Role::Hidden(act))?;
                writer.layer(&block.second, &scales, Role::Output)?;
            }
            let scales = writer.gate(Activation::Linear, &net.last);
            writer.layer(&net.last, &scales, Role::Output)?;
            kind::RESIDUAL
        }
        Conditioner::Conv1d(net) => {
            convolution(net, map, contexts, input_scale, &mut writer)?;
            kind::CONV1D
        }
    };
    let Writer { layers, words, .. } = writer;
    if layers.len() > mlp::MAX_LAYERS {
        return Err(ExportError::Flow(format!(
            "a conditioner of {} layers; an image holds up to {}",
            layers.len(),
            mlp::MAX_LAYERS
        )));
    }
    let is_bounded = matches!(&net, Conditioner::Mlp(_));
    Ok(EncodedNet {
        kind,
        layers_byte: layers.len() as u8,
        words,
        layers: if is_bounded { layers } else { Vec::new() },
    })
}

/// Lays layers out one after the other.
struct Writer<'a> {
    numeric: Numeric,
    /// Of the layers still to come.
    observed: std::slice::Iter<'a, Observed>,
    layers: Vec<EncodedDense>,
    words: Vec<u32>,
}

impl Writer<'_> {
    /// Appends a layer whose inputs have `scales`; gives the scales of its activations.
    fn layer(&mut self, layer: &Dense, scales: &[f64], role: Role) -> Result<Vec<f64>, ExportError> {
        if layer.inputs > MAX_WIDTH || layer.outputs > MAX_WIDTH {
            return Err(ExportError::Flow(format!(
                "a conditioner layer from {} to {}; an image holds up to {MAX_WIDTH}",
                layer.inputs, layer.outputs
            )));
        }
        let (encoded, scales) = match (self.numeric, self.observed.next()) {
            (Numeric::I8, Some(seen)) => quantizer::quantize(layer, Encoding::I8Rows4, scales, seen, role)?,
            (Numeric::I16, Some(seen)) => quantizer::quantize(layer, Encoding::I16Rows4, scales, seen, role)?,
            _ => (float(layer, role), vec![1.0; layer.outputs]),
        };
        encoded.write(&mut self.words);
        self.layers.push(encoded);
        Ok(scales)
    }

    /// Appends the gate through which `next`, the next layer, reads the trunk; gives the scales that it sees.
    fn gate(&mut self, activation: Activation, next: &Dense) -> Vec<f64> {
        let reach = self.observed.as_slice().first().map_or(0.0, |seen| seen.reach);
        let shift = match activation {
            _ if !is_fixed(self.numeric) => 0,
            Activation::Tanh => flowlet::arithmetic::fixed::activation::TANH_SHIFT,
            _ => quantizer::activation_shift(reach),
        };
        self.words.push(u32::from_le_bytes([activation as u8, shift, 0, 0]));
        let scale = if is_fixed(self.numeric) { (16.0 - f64::from(shift)).exp2() } else { 1.0 };
        vec![scale; next.inputs]
    }
}

fn convolution(
    net: &Conv1d,
    map: &CouplingMap,
    contexts: usize,
    input_scale: f64,
    writer: &mut Writer<'_>,
) -> Result<(), ExportError> {
    if net.length > conv1d::MAX_LENGTH || net.layers.iter().any(|l| l.kernel > conv1d::MAX_KERNEL) {
        return Err(ExportError::Flow(format!(
            "a convolution over {} time steps; an image holds up to {} with kernels up to {}",
            net.length,
            conv1d::MAX_LENGTH,
            conv1d::MAX_KERNEL
        )));
    }
    let act = activation(net.activation);
    let mut layers = windowed(net, contexts);
    // What stands for parameter and feature of an output channel: see `flow::Conv1d`.
    let groups = match map {
        CouplingMap::Affine { .. } => 2,
        CouplingMap::Additive => 1,
        CouplingMap::Spline(_) => {
            if let Some(last) = layers.last_mut() {
                *last = by_feature(last, map.outputs_per_feature());
            }
            1
        }
    };
    let padding = u8::from(net.padding == Padding::Same);
    writer.words.push(net.length as u32 | (net.channels as u32) << 16);
    writer.words.push(u32::from(padding) | groups << 8 | (contexts as u32) << 16);
    let last = layers.len() - 1;
    let mut scales = vec![input_scale; layers[0].inputs];
    for (index, (layer, conv)) in layers.iter().zip(&net.layers).enumerate() {
        writer.words.push(conv.kernel as u32);
        let role = if index == last { Role::Output } else { Role::Hidden(act) };
        let mut step = writer.layer(layer, &scales, role)?;
        if let Some(next) = net.layers.get(index + 1) {
            step.resize(step.len().next_multiple_of(4), 1.0);
            scales = step.repeat(next.kernel);
        }
    }
    Ok(())
}

/// A convolution's layers as dense ones over their windows, each step of a window padded with zero columns to a
/// multiple of 4: the form of the image.
pub(in crate::export) fn windowed(net: &Conv1d, contexts: usize) -> Vec<Dense> {
    let window = |layer: &ConvLayer| {
        let stride = layer.inputs.next_multiple_of(4);
        let pad = |step: &[f32]| {
            let mut step = step.to_vec();
            step.resize(stride, 0.0);
            step
        };
        Dense {
            inputs: layer.kernel * stride,
            outputs: layer.outputs,
            weights: layer.weights.chunks_exact(layer.inputs).flat_map(pad).collect(),
            bias: layer.bias.clone(),
        }
    };
    debug_assert_eq!(net.layers[0].inputs, net.channels + contexts, "context channels");
    net.layers.iter().map(window).collect()
}

/// Output channels from parameter after parameter to feature after feature.
fn by_feature(layer: &Dense, parameters: usize) -> Dense {
    let features = layer.outputs / parameters;
    let order: Vec<usize> =
        (0..layer.outputs).map(|to| (to % parameters) * features + to / parameters).collect();
    Dense {
        inputs: layer.inputs,
        outputs: layer.outputs,
        weights: order
            .iter()
            .flat_map(|&row| &layer.weights[row * layer.inputs..][..layer.inputs])
            .copied()
            .collect(),
        bias: order.iter().map(|&row| layer.bias[row]).collect(),
    }
}

fn activation(activation: flow::Activation) -> Activation {
    match activation {
        flow::Activation::Relu => Activation::Relu,
        flow::Activation::LeakyRelu => Activation::LeakyRelu,
        flow::Activation::Tanh => Activation::Tanh,
        flow::Activation::Silu => Activation::Silu,
    }
}

/// The net with its raw log-scales in units of the clamp, as the image has them where the scale map is
/// `clamp f(raw)`.
fn normalized(net: &Conditioner, map: &CouplingMap) -> Conditioner {
    let mut net = net.clone();
    let unit = map.raw_unit();
    if unit == 1.0 {
        return net;
    }
    let (weights, bias) = match &mut net {
        Conditioner::Mlp(net) => match net.layers.last_mut() {
            Some(last) => (&mut last.weights, &mut last.bias),
            None => return Conditioner::Mlp(net.clone()),
        },
        Conditioner::Residual(net) => (&mut net.last.weights, &mut net.last.bias),
        Conditioner::Conv1d(net) => match net.layers.last_mut() {
            Some(last) => (&mut last.weights, &mut last.bias),
            None => return Conditioner::Conv1d(net.clone()),
        },
    };
    let (half_weights, half_bias) = (weights.len() / 2, bias.len() / 2);
    weights[half_weights..].iter_mut().for_each(|w| *w /= unit);
    bias[half_bias..].iter_mut().for_each(|b| *b /= unit);
    net
}

fn float(layer: &Dense, role: Role) -> EncodedDense {
    EncodedDense {
        inputs: layer.inputs,
        outputs: layer.outputs,
        encoding: Encoding::F32Rows8,
        activation: match role {
            Role::Hidden(activation) => Some(activation),
            Role::Output => None,
        },
        shift: 0,
        activation_shift: 0,
        gains: vec![1.0; layer.outputs],
        numbers: Numbers::Float { weights: layer.weights.clone(), bias: layer.bias.clone() },
    }
}
