//! Base distributions.

use crate::flow::Base;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum BaseStage {
    StandardNormal,
}

impl BaseStage {
    pub(super) fn new(base: &Base, _features: usize) -> Self {
        match base {
            Base::StandardNormal => BaseStage::StandardNormal,
            other => unimplemented!("{}", other.name()),
        }
    }

    pub(super) fn log_prob(&self, z: &[f64]) -> f64 {
        match self {
            BaseStage::StandardNormal => {
                let squares: f64 = z.iter().map(|z| z * z).sum();
                -0.5 * squares - 0.5 * z.len() as f64 * (2.0 * std::f64::consts::PI).ln()
            }
        }
    }

    pub(super) fn parameters_mut(&mut self) -> Vec<&mut f64> {
        match self {
            BaseStage::StandardNormal => Vec::new(),
        }
    }
}
