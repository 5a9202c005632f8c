//! What an alarm's settings cost: how often normal readings raise it, and how late anomalous ones do.
//!
//! The surprise of normal readings has one distribution, whatever the flow: a share `2^-s` reaches `s` bits. So both follow
//! from the settings alone, by Markov chains: exactly for votes and sums, which live on a finite set, and on a fine lattice
//! for averages (Brook and Evans 1972, "An approach to the probability distribution of CUSUM run length"). A simulation of the
//! device's own code stands beside them, and is all there is for the rate of several detectors together, which is
//! otherwise bounded by the sum of theirs.
//!
//! All of it takes readings for independent. Neighbours in time seldom are: see `docs/alarms.md`.

mod choose;
mod detectors;
mod drift;
mod law;
mod simulate;
#[cfg(test)]
mod tests;

pub use choose::{choose, Wanted, WantedCusum};
pub use detectors::{Chain, CusumChain, EwmaChain, VotesChain};
pub use drift::{drift_limits, drift_rate};
pub use law::Law;
pub use simulate::{replay, simulate, Replay, Simulated};

use flowlet::stream::{AlarmSettings, Surprise};

/// Steps after which a hazard counts as settled if it has hardly changed in each ...
const SETTLED_STEPS: usize = 64;
/// ... relatively.
const SETTLED_CHANGE: f64 = 1e-9;
/// Steps without any chance of an alarm after which there will be none.
const SILENT_STEPS: usize = 5000;
/// Steps that are taken at most before the hazard is taken for settled.
const MOST_STEPS: usize = 200_000;

/// Readings until a detector's first alarm.
#[derive(Clone, Debug, PartialEq)]
pub struct RunLength {
    /// Their mean; infinite if there is none ever.
    pub mean: f64,
    /// Distribution of the detector's state long after its start, given that it has not alarmed.
    pub settled: Vec<f64>,
}

/// Run length of a detector from its start.
///
/// The mean is the sum of the probabilities of no alarm yet. Once the hazard (that of an alarm at the next reading) is constant
/// they fall geometrically; so no system of equations is solved, and nothing is lost where run lengths are astronomical.
#[must_use]
pub fn run_length(chain: &dyn Chain, law: &Law) -> RunLength {
    let law = chain.prepared(law);
    let mut state = chain.start();
    let (mut survivors, mut mean) = (1.0, 0.0);
    let (mut hazard, mut steady) = (0.0, 0);
    for step in 0..MOST_STEPS {
        mean += survivors;
        let (mut next, alarm) = chain.step(&state, &law);
        let left: f64 = next.iter().sum();
        if left <= 0.0 {
            return RunLength { mean, settled: state };
        }
        next.iter_mut().for_each(|p| *p /= left);
        state = next;
        survivors *= 1.0 - alarm;
        steady = if (alarm - hazard).abs() <= SETTLED_CHANGE * alarm { steady + 1 } else { 0 };
        hazard = alarm;
        let silent = hazard == 0.0 && step >= SILENT_STEPS;
        if (steady >= SETTLED_STEPS && hazard > 0.0) || silent || survivors < 1e-14 {
            break;
        }
    }
    let rest = if survivors < 1e-14 { 0.0 } else { survivors / hazard };
    RunLength { mean: mean + rest, settled: state }
}

/// Readings from the start of an anomaly to the alarm, the first anomalous one included.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Delay {
    /// Their mean; infinite if there may be no alarm at all.
    pub mean: f64,
    /// So many in half of the cases at most; `None` beyond 200,000.
    pub median: Option<usize>,
    /// So many in 95 of 100 cases at most.
    pub most: Option<usize>,
}

/// Delay of a detector that has run for long when readings begin to follow another law, which lasts.
#[must_use]
pub fn delay(chain: &dyn Chain, settled: &[f64], law: &Law) -> Delay {
    let law = chain.prepared(law);
    let mut state = settled.to_vec();
    let mut delay = Delay { mean: 0.0, median: None, most: None };
    let mut waiting = 1.0;
    let (mut hazard, mut steady) = (0.0, 0);
    for step in 1..=MOST_STEPS {
        delay.mean += waiting;
        let (next, alarm) = chain.step(&state, &law);
        let left: f64 = next.iter().sum();
        state = next;
        let before = waiting;
        waiting = left;
        let now = alarm / before;
        if waiting <= 0.5 {
            delay.median.get_or_insert(step);
        }
        if waiting <= 0.05 {
            delay.most.get_or_insert(step);
        }
        if waiting < 1e-13 || (now == 0.0 && step >= SILENT_STEPS) {
            break;
        }
        steady = if (now - hazard).abs() <= SETTLED_CHANGE * now { steady + 1 } else { 0 };
        hazard = now;
        if steady >= SETTLED_STEPS && hazard > 0.0 && delay.most.is_some() {
            break;
        }
    }
    if waiting >= 1e-13 {
        delay.mean += waiting / hazard;
    }
    delay
}

/// One detector of an alarm, and what it does.
#[derive(Clone, Debug)]
pub struct Cost {
    /// "votes", "ewma" or "cusum".
    pub detector: &'static str,
    /// Mean run length from the start, in normal readings.
    pub run_length: f64,
    /// Delay for each of the given laws.
    pub delays: Vec<Delay>,
}

/// What an alarm's settings cost.
#[derive(Clone, Debug)]
pub struct Costs {
    /// One entry a detector.
    pub detectors: Vec<Cost>,
    /// False alarms per normal reading, at most: the sum of the detectors' rates, with one detector exact but for the time
    /// that false alarms last.
    pub rate: f64,
}

/// Costs of settings for a calibration that reaches up to `ceiling`, and the delays for anomalies of these laws.
///
/// # Errors
/// Votes with too many states.
pub fn costs(settings: &AlarmSettings, ceiling: Surprise, anomalies: &[Law]) -> anyhow::Result<Costs> {
    let normal = Law::normal(ceiling);
    let mut detectors = Vec::new();
    for (detector, chain) in chains(settings)? {
        let RunLength { mean, settled } = run_length(chain.as_ref(), &normal);
        let delays = anomalies.iter().map(|law| delay(chain.as_ref(), &settled, law)).collect();
        detectors.push(Cost { detector, run_length: mean, delays });
    }
    let rate = detectors.iter().map(|d| rate(d.run_length, settings.hold_off())).sum();
    Ok(Costs { detectors, rate })
}

/// False alarms per reading, at most: a detector starts anew when the alarm clears, a reading after its rise or later, and
/// the hold-off is over.
#[must_use]
pub fn rate(run_length: f64, hold_off: u32) -> f64 {
    1.0 / (run_length + f64::from(hold_off.max(1)))
}

fn chains(settings: &AlarmSettings) -> anyhow::Result<Vec<(&'static str, Box<dyn Chain>)>> {
    let mut chains: Vec<(&'static str, Box<dyn Chain>)> = Vec::new();
    if let Some(votes) = settings.votes() {
        chains.push(("votes", Box::new(VotesChain::new(votes)?)));
    }
    if let Some(ewma) = settings.ewma() {
        chains.push(("ewma", Box::new(EwmaChain::new(ewma))));
    }
    if let Some(cusum) = settings.cusum() {
        chains.push(("cusum", Box::new(CusumChain(cusum))));
    }
    Ok(chains)
}
