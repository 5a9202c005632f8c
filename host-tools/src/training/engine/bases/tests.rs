//! Bases behind a coupling and a soft tail: the oracle's densities, and gradients by central differences in f64.

use super::super::*;
use super::*;
use crate::flow::{Base, Flow, Mask, Mixture, Reference, StudentT};
use crate::training::engine::tests::all_kernels;

fn engine(features: usize, base: Box<dyn TileBase>, kernels: Box<dyn Kernels>) -> Engine {
    let mask = Mask::half(features, true);
    let net = TileMlp::new(crate::flow::Activation::Relu, mask.given().len(), &[6], 2 * mask.moved().len());
    let map = Box::new(TileAffine { scale: crate::flow::ScaleMap::Tanh { clamp: 1.2 } });
    Engine::with_kernels(
        (features, 0),
        vec![
            Box::new(TileCoupling::new((features, 0), mask, 1.8, map, Box::new(net))),
            Box::new(TileSoftTail::new(features, features, 4.0)),
        ],
        base,
        kernels,
    )
}

/// Three heaps with a few wild rows.
fn data(rows: usize, features: usize, random: &mut Random) -> Vec<f32> {
    (0..rows)
        .flat_map(|row| {
            let centre = [-2.0, 0.5, 3.0][row % 3];
            let size = if row % 29 == 28 { 40.0 } else { 0.7 };
            (0..features).map(|_| centre + size * random.normal() as f32).collect::<Vec<_>>()
        })
        .collect()
}

/// Features, components (0 for Student-t), rows.
const SHAPES: [(usize, usize, usize); 7] =
    [(2, 1, 20), (3, 4, 40), (5, 7, 70), (17, 33, 130), (36, 64, 90), (3, 0, 50), (19, 0, 70)];

fn base(features: usize, components: usize) -> Box<dyn TileBase> {
    match components {
        0 => Box::new(TileStudentT::new(features)),
        k => Box::new(TileMixture::new(features, k)),
    }
}

/// An engine with parameters that were fitted and then moved, its data and its flow.
fn fitted(
    (features, components, rows): (usize, usize, usize),
    kernels: Box<dyn Kernels>,
) -> (Engine, Vec<Line>, Vec<f32>) {
    let mut random = Random::new(3, features as u64);
    let engine = engine(features, base(features, components), kernels);
    let values = data(rows, features, &mut random);
    let mut parameters = engine.initialize(&mut random);
    let all: Vec<usize> = (0..rows).collect();
    engine.fit(&mut parameters, &padded(&values, features), &all, &mut random);
    (engine, parameters, values)
}

fn flow(engine: &Engine, parameters: &[Line]) -> Flow {
    Flow {
        features: engine.features,
        contexts: 0,
        transforms: engine.export(parameters),
        base: engine.export_base(parameters),
    }
}

fn loss_of(reference: &Reference, values: &[f32], features: usize) -> f64 {
    let rows = values.chunks_exact(features);
    let n = rows.len() as f64;
    rows.map(|row| -reference.log_prob_f32(row)).sum::<f64>() / n
}

#[test]
fn densities_are_those_of_the_oracle_on_every_lane_type() {
    for shape in SHAPES {
        for kernels in all_kernels() {
            let (engine, parameters, values) = fitted(shape, kernels);
            let reference = Reference::from(&flow(&engine, &parameters));
            let all: Vec<usize> = (0..shape.2).collect();
            let lines = padded(&values, shape.0);
            let got = engine.log_prob(&parameters, &mut engine.workspace(), &lines, &all);
            for (got, row) in got.iter().zip(values.chunks_exact(shape.0)) {
                let want = reference.log_prob_f32(row);
                let name = engine.kernels().name();
                assert!((got - want).abs() < 5e-6 * (10.0 + want.abs()), "{name} {shape:?}: {got} {want}");
            }
        }
    }
}

#[test]
fn every_gradient_is_that_of_central_differences_in_f64() {
    for shape in SHAPES {
        for kernels in all_kernels() {
            let (engine, parameters, values) = fitted(shape, kernels);
            let features = shape.0;
            let rows: Vec<usize> = (0..shape.2).collect();
            let lines = padded(&values, features);
            let mut gradient = vec![Line::ZERO; parameters.len()];
            let batch = Rows { data: &lines, rows: &rows, noise: 0.0, seed: 0, step: 0.0 };
            let loss = engine.gradient(&parameters, batch, &mut gradient);
            let mut reference = Reference::from(&flow(&engine, &parameters));
            let want = loss_of(&reference, &values, features);
            assert!((loss - want).abs() < 1e-5 * (10.0 + want.abs()), "{loss} against {want}");
            let mut slopes = Reference::from(&flow(&engine, &gradient));
            let slopes: Vec<f64> = slopes.parameters_mut().map(|g| *g).collect();
            // The degrees of freedom of a Student-t are not trained.
            let chain = flow(&engine, &parameters).transforms.iter().map(|t| t.parameters()).sum::<usize>();
            let fixed = if shape.1 == 0 { chain..chain + features } else { 0..0 };
            let trained: Vec<usize> = (0..slopes.len()).filter(|i| !fixed.contains(i)).collect();
            let size = trained.iter().fold(0.0_f64, |a, &i| a.max(slopes[i].abs()));
            assert!(size > 0.0);
            for &i in trained.iter().step_by((trained.len() / 300).max(1)) {
                let mut probe = |step: f64| {
                    let shift = |r: &mut Reference, by: f64| {
                        *r.parameters_mut().nth(i).expect("a parameter") += by;
                    };
                    shift(&mut reference, step);
                    let loss = loss_of(&reference, &values, features);
                    shift(&mut reference, -step);
                    loss
                };
                let h = 1e-6;
                let want = (probe(h) - probe(-h)) / (2.0 * h);
                let name = engine.kernels().name();
                assert!(
                    (slopes[i] - want).abs() < 1e-4 * size.max(1.0),
                    "{name} {shape:?} {i}: {} {want}",
                    slopes[i]
                );
            }
        }
    }
}

/// Padding stays zero, so that it never enters a sum.
#[test]
fn padding_is_not_trained_and_floors_are_kept() {
    for shape in [(3, 4, 40), (17, 33, 130), (3, 0, 50)] {
        let (engine, mut parameters, values) = fitted(shape, kernels::best());
        let lines = padded(&values, shape.0);
        let rows: Vec<usize> = (0..shape.2).collect();
        let mut gradient = vec![Line::ZERO; parameters.len()];
        let batch = Rows { data: &lines, rows: &rows, noise: 0.0, seed: 0, step: 0.0 };
        engine.gradient(&parameters, batch, &mut gradient);
        let count = |lines: &[Line]| lines.iter().flat_map(|l| l.0).filter(|v| *v != 0.0).count();
        let base = gradient.len() - engine.base.parameters()..;
        let most = match shape.1 {
            0 => 2 * shape.0,
            k => k + 2 * k * shape.0,
        };
        assert!(count(&gradient[base.clone()]) <= most, "{shape:?}");
        for line in &mut parameters[base.clone()] {
            line.0 = [-9.0; LINE];
        }
        engine.project(&mut parameters);
        let least = match engine.export_base(&parameters) {
            Base::Mixture(Mixture { log_std, .. }) => log_std,
            Base::StudentT(StudentT { log_scale, .. }) => log_scale,
            other => panic!("{other:?}"),
        };
        assert!(least.iter().all(|&s| (s - 0.1f32.ln()).abs() < 1e-6), "{least:?}");
    }
}

/// Heavy tails get few degrees of freedom, light ones many.
#[test]
fn degrees_of_freedom_follow_the_data() {
    let mut random = Random::new(1, 1);
    let mut values = Vec::new();
    for _ in 0..4000 {
        let heavy =
            random.normal() / (0..2).map(|_| random.normal().powi(2)).sum::<f64>().sqrt() * 2f64.sqrt();
        values.extend([random.normal() as f32 * 0.5 + 1.0, heavy as f32]);
    }
    let base = TileStudentT::new(2);
    let mut parameters = vec![Line::ZERO; base.parameters()];
    base.fit(&mut parameters, &values, &mut random);
    let Base::StudentT(found) = base.export(&parameters) else { panic!("not a Student-t") };
    assert!(found.degrees[0] >= 20.0 && found.degrees[1] == 2.0, "{found:?}");
    assert!((found.location[0] - 1.0).abs() < 0.05 && (found.log_scale[0] - 0.5f32.ln()).abs() < 0.05);
    assert!(found.location[1].abs() < 0.1 && found.log_scale[1].abs() < 0.1, "{found:?}");
}
