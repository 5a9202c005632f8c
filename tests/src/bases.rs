//! Random base distributions, and base variables as readings.

use crate::Random;
use flowlet_tools::flow::{Base, Mixture, StudentT};

/// Student-t distributions from nearly Cauchy's to nearly normal.
#[must_use]
pub fn student(random: &mut Random, features: usize) -> Base {
    let mut several =
        |from: f32, to: f32| (0..features).map(|_| from + (to - from) * random.uniform()).collect();
    Base::StudentT(StudentT {
        degrees: several(0.8, 40.0),
        location: several(-2.0, 2.0),
        log_scale: several(-1.5, 1.0),
    })
}

/// A mixture whose components overlap, narrow ones and wide ones.
#[must_use]
pub fn mixture(random: &mut Random, features: usize, components: usize) -> Base {
    let count = components * features;
    Base::Mixture(Mixture {
        log_weights: (0..components).map(|_| random.normal()).collect(),
        means: (0..count).map(|_| 1.5 * random.normal()).collect(),
        log_std: (0..count).map(|_| -2.3 + 2.6 * random.uniform()).collect(),
    })
}

/// Base variables as readings: ordinary ones, ones at growing distance, one wild feature at a time.
#[must_use]
pub fn readings(random: &mut Random, features: usize) -> Vec<f32> {
    let mut rows: Vec<f32> = (0..200 * features).map(|_| 1.8 * random.normal()).collect();
    for power in 0..30 {
        let away = (power as f32).exp2();
        rows.extend((0..features).map(|_| if random.below(2) == 0 { away } else { -away }));
    }
    for special in [0.0, -0.0, 1e-40, 2047.99, 2048.0, 2048.1, 32767.0, -1e30, f32::MAX, f32::MIN] {
        rows.extend(vec![special; features]);
        for feature in 0..features {
            let mut row: Vec<f32> = (0..features).map(|_| random.normal()).collect();
            row[feature] = special;
            rows.extend(row);
        }
    }
    rows
}
