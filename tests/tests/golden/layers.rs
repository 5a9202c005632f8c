//! z, log-determinant and log-density against sources that are not flowlet: mpmath, torch's autograd,
//! nflows, normflows. `tests/golden/make_golden.py` made the numbers.
//!
//! `cargo test --release -p flowlet-tests --test golden layers:: -- --nocapture` prints the errors found.

use flowlet_tests::evaluate::{forward, image_of, inverse};
use flowlet_tests::golden::path;
use flowlet_tests::NUMERICS;
use flowlet_tools::export::{scores, Numeric};
use flowlet_tools::flow::{Coupling, Dense, Flow, Mask, Mlp, Permutation, SoftTail, Standardize, Transform};
use serde_json::Value;

struct Case {
    name: String,
    flow: Flow,
    points: Vec<Point>,
}

struct Point {
    x: Vec<f32>,
    z: Vec<f64>,
    log_det: f64,
    log_prob: f64,
}

fn floats(v: &Value) -> Vec<f64> {
    v.as_array().expect("an array").iter().map(|x| x.as_f64().expect("a number")).collect()
}

/// Numbers that were rounded to f32 before they were written.
fn exact(v: &Value) -> Vec<f32> {
    let exact = |x: f64| {
        // serde_json may be a unit in the last place of f64 off.
        assert!((f64::from(x as f32) - x).abs() <= 1e-15 * x.abs(), "{x} is not an f32");
        x as f32
    };
    floats(v).into_iter().map(exact).collect()
}

fn size(v: &Value) -> usize {
    v.as_u64().expect("a size") as usize
}

fn transform(v: &Value) -> Transform {
    let number = |key: &str| v[key].as_f64().expect("a number") as f32;
    match v["kind"].as_str().expect("a kind") {
        "standardize" => {
            Transform::Standardize(Standardize { mean: exact(&v["mean"]), std: exact(&v["std"]) })
        }
        "soft_tail" => Transform::SoftTail(SoftTail { knee: number("knee") }),
        "permutation" => Transform::Permutation(Permutation {
            order: v["order"].as_array().expect("an order").iter().map(size).collect(),
        }),
        "affine_coupling" => {
            let layers: Vec<Dense> = v["layers"].as_array().expect("layers").iter().map(dense).collect();
            let (split, first) = (size(&v["split"]), v["condition_on_first"].as_bool().expect("a flag"));
            let given = layers.first().expect("a layer").inputs;
            let features = given + layers.last().expect("a layer").outputs / 2;
            let net = Mlp { layers, ..Mlp::default() };
            let mask = Mask::split(features, split, first);
            Transform::Coupling(Coupling::affine(mask, number("clamp"), number("input_limit"), net))
        }
        other => panic!("unknown kind {other}"),
    }
}

fn dense(v: &Value) -> Dense {
    Dense {
        inputs: size(&v["inputs"]),
        outputs: size(&v["outputs"]),
        weights: exact(&v["weights"]),
        bias: exact(&v["bias"]),
    }
}

fn cases(file: &str) -> Vec<Case> {
    let text = std::fs::read_to_string(path(file)).expect("committed");
    let all: Value = serde_json::from_str(&text).expect("JSON");
    let case = |v: &Value| Case {
        name: v["name"].as_str().expect("a name").to_owned(),
        flow: Flow {
            features: size(&v["features"]),
            transforms: v["transforms"].as_array().expect("a chain").iter().map(transform).collect(),
            ..Flow::default()
        },
        points: v["points"].as_array().expect("points").iter().map(point).collect(),
    };
    all.as_array().expect("cases").iter().map(case).collect()
}

fn point(v: &Value) -> Point {
    Point {
        x: exact(&v["x"]),
        z: floats(&v["z"]),
        log_det: v["log_det"].as_f64().expect("a number"),
        log_prob: v["log_prob"].as_f64().expect("a number"),
    }
}

/// Relative to the expected size, absolute below one.
fn error(found: f64, expected: f64) -> f64 {
    let error = (found - expected).abs() / expected.abs().max(1.0);
    assert!(!error.is_nan(), "{found} for {expected}");
    error
}

/// Largest errors of a case.
#[derive(Clone, Copy, Debug, Default)]
struct Worst {
    z: f64,
    log_det: f64,
    log_prob: f64,
    mean_log_prob: f64,
    inverse: f64,
}

fn measure(case: &Case, points: &[Point], numeric: Numeric) -> Worst {
    let image = image_of(&case.flow, numeric);
    let model = image.model().unwrap();
    let units: Vec<f64> = match case.flow.transforms.first() {
        Some(Transform::Standardize(s)) => s.std.iter().map(|&s| s.into()).collect(),
        _ => vec![1.0; case.flow.features],
    };
    let mut worst = Worst::default();
    for p in points {
        let found = forward(&model, &p.x);
        for (found, expected) in found.values.iter().zip(&p.z) {
            worst.z = worst.z.max(error(*found, *expected));
        }
        worst.log_det = worst.log_det.max(error(found.log_det, p.log_det));
        let score = scores(&image, &p.x).unwrap()[0];
        let log_prob = error(score.log_prob.into(), p.log_prob);
        worst.log_prob = worst.log_prob.max(log_prob);
        worst.mean_log_prob += log_prob / points.len() as f64;
        // The reading back from the exact z, in standard deviations; relative for far ones, as the
        // soft tail has them as exponentials.
        let back = inverse(&model, &p.z);
        for ((back, &x), unit) in back.values.iter().zip(&p.x).zip(&units) {
            let x = f64::from(x);
            worst.inverse = worst.inverse.max((back - x).abs() / unit.max(x.abs()));
        }
    }
    worst
}

/// Budgets of z, log_det, log_prob (largest, mean) and the inverse, on some of the points.
fn check(what: &str, cases: &[Case], points: fn(&[Point]) -> &[Point], budgets: [[f64; 5]; 3]) {
    assert!(cases.len() >= 5);
    let mut failures = Vec::new();
    for (numeric, budget) in NUMERICS.into_iter().zip(budgets) {
        for case in cases {
            let points = points(&case.points);
            assert!(points.len() >= 5);
            let w = measure(case, points, numeric);
            println!(
                "{what} {:16} {numeric:?}: z {:.1e}, log_det {:.1e}, log_prob {:.1e} (mean {:.1e}), inverse {:.1e}",
                case.name, w.z, w.log_det, w.log_prob, w.mean_log_prob, w.inverse
            );
            let found = [w.z, w.log_det, w.log_prob, w.mean_log_prob, w.inverse];
            if found.iter().zip(budget).any(|(&found, budget)| found > budget) {
                failures.push(format!("{} {numeric:?}: {w:?}", case.name));
            }
        }
    }
    assert!(failures.is_empty(), "{what} over budget:\n{}", failures.join("\n"));
}

/// The last quarter of a flow's points has features at tens of standard deviations.
fn normal(points: &[Point]) -> &[Point] {
    &points[..points.len() * 3 / 4]
}

fn far(points: &[Point]) -> &[Point] {
    &points[points.len() * 3 / 4..]
}

#[test]
fn each_transform_gives_the_numbers_of_mpmath() {
    check(
        "alone",
        &cases("transforms.json"),
        |points| points,
        // f32: tanh by tables errs by up to 4.7e-7 (libm's by 1.2e-7), times a clamp of 2.
        [[2e-6, 2e-6, 2e-6, 1e-6, 2e-6], [1e-3, 1e-3, 1e-3, 3e-4, 3e-3], [1e-1, 5e-2, 5e-2, 1e-2, 1e-1]],
    );
}

#[test]
fn whole_flows_give_the_numbers_of_other_libraries() {
    check(
        "normal",
        &cases("flows.json"),
        normal,
        [[1e-5, 1e-5, 1e-5, 1e-6, 1e-4], [1e-2, 5e-3, 2e-3, 5e-4, 1e-1], [3e-1, 1e-1, 1e-1, 2e-2, 2e0]],
    );
}

#[test]
fn whole_flows_give_the_numbers_of_other_libraries_far_out() {
    // In f32 as near as for normal readings. In fixed point activations saturate at twice what
    // calibration saw, by design: such readings are many nats from normal either way.
    check(
        "far",
        &cases("flows.json"),
        far,
        [
            [1e-5, 1e-5, 1e-5, 1e-5, 1e-4],
            [f64::MAX, f64::MAX, 5e-1, 1e-1, f64::MAX],
            [f64::MAX, f64::MAX, 5e-1, 1e-1, f64::MAX],
        ],
    );
}
