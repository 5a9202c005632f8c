//! What the conditioners see on normal readings: the largest activation of each hidden unit, which sets
//! the scales of the fixed-point nets, and the second moments of each layer's inputs, which say which
//! rounding errors matter.

use crate::flow::{Conditioner, Coupling, Dense, Flow, Mlp, Reference};

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

/// Runs `readings` (row-major) through `flow` in f64; gives per coupling, per layer what it saw.
pub(super) fn observe(flow: &Flow, readings: &[f32]) -> Vec<Vec<Observed>> {
    let reference = Reference::from(flow);
    let couplings: Vec<&Coupling> = flow.couplings().collect();
    let mut observed: Vec<Vec<Observed>> = couplings
        .iter()
        .map(|c| c.conditioner.dense_layers().into_iter().map(Observed::new).collect())
        .collect();
    let rows = readings.len() / flow.inputs();
    let step = rows.div_ceil(MOST_READINGS).max(1);
    for row in readings.chunks_exact(flow.inputs()).step_by(step) {
        let row: Vec<f64> = row.iter().map(|&x| x.into()).collect();
        let inputs = reference.conditioner_inputs(&row);
        for ((coupling, observed), inputs) in couplings.iter().zip(&mut observed).zip(inputs) {
            let inputs = inputs.into_iter().map(|x| x as f32).collect();
            match &coupling.conditioner {
                Conditioner::Mlp(net) => perceptron(net, inputs, observed),
                Conditioner::Residual(_) | Conditioner::Conv1d(_) => {}
            }
        }
    }
    observed
}

fn perceptron(net: &Mlp, inputs: Vec<f32>, observed: &mut [Observed]) {
    let mut activations = inputs;
    let last = net.layers.len() - 1;
    for (index, (layer, seen)) in net.layers.iter().zip(observed).enumerate() {
        seen.add_moments(&activations);
        activations = apply(layer, &activations);
        if index < last {
            for (a, largest) in activations.iter_mut().zip(&mut seen.largest) {
                *a = a.max(0.0);
                *largest = largest.max(*a);
            }
        }
    }
}

fn apply(layer: &Dense, input: &[f32]) -> Vec<f32> {
    let rows = layer.weights.chunks_exact(layer.inputs).zip(&layer.bias);
    rows.map(|(row, bias)| bias + row.iter().zip(input).map(|(w, x)| w * x).sum::<f32>()).collect()
}
