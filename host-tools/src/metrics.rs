//! How well scores separate anomalous from normal rows.

/// Area under the ROC curve: the chance that an anomalous row scores above a normal one, ties counted half.
///
/// `None` without both kinds of rows. A NaN ranks above every number.
///
/// ```
/// use flowlet_tools::metrics::auroc;
/// assert_eq!(auroc(&[false, true, false, true], &[0.1, 0.4, 0.35, 0.8]), Some(1.0));
/// assert_eq!(auroc(&[false, true], &[1.0, 1.0]), Some(0.5));
/// assert_eq!(auroc(&[false], &[1.0]), None);
/// ```
///
/// # Panics
/// If the slices differ in length.
#[must_use]
pub fn auroc(anomalous: &[bool], scores: &[f64]) -> Option<f64> {
    let positives = anomalous.iter().filter(|a| **a).count() as f64;
    let negatives = anomalous.len() as f64 - positives;
    if positives == 0.0 || negatives == 0.0 {
        return None;
    }
    // Twice the number of pairs in the right order, ties counting one: whole numbers, exact in f64.
    let mut twice_won = 0.0;
    let mut negatives_above = negatives;
    for (hits, misses) in tied_groups(anomalous, scores) {
        negatives_above -= misses;
        twice_won += hits * (2.0 * negatives_above + misses);
    }
    Some(twice_won / (2.0 * positives * negatives))
}

/// Average precision: precision at every distinct threshold, weighted by the recall gained there (no
/// interpolation, as scikit-learn defines it).
///
/// `None` without an anomalous row. A NaN ranks above every number.
///
/// # Panics
/// If the slices differ in length.
#[must_use]
pub fn average_precision(anomalous: &[bool], scores: &[f64]) -> Option<f64> {
    let positives = anomalous.iter().filter(|a| **a).count() as f64;
    if positives == 0.0 {
        return None;
    }
    let (mut found, mut taken, mut sum) = (0.0, 0.0, 0.0);
    for (hits, misses) in tied_groups(anomalous, scores) {
        found += hits;
        taken += hits + misses;
        sum += hits / positives * (found / taken);
    }
    Some(sum)
}

/// Mean without the largest `fraction` of the values (rounded down to whole values): a density's average
/// that one far-out reading does not decide. `None` without values; a NaN counts as largest.
///
/// ```
/// use flowlet_tools::metrics::trimmed_mean;
/// assert_eq!(trimmed_mean(&[1.0, 2.0, 3.0, 1e9], 0.25), Some(2.0));
/// ```
#[must_use]
pub fn trimmed_mean(values: &[f64], fraction: f64) -> Option<f64> {
    let dropped = (values.len() as f64 * fraction.clamp(0.0, 1.0)).floor() as usize;
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted.truncate(values.len() - dropped);
    mean(&sorted)
}

/// Arithmetic mean; `None` without values.
#[must_use]
pub fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// How many anomalous and normal rows share each distinct score, highest score first.
fn tied_groups(anomalous: &[bool], scores: &[f64]) -> Vec<(f64, f64)> {
    assert_eq!(anomalous.len(), scores.len(), "one label per score");
    let mut order: Vec<usize> = (0..scores.len()).collect();
    // Adding zero makes -0.0 and 0.0 one score.
    let key = |index: usize| if scores[index].is_nan() { f64::NAN.abs() } else { scores[index] + 0.0 };
    order.sort_unstable_by(|&a, &b| key(b).total_cmp(&key(a)));
    let mut groups: Vec<(f64, f64)> = Vec::new();
    let mut last = None;
    for index in order {
        let bits = key(index).to_bits();
        if last != Some(bits) {
            groups.push((0.0, 0.0));
            last = Some(bits);
        }
        if let Some(group) = groups.last_mut() {
            if anomalous[index] {
                group.0 += 1.0;
            } else {
                group.1 += 1.0;
            }
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::{auroc, average_precision, trimmed_mean};

    /// Expected values from scikit-learn and NumPy, see `data/metrics/make_expected.py`.
    #[test]
    fn as_scikit_learn_computes_them() {
        let cases: Vec<serde_json::Value> =
            serde_json::from_str(include_str!("../data/metrics/expected.json")).expect("the committed file");
        assert!(cases.len() >= 8);
        for case in cases {
            let numbers =
                |key: &str| -> Vec<f64> { serde_json::from_value(case[key].clone()).expect("numbers") };
            let labels: Vec<bool> = numbers("labels").iter().map(|&l| l == 1.0).collect();
            let scores = numbers("scores");
            let name = &case["name"];
            let close = |found: Option<f64>, expected: &serde_json::Value| {
                let (found, expected) = (found.expect("defined"), expected.as_f64().expect("a number"));
                assert!(
                    (found - expected).abs() <= 1e-12 * expected.abs().max(1.0),
                    "{name}: {found} {expected}"
                );
            };
            close(auroc(&labels, &scores), &case["auroc"]);
            close(average_precision(&labels, &scores), &case["average_precision"]);
            close(trimmed_mean(&scores, 0.01), &case["mean_without_top_1_percent"]);
            close(trimmed_mean(&scores, 0.25), &case["mean_without_top_25_percent"]);
        }
    }

    #[test]
    fn undefined_without_both_kinds() {
        assert_eq!(auroc(&[true, true], &[1.0, 2.0]), None);
        assert_eq!(average_precision(&[false], &[1.0]), None);
        assert_eq!(trimmed_mean(&[], 0.01), None);
        assert_eq!(trimmed_mean(&[1.0], 1.0), None);
    }

    #[test]
    fn infinities_zeros_and_nan_have_a_rank() {
        let labels = [false, false, true, true];
        assert_eq!(auroc(&labels, &[f64::NEG_INFINITY, 0.0, f64::INFINITY, f64::NAN]), Some(1.0));
        assert_eq!(auroc(&labels, &[0.0, -0.0, -0.0, 0.0]), Some(0.5));
        assert_eq!(auroc(&labels, &[-f64::NAN, f64::NAN, f64::NAN, -f64::NAN]), Some(0.5));
    }
}
