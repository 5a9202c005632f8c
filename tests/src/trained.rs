//! Small flows that were really trained, for tests of what stands above the transforms.

use crate::Random;
use flowlet_tools::export::{Calibration, Metadata};
use flowlet_tools::flow::Flow;
use flowlet_tools::training::{train, BaseKind, Matrix, TrainConfig};
use std::sync::OnceLock;

/// Features of the readings here.
pub const FEATURES: usize = 4;

/// Related features in units of their own: a curve, its square, a sum, noise.
#[must_use]
pub fn readings(rows: usize, seed: u64) -> Vec<f32> {
    let mut random = Random(seed);
    (0..rows)
        .flat_map(|_| {
            let (t, e) = (random.normal(), random.normal());
            let square = 0.5 * t * t + 0.3 * random.normal();
            [20.0 + 2.0 * t, 0.1 * (t + 0.4 * e), 1000.0 + 30.0 * square, e - 0.5 * t]
        })
        .collect()
}

/// A flow with this many couplings, trained on [`readings`]; the same in every test of a process.
///
/// # Panics
/// If training fails.
#[must_use]
pub fn flow(layers: usize, seed: u64) -> Flow {
    fit(&readings(3000, 1), FEATURES, &TrainConfig { layers, seed, ..quick() })
}

/// The flow of most tests.
pub fn usual() -> &'static Flow {
    static FLOW: OnceLock<Flow> = OnceLock::new();
    FLOW.get_or_init(|| flow(3, 1))
}

/// Three flows with the same standardizer: couplings, deeper couplings, a mixture.
pub fn experts() -> &'static [Flow; 3] {
    static FLOWS: OnceLock<[Flow; 3]> = OnceLock::new();
    FLOWS.get_or_init(|| {
        let rows = readings(3000, 1);
        let mixture = TrainConfig { base: BaseKind::Mixture, components: 6, layers: 2, seed: 1, ..quick() };
        // The same seed holds out the same rows, and so gives the same standardizer.
        [usual().clone(), flow(4, 1), fit(&rows, FEATURES, &mixture)]
    })
}

/// Settings that train in a second.
#[must_use]
pub fn quick() -> TrainConfig {
    TrainConfig { layers: 3, hidden: vec![16], epochs: Some(30), threads: 1, ..TrainConfig::default() }
}

/// Trains on rows of `columns` values.
///
/// # Panics
/// If training fails.
#[must_use]
pub fn fit(rows: &[f32], columns: usize, config: &TrainConfig) -> Flow {
    let matrix = Matrix::new(rows.len() / columns, columns, rows.to_vec()).expect("a matrix");
    train(&matrix, config, &mut ()).expect("training succeeds").flow
}

/// 1 % false alarms on these rows.
#[must_use]
pub fn calibration(readings: &[f32]) -> Calibration<'_> {
    Calibration { readings, false_alarm_rate: 0.01 }
}

/// Names of the inputs: `f0` ..., then `c0` ...
#[must_use]
pub fn metadata(features: usize, contexts: usize) -> Metadata {
    let contexts = (0..contexts).map(|i| (format!("c{i}"), String::new())).collect();
    Metadata { contexts, ..crate::metadata(features) }
}

/// Readings whose mean and spread depend on a speed, which stands behind the two features.
#[must_use]
pub fn readings_by_speed(rows: usize, seed: u64) -> Vec<f32> {
    let mut random = Random(seed);
    (0..rows)
        .flat_map(|_| {
            let speed = 500.0 + 1000.0 * random.uniform();
            let load = (speed - 1000.0) / 250.0;
            let common = random.normal();
            [10.0 + 3.0 * load + 0.5 * common, 2.0 - load + 0.3 * common + 0.3 * random.normal(), speed]
        })
        .collect()
}

/// A flow over two features in the context of the speed.
pub fn by_speed() -> &'static Flow {
    static FLOW: OnceLock<Flow> = OnceLock::new();
    FLOW.get_or_init(|| {
        let config = TrainConfig { contexts: 1, epochs: Some(60), layers: 4, ..quick() };
        fit(&readings_by_speed(4000, 1), 3, &config)
    })
}

impl rand_core::RngCore for Random {
    fn next_u32(&mut self) -> u32 {
        (self.bits() >> 32) as u32
    }

    fn next_u64(&mut self) -> u64 {
        self.bits()
    }

    fn fill_bytes(&mut self, to: &mut [u8]) {
        for chunk in to.chunks_mut(8) {
            chunk.copy_from_slice(&self.bits().to_le_bytes()[..chunk.len()]);
        }
    }
}
