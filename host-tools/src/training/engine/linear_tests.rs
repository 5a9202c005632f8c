//! Couplings' scale maps, ActNorm and linear layers against the f64 oracle and against central differences.

use super::tests::{all_kernels, data, flow, loss_and_gradient, reference_loss};
use super::*;
use crate::flow::{Flow, Mask, Reference, ScaleMap, Transform};

/// Every scale map, additive couplings, ActNorm and matrices; with `contexts` lines that nothing changes.
fn engine((features, contexts): (usize, usize), kernels: Box<dyn Kernels>) -> Engine {
    let stride = features + contexts;
    let coupling = |even: bool, map: Box<dyn TileMap>| -> Box<dyn TileTransform> {
        let mask = Mask::alternating(features, even);
        let net = TileMlp::new(
            crate::flow::Activation::Relu,
            mask.given().len() + contexts,
            &[6],
            map.outputs(mask.moved().len()),
        );
        Box::new(TileCoupling::new((features, contexts), mask, 2.2, map, Box::new(net)))
    };
    let affine = |scale| Box::new(TileAffine { scale });
    let linear = || Box::new(TileLinear::new(features, stride));
    Engine::with_kernels(
        (features, contexts),
        vec![
            Box::new(TileActNorm::new(features, features, stride)),
            linear(),
            coupling(true, affine(ScaleMap::Hard { clamp: 0.4 })),
            Box::new(TilePermutation::new((0..features).rev().collect(), stride)),
            linear(),
            coupling(false, affine(ScaleMap::SoftSign { clamp: 1.5 })),
            coupling(true, affine(ScaleMap::Sigmoid { offset: 1.0, floor: 0.01 })),
            coupling(false, affine(ScaleMap::Sigmoid { offset: 2.0, floor: 0.0 })),
            coupling(true, Box::new(TileAdditive)),
            Box::new(TileActNorm::new(features, features, stride)),
        ],
        Box::new(TileStandardNormal(features)),
        kernels,
    )
}

/// Where each number of the flow's parameters stands among the engine's: line and place; `None` for those of
/// a matrix that it does not read. In the order of `Reference::parameters_mut`.
fn places(flow: &Flow) -> Vec<Option<(usize, usize)>> {
    let mut places = Vec::new();
    let mut at = 0;
    for transform in &flow.transforms {
        match transform {
            Transform::ElementwiseAffine(t) => {
                for part in 0..2 {
                    let lines = t.shift.len().div_ceil(LINE);
                    places.extend((0..t.shift.len()).map(|i| Some((at + part * lines + i / LINE, i % LINE))));
                }
                at += 2 * t.shift.len().div_ceil(LINE);
            }
            Transform::Linear(t) => {
                let n = t.shift.len();
                let stride = n.div_ceil(LINE);
                for upper in [false, true] {
                    for (i, j) in (0..n).flat_map(|i| (0..n).map(move |j| (i, j))) {
                        let read = if upper { j >= i } else { j < i };
                        places.push(read.then_some((at + i * stride + j / LINE, j % LINE)));
                    }
                    at += n * stride;
                }
                places.extend((0..n).map(|i| Some((at + i / LINE, i % LINE))));
                at += stride;
            }
            Transform::Coupling(c) => {
                for dense in c.conditioner.dense_layers() {
                    let stride = dense.inputs.div_ceil(LINE);
                    for o in 0..dense.outputs {
                        places
                            .extend((0..dense.inputs).map(|i| Some((at + o * stride + i / LINE, i % LINE))));
                    }
                    at += dense.outputs * stride;
                    places.extend((0..dense.outputs).map(|o| Some((at + o / LINE, o % LINE))));
                    at += dense.outputs.div_ceil(LINE);
                }
            }
            _ => {}
        }
    }
    places
}

/// Parameters with nothing left at its start.
fn parameters(engine: &Engine, random: &mut Random) -> Vec<Line> {
    let mut parameters = engine.initialize(random);
    let size = 1.6 / (engine.features as f32).sqrt();
    for (line, place) in places(&flow(engine, &parameters)).into_iter().flatten() {
        parameters[line].0[place] = size * (random.uniform() - 0.5);
    }
    parameters
}

const SHAPES: [(usize, usize); 5] = [(2, 0), (3, 1), (5, 0), (18, 0), (33, 2)];

#[test]
fn densities_are_those_of_the_oracle() {
    for (features, contexts) in SHAPES {
        for kernels in all_kernels() {
            let mut random = Random::new(5, features as u64);
            let engine = engine((features, contexts), kernels);
            let parameters = parameters(&engine, &mut random);
            let values = data(70, features + contexts, &mut random);
            let reference = Reference::from(&flow(&engine, &parameters));
            let all: Vec<usize> = (0..70).collect();
            let lines = padded(&values, features + contexts);
            let got = engine.log_prob(&parameters, &mut engine.workspace(), &lines, &all);
            for (got, row) in got.iter().zip(values.chunks_exact(features + contexts)) {
                let want = reference.log_prob_f32(row);
                let name = engine.kernels().name();
                assert!(
                    (got - want).abs() < 5e-6 * (10.0 + want.abs()),
                    "{name} {features}: {got} for {want}"
                );
            }
        }
    }
}

#[test]
fn gradients_are_those_of_central_differences_in_f64() {
    for (features, contexts) in SHAPES.into_iter().filter(|(_, contexts)| *contexts == 0) {
        for kernels in all_kernels() {
            let mut random = Random::new(9, features as u64);
            let engine = engine((features, contexts), kernels);
            let parameters = parameters(&engine, &mut random);
            // No wild values: a gradient of 10^6 would hide the others.
            let values: Vec<f32> = (0..20 * features).map(|_| 5.0 * (random.uniform() - 0.5)).collect();
            let (loss, gradient) = loss_and_gradient(&engine, &parameters, &values);
            let flow = flow(&engine, &parameters);
            let mut reference = Reference::from(&flow);
            let want = reference_loss(&reference, &values, features);
            assert!((loss - want).abs() < 1e-5 * (10.0 + want.abs()), "{loss} for {want}");
            let places = places(&flow);
            assert_eq!(reference.parameters_mut().count(), places.len());
            let is_diagonal = diagonals(&flow);
            let size = gradient.iter().flat_map(|l| l.0).fold(0f32, |a, b| a.max(b.abs()));
            let stride = (places.len() / 500).max(1);
            let wanted = (0..places.len()).filter(|&i| i % stride == 0 || is_diagonal[i]);
            for i in wanted {
                let Some((line, place)) = places[i] else { continue };
                let mut probe = |step: f64| {
                    let p = reference.parameters_mut().nth(i).expect("it was counted");
                    let before = *p;
                    *p = if is_diagonal[i] { before * step.exp() } else { before + step };
                    let loss = reference_loss(&reference, &values, features);
                    *reference.parameters_mut().nth(i).expect("it was counted") = before;
                    loss
                };
                let h = 1e-6;
                let want = (probe(h) - probe(-h)) / (2.0 * h);
                let found = f64::from(gradient[line].0[place]);
                let name = engine.kernels().name();
                let budget = 1e-4 * f64::from(size).max(1.0);
                assert!(
                    (found - want).abs() < budget,
                    "{name} {features}, parameter {i}: {found} for {want}"
                );
            }
            // What is padding or not read stays as it is.
            let mut touched = gradient.clone();
            places.iter().flatten().for_each(|&(line, place)| touched[line].0[place] = 0.0);
            assert!(touched.iter().all(|l| *l == Line::ZERO));
        }
    }
}

/// Which parameters are diagonal elements of a U: trained as logarithms.
fn diagonals(flow: &Flow) -> Vec<bool> {
    let mut all = Vec::new();
    for transform in &flow.transforms {
        let at = all.len();
        match transform {
            Transform::ElementwiseAffine(t) => all.resize(at + 2 * t.shift.len(), false),
            Transform::Linear(t) => {
                let n = t.shift.len();
                all.resize(at + 2 * n * n + n, false);
                (0..n).for_each(|i| all[at + n * n + i * n + i] = true);
            }
            Transform::Coupling(c) => all.resize(at + c.conditioner.parameters(), false),
            _ => {}
        }
    }
    all
}

#[test]
fn actnorm_starts_with_mean_zero_and_deviation_one_and_survives_constant_columns() {
    let features = 3;
    let engine = Engine::new(
        (features, 0),
        vec![Box::new(TileActNorm::new(features, features, features))],
        Box::new(TileStandardNormal(features)),
    );
    let mut random = Random::new(3, 1);
    let values: Vec<f32> =
        (0..500).flat_map(|_| [7.0 * random.uniform() + 20.0, -4.5, random.uniform()]).collect();
    let lines = padded(&values, features);
    let rows: Vec<usize> = (0..500).collect();
    let mut parameters = engine.initialize(&mut random);
    engine.fit(&mut parameters, &lines, &rows, &mut random);
    let reference = Reference::from(&flow(&engine, &parameters));
    let (mut sums, mut squares) = ([0f64; 3], [0f64; 3]);
    for row in values.chunks_exact(features) {
        let x: Vec<f64> = row.iter().map(|&v| v.into()).collect();
        for (i, z) in reference.forward(&x).z.into_iter().enumerate() {
            sums[i] += z / 500.0;
            squares[i] += z * z / 500.0;
        }
    }
    assert!(sums.iter().all(|s| s.abs() < 1e-4), "{sums:?}");
    assert!((squares[0] - 1.0).abs() < 1e-3 && (squares[2] - 1.0).abs() < 1e-3, "{squares:?}");
    assert!(squares[1] < 1e-9, "a constant column stays constant: {squares:?}");
}
