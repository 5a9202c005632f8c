//! Training of normalizing flows on the host, in seconds: maximum likelihood by AdamW on the tile engine.
//!
//! [`train`] takes normal readings as a [`Matrix`] and a [`TrainConfig`], and gives a
//! [`Flow`](crate::flow::Flow).

mod barrier;
mod config;
mod course;
mod engine;
mod error;
mod experts;
mod folds;
mod marginal;
mod matrix;
mod mixture;
mod multiscale;
pub(crate) mod normal;
mod optimizer;
mod preprocess;
mod progress;
pub(crate) mod random;
mod search;
mod steps;
mod structure;
mod subset;
#[cfg(test)]
mod tests;
mod trainer;
mod untrained;
mod whiten;

pub use config::{BaseKind, ConditionerKind, FlowKind, MarginalFront, MaskKind, TrainConfig};
pub use error::TrainError;
pub use experts::{auto_experts, train_experts, Experts};
pub use folds::{train_folds, Fold};
pub use matrix::Matrix;
pub use progress::{Epoch, Keeper, Plan, Progress};
pub(crate) use random::Random;
pub use search::{kinds, search, Candidate, Outcome, Search};
pub use trainer::{fitted_rows, train, Trained};
pub use untrained::untrained;
