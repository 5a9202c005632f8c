//! From a trained [`Flow`](crate::flow::Flow) to an image and back: encoding, quantization, calibration.
//!
//! The scorer on the host is the device's own code, so calibration and self-test are computed by
//! loading the image that is being written.

mod arrange;
mod assemble;
mod bound;
mod calibrate;
mod canonical;
mod decode;
mod dense;
mod encode;
mod ensemble;
mod file;
mod fine_tune;
mod measure;
mod observe;
mod quantizer;
mod rounding;
mod stored;

pub use arrange::{arrange, arrange_by, Core};
pub use bound::{Certificate, Effort};
pub(crate) use calibrate::MIN_READINGS;
pub use calibrate::{CalibrationError, Sketch};
pub use decode::{import, import_ensemble};
pub use ensemble::Ensemble;
pub use file::{present, ImageFile, ImageFileError};
pub use fine_tune::{FineTuned, Loss, Tuning, TuningRows};
pub use flowlet::image::descriptor::{Combine, Numeric, Statistic};
pub use measure::dummy;
pub use stored::{Stored, Weights};

use crate::calibration::{RateInterval, Tail};
use encode::is_fixed;
use flowlet::{Model, Scorer};
use thiserror::Error;

/// What an image says of itself besides the flow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// Name of the model.
    pub name: String,
    /// What made it, from what; the same for the same inputs, so no dates.
    pub provenance: String,
    /// Name and unit (or an empty string) of each feature.
    pub features: Vec<(String, String)>,
    /// Name and unit of each context input.
    pub contexts: Vec<(String, String)>,
    /// The chains as they were trained, in words; empty if the flow is as it was trained. Where an image is made from
    /// another image, what was fused must not pass for what was trained.
    pub trained_as: String,
    /// The front end that the inputs come from, as [`flowlet::Model::front_end`] reads it; empty if they are readings.
    pub front_end: Vec<u8>,
}

/// Normal readings that were not trained on, and what to set the threshold to.
#[derive(Clone, Copy, Debug)]
pub struct Calibration<'a> {
    /// Readings, row-major, as many columns as the flow has inputs; finite.
    pub readings: &'a [f32],
    /// Share of normal readings that may alarm, in (0, 1).
    pub false_alarm_rate: f32,
}

/// Self-test vectors in an image.
const SELF_TEST_VECTORS: usize = 4;

/// Why no image could be written.
#[derive(Debug, Error)]
pub enum ExportError {
    /// The flow's shape or numbers do not fit the format.
    #[error("the flow cannot be written as an image: {0}")]
    Flow(String),
    /// The calibration readings do not serve.
    #[error(transparent)]
    Calibration(#[from] CalibrationError),
    /// The finished image was refused by the device's own check.
    #[error("the finished image does not load: {0} (please report this)")]
    Rejected(#[from] flowlet::Error),
}

/// Writes one flow or several experts as an image for `numeric`, calibrated on `calibration`.
///
/// # Errors
/// See [`ExportError`].
pub fn build<'f>(
    flow: impl Into<Ensemble<'f>>,
    numeric: Numeric,
    metadata: &Metadata,
    calibration: Calibration<'_>,
) -> Result<ImageFile, ExportError> {
    build_observing(flow, numeric, metadata, calibration, calibration.readings)
}

/// As [`build`], with the ranges of fixed-point activations from readings of their own.
///
/// p-values need readings that were not trained on; ranges and rounding do not, and more rows serve
/// them better. `observed` is row-major like the calibration's readings.
///
/// # Errors
/// See [`ExportError`].
pub fn build_observing<'f>(
    flow: impl Into<Ensemble<'f>>,
    numeric: Numeric,
    metadata: &Metadata,
    calibration: Calibration<'_>,
    observed: &[f32],
) -> Result<ImageFile, ExportError> {
    build_with(flow, numeric, metadata, calibration, observed, Evidence::default())
}

/// What else is known for the calibration, besides its readings.
#[derive(Clone, Copy, Debug, Default)]
pub struct Evidence<'a> {
    /// Statistics of further normal readings, each by a flow that was not trained on it, in the same manner as this one
    /// (cross-conformal calibration, Vovk 2015).
    pub further: &'a [flowlet::Statistics],
    /// How many of all of them, those of the largest statistic, are taken for anomalies.
    pub suspects: usize,
}

/// As [`build_observing`], with more to calibrate by.
///
/// # Errors
/// See [`ExportError`].
pub fn build_with<'f>(
    flow: impl Into<Ensemble<'f>>,
    numeric: Numeric,
    metadata: &Metadata,
    calibration: Calibration<'_>,
    observed: &[f32],
    evidence: Evidence<'_>,
) -> Result<ImageFile, ExportError> {
    Stored::new(flow, numeric, observed)?.image(metadata, calibration, evidence)
}

/// A certified bound on `|log_prob - exact|`, in nats, of the image that [`build_observing`] makes for `numeric` with
/// activation ranges from `observed`, over the box of `readings` and around some of them; of several experts, the largest of
/// theirs. `None` for f32, which has no fixed-point error.
///
/// Exact is the flow whose parameters are those of the f32 image. Sound for every reading of the box; see the module that
/// computes it.
///
/// # Errors
/// [`ExportError::Flow`] if the flow has no fixed-point form.
pub fn certify<'f>(
    flow: impl Into<Ensemble<'f>>,
    numeric: Numeric,
    readings: &[f32],
    observed: &[f32],
    effort: Effort,
) -> Result<Option<Certificate>, ExportError> {
    Ok(Stored::new(flow, numeric, observed)?.certify(readings, effort))
}

/// Where the real false-alarm rate of an image lies that [`build_with`] made of this calibration and evidence; as far as
/// readings to come are like those.
///
/// # Errors
/// What the scorer reports.
pub fn rate_interval(
    image: &ImageFile,
    calibration: Calibration<'_>,
    evidence: Evidence<'_>,
) -> Result<RateInterval, flowlet::Error> {
    let found = statistics(image, calibration.readings)?;
    let head = image.model()?.head();
    let mut all = match head.statistic {
        Statistic::SquaredNorm => values(&found, evidence.further, |s| s.squared_norm.value),
        Statistic::NegativeLogProb | Statistic::Typicality => {
            values(&found, evidence.further, |s| s.negative_log_prob.value)
        }
    };
    if head.statistic == Statistic::Typicality {
        all.iter_mut().for_each(|s| *s = (f64::from(head.entropy) - *s).abs());
    }
    all.sort_unstable_by(f64::total_cmp);
    all.truncate(all.len().saturating_sub(evidence.suspects));
    Ok(Tail::new(&all).interval(f64::from(calibration.false_alarm_rate)))
}

/// A statistic of all readings.
fn values(
    found: &[flowlet::Statistics],
    further: &[flowlet::Statistics],
    value: fn(&flowlet::Statistics) -> f32,
) -> Vec<f64> {
    found.iter().chain(further).map(|s| f64::from(value(s))).collect()
}

/// Scores rows with the device's own code.
///
/// # Errors
/// What the scorer reports.
pub fn scores(image: &ImageFile, readings: &[f32]) -> Result<Vec<flowlet::Score>, flowlet::Error> {
    let model: Model<'_> = image.model()?;
    let mut workspace = vec![0; model.workspace_bytes() / 4];
    let mut scorer = Scorer::new(&model, &mut workspace)?;
    readings.chunks_exact(model.inputs()).map(|row| scorer.score(row)).collect()
}

/// All statistics of rows, computed by the device's own code.
///
/// # Errors
/// What the scorer reports.
pub fn statistics(image: &ImageFile, readings: &[f32]) -> Result<Vec<flowlet::Statistics>, flowlet::Error> {
    let model: Model<'_> = image.model()?;
    let mut workspace = vec![0; model.workspace_bytes() / 4];
    let mut scorer = Scorer::new(&model, &mut workspace)?;
    readings.chunks_exact(model.inputs()).map(|row| scorer.statistics(row)).collect()
}
