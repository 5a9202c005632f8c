//! Spline couplings, and whole flows of them, against nflows and zuko. `tests/golden/make_spline.py` made the
//! numbers.
//!
//! `cargo test --release -p flowlet-tests --test golden spline:: -- --nocapture` prints the errors found.

use flowlet_tests::evaluate::{forward, image_of, inverse};
use flowlet_tests::golden::path;
use flowlet_tests::NUMERICS;
use flowlet_tools::export::scores;
use flowlet_tools::flow::{
    Conditioner, Coupling, CouplingMap, Dense, Flow, Mask, Mlp, Permutation, Reference, Spline,
    SplineParameters, Transform,
};
use serde_json::Value;

fn floats(v: &Value) -> Vec<f64> {
    v.as_array().expect("an array").iter().map(|x| x.as_f64().expect("a number")).collect()
}

fn reals(v: &Value) -> Vec<f32> {
    floats(v).into_iter().map(|x| x as f32).collect()
}

fn size(v: &Value) -> usize {
    v.as_u64().expect("a size") as usize
}

fn sizes(v: &Value) -> Vec<usize> {
    v.as_array().expect("an order").iter().map(size).collect()
}

fn coupling(v: &Value) -> Coupling {
    let mask = v["mask"].as_array().expect("a mask").iter().map(|b| b.as_bool().expect("a flag")).collect();
    let number = |key: &str| v[key].as_f64().expect("a number") as f32;
    let dense = |v: &Value| Dense {
        inputs: size(&v["inputs"]),
        outputs: size(&v["outputs"]),
        weights: reals(&v["weights"]),
        bias: reals(&v["bias"]),
    };
    let layers = v["layers"].as_array().expect("layers").iter().map(dense).collect();
    Coupling {
        mask: Mask(mask),
        map: CouplingMap::Spline(Spline {
            bins: size(&v["bins"]),
            bound: number("bound"),
            min_bin: number("min_bin"),
            min_derivative: number("min_derivative"),
            parameters: match v["parameters"].as_str() {
                Some("softplus") => SplineParameters::Softplus,
                Some("soft_clipped") => SplineParameters::SoftClipped,
                other => panic!("{other:?}"),
            },
        }),
        // The libraries do not saturate; no reading reaches this.
        input_limit: 64.0,
        conditioner: Conditioner::Mlp(Mlp { layers, ..Mlp::default() }),
    }
}

/// A coupling whose mask is no split, between two permutations that make it one.
fn canonical(c: Coupling) -> Vec<Transform> {
    if c.mask.as_split().is_some() {
        return vec![Transform::Coupling(c)];
    }
    let order = [c.mask.given(), c.mask.moved()].concat();
    let mut back = vec![0; order.len()];
    for (to, &from) in order.iter().enumerate() {
        back[from] = to;
    }
    let mask = Mask::split(order.len(), c.mask.given().len(), true);
    vec![
        Transform::Permutation(Permutation { order }),
        Transform::Coupling(Coupling { mask, ..c }),
        Transform::Permutation(Permutation { order: back }),
    ]
}

struct Point {
    x: Vec<f32>,
    z: Vec<f64>,
    log_det: f64,
    log_prob: f64,
}

fn cases() -> Vec<(String, Flow, Vec<Point>)> {
    let text = std::fs::read_to_string(path("spline.json")).expect("committed");
    let all: Value = serde_json::from_str(&text).expect("JSON");
    let step = |v: &Value| match v["kind"].as_str() {
        Some("permutation") => vec![Transform::Permutation(Permutation { order: sizes(&v["order"]) })],
        _ => canonical(coupling(v)),
    };
    let point = |v: &Value| Point {
        x: reals(&v["x"]),
        z: floats(&v["z"]),
        log_det: v["log_det"].as_f64().expect("a number"),
        log_prob: v["log_prob"].as_f64().expect("a number"),
    };
    let case = |v: &Value| {
        let flow = Flow {
            features: size(&v["features"]),
            transforms: v["steps"].as_array().expect("steps").iter().flat_map(step).collect(),
            ..Flow::default()
        };
        let name =
            format!("{}, {}", v["source"].as_str().expect("a source"), v["name"].as_str().expect("a name"));
        (name, flow, v["points"].as_array().expect("points").iter().map(point).collect())
    };
    all["cases"].as_array().expect("cases").iter().map(case).collect()
}

/// Relative to the expected size, absolute below one.
fn error(found: f64, expected: f64) -> f64 {
    let error = (found - expected).abs() / expected.abs().max(1.0);
    assert!(!error.is_nan(), "{found} for {expected}");
    error
}

#[test]
fn the_reference_gives_the_numbers_of_other_libraries() {
    for (name, flow, points) in cases() {
        let reference = Reference::from(&flow);
        for p in points {
            let x: Vec<f64> = p.x.iter().map(|&x| x.into()).collect();
            let found = reference.forward(&x);
            for (found, z) in found.z.iter().zip(&p.z) {
                assert!(error(*found, *z) < 1e-6, "{name}: {found} for {z}");
            }
            assert!(error(found.log_det, p.log_det) < 1e-5, "{name}: {} for {}", found.log_det, p.log_det);
            assert!(error(reference.log_prob(&x), p.log_prob) < 1e-5, "{name}");
            for (back, x) in reference.inverse(&found.z).iter().zip(&x) {
                assert!(error(*back, *x) < 1e-8, "{name}: {back} for {x}");
            }
        }
    }
}

#[test]
fn images_give_the_numbers_of_other_libraries() {
    // log_prob (largest, mean) and inverse. In f32 as asked of all transforms: 1e-4.
    let budgets = [[1e-4, 1e-5, 1e-4], [1e-2, 2e-3, 2e-2], [2e-1, 2e-2, 3e-1]];
    let mut failures = Vec::new();
    for (numeric, budget) in NUMERICS.into_iter().zip(budgets) {
        for (name, flow, points) in cases() {
            let image = image_of(&flow, numeric);
            let model = image.model().expect("a good image");
            let [mut z, mut log_det, mut log_prob, mut mean, mut back] = [0.0f64; 5];
            for p in &points {
                let found = forward(&model, &p.x);
                for (found, expected) in found.values.iter().zip(&p.z) {
                    z = z.max(error(*found, *expected));
                }
                log_det = log_det.max(error(found.log_det, p.log_det));
                let score = error(scores(&image, &p.x).expect("a score")[0].log_prob.into(), p.log_prob);
                log_prob = log_prob.max(score);
                mean += score / points.len() as f64;
                for (found, &x) in inverse(&model, &p.z).values.iter().zip(&p.x) {
                    back = back.max(error(*found, x.into()));
                }
            }
            println!(
                "{name}, {numeric:?}: z {z:.1e}, log_det {log_det:.1e}, log_prob {log_prob:.1e} (mean {mean:.1e}), \
                 inverse {back:.1e}"
            );
            if log_prob > budget[0] || mean > budget[1] || back > budget[2] {
                failures.push(format!("{name}, {numeric:?}"));
            }
        }
    }
    assert!(failures.is_empty(), "over budget: {failures:?}");
}
