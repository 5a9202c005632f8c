//! Who wants to watch, and who keeps what an interrupted training goes on from.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What training is about to do.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Rows trained on.
    pub rows: usize,
    /// Rows held out.
    pub held_out: usize,
    /// Number of inputs.
    pub features: usize,
    /// Trained parameters.
    pub parameters: usize,
    /// Epochs at most.
    pub epochs: usize,
    /// Steps per epoch.
    pub batches: usize,
    /// Threads in use.
    pub threads: usize,
    /// Vector instructions in use: `avx512`, `avx2` or `portable`.
    pub lanes: &'static str,
}

/// One pass over the training rows. Likelihoods in nats of the standardized data.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// Number, from 1.
    pub number: usize,
    /// Mean negative log-likelihood of the (noisy) training rows during the epoch.
    pub train_nll: f64,
    /// Mean negative log-likelihood of the held-out rows after it; NaN if none are held out.
    pub val_nll: f64,
    /// The same without the least likely 2 %: what the best epoch is chosen by.
    pub val_nll_trimmed: f64,
    /// Learning rate at its end.
    pub lr: f32,
    /// Time it took.
    pub duration: Duration,
}

/// Receives what happens during training. All methods do nothing by default; `()` watches nothing.
///
/// It may be called from another thread than the one that trains, one call at a time.
pub trait Progress: Send {
    /// Before the first step.
    fn start(&mut self, _plan: &Plan) {}
    /// After a step: epoch from 1, batch from 1, mean negative log-likelihood of the batch in nats
    /// (standardized).
    fn batch(&mut self, _epoch: usize, _batch: usize, _nll: f64) {}
    /// After an epoch; `best` if it is the best so far.
    fn epoch(&mut self, _epoch: &Epoch, _best: bool) {}
    /// Something worth knowing, such as a restart at a lower learning rate.
    fn note(&mut self, _message: &str) {}
    /// Who keeps states of training, so that it can go on after an interruption; nobody by default.
    fn keeper(&mut self) -> Option<&mut dyn Keeper> {
        None
    }
}

/// Keeps states of training. A run is known by a number that depends on the data, on all settings but the threads,
/// on the vector instructions and on the version of this crate: a state serves only the run that gave it.
pub trait Keeper: Send {
    /// The last state kept for this run.
    fn find(&mut self, run: u64) -> Option<Vec<u8>>;
    /// Whether a state should be kept after this epoch. The state of a run that ended is kept in any case.
    fn is_due(&self) -> bool;
    /// Keeps a state of this run instead of an earlier one.
    fn keep(&mut self, run: u64, state: Vec<u8>);
}

impl Progress for () {}
