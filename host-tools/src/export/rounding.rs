//! Rounding that makes up for itself: each weight's rounding error is spread over the weights not yet
//! rounded so that the layer's outputs on calibration data change least (Frantar et al. 2022, "GPTQ",
//! after Hassibi and Stork 1993, "Optimal brain surgeon"). The bias comes last and, in 32 bits, takes
//! what is left.

/// The curvature of a layer's output error, factored for sequential rounding.
pub(super) struct Compensation {
    /// Inputs in the order in which they are rounded: largest mean square first; the bias at the end.
    order: Vec<usize>,
    /// Upper Cholesky factor of the inverse curvature, row-major, in that order.
    factor: Vec<f64>,
}

/// Added to the curvature's diagonal, as a share of its mean.
const DAMPING: f64 = 0.05;

impl Compensation {
    /// From the moments of a layer's inputs and a one (see `Observed`), with inputs in integer units:
    /// `scales` per real unit. `None` if nothing was observed.
    pub(super) fn new(moments: &[f64], scales: &[f64]) -> Option<Self> {
        let size = scales.len() + 1;
        let count = moments[size * size - 1];
        if count < 1.0 {
            return None;
        }
        let scale = |i: usize| scales.get(i).copied().unwrap_or(1.0);
        let curvature = |i: usize, j: usize| moments[i * size + j] * scale(i) * scale(j) / count;
        let mut order: Vec<usize> = (0..size - 1).collect();
        order.sort_by(|&a, &b| curvature(b, b).total_cmp(&curvature(a, a)));
        order.push(size - 1);
        let mean = (0..size - 1).map(|i| curvature(i, i)).sum::<f64>() / (size - 1) as f64;
        let mut matrix = vec![0.0; size * size];
        for (i, &from) in order.iter().enumerate() {
            for (j, &to) in order.iter().enumerate() {
                matrix[i * size + j] = curvature(from, to);
            }
            matrix[i * size + i] += if i + 1 < size { DAMPING * mean + 1e-9 } else { 1e-9 };
        }
        let lower = cholesky(&matrix, size)?;
        let inverse = inverse_from_cholesky(&lower, size);
        let lower = cholesky(&inverse, size)?;
        let mut factor = vec![0.0; size * size];
        for i in 0..size {
            for j in i..size {
                factor[i * size + j] = lower[j * size + i];
            }
        }
        Some(Compensation { order, factor })
    }

    /// Rounds a row of weights, in units of the integer grid, to `-limit..=limit`; gives them and the
    /// bias that goes with them.
    pub(super) fn round(&self, weights: &[f64], bias: f64, limit: f64) -> (Vec<i32>, f64) {
        let size = self.order.len();
        let mut values: Vec<f64> =
            self.order.iter().map(|&i| weights.get(i).copied().unwrap_or(bias)).collect();
        let mut rounded = vec![0; weights.len()];
        for i in 0..size - 1 {
            let integer = values[i].round().clamp(-limit, limit);
            rounded[self.order[i]] = integer as i32;
            let row = &self.factor[i * size..][..size];
            let error = (values[i] - integer) / row[i];
            for (value, factor) in values[i + 1..].iter_mut().zip(&row[i + 1..]) {
                *value -= error * factor;
            }
        }
        (rounded, values[size - 1])
    }
}

/// Lower factor of a symmetric positive-definite matrix; `None` if it is not.
fn cholesky(matrix: &[f64], size: usize) -> Option<Vec<f64>> {
    let mut lower = vec![0.0; size * size];
    for i in 0..size {
        for j in 0..=i {
            let dot: f64 = (0..j).map(|k| lower[i * size + k] * lower[j * size + k]).sum();
            let rest = matrix[i * size + j] - dot;
            lower[i * size + j] = if i == j {
                if rest <= 0.0 {
                    return None;
                }
                rest.sqrt()
            } else {
                rest / lower[j * size + j]
            };
        }
    }
    Some(lower)
}

/// `(L L^T)^-1`, column by column.
fn inverse_from_cholesky(lower: &[f64], size: usize) -> Vec<f64> {
    let mut inverse = vec![0.0; size * size];
    for column in 0..size {
        let mut x = vec![0.0; size];
        for i in 0..size {
            let dot: f64 = (0..i).map(|k| lower[i * size + k] * x[k]).sum();
            x[i] = (f64::from(u8::from(i == column)) - dot) / lower[i * size + i];
        }
        for i in (0..size).rev() {
            let dot: f64 = (i + 1..size).map(|k| lower[k * size + i] * x[k]).sum();
            x[i] = (x[i] - dot) / lower[i * size + i];
        }
        for i in 0..size {
            inverse[i * size + column] = x[i];
        }
    }
    inverse
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Correlated inputs: rounding to nearest errs where compensated rounding does not.
    #[test]
    fn compensated_rounding_beats_rounding_to_nearest_on_correlated_inputs() {
        let mut state = 3u64;
        let mut uniform = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f64 / f64::from(1 << 24)
        };
        let inputs = 12;
        let samples: Vec<Vec<f64>> = (0..400)
            .map(|_| {
                let common = uniform();
                (0..inputs).map(|_| common + 0.3 * uniform()).chain([1.0]).collect()
            })
            .collect();
        let size = inputs + 1;
        let mut moments = vec![0.0; size * size];
        for a in &samples {
            for i in 0..size {
                for j in 0..size {
                    moments[i * size + j] += a[i] * a[j];
                }
            }
        }
        let compensation = Compensation::new(&moments, &vec![1.0; inputs]).unwrap();
        let weights: Vec<f64> = (0..inputs).map(|_| 20.0 * uniform() - 10.0).collect();
        let (rounded, bias) = compensation.round(&weights, 0.25, 127.0);
        let error = |candidate: &dyn Fn(usize) -> f64, bias: f64| -> f64 {
            samples
                .iter()
                .map(|a| {
                    let miss: f64 = (0..inputs).map(|i| (candidate(i) - weights[i]) * a[i]).sum();
                    (miss + bias - 0.25).powi(2)
                })
                .sum()
        };
        let nearest = error(&|i| weights[i].round(), 0.25);
        let compensated = error(&|i| f64::from(rounded[i]), bias);
        assert!(compensated < nearest / 4.0, "{compensated} against {nearest}");
        assert!(rounded.iter().all(|r| r.abs() <= 127));
    }

    #[test]
    fn nothing_observed_is_no_compensation() {
        assert!(Compensation::new(&[0.0; 9], &[1.0, 1.0]).is_none());
    }
}
