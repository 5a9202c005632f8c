//! Golden images: the flow that they were made from, and where they lie.

use crate::Random;
use flowlet_tools::export::{build, Calibration, ImageFile, Metadata, Numeric};
use flowlet_tools::flow::{Coupling, Dense, Flow, Mask, Mlp, Permutation, SoftTail, Standardize, Transform};
use serde_json::Value;
use std::path::PathBuf;

/// Transforms of the golden chain, in order; the standardizer stands before it.
pub mod block {
    /// Soft tail.
    pub const SOFT_TAIL: usize = 0;
    /// First coupling: one feature conditions two.
    pub const FIRST_COUPLING: usize = 1;
    /// Permutation.
    pub const PERMUTATION: usize = 2;
    /// Second coupling, the other way round, with two hidden layers.
    pub const SECOND_COUPLING: usize = 3;
}

/// A file of `tests/golden`.
#[must_use]
pub fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden").join(name)
}

/// `v1-f32.flow` and its siblings.
#[must_use]
pub fn file_name(numeric: Numeric) -> &'static str {
    match numeric {
        Numeric::F32 => "v1-f32.flow",
        Numeric::I16 => "v1-i16.flow",
        Numeric::I8 => "v1-i8.flow",
        Numeric::F32FastMath => panic!("no golden image"),
    }
}

/// The committed golden image of a numeric type, unchecked.
///
/// # Panics
/// If the file is not there.
#[must_use]
pub fn image(numeric: Numeric) -> ImageFile {
    committed(file_name(numeric))
}

/// An image of `tests/golden`, unchecked.
///
/// # Panics
/// If the file is not there.
#[must_use]
pub fn committed(name: &str) -> ImageFile {
    let path = path(name);
    let bytes = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    ImageFile::from_bytes(&bytes)
}

/// A file of golden scores, and the readings in it.
///
/// # Panics
/// If the file is not there, or something else.
#[must_use]
pub fn expected_scores(name: &str) -> (Value, Vec<f32>) {
    let text = std::fs::read_to_string(path(name)).expect("committed");
    let expected: Value = serde_json::from_str(&text).expect("JSON");
    let rows = expected["readings"].as_array().expect("rows").iter();
    let bits = |x: &Value| u32::from_str_radix(x.as_str().expect("hex"), 16).expect("hex");
    let readings = rows.flat_map(|row| row.as_array().expect("a row")).map(|x| f32::from_bits(bits(x)));
    let readings = readings.collect();
    (expected, readings)
}

/// The flow behind the golden images: 3 features, soft tail, coupling, permutation, coupling.
#[must_use]
pub fn flow() -> Flow {
    let mut random = Random(0x0f10_31e7);
    Flow {
        features: 3,
        transforms: vec![
            Transform::Standardize(Standardize {
                mean: vec![21.5, -0.25, 101_325.0],
                std: vec![1.75, 0.0625, 850.0],
            }),
            Transform::SoftTail(SoftTail { knee: 4.0 }),
            coupling(&mut random, 1, true, &[1, 5, 4]),
            Transform::Permutation(Permutation { order: vec![2, 0, 1] }),
            coupling(&mut random, 2, false, &[1, 4, 6, 4]),
        ],
        ..Flow::default()
    }
}

fn coupling(random: &mut Random, split: usize, condition_on_first: bool, widths: &[usize]) -> Transform {
    let layers = widths
        .windows(2)
        .map(|w| Dense {
            inputs: w[0],
            outputs: w[1],
            weights: (0..w[0] * w[1]).map(|_| random.normal() * 0.75).collect(),
            bias: (0..w[1]).map(|_| random.normal() * 0.125).collect(),
        })
        .collect();
    let net = Mlp { layers, ..Mlp::default() };
    Transform::Coupling(Coupling::affine(Mask::split(3, split, condition_on_first), 2.0, 8.0, net))
}

/// Builds a golden image anew: what the exporter of today makes of [`flow`].
///
/// # Panics
/// If the exporter refuses it.
#[must_use]
pub fn build_image(numeric: Numeric) -> ImageFile {
    let flow = flow();
    let readings = crate::normal_readings(&mut Random(1), &flow, 200);
    let metadata = Metadata {
        name: "golden".into(),
        provenance: "golden image of format version 1".into(),
        features: [("temperature", "°C"), ("tilt", "rad"), ("pressure", "Pa")]
            .map(|(name, unit)| (name.into(), unit.into()))
            .into(),
        ..Metadata::default()
    };
    let calibration = Calibration { readings: &readings, false_alarm_rate: 0.01 };
    build(&flow, numeric, &metadata, calibration).expect("the golden flow can be exported")
}

/// Readings that the golden scores are for: normal ones, the edges of f32, and wild ones.
#[must_use]
pub fn readings() -> Vec<f32> {
    let mut readings = crate::normal_readings(&mut Random(2), &flow(), 24);
    let mean = [21.5, -0.25, 101_325.0];
    readings.extend(mean);
    for wild in [0.0, -0.0, f32::from_bits(1), f32::MIN_POSITIVE, 1e6, -1e30, f32::MAX, f32::MIN] {
        readings.extend([wild; 3]);
        for feature in 0..3 {
            let mut row = mean;
            row[feature] = wild;
            readings.extend(row);
        }
    }
    readings
}
