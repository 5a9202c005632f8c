//! Distribution function of the standard normal and its inverse.

use std::f64::consts::{SQRT_2, TAU};

/// Density at `x`.
pub(crate) fn density(x: f64) -> f64 {
    (-0.5 * x * x).exp() / TAU.sqrt()
}

/// Probability below `x`.
pub(crate) fn probability(x: f64) -> f64 {
    0.5 * libm::erfc(-x / SQRT_2)
}

/// The `x` with `probability(x) == p`, for p in (0, 1).
pub(crate) fn quantile(p: f64) -> f64 {
    // Newton on the logarithm of the smaller tail from the tail's leading term: convex, so that it converges.
    let tail = p.min(1.0 - p);
    let mut x = -(-2.0 * tail.ln()).sqrt();
    for _ in 0..60 {
        let below = probability(x);
        let step = (below.ln() - tail.ln()) * below / density(x);
        x -= step;
        if step.abs() < 1e-14 * x.abs().max(1.0) {
            break;
        }
    }
    if p > 0.5 {
        -x
    } else {
        x
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_scipys_and_invert() {
        // scipy.stats.norm.ppf
        let known = [
            (1e-10, -6.361_340_902_404_056),
            (0.001, -3.090_232_306_167_813),
            (0.029_411_764_705_882_353, -1.889_509_960_333_43),
            (0.25, -0.674_489_750_196_081_7),
            (0.5, 0.0),
            (0.975, 1.959_963_984_540_054),
        ];
        for (p, x) in known {
            assert!((quantile(p) - x).abs() < 1e-9, "{p}: {}", quantile(p));
            assert!((probability(quantile(p)) / p - 1.0).abs() < 1e-9);
        }
    }
}
