//! Conditioner nets of every kind and activation, with context, against the f64 oracle and its central
//! differences.

use super::tests::{all_kernels, flow};
use super::*;
use crate::flow::{Activation, Conditioner, Mask, Padding, Reference, Transform};

const ACTIVATIONS: [Activation; 4] =
    [Activation::Relu, Activation::LeakyRelu, Activation::Tanh, Activation::Silu];
const CONTEXTS: usize = 2;

/// A net for `given` features, sequences being `length` steps.
type Make = fn(Activation, given: usize, length: usize, moved: usize) -> Box<dyn TileConditioner>;

fn perceptron(activation: Activation, given: usize, _: usize, moved: usize) -> Box<dyn TileConditioner> {
    Box::new(TileMlp::new(activation, given + CONTEXTS, &[7, 18], 2 * moved))
}

fn residual(activation: Activation, given: usize, _: usize, moved: usize) -> Box<dyn TileConditioner> {
    Box::new(TileResidual::new(activation, given + CONTEXTS, 6, 2, 2 * moved))
}

fn convolution(
    activation: Activation,
    given: usize,
    length: usize,
    moved: usize,
    padding: Padding,
    kernel: usize,
) -> Box<dyn TileConditioner> {
    let shape = ConvShape {
        length,
        channels: given / length,
        contexts: CONTEXTS,
        padding,
        kernel,
        hidden: vec![5, 3],
        parameters: 2,
        moved: moved / length,
        by_feature: false,
    };
    Box::new(TileConv1d::new(activation, shape))
}

fn causal(activation: Activation, given: usize, length: usize, moved: usize) -> Box<dyn TileConditioner> {
    convolution(activation, given, length, moved, Padding::Causal, 2)
}

fn same(activation: Activation, given: usize, length: usize, moved: usize) -> Box<dyn TileConditioner> {
    convolution(activation, given, length, moved, Padding::Same, 3)
}

const NETS: [(&str, Make); 4] =
    [("mlp", perceptron), ("residual", residual), ("causal", causal), ("same", same)];

/// Two couplings over 4 time steps of 3 channels: time steps condition time steps, channels channels.
fn engine(make: Make, activation: Activation, kernels: Box<dyn Kernels>) -> Engine {
    let (length, channels) = (4, 3);
    let features = length * channels;
    let by_time = Mask((0..features).map(|i| (i / channels) % 2 == 1).collect());
    let by_channel = Mask((0..features).map(|i| i % channels == 0).collect());
    let coupling = |mask: Mask, length: usize| -> Box<dyn TileTransform> {
        let net = make(activation, mask.given().len(), length, mask.moved().len());
        let map = Box::new(TileAffine { scale: crate::flow::ScaleMap::Tanh { clamp: 1.1 } });
        Box::new(TileCoupling::new((features, CONTEXTS), mask, 1.7, map, net))
    };
    Engine::with_kernels(
        (features, CONTEXTS),
        vec![coupling(by_time, length / 2), coupling(by_channel, length)],
        Box::new(TileStandardNormal(features)),
        kernels,
    )
}

/// Parameters with nothing left at zero, padding excepted.
fn parameters(engine: &Engine, random: &mut Random) -> Vec<Line> {
    let mut parameters = engine.initialize(random);
    let mut at = 0;
    for transform in engine.export(&parameters) {
        let Transform::Coupling(c) = transform else { continue };
        let shapes: Vec<(usize, usize)> = match &c.conditioner {
            Conditioner::Conv1d(net) => net.layers.iter().map(|l| (l.kernel * l.inputs, l.outputs)).collect(),
            other => other.dense_layers().iter().map(|d| (d.inputs, d.outputs)).collect(),
        };
        for (inputs, outputs) in shapes {
            let stride = inputs.div_ceil(LINE);
            for o in 0..outputs {
                for i in 0..inputs {
                    parameters[at + o * stride + i / LINE].0[i % LINE] = 1.4 * random.uniform() - 0.7;
                }
            }
            at += outputs * stride;
            for o in 0..outputs {
                parameters[at + o / LINE].0[o % LINE] = random.uniform() - 0.5;
            }
            at += outputs.div_ceil(LINE);
        }
    }
    assert_eq!(at, parameters.len());
    parameters
}

fn loss(reference: &Reference, values: &[f32], inputs: usize) -> f64 {
    let rows = values.chunks_exact(inputs);
    let n = rows.len() as f64;
    rows.map(|row| -reference.log_prob_f32(row)).sum::<f64>() / n
}

#[test]
fn nets_and_their_gradients_are_those_of_the_oracle_on_every_lane_type() {
    for (name, make) in NETS {
        for activation in ACTIVATIONS {
            for kernels in all_kernels() {
                let mut random = Random::new(31, 4);
                let engine = engine(make, activation, kernels);
                let what = format!("{name} {activation:?} {}", engine.kernels().name());
                let inputs = engine.features + CONTEXTS;
                let parameters = parameters(&engine, &mut random);
                let values: Vec<f32> = (0..70 * inputs).map(|_| 6.0 * (random.uniform() - 0.5)).collect();
                let mut reference = Reference::from(&flow(&engine, &parameters));

                let rows: Vec<usize> = (0..70).collect();
                let lines = padded(&values, inputs);
                let got = engine.log_prob(&parameters, &mut engine.workspace(), &lines, &rows);
                for (got, row) in got.iter().zip(values.chunks_exact(inputs)) {
                    let want = reference.log_prob_f32(row);
                    assert!((got - want).abs() < 1e-5 * (10.0 + want.abs()), "{what}: {got} against {want}");
                }

                let values = &values[..18 * inputs];
                let lines = padded(values, inputs);
                let mut gradient = vec![Line::ZERO; parameters.len()];
                let batch_rows = Rows { data: &lines, rows: &rows[..18], noise: 0.0, seed: 0, step: 0.0 };
                engine.gradient(&parameters, batch_rows, &mut gradient);
                let mut slopes = Reference::from(&flow(&engine, &gradient));
                let slopes: Vec<f64> = slopes.parameters_mut().map(|g| *g).collect();
                let size = slopes.iter().fold(0.0_f64, |a, b| a.max(b.abs()));
                assert!(size > 0.0);
                for (i, slope) in slopes.iter().enumerate().step_by(7) {
                    let mut probe = |step: f64| {
                        if let Some(p) = reference.parameters_mut().nth(i) {
                            *p += step;
                        }
                        let loss = loss(&reference, values, inputs);
                        if let Some(p) = reference.parameters_mut().nth(i) {
                            *p -= step;
                        }
                        loss
                    };
                    let h = 1e-6;
                    let want = (probe(h) - probe(-h)) / (2.0 * h);
                    assert!(
                        (slope - want).abs() < 1e-4 * size.max(1.0),
                        "{what} parameter {i}: {slope} against {want}"
                    );
                }
            }
        }
    }
}

#[test]
fn nets_start_with_the_given_outputs() {
    for (name, make) in NETS {
        for activation in ACTIVATIONS {
            let net = make(activation, 6, 2, 6);
            let mut parameters = vec![Line([7.0; LINE]); net.parameters()];
            // Of a convolution the same at each of its two time steps.
            let outputs: Vec<f32> =
                (0..12).map(|i| (i % 3) as f32 + if i < 6 { 0.0 } else { 10.0 }).collect();
            net.initialize(&mut parameters, &mut Random::new(3, 3), &outputs);
            let x = vec![Line([0.8; LINE]); PANELS * (6 + CONTEXTS)];
            let mut kept = vec![Line([f32::NAN; LINE]); net.kept()];
            let mut scratch = vec![Line([f32::NAN; LINE]); net.scratch()];
            net.forward(kernels::best().as_ref(), &parameters, &x, &mut kept, &mut scratch);
            let found = &kept[net.outputs_at()..];
            assert_eq!(found.len(), PANELS * outputs.len(), "{name}");
            for (i, line) in found.iter().enumerate() {
                assert_eq!(line.0, [outputs[i % outputs.len()]; LINE], "{name} {activation:?} output {i}");
            }
        }
    }
}
