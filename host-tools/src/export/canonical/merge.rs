//! Neighbours that make one: scales and shifts, orders, matrices.

use crate::flow::lu::{narrow, Factors, Pivots};
use crate::flow::{
    Conditioner, Coupling, CouplingMap, Dense, ElementwiseAffine, Linear, Permutation, Standardize, Transform,
};

/// The chain with merged neighbours; none of its pairs could merge further.
pub(super) fn merge(transforms: Vec<Transform>) -> Vec<Transform> {
    let mut merged = Vec::new();
    for transform in transforms {
        push(&mut merged, transform);
    }
    merged
}

/// Appends a transform, merged with what stands last if they make one.
///
/// Scales and shifts move to the left past orders, until they meet something that takes them up; if nothing
/// does, a matrix on the right may.
fn push(chain: &mut Vec<Transform>, next: Transform) {
    if is_identity(&next) {
        return;
    }
    let Some(last) = chain.pop() else { return chain.push(next) };
    match (last, next) {
        (Transform::ElementwiseAffine(a), Transform::ElementwiseAffine(b)) => {
            push(chain, Transform::ElementwiseAffine(both(&a, &b)));
        }
        (Transform::Permutation(a), Transform::Permutation(b)) => {
            let order = b.order.iter().map(|&i| a.order[i]).collect();
            push(chain, Transform::Permutation(Permutation { order }));
        }
        (Transform::Permutation(p), Transform::ElementwiseAffine(a)) => {
            push(chain, Transform::ElementwiseAffine(before(&a, &p)));
            push(chain, Transform::Permutation(p));
        }
        (Transform::Linear(l), Transform::ElementwiseAffine(a)) => {
            push(chain, Transform::Linear(scaled_rows(&l, &a)));
        }
        (Transform::ElementwiseAffine(a), Transform::Linear(l)) => {
            push(chain, Transform::Linear(scaled_columns(&a, &l)));
        }
        (Transform::Permutation(p), Transform::Linear(l)) => match chain.pop() {
            Some(Transform::ElementwiseAffine(a)) => {
                let l = scaled_columns(&behind(&a, &p), &l);
                push(chain, Transform::Permutation(p));
                push(chain, Transform::Linear(l));
            }
            Some(Transform::Linear(first)) => product(chain, first, Some(p), l),
            other => {
                chain.extend(other);
                chain.extend([Transform::Permutation(p), Transform::Linear(l)]);
            }
        },
        (Transform::Linear(first), Transform::Linear(second)) => product(chain, first, None, second),
        (Transform::Standardize(s), Transform::ElementwiseAffine(a)) => match standardized(&s, &a) {
            Some(s) => chain.push(Transform::Standardize(s)),
            None => chain.extend([Transform::Standardize(s), Transform::ElementwiseAffine(a)]),
        },
        (Transform::Coupling(c), Transform::ElementwiseAffine(a)) => match shifted(&c, &a) {
            Some(c) => chain.push(Transform::Coupling(c)),
            None => chain.extend([Transform::Coupling(c), Transform::ElementwiseAffine(a)]),
        },
        (last, next) => chain.extend([last, next]),
    }
}

fn is_identity(transform: &Transform) -> bool {
    match transform {
        Transform::Permutation(p) => p.order.iter().enumerate().all(|(i, &from)| i == from),
        Transform::ElementwiseAffine(a) => a.log_scale.iter().chain(&a.shift).all(|&v| v == 0.0),
        _ => false,
    }
}

/// First `a`, then `b`.
fn both(a: &ElementwiseAffine, b: &ElementwiseAffine) -> ElementwiseAffine {
    let sum = |(&a, &b): (&f32, &f32)| (f64::from(a) + f64::from(b)) as f32;
    let (scales, shifts) = (gains(b), b.shift.iter());
    ElementwiseAffine {
        log_scale: a.log_scale.iter().zip(&b.log_scale).map(sum).collect(),
        shift: a
            .shift
            .iter()
            .zip(scales.iter().zip(shifts))
            .map(|(&t, (scale, &shift))| (f64::from(t) * scale + f64::from(shift)) as f32)
            .collect(),
    }
}

fn gains(a: &ElementwiseAffine) -> Vec<f64> {
    a.log_scale.iter().map(|&s| f64::from(s).exp()).collect()
}

/// What `a` behind the order is in front of it.
fn before(a: &ElementwiseAffine, p: &Permutation) -> ElementwiseAffine {
    let mut moved = a.clone();
    for (i, &from) in p.order.iter().enumerate() {
        moved.log_scale[from] = a.log_scale[i];
        moved.shift[from] = a.shift[i];
    }
    moved
}

/// What `a` in front of the order is behind it.
fn behind(a: &ElementwiseAffine, p: &Permutation) -> ElementwiseAffine {
    let pick = |values: &[f32]| p.order.iter().map(|&from| values[from]).collect();
    ElementwiseAffine { log_scale: pick(&a.log_scale), shift: pick(&a.shift) }
}

/// `D (L U x + t) + b` with `D L U = (D L D^-1) (D U)`.
fn scaled_rows(l: &Linear, a: &ElementwiseAffine) -> Linear {
    let n = l.shift.len();
    let d = gains(a);
    let mut scaled = l.clone();
    for i in 0..n {
        for j in 0..n {
            let at = i * n + j;
            if j < i {
                scaled.lower[at] = (f64::from(l.lower[at]) * d[i] / d[j]) as f32;
            } else {
                scaled.upper[at] = (f64::from(l.upper[at]) * d[i]) as f32;
            }
        }
        scaled.shift[i] = (f64::from(l.shift[i]) * d[i] + f64::from(a.shift[i])) as f32;
    }
    scaled
}

/// `L U (D x + b) + t`.
fn scaled_columns(a: &ElementwiseAffine, l: &Linear) -> Linear {
    let n = l.shift.len();
    let d = gains(a);
    let mut scaled = l.clone();
    for i in 0..n {
        let columns = scaled.upper[i * n..(i + 1) * n].iter_mut().zip(&d).skip(i);
        columns.for_each(|(u, gain)| *u = (f64::from(*u) * gain) as f32);
    }
    let matrix = l.matrix();
    for (i, row) in matrix.chunks_exact(n).enumerate() {
        let moved: f64 = row.iter().zip(&a.shift).map(|(w, &b)| w * f64::from(b)).sum();
        scaled.shift[i] = (f64::from(l.shift[i]) + moved) as f32;
    }
    scaled
}

/// Appends the product of two matrices with an order between them: one order and one matrix.
fn product(chain: &mut Vec<Transform>, first: Linear, order: Option<Permutation>, second: Linear) {
    let n = first.shift.len();
    let rows = first.matrix();
    let at = |i: usize| order.as_ref().map_or(i, |p| p.order[i]);
    let (mut matrix, mut shift) = (vec![0.0; n * n], Vec::with_capacity(n));
    for (i, row) in second.matrix().chunks_exact(n).enumerate() {
        let mut sum = f64::from(second.shift[i]);
        for (k, w) in row.iter().enumerate() {
            sum += w * f64::from(first.shift[at(k)]);
            for j in 0..n {
                matrix[i * n + j] += w * rows[at(k) * n + j];
            }
        }
        shift.push(sum);
    }
    match Factors::of(&matrix, n, Pivots::Columns) {
        Some(factors) => {
            push(chain, Transform::Permutation(Permutation { order: factors.order.clone() }));
            push(chain, Transform::Linear(factors.linear(&shift)));
        }
        // Two matrices so near to singular stay apart.
        None => {
            chain.push(Transform::Linear(first));
            chain.extend(order.map(Transform::Permutation));
            chain.push(Transform::Linear(second));
        }
    }
}

/// `((x - mean) / std) e^s + t = (x - mean') / std'`; `None` if that leaves f32.
fn standardized(s: &Standardize, a: &ElementwiseAffine) -> Option<Standardize> {
    let mut merged = s.clone();
    for (i, (gain, &shift)) in gains(a).iter().zip(&a.shift).enumerate() {
        let std = f64::from(s.std[i]) / gain;
        merged.std[i] = std as f32;
        merged.mean[i] = (f64::from(s.mean[i]) - f64::from(shift) * std) as f32;
        if !(merged.std[i].is_normal() && merged.mean[i].is_finite()) {
            return None;
        }
    }
    Some(merged)
}

/// The coupling with a shift behind it taken into its net's biases; `None` where that is not the same map: for
/// scales, which the bounded log-scale cannot take up, and for conditioning features.
fn shifted(c: &Coupling, a: &ElementwiseAffine) -> Option<Coupling> {
    let unmoved = |i: &usize| a.shift[*i] == 0.0;
    if a.log_scale.iter().any(|&s| s != 0.0) || !c.mask.given().iter().all(unmoved) {
        return None;
    }
    if matches!(c.map, CouplingMap::Spline(_)) {
        return None;
    }
    let mut c = c.clone();
    let moved = c.mask.moved();
    let last = last_layer(&mut c.conditioner)?;
    for (bias, i) in last.bias.iter_mut().zip(moved) {
        *bias = narrow(&[f64::from(*bias) + f64::from(a.shift[i])])[0];
    }
    Some(c)
}

/// The dense layer that puts out a coupling's parameters.
pub(super) fn last_layer(conditioner: &mut Conditioner) -> Option<&mut Dense> {
    match conditioner {
        Conditioner::Mlp(net) => net.layers.last_mut(),
        Conditioner::Residual(net) => Some(&mut net.last),
        Conditioner::Conv1d(_) => None,
    }
}
