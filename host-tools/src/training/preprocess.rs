//! The fixed front of every flow, fitted in f64: standardize, the soft tail, whitening if asked for.

use super::engine::{padded, Line};
use super::whiten::{apply, whiten};
use super::{Matrix, TrainConfig, TrainError};
use crate::flow::{SoftTail, Standardize, Transform};

/// The fitted front and the data behind it.
pub(crate) struct Preprocessed {
    /// Standardize, soft tail, whitening.
    pub(crate) transforms: Vec<Transform>,
    /// Columns without variation, whose `std` is 1.
    pub(crate) constant: Vec<usize>,
    /// Sum of `ln std`, in nats: what separates densities in standardized and in user units.
    pub(crate) sum_log_std: f64,
    /// The data behind them, rounded to f32, laid out by [`padded`].
    pub(crate) values: Vec<Line>,
    /// Log-determinant of the front behind the standardizer for each row, in nats.
    pub(crate) log_det: Vec<f64>,
}

/// Fits on `fit` rows and applies to all.
///
/// The last `config.contexts` columns are context: standardized, with no tail, and not scored.
pub(crate) fn preprocess(
    data: &Matrix,
    fit: &[usize],
    config: &TrainConfig,
) -> Result<Preprocessed, TrainError> {
    let d = data.columns;
    let features = d - config.contexts;
    let knee = config.knee;
    if let Some(at) = data.values.iter().position(|v| !v.is_finite()) {
        return Err(TrainError::NotFinite { row: at / d, column: at % d, value: data.values[at] });
    }
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
    let wide_knee = f64::from(knee);
    let mut values = Vec::with_capacity(data.values.len());
    let mut row_log_det = Vec::with_capacity(data.rows);
    for row in data.values.chunks_exact(d) {
        let mut log_det = 0.0;
        for (i, (&x, (&mean, &std))) in
            row.iter().zip(standardize.mean.iter().zip(&standardize.std)).enumerate()
        {
            let x = (f64::from(x) - f64::from(mean)) / f64::from(std);
            let beyond = x.abs() - wide_knee;
            if beyond > 0.0 && i < features {
                log_det -= beyond.ln_1p();
                values.push((x.signum() * (wide_knee + beyond.ln_1p())) as f32);
            } else {
                values.push(x as f32);
            }
        }
        row_log_det.push(log_det);
    }
    let mut transforms =
        vec![Transform::Standardize(standardize.clone()), Transform::SoftTail(SoftTail { knee })];
    if config.whiten {
        let whitening = whiten(&values, (features, d), fit);
        apply(&whitening, (features, d), &mut values, &mut row_log_det);
        transforms.extend(whitening);
    }
    let sum_log_std = standardize.std[..features].iter().map(|&s| f64::from(s).ln()).sum();
    Ok(Preprocessed { transforms, constant, sum_log_std, values: padded(&values, d), log_det: row_log_det })
}
