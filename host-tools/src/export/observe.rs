//! What the conditioners see on normal readings: the largest activation of each hidden unit, which sets
//! the scales of the fixed-point nets, and the second moments of each layer's inputs, which say which
//! rounding errors matter.

use super::encode::windowed;
use crate::flow::{Activation, Conditioner, Conv1d, Coupling, Dense, Flow, Padding, Reference, ResidualNet};

/// Readings that are looked at, spread over all that are given.
const MOST_READINGS: usize = 4096;
/// Time steps of a reading whose moments count, for a convolution.
const MOMENT_STEPS: usize = 4;

/// What one dense layer saw.
#[derive(Clone, Debug)]
pub(super) struct Observed {
    /// Largest magnitude of each unit behind the activation; for an output layer, of its sums.
    pub(super) largest: Vec<f32>,
    /// Largest magnitude of an input.
    pub(super) reach: f32,
    /// Sum over readings of `a a^T` with `a` the inputs followed by a one: row-major,
    /// `(inputs + 1) x (inputs + 1)`.
    pub(super) moments: Vec<f64>,
}

impl Observed {
    fn new(inputs: usize, outputs: usize) -> Self {
        let size = inputs + 1;
        Observed { largest: vec![0.0; outputs], reach: 0.0, moments: vec![0.0; size * size] }
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

    /// Runs the layer and notes what it saw.
    fn run(
        &mut self,
        layer: &Dense,
        inputs: &[f32],
        activation: Option<Activation>,
        moments: bool,
    ) -> Vec<f32> {
        if moments {
            self.add_moments(inputs);
        }
        self.reach = inputs.iter().fold(self.reach, |a, x| a.max(x.abs()));
        let rows = layer.weights.chunks_exact(layer.inputs).zip(&layer.bias);
        let sums = rows.map(|(row, bias)| bias + row.iter().zip(inputs).map(|(w, x)| w * x).sum::<f32>());
        let outputs: Vec<f32> = sums.map(|x| activation.map_or(x, |a| activate(a, x))).collect();
        for (output, largest) in outputs.iter().zip(&mut self.largest) {
            *largest = largest.max(output.abs());
        }
        outputs
    }
}

fn activate(activation: Activation, x: f32) -> f32 {
    match activation {
        Activation::Relu => x.max(0.0),
        Activation::LeakyRelu => x.max(0.01 * x),
        Activation::Tanh => x.tanh(),
        Activation::Silu => x / (1.0 + (-x).exp()),
    }
}

/// Runs `readings` (row-major) through `flow` in f64; gives per coupling, per layer what it saw.
pub(super) fn observe(flow: &Flow, readings: &[f32]) -> Vec<Vec<Observed>> {
    let reference = Reference::from(flow);
    let couplings: Vec<&Coupling> = flow.couplings().collect();
    // Windows of a convolution as dense layers, made once.
    let nets: Vec<Vec<Dense>> = couplings.iter().map(|c| layers(&c.conditioner, flow.contexts)).collect();
    let sizes = |layers: &Vec<Dense>| layers.iter().map(|l| Observed::new(l.inputs, l.outputs)).collect();
    let mut observed: Vec<Vec<Observed>> = nets.iter().map(sizes).collect();
    let rows = readings.len() / flow.inputs();
    let step = rows.div_ceil(MOST_READINGS).max(1);
    for (index, row) in readings.chunks_exact(flow.inputs()).step_by(step).enumerate() {
        let row: Vec<f64> = row.iter().map(|&x| x.into()).collect();
        let all = reference.conditioner_inputs(&row);
        for (((coupling, observed), layers), inputs) in
            couplings.iter().zip(&mut observed).zip(&nets).zip(all)
        {
            let inputs: Vec<f32> = inputs.into_iter().map(|x| x as f32).collect();
            match &coupling.conditioner {
                Conditioner::Mlp(net) => perceptron(layers, net.activation, inputs, observed),
                Conditioner::Residual(net) => residual(net, &inputs, observed),
                Conditioner::Conv1d(net) => convolution(net, layers, &inputs, index, observed),
            }
        }
    }
    observed
}

/// The dense layers that the image will have.
fn layers(conditioner: &Conditioner, contexts: usize) -> Vec<Dense> {
    match conditioner {
        Conditioner::Conv1d(net) => windowed(net, contexts),
        other => other.dense_layers().into_iter().cloned().collect(),
    }
}

fn perceptron(layers: &[Dense], activation: Activation, inputs: Vec<f32>, observed: &mut [Observed]) {
    let last = layers.len() - 1;
    let seen = layers.iter().zip(observed).enumerate();
    seen.fold(inputs, |x, (i, (layer, seen))| seen.run(layer, &x, (i < last).then_some(activation), true));
}

fn residual(net: &ResidualNet, inputs: &[f32], observed: &mut [Observed]) {
    let act = |h: &[f32]| h.iter().map(|&x| activate(net.activation, x)).collect::<Vec<_>>();
    let Some((initial, rest)) = observed.split_first_mut() else { return };
    let mut h = initial.run(&net.initial, inputs, None, true);
    let mut rest = rest.iter_mut();
    for block in &net.blocks {
        let (Some(first), Some(second)) = (rest.next(), rest.next()) else { return };
        let inner = first.run(&block.first, &act(&h), Some(net.activation), true);
        h.iter_mut().zip(second.run(&block.second, &inner, None, true)).for_each(|(h, add)| *h += add);
    }
    if let Some(last) = rest.next() {
        last.run(&net.last, &h, None, true);
    }
}

/// `layers` are the windows of `net`, their steps padded to multiples of 4.
fn convolution(net: &Conv1d, layers: &[Dense], inputs: &[f32], reading: usize, observed: &mut [Observed]) {
    let (given, context) = inputs.split_at(net.length * net.channels);
    let stride = (net.channels + context.len()).next_multiple_of(4);
    let mut steps: Vec<Vec<f32>> = given
        .chunks_exact(net.channels)
        .map(|given| {
            let mut step = [given, context].concat();
            step.resize(stride, 0.0);
            step
        })
        .collect();
    let last = layers.len() - 1;
    let every = net.length.div_ceil(MOMENT_STEPS);
    for (i, ((layer, conv), seen)) in layers.iter().zip(&net.layers).zip(observed).enumerate() {
        let width = layer.inputs / conv.kernel;
        let lead = match net.padding {
            Padding::Causal => conv.kernel - 1,
            Padding::Same => conv.kernel / 2,
        };
        let activation = (i < last).then_some(net.activation);
        let step = |t: usize| {
            let zeros = vec![0.0; width];
            let taps = (0..conv.kernel).map(|tap| (t + tap).checked_sub(lead).and_then(|s| steps.get(s)));
            let window = taps.map(|step| step.unwrap_or(&zeros).as_slice()).collect::<Vec<_>>().concat();
            let mut out = seen.run(layer, &window, activation, (t + reading).is_multiple_of(every));
            out.resize(out.len().next_multiple_of(4), 0.0);
            out
        };
        steps = (0..net.length).map(step).collect();
    }
}
