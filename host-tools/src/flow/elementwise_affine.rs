//! Scale and shift of each feature.

use serde::{Deserialize, Serialize};

/// `z = x exp(log_scale) + shift` per feature; `log_det = sum(log_scale)`. ActNorm (Kingma and Dhariwal 2018,
/// "Glow") once its start has been taken from data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ElementwiseAffine {
    /// Per feature, in nats.
    pub log_scale: Vec<f32>,
    /// Per feature.
    pub shift: Vec<f32>,
}
