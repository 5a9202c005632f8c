//! The oracle's own rules.

use super::super::{Coupling, Dense, Mask, Mlp, Permutation, SoftTail, Standardize};
use super::*;

/// A small generator, so that this file depends on nothing: an LCG's high bits, uniform on -1..1.
fn uniform(state: &mut u64) -> f32 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 40) as f32 / 8_388_608.0 - 1.0
}

fn random_flow(features: usize, state: &mut u64) -> Flow {
    let mut transforms = vec![
        Transform::Standardize(Standardize {
            mean: (0..features).map(|_| 3.0 * uniform(state)).collect(),
            std: (0..features).map(|_| 1.5 + uniform(state)).collect(),
        }),
        Transform::SoftTail(SoftTail { knee: 2.5 }),
    ];
    for layer in 0..4 {
        let mut order: Vec<usize> = (0..features).collect();
        order.rotate_left(layer % features);
        transforms.push(Transform::Permutation(Permutation { order }));
        let mask = Mask::split(features, 1 + layer % (features - 1), layer % 2 == 0);
        let widths = [(mask.given().len(), 5), (5, 2 * mask.moved().len())];
        let layers = widths.map(|(inputs, outputs)| Dense {
            inputs,
            outputs,
            weights: (0..inputs * outputs).map(|_| uniform(state)).collect(),
            bias: (0..outputs).map(|_| uniform(state)).collect(),
        });
        let net = Mlp { layers: layers.into(), ..Mlp::default() };
        transforms.push(Transform::Coupling(Coupling::affine(mask, 1.5, 3.0, net)));
    }
    Flow { features, transforms, ..Flow::default() }
}

#[test]
fn the_inverse_undoes_the_forward_map() {
    let mut state = 7;
    for features in [2, 3, 5, 8] {
        let reference = Reference::from(&random_flow(features, &mut state));
        for scale in [0.1, 1.0, 30.0] {
            let x: Vec<f64> = (0..features).map(|_| scale * f64::from(uniform(&mut state))).collect();
            let back = reference.inverse(&reference.forward(&x).z);
            for (x, back) in x.iter().zip(&back) {
                assert!((x - back).abs() < 1e-9 * (1.0 + x.abs()), "{x} came back as {back}");
            }
        }
    }
}

#[test]
fn log_det_is_the_jacobian_determinant() {
    let mut state = 11;
    let reference = Reference::from(&random_flow(2, &mut state));
    for scale in [0.3, 2.0, 20.0] {
        let x: Vec<f64> = (0..2).map(|_| scale * f64::from(uniform(&mut state))).collect();
        let h = 1e-6;
        let column = |i: usize| {
            let (mut up, mut down) = (x.clone(), x.clone());
            up[i] += h;
            down[i] -= h;
            let (up, down) = (reference.forward(&up).z, reference.forward(&down).z);
            [(up[0] - down[0]) / (2.0 * h), (up[1] - down[1]) / (2.0 * h)]
        };
        let (a, b) = (column(0), column(1));
        let determinant = (a[0] * b[1] - a[1] * b[0]).abs();
        let log_det = reference.forward(&x).log_det;
        assert!((determinant.ln() - log_det).abs() < 1e-5, "{} against {log_det}", determinant.ln());
    }
}

#[test]
fn log_prob_of_a_standardizer_alone_is_the_gaussian() {
    let flow = Flow {
        features: 2,
        transforms: vec![Transform::Standardize(Standardize { mean: vec![1.0, -2.0], std: vec![2.0, 0.5] })],
        ..Flow::default()
    };
    // scipy.stats.norm.logpdf(3, 1, 2) + scipy.stats.norm.logpdf(-1, -2, 0.5)
    let want = (-0.5 - 2.0_f64.ln()) + (-2.0 - 0.5_f64.ln()) - (2.0 * std::f64::consts::PI).ln();
    assert!((Reference::from(&flow).log_prob(&[3.0, -1.0]) - want).abs() < 1e-12);
}

#[test]
fn parameters_come_in_the_order_of_the_flow() {
    let mut state = 3;
    let flow = random_flow(3, &mut state);
    let mut reference = Reference::from(&flow);
    assert_eq!(reference.parameters_mut().count(), flow.parameters());
    let layers: Vec<&Dense> = flow.couplings().flat_map(|c| c.conditioner.dense_layers()).collect();
    let all = layers.into_iter().flat_map(|d| d.weights.iter().chain(&d.bias));
    for (a, b) in reference.parameters_mut().zip(all) {
        assert_eq!(*a, f64::from(*b));
    }
}
