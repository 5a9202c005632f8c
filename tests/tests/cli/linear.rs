//! NICE, Glow and whitening through the commands: trained, quantized, inspected, and still the same flow.

use flowlet_tests::command::{labelled_csv, normal_csv, Folder};
use serde_json::Value;

/// Quick, and with a `--flow` of its own.
const SMALL: &str = "--layers 2 --hidden 8 --epochs 3 --seed 5";

fn kinds(inspected: &Value) -> Vec<&str> {
    let transforms = inspected["transforms"].as_array().expect("a chain");
    transforms.iter().map(|t| t["kind"].as_str().expect("a name")).collect()
}

#[test]
fn nice_glow_and_whitening_go_through_every_command() {
    let chains: [(&str, &str, &[&str]); 4] = [
        (
            "--flow nice",
            "standardize, soft_tail, additive_coupling x2, elementwise_affine, soft_tail",
            &[
                "standardize",
                "soft_tail",
                "additive_coupling",
                "additive_coupling",
                "elementwise_affine",
                "soft_tail",
            ],
        ),
        (
            "--flow glow",
            "standardize, soft_tail, (elementwise_affine, permutation, linear, affine_coupling) x2, soft_tail",
            &["linear", "affine_coupling", "linear", "affine_coupling"],
        ),
        (
            "--flow realnvp --whiten",
            "standardize, soft_tail, linear, affine_coupling x2, soft_tail",
            &["standardize", "soft_tail", "linear", "affine_coupling", "affine_coupling", "soft_tail"],
        ),
        // Whitening, ActNorm and the first matrix are one matrix in the image.
        (
            "--flow glow --whiten",
            "standardize, soft_tail, linear, (elementwise_affine, permutation, linear, affine_coupling) x2, soft_tail",
            &["linear", "affine_coupling", "linear", "affine_coupling"],
        ),
    ];
    for (options, trained_as, expected) in chains {
        let folder = Folder::new();
        folder.write("train.csv", normal_csv(400, 1)).write("test.csv", labelled_csv(300, 2));
        let trained = folder
            .flowlet(&format!("train train.csv -o m.flow --numeric f32 {options} {SMALL} --json -q"))
            .json();
        assert!(trained["val_nll"].is_number(), "{options}: {trained}");
        let inspected = folder.flowlet("inspect m.flow --json").json();
        assert_eq!(inspected["trained_as"], trained_as, "{options}");
        let found = kinds(&inspected);
        if expected.contains(&"standardize") {
            assert_eq!(found, expected, "{options}");
        } else {
            let without_orders: Vec<&str> =
                found.into_iter().filter(|k| matches!(*k, "linear" | "affine_coupling")).collect();
            assert_eq!(without_orders, expected, "{options}");
        }
        assert!(!kinds(&inspected)[3..].contains(&"standardize"));
        let shown = folder.flowlet("inspect m.flow");
        assert!(shown.stdout.contains(&format!("trained as    {trained_as}")), "{shown:?}");
        let quantized =
            folder.flowlet("quantize m.flow --numeric i8 --calibration train.csv -o q.flow --json -q").json();
        let delta = quantized["mean_abs_delta_log_prob"].as_f64().expect("a number");
        assert!(delta < 0.1, "{options}: {delta}");
        let again = folder.flowlet("inspect q.flow --json").json();
        assert_eq!(again["trained_as"], trained_as, "{options}");
        assert_eq!(kinds(&again), kinds(&inspected), "{options}");
        assert_eq!(folder.flowlet("verify q.flow -q").code, 0);
        let judged = folder.flowlet("eval m.flow test.csv --label label --json -q").json();
        assert!(judged["auroc"].as_f64().expect("a number") > 0.9, "{options}: {judged}");
    }
}
