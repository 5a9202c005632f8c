//! Fits the monotone map of each feature from the quantiles of the data to those of a standard normal.
//!
//! The data are smeared by a normal of [`SMEAR`] standard deviations, in the exact sense: the distribution
//! function is that of the mixture of normals around the values. So no two quantiles coincide, whatever the
//! column repeats, and nothing is drawn at random. Slopes between knots stay within 0.004 and 25: the
//! smeared density is at most 2.7, and the soft tail ends at 14.4.

use super::normal::{density, probability, quantile};
use crate::flow::{Marginal, MarginalKind, MarginalMap};

/// Standard deviation of the smearing, in standard deviations of the data.
const SMEAR: f64 = 0.15;
/// Bounds of the tails' slopes: a steeper one would blow noise up, a flatter one hide what is far out.
const TAIL_SLOPES: (f64, f64) = (0.25, 3.0);
/// Bounds of the derivatives between.
const DERIVATIVES: (f64, f64) = (1.0 / 256.0, 256.0);
/// A tail's slope is the mean one out to a probability this much smaller than that of the last knot.
const TAIL_REACH: f64 = 8.0;
/// Order statistics that stand for the data.
const MOST_CENTRES: usize = 512;

/// A column's values as a mixture of equal normals.
struct Smeared {
    /// Ascending.
    centres: Vec<f64>,
    /// Their deviation.
    width: f64,
}

impl Smeared {
    fn new(mut values: Vec<f64>, width: f64) -> Self {
        values.sort_unstable_by(f64::total_cmp);
        let n = values.len();
        if n > MOST_CENTRES {
            // Means of equal shares of the ordered values.
            let share = |i: usize| i * n / MOST_CENTRES;
            values = (0..MOST_CENTRES)
                .map(|i| {
                    let part = &values[share(i)..share(i + 1)];
                    part.iter().sum::<f64>() / part.len() as f64
                })
                .collect();
        }
        Self { centres: values, width }
    }

    fn mean(&self, f: impl Fn(f64) -> f64) -> f64 {
        self.centres.iter().map(|&c| f(c)).sum::<f64>() / self.centres.len() as f64
    }

    fn probability(&self, x: f64) -> f64 {
        self.mean(|c| probability((x - c) / self.width))
    }

    fn density(&self, x: f64) -> f64 {
        self.mean(|c| density((x - c) / self.width)) / self.width
    }

    /// By bisection, which no shape of the distribution disturbs.
    fn quantile(&self, p: f64) -> f64 {
        let reach = 40.0 * self.width;
        let (mut low, mut high) = (self.centres[0] - reach, self.centres[self.centres.len() - 1] + reach);
        for _ in 0..60 {
            let middle = 0.5 * (low + high);
            if self.probability(middle) < p {
                low = middle;
            } else {
                high = middle;
            }
        }
        0.5 * (low + high)
    }
}

/// The map of one column, of which there is at least one value, with `knots` of them.
fn map(values: Vec<f64>, form: MarginalKind, knots: usize) -> MarginalMap {
    let smeared = Smeared::new(values, SMEAR);
    let levels: Vec<f64> = (0..knots).map(|k| (k as f64 + 0.5) / knots as f64).collect();
    let x: Vec<f64> = levels.iter().map(|&p| smeared.quantile(p)).collect();
    let y: Vec<f64> = levels.iter().map(|&p| quantile(p)).collect();
    let tail = |end: usize, p: f64| {
        let slope = (quantile(p) - y[end]) / (smeared.quantile(p) - x[end]);
        slope.clamp(TAIL_SLOPES.0, TAIL_SLOPES.1)
    };
    let far = levels[0] / TAIL_REACH;
    let (left, right) = (tail(0, far), tail(knots - 1, 1.0 - far));
    let slopes = match form {
        MarginalKind::Linear => vec![left, right],
        MarginalKind::RationalQuadratic => {
            // d quantile(F(x)) / dx.
            let derivative = |k: usize| smeared.density(x[k]) / density(y[k]);
            let mut slopes: Vec<f64> =
                (0..knots).map(|k| derivative(k).clamp(DERIVATIVES.0, DERIVATIVES.1)).collect();
            (slopes[0], slopes[knots - 1]) = (left, right);
            slopes
        }
    };
    let narrow = |values: &[f64]| values.iter().map(|&v| v as f32).collect();
    MarginalMap { x: narrow(&x), y: narrow(&y), slopes: narrow(&slopes) }
}

/// Maps of `knots` for all features from `rows` of `values` (row-major, `stride` a row, features first).
pub(crate) fn fit(
    values: &[f64],
    (features, stride): (usize, usize),
    rows: &[usize],
    (form, knots): (MarginalKind, usize),
) -> Marginal {
    let column = |i: usize| rows.iter().map(|&row| values[row * stride + i]).collect();
    Marginal { form, features: (0..features).map(|i| map(column(i), form, knots)).collect() }
}

/// A straight line per feature that gives mean 0 and standard deviation 1, as a map of two knots.
///
/// For values that a standardizer cannot reach, as it stands in front of the chain.
pub(crate) fn standardize(values: &[f64], (features, stride): (usize, usize), rows: &[usize]) -> Marginal {
    let map = |i: usize| {
        let value = |&row: &usize| values[row * stride + i];
        let n = rows.len() as f64;
        let mean = rows.iter().map(value).sum::<f64>() / n;
        let variance = rows.iter().map(|row| (value(row) - mean).powi(2)).sum::<f64>() / n;
        // A pixel that never changes is not worth more than a hundredth of a logit.
        let std = variance.sqrt().max(0.01);
        let x = vec![(mean - 2.0 * std) as f32, (mean + 2.0 * std) as f32];
        let slope = 4.0 / (x[1] - x[0]);
        MarginalMap { x, y: vec![-2.0, 2.0], slopes: vec![slope; 2] }
    };
    Marginal { form: MarginalKind::Linear, features: (0..features).map(map).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::training::random::Random;

    const KNOTS: usize = 17;

    fn gaussian(random: &mut Random) -> f64 {
        (0..12).map(|_| f64::from(random.uniform())).sum::<f64>() - 6.0
    }

    #[test]
    fn normal_data_are_mapped_by_the_smearing_alone() {
        let mut random = Random::new(1, 1);
        let values: Vec<f64> = (0..20_000).map(|_| gaussian(&mut random)).collect();
        // Smeared by s, a standard normal has the deviation sqrt(1 + s^2).
        let slope = 1.0 / (1.0 + SMEAR * SMEAR).sqrt();
        for form in [MarginalKind::Linear, MarginalKind::RationalQuadratic] {
            let map = map(values.clone(), form, KNOTS);
            assert_eq!(map.x.len(), KNOTS);
            for (x, y) in map.x.iter().zip(&map.y) {
                assert!((f64::from(*x) * slope - f64::from(*y)).abs() < 0.04, "{x} to {y}");
            }
            let ends = [map.slopes[0], map.slopes[map.slopes.len() - 1]];
            assert!(ends.iter().all(|s| (f64::from(*s) - slope).abs() < 0.15), "{ends:?}");
        }
    }

    #[test]
    fn discrete_and_wild_columns_have_no_bin_without_width_and_bounded_slopes() {
        let mut random = Random::new(2, 1);
        let columns: [Vec<f64>; 4] = [
            vec![0.0; 300],
            (0..300).map(|i| if i % 40 == 0 { 6.0 } else { -0.16 }).collect(),
            (0..300).map(|i| f64::from(i % 3) - 1.0).collect(),
            (0..300).map(|i| if i == 0 { 14.4 } else { gaussian(&mut random) * 0.01 }).collect(),
        ];
        for values in columns {
            for form in [MarginalKind::Linear, MarginalKind::RationalQuadratic] {
                let map = map(values.clone(), form, KNOTS);
                for (x, y) in map.x.windows(2).zip(map.y.windows(2)) {
                    let slope = (y[1] - y[0]) / (x[1] - x[0]);
                    assert!(x[1] > x[0] && (1.0 / 256.0..=64.0).contains(&slope), "{slope}: {map:?}");
                }
                let ends = [map.slopes[0], map.slopes[map.slopes.len() - 1]];
                assert!(ends.iter().all(|s| (0.25..=3.0).contains(s)), "{ends:?}");
                assert!(map.slopes.iter().all(|s| (1.0 / 256.0..=256.0).contains(s)));
            }
        }
    }

    #[test]
    fn a_fit_draws_nothing_and_uses_its_rows_only() {
        let values: Vec<f64> = (0..200).map(|i| f64::from(i * 37 % 101) / 30.0).collect();
        let rows: Vec<usize> = (0..80).collect();
        let one = fit(&values, (2, 2), &rows, (MarginalKind::Linear, KNOTS));
        let mut other = values.clone();
        other[170..].fill(9.0);
        assert_eq!(one, fit(&other, (2, 2), &rows, (MarginalKind::Linear, KNOTS)));
        assert_ne!(one.features[0], one.features[1]);
    }
}
