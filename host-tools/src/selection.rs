//! Which statistic an image should use: the log-density, unless another separates labelled anomalies clearly better
//! from held-out normal readings.
//!
//! Without labelled anomalies, normal readings are perturbed as faults perturb them (a drifting sensor, channels
//! that no longer belong together, larger swings, noise, and sensors that stand still), and how the statistics separate
//! those is told. It does not choose: a perturbation is only a guess at what will go wrong, and where it preferred
//! another statistic on real tables, real anomalies were found less well by it (`docs/evaluation.md` has figures).

use crate::export::{self, ImageFile, Statistic};
use crate::metrics::auroc;
use crate::training::Random;
use serde_json::{json, Value};

/// How much AUROC another statistic must gain over the log-density on labelled anomalies.
pub const MARGIN: f64 = 0.01;
/// Fewest labelled anomalies that are believed.
const MIN_ANOMALIES: usize = 5;
/// Normal rows that are perturbed, evenly drawn.
const MOST_ROWS: usize = 1000;
/// Seed of the perturbations: the same rows give the same choice.
const SEED: u64 = 0x7e57;

/// A statistic's name on the command line and in JSON.
#[must_use]
pub fn name(statistic: Statistic) -> &'static str {
    match statistic {
        Statistic::NegativeLogProb => "log-prob",
        Statistic::SquaredNorm => "squared-norm",
        Statistic::Typicality => "typicality",
    }
}

/// What the statistics were judged by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Basis {
    /// Rows labelled anomalous.
    Labels,
    /// Normal rows, perturbed.
    Perturbations,
}

/// A chosen statistic, and how each of them separates.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Selection {
    /// The statistic to use.
    pub statistic: Statistic,
    /// Whether it was asked for, and not chosen.
    pub asked: bool,
    /// AUROC of each, in the order of [`Statistic::ALL`]; the mean over kinds of perturbations.
    pub auroc: [f64; 3],
    /// What AUROC was measured on.
    pub basis: Basis,
}

/// Judges the statistics of `image` on held-out `normal` rows against `anomalies`, if there are at least 5, or
/// against perturbed normal rows; all row-major over the image's inputs. `asked` overrules the judgement.
///
/// # Errors
/// What the scorer reports.
pub fn select(
    image: &ImageFile,
    normal: &[f32],
    anomalies: Option<&[f32]>,
    asked: Option<Statistic>,
) -> Result<Selection, flowlet::Error> {
    let model = image.model()?;
    let (features, inputs) = (model.features(), model.inputs());
    let anomalies = anomalies.filter(|rows| rows.len() >= MIN_ANOMALIES * inputs);
    let (basis, kinds) = match anomalies {
        Some(rows) => (Basis::Labels, vec![rows.to_vec()]),
        None => (Basis::Perturbations, perturbed(normal, features, inputs).to_vec()),
    };
    let of_normal = export::statistics(image, normal)?;
    let mut mean = [0.0; 3];
    for rows in &kinds {
        let of_rows = export::statistics(image, rows)?;
        let labels: Vec<bool> =
            (0..of_normal.len() + of_rows.len()).map(|index| index >= of_normal.len()).collect();
        for (mean, statistic) in mean.iter_mut().zip(Statistic::ALL) {
            let values: Vec<f64> = of_normal.iter().chain(&of_rows).map(|s| value(s, statistic)).collect();
            *mean += auroc(&labels, &values).unwrap_or(0.5) / kinds.len() as f64;
        }
    }
    let best = (1..3).fold(0, |best, i| if mean[i] > mean[best] { i } else { best });
    let best = if basis == Basis::Labels && mean[best] > mean[0] + MARGIN { best } else { 0 };
    let statistic = asked.unwrap_or(Statistic::ALL[best]);
    Ok(Selection { statistic, asked: asked.is_some(), auroc: mean, basis })
}

fn value(statistics: &flowlet::Statistics, statistic: Statistic) -> f64 {
    f64::from(match statistic {
        Statistic::NegativeLogProb => statistics.negative_log_prob.value,
        Statistic::SquaredNorm => statistics.squared_norm.value,
        Statistic::Typicality => statistics.typicality.value,
    })
}

impl Selection {
    /// One line that says why.
    #[must_use]
    pub fn reason(&self) -> String {
        let [log_prob, squared_norm, typicality] = self.auroc;
        let found = format!(
            "AUROC against {} is {log_prob:.3} for log-prob, {squared_norm:.3} for squared-norm, {typicality:.3} for \
             typicality",
            match self.basis {
                Basis::Labels => "the labelled anomalies",
                Basis::Perturbations => "perturbed held-out rows",
            }
        );
        if self.asked {
            format!("as asked; {found}")
        } else {
            match self.basis {
                Basis::Labels => format!("{found}; log-prob unless another is better by {MARGIN}"),
                Basis::Perturbations => {
                    format!("{found}; log-prob where no labelled anomalies say otherwise")
                }
            }
        }
    }

    /// The AUROC of each statistic by name, and what it was measured on.
    #[must_use]
    pub fn json(&self) -> Value {
        let mut json = json!({});
        for (statistic, auroc) in Statistic::ALL.into_iter().zip(self.auroc) {
            json[name(statistic)] = json!(auroc);
        }
        json["basis"] = match self.basis {
            Basis::Labels => "labels".into(),
            Basis::Perturbations => "perturbations".into(),
        };
        json
    }
}

/// Perturbed copies of normal rows, one table per kind; context stays as it is. Always the same for the same rows.
#[must_use]
pub fn perturbed(normal: &[f32], features: usize, inputs: usize) -> [Vec<f32>; 5] {
    let all: Vec<&[f32]> = normal.chunks_exact(inputs).collect();
    let step = all.len().div_ceil(MOST_ROWS).max(1);
    let rows: Vec<&[f32]> = all.iter().copied().step_by(step).collect();
    let (mean, std): (Vec<f64>, Vec<f64>) = (0..features).map(|column| moments(&rows, column)).unzip();
    let mut random = Random::new(SEED, 0);
    let mut uniform = move || f64::from(random.uniform());
    let mut kinds: [Vec<f32>; 5] = Default::default();
    for (index, &row) in rows.iter().enumerate() {
        let at = |share: f64, n: usize| ((share * n as f64) as usize).min(n.saturating_sub(1));
        // A sensor that drifts by 1.5 to 5 standard deviations.
        let (drifting, size) = (at(uniform(), features), 1.5 + 3.5 * uniform());
        let size = if uniform() < 0.5 { -size } else { size };
        // Each feature is exchanged, or stands still, with even chances; one at least.
        let other = rows[(index + 1 + at(uniform(), rows.len() - 1)) % rows.len()];
        let swing = 1.5 + 1.5 * uniform();
        let always = at(uniform(), features);
        let mut tables = kinds.iter_mut();
        let mut push = |change: &mut dyn FnMut(usize, f64) -> f64| {
            if let Some(table) = tables.next() {
                table.extend((0..features).map(|i| change(i, f64::from(row[i])) as f32));
                table.extend(&row[features..]);
            }
        };
        push(&mut |i, x| if i == drifting { x + size * std[i] } else { x });
        push(&mut |i, x| if uniform() < 0.5 || i == always { f64::from(other[i]) } else { x });
        push(&mut |i, x| mean[i] + swing * (x - mean[i]));
        push(&mut |i, x| x + 0.5 * std[i] * ((0..12).map(|_| uniform()).sum::<f64>() - 6.0));
        push(&mut |i, x| if uniform() < 0.5 || i == always { mean[i] } else { x });
    }
    kinds
}

fn moments(rows: &[&[f32]], column: usize) -> (f64, f64) {
    let n = rows.len().max(1) as f64;
    let mean = rows.iter().map(|row| f64::from(row[column])).sum::<f64>() / n;
    let variance = rows.iter().map(|row| (f64::from(row[column]) - mean).powi(2)).sum::<f64>() / n;
    (mean, variance.sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn perturbations_are_deterministic_and_leave_the_context() {
        let rows: Vec<f32> = (0..300u16).map(|i| f32::from(i * 37 % 101)).collect();
        let kinds = perturbed(&rows, 2, 3);
        assert_eq!(kinds, perturbed(&rows, 2, 3));
        for kind in &kinds {
            assert_eq!(kind.len(), rows.len());
            assert_ne!(kind, &rows);
            assert!(kind.chunks(3).zip(rows.chunks(3)).all(|(a, b)| a[2] == b[2]));
        }
        // A drift moves exactly one feature, by 1.5 standard deviations at least.
        let (_, std) = moments(&rows.chunks(3).collect::<Vec<_>>(), 0);
        for (drifted, row) in kinds[0].chunks(3).zip(rows.chunks(3)) {
            let moved: Vec<f32> = drifted.iter().zip(row).map(|(a, b)| (a - b).abs()).collect();
            assert_eq!(moved.iter().filter(|m| **m > 0.0).count(), 1);
            assert!(f64::from(moved[0].max(moved[1])) > std, "{moved:?}");
        }
    }
}
