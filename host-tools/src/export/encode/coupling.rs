//! Couplings: geometry, map, and the net behind them.

use super::{is_fixed, net, unsupported, value, EncodedDense, ExportError, Numeric, Observed};
use crate::export::quantizer;
use crate::flow::{Conditioner, Coupling, CouplingMap, ScaleMap};
use flowlet::arithmetic::fixed::affine::ONE_Q30;
use flowlet::transform::coupling::affine::scale_map;
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
        CouplingMap::Affine { scale } => affine(*scale, numeric)?,
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

/// Bound, word 4 and what follows it.
fn affine(scale: ScaleMap, numeric: Numeric) -> Result<(u32, u32, Vec<u32>), ExportError> {
    let word = |option: u8| u32::from(map::AFFINE) | u32::from(option) << 8;
    let clamped = |clamp: f32, option: u8| {
        Ok((value(clamp, numeric, "clamp of the log-scale")?, word(option), Vec::new()))
    };
    match scale {
        ScaleMap::Tanh { clamp } => clamped(clamp, scale_map::TANH),
        ScaleMap::Hard { clamp } => clamped(clamp, scale_map::HARD),
        ScaleMap::SoftSign { clamp } => clamped(clamp, scale_map::SOFT_SIGN),
        ScaleMap::Sigmoid { offset, floor } => {
            let floor = if is_fixed(numeric) {
                (f64::from(floor) * f64::from(ONE_Q30)).round() as u32
            } else {
                floor.to_bits()
            };
            Ok((0, word(scale_map::SIGMOID), vec![value(offset, numeric, "offset of a sigmoid")?, floor]))
        }
    }
}
