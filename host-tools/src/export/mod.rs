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
mod measure;
mod observe;
mod quantizer;
mod rounding;

pub use arrange::{arrange, arrange_by, Core};
pub use bound::{Certificate, Effort};
pub(crate) use calibrate::MIN_READINGS;
pub use calibrate::{CalibrationError, Sketch};
pub use decode::{import, import_ensemble};
pub use ensemble::Ensemble;
pub use file::{present, ImageFile, ImageFileError};
pub use flowlet::image::descriptor::{Combine, Numeric, Statistic};
pub use measure::dummy;

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
    let ensemble = flow.into();
    ensemble.check()?;
    let flow = &ensemble.experts[ensemble.quoted];
    let columns = flow.inputs();
    if (metadata.features.len(), metadata.contexts.len()) != (flow.features, flow.contexts) {
        return Err(ExportError::Flow(format!(
            "{} and {} names for {} features and {} context inputs",
            metadata.features.len(),
            metadata.contexts.len(),
            flow.features,
            flow.contexts
        )));
    }
    calibrate::check(calibration, columns)?;
    let mut chain = encode::Encoded::new(&ensemble.experts, numeric, observed)?;
    if !metadata.trained_as.is_empty() {
        chain.trained_as.clone_from(&metadata.trained_as);
    }

    // Twice: the sketches and the self-test hold scores of the image itself.
    let empty = Sketch::empty(calibration);
    let empty = [empty.clone(), empty.clone(), empty];
    let draft = assemble::image(&chain, metadata, numeric, &ensemble.verdict(0.0, &empty), &[])?;
    let found = statistics(&draft, calibration.readings)?;
    let negative_log_prob: Vec<f64> = found.iter().map(|s| f64::from(s.negative_log_prob.value)).collect();
    let all: Vec<f64> = values(&found, evidence.further, |s| s.negative_log_prob.value);
    let likelihood = Sketch::new(&all, evidence.suspects, calibration)?;
    // As the image holds it.
    let entropy = f64::from(likelihood.mean as f32);
    let squared_norm = values(&found, evidence.further, |s| s.squared_norm.value);
    let typicality: Vec<f64> = all.iter().map(|s| (entropy - s).abs()).collect();
    let sketches = [
        likelihood,
        Sketch::new(&squared_norm, evidence.suspects, calibration)?,
        Sketch::new(&typicality, evidence.suspects, calibration)?,
    ];
    let self_test: Vec<(&[f32], f32)> = self_test_rows(&negative_log_prob)
        .into_iter()
        .map(|row| (&calibration.readings[row * columns..][..columns], found[row].log_prob))
        .collect();
    assemble::image(&chain, metadata, numeric, &ensemble.verdict(entropy, &sketches), &self_test)
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
    let ensemble = flow.into();
    certify_stored(&ensemble, &ensemble, numeric, readings, observed, effort)
}

/// As [`certify`], where the image was made of `stored` instead: the same flow but for the weights of its nets.
///
/// # Errors
/// [`ExportError::Flow`] if `stored` has no fixed-point form, or another structure.
pub fn certify_stored<'f>(
    exact: impl Into<Ensemble<'f>>,
    stored: impl Into<Ensemble<'f>>,
    numeric: Numeric,
    readings: &[f32],
    observed: &[f32],
    effort: Effort,
) -> Result<Option<Certificate>, ExportError> {
    let (ensemble, stored) = (exact.into(), stored.into());
    ensemble.check()?;
    stored.check()?;
    if !is_fixed(numeric) {
        return Ok(None);
    }
    let encoded = encode::Encoded::new(&stored.experts, numeric, observed)?;
    let flows = canonical::canonical(&ensemble.experts);
    let each = flows.iter().enumerate();
    let each = each.map(|(expert, flow)| bound::certify(flow, encoded.nets(expert), readings, effort));
    // The minimum and the mean move no further than the expert that moves most.
    let largest = |a: Result<f64, String>, b: Result<f64, String>| Ok(f64::max(a?, b?));
    Ok(each.reduce(|a, b| Certificate {
        over_box: largest(a.over_box, b.over_box),
        near_rows: largest(a.near_rows, b.near_rows),
        at_rows: largest(a.at_rows, b.at_rows),
        ..a
    }))
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

/// The likeliest row, the least likely one, and some between.
fn self_test_rows(scores: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[a].total_cmp(&scores[b]));
    let last = order.len() - 1;
    let mut rows: Vec<usize> =
        (0..SELF_TEST_VECTORS).map(|i| order[i * last / (SELF_TEST_VECTORS - 1)]).collect();
    rows.dedup();
    rows
}
