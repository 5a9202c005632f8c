//! Images of format version 2 keep loading and keep their scores, bit by bit: see `golden_images.rs`.
//!
//! `FLOWLET_WRITE_GOLDEN=2 cargo test --release -p flowlet-tests --test golden images_v2::` writes the files, which is
//! not done again once the version is released; `FLOWLET_WRITE_GOLDEN=scores` writes the scores alone.

use flowlet::Scorer;
use flowlet_tests::golden::{expected_scores, path};
use flowlet_tests::golden_v2::{build_image, file_name, image, readings, INPUTS};
use flowlet_tests::NUMERICS;
use flowlet_tools::export::{import_ensemble, ImageFile};
use serde_json::{json, Value};

const SCORES: &str = "v2-scores.json";

/// A score and all statistics as the bits of their numbers.
fn score_bits(image: &ImageFile, readings: &[f32]) -> Vec<Value> {
    let model = image.model().expect("golden images load for ever");
    let mut workspace = vec![0; model.workspace_bytes() / 4];
    let mut scorer = Scorer::new(&model, &mut workspace).expect("enough workspace");
    let hex = |x: f32| format!("{:08x}", x.to_bits());
    let mut bits = |row: &[f32]| {
        let score = scorer.score(row).expect("finite readings are scored");
        let all = scorer.statistics(row).expect("finite readings are scored");
        let pairs = [all.negative_log_prob, all.squared_norm, all.typicality];
        let pairs = pairs.map(|s| json!([hex(s.value), s.p_value.map(hex)]));
        json!([hex(score.log_prob), hex(score.p_value), hex(score.score), score.alarm, pairs])
    };
    readings.chunks_exact(INPUTS).map(&mut bits).collect()
}

/// Writes the golden files, if asked to.
fn write_if_asked() {
    let asked = std::env::var("FLOWLET_WRITE_GOLDEN").unwrap_or_default();
    if asked != "2" && asked != "scores" {
        return;
    }
    let mut all = serde_json::Map::new();
    let hex = |x: &f32| format!("{:08x}", x.to_bits());
    let rows: Vec<Vec<String>> =
        readings().chunks_exact(INPUTS).map(|row| row.iter().map(hex).collect()).collect();
    all.insert("readings".into(), json!(rows));
    for numeric in NUMERICS {
        if asked == "2" {
            std::fs::write(path(file_name(numeric)), build_image(numeric).bytes())
                .expect("golden files can be written");
        }
        let image = image(numeric);
        all.insert(format!("{numeric:?}"), json!(score_bits(&image, &readings())));
    }
    let text = serde_json::to_string(&all).expect("strings").replace("],[\"", "],\n[\"");
    std::fs::write(path(SCORES), text + "\n").expect("golden files can be written");
}

#[test]
fn golden_images_load_and_score_to_the_bit() {
    write_if_asked();
    let (expected, readings) = expected_scores(SCORES);
    assert!(readings.len() >= INPUTS * 50);
    for numeric in NUMERICS {
        let image = image(numeric);
        let model = image.model().expect("golden images load for ever");
        assert_eq!((model.numeric(), model.format_version()), (numeric, 2));
        assert_eq!((model.features(), model.contexts(), model.experts().count()), (4, 1, 2));
        let found = score_bits(&image, &readings);
        let expected = expected[format!("{numeric:?}")].as_array().expect("scores");
        assert_eq!(found.len(), expected.len());
        for (row, (found, expected)) in found.iter().zip(expected).enumerate() {
            assert_eq!(found, expected, "{numeric:?}, row {row}");
        }
        let mut workspace = vec![0; model.workspace_bytes() / 4];
        // Made by an earlier version of the runtime: within what versions may differ by.
        let passes = Scorer::new(&model, &mut workspace).unwrap().self_test_passes();
        assert_eq!(passes, Ok(true), "{numeric:?}");
    }
}

#[test]
fn a_golden_image_gives_back_flows_of_every_kind() {
    use std::collections::BTreeSet;
    for numeric in NUMERICS {
        let image = image(numeric);
        let (ensemble, _) = import_ensemble(&image.model().expect("a golden image"));
        let flows = &ensemble.experts;
        let kinds: BTreeSet<&str> = flows.iter().flat_map(|f| &f.transforms).map(|t| t.name()).collect();
        for kind in [
            "additive_coupling",
            "affine_coupling",
            "elementwise_affine",
            "linear",
            "logit",
            "marginal",
            "soft_tail",
            "split",
            "spline_coupling",
            "standardize",
        ] {
            assert!(kinds.contains(kind), "{numeric:?}: {kind} is not in {kinds:?}");
        }
        let bases: Vec<&str> = flows.iter().map(|f| f.base.name()).collect();
        assert_eq!(bases, ["mixture", "student_t"]);
    }
}
