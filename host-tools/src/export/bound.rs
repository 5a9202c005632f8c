//! A certified bound on what fixed point can cost: `|log_prob(image) - log_prob(flow)|` for every
//! reading in a box, against the flow in exact arithmetic.
//!
//! Two quantities go through the chain per value: an interval that holds the exact value, by interval
//! arithmetic (Moore 1966), and a bound on the distance of the fixed-point value from it. Each
//! operation adds its own rounding or table error, the budgets that the runtime's tests hold. The
//! bound is sound and, as intervals know no correlation, loose: it grows with every coupling. Measured
//! differences are reported beside it.

use super::dense::{EncodedDense, Numbers};
use super::{encode::normalized, quantizer};
use crate::flow::{
    Activation, Base, Conditioner, Coupling, CouplingMap, Dense, Flow, Mlp, ScaleMap, Transform,
};
use flowlet::arithmetic::dense::ACTIVATION_LIMIT;

/// Half a unit of Q15.16.
const HALF_UNIT: f64 = 0.5 / 65536.0;
/// Error budgets of `flowlet::arithmetic::fixed::elementary`.
const EXP_RELATIVE: f64 = 7e-6;
const TANH_ABSOLUTE: f64 = 4e-5;
const LN_ABSOLUTE: f64 = 2e-5;
/// Readings saturate here, in standard deviations; so do values of the trunk, one unit further.
const READING_LIMIT: f64 = 32767.0;
const TRUNK_LIMIT: f64 = 32768.0 - 1.0 / 65536.0;

/// An exact value's interval, and how far the fixed-point one may lie from it.
#[derive(Clone, Copy, Debug)]
struct Range {
    low: f64,
    high: f64,
    error: f64,
}

impl Range {
    fn size(self) -> f64 {
        self.low.abs().max(self.high.abs())
    }

    /// What saturation of the trunk adds, where the interval or its error reaches past it.
    fn saturated(self) -> Self {
        Range { error: self.error + (self.size() + self.error - TRUNK_LIMIT).max(0.0), ..self }
    }
}

/// The bound over the box `lows..=highs` (in the features' units) for a flow whose nets were encoded
/// as `nets`; `None` if the flow has a part that intervals are not carried through yet.
pub(super) fn certify(flow: &Flow, nets: &[Vec<EncodedDense>], lows: &[f32], highs: &[f32]) -> Option<f64> {
    if flow.base != Base::StandardNormal || flow.contexts > 0 {
        return None;
    }
    let mut values: Vec<Range> = lows
        .iter()
        .zip(highs)
        .map(|(&low, &high)| Range { low: f64::from(low), high: f64::from(high), error: 0.0 })
        .collect();
    let mut log_error = HALF_UNIT * 2.0;
    let mut nets = nets.iter();
    for transform in &flow.transforms {
        match transform {
            Transform::Standardize(s) => {
                for ((v, &mean), &std) in values.iter_mut().zip(&s.mean).zip(&s.std) {
                    *v = standardize(*v, f64::from(mean), f64::from(std));
                }
                // The sum of logarithms is rounded once.
                log_error += HALF_UNIT;
            }
            Transform::SoftTail(t) => {
                for v in &mut values {
                    let (tail, error) = soft_tail(*v, f64::from(t.knee));
                    *v = tail;
                    log_error += error;
                }
            }
            Transform::Permutation(p) => {
                values = p.order.iter().map(|&from| values[from]).collect();
            }
            Transform::Coupling(c) => log_error += couple(c, nets.next()?, &mut values)?,
            _ => return None,
        }
    }
    // -z^2/2: difference of squares, then the rounding of each square.
    let base: f64 =
        values.iter().map(|v| v.error * (v.size() + 0.5 * v.error) + HALF_UNIT).sum::<f64>() + HALF_UNIT;
    Some(log_error + base)
}

fn standardize(v: Range, mean: f64, std: f64) -> Range {
    let at = |x: f64| ((x - mean) / std).clamp(-READING_LIMIT, READING_LIMIT);
    let range = Range { low: at(v.low), high: at(v.high), error: 0.0 };
    // Reading and centre are rounded to std / 2^20 each, the multiplier to 2^-23 of itself.
    let error = 2.0 * 0.5 / 1_048_576.0 + range.size() / 8_388_608.0 + HALF_UNIT;
    Range { error, ..range }
}

fn soft_tail(v: Range, knee: f64) -> (Range, f64) {
    let at = |x: f64| {
        let beyond = x.abs() - knee;
        if beyond > 0.0 {
            (knee + beyond.ln_1p()).copysign(x)
        } else {
            x
        }
    };
    if v.size() + v.error <= knee {
        return (v, 0.0);
    }
    // The map is monotone with slope at most 1; the knee itself is rounded.
    let error = v.error + LN_ABSOLUTE + 2.0 * HALF_UNIT;
    (Range { low: at(v.low), high: at(v.high), error }, error)
}

fn couple(c: &Coupling, net: &[EncodedDense], values: &mut [Range]) -> Option<f64> {
    let CouplingMap::Affine { scale: ScaleMap::Tanh { clamp } } = c.map else { return None };
    let Conditioner::Mlp(mlp) = normalized(&c.conditioner, &c.map) else { return None };
    if mlp.activation != Activation::Relu {
        return None;
    }
    let (split, first) = c.mask.as_split()?;
    let (front, rest) = values.split_at_mut(split);
    let (conditioning, transformed) = if first { (front, rest) } else { (rest, front) };
    let outputs = evaluate(c, &mlp, net, conditioning);
    let (shifts, raws) = outputs.split_at(transformed.len());
    let clamp = f64::from(clamp);
    let mut log_error = 0.0;
    for ((v, shift), raw) in transformed.iter_mut().zip(shifts).zip(raws) {
        let (low, high) = (clamp * raw.low.tanh(), clamp * raw.high.tanh());
        // tanh has slope at most 1; the clamp is rounded to Q15.16, and so is the product.
        let error = (clamp + HALF_UNIT) * (raw.error + TANH_ABSOLUTE) + 2.0 * HALF_UNIT;
        let error = error.min(2.0 * clamp + 1e-3);
        log_error += error;
        let (smallest, largest) = (low.exp(), high.exp());
        let products = [v.low * smallest, v.low * largest, v.high * smallest, v.high * largest];
        let scale_error = largest * (error.exp() * (1.0 + EXP_RELATIVE) - 1.0);
        let range = Range {
            low: products.iter().copied().fold(f64::INFINITY, f64::min) + shift.low,
            high: products.iter().copied().fold(f64::NEG_INFINITY, f64::max) + shift.high,
            error: (largest + scale_error) * v.error + v.size() * scale_error + shift.error + HALF_UNIT,
        };
        *v = range.saturated();
    }
    Some(log_error)
}

/// The conditioner's outputs, raw log-scales in units of the clamp.
fn evaluate(c: &Coupling, exact: &Mlp, net: &[EncodedDense], inputs: &[Range]) -> Vec<Range> {
    let limit = f64::from(c.input_limit);
    let Ok((limit_word, input_shift)) = quantizer::input_format(c.input_limit) else {
        return Vec::new();
    };
    let unit = (f64::from(input_shift) - 16.0).exp2();
    let limit_error = (limit - f64::from(limit_word) / 65536.0).abs();
    let mut scales = vec![1.0 / unit; inputs.len()];
    let mut activations: Vec<Range> = inputs
        .iter()
        .map(|v| Range {
            low: v.low.clamp(-limit, limit),
            high: v.high.clamp(-limit, limit),
            error: v.error.min(2.0 * limit) + limit_error + 0.5 * unit,
        })
        .collect();
    for (exact, encoded) in exact.layers.iter().zip(net) {
        activations = dense(exact, encoded, &activations, &scales);
        let shift = f64::from(encoded.shift).exp2();
        scales = encoded.gains.iter().map(|g| g / shift).collect();
    }
    activations
}

/// One layer: `scales` are integer units per real unit of its inputs.
fn dense(exact: &Dense, encoded: &EncodedDense, inputs: &[Range], scales: &[f64]) -> Vec<Range> {
    let Numbers::Fixed { weights, bias, multipliers } = &encoded.numbers else {
        return vec![Range { low: 0.0, high: 0.0, error: f64::INFINITY }; exact.outputs];
    };
    let shift = f64::from(encoded.shift).exp2();
    (0..exact.outputs)
        .map(|row| {
            let gain = encoded.gains[row];
            let half = if encoded.activation.is_none() || encoded.shift == 0 { 0.0 } else { 0.5 * shift };
            let offset = f64::from(exact.bias[row]);
            let mut sum = Range {
                low: offset,
                high: offset,
                error: ((f64::from(bias[row]) - half) / gain - offset).abs(),
            };
            for (column, input) in inputs.iter().enumerate() {
                let at = row * exact.inputs + column;
                let weight = f64::from(exact.weights[at]);
                let stands_for = f64::from(weights[at]) * scales[column] / gain;
                let (a, b) = (weight * input.low, weight * input.high);
                sum.low += a.min(b);
                sum.high += a.max(b);
                sum.error += stands_for.abs() * input.error + (stands_for - weight).abs() * input.size();
            }
            if encoded.activation.is_none() {
                // The multiplier stands for 2^16 / gain, itself rounded.
                let ideal = 65536.0 / gain;
                let factor = f64::from(multipliers[row]) / shift;
                let reach = sum.size() + sum.error;
                sum.error += reach * ((factor - ideal) / ideal).abs() + HALF_UNIT;
                return sum.saturated();
            }
            let scale = gain / shift;
            let ceiling = ACTIVATION_LIMIT as f64 / scale;
            let error = sum.error + 0.5 / scale;
            Range {
                low: sum.low.max(0.0),
                high: sum.high.max(0.0),
                error: error + (sum.high.max(0.0) + error - ceiling).max(0.0),
            }
        })
        .collect()
}
