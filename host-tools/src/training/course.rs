//! How far a training has come: all that decides how it goes on, and that an interrupted one is resumed from.

use super::engine::Line;
use super::optimizer::Optimizer;
use super::{Epoch, Matrix, Progress, TrainConfig};
use serde::{Deserialize, Serialize};
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::time::Duration;

/// The weights that would be kept, and their merit.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Best {
    pub(super) epoch: usize,
    pub(super) score: f64,
    pub(super) parameters: Vec<Line>,
}

/// State between two epochs. Random numbers are no part of it: each draw follows from the seed and from how many
/// epochs came before.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Course {
    /// Epochs done, those that diverged included.
    pub(super) done: usize,
    /// Whether none is to follow.
    pub(super) ended: bool,
    pub(super) parameters: Vec<Line>,
    pub(super) optimizer: Optimizer,
    pub(super) best: Best,
    pub(super) history: Vec<Epoch>,
    pub(super) restarts: usize,
    /// Rows trained on, in their order, where that depends on what training made of them.
    pub(super) trusted: Option<Vec<usize>>,
    /// Of the learning rate; halved by every restart.
    pub(super) factor: f32,
    /// Time in steps, and rows that they took.
    pub(super) stepping: Duration,
    pub(super) stepped: usize,
    /// Time in all, of earlier processes.
    pub(super) earlier: Duration,
}

impl Course {
    /// Before the first epoch.
    pub(super) fn new(parameters: Vec<Line>, config: &TrainConfig) -> Self {
        Self {
            done: 0,
            ended: false,
            optimizer: Optimizer::new(&parameters, config.average),
            best: Best { epoch: 0, score: f64::INFINITY, parameters: parameters.clone() },
            parameters,
            history: Vec::new(),
            restarts: 0,
            trusted: None,
            factor: 1.0,
            stepping: Duration::ZERO,
            stepped: 0,
            earlier: Duration::ZERO,
        }
    }

    /// What the watcher kept of this run, if it fits.
    pub(super) fn find(run: Option<u64>, parameters: usize, progress: &mut dyn Progress) -> Option<Self> {
        let state = progress.keeper()?.find(run?)?;
        let found: Self = postcard::from_bytes(&state).ok()?;
        (found.parameters.len() == parameters && found.best.parameters.len() == parameters).then_some(found)
    }

    /// Has the watcher keep this state, if it is due; `elapsed` since this process began the run.
    pub(super) fn keep(&self, run: Option<u64>, elapsed: Duration, progress: &mut dyn Progress) {
        let (Some(run), Some(keeper)) = (run, progress.keeper()) else { return };
        if self.ended || keeper.is_due() {
            let state = Self { earlier: self.earlier + elapsed, ..self.clone() };
            if let Ok(bytes) = postcard::to_stdvec(&state) {
                keeper.keep(run, bytes);
            }
        }
    }
}

/// The number of a run, see [`Keeper`](super::Keeper).
pub(super) fn run_number(data: &Matrix, config: &TrainConfig, lanes: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    env!("CARGO_PKG_VERSION").hash(&mut hasher);
    lanes.hash(&mut hasher);
    // The result does not depend on the threads.
    format!("{:?}", TrainConfig { threads: 0, ..config.clone() }).hash(&mut hasher);
    (data.rows, data.columns).hash(&mut hasher);
    hasher.write(bytemuck::cast_slice(&data.values));
    hasher.finish()
}
