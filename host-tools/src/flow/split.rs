//! Factoring out, for multi-scale flows.

use serde::{Deserialize, Serialize};

/// Later transforms see only the first `keep` of the active features; the others go to the base as they are
/// (Dinh et al. 2017, section 3.6).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Split {
    /// Features that go on; fewer than are active, at least one.
    pub keep: usize,
}
