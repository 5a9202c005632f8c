//! How long blocks must be: the rule of Politis and White (2004, "Automatic block-length selection for the dependent
//! bootstrap", as corrected by Patton, Politis and White 2009), for the circular bootstrap.
//! In the details as the Python package `arch` has it, which it is tested against.

/// Rows at most that the rule looks at; the correlation does not change with more.
const MOST_ROWS: usize = 50_000;

/// Ranks of values, ties sharing their mean: correlation that a few wild values do not decide.
#[must_use]
pub fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut start = 0;
    for at in 1..=order.len() {
        if at == order.len() || values[order[at]] != values[order[start]] {
            let mean = (start + at - 1) as f64 / 2.0;
            order[start..at].iter().for_each(|&row| ranks[row] = mean);
            start = at;
        }
    }
    ranks
}

/// Block length, in rows, for the mean of a stationary series: 1 for independent rows, longer the longer its
/// autocorrelation lasts.
///
/// ```
/// use flowlet_tools::bootstrap::block::length;
/// assert_eq!(length(&[1.0; 50]), 1);
/// ```
#[must_use]
pub fn length(series: &[f64]) -> usize {
    let exact = exact_length(&series[..series.len().min(MOST_ROWS)]);
    exact.ceil().max(1.0) as usize
}

/// The rule's length before it is rounded up.
pub(super) fn exact_length(series: &[f64]) -> f64 {
    let n = series.len() as f64;
    if series.len() < 8 {
        return 1.0;
    }
    let mean = series.iter().sum::<f64>() / n;
    let centred: Vec<f64> = series.iter().map(|v| v - mean).collect();
    let covariance = |lag: usize| {
        centred.iter().zip(&centred[lag.min(centred.len())..]).map(|(a, b)| a * b).sum::<f64>() / n
    };
    let variance = covariance(0);
    if variance <= 0.0 {
        return 1.0;
    }
    // So many lags in a row must be insignificant: from the first of them on the correlation is taken for zero.
    let run = 5.max(n.log10() as usize);
    let most = (n.sqrt().ceil() as usize + run).min(series.len() - 2);
    let significant = 2.0 * (n.log10() / n).sqrt();
    let covariances: Vec<f64> = (0..=most).map(covariance).collect();
    let squares = |part: &[f64]| part.iter().map(|v| v * v).sum::<f64>();
    let is_large = |lag: usize| {
        let ends = squares(&centred[lag + 1..]) * squares(&centred[..centred.len() - lag - 1]);
        covariances[lag].abs() * n > significant * ends.sqrt()
    };
    let large: Vec<bool> = (0..=most).map(is_large).collect();
    let quiet = (0..=most.saturating_sub(run)).find(|&lag| !large[lag..lag + run].contains(&true));
    let bandwidth = quiet.map_or(most, |lag| 2 * lag.max(1)).min(most);
    let (mut slope, mut spectrum) = (0.0, variance);
    for (lag, &covariance) in covariances.iter().enumerate().take(bandwidth + 1).skip(1) {
        // Flat in the middle, falling to zero: the trapezoidal window.
        let window = (2.0 * (1.0 - lag as f64 / bandwidth as f64)).min(1.0);
        slope += 2.0 * window * lag as f64 * covariance;
        spectrum += 2.0 * window * covariance;
    }
    let length = (2.0 * slope * slope / (4.0 / 3.0 * spectrum * spectrum)).cbrt() * n.cbrt();
    let longest = (3.0 * n.sqrt()).min(n / 3.0).ceil();
    if length.is_finite() {
        length.min(longest)
    } else {
        longest
    }
}
