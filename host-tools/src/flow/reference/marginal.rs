//! Monotone maps of single features.

use crate::flow::Marginal;

#[derive(Clone, Debug, PartialEq)]
pub(super) struct MarginalStage;

impl MarginalStage {
    pub(super) fn new(_t: &Marginal) -> Self {
        unimplemented!("marginal")
    }

    pub(super) fn forward(&self, _x: &[f64]) -> (Vec<f64>, f64) {
        unimplemented!("marginal")
    }

    pub(super) fn inverse(&self, _z: &[f64]) -> Vec<f64> {
        unimplemented!("marginal")
    }
}
