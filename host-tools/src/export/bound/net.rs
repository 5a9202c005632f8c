//! Layers of conditioner nets: the exact net, and the difference that the integer one makes.
//!
//! Quantized weights are data. What they change is therefore no unknown noise: the difference of the two nets is
//! propagated layer by layer, `W' (a' - a) + (W' - W) a`, in the symbols of the inputs, so that what rounding was made to
//! cancel does cancel. ReLU's relaxation is that of DeepZ (Singh et al. 2018, "Fast and effective robustness
//! certification"), for the exact net; a difference passes a ReLU that is surely on or off as it is.

use super::budgets::{HALF_UNIT, LEAKY_SLOPE_ERROR, SILU_GROWING, TANH_ACTIVATION, TRUNK_LIMIT};
use super::form::{Form, Symbols};
use super::pair::{slope_times, span, Curve, Pair};
use crate::export::dense::{EncodedDense, Meaning};
use crate::flow::Dense;
use flowlet::arithmetic::activation::Activation;
use flowlet::arithmetic::dense::ACTIVATION_LIMIT;

/// A layer as trained and as the image has it, in real units.
pub(super) struct Layer {
    inputs: usize,
    outputs: usize,
    exact: Vec<f64>,
    exact_bias: Vec<f64>,
    fixed: Vec<f64>,
    /// `fixed - exact`.
    change: Vec<f64>,
    change_bias: Vec<f64>,
    activation: Option<Activation>,
    /// Real size of a unit of each activation, of a hidden layer.
    units: Vec<f64>,
}

impl Layer {
    /// `scales` are integer units per real unit of its inputs; gives also those of its activations. Outputs from
    /// `divided_from` on are those of `exact` divided by `unit`.
    pub(super) fn new(
        exact: &Dense,
        encoded: &EncodedDense,
        scales: &[f64],
        (unit, divided_from): (f64, usize),
    ) -> Option<(Self, Vec<f64>)> {
        let Meaning { weights, bias, scales } = encoded.meaning(scales)?;
        let divisor = |row: usize| if row < divided_from { 1.0 } else { unit };
        let of = |numbers: &[f32], width: usize| -> Vec<f64> {
            numbers.iter().enumerate().map(|(i, &n)| f64::from(n) / divisor(i / width)).collect()
        };
        let (exact_weights, exact_bias) = (of(&exact.weights, exact.inputs), of(&exact.bias, 1));
        let minus = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a - b).collect::<Vec<f64>>();
        let layer = Layer {
            inputs: exact.inputs,
            outputs: exact.outputs,
            change: minus(&weights, &exact_weights),
            change_bias: minus(&bias, &exact_bias),
            exact: exact_weights,
            exact_bias,
            fixed: weights,
            activation: encoded.activation,
            units: scales.iter().map(|s| 1.0 / s).collect(),
        };
        Some((layer, scales))
    }

    /// Sums of the exact layer, and what those of the image's layer differ by.
    fn sums(&self, inputs: &[Pair], symbols: &mut Symbols) -> Vec<Pair> {
        let rounds = self.activation.is_none_or(|a| !a.is_homogeneous());
        (0..self.outputs)
            .map(|row| {
                let own = row * self.inputs..(row + 1) * self.inputs;
                let (exact, fixed) = (&self.exact[own.clone()], &self.fixed[own.clone()]);
                let change = &self.change[own];
                let values = exact.iter().zip(inputs).map(|(&w, p)| (w, &p.value));
                let value = Form::sum(values, self.exact_bias[row]);
                let errors = fixed.iter().zip(inputs).map(|(&w, p)| (w, &p.error));
                let changes = change.iter().zip(inputs).map(|(&w, p)| (w, &p.value));
                let error = Form::sum(errors.chain(changes), self.change_bias[row]);
                let local = if rounds { HALF_UNIT } else { 0.0 };
                let spans = fixed.iter().zip(inputs).map(|(&w, p)| (w, p.fixed()));
                let bounds = span(spans, self.exact_bias[row] + self.change_bias[row], local);
                let pair = Pair::new(value, error.widened(local, symbols), bounds);
                // Back in Q15.16, or within an i32, which the image's row bound ensures.
                if rounds {
                    pair.cut(TRUNK_LIMIT, symbols)
                } else {
                    pair
                }
            })
            .collect()
    }

    /// The layer with its activation function.
    pub(super) fn run(&self, inputs: &[Pair], symbols: &mut Symbols) -> Vec<Pair> {
        let sums = self.sums(inputs, symbols);
        let Some(activation) = self.activation else { return sums };
        sums.iter().zip(&self.units).map(|(sum, &unit)| activate(activation, sum, unit, symbols)).collect()
    }
}

/// `activation` of a sum, rounded to units and saturated at [`ACTIVATION_LIMIT`] of them in fixed point.
pub(super) fn activate(activation: Activation, sum: &Pair, unit: f64, symbols: &mut Symbols) -> Pair {
    let ceiling = ACTIVATION_LIMIT as f64 * unit;
    let half = 0.5 * unit;
    let pair = match activation {
        Activation::Relu => broken(sum, 0.0, half, symbols),
        Activation::LeakyRelu => {
            let size = sum.hull().0.abs().max(sum.hull().1.abs());
            broken(sum, 0.01, half + LEAKY_SLOPE_ERROR * size, symbols)
        }
        Activation::Tanh => {
            // One is one more unit than an activation holds: within the budget.
            return sum.curve(&Curve { f: &f64::tanh, slopes: &tanh_slopes }, TANH_ACTIVATION, symbols);
        }
        Activation::Silu => {
            let (low, high) = sum.hull();
            let local = half + SILU_GROWING * (1.0 + low.abs().max(high.abs()));
            sum.curve(&Curve { f: &silu, slopes: &silu_slopes }, local, symbols)
        }
        Activation::Linear => {
            let (low, high) = sum.fixed();
            Pair::new(sum.value.clone(), sum.error.clone().widened(half, symbols), (low - half, high + half))
        }
    };
    pair.cut_at_ceiling(ceiling, symbols)
}
/// `x` or, below zero, `leak x`.
fn broken(sum: &Pair, leak: f64, local: f64, symbols: &mut Symbols) -> Pair {
    let f = |x: f64| x.max(leak * x);
    let value = sum.value.broken(&f, &[0.0], symbols);
    let (low, high) = sum.hull();
    let error = if high <= 0.0 && leak == 0.0 {
        // A sum of at most zero is rounded to at most zero.
        Form::constant(0.0)
    } else {
        let slopes = (if low < 0.0 { leak } else { 1.0 }, if high > 0.0 { 1.0 } else { leak });
        slope_times(&sum.error, slopes, local, symbols)
    };
    let (low, high) = sum.fixed();
    Pair::new(value, error, (f(low) - local, f(high) + local))
}

pub(super) fn tanh_slopes(low: f64, high: f64) -> (f64, f64) {
    let slope = |x: f64| 1.0 - x.tanh() * x.tanh();
    let most = if low <= 0.0 && high >= 0.0 { 1.0 } else { slope(low).max(slope(high)) };
    (slope(low).min(slope(high)), most)
}

fn silu(x: f64) -> f64 {
    x / (1.0 + (-x).exp())
}

/// Its slope `s (1 + x (1 - s))` rises from its least at -2.3994 to its largest at 2.3994 and falls outside.
fn silu_slopes(low: f64, high: f64) -> (f64, f64) {
    const TURN: f64 = 2.399_357_280_520_541_5;
    let slope = |x: f64| {
        let s = 1.0 / (1.0 + (-x).exp());
        s * (1.0 + x * (1.0 - s))
    };
    let (a, b) = (slope(low), slope(high));
    let has = |x: f64| low <= x && x <= high;
    let least = if has(-TURN) { slope(-TURN) } else { a.min(b) };
    let most = if has(TURN) { slope(TURN) } else { a.max(b) };
    (least - 1e-12, most + 1e-12)
}
