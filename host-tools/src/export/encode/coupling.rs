//! Couplings: geometry, map, and the net behind them.

use super::{is_fixed, net, unsupported, value, EncodedDense, ExportError, Numeric, Observed};
use crate::export::quantizer;
use crate::flow::{Conditioner, Coupling, CouplingMap, ScaleMap, Spline, SplineParameters};
use flowlet::arithmetic::fixed::affine::{LEAST_FLOOR, ONE_Q30};
use flowlet::arithmetic::spline::{FEWEST_BINS, LARGEST_BOUND, MOST_BINS, SMALLEST_BOUND};
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
        CouplingMap::Spline(s) => {
            (value(s.bound, numeric, "bound of a spline")?, spline(s)?, minima(s, numeric))
        }
    };
    let net = net::encode(&c.conditioner, &c.map, contexts, numeric, shift, observed)?;
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
            let least = f64::from(LEAST_FLOOR) / f64::from(ONE_Q30);
            if is_fixed(numeric) && floor != 0.0 && f64::from(floor) < least {
                return Err(ExportError::Flow(format!(
                    "a sigmoid scale has floor {floor}; fixed point holds 0 or {least:.1e} and more"
                )));
            }
            let floor = if is_fixed(numeric) {
                (f64::from(floor) * f64::from(ONE_Q30)).round() as u32
            } else {
                floor.to_bits()
            };
            Ok((0, word(scale_map::SIGMOID), vec![value(offset, numeric, "offset of a sigmoid")?, floor]))
        }
    }
}

/// Word 4 of a spline coupling.
fn spline(s: &Spline) -> Result<u32, ExportError> {
    let out_of_range = |what: &str, value: String, allowed: String| {
        Err(ExportError::Flow(format!("a spline has {what} {value}; the image holds {allowed}")))
    };
    if !(FEWEST_BINS..=MOST_BINS).contains(&s.bins) {
        return out_of_range("bins", s.bins.to_string(), format!("{FEWEST_BINS} to {MOST_BINS}"));
    }
    if !(SMALLEST_BOUND..=LARGEST_BOUND).contains(&s.bound) {
        return out_of_range("bound", s.bound.to_string(), format!("{SMALLEST_BOUND} to {LARGEST_BOUND}"));
    }
    let parameterization = match s.parameters {
        SplineParameters::Softplus => 0,
        SplineParameters::SoftClipped if s.min_bin != 0.0 || s.min_derivative != 0.0 => {
            return out_of_range(
                "minima",
                format!("{}, {}", s.min_bin, s.min_derivative),
                "0 where clipped".into(),
            );
        }
        SplineParameters::SoftClipped => 1,
    };
    if !(s.min_bin >= 0.0 && s.min_bin * (s.bins as f32) < 0.999) {
        return out_of_range("min_bin", s.min_bin.to_string(), "0 to less than a share of all bins".into());
    }
    if !(0.0..0.999).contains(&s.min_derivative) {
        return out_of_range("min_derivative", s.min_derivative.to_string(), "0 to less than 1".into());
    }
    Ok(u32::from(map::SPLINE) | (s.bins as u32) << 8 | parameterization << 16)
}

/// Words 5 and 6.
fn minima(s: &Spline, numeric: Numeric) -> Vec<u32> {
    [s.min_bin, s.min_derivative]
        .map(|m| if is_fixed(numeric) { (f64::from(m) * 30f64.exp2()).round() as u32 } else { m.to_bits() })
        .into()
}
