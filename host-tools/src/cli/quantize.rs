//! `flowlet quantize`

use super::alarm;
use super::certified;
use super::false_alarms::{self, RateArgs};
use super::files;
use super::fine_tuning::{self, FineTune, FineTuneArgs, FineTuning};
use super::output::{grouped, Output};
use super::scoring::{self, Delta, NumericArg};
use super::tables::TableArgs;
use crate::export::{self, Calibration, Core, Evidence, Numeric, Stored, Tuning, TuningRows};
use crate::metrics;
use anyhow::{bail, Context};
use clap::Args;
use flowlet::stream::Surprise;
use flowlet::Score;
use serde_json::json;
use std::path::PathBuf;

/// Change the numbers that an image computes with, and measure what that costs
///
/// The calibration rows set the ranges of activations, p-values and the alarm. The cost is measured on them, against the
/// image as it was; rows labelled anomalous are measured too, apart from the others.
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  flowlet quantize pump.flow --numeric i8 --calibration pump.csv --label fault -o pump-i8.flow")]
pub(super) struct QuantizeArgs {
    /// The image
    #[arg(value_name = "M.flow")]
    model: PathBuf,
    /// The numbers of the new image
    #[arg(long, value_enum)]
    numeric: NumericArg,
    /// Core that the integer weights lie in order for; every core evaluates every order, with the same bits
    #[arg(long, value_name = "CORE", value_parser = scoring::core_parser(), default_value = "cortex-m4f")]
    core: Core,
    /// Rows to calibrate on; those of label 1 only serve to measure
    #[arg(long, value_name = "DATA")]
    calibration: PathBuf,
    /// Where to write the new image
    #[arg(short, long, value_name = "Q.flow")]
    output: PathBuf,
    #[command(flatten)]
    fine_tune: FineTuneArgs,
    #[command(flatten)]
    rate: RateArgs,
    #[command(flatten)]
    table: TableArgs,
}

impl QuantizeArgs {
    pub(super) fn run(self, output: &Output) -> anyhow::Result<()> {
        files::check_target(&self.output)?;
        let image = scoring::read_image(&self.model)?;
        let model = image.model()?;
        let table = self.table.read_for(&self.calibration, &image, output)?;
        let normal = table.normal_values();
        if normal.is_empty() {
            bail!("{}: no normal rows (label 0) to calibrate on", self.calibration.display());
        }
        let source = scoring::name(model.numeric());
        if model.numeric() != Numeric::F32 {
            output.note(&format!(
                "{} is quantized already ({source}); its rounded weights are the source",
                self.model.display()
            ));
        }

        let (ensemble, metadata) = export::import_ensemble(&model);
        let false_alarm_rate = self.rate.asked().unwrap_or(model.head().calibration.false_alarm_rate);
        let calibration = Calibration { readings: &normal, false_alarm_rate };
        let numeric = Numeric::from(self.numeric);
        let mut stored = Stored::new(&ensemble, numeric, &normal)?;
        let make = |stored: &Stored<'_>| {
            let made = stored.image(&metadata, calibration, Evidence::default());
            made.with_context(|| format!("calibrating on {}", self.calibration.display()))
        };
        let mut quantized = make(&stored)?;
        let mut tuning = None;
        if numeric == Numeric::I8 && self.fine_tune.fine_tune != FineTune::Never {
            let exact = scoring::score_rows(&image, &normal, |_| {})?;
            let cost = |made| -> anyhow::Result<f64> {
                Ok(Delta::between(&exact, &scoring::score_rows(made, &normal, |_| {})?).mean)
            };
            let before = cost(&quantized)?;
            if self.fine_tune.fine_tune.is_wanted(before, false) {
                let rounded = stored.weights();
                let (tuned, held_out) = parts(&normal, table.columns.len());
                let rows = TuningRows { tuned: &tuned, held_out: &held_out };
                let experts = stored.fine_tune(rows, &Tuning::default());
                let made = make(&stored)?;
                let after = cost(&made)?;
                let kept = after <= before && experts.iter().flatten().any(|expert| expert.steps > 0);
                if kept {
                    quantized = made;
                } else {
                    stored = stored.with_weights(&rounded);
                }
                let mean_delta = [before, if kept { after } else { before }];
                let found = FineTuning { experts, mean_delta, kept };
                output.note(&format!("8-bit weights: {}", found.told()));
                tuning = Some(found);
            }
        }
        let quantized = export::arrange(&quantized, self.core)?;

        let certificate = stored.certify(&normal, export::Effort::of(&ensemble));
        let quantized = match &certificate {
            Some(certificate) => quantized.certified(certificate),
            None => quantized,
        };

        let alarm = export::present(model.alarm())?;
        let quantized = match &alarm {
            Some(settings) => {
                quantized.with_alarm(settings).context("the alarm's settings found no place")?
            }
            None => quantized,
        };
        // Levels are surprises, so that their rate stays; but other rows may tell fewer bits apart.
        let (needs, reach) =
            (alarm.map_or(Surprise::ZERO, |a| a.needs()), Surprise::ceiling(&quantized.model()?));
        if needs > reach {
            output.warn(&format!(
                "the alarm listens for {:.2} bits, and the calibration rows reach up to {:.2}: it may never be raised; set it \
                 anew with flowlet alarm, or calibrate on more rows",
                alarm::bits(needs),
                alarm::bits(reach)
            ));
        }

        let before = scoring::score_rows(&image, &table.values, |_| {})?;
        let after = scoring::score_rows(&quantized, &table.values, |_| {})?;
        let of = |wanted: bool| {
            let is = |row: &usize| table.labels.as_ref().map_or(!wanted, |labels| labels[*row] == wanted);
            let pick =
                |scores: &[Score]| (0..scores.len()).filter(is).map(|row| scores[row]).collect::<Vec<_>>();
            Delta::between(&pick(&before), &pick(&after))
        };
        let delta = of(false);
        let anomalous = table.labels.as_ref().map(|_| of(true));
        let auroc = |scores: &[Score]| {
            let statistics: Vec<f64> = scores.iter().map(|s| f64::from(s.score)).collect();
            table.labels.as_ref().and_then(|labels| metrics::auroc(labels, &statistics))
        };
        let auroc_delta = auroc(&after).zip(auroc(&before)).map(|(after, before)| after - before);
        files::write_whole(&self.output, quantized.bytes())?;

        let name = scoring::name(numeric);
        let workspace_bytes = quantized.model()?.workspace_bytes();
        let mut json = json!({
            "output": self.output,
            "source_numeric": source,
            "numeric": name,
            "core": self.core.name(),
            "rows": table.rows,
            "calibration_rows": normal.len() / table.columns.len(),
            "skipped_rows": table.skipped_rows,
            "mean_abs_delta_log_prob": delta.mean,
            "max_abs_delta_log_prob": delta.max,
            "mean_abs_delta_log_prob_anomalous": anomalous.map(|delta| delta.mean),
            "max_abs_delta_log_prob_anomalous": anomalous.map(|delta| delta.max),
            "auroc_delta": auroc_delta,
            "alarm": alarm.as_ref().map(alarm::settings_json),
            "alarm_within_reach": alarm.map(|_| needs <= reach),
            "image_bytes": quantized.bytes().len(),
            "workspace_bytes": workspace_bytes,
            "notes": table.notes,
        });
        let mut text = format!(
            "{}: {source} -> {name}, {} -> {} bytes, {workspace_bytes} bytes of workspace\n\
             |delta log_prob|  mean {:.5}, largest {:.5} nats over {} normal rows (measured)",
            self.output.display(),
            grouped(image.bytes().len()),
            grouped(quantized.bytes().len()),
            delta.mean,
            delta.max,
            grouped(normal.len() / table.columns.len()),
        );
        let interval = export::rate_interval(&quantized, calibration, export::Evidence::default())?;
        false_alarms::add_json(&mut json, &interval);
        text.push_str(&format!("\nalarms            {}", self.rate.told(&interval)));
        if let Some(certificate) = &certificate {
            text.push_str("\n                  ");
            text.push_str(&certified::line(&certificate.record(), certificate.reason()));
        }
        fine_tuning::add_json(&mut json, tuning.as_ref());
        certified::add_json(&mut json, certificate.as_ref().map(|c| (c.record(), c.reason())));
        if let Some(delta) = anomalous {
            text.push_str(&format!(
                "\n                  mean {:.5}, largest {:.5} nats over anomalous rows, which lie far down the tail",
                delta.mean, delta.max
            ));
        }
        if let Some(change) = auroc_delta {
            text.push_str(&format!("\nAUROC             changes by {change:+.5}"));
        }
        output.finish(&text, &json)
    }
}

/// Calibration rows to tune on, and every fifth of them, which is held out to judge.
fn parts(rows: &[f32], columns: usize) -> (Vec<f32>, Vec<f32>) {
    let pick = |held_out: bool| {
        let rows = rows.chunks_exact(columns).enumerate();
        rows.filter(|(row, _)| (row % 5 == 4) == held_out).flat_map(|(_, row)| row).copied().collect()
    };
    (pick(false), pick(true))
}
