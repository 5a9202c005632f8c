//! Against the package `arch` and DeLong's formula (`data/bootstrap/make_expected.py`), and against what is true of
//! simulated data.

use super::*;
use crate::metrics;
use serde_json::Value;

fn expected() -> Value {
    serde_json::from_str(include_str!("../../data/bootstrap/expected.json")).expect("the committed file")
}

fn numbers(value: &Value) -> Vec<f64> {
    serde_json::from_value(value.clone()).expect("numbers")
}

fn plan(blocks: Blocks) -> Plan {
    Plan { replicates: 1000, seed: 3, blocks }
}

/// Normal rows, anomalous rows and no alarms, as one table.
fn table(normal: &[f64], anomalous: &[f64]) -> (Vec<bool>, Vec<f64>) {
    let labels = normal.iter().map(|_| false).chain(anomalous.iter().map(|_| true)).collect();
    (labels, [normal, anomalous].concat())
}

#[test]
fn block_lengths_are_those_of_arch() {
    for case in expected()["blocks"].as_array().expect("a list") {
        let found = block::exact_length(&numbers(&case["series"]));
        let wanted = case["length"].as_f64().expect("a number");
        assert!((found - wanted).abs() < 1e-6 * wanted.max(1.0), "{}: {found} {wanted}", case["name"]);
    }
    assert_eq!(block::length(&[]), 1);
    assert_eq!(block::ranks(&[3.0, 1.0, 3.0]), [1.5, 0.0, 1.5]);
}

#[test]
fn intervals_are_as_wide_as_theory_says() {
    for case in expected()["areas"].as_array().expect("a list") {
        let (labels, scores) = table(&numbers(&case["normal"]), &numbers(&case["anomalous"]));
        let judged = Judged { labels: &labels, scores: &scores, alarms: &vec![false; scores.len()] };
        let found = intervals(&judged, &plan(Blocks::Single), || {});
        let Interval { low, high } = found.auroc.expect("both kinds");
        let (auroc, error) =
            (case["auroc"].as_f64().expect("one"), case["standard_error"].as_f64().expect("one"));
        assert!((metrics::auroc(&labels, &scores).expect("both kinds") - auroc).abs() < 1e-9);
        // 1,000 replicates leave some 5 % of error in an end, and percentiles are skewed near 1.
        assert!(
            ((high - low) / (2.0 * 1.96 * error) - 1.0).abs() < 0.15,
            "{}: {low} {high} {error}",
            case["name"]
        );
        assert!(low < auroc && auroc < high);
    }
}

#[test]
fn unit_weights_give_the_metrics_themselves() {
    let mut random = Random::new(5, 0);
    let labels: Vec<bool> = (0..500).map(|_| random.uniform() < 0.2).collect();
    let scores: Vec<f64> =
        labels.iter().map(|&l| (4.0 * (random.normal() + f64::from(u8::from(l)))).round() / 4.0).collect();
    let (auroc, precision) = Ranking::new(&labels, &scores).areas(&vec![1; 500]);
    assert!((auroc - metrics::auroc(&labels, &scores).expect("both")).abs() < 1e-12);
    assert!((precision - metrics::average_precision(&labels, &scores).expect("both")).abs() < 1e-12);
}

/// Correlated alarms: the interval of independent draws is too narrow by sqrt((1 + rho) / (1 - rho)), blocks mend that.
#[test]
fn blocks_cover_the_truth_where_single_rows_do_not() {
    let (mut covered, mut widths) = ([0; 2], [0.0; 2]);
    const TABLES: u64 = 60;
    for table in 0..TABLES {
        let mut random = Random::new(table, 1);
        let (mut state, mut scores) = (0.0, Vec::new());
        for _ in 0..1500 {
            state = 0.9 * state + (1.0_f64 - 0.81).sqrt() * random.normal();
            scores.push(state);
        }
        // One in five of a standard normal lies above.
        let alarms: Vec<bool> = scores.iter().map(|&s| s > 0.841_621).collect();
        let labels = vec![false; scores.len()];
        let judged = Judged { labels: &labels, scores: &scores, alarms: &alarms };
        for (which, blocks) in [Blocks::Single, Blocks::Automatic].into_iter().enumerate() {
            let plan = Plan { replicates: 300, ..plan(blocks) };
            let found = intervals(&judged, &plan, || {});
            assert_eq!(found.auroc, None, "undefined without anomalous rows");
            let Interval { low, high } = found.false_alarm_rate.expect("normal rows");
            covered[which] += u64::from(low <= 0.2 && 0.2 <= high);
            widths[which] += high - low;
        }
    }
    assert!(covered[0] < TABLES * 7 / 10, "{covered:?}");
    assert!(covered[1] > TABLES * 8 / 10, "{covered:?}");
    assert!(widths[1] > 1.8 * widths[0], "{widths:?}");
}

#[test]
fn no_alarm_at_all_is_not_certainty() {
    let (labels, scores) = table(&[0.0; 100], &[1.0; 20]);
    let alarms: Vec<bool> = labels.clone();
    let found = intervals(
        &Judged { labels: &labels, scores: &scores, alarms: &alarms },
        &plan(Blocks::Single),
        || {},
    );
    let Interval { low, high } = found.false_alarm_rate.expect("defined");
    // The rule of three: none of 100 is at most some 3 %.
    assert!(low == 0.0 && (0.029..0.030).contains(&high), "{high}");
    assert_eq!(found.detection_rate.expect("defined").high, 1.0);
}

#[test]
fn a_difference_is_judged_on_the_same_rows() {
    let mut random = Random::new(9, 2);
    let labels: Vec<bool> = (0..600).map(|row| row % 4 == 0).collect();
    let of = |random: &mut Random, shift: f64| -> Vec<f64> {
        labels.iter().map(|&l| random.normal() + if l { shift } else { 0.0 }).collect()
    };
    let (good, poor) = (of(&mut random, 2.0), of(&mut random, 0.7));
    // Almost the same as `good`: far more alike than two intervals apart could tell.
    let twin: Vec<f64> = good.iter().map(|s| s + 0.01 * random.normal()).collect();
    let plan = plan(Blocks::Single);
    let clear = compare(&labels, &good, &poor, &plan).expect("both kinds");
    assert!(clear.interval.low > 0.0 && clear.p_value <= 0.002, "{clear:?}");
    let alike = compare(&labels, &good, &twin, &plan).expect("both kinds");
    assert!(alike.interval.high - alike.interval.low < 0.004, "{alike:?}");
    let same = compare(&labels, &good, &good, &plan).expect("both kinds");
    assert_eq!((same.auroc, same.p_value, same.interval), (0.0, 1.0, Interval { low: 0.0, high: 0.0 }));
    let one_thread = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a pool");
    assert_eq!(one_thread.install(|| compare(&labels, &good, &poor, &plan)), Some(clear));
}
