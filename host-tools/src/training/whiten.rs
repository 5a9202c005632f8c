//! Whitening: a fixed linear map onto the principal axes, each scaled to about one.

use crate::flow::lu::{Factors, Pivots};
use crate::flow::Transform;

/// Added to the standard deviation along an axis, so that axes with next to no variation are not blown up.
const FLOOR: f64 = 0.1;
/// Sweeps of the eigenvalue iteration; it converges quadratically, in some ten.
const MOST_SWEEPS: usize = 60;

/// Fits on the `fit` rows of `values` (row-major, `columns` a row, the first `features` whitened).
///
/// `z = D V^T (x - mean)` with V the eigenvectors of the covariance and `D = 1 / (std + 0.1)` along each. The
/// order of the axes is free, and is the one that row pivots give: the factors need no permutation.
pub(super) fn whiten(values: &[f64], (features, columns): (usize, usize), fit: &[usize]) -> Vec<Transform> {
    let n = features;
    let rows = || fit.iter().map(|&row| &values[row * columns..][..n]);
    let count = fit.len().max(1) as f64;
    let mut mean = vec![0.0; n];
    for row in rows() {
        mean.iter_mut().zip(row).for_each(|(mean, x)| *mean += x / count);
    }
    let mut covariance = vec![0.0; n * n];
    let mut centred = vec![0.0; n];
    for row in rows() {
        centred.iter_mut().zip(row).zip(&mean).for_each(|((c, x), mean)| *c = x - mean);
        for (i, sums) in covariance.chunks_exact_mut(n).enumerate() {
            sums.iter_mut().zip(&centred).for_each(|(sum, c)| *sum += centred[i] * c / count);
        }
    }
    let (variances, axes) = eigen(covariance, n);
    let mut matrix = vec![0.0; n * n];
    for (k, variance) in variances.iter().enumerate() {
        let scale = 1.0 / (variance.max(0.0).sqrt() + FLOOR);
        (0..n).for_each(|i| matrix[k * n + i] = scale * axes[i * n + k]);
    }
    // An orthogonal matrix with positive scales: never singular.
    let Some(factors) = Factors::of(&matrix, n, Pivots::Rows) else { return Vec::new() };
    let shift: Vec<f64> = factors
        .order
        .iter()
        .map(|&k| -matrix[k * n..][..n].iter().zip(&mean).map(|(w, m)| w * m).sum::<f64>())
        .collect();
    vec![Transform::Linear(factors.linear(&shift))]
}

/// Eigenvalues and, in columns, eigenvectors of a symmetric matrix, by Jacobi's rotations in a fixed order (Golub
/// and Van Loan, "Matrix Computations", 8.5).
fn eigen(mut a: Vec<f64>, n: usize) -> (Vec<f64>, Vec<f64>) {
    let mut vectors = vec![0.0; n * n];
    (0..n).for_each(|i| vectors[i * n + i] = 1.0);
    for _ in 0..MOST_SWEEPS {
        let off: f64 =
            (0..n).flat_map(|i| (0..i).map(move |j| (i, j))).map(|(i, j)| a[i * n + j].powi(2)).sum();
        let all: f64 = a.iter().map(|v| v * v).sum();
        if off <= 1e-30 * all {
            break;
        }
        for p in 0..n {
            for q in p + 1..n {
                let apq = a[p * n + q];
                if apq == 0.0 {
                    continue;
                }
                let theta = (a[q * n + q] - a[p * n + p]) / (2.0 * apq);
                let t = theta.signum() / (theta.abs() + theta.hypot(1.0));
                let c = 1.0 / t.hypot(1.0);
                let s = t * c;
                let rotate = |m: &mut [f64], i: usize, j: usize| {
                    let (x, y) = (m[i], m[j]);
                    m[i] = c * x - s * y;
                    m[j] = s * x + c * y;
                };
                for k in 0..n {
                    rotate(&mut a, k * n + p, k * n + q);
                    rotate(&mut vectors, k * n + p, k * n + q);
                }
                for k in 0..n {
                    rotate(&mut a, p * n + k, q * n + k);
                }
            }
        }
    }
    ((0..n).map(|i| a[i * n + i]).collect(), vectors)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::{Flow, Reference};
    use crate::training::random::Random;

    /// Rows of related columns: a common part, and less and less of their own.
    fn rows(n: usize, count: usize) -> Vec<f64> {
        let mut random = Random::new(3, n as u64);
        let mut normal = move || (0..12).map(|_| f64::from(random.uniform())).sum::<f64>() - 6.0;
        (0..count)
            .flat_map(|_| {
                let common = normal();
                (0..n).map(|i| 3.0 + common + normal() / (1.0 + i as f64)).collect::<Vec<_>>()
            })
            .collect()
    }

    #[test]
    fn whitened_axes_have_mean_zero_no_correlation_and_shrunk_deviations() {
        for n in [2, 5, 21] {
            let mut values = rows(n, 2000);
            let fit: Vec<usize> = (0..2000).collect();
            let transforms = whiten(&values, (n, n), &fit);
            assert_eq!(transforms.len(), 1);
            let reference = Reference::from(&Flow { features: n, transforms, ..Flow::default() });
            values.chunks_exact_mut(n).for_each(|row| row.copy_from_slice(&reference.forward(row).z));
            let moment = |i: usize, j: usize| {
                let products = values.chunks_exact(n).map(|r| r[i] * r[j]);
                products.sum::<f64>() / 2000.0
            };
            for i in 0..n {
                let mean = values.chunks_exact(n).map(|r| r[i]).sum::<f64>() / 2000.0;
                assert!(mean.abs() < 1e-4, "mean {mean}");
                // std / (std + 0.1)
                assert!(moment(i, i) < 1.0 && moment(i, i) > 0.05, "{n}, {i}: {}", moment(i, i));
                assert!((0..i).all(|j| moment(i, j).abs() < 1e-4));
            }
        }
    }

    #[test]
    fn a_constant_column_and_a_copy_do_no_harm() {
        let values: Vec<f64> = rows(3, 300).chunks_exact(3).flat_map(|r| [r[0], r[0], 0.0]).collect();
        let fit: Vec<usize> = (0..300).collect();
        let Some(Transform::Linear(l)) = whiten(&values, (3, 3), &fit).pop() else { panic!("a matrix") };
        let largest = l.matrix().into_iter().fold(0.0, |a: f64, b| a.max(b.abs()));
        assert!(largest <= 1.0 / FLOOR + 1e-3, "{largest}");
    }
}
