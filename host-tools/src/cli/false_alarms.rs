//! Arguments about alarms and calibration, and what is said of the false-alarm rate that a threshold really has.

use super::fit::Fit;
use super::output::{grouped, Output};
use super::progress::Progress;
use crate::calibration::drift::{self, Change};
use crate::calibration::{FalseAlarms, RateInterval, CONFIDENCE};
use crate::export::{self, Numeric};
use crate::training::{train_folds, TrainConfig};
use clap::Args;
use serde_json::{json, Value};

/// Share of normal readings that may alarm if nothing is said.
const DEFAULT_RATE: f32 = 0.01;
/// Most trainings for one calibration, the one that is kept included.
const MOST_FOLDS: usize = 5;
/// Calibration rows above the threshold that more folds are trained for.
const WANTED_ABOVE: f64 = 10.0;

/// How many false alarms are allowed.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Alarm")]
pub(super) struct RateArgs {
    /// Share of normal readings that may raise the alarm [default: 0.01; of quantize that of the image]
    #[arg(long, value_name = "P", value_parser = probability, conflicts_with = "false_alarms")]
    false_alarm_rate: Option<f32>,
    /// The same in words: "1 per week at 1 Hz", "3 per day at 10 Hz", "1 per hour every 5 s", "1 per 1000 readings"
    #[arg(long, value_name = "TEXT")]
    false_alarms: Option<FalseAlarms>,
}

impl RateArgs {
    /// The rate that was asked for.
    pub(super) fn asked(&self) -> Option<f32> {
        self.false_alarms.as_ref().map(|allowed| allowed.rate() as f32).or(self.false_alarm_rate)
    }

    /// What is said of the rate that was really reached.
    pub(super) fn told(&self, interval: &RateInterval) -> String {
        let RateInterval { rate, low, high, readings, .. } = *interval;
        let asked = match &self.false_alarms {
            Some(allowed) => format!("{} ({})", allowed.text(), share(rate)),
            None => format!("{} of normal readings", share(rate)),
        };
        let found = match self.false_alarms.as_ref().and_then(FalseAlarms::terms) {
            Some((count, span)) => {
                format!("{} to {} {span}", digits(count * low / rate), digits(count * high / rate))
            }
            None => format!("{} to {}", share(low), share(high)),
        };
        let rows = grouped(readings);
        let level = CONFIDENCE * 100.0;
        let least = RateInterval::smallest_promised(readings);
        if interval.is_promised() {
            return format!(
                "{asked} may alarm; really {found} ({level} % confidence, {rows} calibration rows)"
            );
        }
        format!(
            "{asked} may alarm, which is too few to be promised: {rows} calibration rows can vouch for rates down to 1 in {}. \
             The threshold rests on a tail fitted to them, and it is {found} if that goes on as it begins ({level} % \
             confidence); some {} calibration rows would show it",
            grouped((1.0 / least) as usize),
            grouped(((1.0 - CONFIDENCE).ln() / (-rate).ln_1p()).ceil() as usize),
        )
    }
}

/// Fields about the rate.
pub(super) fn add_json(json: &mut Value, interval: &RateInterval) {
    // As the image holds it, in the digits of an f32.
    json["false_alarm_rate"] =
        json!((interval.rate as f32).to_string().parse::<f64>().unwrap_or(interval.rate));
    json["false_alarm_interval"] = json!([interval.low, interval.high]);
    json["false_alarm_confidence"] = json!(CONFIDENCE);
    json["false_alarms_promised"] = json!(interval.is_promised());
    json["false_alarms_extrapolated"] = json!(interval.extrapolated);
    json["smallest_promised_rate"] = json!(RateInterval::smallest_promised(interval.readings));
    json["calibration_rows"] = json!(interval.readings);
}

/// A share as people read it: "1.2 %" or "1 in 83,000".
fn share(rate: f64) -> String {
    if rate >= 1e-3 {
        return format!("{} %", digits(rate * 100.0));
    }
    if rate <= 1e-12 {
        return "none".to_owned();
    }
    let one_in = 1.0 / rate;
    // Three digits are plenty.
    let unit = 10f64.powi((one_in.log10().floor() as i32 - 2).max(0));
    format!("1 in {}", grouped(((one_in / unit).round() * unit) as usize))
}

/// Two or three significant digits.
fn digits(value: f64) -> String {
    let places = match value.abs() {
        v if v >= 10.0 => 0,
        v if v >= 1.0 => 1,
        v if v >= 0.1 => 2,
        _ => 3,
    };
    let text = format!("{value:.places$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

fn probability(text: &str) -> Result<f32, String> {
    match text.parse::<f32>() {
        Ok(p) if p > 0.0 && p < 1.0 => Ok(p),
        _ => Err("must be a number between 0 and 1, such as 0.01".to_owned()),
    }
}

/// How `train` calibrates.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Alarm")]
pub(super) struct CalibrationArgs {
    #[command(flatten)]
    pub(super) rate: RateArgs,
    /// Trainings to calibrate by, each with other rows held out, 1 to 5: more rows then stand behind p-values and threshold
    /// [default: as many as the rate needs]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=MOST_FOLDS as i64))]
    calibration_folds: Option<u8>,
    /// Rows are in the order of time: hold out the last ones instead of random ones, and say where they have drifted
    #[arg(long)]
    pub(super) time_ordered: bool,
    /// Rows are windows of streams, which overlap: held out by time, and calibrated on those alone.
    #[arg(skip)]
    pub(super) is_stream: bool,
    /// Share of the rows that may be anomalous though they count as normal: as many, the least likely ones, are left out of
    /// every epoch, and half as many of the calibration. auto leaves out 5 % of the epochs, and trusts the calibration
    #[arg(long, value_name = "F", value_parser = contamination, help_heading = "Training")]
    contamination: Option<Contamination>,
}

/// Anomalies among the rows that count as normal.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Contamination {
    /// Such a share.
    Share(f64),
    /// Unknown.
    Auto,
}

/// What `--contamination auto` leaves out. The share cannot be read off the tail of the scores: anomalies that were trained
/// on hide in it. 5 % costs little where there are none and gains most of what can be gained (`docs/calibration.md`).
const AUTO_CONTAMINATION: f64 = 0.05;
/// Of the least likely rows, as many as there are anomalies, so many are anomalies; the others are normal ones, whose loss
/// would lower the threshold (measured: 0.2 to 0.4).
const CAUGHT: f64 = 0.5;

fn contamination(text: &str) -> Result<Contamination, String> {
    match text.parse::<f64>() {
        _ if text == "auto" => Ok(Contamination::Auto),
        Ok(share) if (0.0..=0.4).contains(&share) => Ok(Contamination::Share(share)),
        _ => Err("must be a share of the rows from 0 to 0.4, such as 0.02, or auto".to_owned()),
    }
}

/// How an image was calibrated.
pub(super) struct Calibrated {
    /// Trainings that took part.
    folds: usize,
    /// What the test for drift found; `None` if rows are in no order.
    drift: Option<Vec<Change>>,
}

impl CalibrationArgs {
    /// The share of normal readings that may alarm.
    pub(super) fn false_alarm_rate(&self) -> f32 {
        self.rate.asked().unwrap_or(DEFAULT_RATE)
    }

    /// The share of the rows that training leaves out of each epoch.
    pub(super) fn contamination(&self) -> f64 {
        match self.contamination {
            None => 0.0,
            Some(Contamination::Share(share)) => share,
            Some(Contamination::Auto) => AUTO_CONTAMINATION,
        }
    }

    /// The share of the calibration rows that are taken for anomalies.
    fn suspect(&self) -> f64 {
        match self.contamination {
            Some(Contamination::Share(share)) => CAUGHT * share,
            None | Some(Contamination::Auto) => 0.0,
        }
    }

    /// Trains the folds that the rate needs, and looks for drift in rows that are in the order of time.
    pub(super) fn calibrate(&self, fit: &mut Fit, output: &Output) -> anyhow::Result<Calibrated> {
        fit.distrust(self.suspect())?;
        if self.time_ordered {
            let drift = self.drift(fit, output)?;
            return Ok(Calibrated { folds: 1, drift: Some(drift) });
        }
        let folds = self.folds(fit.trained().holdout_rows.len(), fit.settings()[0].holdout);
        if folds > 1 {
            let progress = Progress::start(output, "calibrating", "folds", folds as u64 - 1);
            let trained = train_folds(&fit.matrix(), &fit.settings(), folds - 1, &|| progress.advance(1));
            progress.finish();
            match trained {
                Ok(trained) => fit.calibrate_by(trained)?,
                Err(error) => {
                    output
                        .warn(&format!("calibrating on the held-out rows alone, as a fold failed: {error}"));
                    return Ok(Calibrated { folds: 1, drift: None });
                }
            }
        }
        Ok(Calibrated { folds, drift: None })
    }

    /// Trainings in all, where each holds out so many rows.
    pub(super) fn folds(&self, held_out: usize, holdout: f64) -> usize {
        if self.time_ordered || self.is_stream || held_out < export::MIN_READINGS {
            return 1;
        }
        let most = ((1.0 / holdout + 1e-9) as usize).clamp(1, MOST_FOLDS);
        let wanted = WANTED_ABOVE / (f64::from(self.false_alarm_rate()) * held_out as f64);
        let wanted = self.calibration_folds.map_or(wanted.ceil() as usize, usize::from);
        wanted.clamp(1, most)
    }

    /// Compares the later block with the earlier one: each column, and the statistic. The statistic of rows that were
    /// trained on says nothing, so a second flow leaves out random rows of the earlier block.
    fn drift(&self, fit: &Fit, output: &Output) -> anyhow::Result<Vec<Change>> {
        let rows = fit.matrix();
        let later = fit.trained().holdout_rows.len();
        let earlier = rows.rows - later;
        if later < export::MIN_READINGS {
            output.warn(&format!("{later} held-out rows are too few to look for drift"));
            return Ok(Vec::new());
        }
        let column = |index: usize, range: std::ops::Range<usize>| -> Vec<f64> {
            range.map(|row| f64::from(rows.row(row)[index])).collect()
        };
        let names = fit.metadata.features.iter().chain(&fit.metadata.contexts).map(|(name, _)| name);
        let mut columns: Vec<(String, Vec<f64>, Vec<f64>)> = names
            .enumerate()
            .map(|(i, name)| (name.clone(), column(i, 0..earlier), column(i, earlier..rows.rows)))
            .collect();
        let block = crate::training::Matrix {
            rows: earlier,
            columns: rows.columns,
            values: rows.values[..earlier * rows.columns].to_vec(),
        };
        let settings: Vec<TrainConfig> =
            fit.settings().into_iter().map(|c| TrainConfig { time_ordered: false, ..c }).collect();
        let progress = Progress::start(output, "looking for drift", "trainings", 1);
        // Not fold 0 of anything: the first further fold is a training like any other.
        let trained = train_folds(&block, &settings, 1, &|| progress.advance(1));
        progress.finish();
        match trained {
            Ok(folds) => {
                if let Some(fold) = folds.first() {
                    let before: Vec<f32> =
                        fold.holdout_rows.iter().flat_map(|&row| block.row(row)).copied().collect();
                    let after = &rows.values[earlier * rows.columns..];
                    let (before, after) = fit.statistics_by(fold, &before, after)?;
                    columns.push((STATISTIC.to_owned(), before, after));
                }
            }
            Err(error) => output.warn(&format!("the statistic could not be tested for drift: {error}")),
        }
        let mut found: Vec<Change> = drift::compare(&columns).into_iter().filter(Change::is_found).collect();
        found.sort_by(|a, b| b.statistic.total_cmp(&a.statistic));
        if !found.is_empty() {
            output.note(&drifted(&found, columns.len()));
        }
        Ok(found)
    }

    /// What is said of the calibration, as a line of the message.
    pub(super) fn line(
        &self,
        fit: &Fit,
        image: &export::ImageFile,
        numeric: Numeric,
        calibrated: &Calibrated,
        json: &mut Value,
    ) -> anyhow::Result<String> {
        let interval = fit.rate_interval(image, numeric)?;
        add_json(json, &interval);
        json["contamination"] = json!(self.contamination());
        json["calibration_rows_left_out"] = json!(fit.suspects());
        json["calibration_folds"] = json!(calibrated.folds);
        json["drift"] = json!(calibrated.drift.as_ref().map(|changes| {
            let one =
                |c: &Change| json!({ "feature": c.column, "statistic": c.statistic, "p_value": c.p_value });
            changes.iter().map(one).collect::<Vec<_>>()
        }));
        Ok(format!("alarms     {}\n", self.rate.told(&interval)))
    }
}

/// Name of the statistic among the columns that are tested.
const STATISTIC: &str = "(statistic)";

/// What is said of drift.
fn drifted(found: &[Change], tested: usize) -> String {
    const NAMED: usize = 5;
    let one = |c: &Change| format!("{} by {:.2}", c.column, c.statistic);
    let mut names = found.iter().take(NAMED).map(one).collect::<Vec<_>>().join(", ");
    if found.len() > NAMED {
        names.push_str(&format!(" and {} more", found.len() - NAMED));
    }
    let consequence = if found.iter().any(|c| c.column == STATISTIC) {
        "the statistic changed too, so readings to come may alarm more or less often than asked: train on rows that cover \
         what normal can be"
    } else {
        "the statistic did not, so the alarm's rate may hold all the same"
    };
    format!(
        "{} of {tested} columns differ between the rows trained on and the later ones (largest distance of the distribution \
         functions): {names}; {consequence}",
        found.len(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_read_well() {
        let shown = [0.5, 0.01234, 0.001, 1.0 / 604_800.0, 0.00099, 0.0].map(share);
        assert_eq!(shown, ["50 %", "1.2 %", "0.1 %", "1 in 605,000", "1 in 1,010", "none"]);
        assert_eq!([12.34, 1.06, 0.25, 0.004, 2.0].map(digits), ["12", "1.1", "0.25", "0.004", "2"]);
    }

    #[test]
    fn what_too_few_rows_cannot_promise_is_said() {
        let said = |rate, promised: bool| {
            let interval = RateInterval {
                rate,
                low: rate / 4.0,
                high: rate * 8.0,
                readings: 1240,
                extrapolated: !promised,
            };
            assert_eq!(interval.is_promised(), promised);
            let args = RateArgs { false_alarm_rate: None, false_alarms: "1 per week at 1 Hz".parse().ok() };
            args.told(&interval)
        };
        let few = said(1.0 / 604_800.0, false);
        for part in [
            "1 per week at 1 Hz (1 in 605,000)",
            "vouch for rates down to 1 in 414",
            "0.25 to 8 per week at 1 Hz",
        ] {
            assert!(few.contains(part), "'{part}' is not in '{few}'");
        }
        assert!(few.contains("some 1,811,"), "{few}");
        assert!(!said(0.01, true).contains("vouch"));
    }
}
