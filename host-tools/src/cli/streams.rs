//! Arguments about raw streams: samples that become windows and features before they are rows.

use super::output::{grouped, Output};
use super::usage;
use crate::export::{present, ImageFile};
use crate::streams::{self, Labelling, Plan, Spec};
use crate::table::Table;
use anyhow::{bail, Context};
use clap::Args;
use flowlet::stream::front_end::Samples;
use flowlet::stream::FrontEnd;
use serde_json::{json, Value};

/// How streams are read.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Streams")]
pub(super) struct StreamArgs {
    /// The files hold raw samples, one row each, their columns being channels of a sensor: rows of the result are windows, and
    /// what is computed of them is in the image (at train: --features)
    #[arg(long)]
    pub(super) stream: bool,
    /// Samples a second of each channel; at train needed, elsewhere compared with the image's
    #[arg(long, value_name = "HZ", requires = "stream", value_parser = rate)]
    pub(super) rate: Option<f32>,
    /// With --label: a window is anomalous if at least this share of its samples is [default: 0, one sample]
    #[arg(long, value_name = "SHARE", requires = "stream", value_parser = share, default_value_t = 0.0, hide_default_value = true)]
    pub(super) anomalous_share: f64,
}

fn rate(text: &str) -> Result<f32, String> {
    match text.parse::<f32>() {
        Ok(rate) if (1e-6..=1e8).contains(&rate) => Ok(rate),
        _ => Err("must be a number of samples a second, such as 48000 or 0.1".to_owned()),
    }
}

fn share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err("must be a share of the samples from 0 to 1, such as 0.5".to_owned()),
    }
}

impl StreamArgs {
    /// Options of streams without --stream are wrong usage; clap sees to those that it knows of.
    pub(super) fn refuse_without(&self) -> anyhow::Result<()> {
        match self.rate {
            Some(_) if !self.stream => Err(usage("--rate belongs to --stream")),
            _ => Ok(()),
        }
    }

    fn labelling(&self) -> Labelling {
        Labelling { share: self.anomalous_share }
    }

    /// The windows of files to train on, each file by itself, with the features of a preset or a file.
    pub(super) fn train(
        &self,
        tables: &[Table],
        features: Option<&str>,
        output: &Output,
    ) -> anyhow::Result<Table> {
        let rate =
            self.rate.ok_or_else(|| usage("--stream needs --rate HZ, the samples a second of a channel"))?;
        let name = features.unwrap_or_else(|| Spec::usual(rate));
        let spec = Spec::read(name)?;
        let plan = Plan::new(&spec, rate, tables)?;
        let front_end = FrontEnd::parse(&plan.training_record)?;
        if features.is_none() {
            output.note(&format!(
                "features of the preset {name}, as for any rate like {rate} Hz; --features names others"
            ));
        }
        let mut whole: Option<Table> = None;
        for table in tables {
            let found = streams::features(&front_end, &plan.names, table, self.labelling())?;
            match &mut whole {
                None => whole = Some(found),
                Some(whole) => whole.append(found),
            }
        }
        let whole = whole.context("no file was given")?;
        plan.notes.iter().chain(&whole.notes).for_each(|note| output.note(note));
        output.note(&format!(
            "{} windows of {} samples, {} apart: {} features of {} channels",
            grouped(whole.rows),
            grouped(front_end.window()),
            grouped(front_end.hop()),
            plan.names.len(),
            front_end.channel_count(),
        ));
        let (front_end, overlap) = (plan.record, (front_end.window() - 1) / front_end.hop());
        Ok(Table { front_end, overlap, units: plan.units, ..whole })
    }

    /// The channels that an image's front end reads.
    pub(super) fn channels(&self, image: &ImageFile) -> anyhow::Result<Vec<String>> {
        let model = image.model()?;
        let front_end = front_end(&model)?;
        if let Some(rate) = self.rate.filter(|&rate| rate != front_end.rate()) {
            bail!(
                "the image is of streams at {} Hz and --rate says {rate}: resample the data, or train at this rate",
                front_end.rate()
            );
        }
        Ok(front_end.channels().map(|channel| channel.name.to_owned()).collect())
    }

    /// The windows of a table of an image's channels.
    pub(super) fn of_image(&self, table: &Table, image: &ImageFile) -> anyhow::Result<Table> {
        let model = image.model()?;
        let names = super::scoring::input_names(image)?;
        Ok(streams::features(&front_end(&model)?, &names, table, self.labelling())?)
    }
}

/// An image's front end, or what to do without one.
fn front_end<'a>(model: &flowlet::Model<'a>) -> anyhow::Result<FrontEnd<'a>> {
    present(model.front_end())?.context(
        "the image's features are readings, not of streams: leave --stream out, or train with --stream --rate HZ",
    )
}

/// What an image's front end is, as JSON and as a line; `None` of readings.
pub(super) fn described(model: &flowlet::Model<'_>) -> anyhow::Result<Option<(Value, String)>> {
    let Some(front_end) = present(model.front_end())? else { return Ok(None) };
    let samples = match front_end.samples() {
        Samples::F32 => "f32",
        Samples::I16 => "i16",
    };
    let bytes = if front_end.samples() == Samples::F32 { 4 } else { 2 };
    let window_bytes = bytes * front_end.window() * front_end.channel_count();
    let scratch_bytes = 4 * front_end.scratch_words();
    let channels: Vec<Value> = front_end
        .channels()
        .map(|c| json!({ "name": c.name, "unit": c.unit, "scale": c.scale, "floor": c.floor }))
        .collect();
    let names: Vec<&str> = front_end.channels().map(|channel| channel.name).collect();
    let text = format!(
        "windows of {} samples ({samples}), {} apart, at {} Hz; channels {}; {} bytes of window, {} of scratch",
        grouped(front_end.window()),
        grouped(front_end.hop()),
        front_end.rate(),
        names.join(", "),
        grouped(window_bytes),
        grouped(scratch_bytes)
    );
    let json = json!({
        "samples": samples,
        "rate": front_end.rate(),
        "window": front_end.window(),
        "hop": front_end.hop(),
        "channels": channels,
        "features": front_end.features(),
        "window_bytes": window_bytes,
        "scratch_bytes": scratch_bytes,
    });
    Ok(Some((json, text)))
}
