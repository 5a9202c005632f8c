//! Linear maps and elementwise affine ones: gains with their reciprocals, rows of weights.

use super::{is_fixed, log, value, ExportError, Numeric};
use crate::flow::{ElementwiseAffine, Linear};
use flowlet::arithmetic::fixed::linear::{GAIN_SHIFTS, RECIPROCAL_BITS};
use flowlet::transform::kind;

/// Finest unit of a fixed-point weight, as a shift: beyond it a weight is nothing to Q15.16.
const FINEST_ROW: f64 = 47.0;

pub(super) fn elementwise(
    t: &ElementwiseAffine,
    numeric: Numeric,
    words: &mut Vec<u32>,
) -> Result<u8, ExportError> {
    let log_det = reserve_log_det(words);
    let mut sum = 0.0;
    for (&log_scale, &shift) in t.log_scale.iter().zip(&t.shift) {
        sum += gain(f64::from(log_scale).exp(), numeric, words)?.ln();
        words.push(value(shift, numeric, "shift")?);
    }
    words[log_det..][..2].copy_from_slice(&log(sum, numeric));
    Ok(kind::ELEMENTWISE_AFFINE)
}

pub(super) fn linear(t: &Linear, numeric: Numeric, words: &mut Vec<u32>) -> Result<u8, ExportError> {
    let n = t.shift.len();
    let log_det = reserve_log_det(words);
    let mut sum = 0.0;
    for i in 0..n {
        sum += gain(f64::from(t.upper[i * n + i]), numeric, words)?.abs().ln();
        row(&t.upper[i * n + i + 1..(i + 1) * n], numeric, words)?;
    }
    for i in (0..n).rev() {
        words.push(value(t.shift[i], numeric, "shift")?);
        row(&t.lower[i * n..i * n + i], numeric, words)?;
    }
    // Of the numbers as stored, so that it is the log-determinant of the map that the device computes.
    words[log_det..][..2].copy_from_slice(&log(sum, numeric));
    Ok(kind::LINEAR)
}

/// Room for the log-determinant; gives its place.
fn reserve_log_det(words: &mut Vec<u32>) -> usize {
    words.extend([0; 2]);
    words.len() - 2
}

/// Appends a gain; gives the number that it stands for.
fn gain(gain: f64, numeric: Numeric, words: &mut Vec<u32>) -> Result<f64, ExportError> {
    let unfit =
        || ExportError::Flow(format!("a scale of {gain:e} is too far from one for this numeric type"));
    if !is_fixed(numeric) {
        let (gain, inverse) = (gain as f32, (1.0 / gain) as f32);
        if !(gain.is_normal() && inverse.is_normal()) {
            return Err(unfit());
        }
        words.extend([gain.to_bits(), inverse.to_bits()]);
        return Ok(f64::from(gain));
    }
    let (integer, shift) = fixed_gain(gain).ok_or_else(unfit)?;
    let reciprocal = (f64::from(RECIPROCAL_BITS).exp2() / integer).round();
    words.extend([shift as u32, integer as i32 as u32, reciprocal as i32 as u32]);
    Ok(integer / shift.exp2())
}

/// The integer and the shift of a gain, `integer / 2^shift`, in fixed point; `None` if it does not fit.
pub(in crate::export) fn fixed_gain(gain: f64) -> Option<(f64, f64)> {
    let shift = 29.0 - gain.abs().log2().floor();
    let fits = (f64::from(*GAIN_SHIFTS.start())..=f64::from(*GAIN_SHIFTS.end())).contains(&shift);
    fits.then(|| ((gain * shift.exp2()).round(), shift))
}

/// Fractional bits of a row's weights in fixed point.
pub(in crate::export) fn row_shift(weights: &[f32]) -> f64 {
    let largest = weights.iter().fold(0f64, |a, &w| a.max(f64::from(w).abs()));
    if largest > 0.0 {
        (32767.0 / largest).log2().floor().min(FINEST_ROW)
    } else {
        15.0
    }
}

/// Appends a row of weights.
fn row(weights: &[f32], numeric: Numeric, words: &mut Vec<u32>) -> Result<(), ExportError> {
    if !is_fixed(numeric) {
        words.extend(weights.iter().map(|w| w.to_bits()));
        return Ok(());
    }
    let shift = row_shift(weights);
    // NaN fails too.
    if shift.is_nan() || shift < 1.0 {
        return Err(ExportError::Flow("a matrix has a weight that does not fit fixed point".into()));
    }
    words.push(shift as u32);
    let integer = |w: &f32| u32::from((f64::from(*w) * shift.exp2()).round() as i16 as u16);
    for pair in weights.chunks(2) {
        words.push(integer(&pair[0]) | pair.get(1).map_or(0, integer) << 16);
    }
    Ok(())
}
