//! Fixed reorderings.

use serde::{Deserialize, Serialize};

/// A fixed reordering of the active features; `log_det = 0`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Permutation {
    /// `z[i] = x[order[i]]`; each index once.
    pub order: Vec<usize>,
}
