//! Triangular factors of a matrix, in f64 by elimination with pivots.

use super::Linear;

/// Unit lower and upper triangular factors of a matrix with its rows or its columns in another order.
#[derive(Clone, Debug)]
pub(crate) struct Factors {
    /// `n x n`, row-major.
    pub(crate) lower: Vec<f64>,
    /// `n x n`, row-major.
    pub(crate) upper: Vec<f64>,
    /// Which row or column of the matrix stands at each place.
    pub(crate) order: Vec<usize>,
}

/// What changes places, to bring the largest candidate to the diagonal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pivots {
    /// `matrix[order[i]][j] = (L U)[i][j]`; no element of L is above one.
    Rows,
    /// `matrix[i][order[j]] = (L U)[i][j]`; no element of U is above the diagonal one of its row.
    Columns,
}

impl Factors {
    /// Factors `matrix`, row-major and `n x n`; `None` if it is singular or holds what is not finite.
    pub(crate) fn of(matrix: &[f64], n: usize, pivots: Pivots) -> Option<Self> {
        let mut upper = matrix.to_vec();
        let mut lower = vec![0.0; n * n];
        let mut order: Vec<usize> = (0..n).collect();
        for k in 0..n {
            let at = |i: usize| match pivots {
                Pivots::Rows => upper[i * n + k].abs(),
                Pivots::Columns => upper[k * n + i].abs(),
            };
            let pivot = (k..n).max_by(|&i, &j| at(i).total_cmp(&at(j)).then(j.cmp(&i)))?;
            order.swap(k, pivot);
            for i in 0..n {
                match pivots {
                    Pivots::Rows => {
                        upper.swap(k * n + i, pivot * n + i);
                        lower.swap(k * n + i, pivot * n + i);
                    }
                    Pivots::Columns => upper.swap(i * n + k, i * n + pivot),
                }
            }
            let diagonal = upper[k * n + k];
            if !(diagonal.is_normal()) {
                return None;
            }
            lower[k * n + k] = 1.0;
            for i in k + 1..n {
                let factor = upper[i * n + k] / diagonal;
                lower[i * n + k] = factor;
                upper[i * n + k] = 0.0;
                for j in k + 1..n {
                    upper[i * n + j] -= factor * upper[k * n + j];
                }
            }
        }
        Some(Factors { lower, upper, order })
    }

    /// As parameters of a flow.
    pub(crate) fn linear(&self, shift: &[f64]) -> Linear {
        Linear { lower: narrow(&self.lower), upper: narrow(&self.upper), shift: narrow(shift) }
    }
}

pub(crate) fn narrow(values: &[f64]) -> Vec<f32> {
    values.iter().map(|&v| v as f32).collect()
}

impl Linear {
    /// `L U` as a dense matrix, row-major.
    pub(crate) fn matrix(&self) -> Vec<f64> {
        let n = self.shift.len();
        let mut matrix = vec![0.0; n * n];
        for i in 0..n {
            for k in 0..=i {
                let factor = if k == i { 1.0 } else { f64::from(self.lower[i * n + k]) };
                for j in k..n {
                    matrix[i * n + j] += factor * f64::from(self.upper[k * n + j]);
                }
            }
        }
        matrix
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factors_multiply_to_the_matrix() {
        let mut state = 5u64;
        let mut uniform = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f64 / f64::from(1 << 23) - 1.0
        };
        for n in [1, 2, 3, 8, 33] {
            let matrix: Vec<f64> = (0..n * n).map(|_| uniform()).collect();
            for pivots in [Pivots::Rows, Pivots::Columns] {
                let f = Factors::of(&matrix, n, pivots).expect("it has full rank");
                for i in 0..n {
                    for j in 0..n {
                        let product: f64 = (0..n).map(|k| f.lower[i * n + k] * f.upper[k * n + j]).sum();
                        let want = match pivots {
                            Pivots::Rows => matrix[f.order[i] * n + j],
                            Pivots::Columns => matrix[i * n + f.order[j]],
                        };
                        assert!((product - want).abs() < 1e-9, "{n} {pivots:?}: {product} for {want}");
                        assert!(i >= j || f.lower[i * n + j] == 0.0);
                        assert!(i <= j || f.upper[i * n + j] == 0.0);
                    }
                }
            }
        }
        assert!(Factors::of(&[1.0, 2.0, 2.0, 4.0], 2, Pivots::Rows).is_none());
        assert!(Factors::of(&[f64::NAN; 4], 2, Pivots::Columns).is_none());
    }
}
