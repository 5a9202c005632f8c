//! One self-contained HTML page about an image and a table: no script, no network, light and dark, any width.

pub mod history;
mod image;
mod scores;
mod series;
mod svg;
mod training;
mod worst;

use crate::bootstrap::{Interval, Intervals};
use crate::export::{self, ImageFile, Statistic};
use crate::flow::Transform;
use crate::table::Table;
use flowlet::{Explainer, Model, Score};
use history::History;
use rayon::prelude::*;
use std::fmt::Write;
use svg::{escape, number, percent};

const STYLE: &str = include_str!("page.css");

/// Figures of quality, where there are labels.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Figures {
    /// Rows labelled normal; all rows where there is no label.
    pub normal_rows: usize,
    /// Rows labelled anomalous.
    pub anomalous_rows: usize,
    /// Area under the ROC curve.
    pub auroc: Option<f64>,
    /// Average precision.
    pub average_precision: Option<f64>,
    /// Share of normal rows that alarm.
    pub false_alarm_rate: Option<f64>,
    /// Share of anomalous rows that alarm.
    pub detection_rate: Option<f64>,
}

/// How far the scores are from those of the image before it was quantized.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measured {
    /// Mean |change of log_prob| in nats.
    pub mean: f64,
    /// Largest |change of log_prob| in nats.
    pub largest: f64,
    /// Change of AUROC, where there are labels.
    pub auroc_change: Option<f64>,
}

/// What the page is about.
#[derive(Clone, Debug)]
pub struct Subject<'a> {
    /// The image.
    pub image: &'a ImageFile,
    /// Its file's name.
    pub image_name: String,
    /// The kind of its numbers, in words.
    pub numeric: &'static str,
    /// The rows.
    pub table: &'a Table,
    /// The table's file's name.
    pub table_name: String,
    /// What the device says of each row.
    pub scores: &'a [Score],
    /// Score above which it alarms.
    pub threshold: f64,
    /// Quality by the labels.
    pub quality: Figures,
    /// How far the quality can be trusted.
    pub intervals: Option<Intervals>,
    /// How the image was trained, or why that is not known.
    pub history: Result<History, String>,
    /// Cost of quantization, where the float image was named.
    pub reference: Option<Measured>,
    /// Whose data these are; may be empty.
    pub credit: String,
}

/// A row and why it scores as it does. Per feature, in the image's order.
struct Explained {
    row: usize,
    reading: Vec<f32>,
    /// From the mean of the training rows, in their standard deviations.
    deviation: Vec<f32>,
    attribution: Vec<f32>,
    nearest: Vec<f32>,
    excess: f32,
    nearest_is_typical: bool,
}

impl Subject<'_> {
    fn labels(&self) -> Option<&[bool]> {
        self.table.labels.as_deref()
    }

    fn is_anomalous(&self, row: usize) -> bool {
        self.labels().is_some_and(|labels| labels[row])
    }

    fn features(&self) -> usize {
        self.image.model().map_or(0, |model| model.features())
    }

    /// Finite scores of the rows that are not labelled anomalous.
    fn normal_scores(&self) -> Vec<f64> {
        let of = |row: usize| f64::from(self.scores[row].score);
        (0..self.scores.len())
            .filter(|&row| !self.is_anomalous(row))
            .map(of)
            .filter(|s| s.is_finite())
            .collect()
    }

    /// What scores are measured in.
    fn unit(&self) -> &'static str {
        match self.image.model().map(|model| model.head().statistic) {
            Ok(Statistic::SquaredNorm) => "squared norm",
            Ok(Statistic::Typicality) => "distance from the typical log-density in nats",
            _ => "nats",
        }
    }

    fn interval(&self, pick: fn(&Intervals) -> Option<Interval>) -> String {
        let interval = self.intervals.as_ref().and_then(pick);
        interval.map_or_else(String::new, |i| format!(" ({:.4} to {:.4})", i.low, i.high))
    }
}

/// The page.
///
/// Cost: some 170 explanations of rows, a few megabytes at most.
///
/// # Errors
/// What the scorer reports of the rows.
pub fn html(subject: &Subject<'_>) -> Result<String, flowlet::Error> {
    let model = subject.image.model()?;
    let marked: Vec<usize> = series::stretches(subject).into_iter().map(|(_, row)| row).collect();
    let in_time = explain(subject, &model, &marked)?;
    let worst = explain(subject, &model, &worst::rows(subject))?;

    let mut sections: Vec<(&str, &str, String)> = vec![
        ("scores", "How the rows scored", scores::section(subject)),
        ("rows", "Over the rows", series::section(subject, &in_time)),
        ("worst", "Least likely rows", worst::section(subject, &worst)),
        ("training", "Training", training::section(subject)),
    ];
    if let Some(front) = training::front(subject) {
        sections.push(("front", "Designs within the budget", front));
    }
    sections.extend([
        ("quantization", "Cost of quantization", image::quantization(subject, &model)),
        ("cost", "Size and cost", image::cost(subject, &model)),
        ("image", "What is in the image", image::contents(subject, &model)),
    ]);

    let title = format!("{} on {}", subject.image_name, subject.table_name);
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\"><link rel=\"icon\" href=\"data:,\">\
         <title>{0}</title><style>{STYLE}</style></head>\n<body><header><p class=\"brand\">flowlet report</p><h1>{0}</h1>\
         <p class=\"lead\">{1}</p>{2}<nav aria-label=\"Sections\"><ul>",
        escape(&title),
        lead(subject),
        tiles(subject, &model),
    );
    for (id, heading, _) in &sections {
        let _ = write!(page, "<li><a href=\"#{id}\">{heading}</a></li>");
    }
    page.push_str("</ul></nav></header>\n<main>");
    for (id, heading, body) in &sections {
        let _ = write!(page, "\n<section id=\"{id}\" aria-labelledby=\"h-{id}\"><h2 id=\"h-{id}\">{heading}</h2>{body}</section>");
    }
    let _ = write!(
        page,
        "</main>\n<footer><p>Made by flowlet {}. Scores and explanations are those of the device's own code, bit for \
         bit. {}</p></footer></body></html>\n",
        env!("CARGO_PKG_VERSION"),
        escape(&subject.credit)
    );
    Ok(page)
}

/// The whole in a sentence or two.
fn lead(subject: &Subject<'_>) -> String {
    let quality = &subject.quality;
    let rows = crate::cli::grouped(subject.scores.len());
    let alarms = subject.scores.iter().filter(|s| s.alarm).count();
    let asked = subject.image.model().map_or(0.0, |m| f64::from(m.head().calibration.false_alarm_rate));
    match (quality.auroc, quality.detection_rate, quality.false_alarm_rate) {
        (Some(auroc), Some(found), Some(wrong)) => {
            let mut text = format!(
                "Of {rows} labelled rows, it ranks an anomalous one above a normal one {} of the time. At its threshold \
                 it detects {} of the anomalous rows, and {} of the normal rows raise a false alarm.",
                percent(auroc),
                percent(found),
                percent(wrong)
            );
            let low = subject.intervals.and_then(|i| i.false_alarm_rate).map_or(wrong, |i| i.low);
            if low > 3.0 * asked {
                let _ = write!(
                    text,
                    " It was calibrated for {}: these normal rows are not like those it was trained on, or follow them \
                     after a drift.",
                    percent(asked)
                );
            }
            text
        }
        _ => format!(
            "{} of {rows} rows raise the alarm, {}; it was calibrated for {} of normal rows.",
            crate::cli::grouped(alarms),
            percent(alarms as f64 / subject.scores.len().max(1) as f64),
            percent(asked)
        ),
    }
}

/// The figures that one looks for first.
fn tiles(subject: &Subject<'_>, model: &Model<'_>) -> String {
    let quality = &subject.quality;
    let mut html = String::from("<dl class=\"tiles\">");
    let mut tile = |name: &str, value: String, below: String| {
        let _ = write!(html, "<div><dt>{name}</dt><dd>{value}<small>{}</small></dd></div>", escape(&below));
    };
    let range = |interval: Option<Interval>, shown: fn(f64) -> String| {
        interval.map_or_else(String::new, |i| format!("{} to {}", shown(i.low), shown(i.high)))
    };
    let intervals = subject.intervals.as_ref();
    if let Some(auroc) = quality.auroc {
        let shown = |v: f64| format!("{v:.4}");
        tile("AUROC", shown(auroc), range(intervals.and_then(|i| i.auroc), shown));
    }
    if let Some(rate) = quality.detection_rate {
        tile("detected", percent(rate), range(intervals.and_then(|i| i.detection_rate), percent));
    }
    if let Some(rate) = quality.false_alarm_rate {
        tile("false alarms", percent(rate), range(intervals.and_then(|i| i.false_alarm_rate), percent));
    }
    if quality.auroc.is_none() {
        let alarms = subject.scores.iter().filter(|s| s.alarm).count();
        tile(
            "alarms",
            number(alarms as f64),
            format!("in {} rows", crate::cli::grouped(subject.scores.len())),
        );
    }
    tile("image", number(subject.image.bytes().len() as f64), format!("bytes of flash, {}", subject.numeric));
    tile("workspace", number(model.workspace_bytes() as f64), "bytes of RAM".to_owned());
    let counts = image::instructions(model);
    if let Some((core, count)) = counts.iter().find(|(core, _)| core == "cortex-m4f").or(counts.first()) {
        tile("per score", number(*count), format!("instructions, {core}"));
    }
    html.push_str("</dl>");
    if let Some(intervals) = intervals.filter(|_| quality.auroc.is_some()) {
        let _ = write!(
            html,
            "<p class=\"note\">Ranges hold 95 % of {} bootstrap replicates of these rows.</p>",
            crate::cli::grouped(intervals.replicates)
        );
    }
    html
}

/// Explains rows with the device's own code, in their order.
fn explain(
    subject: &Subject<'_>,
    model: &Model<'_>,
    rows: &[usize],
) -> Result<Vec<Explained>, flowlet::Error> {
    let features = model.features();
    let (mean, std) = standard(subject, model);
    rows.par_iter()
        .map_init(
            || vec![0; flowlet::explain_workspace_words(model)],
            |workspace, &row| {
                let inputs = subject.table.row(row);
                let found = Explainer::new(model, workspace)?.explain(inputs).map(|e| Explained {
                    row,
                    reading: inputs[..features].to_vec(),
                    deviation: (0..features).map(|f| (inputs[f] - mean[f]) / std[f]).collect(),
                    attribution: e.attribution.to_vec(),
                    nearest: e.nearest_normal.to_vec(),
                    excess: e.excess,
                    nearest_is_typical: e.nearest_is_typical,
                });
                found
            },
        )
        .collect()
}

/// Mean and standard deviation of each feature: the image's, or those of the table's normal rows where a flow from
/// elsewhere has none.
fn standard(subject: &Subject<'_>, model: &Model<'_>) -> (Vec<f32>, Vec<f32>) {
    let (flow, _) = export::import(model);
    if let Some(Transform::Standardize(s)) = flow.transforms.first() {
        return (s.mean.clone(), s.std.clone());
    }
    let columns = subject.table.columns.len();
    let values = subject.table.normal_values();
    let rows = (values.len() / columns.max(1)).max(1) as f64;
    let of = |f: usize| values.iter().skip(f).step_by(columns).map(|&v| f64::from(v));
    (0..model.features())
        .map(|f| {
            let mean = of(f).sum::<f64>() / rows;
            let variance = of(f).map(|v| (v - mean).powi(2)).sum::<f64>() / rows;
            let std = if variance > 0.0 { variance.sqrt() } else { 1.0 };
            (mean as f32, std as f32)
        })
        .unzip()
}
