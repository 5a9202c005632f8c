//! The standardizer, and orders.

use super::{is_fixed, log, ExportError, Numeric};
use crate::flow::{Permutation, Standardize};
use flowlet::transform::kind;

/// Only the first `features` of the inputs count in the log-determinant.
pub(super) fn standardize(
    s: &Standardize,
    features: usize,
    numeric: Numeric,
    words: &mut Vec<u32>,
) -> Result<(), ExportError> {
    let log_det = -s.std[..features].iter().map(|&std| f64::from(std).ln()).sum::<f64>();
    words.extend(log(log_det, numeric));
    for (feature, (&mean, &std)) in s.mean.iter().zip(&s.std).enumerate() {
        let inverse = (1.0 / f64::from(std)) as f32;
        if !(mean.is_finite() && std.is_normal() && std > 0.0 && inverse.is_normal()) {
            return Err(ExportError::Flow(format!(
                "feature {feature} has mean {mean} and standard deviation {std}: rescale it to a sane unit"
            )));
        }
        if !is_fixed(numeric) {
            words.extend([mean.to_bits(), inverse.to_bits(), std.to_bits()]);
            continue;
        }
        // std * 2^exponent in [2^20, 2^21).
        let exponent = 20 - f64::from(std).log2().floor() as i32;
        let scale = f64::from(std) * f64::from(exponent).exp2();
        let center = (f64::from(mean) * f64::from(exponent).exp2()).round();
        if center.abs() >= 61f64.exp2() {
            return Err(ExportError::Flow(format!(
                "feature {feature} has mean {mean} and standard deviation {std}: its readings do not vary \
                 enough for fixed point; leave it out with --ignore, or use --numeric f32"
            )));
        }
        let center = center as i64;
        let multiplier = (44f64.exp2() / scale).round() as u32;
        words.extend([
            center as u32,
            (center >> 32) as u32,
            multiplier,
            scale.round() as u32,
            exponent as u32,
        ]);
    }
    Ok(())
}

pub(super) fn permutation(p: &Permutation, words: &mut Vec<u32>) -> u8 {
    for pair in p.order.chunks(2) {
        words.push(pair[0] as u32 | (pair.get(1).copied().unwrap_or(0) as u32) << 16);
    }
    kind::PERMUTATION
}
