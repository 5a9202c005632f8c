//! Ranges of the hidden activations of every conditioner over normal readings, which set the scales of
//! the fixed-point nets.

use crate::flow::{AffineCoupling, Dense, Flow, Transform};

/// Largest activation of each hidden unit: per coupling, per hidden layer, per unit.
pub(super) type Ranges = Vec<Vec<Vec<f32>>>;

/// Runs `readings` (row-major) through `flow` in f32 and keeps the largest activations.
pub(super) fn hidden_ranges(flow: &Flow, readings: &[f32]) -> Ranges {
    let mut ranges: Ranges = flow
        .couplings()
        .map(|c| {
            let hidden = &c.conditioner.layers[..c.conditioner.layers.len() - 1];
            hidden.iter().map(|layer| vec![0.0; layer.outputs]).collect()
        })
        .collect();
    for row in readings.chunks_exact(flow.features) {
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
                    couple(c, &mut x, &mut ranges[coupling]);
                    coupling += 1;
                }
            }
        }
    }
    ranges
}

fn couple(coupling: &AffineCoupling, x: &mut [f32], ranges: &mut [Vec<f32>]) {
    let (first, second) = x.split_at_mut(coupling.split);
    let (conditioning, transformed) =
        if coupling.condition_on_first { (first, second) } else { (second, first) };
    let limit = coupling.input_limit;
    let mut activations: Vec<f32> = conditioning.iter().map(|x| x.clamp(-limit, limit)).collect();
    let (output, hidden) = coupling.conditioner.layers.split_last().expect("a conditioner has a layer");
    for (layer, ranges) in hidden.iter().zip(ranges) {
        activations = apply(layer, &activations);
        for (a, range) in activations.iter_mut().zip(ranges) {
            *a = a.max(0.0);
            *range = range.max(*a);
        }
    }
    let outputs = apply(output, &activations);
    let (shifts, raws) = outputs.split_at(transformed.len());
    for ((x, shift), raw) in transformed.iter_mut().zip(shifts).zip(raws) {
        *x = *x * (coupling.clamp * (raw / coupling.clamp).tanh()).exp() + shift;
    }
}

fn apply(layer: &Dense, input: &[f32]) -> Vec<f32> {
    let rows = layer.weights.chunks_exact(layer.inputs).zip(&layer.bias);
    rows.map(|(row, bias)| bias + row.iter().zip(input).map(|(w, x)| w * x).sum::<f32>()).collect()
}
