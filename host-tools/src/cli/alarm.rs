//! `flowlet alarm`

use super::output::{grouped, Output};
use super::tables::TableArgs;
use super::{files, scoring, usage};
use crate::alarm::{
    choose, costs, drift_limits, replay, simulate, Costs, Delay, Law, Replay, Simulated, Wanted, WantedCusum,
};
use crate::calibration::FalseAlarms;
use crate::export::{present, ImageFile};
use crate::segments::{segments, Delays};
use anyhow::Context;
use clap::Args;
use flowlet::stream::alarm::LARGEST_LIMIT;
use flowlet::stream::{AlarmSettings, DriftSettings, Surprise};
use serde_json::{json, Value};
use std::fmt::Write;
use std::path::PathBuf;

/// Readings of the simulation where several detectors are on and nothing else tells their common rate.
const SIMULATED: u64 = 10_000_000;
/// Seed of the simulation.
const SEED: u64 = 1;

/// Set when the stream of scores raises the alarm, and compute what that costs
///
/// A reading's surprise is -log2 of its p-value: of normal readings a share 2^-s has s bits or more. Votes, a moving average
/// and a cumulative sum of it turn single readings into an alarm. Rates of false alarms and delays follow from the settings
/// alone, for independent readings; with a table in the order of time, they are counted there as well.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  flowlet alarm pump.flow --votes 3/5 --false-alarms \"1 per week at 1 Hz\" -o pump.flow
  flowlet alarm pump.flow --ewma 0.1 --clear 2 --hold-off 60 --false-alarms \"1 per month at 10 Hz\" day1.csv
  flowlet alarm pump.flow --cusum 3 --false-alarms \"1 per week at 1 Hz\" labelled.csv --label fault
  flowlet alarm pump.flow                        what the settings in the image cost")]
pub(super) struct AlarmArgs {
    /// The image
    #[arg(value_name = "M.flow")]
    model: PathBuf,
    /// Tables (.csv, .npy or .parquet) in the order of time, each a series of its own, to count alarms on
    #[arg(value_name = "DATA")]
    data: Vec<PathBuf>,
    /// Alarm when K of the last N readings have a surprise of BITS or more [default: 3/5 if nothing is asked for or stored]
    #[arg(long, value_name = "K/N[@BITS]", value_parser = votes, help_heading = "Alarm")]
    votes: Option<(u8, u8, Option<Surprise>)>,
    /// Alarm when the moving average of the surprise, in which a new reading has the weight LAMBDA, reaches BITS
    #[arg(long, value_name = "LAMBDA[@BITS]", value_parser = ewma, help_heading = "Alarm")]
    ewma: Option<(u16, Option<Surprise>)>,
    /// Alarm when the sum of what surprises exceed REFERENCE by, never below zero, reaches LIMIT, both in bits
    #[arg(long, value_name = "REFERENCE[,LIMIT]", value_parser = cusum, help_heading = "Alarm")]
    cusum: Option<WantedCusum>,
    /// Readings after a rise before there may be another
    #[arg(long, value_name = "READINGS", default_value_t = 0, help_heading = "Alarm")]
    hold_off: u32,
    /// Level of votes and average, in bits, below which the alarm clears [default: the level that raises it]
    #[arg(long, value_name = "BITS", value_parser = surprise, help_heading = "Alarm")]
    clear: Option<Surprise>,
    /// Choose the levels left open so that there are no more: "1 per week at 1 Hz", "1 per 100000 readings"
    #[arg(long, value_name = "TEXT", help_heading = "Alarm")]
    false_alarms: Option<FalseAlarms>,
    /// Readings per second, for times [default: that of --false-alarms]
    #[arg(long, value_name = "HZ", value_parser = positive, help_heading = "Alarm")]
    rate: Option<f64>,
    /// Mean surprise, in bits, of the anomalies that delays are stated for
    #[arg(long, value_name = "BITS", value_parser = positive, default_value_t = 8.0, help_heading = "Alarm")]
    shift: f64,
    /// Simulate so many independent normal readings with the device's own code [default: none; with several detectors 10
    /// million]
    #[arg(long, value_name = "READINGS", help_heading = "Alarm")]
    simulate: Option<u64>,
    /// Compute limits of a drift test too (stream::Drift) that normal, independent readings leave no more often than this,
    /// all features together: "1 per month at 1 Hz". Printed, not stored in the image
    #[arg(long, value_name = "TEXT", help_heading = "Drift")]
    drift: Option<FalseAlarms>,
    /// A reading has the weight 2^-SHIFT in the drift test's means
    #[arg(long, value_name = "SHIFT", requires = "drift", default_value_t = 8, value_parser = clap::value_parser!(u8).range(4..=12), help_heading = "Drift")]
    drift_shift: u8,
    /// The drift test looks at one reading in so many
    #[arg(long, value_name = "READINGS", requires = "drift", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..), help_heading = "Drift")]
    drift_every: u16,
    /// Write the image with these settings
    #[arg(short, long, value_name = "OUT.flow")]
    output: Option<PathBuf>,
    #[command(flatten)]
    table: TableArgs,
}

fn positive(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|x: &f64| *x > 0.0 && x.is_finite())
        .ok_or_else(|| "must be a positive number".to_owned())
}

fn surprise(text: &str) -> Result<Surprise, String> {
    let bits = positive(text)?;
    if bits >= 256.0 {
        return Err("must be a number of bits below 256".to_owned());
    }
    Ok(Surprise::from_raw((bits * 256.0).round().clamp(1.0, 65_535.0) as u16))
}

/// What stands before an `@`, and the level behind it.
fn at(text: &str) -> Result<(&str, Option<Surprise>), String> {
    match text.split_once('@') {
        Some((front, level)) => Ok((front, Some(surprise(level).map_err(|e| format!("the level {e}"))?))),
        None => Ok((text, None)),
    }
}

fn votes(text: &str) -> Result<(u8, u8, Option<Surprise>), String> {
    let (front, level) = at(text)?;
    let counts =
        front.split_once('/').and_then(|(k, n)| Some((k.trim().parse().ok()?, n.trim().parse().ok()?)));
    match counts.filter(|&(k, n): &(u8, u8)| 1 <= k && k <= n && n <= 32) {
        Some((k, n)) => Ok((k, n, level)),
        None => Err("must be K/N with 1 <= K <= N <= 32, such as 3/5 or 3/5@6.5".to_owned()),
    }
}

fn ewma(text: &str) -> Result<(u16, Option<Surprise>), String> {
    let (front, level) = at(text)?;
    let weight = positive(front).ok().filter(|w| (1.0 / 1024.0..1.0).contains(w));
    let weight = weight.ok_or("must be a weight of 0.001 to 0.999, such as 0.1 or 0.1@3.5")?;
    Ok(((weight * 65_536.0).round().clamp(64.0, 65_535.0) as u16, level))
}

fn cusum(text: &str) -> Result<WantedCusum, String> {
    let (reference, limit) = match text.split_once(',') {
        Some((reference, limit)) => (reference, Some(limit)),
        None => (text, None),
    };
    let reference = surprise(reference).map_err(|e| format!("the reference {e}"))?;
    if reference <= Surprise::MEAN {
        return Err("the reference must be above 1.45 bits, the mean of normal readings".to_owned());
    }
    let limit = limit.map(|text| {
        let units = (positive(text)? * 256.0).round();
        let fits = units >= 1.0 && units <= f64::from(LARGEST_LIMIT);
        fits.then_some(units as u32).ok_or_else(|| "must be at most 65536 bits".to_owned())
    });
    Ok(WantedCusum { reference, limit: limit.transpose().map_err(|e| format!("the limit {e}"))? })
}

/// Rows of all tables, as the alarm hears them.
#[derive(Default)]
struct Series {
    surprises: Vec<Surprise>,
    labels: Option<Vec<bool>>,
    starts: Vec<usize>,
}

/// What was counted on the tables.
struct Measured {
    replay: Replay,
    delays: Option<Delays>,
    /// By the rows' labels: the delay that independent draws of the anomalous ones would have.
    drawn: Option<Law>,
}

impl AlarmArgs {
    pub(super) fn run(self, output: &Output) -> anyhow::Result<()> {
        if let Some(path) = &self.output {
            files::check_target(path)?;
        }
        let image = scoring::read_image(&self.model)?;
        let model = image.model()?;
        let ceiling = Surprise::ceiling(&model);
        let settings = self.settings(present(model.alarm())?, ceiling)?;
        let drift = self.drift.as_ref().map(|allowed| {
            drift_limits(allowed.rate(), model.features(), self.drift_shift, self.drift_every)
        });
        let drift = drift.transpose().context("--drift")?;
        let series = self.series(&image, output)?;
        let measured = series.as_ref().map(|series| measure(&settings, series));

        let mut laws = vec![Law::anomalous(self.shift, ceiling)];
        laws.extend(measured.as_ref().and_then(|m| m.drawn.clone()));
        let costs = costs(&settings, ceiling, &laws)?;
        let wanted = self.simulate.or((costs.detectors.len() > 1).then_some(SIMULATED)).filter(|&n| n > 0);
        let simulated = wanted.map(|readings| simulate(&settings, &Law::normal(ceiling), readings, SEED));
        if model.head().calibration.readings == 0 || ceiling == Surprise::ZERO {
            output.warn(
                "the image is not calibrated, so that no reading surprises: no alarm will ever be raised",
            );
        }

        if let Some(path) = &self.output {
            let written = image.with_alarm(&settings).with_context(|| {
                format!(
                    "{} was written by an older version, which has no place for alarm settings: write it anew with \
                     flowlet quantize",
                    self.model.display()
                )
            })?;
            files::write_whole(path, written.bytes())?;
        }
        let mut json = self.json(&settings, ceiling, &costs, simulated.as_ref(), measured.as_ref());
        json["drift"] = json!(drift.as_ref().map(drift_json));
        let mut text = self.text(&settings, ceiling, &costs, simulated.as_ref(), measured.as_ref());
        if let (Some(limits), Some(allowed)) = (&drift, &self.drift) {
            text.push_str(&described_drift(limits, allowed, model.features()));
        }
        output.finish(&text, &json)
    }

    /// As asked for; as stored, if nothing is asked for.
    fn settings(&self, stored: Option<AlarmSettings>, ceiling: Surprise) -> anyhow::Result<AlarmSettings> {
        let asks = self.votes.is_some() || self.ewma.is_some() || self.cusum.is_some();
        if let Some(stored) = stored.filter(|_| !asks && self.false_alarms.is_none()) {
            if self.clear.is_some() || self.hold_off > 0 {
                return Err(usage("--clear and --hold-off need --votes, --ewma or --cusum beside them"));
            }
            return Ok(stored);
        }
        let wanted = Wanted {
            votes: if asks { self.votes } else { Some((3, 5, None)) },
            ewma: self.ewma,
            cusum: self.cusum,
            hold_off: self.hold_off,
            clear: self.clear,
        };
        choose(&wanted, self.false_alarms.as_ref().map(FalseAlarms::rate), ceiling)
    }

    fn series(&self, image: &ImageFile, output: &Output) -> anyhow::Result<Option<Series>> {
        if self.data.is_empty() {
            return Ok(None);
        }
        let mut series = Series::default();
        let mut labels = Vec::new();
        for path in &self.data {
            let table = self.table.read_for(path, image, output)?;
            series.starts.push(series.surprises.len());
            let scores = scoring::score_rows(image, &table.values, |_| ())?;
            series.surprises.extend(scores.iter().map(Surprise::of));
            labels.extend(table.labels.unwrap_or_default());
        }
        series.labels = self.table.label.is_some().then_some(labels);
        Ok(Some(series))
    }

    fn hertz(&self) -> Option<f64> {
        self.rate.or(self.false_alarms.as_ref().and_then(FalseAlarms::readings_per_second))
    }

    fn json(
        &self,
        settings: &AlarmSettings,
        ceiling: Surprise,
        costs: &Costs,
        simulated: Option<&Simulated>,
        measured: Option<&Measured>,
    ) -> Value {
        let finite = |x: f64| x.is_finite().then_some(x);
        let delay = |d: &Delay| json!({ "mean": finite(d.mean), "median": d.median, "most_95": d.most });
        let detectors = costs.detectors.iter().map(|d| {
            json!({
                "detector": d.detector,
                "run_length": finite(d.run_length),
                "delay": d.delays.first().map(delay),
                "delay_of_labelled": d.delays.get(1).map(delay),
            })
        });
        json!({
            "image": self.model,
            "output": self.output,
            "settings": settings_json(settings),
            "ceiling_bits": bits(ceiling),
            "false_alarm_rate": costs.rate,
            "readings_between_false_alarms": finite(1.0 / costs.rate),
            "seconds_between_false_alarms": self.hertz().and_then(|hz| finite(1.0 / costs.rate / hz)),
            "anomaly_bits": self.shift,
            "detectors": detectors.collect::<Vec<_>>(),
            "simulated": simulated.map(counted),
            "measured": measured.map(|m| replay_json(&m.replay, m.delays)),
        })
    }

    fn text(
        &self,
        settings: &AlarmSettings,
        ceiling: Surprise,
        costs: &Costs,
        simulated: Option<&Simulated>,
        measured: Option<&Measured>,
    ) -> String {
        let mut text = described(settings, ceiling);
        let every = |rate: f64| {
            let time =
                self.hertz().map_or_else(String::new, |hz| format!(", every {}", span(1.0 / rate / hz)));
            format!("1 in {} normal readings{time}", grouped((1.0 / rate).min(1e18).round() as usize))
        };
        let most = if costs.detectors.len() > 1 { "the detectors' rates add up to" } else { "at most" };
        let _ = writeln!(text, "false alarms  {most} {}", every(costs.rate));
        for cost in &costs.detectors {
            for (delay, of) in
                cost.delays.iter().zip([format!("of {} bits on average", self.shift), "as labelled".into()])
            {
                let count = |n: Option<usize>| n.map_or_else(|| "more than 200,000".to_owned(), grouped);
                let mean =
                    if delay.mean.is_finite() { format!("{:.1}", delay.mean) } else { "for ever".to_owned() };
                let _ = writeln!(
                    text,
                    "delay         {}: anomalies {of} take {mean} readings on average; half of them at most {}, 95 % at most {}",
                    cost.detector,
                    count(delay.median),
                    count(delay.most)
                );
            }
        }
        if let Some(s) = simulated {
            let _ = writeln!(
                text,
                "simulated     {} rises in {} normal readings{}",
                grouped(s.rises as usize),
                grouped(s.readings as usize),
                if s.rises > 0 { format!(": {}", every(s.rate())) } else { String::new() }
            );
        }
        if let Some(m) = measured {
            let n = &m.replay.normal;
            let expected = costs.rate * n.readings as f64;
            let _ = writeln!(
                text,
                "counted       {} rises in {} normal rows; independent ones would have {}{}",
                grouped(n.rises as usize),
                grouped(n.readings as usize),
                if expected >= 0.05 { format!("{expected:.1}") } else { format!("{expected:.1e}") },
                if n.interval[0] > costs.rate {
                    ": neighbours in time are alike, or these rows are not like the calibration's"
                } else {
                    ""
                }
            );
            if let Some(d) = &m.delays {
                let (median, worst) = (d.median.unwrap_or(0.0), d.worst.unwrap_or(0));
                let _ = writeln!(
                    text,
                    "events        {} of {} noticed{}",
                    d.detected,
                    d.detected + d.missed,
                    if d.detected > 0 {
                        format!("; after {median} rows (median), {worst} (worst)")
                    } else {
                        String::new()
                    }
                );
            }
        }
        if let Some(path) = &self.output {
            let _ = writeln!(text, "written       {}", path.display());
        } else if self.false_alarms.is_some() {
            let _ = writeln!(text, "not stored: give -o OUT.flow");
        }
        text
    }
}

fn measure(settings: &AlarmSettings, series: &Series) -> Measured {
    let Series { surprises, labels, starts } = series;
    let replay = replay(settings, surprises, labels.as_deref(), starts);
    let delays = labels.as_ref().map(|labels| Delays::of(&segments(labels, &replay.on, starts)));
    let drawn = labels.as_ref().and_then(|labels| {
        let anomalous: Vec<Surprise> =
            surprises.iter().zip(labels).filter(|(_, &label)| label).map(|(&s, _)| s).collect();
        Law::of(&anomalous)
    });
    Measured { replay, delays, drawn }
}

fn counted(s: &Simulated) -> Value {
    json!({ "readings": s.readings, "rises": s.rises, "rate": s.rate(), "interval": s.interval })
}

/// What an alarm did on tables, in JSON.
pub(super) fn replay_json(replay: &Replay, delays: Option<Delays>) -> Value {
    json!({
        "normal": counted(&replay.normal),
        "rows_on": replay.on.iter().filter(|&&on| on).count(),
        "events": delays.map(|d| d.detected + d.missed),
        "events_detected": delays.map(|d| d.detected),
        "median_delay": delays.and_then(|d| d.median),
        "worst_delay": delays.and_then(|d| d.worst),
    })
}

pub(super) fn bits(surprise: Surprise) -> f64 {
    f64::from(surprise.raw()) / 256.0
}

/// Settings in JSON, levels in bits.
pub(super) fn settings_json(settings: &AlarmSettings) -> Value {
    json!({
        "votes": settings.votes().map(|v| json!({
            "needed": v.needed, "of": v.of, "level": bits(v.level), "clear": bits(v.clear),
        })),
        "ewma": settings.ewma().map(|e| json!({
            "weight": f64::from(e.weight) / 65_536.0, "level": bits(e.level), "clear": bits(e.clear),
        })),
        "cusum": settings.cusum().map(|c| json!({
            "reference": bits(c.reference), "limit": f64::from(c.limit) / 256.0, "clear": f64::from(c.clear) / 256.0,
        })),
        "hold_off": settings.hold_off(),
    })
}

/// Settings in words, a line each.
pub(super) fn described(settings: &AlarmSettings, ceiling: Surprise) -> String {
    let mut text = String::new();
    if let Some(v) = settings.votes() {
        let _ = writeln!(
            text,
            "votes         {} of the last {} readings with {:.2} bits or more (p <= {:.2e}); clears below {:.2}",
            v.needed,
            v.of,
            bits(v.level),
            (-bits(v.level)).exp2(),
            bits(v.clear)
        );
    }
    if let Some(e) = settings.ewma() {
        let _ = writeln!(
            text,
            "ewma          average with weight {:.4} of {:.2} bits or more; clears below {:.2}",
            f64::from(e.weight) / 65_536.0,
            bits(e.level),
            bits(e.clear)
        );
    }
    if let Some(c) = settings.cusum() {
        let _ = writeln!(
            text,
            "cusum         sum above {:.2} bits a reading of {:.2} bits or more; clears at {:.2}",
            bits(c.reference),
            f64::from(c.limit) / 256.0,
            f64::from(c.clear) / 256.0
        );
    }
    let _ = writeln!(
        text,
        "hold-off      {} readings; the calibration reaches up to {:.2} bits",
        settings.hold_off(),
        bits(ceiling)
    );
    text
}

/// A limit of a drift test in the training's standard deviations, or variances.
fn of_training(units: u32) -> f64 {
    f64::from(units) / 16_777_216.0
}

/// Limits of a drift test, in the training's standard deviations and variances, and as the device has them.
fn drift_json(limits: &DriftSettings) -> Value {
    json!({
        "shift": limits.shift,
        "every": limits.every,
        "mean_limit": of_training(limits.mean_limit),
        "least_variance": of_training(limits.least_variance),
        "most_variance": of_training(limits.most_variance),
        "settings": limits,
    })
}

/// The same in words, and as Rust.
fn described_drift(limits: &DriftSettings, allowed: &FalseAlarms, features: usize) -> String {
    let DriftSettings { shift, every, mean_limit, least_variance, most_variance } = *limits;
    format!(
        "drift         a mean beyond {:.3} standard deviations, a variance outside {:.3} to {:.3} of the training's; \
         {features} features leave them {} at most, if they are independent and normal\n              \
         DriftSettings {{ shift: {shift}, every: {every}, mean_limit: {mean_limit}, least_variance: {least_variance}, \
         most_variance: {most_variance} }}\n",
        of_training(mean_limit),
        of_training(least_variance),
        of_training(most_variance),
        allowed.text(),
    )
}

/// A span of time in the unit that fits.
fn span(seconds: f64) -> String {
    const UNITS: [(f64, &str); 5] = [
        (365.25 * 86_400.0, "years"),
        (86_400.0, "days"),
        (3600.0, "hours"),
        (60.0, "minutes"),
        (1.0, "seconds"),
    ];
    let (size, unit) = UNITS.into_iter().find(|(size, _)| seconds >= 2.0 * size).unwrap_or((1.0, "seconds"));
    format!("{:.1} {unit}", seconds / size)
}
