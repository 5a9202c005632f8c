//! The same training over again with other rows held out, so that more rows are judged by a flow that never saw them.

use super::{train, Matrix, TrainConfig, TrainError};
use crate::flow::Flow;
use rayon::prelude::*;

/// Flows of one fold.
#[derive(Clone, Debug)]
pub struct Fold {
    /// One per expert.
    pub flows: Vec<Flow>,
    /// Rows that none of them saw, ascending.
    pub holdout_rows: Vec<usize>,
}

/// Trains one flow per expert in each of the folds `1..=folds`; fold 0 is what `experts` themselves hold out. The folds run
/// side by side, each with one thread. `done` is called after each.
///
/// Deterministic as [`train`] is.
///
/// # Errors
/// As [`train`], of the first fold that failed.
pub fn train_folds(
    data: &Matrix,
    experts: &[TrainConfig],
    folds: usize,
    done: &(dyn Fn() + Sync),
) -> Result<Vec<Fold>, TrainError> {
    let threads = experts.first().map_or(0, |config| config.threads);
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .map_err(|e| TrainError::Threads { threads, reason: e.to_string() })?;
    let one = |fold: usize| {
        let mut holdout_rows = Vec::new();
        let mut flows = Vec::with_capacity(experts.len());
        for config in experts {
            let config = TrainConfig { fold, threads: 1, ..config.clone() };
            let trained = train(data, &config, &mut ())?;
            holdout_rows = trained.holdout_rows;
            flows.push(trained.flow);
        }
        done();
        Ok(Fold { flows, holdout_rows })
    };
    pool.install(|| (1..=folds).into_par_iter().map(one).collect())
}
