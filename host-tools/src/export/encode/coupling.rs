//! Couplings: geometry, map, and the net behind them.

use super::{is_fixed, net, unsupported, value, EncodedDense, ExportError, Numeric, Observed};
use crate::export::quantizer;
use crate::flow::{Conditioner, Coupling, CouplingMap, ScaleMap};
use flowlet::transform::coupling::map;
use flowlet::transform::kind;

/// Appends the block's body; gives its kind and the net's layers.
pub(super) fn encode(
    c: &Coupling,
    contexts: usize,
    numeric: Numeric,
    observed: &[Observed],
    words: &mut Vec<u32>,
) -> Result<(u8, Vec<EncodedDense>), ExportError> {
    let (split, first) = c.mask.as_split().ok_or_else(|| unsupported("a mask that is no split"))?;
    let (limit, shift) = if is_fixed(numeric) {
        let (limit, shift) = quantizer::input_format(c.input_limit)?;
        (limit as u32, shift)
    } else {
        (c.input_limit.to_bits(), 0)
    };
    let (bound, map_word, further): (u32, u32, Vec<u32>) = match &c.map {
        CouplingMap::Additive => (0, u32::from(map::ADDITIVE), Vec::new()),
        CouplingMap::Affine { scale } => match *scale {
            ScaleMap::Tanh { clamp } => {
                (value(clamp, numeric, "clamp of the log-scale")?, u32::from(map::AFFINE), Vec::new())
            }
            _ => return Err(unsupported("a log-scale without tanh clamp")),
        },
        CouplingMap::Spline(_) => return Err(unsupported("a spline coupling")),
    };
    let net = net::encode(&c.conditioner, &c.map, numeric, shift, observed)?;
    words.push(split as u32 | u32::from(first) << 16 | u32::from(shift) << 24);
    words.extend([bound, limit]);
    words.push(u32::from(net.kind) | u32::from(net.layers_byte) << 8 | (contexts as u32) << 16);
    // Blocks of version 1 have no word for what they all have in common.
    let is_plain = contexts == 0
        && map_word == u32::from(map::AFFINE)
        && matches!(&c.conditioner, Conditioner::Mlp(net) if net.activation == crate::flow::Activation::Relu);
    if !is_plain {
        words.push(map_word);
        words.extend(further);
    }
    words.extend(net.words);
    Ok((if is_plain { kind::AFFINE_COUPLING } else { kind::COUPLING }, net.layers))
}
