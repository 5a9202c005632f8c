//! The device's own alarm, run on random surprises and on those of a table.

use super::Law;
use crate::calibration::pareto::beta_quantile;
use crate::training::random::Random;
use flowlet::stream::{Alarm, AlarmSettings, Surprise, Verdict};

/// Rises that were counted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Simulated {
    /// Readings.
    pub readings: u64,
    /// Rises among them.
    pub rises: u64,
    /// Holds the rate of rises per reading with 95 % confidence, as far as they come independently.
    pub interval: [f64; 2],
}

impl Simulated {
    fn new(readings: u64, rises: u64) -> Self {
        let (n, k) = (readings as f64, rises as f64);
        // Clopper and Pearson 1934.
        let low = if rises == 0 { 0.0 } else { beta_quantile(k, n - k + 1.0, 0.025) };
        let high = if rises == readings { 1.0 } else { beta_quantile(k + 1.0, n - k, 0.975) };
        Self { readings, rises, interval: [low, high] }
    }

    /// Rises per reading.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.rises as f64 / self.readings.max(1) as f64
    }
}

/// Counts the rises in so many independent readings of a law.
#[must_use]
pub fn simulate(settings: &AlarmSettings, law: &Law, readings: u64, seed: u64) -> Simulated {
    let mut random = Random::new(seed, 0x616c_6172_6d00);
    let mut alarm = Alarm::new(*settings);
    let rises = (0..readings).filter(|_| alarm.step(law.draw(&mut random)) == Verdict::Raised).count();
    Simulated::new(readings, rises as u64)
}

/// What an alarm did on a table in the order of time.
#[derive(Clone, Debug, PartialEq)]
pub struct Replay {
    /// Whether it was on, per row.
    pub on: Vec<bool>,
    /// Rises in normal rows, and how many of those there were; a rise that lasts into an anomaly counts too.
    pub normal: Simulated,
}

/// Runs an alarm over surprises in the order of time; it starts anew where another series `starts`. Of rows without labels
/// all count as normal.
#[must_use]
pub fn replay(
    settings: &AlarmSettings,
    surprises: &[Surprise],
    labels: Option<&[bool]>,
    starts: &[usize],
) -> Replay {
    let mut alarm = Alarm::new(*settings);
    let (mut on, mut rises, mut normal) = (Vec::with_capacity(surprises.len()), 0, 0);
    for (row, &surprise) in surprises.iter().enumerate() {
        if starts.binary_search(&row).is_ok() {
            alarm.reset();
        }
        let verdict = alarm.step(surprise);
        on.push(verdict.is_on());
        if !labels.is_some_and(|labels| labels[row]) {
            normal += 1;
            rises += u64::from(verdict == Verdict::Raised);
        }
    }
    Replay { on, normal: Simulated::new(normal, rises) }
}
