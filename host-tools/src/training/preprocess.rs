//! The fixed front of every flow, fitted in f64, and the data behind it.
//!
//! In density order: standardize, soft tail, then, where asked for, monotone maps of the single features
//! (fitted on what the soft tail gives) and a whitening linear map (fitted on what those give). Bounded
//! integers take another way: standardize to the unit interval, then in the training engine, so that the
//! dequantizing noise comes before them, the logit and a map of each feature.

use super::config::MarginalFront;
use super::engine::{padded, Line};
use super::whiten::whiten;
use super::{marginal, Matrix, TrainConfig, TrainError};
use crate::flow::{Flow, Logit, Marginal, MarginalKind, Reference, SoftTail, Standardize, Transform};

/// Distance of the smallest and the largest integer from the ends of the logit's unit interval (Dinh et al. 2017
/// have 0.05).
const MARGIN: f32 = 0.05;

/// The fitted front and the data behind it.
pub(crate) struct Preprocessed {
    /// What stands in front of the trained chain.
    pub(crate) transforms: Vec<Transform>,
    /// What the engine has to apply behind it, after the dequantizing noise.
    pub(crate) bounded: Option<Bounded>,
    /// Columns without variation, whose `std` is 1.
    pub(crate) constant: Vec<usize>,
    /// Sum of `ln std`, in nats: what separates densities in standardized and in user units.
    pub(crate) sum_log_std: f64,
    /// The data behind the front, rounded to f32, laid out by [`padded`].
    pub(crate) values: Vec<Line>,
    /// Log-determinant of the front behind the standardizer for each row, in nats.
    pub(crate) log_det: Vec<f64>,
}

/// Logit and map of bounded integers, and the step between two of them.
#[derive(Clone, Debug)]
pub(crate) struct Bounded {
    pub(crate) logit: Logit,
    pub(crate) marginal: Marginal,
    /// In units of the standardized values: the width of the dequantizing noise.
    pub(crate) step: f32,
}

/// The front while it is fitted: each further transform is fitted on what the ones before give.
struct Front<'a> {
    features: usize,
    columns: usize,
    /// Rows to fit on.
    fit: &'a [usize],
    transforms: Vec<Transform>,
    /// All rows behind the transforms so far, row-major.
    values: Vec<f64>,
    log_det: Vec<f64>,
}

impl Front<'_> {
    /// Appends a transform of the features and applies it to all rows.
    fn push(&mut self, transform: Transform) {
        let single = Flow { features: self.features, transforms: vec![transform.clone()], ..Flow::default() };
        let reference = Reference::from(&single);
        for (row, log_det) in self.values.chunks_exact_mut(self.columns).zip(&mut self.log_det) {
            let image = reference.forward(&row[..self.features]);
            row[..self.features].copy_from_slice(&image.z);
            *log_det += image.log_det;
        }
        self.transforms.push(transform);
    }

    fn marginal(&self, form: MarginalKind, knots: usize) -> Marginal {
        marginal::fit(&self.values, (self.features, self.columns), self.fit, (form, knots))
    }
}

fn form(front: MarginalFront) -> Option<MarginalKind> {
    match front {
        MarginalFront::None => None,
        MarginalFront::Linear => Some(MarginalKind::Linear),
        MarginalFront::RationalQuadratic => Some(MarginalKind::RationalQuadratic),
    }
}

/// Fits the standardizer on `fit` rows, what stands behind it on the `trusted` ones of them, and applies to all.
///
/// The last `config.contexts` columns are context: standardized, with nothing behind, and not scored.
pub(crate) fn preprocess(
    data: &Matrix,
    fit: &[usize],
    trusted: &[usize],
    config: &TrainConfig,
) -> Result<Preprocessed, TrainError> {
    let d = data.columns;
    let features = d - config.contexts;
    if let Some(at) = data.values.iter().position(|v| !v.is_finite()) {
        return Err(TrainError::NotFinite { row: at / d, column: at % d, value: data.values[at] });
    }
    if config.whiten && config.integers.is_some() {
        let remedy = "integers cannot be whitened: their noise comes first";
        return Err(TrainError::Setting { name: "whiten", value: "set".into(), remedy });
    }
    let (mut standardize, constant) = standardize(data, fit);
    if let Some(most) = config.integers {
        check_integers(data, features, most)?;
        bound(&mut standardize, features, most);
    }
    let mut values = Vec::with_capacity(data.values.len());
    for row in data.values.chunks_exact(d) {
        let scales = standardize.mean.iter().zip(&standardize.std);
        values.extend(
            row.iter()
                .zip(scales)
                .map(|(&x, (&mean, &std))| (f64::from(x) - f64::from(mean)) / f64::from(std)),
        );
    }
    let sum_log_std = standardize.std[..features].iter().map(|&s| f64::from(s).ln()).sum();
    let step = 1.0 / standardize.std[0];
    let mut front = Front {
        features,
        columns: d,
        fit: trusted,
        transforms: vec![Transform::Standardize(standardize)],
        values,
        log_det: vec![0.0; data.rows],
    };
    let mut bounded = None;
    if config.integers.is_some() {
        let mut behind = Front {
            transforms: Vec::new(),
            values: front.values.clone(),
            log_det: front.log_det.clone(),
            ..front
        };
        let logit = Logit { margin: MARGIN };
        behind.push(Transform::Logit(logit.clone()));
        let marginal = match form(config.marginal) {
            None => marginal::standardize(&behind.values, (features, d), trusted),
            Some(form) => behind.marginal(form, config.knots),
        };
        bounded = Some(Bounded { logit, marginal, step });
    } else {
        front.push(Transform::SoftTail(SoftTail { knee: config.knee }));
        if let Some(form) = form(config.marginal) {
            let map = front.marginal(form, config.knots);
            front.push(Transform::Marginal(map));
        }
        if config.whiten {
            for transform in whiten(&front.values, (features, d), trusted) {
                front.push(transform);
            }
        }
    }
    let narrow: Vec<f32> = front.values.iter().map(|&v| v as f32).collect();
    Ok(Preprocessed {
        transforms: front.transforms,
        bounded,
        constant,
        sum_log_std,
        values: padded(&narrow, d),
        log_det: front.log_det,
    })
}

/// Means and standard deviations, and the columns that have none.
fn standardize(data: &Matrix, fit: &[usize]) -> (Standardize, Vec<usize>) {
    let d = data.columns;
    let mut standardize = Standardize { mean: Vec::with_capacity(d), std: Vec::with_capacity(d) };
    let mut constant = Vec::new();
    for column in 0..d {
        let value = |&row: &usize| f64::from(data.values[row * d + column]);
        let n = fit.len() as f64;
        let mean = fit.iter().map(value).sum::<f64>() / n;
        let variance = fit.iter().map(|row| (value(row) - mean).powi(2)).sum::<f64>() / n;
        let largest = fit.iter().map(|row| value(row).abs()).fold(0.0, f64::max);
        let std = variance.sqrt();
        // Below that, the spread is the rounding of f32, not a signal.
        let flat = std <= largest * 1e-6 || (std as f32) < f32::MIN_POSITIVE;
        if flat {
            constant.push(column);
        }
        standardize.mean.push(mean as f32);
        standardize.std.push(if flat { 1.0 } else { std as f32 });
    }
    (standardize, constant)
}

/// Makes the standardizer take the middle of step `v` of `0..=most` to `margin + (1 - 2 margin) (v + 0.5) / (most + 1)`.
fn bound(standardize: &mut Standardize, features: usize, most: u32) {
    let margin = f64::from(MARGIN);
    let std = (f64::from(most) + 1.0) / (1.0 - 2.0 * margin);
    let mean = -0.5 - margin * std;
    standardize.mean[..features].fill(mean as f32);
    standardize.std[..features].fill(std as f32);
}

fn check_integers(data: &Matrix, features: usize, most: u32) -> Result<(), TrainError> {
    for (index, row) in data.values.chunks_exact(data.columns).enumerate() {
        for (column, &value) in row[..features].iter().enumerate() {
            if value.fract() != 0.0 || value < 0.0 || f64::from(value) > f64::from(most) {
                return Err(TrainError::NotAnInteger { row: index, column, value, most });
            }
        }
    }
    Ok(())
}
