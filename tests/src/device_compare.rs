//! Host and emulated chip, row by row and bit by bit.

use crate::{metadata, normal_readings, Random};
use flowlet::{Model, Scorer};
use flowlet_tools::device::{error_code, skips, Board, DeviceError, Install, Row, ScoreBits, Simulator};
use flowlet_tools::export::{build, Calibration, ImageFile, Numeric};
use flowlet_tools::flow::{Flow, Transform};

/// Ordinary rows among [`readings`].
pub const ORDINARY: usize = 200;

/// The simulator, or `None` if this machine has none, which is then on record.
///
/// # Panics
/// If it is broken.
#[must_use]
pub fn simulator(test: &str) -> Option<Simulator> {
    simulator_of(Board::Mps2An386, test)
}

/// The simulator of a board, or `None` as [`simulator`].
///
/// # Panics
/// If it is broken.
#[must_use]
pub fn simulator_of(board: Board, test: &str) -> Option<Simulator> {
    match Simulator::new(board, Install::Forbidden) {
        Ok(simulator) => Some(simulator),
        Err(DeviceError::Missing(missing)) => {
            skips::record(test, &missing);
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// Ordinary rows, rows at growing distances from them, and the edges of f32.
///
/// # Panics
/// If the flow has no standardizer.
#[must_use]
pub fn readings(random: &mut Random, flow: &Flow) -> Vec<f32> {
    let mut rows = normal_readings(random, flow, ORDINARY);
    let Transform::Standardize(s) = &flow.transforms[0] else { panic!("it starts with its standardizer") };
    for power in 0..30 {
        let away = (power as f32 + 1.0).exp2();
        let side = |random: &mut Random| if random.below(2) == 0 { away } else { -away };
        rows.extend(s.mean.iter().zip(&s.std).map(|(mean, std)| mean + std * side(random)));
    }
    for special in [0.0, -0.0, 1e-45, -1e-40, f32::MIN_POSITIVE, 1e9, -1e30, f32::MAX, f32::MIN] {
        rows.extend(vec![special; flow.features]);
    }
    rows
}

/// Builds the flow's image and compares every bit of every row; gives the number of rows.
///
/// # Panics
/// If a bit differs.
#[must_use]
pub fn compare(simulator: &Simulator, flow: &Flow, rows: &[f32], numeric: Numeric, what: &str) -> usize {
    let calibration = Calibration { readings: &rows[..ORDINARY * flow.features], false_alarm_rate: 0.01 };
    let image = build(flow, numeric, &metadata(flow.features), calibration).expect("an image");
    let device = simulator
        .run(image.bytes(), rows, flow.features, |_| {})
        .unwrap_or_else(|error| panic!("{what}: {error}"));
    if let Some(instructions) = device.instructions_per_score {
        println!("{what}: {instructions:.0} instructions");
    }
    let host = on_host(&image, rows);
    assert_eq!(device.rows.len(), host.len(), "{what}");
    for (index, (device, host)) in device.rows.iter().zip(&host).enumerate() {
        let row = &rows[index * flow.features..][..flow.features];
        assert_eq!(device, host, "{what}: device and host differ in row {index}, {row:?}");
    }
    host.len()
}

/// What the runtime says of the rows (features, then context) when it runs on the host.
///
/// # Panics
/// If the image does not load.
#[must_use]
pub fn on_host(image: &ImageFile, rows: &[f32]) -> Vec<Row> {
    let model: Model<'_> = image.model().expect("a good image");
    let mut workspace = vec![0; model.workspace_bytes() / 4];
    let mut scorer = Scorer::new(&model, &mut workspace).expect("enough workspace");
    let score = |row: &[f32]| {
        let score = scorer.score(row).map_err(error_code)?;
        Ok(ScoreBits {
            log_prob: score.log_prob.to_bits(),
            p_value: score.p_value.to_bits(),
            score: score.score.to_bits(),
            alarm: score.alarm,
        })
    };
    rows.chunks_exact(model.inputs()).map(score).collect()
}
