//! A flow in the form that images have: what can be fused is fused, and every coupling conditions on one end
//! of the vector.

use crate::flow::{Base, Coupling, Flow, Mask, Permutation, Transform};

/// The same density with fewer, simpler steps.
pub(super) fn canonical(flow: &Flow) -> Flow {
    let mut transforms = Vec::new();
    for transform in &flow.transforms {
        match transform {
            Transform::Coupling(c) => on_one_end(c, &mut transforms),
            Transform::Permutation(p) => permute(p.order.clone(), &mut transforms),
            other => transforms.push(other.clone()),
        }
    }
    let mut base = flow.base.clone();
    if let Base::DiagonalNormal(normal) = &base {
        transforms.push(Transform::ElementwiseAffine(normal.standardizing()));
        base = Base::StandardNormal;
    }
    Flow { transforms, base, ..flow.clone() }
}

/// A coupling whose conditioning features are scattered is one on the first of them, between two orders.
fn on_one_end(c: &Coupling, to: &mut Vec<Transform>) {
    if c.mask.as_split().is_some() {
        to.push(Transform::Coupling(c.clone()));
        return;
    }
    let given = c.mask.given();
    let (n, split) = (c.mask.0.len(), given.len());
    let order: Vec<usize> = given.into_iter().chain(c.mask.moved()).collect();
    let mut back = vec![0; n];
    for (at, &from) in order.iter().enumerate() {
        back[from] = at;
    }
    permute(order, to);
    to.push(Transform::Coupling(Coupling { mask: Mask::split(n, split, true), ..c.clone() }));
    permute(back, to);
}

/// Appends an order, together with the one before it; none if nothing moves.
fn permute(order: Vec<usize>, to: &mut Vec<Transform>) {
    let mut order = order;
    if let Some(Transform::Permutation(before)) = to.last() {
        order = order.into_iter().map(|from| before.order[from]).collect();
        to.pop();
    }
    if order.iter().enumerate().any(|(at, &from)| at != from) {
        to.push(Transform::Permutation(Permutation { order }));
    }
}
