//! Conditioner nets.

use super::{is_fixed, unsupported, EncodedDense, ExportError, Numeric, Observed};
use crate::export::dense::Numbers;
use crate::export::quantizer;
use crate::flow::{Activation, Conditioner, CouplingMap, Mlp};
use flowlet::arithmetic::dense::Encoding;
use flowlet::conditioner::kind;

/// A net as words, and what its coupling says of it.
pub(super) struct EncodedNet {
    pub(super) kind: u8,
    pub(super) layers_byte: u8,
    pub(super) words: Vec<u32>,
    /// For the certified bound.
    pub(super) layers: Vec<EncodedDense>,
}

/// Encodes the net of a coupling with this map; integer inputs have `16 - shift` fractional bits.
pub(super) fn encode(
    conditioner: &Conditioner,
    map: &CouplingMap,
    numeric: Numeric,
    shift: u8,
    observed: &[Observed],
) -> Result<EncodedNet, ExportError> {
    let Conditioner::Mlp(net) = conditioner else { return Err(unsupported("this conditioner")) };
    if net.activation != Activation::Relu {
        return Err(unsupported("this activation"));
    }
    let net = normalized(net, map);
    let layers = if is_fixed(numeric) {
        let encoding = if numeric == Numeric::I8 { Encoding::I8Rows4 } else { Encoding::I16Rows4 };
        quantizer::quantize(&net, encoding, shift, observed)?
    } else {
        float_layers(&net)
    };
    let mut words = Vec::new();
    for layer in &layers {
        layer.write(&mut words);
    }
    Ok(EncodedNet { kind: kind::MLP, layers_byte: layers.len() as u8, words, layers })
}

/// The net with its raw log-scales in units of the clamp, as the image has them where the scale map is
/// `clamp f(raw)`.
pub(in crate::export) fn normalized(net: &Mlp, map: &CouplingMap) -> Mlp {
    let mut net = net.clone();
    let unit = map.raw_unit();
    if unit == 1.0 {
        return net;
    }
    if let Some(last) = net.layers.last_mut() {
        let from = last.outputs / 2;
        last.weights[from * last.inputs..].iter_mut().for_each(|w| *w /= unit);
        last.bias[from..].iter_mut().for_each(|b| *b /= unit);
    }
    net
}

fn float_layers(net: &Mlp) -> Vec<EncodedDense> {
    let last = net.layers.len() - 1;
    net.layers
        .iter()
        .enumerate()
        .map(|(index, layer)| EncodedDense {
            inputs: layer.inputs,
            outputs: layer.outputs,
            encoding: Encoding::F32Rows4,
            is_output: index == last,
            shift: 0,
            gains: vec![1.0; layer.outputs],
            numbers: Numbers::Float { weights: layer.weights.clone(), bias: layer.bias.clone() },
        })
        .collect()
}
