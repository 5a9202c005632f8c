//! What the conditioners see on normal readings: the largest activation of each hidden unit, which sets
//! the scales of the fixed-point nets, and the second moments of each layer's inputs, which say which
//! rounding errors matter.

use crate::flow::{AffineCoupling, Dense, Flow, Transform};

/// Readings that are looked at, spread over all that are given.
const MOST_READINGS: usize = 4096;

/// What one dense layer saw.
#[derive(Clone, Debug)]
pub(super) struct Observed {
    /// Largest output of each unit behind the activation; for an output layer, zeros.
    pub(super) largest: Vec<f32>,
    /// Sum over readings of `a a^T` with `a` the inputs followed by a one: row-major,
    /// `(inputs + 1) x (inputs + 1)`.
    pub(super) moments: Vec<f64>,
}

impl Observed {
    fn new(layer: &Dense) -> Self {
        let size = layer.inputs + 1;
        Observed { largest: vec![0.0; layer.outputs], moments: vec![0.0; size * size] }
    }

    fn add_moments(&mut self, inputs: &[f32]) {
        let size = inputs.len() + 1;
        let at = |i: usize| f64::from(inputs.get(i).copied().unwrap_or(1.0));
        for (i, row) in self.moments.chunks_exact_mut(size).enumerate() {
            let a = at(i);
            if a != 0.0 {
                row.iter_mut().enumerate().for_each(|(j, sum)| *sum += a * at(j));
            }
        }
    }
}

/// Runs `readings` (row-major) through `flow` in f32; gives per coupling, per layer what it saw.
pub(super) fn observe(flow: &Flow, readings: &[f32]) -> Vec<Vec<Observed>> {
    let mut observed: Vec<Vec<Observed>> =
        flow.couplings().map(|c| c.conditioner.layers.iter().map(Observed::new).collect()).collect();
    let rows = readings.len() / flow.features;
    let step = rows.div_ceil(MOST_READINGS).max(1);
    for row in readings.chunks_exact(flow.features).step_by(step) {
        let mut x = row.to_vec();
        let mut coupling = 0;
        for transform in &flow.transforms {
            match transform {
                Transform::Standardize(s) => {
                    for ((x, mean), std) in x.iter_mut().zip(&s.mean).zip(&s.std) {
                        *x = (*x - mean) / std;
                    }
                }
                Transform::SoftTail(t) => {
                    for x in &mut x {
                        let beyond = x.abs() - t.knee;
                        if beyond > 0.0 {
                            *x = (t.knee + beyond.ln_1p()).copysign(*x);
                        }
                    }
                }
                Transform::Permutation(p) => {
                    x = p.order.iter().map(|&from| x[from]).collect();
                }
                Transform::AffineCoupling(c) => {
                    couple(c, &mut x, &mut observed[coupling]);
                    coupling += 1;
                }
            }
        }
    }
    observed
}

fn couple(coupling: &AffineCoupling, x: &mut [f32], observed: &mut [Observed]) {
    let (first, second) = x.split_at_mut(coupling.split);
    let (conditioning, transformed) =
        if coupling.condition_on_first { (first, second) } else { (second, first) };
    let limit = coupling.input_limit;
    let mut activations: Vec<f32> = conditioning.iter().map(|x| x.clamp(-limit, limit)).collect();
    let last = coupling.conditioner.layers.len() - 1;
    for (index, (layer, seen)) in coupling.conditioner.layers.iter().zip(observed).enumerate() {
        seen.add_moments(&activations);
        activations = apply(layer, &activations);
        if index < last {
            for (a, largest) in activations.iter_mut().zip(&mut seen.largest) {
                *a = a.max(0.0);
                *largest = largest.max(*a);
            }
        }
    }
    let (shifts, raws) = activations.split_at(transformed.len());
    for ((x, shift), raw) in transformed.iter_mut().zip(shifts).zip(raws) {
        *x = *x * (coupling.clamp * (raw / coupling.clamp).tanh()).exp() + shift;
    }
}

fn apply(layer: &Dense, input: &[f32]) -> Vec<f32> {
    let rows = layer.weights.chunks_exact(layer.inputs).zip(&layer.bias);
    rows.map(|(row, bias)| bias + row.iter().zip(input).map(|(w, x)| w * x).sum::<f32>()).collect()
}
