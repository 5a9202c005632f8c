//! Experts in the numbers of an image, before anything is calibrated: what images are made of, and what is proved of them.

use super::encode::{is_fixed, Encoded};
use super::{
    assemble, bound, calibrate, canonical, statistics, values, Calibration, Certificate, Effort, Ensemble,
    Evidence, ExportError, ImageFile, Metadata, Numeric, Sketch, SELF_TEST_VECTORS,
};
use crate::export::dense::Numbers;

/// Experts as an image stores them: quantized, with activation ranges from readings.
pub struct Stored<'f> {
    pub(super) ensemble: Ensemble<'f>,
    pub(super) numeric: Numeric,
    pub(super) encoded: Encoded,
}

/// Integer weights and biases of all perceptrons of an image, which [`Stored::with_weights`] takes: expert by expert,
/// coupling by coupling, layer by layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Weights(Vec<Vec<Vec<LayerWeights>>>);

/// Weights and biases of a layer.
type LayerWeights = (Vec<i32>, Vec<i32>);

impl std::fmt::Debug for Stored<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stored").field("ensemble", &self.ensemble).field("numeric", &self.numeric).finish()
    }
}

impl<'f> Stored<'f> {
    /// Quantizes experts for `numeric` after training, with activation ranges from `observed` (row-major).
    ///
    /// # Errors
    /// [`ExportError::Flow`] if they have no such form.
    pub fn new(
        flow: impl Into<Ensemble<'f>>,
        numeric: Numeric,
        observed: &[f32],
    ) -> Result<Self, ExportError> {
        let ensemble = flow.into();
        ensemble.check()?;
        let encoded = Encoded::new(&ensemble.experts, numeric, observed)?;
        Ok(Stored { ensemble, numeric, encoded })
    }

    /// The same with other integers in its nets; those of another shape are not taken.
    #[must_use]
    pub fn with_weights(mut self, weights: &Weights) -> Self {
        for (expert, nets) in weights.0.iter().enumerate().take(self.encoded.experts.len()) {
            self.encoded.rewrite(expert, |index, layers| {
                for (layer, (from_weights, from_bias)) in
                    layers.iter_mut().zip(nets.get(index).into_iter().flatten())
                {
                    if let Numbers::Fixed { weights, bias, .. } = &mut layer.numbers {
                        if (weights.len(), bias.len()) == (from_weights.len(), from_bias.len()) {
                            weights.clone_from(from_weights);
                            bias.clone_from(from_bias);
                        }
                    }
                }
            });
        }
        self
    }

    /// The integers of its nets.
    #[must_use]
    pub fn weights(&self) -> Weights {
        let layer = |layer: &super::dense::EncodedDense| match &layer.numbers {
            Numbers::Fixed { weights, bias, .. } => (weights.clone(), bias.clone()),
            Numbers::Float { .. } => (Vec::new(), Vec::new()),
        };
        let net = |layers: &Vec<_>| layers.iter().map(layer).collect();
        let experts = 0..self.encoded.experts.len();
        Weights(experts.map(|expert| self.encoded.nets(expert).iter().map(net).collect()).collect())
    }

    /// The image, calibrated.
    ///
    /// # Errors
    /// See [`ExportError`].
    pub fn image(
        &self,
        metadata: &Metadata,
        calibration: Calibration<'_>,
        evidence: Evidence<'_>,
    ) -> Result<ImageFile, ExportError> {
        let (ensemble, numeric) = (&self.ensemble, self.numeric);
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
        let own = &self.encoded.trained_as;
        let trained_as = if metadata.trained_as.is_empty() { own } else { &metadata.trained_as };
        let assemble = |verdict: &_, self_test: &[(&[f32], f32)]| {
            assemble::image((&self.encoded, trained_as), metadata, numeric, verdict, self_test)
        };

        // Twice: the sketches and the self-test hold scores of the image itself.
        let empty = Sketch::empty(calibration);
        let empty = [empty.clone(), empty.clone(), empty];
        let draft = assemble(&ensemble.verdict(0.0, &empty), &[])?;
        let found = statistics(&draft, calibration.readings)?;
        let negative_log_prob: Vec<f64> =
            found.iter().map(|s| f64::from(s.negative_log_prob.value)).collect();
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
        assemble(&ensemble.verdict(entropy, &sketches), &self_test)
    }

    /// See [`super::certify`]. Sound for any integers in the nets, fine-tuned ones too: what is bounded is their distance
    /// from the f32 flow.
    #[must_use]
    pub fn certify(&self, readings: &[f32], effort: Effort) -> Option<Certificate> {
        if !is_fixed(self.numeric) {
            return None;
        }
        let flows = canonical::canonical(&self.ensemble.experts);
        let each = flows.iter().enumerate();
        let each =
            each.map(|(expert, flow)| bound::certify(flow, self.encoded.nets(expert), readings, effort));
        // The minimum and the mean move no further than the expert that moves most.
        let largest = |a: Result<f64, String>, b: Result<f64, String>| Ok(f64::max(a?, b?));
        each.reduce(|a, b| Certificate {
            over_box: largest(a.over_box, b.over_box),
            near_rows: largest(a.near_rows, b.near_rows),
            at_rows: largest(a.at_rows, b.at_rows),
            ..a
        })
    }
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
