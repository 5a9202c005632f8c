//! Images of every format version keep loading, and their scores are what they were, bit by bit.
//!
//! `FLOWLET_WRITE_GOLDEN=1 cargo test --release -p flowlet-tests --test golden images::` writes the
//! files. Once a format version is released its images are never written again: a change that needs
//! new ones is a new format version with files of its own. A change of the arithmetic writes new scores for the
//! same images, with `FLOWLET_WRITE_GOLDEN=scores`; what they may differ by is in `docs/numerics.md`.

use flowlet::Scorer;
use flowlet_tests::golden::{build_image, expected_scores, file_name, image, path, readings};
use flowlet_tests::NUMERICS;
use flowlet_tools::export::{scores, ImageFile, Numeric};
use serde_json::{json, Value};

const SCORES: &str = "v1-scores.json";

/// A score as the bits of its numbers.
fn bits(score: &flowlet::Score) -> Value {
    let hex = |x: f32| format!("{:08x}", x.to_bits());
    json!([hex(score.log_prob), hex(score.p_value), hex(score.score), score.alarm])
}

fn rows() -> Vec<Vec<String>> {
    let rows = readings();
    rows.chunks_exact(3).map(|row| row.iter().map(|x| format!("{:08x}", x.to_bits())).collect()).collect()
}

fn score_bits(image: &ImageFile, readings: &[f32]) -> Vec<Value> {
    scores(image, readings).expect("finite readings are scored").iter().map(bits).collect()
}

/// Writes the golden files, if asked to.
fn write_if_asked() {
    let asked = std::env::var("FLOWLET_WRITE_GOLDEN").unwrap_or_default();
    if asked != "1" && asked != "scores" {
        return;
    }
    let mut all = serde_json::Map::new();
    all.insert("readings".into(), json!(rows()));
    for numeric in NUMERICS {
        if asked == "1" {
            std::fs::write(path(file_name(numeric)), build_image(numeric).bytes())
                .expect("golden files can be written");
        }
        let image = image(numeric);
        all.insert(format!("{numeric:?}"), json!(score_bits(&image, &readings())));
    }
    // One score or reading a line.
    let text = serde_json::to_string(&all).expect("strings").replace("],[", "],\n[").replace("]],", "]],\n");
    std::fs::write(path(SCORES), text + "\n").expect("golden files can be written");
}

#[test]
fn golden_images_load_and_score_to_the_bit() {
    write_if_asked();
    let (expected, readings) = expected_scores(SCORES);
    assert!(readings.len() >= 3 * 50);
    for numeric in NUMERICS {
        let image = image(numeric);
        let model = image.model().expect("golden images load for ever");
        assert_eq!(model.numeric(), numeric);
        let found = score_bits(&image, &readings);
        let expected = expected[format!("{numeric:?}")].as_array().expect("scores");
        assert_eq!(found.len(), expected.len());
        for (row, (found, expected)) in found.iter().zip(expected).enumerate() {
            assert_eq!(found, expected, "{numeric:?}, row {row}");
        }
    }
}

#[test]
fn golden_images_pass_their_self_test() {
    for numeric in NUMERICS {
        let image = image(numeric);
        let model = image.model().unwrap();
        assert_eq!(model.self_test_vectors().count(), 4);
        let mut workspace = vec![0; model.workspace_bytes() / 4];
        let mut scorer = Scorer::new(&model, &mut workspace).unwrap();
        println!("{numeric:?}: {:?} nats from the version that wrote the image", scorer.self_test());
        assert_eq!(scorer.self_test_passes(), Ok(true), "{numeric:?}");
    }
}

#[test]
fn a_self_test_notices_a_wrong_score() {
    // One unit in the last place of the last expected score.
    let good = build_image(Numeric::F32);
    let mut parts = flowlet_tests::surgery::Parts::of(good.bytes());
    let at = parts.head.self_test.offset as usize + 3;
    parts.words[at] ^= 1;
    let image = parts.seal();
    let model = image.model().unwrap();
    let mut workspace = vec![0; model.workspace_bytes() / 4];
    let worst = Scorer::new(&model, &mut workspace).unwrap().self_test().unwrap();
    assert!(worst > 0.0 && worst < 1e-5, "{worst}");
}

#[test]
fn golden_images_say_what_they_are() {
    for numeric in NUMERICS {
        let image = image(numeric);
        let model = image.model().unwrap();
        assert_eq!(model.head().name, "golden");
        let names: Vec<_> = model.feature_names().map(|f| (f.name, f.unit)).collect();
        assert_eq!(names, [("temperature", "°C"), ("tilt", "rad"), ("pressure", "Pa")]);
        let expert = model.experts().next().unwrap();
        let chain: Vec<_> = expert.chain.steps().map(|s| s.name()).collect();
        assert_eq!(chain, ["soft_tail", "affine_coupling", "permutation", "affine_coupling"]);
    }
}
