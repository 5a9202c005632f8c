//! A flow in the form that images have: what can be fused is fused, and every coupling conditions on one end
//! of the vector.
//!
//! The density stays what it was: exactly where only orders change, to the rounding of merged parameters to f32
//! where scales, shifts and matrices merge. So does the order of z.

mod layout;
mod merge;
#[cfg(test)]
mod tests;

use crate::flow::{Base, Flow, Mixture, Transform};

/// The same densities with fewer, simpler steps. Several flows keep the standardizer that they share; that of a
/// single one takes up scales and shifts behind it.
pub(super) fn canonical(flows: &[Flow]) -> Vec<Flow> {
    flows.iter().map(|flow| canonical_one(flow, flows.len() == 1)).collect()
}

fn canonical_one(flow: &Flow, owns_standardizer: bool) -> Flow {
    let mut transforms = flow.transforms.clone();
    let base = standard(flow, &mut transforms);
    let shared = match transforms.first() {
        Some(Transform::Standardize(_)) if !owns_standardizer => Some(transforms.remove(0)),
        _ => None,
    };
    let merged = shared.into_iter().chain(merge::merge(transforms)).collect();
    Flow { transforms: layout::arrange(merged, flow.features), base, ..flow.clone() }
}

/// Independent normals are standard ones behind a scale and a shift, or, where later steps see only some of
/// the features, a mixture of one.
fn standard(flow: &Flow, transforms: &mut Vec<Transform>) -> Base {
    let Base::DiagonalNormal(b) = &flow.base else { return flow.base.clone() };
    if transforms.iter().any(|t| matches!(t, Transform::Split(_))) {
        return Base::Mixture(Mixture {
            log_weights: vec![0.0],
            means: b.mean.clone(),
            log_std: b.log_std.clone(),
        });
    }
    transforms.push(Transform::ElementwiseAffine(b.standardizing()));
    Base::StandardNormal
}
