//! Linear maps and elementwise affine ones.

use super::CHECKED;
use crate::flow::{ElementwiseAffine, Linear};
use flowlet::arithmetic::Arithmetic;
use flowlet::transform::{linear::Row, ElementwiseAffine as EncodedAffine, Linear as EncodedLinear};

pub(super) fn elementwise<A: Arithmetic>(
    t: &EncodedAffine<'_>,
    number: impl Fn(A::Value) -> f32,
) -> ElementwiseAffine {
    let (log_scale, shift) = t
        .features::<A>()
        .map(|(gain, shift)| {
            let gain = f64::from(A::gain_to_f32(gain).expect(CHECKED));
            (gain.ln() as f32, number(A::value(shift).expect(CHECKED)))
        })
        .unzip();
    ElementwiseAffine { log_scale, shift }
}

pub(super) fn linear<A: Arithmetic>(
    t: &EncodedLinear<'_>,
    n: usize,
    number: impl Fn(A::Value) -> f32,
) -> Linear {
    let mut linear = Linear { lower: vec![0.0; n * n], upper: vec![0.0; n * n], shift: vec![0.0; n] };
    let weight = |weights: &[u32], index: usize| A::row_weight(weights, index).expect(CHECKED);
    for (i, row) in t.rows::<A>(n) {
        match row {
            Row::Upper { diagonal, weights } => {
                linear.upper[i * n + i] = A::gain_to_f32(diagonal).expect(CHECKED);
                for j in i + 1..n {
                    linear.upper[i * n + j] = weight(weights, j - i - 1);
                }
            }
            Row::Lower { shift, weights } => {
                linear.shift[i] = number(A::value(shift).expect(CHECKED));
                linear.lower[i * n + i] = 1.0;
                for j in 0..i {
                    linear.lower[i * n + j] = weight(weights, j);
                }
            }
        }
    }
    linear
}
