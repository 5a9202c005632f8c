//! A flow in f64, from the definitions in `flowlet_tools::flow`, and its Jacobian by differences.

use flowlet_tools::flow::{Flow, Transform};

/// Where a reading goes, in f64; no determinant.
#[must_use]
pub fn map(flow: &Flow, reading: &[f64]) -> Vec<f64> {
    let mut x = reading.to_vec();
    for transform in &flow.transforms {
        x = apply(transform, x);
    }
    x
}

fn apply(transform: &Transform, mut x: Vec<f64>) -> Vec<f64> {
    match transform {
        Transform::Standardize(s) => {
            let parameters = s.mean.iter().zip(&s.std);
            let z = x.iter().zip(parameters).map(|(x, (&m, &s))| (x - f64::from(m)) / f64::from(s));
            z.map(|z| z.clamp(-32767.0, 32767.0)).collect()
        }
        Transform::SoftTail(t) => {
            let knee = f64::from(t.knee);
            let soft = |x: f64| match x.abs() - knee {
                beyond if beyond > 0.0 => (knee + beyond.ln_1p()).copysign(x),
                _ => x,
            };
            x.into_iter().map(soft).collect()
        }
        Transform::Permutation(p) => p.order.iter().map(|&from| x[from]).collect(),
        Transform::AffineCoupling(c) => {
            let (from, to) = if c.condition_on_first {
                (0..c.split, c.split..x.len())
            } else {
                (c.split..x.len(), 0..c.split)
            };
            let limit = f64::from(c.input_limit);
            let mut h: Vec<f64> = x[from].iter().map(|x| x.clamp(-limit, limit)).collect();
            for (index, layer) in c.conditioner.layers.iter().enumerate() {
                let row = |r: usize| {
                    let weights = &layer.weights[r * layer.inputs..][..layer.inputs];
                    let sum: f64 = weights.iter().zip(&h).map(|(&w, h)| f64::from(w) * h).sum();
                    sum + f64::from(layer.bias[r])
                };
                let y: Vec<f64> = (0..layer.outputs).map(row).collect();
                let is_last = index + 1 == c.conditioner.layers.len();
                h = if is_last { y } else { y.into_iter().map(|y| y.max(0.0)).collect() };
            }
            let clamp = f64::from(c.clamp);
            let moved = to.len();
            for (i, x) in x[to].iter_mut().enumerate() {
                *x = *x * (clamp * (h[moved + i] / clamp).tanh()).exp() + h[i];
            }
            x
        }
    }
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
