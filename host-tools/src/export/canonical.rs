//! A flow in the form that images have: what can be fused is fused, and every coupling conditions on one end
//! of the vector.

use crate::flow::{Base, Flow, Transform};

/// The same density with fewer, simpler steps.
pub(super) fn canonical(flow: &Flow) -> Flow {
    let mut flow = flow.clone();
    if let Base::DiagonalNormal(base) = &flow.base {
        flow.transforms.push(Transform::ElementwiseAffine(base.standardizing()));
        flow.base = Base::StandardNormal;
    }
    flow
}
