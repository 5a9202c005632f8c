//! Spline couplings on tiles.

use super::super::spline::TileSpline;
use super::*;
use crate::flow::{Spline, SplineParameters};

fn engine(features: usize, hidden: &[usize], kernels: Box<dyn Kernels>) -> Engine {
    let spline = |bins, bound, parameters| {
        let minimum = if parameters == SplineParameters::Softplus { 2e-3 } else { 0.0 };
        Spline { bins, bound, min_bin: minimum, min_derivative: minimum, parameters }
    };
    let coupling = |mask: Mask, spline: Spline| -> Box<dyn TileTransform> {
        let map = Box::new(TileSpline::new(spline));
        let net = TileMlp::new(
            crate::flow::Activation::Relu,
            mask.given().len(),
            hidden,
            map.outputs(mask.moved().len()),
        );
        Box::new(TileCoupling::new((features, 0), mask, 1.8, map, Box::new(net)))
    };
    let reversed = (0..features).rev().collect();
    Engine::with_kernels(
        (features, 0),
        vec![
            coupling(Mask::half(features, true), spline(8, 3.0, SplineParameters::Softplus)),
            coupling(
                Mask::split(features, features.div_ceil(3), false),
                spline(5, 2.0, SplineParameters::SoftClipped),
            ),
            Box::new(TilePermutation::new(reversed, features)),
            coupling(Mask::alternating(features, true), spline(4, 2.5, SplineParameters::Softplus)),
            coupling(Mask::half(features, false), spline(16, 4.0, SplineParameters::SoftClipped)),
            Box::new(TileSoftTail::new(features, features, 2.0)),
        ],
        Box::new(TileStandardNormal(features)),
        kernels,
    )
}

#[test]
fn densities_are_those_of_the_oracle_on_every_lane_type() {
    // The last has more moved features than the kernel multiplies slopes of before a logarithm.
    let wide: (usize, &[usize], usize) = (150, &[5], 17);
    for (features, hidden, rows) in SHAPES.into_iter().chain([wide]) {
        for kernels in all_kernels() {
            let mut random = Random::new(5, features as u64);
            let engine = engine(features, hidden, kernels);
            let parameters = parameters(&engine, &mut random);
            let values = data(rows, features, &mut random);
            let reference = Reference::from(&flow(&engine, &parameters));
            let all: Vec<usize> = (0..rows).collect();
            let lines = padded(&values, features);
            let got = engine.log_prob(&parameters, &mut engine.workspace(), &lines, &all);
            for (got, row) in got.iter().zip(values.chunks_exact(features)) {
                let want = reference.log_prob_f32(row);
                // A value near a knot, off by a rounding, meets another slope.
                let budget = 2e-5 * (10.0 + want.abs());
                let name = engine.kernels().name();
                assert!((got - want).abs() < budget, "{name} d={features}: {got} against {want}");
            }
        }
    }
}

#[test]
fn every_gradient_is_that_of_central_differences_in_f64() {
    for (features, hidden, rows) in SHAPES {
        for kernels in all_kernels() {
            gradient_is_that_of_differences(engine(features, hidden, kernels), rows);
        }
    }
}

#[test]
fn it_starts_as_the_identity() {
    for kernels in all_kernels() {
        let mut random = Random::new(2, 2);
        let engine = engine(6, &[9], kernels);
        let parameters = engine.initialize(&mut random);
        let values: Vec<f32> = (0..50 * 6).map(|_| 3.8 * random.uniform() - 1.9).collect();
        let all: Vec<usize> = (0..50).collect();
        let lines = padded(&values, 6);
        let got = engine.log_prob(&parameters, &mut engine.workspace(), &lines, &all);
        for (got, row) in got.iter().zip(values.chunks_exact(6)) {
            let squares: f64 = row.iter().map(|&x| f64::from(x).powi(2)).sum();
            let want = -0.5 * squares - half_log_two_pi_of(6);
            assert!((got - want).abs() < 1e-4, "{}: {got} against {want}", engine.kernels().name());
        }
    }
}

fn half_log_two_pi_of(features: usize) -> f64 {
    0.5 * features as f64 * (2.0 * std::f64::consts::PI).ln()
}
