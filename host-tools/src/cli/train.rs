//! `flowlet train`

use super::certified;
use super::checkpoint::{Checkpoint, CheckpointArgs};
use super::chip::{BudgetArgs, Job};
use super::false_alarms::{Calibrated, CalibrationArgs};
use super::files;
use super::fine_tuning::{self, FineTuneArgs};
use super::fit::{self, Chosen, Fit};
use super::flow_parts::Parts;
use super::output::{grouped, Output};
use super::scoring::{self, NumericArg};
use super::tables::TableArgs;
use super::trained::{candidate, expert, told};
use super::usage;
use crate::chip_search::Fixed;
use crate::export::{self, Certificate, Core, ImageFile, Numeric, Statistic};
use crate::report::history::{beside, History};
use crate::selection::{self, Selection};
use crate::table::{Kind, Table};
use crate::training::{auto_experts, kinds, ConditionerKind, FlowKind, Keeper, TrainConfig};
use anyhow::bail;
use clap::{Args, ValueEnum};
use serde_json::{json, Value};
use std::path::PathBuf;

/// Train a flow on the normal rows of a table and write it as an image
///
/// All numeric columns are features, except the one named by --label, whose rows of label 1 are left out. Part of the
/// rows is held out: it chooses the best epoch and calibrates p-values and the alarm. Without --numeric, 8-bit weights
/// are used where their measured cost is small, else 16-bit ones.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  flowlet train pump.csv -o pump.flow
  flowlet train day1.csv day2.csv --label fault --ignore time -o pump.flow
  flowlet train pump.csv --context speed,load -o pump.flow
  flowlet train pump.csv --false-alarms \"1 per week at 1 Hz\" --time-ordered -o pump.flow
  flowlet train vibration.npy --stream --rate 48000 -o pump.flow       raw samples of an accelerometer
  flowlet train pump.csv -o pump.flow --chip stm32f401 --max-flash 16k --max-ram 2k --max-instructions 50000
  flowlet train pump.csv -o small.flow --layers 4 --hidden 16,16 --numeric i16 --seed 7")]
pub(super) struct TrainArgs {
    /// Tables with the same columns: .csv, .npy or .parquet
    #[arg(required = true, value_name = "DATA")]
    data: Vec<PathBuf>,
    /// Where to write the image
    #[arg(short, long, value_name = "M.flow")]
    output: PathBuf,
    #[command(flatten)]
    table: TableArgs,
    /// Train on at most so many rows of each label; of longer tables they are drawn evenly, by --seed, while the files are
    /// read in parts: memory does not grow with them
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = positive, help_heading = "Input")]
    max_rows: usize,
    /// Features of the windows of --stream: vibration, slow-sensors, or a TOML file (docs/streams.md) [default: vibration from
    /// 100 Hz on, slow-sensors below]
    #[arg(long, value_name = "SPEC", requires = "stream", help_heading = "Streams")]
    features: Option<String>,
    /// Columns of the operating point (speed, load, temperature): they say what is normal and are not scored
    #[arg(long, value_name = "A,B", value_delimiter = ',', help_heading = "Input")]
    context: Vec<String>,
    /// Kind of flow; auto trains two densities, of which the more suspicious one counts: a realnvp over marginal maps and
    /// onto a mixture, and a mixture of whitened readings. likeliest trains realnvp, nsf and glow over marginal maps and
    /// onto a mixture, and keeps the one whose held-out rows are likeliest
    #[arg(long, value_enum, default_value = "auto", help_heading = "Flow")]
    flow: FlowArg,
    /// Number of coupling layers [default: 6; of likeliest 4 for nsf and glow]
    #[arg(long, value_name = "N", help_heading = "Flow")]
    layers: Option<usize>,
    /// Widths of the conditioners' hidden layers; of residual nets one per block, all the same [default: 64; of
    /// likeliest 32 for nsf and glow]
    #[arg(long, value_name = "H,H", value_delimiter = ',', help_heading = "Flow")]
    hidden: Option<Vec<usize>>,
    /// Bins of a spline, 4 to 16; for --flow nsf only [default: 8]
    #[arg(long, value_name = "K", help_heading = "Flow")]
    bins: Option<usize>,
    #[command(flatten)]
    parts: Parts,
    #[command(flatten)]
    budget: BudgetArgs,
    /// Numbers that the image computes with [default: i8 if that costs little, else i16]
    #[arg(long, value_enum, help_heading = "Flow")]
    numeric: Option<NumericArg>,
    #[command(flatten)]
    fine_tune: FineTuneArgs,
    /// Core that the integer weights lie in order for; every core evaluates every order, with the same bits [default:
    /// cortex-m4f, or that of --chip]
    #[arg(long, value_name = "CORE", value_parser = scoring::core_parser(), help_heading = "Flow")]
    core: Option<Core>,
    /// What is compared with the alarm's threshold; auto takes the log-density unless another separates labelled anomalies
    /// clearly better
    #[arg(long, value_enum, default_value = "auto", help_heading = "Flow")]
    statistic: StatisticArg,
    /// Where to write what `report` draws the training curve from [default: M.flow.json, beside the image]
    #[arg(long, value_name = "FILE")]
    history: Option<PathBuf>,
    /// Write the image alone
    #[arg(long, conflicts_with = "history")]
    no_history: bool,
    #[command(flatten)]
    alarm: CalibrationArgs,
    /// Name stored in the image [default: that of the first table]
    #[arg(long, value_name = "NAME", help_heading = "Flow")]
    name: Option<String>,
    #[command(flatten)]
    recipe: Recipe,
    #[command(flatten)]
    checkpoint: CheckpointArgs,
}

/// How training goes; what is not given follows the measured recipe.
#[derive(Args, Debug)]
#[command(next_help_heading = "Training")]
struct Recipe {
    /// Passes over the rows at most [default: by the number of rows]
    #[arg(long, value_name = "N")]
    epochs: Option<usize>,
    /// Stop after so many epochs without improvement [default: never]
    #[arg(long, value_name = "N")]
    patience: Option<usize>,
    /// Rows per step
    #[arg(long, value_name = "N", default_value_t = TrainConfig::default().batch)]
    batch: usize,
    /// Peak learning rate
    #[arg(long, value_name = "X", allow_negative_numbers = true, default_value_t = TrainConfig::default().lr)]
    lr: f32,
    /// Noise added to the standardized inputs, as a standard deviation
    #[arg(long, value_name = "X", allow_negative_numbers = true, default_value_t = TrainConfig::default().noise)]
    noise: f32,
    /// Seed of everything random
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,
    /// Train from so many random starts and keep the one whose held-out rows are likeliest, of each expert for itself: takes as
    /// many times as long
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=100))]
    starts: u64,
    /// Threads; the image does not depend on it [default: all cores]
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Share of the normal rows that is held out
    #[arg(long, value_name = "FRACTION", allow_negative_numbers = true, default_value_t = TrainConfig::default().holdout)]
    holdout: f64,
}

/// Statistics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum StatisticArg {
    Auto,
    LogProb,
    SquaredNorm,
    Typicality,
}

impl From<StatisticArg> for Option<Statistic> {
    fn from(arg: StatisticArg) -> Self {
        match arg {
            StatisticArg::Auto => None,
            StatisticArg::LogProb => Some(Statistic::NegativeLogProb),
            StatisticArg::SquaredNorm => Some(Statistic::SquaredNorm),
            StatisticArg::Typicality => Some(Statistic::Typicality),
        }
    }
}

/// Kinds of flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum FlowArg {
    Realnvp,
    Nice,
    Nsf,
    Glow,
    Likeliest,
    Auto,
}

impl TrainArgs {
    /// What a search within a budget varies, and what it leaves.
    fn searched(&self, experts: &[Vec<TrainConfig>]) -> anyhow::Result<(Vec<TrainConfig>, Fixed)> {
        let parts = &self.parts;
        if self.flow == FlowArg::Likeliest {
            return Err(usage(
                "--flow likeliest does not go with a budget: auto searches kinds of flows too",
            ));
        }
        if parts.image.is_some() || parts.integers.is_some() || parts.conditioner == ConditionerKind::Conv1d {
            return Err(usage("--image, --integers and --conditioner conv1d do not go with a budget"));
        }
        if self.recipe.starts > 1 {
            return Err(usage(
                "--starts does not go with a budget: the search trains many candidates as it is",
            ));
        }
        let fixed = Fixed {
            layers: self.layers,
            hidden: self.hidden.clone(),
            parts: parts.base.is_some() || parts.marginal.is_some() || parts.components > 0,
        };
        Ok((experts.concat(), fixed))
    }

    /// The settings of each expert's candidates: one of one, unless `auto` is to choose.
    fn experts(&self) -> anyhow::Result<Vec<Vec<TrainConfig>>> {
        let parts = &self.parts;
        // What auto would put in front of them does not suit these.
        let is_special =
            parts.image.is_some() || parts.integers.is_some() || parts.conditioner == ConditionerKind::Conv1d;
        let flow = match self.flow {
            FlowArg::Likeliest if is_special => {
                return Err(usage(
                    "--flow likeliest does not go with --image, --integers or --conditioner conv1d: name one kind of flow"
                        .to_owned(),
                ));
            }
            FlowArg::Likeliest => None,
            FlowArg::Realnvp => Some(FlowKind::Realnvp),
            FlowArg::Nice => Some(FlowKind::Nice),
            FlowArg::Nsf => Some(FlowKind::Nsf),
            FlowArg::Glow => Some(FlowKind::Glow),
            FlowArg::Auto if is_special => Some(FlowKind::Realnvp),
            FlowArg::Auto => None,
        };
        if let (Some(_), Some(flow)) = (self.bins, flow.filter(|&flow| flow != FlowKind::Nsf)) {
            return Err(usage(format!("--bins belongs to --flow nsf, not to {}", flow.name())));
        }
        if self.layers == Some(0) {
            return Err(usage("--layers is 0: use 1 to 64 couplings"));
        }
        if self.recipe.epochs == Some(0) {
            return Err(usage("--epochs is 0: use at least 1"));
        }
        let settings = self.settings()?;
        let mut experts = match flow {
            Some(flow) => vec![vec![TrainConfig { flow, ..settings }]],
            None if self.flow == FlowArg::Likeliest => vec![kinds(&settings)],
            None => auto_experts(&settings),
        };
        for config in experts.iter_mut().flatten() {
            // Options of the couplings are for those that have some.
            if flow.is_some() || config.layers > 0 {
                config.layers = self.layers.unwrap_or(config.layers);
                config.hidden = self.hidden.clone().unwrap_or_else(|| config.hidden.clone());
                config.base = parts.base.unwrap_or(config.base);
                config.marginal = parts.marginal.unwrap_or(config.marginal);
            }
            fit::check(config)?;
        }
        for candidates in &mut experts {
            *candidates = candidates.iter().flat_map(|config| config.starts(self.recipe.starts)).collect();
        }
        Ok(experts)
    }

    /// What all candidates have in common.
    fn settings(&self) -> anyhow::Result<TrainConfig> {
        let default = TrainConfig::default();
        let parts = &self.parts;
        let recipe = &self.recipe;
        check_context(&self.context, &self.table)?;
        if recipe.threads == Some(0) {
            return Err(usage("--threads is 0: use at least 1"));
        }
        Ok(TrainConfig {
            bins: self.bins.unwrap_or(default.bins),
            components: parts.components,
            image: parts.image,
            levels: parts.levels.unwrap_or(default.levels),
            integers: parts.integers,
            whiten: parts.whiten,
            mask: parts.mask,
            conditioner: parts.conditioner,
            activation: parts.activation.into(),
            channels: parts.channels,
            contexts: self.context.len(),
            kernel: parts.kernel,
            padding: parts.padding.into(),
            epochs: recipe.epochs.or(default.epochs),
            patience: recipe.patience.or(default.patience),
            batch: recipe.batch,
            lr: recipe.lr,
            noise: recipe.noise,
            seed: recipe.seed,
            threads: recipe.threads.unwrap_or(default.threads),
            holdout: recipe.holdout,
            time_ordered: self.alarm.time_ordered,
            contamination: self.alarm.contamination(),
            ..default
        })
    }

    /// From trained experts to the image: statistic, numbers, certificate, the core's order.
    fn finish(
        &self,
        mut fit: Fit,
        numeric: Option<Numeric>,
        core: Core,
        anomalies: Option<&[f32]>,
        output: &Output,
    ) -> anyhow::Result<Finished> {
        let calibrated = self.alarm.calibrate(&mut fit, output)?;
        let selection = fit.select(self.statistic.into(), anomalies)?;
        let mut chosen = fit.choose(numeric, self.fine_tune.fine_tune)?;
        if let Some(tuning) = &chosen.tuning {
            output.note(&format!("8-bit weights: {}", tuning.told()));
        }
        let certificate = fit.certificate(chosen.numeric)?;
        if let Some(certificate) = &certificate {
            chosen.image = chosen.image.certified(certificate);
        }
        chosen.image = export::arrange(&chosen.image, core)?;
        Ok(Finished { fit, calibrated, selection, chosen, certificate })
    }

    pub(super) fn run(mut self, output: &Output) -> anyhow::Result<()> {
        self.alarm.is_stream = self.table.stream.stream;
        if self.table.stream.stream && !self.context.is_empty() {
            return Err(usage("--context does not go with --stream: features of windows are all scored"));
        }
        let experts = self.experts()?;
        let limits = self.budget.limits(self.core.unwrap_or_default())?;
        let core = limits.as_ref().map_or(self.core.unwrap_or_default(), |limits| limits.budget.core);
        if limits.is_some() {
            self.searched(&experts)?;
        }
        files::check_target(&self.output)?;
        self.history.as_deref().map_or(Ok(()), files::check_target)?;
        let most = (self.max_rows, self.recipe.seed);
        let table = self.table.read_sample(&self.data, most, self.features.as_deref(), output)?;
        let table = table.with_context(&self.context)?;
        let experts = in_time_order(experts, &table);
        let features = table.columns.len() - self.context.len();
        let normal_rows = table.labels.as_ref().map_or(table.rows, |l| l.iter().filter(|a| !**a).count());
        if normal_rows == 0 {
            bail!("{}: no normal rows (label 0) to train on", table.path.display());
        }
        if normal_rows < table.rows {
            output.note(&format!("{} rows labelled anomalous are left out", table.rows - normal_rows));
        }
        if self.table.label.is_none() && !self.table.stream.stream {
            warn_of_labels(&table, output);
        }

        // Not the output's name: the same training gives the same image wherever it is written.
        let stem = table.path.file_stem().map_or_else(String::new, |s| s.to_string_lossy().into_owned());
        let name = self.name.clone().unwrap_or(stem);
        let mut checkpoint = Checkpoint::open(&self.output, &self.checkpoint, output);
        let anomalies = table.anomalous_values();
        let finish = |fit, numeric| self.finish(fit, numeric, core, anomalies.as_deref(), output);
        let (finished, search) = match &limits {
            None => {
                let keeper = Some(&mut checkpoint as &mut dyn Keeper);
                let fit = Fit::new(&table, &experts, name, self.alarm.false_alarm_rate(), output, keeper)?;
                (finish(fit, self.numeric.map(Numeric::from))?, None)
            }
            Some(limits) => {
                let (reference, fixed) = self.searched(&experts)?;
                let numeric = self.numeric.map(Numeric::from);
                let (table, false_alarm_rate) = (&table, self.alarm.false_alarm_rate());
                let holdout = reference[0].holdout;
                let folds = self.alarm.folds((normal_rows as f64 * holdout).round() as usize, holdout);
                let name = &name;
                let job = Job { table, reference, fixed, numeric, limits, folds, name, false_alarm_rate };
                let (finished, search) = job.run(|fit, numeric| finish(fit, Some(numeric)), output)?;
                (finished, Some((search, limits)))
            }
        };
        let Finished { fit, calibrated, selection, chosen, certificate } = finished;
        files::write_whole(&self.output, chosen.image.bytes())?;
        checkpoint.remove();

        let (quoted, trained) = (fit.quoted(), fit.trained());
        let config = &quoted.candidates[quoted.chosen].config;
        let coupled = &fit.experts.members[0];
        let numeric = scoring::name(chosen.numeric);
        let workspace_bytes = chosen.image.model()?.workspace_bytes();
        let constant: Vec<&String> = trained.constant_columns.iter().map(|&c| &table.columns[c]).collect();
        let mut json = json!({
            "output": self.output,
            "flow": config.flow.name(),
            "recipe": config.summary(),
            "candidates": coupled.candidates.iter().map(candidate).collect::<Vec<_>>(),
            "chosen": coupled.chosen,
            "experts": fit.experts.members.iter().map(expert).collect::<Vec<_>>(),
            "quoted": fit.experts.quoted,
            "features": table.columns[..features],
            "context": table.columns[features..],
            "rows": normal_rows,
            "held_out_rows": trained.holdout_rows.len(),
            "anomalous_rows_left_out": table.rows - normal_rows,
            "skipped_rows": table.skipped_rows,
            "constant_columns": constant,
            "column_kinds": table.kinds().iter().map(Kind::json).collect::<Vec<_>>(),
            "epochs": trained.epochs,
            "best_epoch": trained.best_epoch,
            "restarts": trained.restarts,
            "seconds": fit.seconds(),
            "samples_per_second": trained.samples_per_second,
            "val_nll": trained.val_nll,
            "val_nll_standardized": trained.val_nll_standardized,
            "parameters": fit.parameters(),
            "macs": fit.macs(),
            "numeric": numeric,
            "core": core.name(),
            "numeric_reason": chosen.reason,
            "mean_abs_delta_log_prob": chosen.delta.mean,
            "max_abs_delta_log_prob": chosen.delta.max,
            "statistic": selection::name(selection.statistic),
            "statistic_reason": selection.reason(),
            "statistic_auroc": selection.json(),
            "image_bytes": chosen.image.bytes().len(),
            "workspace_bytes": workspace_bytes,
            "notes": table.notes,
        });
        let alarms = self.alarm.line(&fit, &chosen.image, chosen.numeric, &calibrated, &mut json)?;
        fine_tuning::add_json(&mut json, chosen.tuning.as_ref());
        certified::add_json(&mut json, certificate.as_ref().map(|c| (c.record(), c.reason())));
        let mut searched = String::new();
        if let Some((search, limits)) = &search {
            search.add_json(&mut json, limits);
            searched = search.told(limits);
        }
        self.write_history(&chosen.image, &mut json, &fit)?;
        let proved = certificate.as_ref().map_or_else(String::new, |c| {
            format!("\n           {}", certified::line(&c.record(), c.reason()))
        });
        let text = format!(
            "{}: {} over {} features{}, {} parameters{}\n\
             columns    {}\n\
             trained    {} epochs (kept {}) in {:.2} s, {} samples/s\n\
             held out   NLL {:.4} nats in the data's units, {:.4} standardized ({} rows)\n\
             statistic  {}: {}\n\
             {alarms}\
             numbers    {numeric}: {}{proved}\n\
             image      {} bytes; {workspace_bytes} bytes of workspace on the device{searched}",
            self.output.display(),
            config.summary(),
            features,
            if self.context.is_empty() {
                String::new()
            } else {
                format!(" in the context of {}", self.context.join(", "))
            },
            grouped(fit.parameters()),
            told(&fit),
            table.kinds_in_words(),
            trained.epochs,
            trained.best_epoch,
            fit.seconds(),
            grouped(trained.samples_per_second.round() as usize),
            trained.val_nll,
            trained.val_nll_standardized,
            trained.holdout_rows.len(),
            selection::name(selection.statistic),
            selection.reason(),
            chosen.reason,
            grouped(chosen.image.bytes().len()),
        );
        output.finish(&text, &json)
    }
}

/// An image, and how it came about.
pub(super) struct Finished {
    fit: Fit,
    calibrated: Calibrated,
    selection: Selection,
    pub(super) chosen: Chosen,
    certificate: Option<Certificate>,
}

impl TrainArgs {
    /// Leaves the training's figures and curve beside the image, and says in the JSON where.
    fn write_history(&self, image: &ImageFile, json: &mut Value, fit: &Fit) -> anyhow::Result<()> {
        // Beside a pipe or a device there is no place.
        let path = match &self.history {
            Some(path) => path.clone(),
            None if self.no_history || !self.output.is_file() => return Ok(()),
            None => beside(&self.output),
        };
        json["history"] = json!(path);
        let history = History::new(image, json, &fit.experts);
        files::write_whole(&path, &serde_json::to_vec(&history)?)
    }
}

/// A candidate of `auto` as JSON.
fn positive(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("must be a number of rows, 1 or more".to_owned()),
        Ok(number) => Ok(number),
    }
}

/// Of streams: held out by time, without the windows that share samples with windows on both sides.
fn in_time_order(mut experts: Vec<Vec<TrainConfig>>, table: &Table) -> Vec<Vec<TrainConfig>> {
    for config in experts.iter_mut().flatten().filter(|_| !table.front_end.is_empty()) {
        config.time_ordered = true;
        config.gap = table.overlap;
    }
    experts
}

/// What can be said of --context before a table is read.
fn check_context(context: &[String], table: &TableArgs) -> anyhow::Result<()> {
    for (index, name) in context.iter().enumerate() {
        if context[..index].contains(name) {
            return Err(usage(format!("--context names '{name}' twice")));
        }
        if table.label.as_ref() == Some(name) {
            return Err(usage(format!("'{name}' cannot be both --context and --label")));
        }
        if table.ignore.contains(name) {
            return Err(usage(format!("'{name}' is both in --context and in --ignore: take it out of one")));
        }
        if table.columns.as_ref().is_some_and(|columns| !columns.contains(name)) {
            return Err(usage(format!("'{name}' of --context is not in --columns: add it there too")));
        }
    }
    Ok(())
}

/// A label trained on as a feature is the commonest slip.
fn warn_of_labels(table: &Table, output: &Output) {
    const USUAL: [&str; 7] = ["label", "anomaly", "outlier", "is_anomaly", "fault", "class", "target"];
    for (index, name) in table.columns.iter().enumerate() {
        let binary = || table.iter_rows().all(|row| row[index] == 0.0 || row[index] == 1.0);
        if USUAL.contains(&name.to_ascii_lowercase().as_str()) && binary() {
            output.warn(&format!(
                "column '{name}' looks like a label and is a feature; if it is one, say --label {name}"
            ));
        }
    }
}
