//! `flowlet train` with every kind of conditioner and activation, from a table to a score.

use flowlet_tests::command::{Folder, Run};
use flowlet_tests::Random;
use std::fmt::Write;

/// Windows of `steps` samples of two channels, the second following the first by one step, and a label; in every
/// tenth row the channels do not follow each other.
fn windows(rows: usize, steps: usize, seed: u64) -> String {
    let mut random = Random(seed);
    let names: Vec<String> = (0..steps).flat_map(|t| [format!("a{t}"), format!("b{t}")]).collect();
    let mut text = names.join(",") + ",fault\n";
    for row in 0..rows {
        let faulty = row % 10 == 9;
        let (mut a, mut before) = (random.normal(), random.normal());
        for _ in 0..steps {
            let follows = if faulty { random.normal() } else { before };
            // Writing to a String cannot fail.
            let _ = write!(text, "{a:.4},{:.4},", 5.0 + follows + 0.1 * random.normal());
            before = a;
            a = 0.8 * a + 0.6 * random.normal();
        }
        let _ = writeln!(text, "{}", u8::from(faulty));
    }
    text
}

fn folder() -> Folder {
    let folder = Folder::new();
    folder.write("train.csv", windows(500, 6, 1)).write("test.csv", windows(400, 6, 2));
    folder
}

const QUICK: &str = "--flow realnvp --label fault --layers 4 --epochs 40 --seed 3 --noise 0.1";

fn train(folder: &Folder, options: &str) -> Run {
    folder.flowlet(&format!("train train.csv -o m.flow {QUICK} {options}"))
}

#[test]
fn every_conditioner_trains_and_detects_in_every_arithmetic() {
    let folder = folder();
    for (options, conditioner, activation, least) in [
        ("--hidden 24 --activation leaky-relu", "mlp", "leaky-relu", 0.9),
        ("--hidden 24 --activation tanh", "mlp", "tanh", 0.9),
        ("--hidden 16,16 --activation silu --conditioner residual", "residual", "silu", 0.9),
        ("--hidden 8 --conditioner conv1d --channels 2", "conv1d", "relu", 0.9),
        (
            "--hidden 8,8 --conditioner conv1d --channels 2 --padding causal --kernel 2 --activation silu",
            "conv1d",
            "silu",
            0.9,
        ),
    ] {
        for numeric in ["f32", "i16", "i8"] {
            let run = train(&folder, &format!("{options} --numeric {numeric}"));
            assert_eq!(run.code, 0, "{options}: {run:?}");
            let inspected = folder.flowlet("inspect m.flow --json").json();
            let steps = inspected["transforms"].as_array().expect("transforms");
            let coupling = steps.iter().find(|t| t["kind"] == "affine_coupling").expect("a coupling");
            assert_eq!(coupling["conditioner"], conditioner);
            assert_eq!(coupling["activation"], activation);
            let judged = folder.flowlet("eval m.flow test.csv --label fault --json").json();
            let auroc = judged["auroc"].as_f64().expect("an AUROC");
            println!("{numeric} {options}: AUROC {auroc:.4}");
            assert!(auroc > least, "{numeric} {options}: {auroc}");
        }
    }
}

#[test]
fn what_does_not_fit_is_said_before_training() {
    let folder = folder();
    for (options, parts) in [
        ("--conditioner conv1d --channels 5 --hidden 8", &["channels", "divisor"][..]),
        ("--conditioner conv1d --channels 2 --kernel 4", &["kernel", "odd"]),
        ("--conditioner conv1d --channels 2 --kernel 0", &["kernel"]),
        ("--conditioner residual --hidden 16,8", &["hidden", "residual block"]),
    ] {
        let run = train(&folder, options);
        assert_ne!(run.code, 0, "{options}");
        for part in parts {
            assert!(run.stderr.contains(part), "'{part}' is not in {run:?}");
        }
    }
    // A single channel of an odd number of steps cannot be halved.
    let run = folder.flowlet(
        "train train.csv -o m.flow --label fault --columns a0,a1,a2 --conditioner conv1d --epochs 1",
    );
    assert_ne!(run.code, 0);
    assert!(run.stderr.contains("even number of time steps"), "{run:?}");
}
