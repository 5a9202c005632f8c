//! How good a detector is where no anomaly is known.
//!
//! Held-out likelihood is a poor guide: it prefers a whitened mixture where the marginal view detects best. Two other
//! measures are averaged, each at most 1:
//!
//! * **separation**: mean AUROC of normal rows against perturbed ones, of five kinds (see [`crate::selection`]);
//! * **agreement**: rank correlation (Spearman) of the candidate's scores with those of the unconstrained default, over the
//!   same rows. What is to be lost by the budget is the default's detection, and a candidate that orders rows as the
//!   default does loses none.
//!
//! Both over held-out rows and, as many, training rows: held-out ones alone are few in small tables. How well the average
//! orders candidates by AUROC on real anomalies is measured in `docs/chip-search.md`.

use crate::export::{self, Ensemble, Metadata, Numeric};
use crate::metrics::auroc;
use crate::selection::perturbed;
use crate::training::Matrix;
use serde::Serialize;

/// Normal rows of a kind at most, evenly drawn.
const MOST_ROWS: usize = 400;

/// What a candidate was found to be worth.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Worth {
    /// The mean of both: what candidates are ordered by.
    pub proxy: f64,
    /// Mean AUROC against perturbed rows.
    pub separation: f64,
    /// Rank correlation with the unconstrained default.
    pub agreement: f64,
}

/// The rows that candidates are judged on.
pub(super) struct Proxy {
    features: usize,
    /// All rows, row-major: per part normal rows, then each kind of perturbed ones.
    pub(super) rows: Vec<f32>,
    /// Numbers of rows per part and kind.
    parts: Vec<Vec<usize>>,
    /// Rank of each row in the reference's scores, per part.
    reference: Vec<Vec<f64>>,
}

impl Proxy {
    /// From the rows `held_out` of `data` and the others.
    pub(super) fn new(data: &Matrix, features: usize, held_out: &[usize]) -> Self {
        let is_held = |row: &usize| held_out.binary_search(row).is_ok();
        let (held, fit): (Vec<usize>, Vec<usize>) = (0..data.rows).partition(is_held);
        let mut proxy = Proxy { features, rows: Vec::new(), parts: Vec::new(), reference: Vec::new() };
        for rows in [held, fit] {
            let step = rows.len().div_ceil(MOST_ROWS).max(1);
            let normal: Vec<f32> =
                rows.iter().step_by(step).flat_map(|&row| data.row(row)).copied().collect();
            let mut kinds = vec![normal.clone()];
            kinds.extend(perturbed(&normal, features, data.columns));
            proxy.parts.push(kinds.iter().map(|kind| kind.len() / data.columns).collect());
            proxy.rows.extend(kinds.concat());
        }
        proxy
    }

    /// Log-densities of all rows under one flow.
    pub(super) fn log_probs(&self, flow: &crate::flow::Flow) -> Result<Vec<f32>, super::SearchError> {
        let blank = (String::new(), String::new());
        let metadata = Metadata {
            features: vec![blank.clone(); self.features],
            contexts: vec![blank; flow.contexts],
            ..Metadata::default()
        };
        let image = export::dummy(Ensemble::from(flow), Numeric::F32, &metadata, 0)?;
        Ok(export::scores(&image, &self.rows)?.iter().map(|score| score.log_prob).collect())
    }

    /// Takes these scores, larger for what is more suspicious, as those of the unconstrained default.
    pub(super) fn set_reference(&mut self, scores: &[f64]) {
        self.reference = self.split(scores).map(ranks).collect();
    }

    /// The scores of each part.
    fn split<'s>(&'s self, scores: &'s [f64]) -> impl Iterator<Item = &'s [f64]> + 's {
        let mut from = 0;
        self.parts.iter().map(move |kinds| {
            let part = &scores[from..][..kinds.iter().sum()];
            from += part.len();
            part
        })
    }

    /// What scores of all rows, larger for what is more suspicious, are worth.
    pub(super) fn worth(&self, scores: &[f64]) -> Worth {
        let (mut separation, mut agreement) = (0.0, 0.0);
        let parts = self.parts.len() as f64;
        for ((kinds, part), reference) in self.parts.iter().zip(self.split(scores)).zip(&self.reference) {
            let (normal, mut others) = part.split_at(kinds[0]);
            for &count in &kinds[1..] {
                let (kind, rest) = others.split_at(count);
                others = rest;
                let labels: Vec<bool> = (0..normal.len() + count).map(|i| i >= normal.len()).collect();
                let found = auroc(&labels, &[normal, kind].concat()).unwrap_or(0.5);
                separation += found / (kinds.len() - 1) as f64 / parts;
            }
            agreement += correlation(&ranks(part), reference) / parts;
        }
        Worth { proxy: 0.5 * (separation + agreement), separation, agreement }
    }
}

/// The rank of each value; the mean rank among equals.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut from = 0;
    for equals in order.chunk_by(|&a, &b| values[a] == values[b]) {
        let mean = from as f64 + 0.5 * (equals.len() - 1) as f64;
        equals.iter().for_each(|&row| ranks[row] = mean);
        from += equals.len();
    }
    ranks
}

/// Pearson's correlation; 0 where one side is constant.
fn correlation(a: &[f64], b: &[f64]) -> f64 {
    let n = a.len().max(1) as f64;
    let mean = |x: &[f64]| x.iter().sum::<f64>() / n;
    let (mean_a, mean_b) = (mean(a), mean(b));
    let (mut ab, mut aa, mut bb) = (0.0, 0.0, 0.0);
    for (x, y) in a.iter().zip(b) {
        let (x, y) = (x - mean_a, y - mean_b);
        (ab, aa, bb) = (ab + x * y, aa + x * x, bb + y * y);
    }
    if aa > 0.0 && bb > 0.0 {
        ab / (aa * bb).sqrt()
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_and_correlation_are_spearmans() {
        // scipy.stats.spearmanr([1, 2, 2, 5, 3], [2, 1, 4, 4, 9]) = 0.6052631578947368
        let rho = correlation(&ranks(&[1.0, 2.0, 2.0, 5.0, 3.0]), &ranks(&[2.0, 1.0, 4.0, 4.0, 9.0]));
        assert!((rho - 0.605_263_157_894_736_8).abs() < 1e-12, "{rho}");
        assert_eq!(correlation(&ranks(&[1.0; 4]), &ranks(&[1.0, 2.0, 3.0, 4.0])), 0.0);
    }

    #[test]
    fn a_detector_that_agrees_and_separates_is_worth_most() {
        let values = (0..600u16).map(|i| f32::from(i * 37 % 101)).collect();
        let data = Matrix::new(300, 2, values).expect("a matrix");
        let held: Vec<usize> = (0..300).step_by(10).collect();
        let mut proxy = Proxy::new(&data, 2, &held);
        let count = proxy.rows.len() / 2;
        assert_eq!(count, 6 * 300);
        // Distance from the middle, the same upside down, and noise.
        let far: Vec<f64> =
            proxy.rows.chunks(2).map(|r| r.iter().map(|x| f64::from((x - 50.0).powi(2))).sum()).collect();
        let near: Vec<f64> = far.iter().map(|x| -x).collect();
        let noise: Vec<f64> = (0..count).map(|i| (i * 7919 % 1801) as f64).collect();
        proxy.set_reference(&far);
        let [best, worst, none] = [&far, &near, &noise].map(|scores| proxy.worth(scores));
        assert!((best.agreement - 1.0).abs() < 1e-12 && (worst.agreement + 1.0).abs() < 1e-12);
        assert!((best.separation + worst.separation - 1.0).abs() < 1e-9, "{best:?} {worst:?}");
        assert!(none.agreement.abs() < 0.1 && (none.separation - 0.5).abs() < 0.1, "{none:?}");
        assert!(best.proxy > none.proxy && none.proxy > worst.proxy);
    }
}
