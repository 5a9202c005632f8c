//! A flow in f64, from the definitions in `flowlet_tools::flow`, and its Jacobian by differences.

use flowlet_tools::flow::{Flow, Reference, Transform};

/// Moves a reading to where the device takes it to be: on its ray, no feature past 32,767 standard deviations.
pub fn saturate(flow: &Flow, reading: &mut [f64]) {
    let Some(Transform::Standardize(s)) = flow.transforms.first() else { return };
    let statistics = || s.mean.iter().zip(&s.std).map(|(&mean, &std)| (f64::from(mean), f64::from(std)));
    let distance = |(&x, (mean, std)): (&f64, (f64, f64))| ((x - mean) / std).abs();
    let farthest = reading.iter().zip(statistics()).map(distance).fold(32767.0, f64::max);
    for (x, (mean, _)) in reading.iter_mut().zip(statistics()) {
        *x = mean + (*x - mean) * (32767.0 / farthest);
    }
}

/// Where a reading goes, in f64; no determinant. Readings saturate as the device's do.
#[must_use]
pub fn map(flow: &Flow, reading: &[f64]) -> Vec<f64> {
    let mut x = reading.to_vec();
    saturate(flow, &mut x);
    Reference::from(flow).forward(&x).z
}

/// `ln |det J|` of `map` at `x` by central differences of step `h`, scaled per feature by `units`.
#[must_use]
pub fn log_det(map: impl Fn(&[f64]) -> Vec<f64>, x: &[f64], units: &[f64], h: f64) -> f64 {
    let n = x.len();
    let mut jacobian = vec![vec![0.0; n]; n];
    for column in 0..n {
        let shifted = |by: f64| {
            let mut moved = x.to_vec();
            moved[column] += by * units[column];
            (map(&moved), moved[column])
        };
        let ((up, above), (down, below)) = (shifted(h), shifted(-h));
        for row in 0..n {
            jacobian[row][column] = (up[row] - down[row]) / (above - below);
        }
    }
    log_abs_det(jacobian)
}

/// By Gaussian elimination with pivots.
fn log_abs_det(mut a: Vec<Vec<f64>>) -> f64 {
    let n = a.len();
    let mut log = 0.0;
    for k in 0..n {
        let pivot = (k..n).max_by(|&i, &j| a[i][k].abs().total_cmp(&a[j][k].abs())).unwrap_or(k);
        a.swap(k, pivot);
        log += a[k][k].abs().ln();
        let (above, below) = a.split_at_mut(k + 1);
        for row in below {
            let factor = row[k] / above[k][k];
            row.iter_mut().zip(&above[k]).skip(k).for_each(|(x, y)| *x -= factor * y);
        }
    }
    log
}

/// `ln N(z; 0, I)`.
#[must_use]
pub fn standard_normal(z: &[f64]) -> f64 {
    -0.5 * z.iter().map(|z| z * z + (2.0 * std::f64::consts::PI).ln()).sum::<f64>()
}
