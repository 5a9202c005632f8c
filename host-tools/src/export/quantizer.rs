//! Conditioner nets in integers.
//!
//! A hidden unit's integer activation is its real one times a scale of its own; because ReLU and leaky
//! ReLU are homogeneous, that scale folds into the next layer's column, so that a hidden layer needs one common
//! shift and no multiplier (Nagel et al. 2019, "Data-free quantization through weight equalization and
//! bias correction", use the same freedom). Each row takes the largest scale for which
//!
//! * its weights fit their type,
//! * `|bias| + sum |w| 32767 < 2^31`, so that its accumulator cannot wrap on any input, and
//! * its activation, [`HEADROOM`] times the largest seen on calibration data, fits 15 bits.
//!
//! Only output layers and those with tanh or SiLU multiply, back into the trunk's Q15.16. The activations of
//! the latter have one scale for the whole layer: 2^15 (tanh), or a power of two chosen like the ranges above.

use super::dense::{EncodedDense, Numbers};
use super::observe::Observed;
use super::rounding::Compensation;
use super::ExportError;
use crate::flow::Dense;
use flowlet::arithmetic::activation::Activation;
use flowlet::arithmetic::dense::{Encoding, ACTIVATION_LIMIT, USUAL_SHIFTS_I8, USUAL_SHIFT_I16};
use flowlet::arithmetic::fixed::activation::TANH_SHIFT;

/// Activations up to this many times the largest of the calibration data do not saturate.
const HEADROOM: f64 = 2.0;
/// Scale of a unit that calibration never saw active: as if it reached this.
const SMALLEST_RANGE: f64 = 1e-3;
/// The accumulator's bound, less what rounding of weights and bias may add.
const ACCUMULATOR_LIMIT: f64 = 2_147_483_647.0 - 16.0;

/// How conditioner inputs become i16: the limit in Q15.16, and the right shift.
pub(super) fn input_format(limit: f32) -> Result<(i32, u8), ExportError> {
    for fraction_bits in (1..=15u8).rev() {
        let shift = 16 - fraction_bits;
        // One part in a thousand less of the limit is worth one more bit.
        let largest = ((ACTIVATION_LIMIT as i32) << shift) + (1 << (shift - 1)) - 1;
        let wanted = (f64::from(limit) * 65536.0).round();
        if f64::from(largest) >= wanted * 0.999 {
            return Ok(((wanted as i64).min(i64::from(largest)) as i32, shift));
        }
    }
    Err(ExportError::Flow(format!("a conditioner input limit of {limit} is above 16383")))
}

/// What stands behind a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// An activation function.
    Hidden(Activation),
    /// Nothing: the values are in the trunk's numbers.
    Output,
}

/// The integer form of `layer`, whose input `i` has `scales[i]` integer units per real unit, and the scales of
/// its activations. `seen` is what it saw.
pub(super) fn quantize(
    layer: &Dense,
    encoding: Encoding,
    scales: &[f64],
    seen: &Observed,
    role: Role,
) -> Result<(EncodedDense, Vec<f64>), ExportError> {
    let largest_weight = ((1i64 << (encoding.bits() - 1)) - 1) as f64;
    // In i16 the rounding of activations weighs more than that of weights.
    let compensation = if encoding.bits() == 8 { Compensation::new(&seen.moments, scales) } else { None };
    let rows = Rows::new(layer, scales, largest_weight, compensation);
    let gains: Vec<f64> = (0..layer.outputs).map(|row| rows.largest_gain(row)).collect();
    let (integers, scales) = match role {
        Role::Hidden(activation) if activation.is_homogeneous() => {
            homogeneous(&rows, &gains, &seen.largest, (activation, encoding))
        }
        Role::Hidden(activation) => {
            let shift = match activation {
                Activation::Tanh => TANH_SHIFT,
                _ => activation_shift(seen.largest.iter().copied().fold(0.0, f32::max)),
            };
            let integers = scaled(&rows, &gains)?;
            let scales = vec![(16.0 - f64::from(shift)).exp2(); layer.outputs];
            (EncodedDense { activation: Some(activation), activation_shift: shift, ..integers }, scales)
        }
        Role::Output => (scaled(&rows, &gains)?, Vec::new()),
    };
    Ok((EncodedDense { encoding, ..integers }, scales))
}

/// The least right shift from Q15.16 to i16 with which [`HEADROOM`] times `largest` does not saturate.
pub(super) fn activation_shift(largest: f32) -> u8 {
    let range = f64::from(largest).max(SMALLEST_RANGE) * HEADROOM * 65536.0;
    (range / ACTIVATION_LIMIT as f64).log2().ceil().clamp(1.0, 16.0) as u8
}

/// A layer's weights per integer unit of its inputs.
struct Rows<'a> {
    layer: &'a Dense,
    weights: Vec<f64>,
    largest_weight: f64,
    compensation: Option<Compensation>,
}

impl<'a> Rows<'a> {
    fn new(
        layer: &'a Dense,
        scales: &[f64],
        largest_weight: f64,
        compensation: Option<Compensation>,
    ) -> Self {
        let weights =
            layer.weights.iter().enumerate().map(|(i, &w)| f64::from(w) / scales[i % layer.inputs]).collect();
        Rows { layer, weights, largest_weight, compensation }
    }

    fn row(&self, row: usize) -> &[f64] {
        &self.weights[row * self.layer.inputs..][..self.layer.inputs]
    }

    /// The largest factor by which a row may be multiplied: weights fit, accumulator cannot wrap.
    fn largest_gain(&self, row: usize) -> f64 {
        let limit = ACTIVATION_LIMIT as f64;
        let largest = self.row(row).iter().fold(0.0f64, |a, w| a.max(w.abs()));
        // Each weight may round up by one half.
        let rounding = limit * 0.5 * self.layer.inputs as f64;
        let reach = f64::from(self.layer.bias[row].abs())
            + self.row(row).iter().map(|w| w.abs()).sum::<f64>() * limit;
        let by_weight = if largest > 0.0 { self.largest_weight / largest } else { f64::INFINITY };
        // 2^30 is left for the rounding constant of the shift.
        let by_reach = if reach > 0.0 { (ACCUMULATOR_LIMIT * 0.998 - rounding) / reach } else { 1.0 };
        by_weight.min(by_reach)
    }

    /// Weights and biases times their rows' gains, rounded.
    fn integers(&self, gains: &[f64]) -> (Vec<i32>, Vec<i32>) {
        let (mut weights, mut biases) = (Vec::new(), Vec::new());
        for (row, &gain) in gains.iter().enumerate() {
            let scaled: Vec<f64> = self.row(row).iter().map(|w| w * gain).collect();
            let bias = f64::from(self.layer.bias[row]) * gain;
            let nearest = || (scaled.iter().map(|w| w.round() as i32).collect::<Vec<_>>(), bias);
            let compensated = self.compensation.as_ref().map(|c| c.round(&scaled, bias, self.largest_weight));
            // Compensation may push a row's reach up; such a row is rounded to nearest instead.
            let (row_weights, bias) =
                compensated.filter(|(w, b)| reach(w, *b) < ACCUMULATOR_LIMIT * 0.998).unwrap_or_else(nearest);
            weights.extend(row_weights);
            biases.push(bias.round() as i32);
        }
        (weights, biases)
    }
}

/// Largest magnitude that a row's accumulator can have.
fn reach(weights: &[i32], bias: f64) -> f64 {
    let sum: f64 = weights.iter().map(|w| f64::from(w.unsigned_abs())).sum();
    sum * ACTIVATION_LIMIT as f64 + bias.abs()
}

/// A hidden layer whose function passes scales on, and the scales of its activations.
fn homogeneous(
    rows: &Rows<'_>,
    gains: &[f64],
    ranges: &[f32],
    (activation, encoding): (Activation, Encoding),
) -> (EncodedDense, Vec<f64>) {
    let layer = rows.layer;
    let ranges: Vec<f64> = ranges.iter().map(|&r| f64::from(r).max(SMALLEST_RANGE) * HEADROOM).collect();
    // The least shift with which no row has to give up weight resolution for its activation's range.
    let wanted = gains.iter().zip(&ranges).map(|(g, r)| g * r / ACTIVATION_LIMIT as f64).fold(0.0, f64::max);
    let least = (wanted.log2().ceil().max(0.0) as u32).min(20);
    let shift = if activation == Activation::Relu { usual_shift(encoding, least) } else { least };
    let unit = f64::from(shift).exp2();
    // With a smaller shift than the least one all rows give up bits of their weights, and activations stay what they are.
    let kept = (-f64::from(least.saturating_sub(shift))).exp2();
    let gains: Vec<f64> =
        gains.iter().zip(&ranges).map(|(g, r)| (g * kept).min(ACTIVATION_LIMIT as f64 * unit / r)).collect();
    // Leaky ReLU rounds at its end.
    let half = if shift == 0 || activation != Activation::Relu { 0 } else { 1 << (shift - 1) };
    let (weights, mut bias) = rows.integers(&gains);
    bias.iter_mut().for_each(|b| *b += half);
    let numbers = Numbers::Fixed { weights, bias, multipliers: Vec::new() };
    let encoded = EncodedDense {
        inputs: layer.inputs,
        outputs: layer.outputs,
        encoding: Encoding::I16Rows4,
        activation: Some(activation),
        shift: shift as u8,
        activation_shift: 0,
        gains: gains.clone(),
        numbers,
    };
    (encoded, gains.iter().map(|g| g / unit).collect())
}

/// The shift that kernels prefer, in place of the least one with which weights keep their resolution, where it
/// is larger by two at most: activations then keep 13 bits.
///
/// For i16 it may be smaller by two as well, as it is in first layers of few inputs: weights then keep 14 bits. Those of
/// i8 have none to give up.
fn usual_shift(encoding: Encoding, least: u32) -> u32 {
    let (usual, above): (&[u8], u32) = match encoding {
        Encoding::I8Rows4 => (&USUAL_SHIFTS_I8, 0),
        _ => (&[USUAL_SHIFT_I16], 2),
    };
    let is_near = |usual: u32| (usual.saturating_sub(2)..=usual + above).contains(&least);
    usual.iter().map(|&usual| u32::from(usual)).find(|&usual| is_near(usual)).unwrap_or(least)
}

/// A layer with the multipliers that bring its accumulators to Q15.16.
fn scaled(rows: &Rows<'_>, gains: &[f64]) -> Result<EncodedDense, ExportError> {
    let layer = rows.layer;
    // A row of zeros has no natural gain.
    let gains: Vec<f64> = gains.iter().map(|&g| if g.is_finite() { g } else { 1.0 }).collect();
    let factors: Vec<f64> = gains.iter().map(|g| 65536.0 / g).collect();
    let largest = factors.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
    let shift = (30.0 - largest.log2().floor()).min(62.0);
    if shift < 1.0 {
        return Err(ExportError::Flow(
            "a conditioner's weights are too large for fixed point: train with more weight decay".into(),
        ));
    }
    let (weights, bias) = rows.integers(&gains);
    let multipliers =
        factors.iter().map(|f| (f * shift.exp2()).round().min(2_147_483_647.0) as i32).collect();
    Ok(EncodedDense {
        inputs: layer.inputs,
        outputs: layer.outputs,
        encoding: Encoding::I16Rows4,
        activation: None,
        shift: shift as u8,
        activation_shift: 0,
        numbers: Numbers::Fixed { weights, bias, multipliers },
        gains,
    })
}
