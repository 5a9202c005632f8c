//! Marginal maps, logit, squeeze and split against mpmath and nflows; `tests/golden/make_multiscale.py` made the
//! numbers.
//!
//! `cargo test --release -p flowlet-tests --test golden multiscale:: -- --nocapture` prints the errors found.

use flowlet_tests::evaluate::{forward, image_of, inverse};
use flowlet_tests::golden::path;
use flowlet_tests::NUMERICS;
use flowlet_tools::export::{import, scores, Numeric};
use flowlet_tools::flow::{Conditioner, Coupling, CouplingMap, Flow, Reference, ScaleMap, Transform};
use serde::de::DeserializeOwned;
use serde::Deserialize;
use serde_json::Value;

struct Case {
    name: String,
    flow: Flow,
    points: Vec<Point>,
}

#[derive(Deserialize)]
struct Point {
    x: Vec<f32>,
    z: Vec<f64>,
    log_det: f64,
    log_prob: f64,
}

fn read<T: DeserializeOwned>(value: &Value) -> T {
    serde_json::from_value(value.clone()).expect("the JSON form of a flow's part")
}

/// By hand where the JSON form is a tagged enum: numbers of arbitrary precision, which a dependency of these tests
/// turns on in serde_json, do not get through one.
fn transform(v: &Value) -> Transform {
    match v["kind"].as_str().expect("a kind") {
        "standardize" => Transform::Standardize(read(v)),
        "permutation" => Transform::Permutation(read(v)),
        "marginal" => Transform::Marginal(read(v)),
        "logit" => Transform::Logit(read(v)),
        "split" => Transform::Split(read(v)),
        "coupling" => Transform::Coupling(Coupling {
            mask: read(&v["mask"]),
            map: CouplingMap::Affine { scale: ScaleMap::Tanh { clamp: read(&v["map"]["scale"]["clamp"]) } },
            input_limit: read(&v["input_limit"]),
            conditioner: Conditioner::Mlp(read(&v["conditioner"])),
        }),
        other => panic!("unknown kind {other}"),
    }
}

fn cases() -> Vec<Case> {
    let text = std::fs::read_to_string(path("multiscale.json")).expect("committed");
    let all: Vec<Value> = serde_json::from_str(&text).expect("JSON");
    let case = |v: &Value| Case {
        name: read(&v["name"]),
        flow: Flow {
            features: read(&v["flow"]["features"]),
            transforms: v["flow"]["transforms"].as_array().expect("a chain").iter().map(transform).collect(),
            ..Flow::default()
        },
        points: read(&v["points"]),
    };
    all.iter().map(case).collect()
}

/// Relative to the expected size, absolute below one.
fn error(found: f64, expected: f64) -> f64 {
    let error = (found - expected).abs() / expected.abs().max(1.0);
    assert!(!error.is_nan(), "{found} for {expected}");
    error
}

#[test]
fn the_oracle_gives_the_numbers_of_other_sources() {
    for case in cases() {
        let reference = Reference::from(&case.flow);
        let mut worst = 0.0f64;
        for p in &case.points {
            let x: Vec<f64> = p.x.iter().map(|&x| x.into()).collect();
            let found = reference.forward(&x);
            for (found, expected) in found.z.iter().zip(&p.z) {
                worst = worst.max(error(*found, *expected));
            }
            worst = worst.max(error(found.log_det, p.log_det)).max(error(reference.log_prob(&x), p.log_prob));
            for (back, x) in reference.inverse(&p.z).iter().zip(&x) {
                worst = worst.max(error(*back, *x));
            }
        }
        println!("{:30} oracle {worst:.1e}", case.name);
        // nflows has the knots in f64, not in f32.
        let budget = if case.name == "spline" { 1e-5 } else { 1e-9 };
        assert!(worst < budget, "{}: {worst:e}", case.name);
    }
}

/// Budgets of z, log_det, log_prob, inverse.
fn budgets(name: &str, numeric: Numeric) -> [f64; 4] {
    let kind = name.trim_start_matches("marginal_").split('_').next().expect("a kind");
    match (kind, numeric) {
        ("multiscale", Numeric::F32) => [1e-5, 1e-5, 1e-5, 1e-4],
        ("multiscale", Numeric::I16) => [1e-2, 5e-3, 2e-3, 1e-1],
        ("multiscale", _) => [3e-1, 1e-1, 1e-1, 2e0],
        (_, Numeric::F32) => [2e-6, 2e-6, 2e-6, 1e-4],
        // Fixed point: half a unit of Q15.16 in the reading, times slopes of up to 16 (maps) and 100 (logit). In a
        // rational quadratic, whose slope changes within a bin of 200 units, it moves the log-slope too.
        ("linear", _) => [1e-4, 1e-4, 1e-3, 3e-4],
        // Back in steps of the integers, of which Q15.16 has four to a step of 14-bit ones.
        ("logit", _) => [1e-3, 2e-4, 2e-3, 5e-2],
        _ => [1e-4, 6e-2, 2e-2, 2e-3],
    }
}

#[test]
fn images_give_the_numbers_of_other_sources() {
    let mut failures = Vec::new();
    for case in cases() {
        for numeric in NUMERICS {
            let image = image_of(&case.flow, numeric);
            let model = image.model().expect("a good image");
            let mut found = [0.0f64; 4];
            for p in &case.points {
                let mapped = forward(&model, &p.x);
                for (value, expected) in mapped.values.iter().zip(&p.z) {
                    found[0] = found[0].max(error(*value, *expected));
                }
                found[1] = found[1].max(error(mapped.log_det, p.log_det));
                let score = scores(&image, &p.x).expect("finite readings")[0];
                found[2] = found[2].max(error(score.log_prob.into(), p.log_prob));
                for (back, &x) in inverse(&model, &p.z).values.iter().zip(&p.x) {
                    found[3] = found[3].max(error(*back, x.into()));
                }
            }
            println!(
                "{:30} {numeric:?}: z {:.1e}, log_det {:.1e}, log_prob {:.1e}, inverse {:.1e}",
                case.name, found[0], found[1], found[2], found[3]
            );
            let budget = budgets(&case.name, numeric);
            if found.iter().zip(budget).any(|(&found, budget)| found > budget) {
                failures.push(format!("{} {numeric:?}: {found:?}, budget {budget:?}", case.name));
            }
        }
    }
    assert!(failures.is_empty(), "over budget:\n{}", failures.join("\n"));
}

#[test]
fn images_give_their_flows_back() {
    for case in cases() {
        // Exact in f32; in fixed point as near as the knots' many digits.
        for (numeric, budget) in [(Numeric::F32, 1e-6), (Numeric::I16, 2e-3)] {
            let image = image_of(&case.flow, numeric);
            let (flow, _) = import(&image.model().expect("a good image"));
            assert_eq!(flow.features, case.flow.features);
            if case.name.starts_with("multiscale") && numeric == Numeric::I16 {
                continue;
            }
            let (ours, theirs) = (Reference::from(&case.flow), Reference::from(&flow));
            for p in &case.points {
                let (a, b) = (ours.log_prob_f32(&p.x), theirs.log_prob_f32(&p.x));
                assert!(error(b, a) < budget, "{} {numeric:?}: {b} for {a}", case.name);
            }
        }
    }
}
