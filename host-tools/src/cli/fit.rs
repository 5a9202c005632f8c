//! From a table to images: training, calibration on held-out rows, and the choice of numbers.

use super::fine_tuning::{FineTune, FineTuning};
use super::output::Output;
use super::progress::Training;
use super::scoring::{self, Delta};
use super::usage;
use crate::calibration::RateInterval;
use crate::export::{
    self, Calibration, Certificate, Combine, Effort, Ensemble, Evidence, ImageFile, Metadata, Numeric,
    Statistic, Stored, Tuning, TuningRows, Weights,
};
use crate::flow::Flow;
use crate::selection::{self, Selection};
use crate::table::Table;
use crate::training::{
    fitted_rows, train_experts, Experts, Fold, Keeper, Matrix, Search, TrainConfig, TrainError, Trained,
};
use anyhow::bail;
use flowlet::image::descriptor::MAX_FEATURES;
use std::borrow::Cow;
use std::ops::Range;

pub(super) use super::fine_tuning::I8_BUDGET;

/// Trained flows and what their images need.
pub(super) struct Fit {
    pub(super) experts: Experts,
    /// Their flows, in the same order.
    flows: Vec<Flow>,
    pub(super) metadata: Metadata,
    pub(super) false_alarm_rate: f32,
    /// Normal rows for calibration, row-major.
    pub(super) calibration: Vec<f32>,
    /// All normal rows, for the ranges of activations, row-major.
    observed: Vec<f32>,
    /// Flows trained alike on other rows, each with the rows that it did not see.
    folds: Vec<Fold>,
    /// Which share of the calibration rows, the least likely ones, is taken for anomalies.
    suspect: f64,
    /// What images compare with their threshold.
    statistic: Statistic,
    /// The f32 image, by which the others are judged.
    pub(super) reference: ImageFile,
    reference_scores: Vec<flowlet::Score>,
    /// Fine-tuned 8-bit weights, if they are in use.
    tuned: Option<Tuned>,
}

/// Integers of fine-tuned images.
struct Tuned {
    flows: Weights,
    /// One per fold.
    folds: Vec<Weights>,
}

/// An image in chosen numbers.
pub(super) struct Chosen {
    pub(super) numeric: Numeric,
    pub(super) image: ImageFile,
    /// Against the f32 image, on the calibration rows.
    pub(super) delta: Delta,
    pub(super) reason: String,
    /// What came of fine-tuning, if it was tried.
    pub(super) tuning: Option<FineTuning>,
}

/// Settings out of range are wrong usage.
pub(super) fn check(config: &TrainConfig) -> anyhow::Result<()> {
    config.check().map_err(|error| match error {
        TrainError::Setting { .. } => usage(format!("--{error}")),
        other => other.into(),
    })
}

impl Fit {
    /// Trains each of the experts on the normal rows of a table: of its candidates the best. States of training go to
    /// the keeper, and training goes on from those that it has.
    pub(super) fn new<'a>(
        table: &Table,
        experts: &[Vec<TrainConfig>],
        name: String,
        false_alarm_rate: f32,
        output: &'a Output,
        keeper: Option<&'a mut dyn Keeper>,
    ) -> anyhow::Result<Self> {
        let matrix = matrix(table)?;
        let experts = train_experts(&matrix, experts, &mut Training::new(output, keeper))
            .map_err(|error| name_column(error, table))?;
        Self::of(table, matrix, experts, name, false_alarm_rate, output)
    }

    /// Of experts that were trained on the normal rows of a table, which `matrix` holds.
    pub(super) fn of(
        table: &Table,
        matrix: Matrix,
        experts: Experts,
        name: String,
        false_alarm_rate: f32,
        output: &Output,
    ) -> anyhow::Result<Self> {
        let columns = table.columns.len();
        let flows: Vec<Flow> = experts.members.iter().map(|m| m.trained.flow.clone()).collect();
        let trained = &experts.members[experts.quoted].trained;
        let contexts = trained.flow.contexts;
        for &column in &trained.constant_columns {
            if column >= columns - contexts {
                output.note(&format!(
                    "context column '{}' is constant: nothing can be learnt from it; leave it out of --context",
                    table.columns[column]
                ));
                continue;
            }
            output.note(&format!(
                "column '{}' is constant: any other value will score as far from normal; leave it out with --ignore {0}",
                table.columns[column]
            ));
        }

        let held_out = &trained.holdout_rows;
        let calibration = if held_out.len() >= export::MIN_READINGS {
            held_out.iter().flat_map(|&row| matrix.row(row)).copied().collect()
        } else {
            output.warn(&format!(
                "{} held-out rows are too few to calibrate on; the training rows are used, so p-values will be too large \
                 for new rows",
                held_out.len()
            ));
            matrix.values.clone()
        };
        let configs: Vec<&TrainConfig> =
            experts.members.iter().map(|m| &m.candidates[m.chosen].config).collect();
        let metadata = metadata(table, &configs, matrix.rows, name);
        let statistic = Statistic::NegativeLogProb;
        let reference = export::build(
            ensemble(&flows, experts.quoted, statistic),
            Numeric::F32,
            &metadata,
            Calibration { readings: &calibration, false_alarm_rate },
        )?;
        let reference_scores = scoring::score_rows(&reference, &calibration, |_| {})?;
        let observed = matrix.values;
        Ok(Self {
            experts,
            flows,
            metadata,
            false_alarm_rate,
            calibration,
            observed,
            folds: Vec::new(),
            suspect: 0.0,
            statistic,
            reference,
            reference_scores,
            tuned: None,
        })
    }

    /// Takes the statistics of these folds' rows into the calibration.
    pub(super) fn calibrate_by(&mut self, folds: Vec<Fold>) -> anyhow::Result<()> {
        self.folds = folds;
        self.reference = self.build(Numeric::F32)?;
        Ok(())
    }

    /// Takes this share of the calibration rows, the least likely ones, for anomalies.
    pub(super) fn distrust(&mut self, suspect: f64) -> anyhow::Result<()> {
        if suspect != self.suspect {
            self.suspect = suspect;
            self.reference = self.build(Numeric::F32)?;
        }
        Ok(())
    }

    /// How many calibration rows are taken for anomalies.
    pub(super) fn suspects(&self) -> usize {
        let folds: usize = self.folds.iter().map(|fold| fold.holdout_rows.len()).sum();
        ((self.calibration_rows() + folds) as f64 * self.suspect) as usize
    }

    /// All normal rows as they were trained on.
    pub(super) fn matrix(&self) -> Matrix {
        let columns = self.metadata.features.len() + self.metadata.contexts.len();
        Matrix { rows: self.observed.len() / columns, columns, values: self.observed.clone() }
    }

    /// The settings that were kept of each expert.
    pub(super) fn settings(&self) -> Vec<TrainConfig> {
        self.experts.members.iter().map(|m| m.candidates[m.chosen].config.clone()).collect()
    }

    /// The calibrated image in these numbers.
    fn build(&self, numeric: Numeric) -> anyhow::Result<ImageFile> {
        let further = self.further(numeric)?;
        let evidence = Evidence { further: &further, suspects: self.suspects() };
        Ok(self.stored(numeric)?.image(&self.metadata, self.calibration(), evidence)?)
    }

    /// The experts in these numbers, with their tuned weights if they have any.
    fn stored(&self, numeric: Numeric) -> anyhow::Result<Stored<'_>> {
        let observed = if numeric == Numeric::F32 { &self.calibration } else { &self.observed };
        let stored = Stored::new(self.ensemble(), numeric, observed)?;
        Ok(match &self.tuned {
            Some(tuned) if numeric == Numeric::I8 => stored.with_weights(&tuned.flows),
            _ => stored,
        })
    }

    /// Fine-tunes 8-bit weights: of the flows, and likewise of each fold's. `None` if nothing got better.
    fn tune(&self) -> anyhow::Result<(Vec<Option<export::FineTuned>>, Option<Tuned>)> {
        let settings = self.settings();
        let columns = self.metadata.features.len() + self.metadata.contexts.len();
        let rows = |of: &[usize]| -> Vec<f32> {
            of.iter().flat_map(|&row| &self.observed[row * columns..][..columns]).copied().collect()
        };
        let tuning = Tuning { seed: settings[0].seed, ..Tuning::default() };
        let tune = |ensemble: Ensemble<'_>, fold: usize, held_out: &[usize]| -> anyhow::Result<_> {
            let fitted = fitted_rows(self.rows(), &TrainConfig { fold, ..settings[0].clone() });
            let mut stored = Stored::new(ensemble, Numeric::I8, &self.observed)?;
            let found =
                stored.fine_tune(TuningRows { tuned: &rows(&fitted), held_out: &rows(held_out) }, &tuning);
            Ok((found, stored.weights()))
        };
        let held_out = &self.trained().holdout_rows;
        let held_out = if held_out.len() < export::MIN_READINGS { &[][..] } else { held_out };
        let (found, flows) = tune(self.ensemble(), settings[0].fold, held_out)?;
        if !found.iter().flatten().any(|expert| expert.steps > 0) {
            return Ok((found, None));
        }
        let each = self.folds.iter().enumerate().map(|(index, fold)| {
            let ensemble = ensemble(&fold.flows, self.experts.quoted, self.statistic);
            Ok(tune(ensemble, index + 1, &fold.holdout_rows)?.1)
        });
        let folds = each.collect::<anyhow::Result<Vec<Weights>>>()?;
        Ok((found, Some(Tuned { flows, folds })))
    }

    /// Statistics of the folds' rows, each by the fold's own image.
    pub(super) fn further(&self, numeric: Numeric) -> anyhow::Result<Vec<flowlet::Statistics>> {
        let columns = self.metadata.features.len() + self.metadata.contexts.len();
        let mut all = Vec::new();
        for (index, fold) in self.folds.iter().enumerate() {
            let rows = fold.holdout_rows.iter().flat_map(|&row| &self.observed[row * columns..][..columns]);
            let readings: Vec<f32> = rows.copied().collect();
            let calibration = Calibration { readings: &readings, false_alarm_rate: self.false_alarm_rate };
            let ensemble = ensemble(&fold.flows, self.experts.quoted, self.statistic);
            let mut stored = Stored::new(ensemble, numeric, &self.observed)?;
            if let Some(weights) = self.tuned.as_ref().and_then(|tuned| tuned.folds.get(index)) {
                if numeric == Numeric::I8 {
                    stored = stored.with_weights(weights);
                }
            }
            let image = stored.image(&self.metadata, calibration, Evidence::default())?;
            all.extend(export::statistics(&image, &readings)?);
        }
        Ok(all)
    }

    /// The combined `-log_prob` of two blocks of rows by the flows of a fold, in nats.
    pub(super) fn statistics_by(
        &self,
        fold: &Fold,
        before: &[f32],
        after: &[f32],
    ) -> anyhow::Result<(Vec<f64>, Vec<f64>)> {
        let ensemble = ensemble(&fold.flows, self.experts.quoted, Statistic::NegativeLogProb);
        let image = export::build(ensemble, Numeric::F32, &self.metadata, self.calibration())?;
        let of = |rows: &[f32]| -> anyhow::Result<Vec<f64>> {
            let found = export::statistics(&image, rows)?;
            Ok(found.iter().map(|s| f64::from(s.negative_log_prob.value)).collect())
        };
        Ok((of(before)?, of(after)?))
    }

    /// Where the real false-alarm rate of an image in these numbers lies.
    pub(super) fn rate_interval(&self, image: &ImageFile, numeric: Numeric) -> anyhow::Result<RateInterval> {
        let further = self.further(numeric)?;
        let evidence = Evidence { further: &further, suspects: self.suspects() };
        Ok(export::rate_interval(image, self.calibration(), evidence)?)
    }

    /// Takes the statistic that was asked for, or else the one that separates `anomalies` (row-major) best from the
    /// held-out rows; without any, the log-density.
    pub(super) fn select(
        &mut self,
        asked: Option<Statistic>,
        anomalies: Option<&[f32]>,
    ) -> anyhow::Result<Selection> {
        let selection = selection::select(&self.reference, &self.calibration, anomalies, asked)?;
        if selection.statistic != self.statistic {
            self.statistic = selection.statistic;
            self.reference = self.build(Numeric::F32)?;
        }
        Ok(selection)
    }

    /// The expert that `log_prob` speaks of, and how it was found.
    pub(super) fn quoted(&self) -> &Search {
        &self.experts.members[self.experts.quoted]
    }

    pub(super) fn trained(&self) -> &Trained {
        &self.quoted().trained
    }

    /// Parameters of all experts.
    pub(super) fn parameters(&self) -> usize {
        self.flows.iter().map(Flow::parameters).sum()
    }

    /// Multiply-accumulates of a score: of all experts.
    pub(super) fn macs(&self) -> usize {
        self.flows.iter().map(Flow::macs).sum()
    }

    /// Seconds of training, candidates that were not kept included.
    pub(super) fn seconds(&self) -> f64 {
        let candidates = self.experts.members.iter().flat_map(|m| &m.candidates);
        candidates.filter_map(|c| c.outcome.as_ref().ok()).map(|o| o.seconds).sum()
    }

    fn ensemble(&self) -> Ensemble<'_> {
        ensemble(&self.flows, self.experts.quoted, self.statistic)
    }

    fn calibration(&self) -> Calibration<'_> {
        Calibration { readings: &self.calibration, false_alarm_rate: self.false_alarm_rate }
    }

    /// Normal rows, those held out included.
    pub(super) fn rows(&self) -> usize {
        self.observed.len() / (self.metadata.features.len() + self.metadata.contexts.len()).max(1)
    }

    /// Rows that images are calibrated on.
    pub(super) fn calibration_rows(&self) -> usize {
        self.reference_scores.len()
    }

    /// The image in these numbers, with what they cost.
    pub(super) fn image(&self, numeric: Numeric) -> anyhow::Result<(ImageFile, Delta)> {
        if numeric == Numeric::F32 {
            return Ok((self.reference.clone(), Delta { mean: 0.0, max: 0.0 }));
        }
        let image = self.build(numeric)?;
        let scores = scoring::score_rows(&image, &self.calibration, |_| {})?;
        let delta = Delta::between(&scores, &self.reference_scores);
        Ok((image, delta))
    }

    /// The image with 8-bit weights, fine-tuned if that is wanted and makes them better.
    fn image_i8(
        &mut self,
        fine_tune: FineTune,
        replaceable: bool,
    ) -> anyhow::Result<(ImageFile, Delta, Option<FineTuning>)> {
        self.tuned = None;
        let (image, delta) = self.image(Numeric::I8)?;
        if !fine_tune.is_wanted(delta.mean, replaceable) {
            return Ok((image, delta, None));
        }
        let (experts, tuned) = self.tune()?;
        let mut tuning = FineTuning { experts, mean_delta: [delta.mean; 2], kept: false };
        self.tuned = tuned;
        if self.tuned.is_some() {
            let (tuned_image, tuned_delta) = self.image(Numeric::I8)?;
            // Experts are tuned one by one; the image speaks for all.
            if tuned_delta.mean <= delta.mean {
                tuning.mean_delta[1] = tuned_delta.mean;
                tuning.kept = true;
                return Ok((tuned_image, tuned_delta, Some(tuning)));
            }
            self.tuned = None;
        }
        Ok((image, delta, Some(tuning)))
    }

    /// The image in the numbers that were asked for, or else in the smallest that keep the budget.
    pub(super) fn choose(&mut self, asked: Option<Numeric>, fine_tune: FineTune) -> anyhow::Result<Chosen> {
        if let Some(numeric) = asked {
            let (image, delta, tuning) = if numeric == Numeric::I8 {
                self.image_i8(fine_tune, false)?
            } else {
                let (image, delta) = self.image(numeric)?;
                (image, delta, None)
            };
            let reason = if numeric == Numeric::F32 {
                "as asked".to_owned()
            } else {
                format!("as asked; {}{}", self.measured(delta), told(tuning.as_ref()))
            };
            return Ok(Chosen { numeric, image, delta, reason, tuning });
        }
        let (i8_verdict, tuning) = match self.image_i8(fine_tune, true) {
            Ok((image, delta, tuning)) if delta.mean <= I8_BUDGET => {
                let told = told(tuning.as_ref());
                let reason = format!("{}, within the budget of {I8_BUDGET}{told}", self.measured(delta));
                return Ok(Chosen { numeric: Numeric::I8, image, delta, reason, tuning });
            }
            Ok((_, delta, tuning)) => {
                let verdict = format!(
                    "i8 is over the budget of {I8_BUDGET} ({}{})",
                    self.measured(delta),
                    told(tuning.as_ref())
                );
                // The image that is made holds other weights.
                (verdict, tuning.map(|tuning| FineTuning { kept: false, ..tuning }))
            }
            Err(error) => (format!("i8 is not possible ({error})"), None),
        };
        self.tuned = None;
        match self.image(Numeric::I16) {
            Ok((image, delta)) => {
                let reason = format!("{i8_verdict}; i16: {}", self.measured(delta));
                Ok(Chosen { numeric: Numeric::I16, image, delta, reason, tuning })
            }
            Err(error) => {
                let (image, delta) = self.image(Numeric::F32)?;
                let reason = format!("{i8_verdict}; i16 is not possible ({error})");
                Ok(Chosen { numeric: Numeric::F32, image, delta, reason, tuning })
            }
        }
    }

    /// What can be proved of the image in these numbers in a second or so; `flowlet quantize` takes longer.
    pub(super) fn certificate(&self, numeric: Numeric) -> anyhow::Result<Option<Certificate>> {
        let effort = Effort::of(self.ensemble());
        let effort = Effort { parts: effort.parts / 8, rows: effort.rows / 4, ..effort };
        Ok(self.stored(numeric)?.certify(&self.calibration, effort))
    }

    fn measured(&self, delta: Delta) -> String {
        format!(
            "mean |delta log_prob| is {:.4} nats on {} held-out rows",
            delta.mean,
            self.calibration_rows()
        )
    }
}

/// What came of fine-tuning, behind the reason for the numbers.
fn told(tuning: Option<&FineTuning>) -> String {
    tuning.map_or_else(String::new, |tuning| format!("; {}", tuning.told()))
}

/// Flows as one image has them: what any of them finds unlikely is unlikely.
fn ensemble(flows: &[Flow], quoted: usize, statistic: Statistic) -> Ensemble<'_> {
    let combine = if flows.len() > 1 { Combine::Minimum } else { Combine::Quoted };
    Ensemble { experts: Cow::Borrowed(flows), combine, quoted, statistic }
}

/// The normal rows of a table.
pub(super) fn matrix(table: &Table) -> anyhow::Result<Matrix> {
    let columns = table.columns.len();
    if columns > MAX_FEATURES {
        bail!("{columns} inputs; an image holds at most {MAX_FEATURES}: pick some with --columns");
    }
    let values = table.normal_values();
    Ok(Matrix::new(values.len() / columns, columns, values)?)
}

/// What an image of experts with these settings, trained on so many rows, says of itself.
pub(super) fn metadata(table: &Table, experts: &[&TrainConfig], rows: usize, name: String) -> Metadata {
    let features = table.columns.len() - experts[0].contexts;
    Metadata {
        name,
        provenance: provenance(table, experts, rows),
        features: names(table, 0..features),
        contexts: names(table, features..table.columns.len()),
        trained_as: String::new(),
        front_end: table.front_end.clone(),
    }
}

/// Columns as inputs, with their units where those are known.
fn names(table: &Table, columns: Range<usize>) -> Vec<(String, String)> {
    let unit = |index: usize| table.units.get(index).cloned().unwrap_or_default();
    columns.map(|index| (table.columns[index].clone(), unit(index))).collect()
}

/// Training knows columns by number only.
pub(super) fn name_column(error: TrainError, table: &Table) -> anyhow::Error {
    match &error {
        TrainError::NotFinite { column, .. } | TrainError::NotAnInteger { column, .. } => {
            let name = table.columns.get(*column).cloned().unwrap_or_default();
            anyhow::Error::from(error).context(format!("column '{name}'"))
        }
        _ => error.into(),
    }
}

/// The same for the same inputs: neither folders nor dates nor the number of threads.
fn provenance(table: &Table, experts: &[&TrainConfig], rows: usize) -> String {
    let file = table.path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let recipes: Vec<String> = experts.iter().map(|config| config.summary()).collect();
    format!(
        "flowlet {}: {}, seed {}, {rows} rows of {file}",
        env!("CARGO_PKG_VERSION"),
        recipes.join("; and "),
        experts[0].seed,
    )
}
