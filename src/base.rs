//! Base distributions: what the chain maps normal readings to, and where the density is simple.

use crate::arithmetic::Arithmetic;
use serde::{Deserialize, Serialize};

/// The base distribution of an expert, as its descriptor names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Base {
    /// Independent standard normals: `-(sum of z^2) / 2 - n ln(2 pi) / 2`.
    StandardNormal,
}

impl Base {
    /// Log-density of `z` in nats.
    pub fn log_prob<A: Arithmetic>(self, z: &[A::Value]) -> A::Log {
        match self {
            Base::StandardNormal => A::standard_normal(z),
        }
    }
}
