//! Whether later rows are like earlier ones: a two-sample Kolmogorov-Smirnov test per column.
//!
//! Rows of a time series resemble their neighbours, and a test that takes them for independent finds a change everywhere.
//! So the numbers of rows that it reckons with are divided by the autocorrelation time of the column (the sum of the
//! autocorrelations up to the first that is not positive, Geyer 1992), and p-values are corrected for the number of columns
//! (Holm 1979).

/// Corrected p-values below that are a change ...
pub const SIGNIFICANT: f64 = 0.01;
/// ... if the distributions differ by this much: with very many rows any difference is significant.
pub const LEAST_STATISTIC: f64 = 0.1;
/// Rows of a block that are looked at, evenly spaced.
const MOST_ROWS: usize = 4000;

/// What the test says of a column.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Name of the column.
    pub column: String,
    /// Largest distance of the two distribution functions, 0..=1.
    pub statistic: f64,
    /// Probability of such a distance without a change, corrected for the number of columns.
    pub p_value: f64,
}

impl Change {
    /// Whether it is one, and not chance.
    #[must_use]
    pub fn is_found(&self) -> bool {
        self.p_value < SIGNIFICANT && self.statistic >= LEAST_STATISTIC
    }
}

/// Compares the columns of two blocks, each given as its values in the order of time.
#[must_use]
pub fn compare(columns: &[(String, Vec<f64>, Vec<f64>)]) -> Vec<Change> {
    let mut changes: Vec<Change> = columns
        .iter()
        .map(|(column, before, after)| {
            let (before, after) = (thinned(before), thinned(after));
            let statistic = distance(&before, &after);
            let size = 1.0 / (1.0 / effective_rows(&before) + 1.0 / effective_rows(&after));
            Change { column: column.clone(), statistic, p_value: exceedance(statistic, size) }
        })
        .collect();
    // Holm: the smallest p-value is corrected for all columns, the next for one fewer; and they stay in order.
    let mut order: Vec<usize> = (0..changes.len()).collect();
    order.sort_by(|&a, &b| changes[a].p_value.total_cmp(&changes[b].p_value));
    let mut least = 0.0_f64;
    for (rank, &index) in order.iter().enumerate() {
        least = least.max(changes[index].p_value * (order.len() - rank) as f64).min(1.0);
        changes[index].p_value = least;
    }
    changes
}

fn thinned(values: &[f64]) -> Vec<f64> {
    values.iter().copied().step_by(values.len().div_ceil(MOST_ROWS).max(1)).collect()
}

/// Largest distance of the distribution functions of two samples; 0 if one is empty.
#[must_use]
pub fn distance(a: &[f64], b: &[f64]) -> f64 {
    let sorted = |values: &[f64]| {
        let mut values = values.to_vec();
        values.sort_unstable_by(f64::total_cmp);
        values
    };
    let (a, b) = (sorted(a), sorted(b));
    let (mut i, mut j, mut most) = (0, 0, 0.0_f64);
    while i < a.len() && j < b.len() {
        let value = a[i].min(b[j]);
        while i < a.len() && a[i] <= value {
            i += 1;
        }
        while j < b.len() && b[j] <= value {
            j += 1;
        }
        most = most.max((i as f64 / a.len() as f64 - j as f64 / b.len() as f64).abs());
    }
    most
}

/// Probability that the distance is at least `statistic` without a change, for `1 / (1/n + 1/m) = size` (Stephens 1970).
#[must_use]
pub fn exceedance(statistic: f64, size: f64) -> f64 {
    let root = size.max(0.0).sqrt();
    let x = (root + 0.12 + 0.11 / root.max(1e-9)) * statistic;
    if x.is_nan() || x <= 0.2 {
        return 1.0;
    }
    let sum: f64 = (1..=100)
        .map(|k| {
            let k = f64::from(k);
            let sign = if k % 2.0 == 1.0 { 1.0 } else { -1.0 };
            sign * (-2.0 * (k * x).powi(2)).exp()
        })
        .sum();
    (2.0 * sum).clamp(0.0, 1.0)
}

/// How many independent rows a series is worth: at least 1, at most its length.
#[must_use]
pub fn effective_rows(series: &[f64]) -> f64 {
    let n = series.len() as f64;
    let mean = series.iter().sum::<f64>() / n.max(1.0);
    let centred: Vec<f64> = series.iter().map(|x| x - mean).collect();
    let variance: f64 = centred.iter().map(|x| x * x).sum();
    if variance <= 0.0 {
        return n.max(1.0);
    }
    let mut time = 1.0;
    for lag in 1..series.len() / 3 {
        let product: f64 = centred.iter().zip(&centred[lag..]).map(|(a, b)| a * b).sum();
        let correlation = product / variance;
        if correlation <= 0.0 {
            break;
        }
        time += 2.0 * correlation;
    }
    (n / time).max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::training::Random;

    /// A first-order autoregressive series.
    fn series(seed: u64, n: usize, memory: f64, shift: f64) -> Vec<f64> {
        let mut random = Random::new(seed, 0);
        let mut normal = || (0..12).map(|_| f64::from(random.uniform())).sum::<f64>() - 6.0;
        let mut x = 0.0;
        (0..n)
            .map(|_| {
                x = memory * x + (1.0 - memory * memory).sqrt() * normal();
                x + shift
            })
            .collect()
    }

    #[test]
    fn distance_and_p_value_are_those_of_scipy() {
        let a: Vec<f64> = (0..50).map(|i| f64::from(i * i % 37)).collect();
        let b: Vec<f64> = (0..40).map(|i| f64::from(i * 7 % 41)).collect();
        // scipy.stats.ks_2samp(a, b): statistic 0.155; pvalue 0.6114 with method="asymp", 0.6076 with "exact".
        assert!((distance(&a, &b) - 0.155).abs() < 1e-12, "{}", distance(&a, &b));
        let p = exceedance(distance(&a, &b), 50.0 * 40.0 / 90.0);
        assert!((p - 0.61).abs() < 0.02, "{p}");
        assert_eq!(distance(&a, &a), 0.0);
        assert_eq!(exceedance(0.0, 100.0), 1.0);
    }

    #[test]
    fn resemblance_of_neighbours_is_no_drift() {
        let block = |seed, shift| {
            ("x".to_owned(), series(seed, 2000, 0.95, 0.0), series(seed + 500, 500, 0.95, shift))
        };
        let steady = (0..200).filter(|&seed| compare(&[block(seed, 0.0)])[0].is_found()).count();
        // Taken as independent, two thirds of these would be changes.
        assert!(steady <= 6, "{steady} of 200");
        let shifted = (0..200).filter(|&seed| compare(&[block(seed, 2.0)])[0].is_found()).count();
        assert!(shifted >= 190, "{shifted} of 200");
    }

    #[test]
    fn many_columns_are_corrected_for() {
        let columns: Vec<_> = (0..40)
            .map(|i| {
                (
                    i.to_string(),
                    series(i, 300, 0.0, 0.0),
                    series(i + 90, 300, 0.0, if i == 7 { 1.0 } else { 0.0 }),
                )
            })
            .collect();
        let found: Vec<_> =
            compare(&columns).into_iter().filter(Change::is_found).map(|c| c.column).collect();
        assert_eq!(found, ["7"]);
    }
}
