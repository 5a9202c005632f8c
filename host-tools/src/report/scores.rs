//! How the rows scored: histogram with threshold, ROC, precision and recall.

use super::svg::{escape, key, number, percent, Axis, Plot, Scale};
use super::Subject;
use std::fmt::Write;

const BINS: usize = 56;
/// Points that a curve keeps.
const MOST_POINTS: usize = 400;
/// Shares of false alarms that the table speaks of.
const RATES: [f64; 5] = [0.0001, 0.001, 0.01, 0.05, 0.1];

/// An axis for scores: even up to about the threshold, powers of ten beyond if anomalies reach that far.
pub(super) fn score_axis(subject: &Subject<'_>, label: &str) -> Axis {
    let mut sorted: Vec<f64> = subject.normal_scores();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.get(sorted.len() / 2).copied().unwrap_or(0.0);
    let all = || subject.scores.iter().map(|s| f64::from(s.score)).filter(|s| s.is_finite());
    let (low, high) = all().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), s| (l.min(s), h.max(s)));
    let near = subject.threshold - middle;
    let high = high.max(subject.threshold + 0.2 * near.abs());
    let far = near > 0.0 && high - middle > 8.0 * near;
    let scale = if far { Scale::Far { centre: middle, near: near / 2.0 } } else { Scale::Linear };
    Axis::new(scale, low, high, label)
}

/// The section.
pub(super) fn section(subject: &Subject<'_>) -> String {
    let mut html = String::from("<div class=\"pair\">");
    html.push_str(&histogram(subject));
    if let Some(labels) = subject.labels() {
        if labels.contains(&true) && labels.contains(&false) {
            let curves = Curves::new(labels, subject);
            html.push_str(&curves.roc(subject));
            html.push_str(&curves.precision_recall(subject));
            html.push_str(&curves.table());
        } else {
            html.push_str("<p class=\"note\">All rows have the same label, so there is nothing to rank.</p>");
        }
    } else {
        html.push_str(
            "<p class=\"note\">No label column was named, so how well anomalies are told apart cannot be said. With one: \
             <code>flowlet report M.flow DATA --label COL -o report.html</code>.</p>",
        );
    }
    html.push_str("</div>");
    html
}

fn histogram(subject: &Subject<'_>) -> String {
    let x = score_axis(subject, &format!("score, {}: larger is more anomalous", subject.unit()));
    let shares = |wanted: bool| -> Vec<f64> {
        let mut counts = vec![0.0; BINS];
        let mut total = 0.0_f64;
        for (row, score) in subject.scores.iter().enumerate() {
            if subject.is_anomalous(row) == wanted {
                let bin = (x.place(f64::from(score.score)) * BINS as f64) as usize;
                counts[bin.min(BINS - 1)] += 1.0;
                total += 1.0;
            }
        }
        counts.iter().map(|c| 100.0 * c / total.max(1.0)).collect()
    };
    let (normal, anomalous) = (shares(false), shares(true));
    let top = normal.iter().chain(&anomalous).copied().fold(0.0, f64::max) * 1.08;
    let labelled = subject.labels().is_some();
    let kind = if labelled { "% of normal, % of anomalous rows" } else { "% of rows" };
    let beyond = subject.scores.iter().filter(|s| s.alarm).count();
    let description = format!(
        "{} of {} rows lie above the threshold of {}.",
        crate::cli::grouped(beyond),
        crate::cli::grouped(subject.scores.len()),
        number(subject.threshold)
    );
    let mut plot =
        Plot::new(x, Axis::new(Scale::Linear, 0.0, top, kind), "Histogram of scores", &description);
    let steps = |plot: &Plot, shares: &[f64]| -> Vec<(f64, f64)> {
        let edge = |bin: usize| plot.x.value(bin as f64 / BINS as f64);
        let stairs = shares.iter().enumerate().flat_map(|(bin, &s)| [(edge(bin), s), (edge(bin + 1), s)]);
        stairs.collect()
    };
    let points = steps(&plot, &normal);
    plot.area("normal", &points);
    if labelled {
        let points = steps(&plot, &anomalous);
        plot.area("anomalous", &points);
    }
    let words = format!("alarm above {}", number(subject.threshold));
    plot.upright("threshold", subject.threshold, &words);
    let legend = if labelled {
        key("normal", "normal") + &key("anomalous", "anomalous")
    } else {
        key("normal", "all rows")
    };
    figure(
        "Scores",
        &legend,
        &plot.finish(""),
        &format!("{description} The scale is even up to the threshold and grows in powers of ten beyond, where needed."),
    )
}

/// A figure with its heading, legend and caption.
pub(super) fn figure(heading: &str, legend: &str, body: &str, caption: &str) -> String {
    let legend = if legend.is_empty() { String::new() } else { format!("<p class=\"legend\">{legend}</p>") };
    format!(
        "<figure><h3>{}</h3>{legend}{body}<figcaption>{}</figcaption></figure>",
        escape(heading),
        escape(caption)
    )
}

/// What every threshold would give: shares of false alarms and of detections, and precision.
struct Curves {
    /// False alarms, detections.
    roc: Vec<(f64, f64)>,
    /// Recall, precision.
    precision: Vec<(f64, f64)>,
    anomalous_share: f64,
}

impl Curves {
    fn new(labels: &[bool], subject: &Subject<'_>) -> Self {
        let mut order: Vec<usize> = (0..labels.len()).collect();
        let score = |row: usize| subject.scores[row].score;
        order.sort_by(|&a, &b| score(b).total_cmp(&score(a)));
        let positives = labels.iter().filter(|l| **l).count() as f64;
        let negatives = labels.len() as f64 - positives;
        let (mut hits, mut misses) = (0.0, 0.0);
        let (mut roc, mut precision) = (vec![(0.0, 0.0)], Vec::new());
        for (at, &row) in order.iter().enumerate() {
            if labels[row] {
                hits += 1.0;
            } else {
                misses += 1.0;
            }
            if order.get(at + 1).is_none_or(|&next| score(next) != score(row)) {
                roc.push((misses / negatives, hits / positives));
                precision.push((hits / positives, hits / (hits + misses)));
            }
        }
        Self { roc, precision, anomalous_share: positives / labels.len() as f64 }
    }

    fn roc(&self, subject: &Subject<'_>) -> String {
        let quality = &subject.quality;
        let caption = format!(
            "AUROC {}{}: the chance that an anomalous row scores above a normal one. The dot is the image's threshold.",
            quality.auroc.map_or_else(|| "undefined".to_owned(), |v| format!("{v:.4}")),
            subject.interval(|i| i.auroc)
        );
        let axis = |label| Axis::new(Scale::Linear, 0.0, 1.0, label);
        let (x, y) = (axis("share of normal rows that alarm"), axis("share of anomalous rows that alarm"));
        let mut plot = Plot::new(x, y, "ROC curve", &caption);
        plot.line("reference", [(0.0, 0.0), (1.0, 1.0)]);
        plot.line("normal bold", thinned(&self.roc));
        if let (Some(x), Some(y)) = (quality.false_alarm_rate, quality.detection_rate) {
            plot.dots("anomalous", [(x, y)]);
            plot.label(x, (y - 0.16).max(0.02), &format!("{} at {}", percent(y), percent(x)));
        }
        figure("ROC", "", &plot.finish(""), &caption)
    }

    fn precision_recall(&self, subject: &Subject<'_>) -> String {
        let quality = &subject.quality;
        let caption = format!(
            "Average precision {}{}. The dashed line is guessing: {} of these rows are anomalous.",
            quality.average_precision.map_or_else(|| "undefined".to_owned(), |v| format!("{v:.4}")),
            subject.interval(|i| i.average_precision),
            percent(self.anomalous_share)
        );
        let axis = |label| Axis::new(Scale::Linear, 0.0, 1.0, label);
        let (x, y) = (
            axis("recall: share of anomalous rows found"),
            axis("precision: share of alarms that are right"),
        );
        let mut plot = Plot::new(x, y, "Precision and recall", &caption);
        plot.line("reference", [(0.0, self.anomalous_share), (1.0, self.anomalous_share)]);
        plot.line("normal bold", thinned(&self.precision));
        let alarms = subject.scores.iter().filter(|s| s.alarm).count();
        if let Some(recall) = quality.detection_rate.filter(|_| alarms > 0) {
            let right = recall * quality.anomalous_rows as f64 / alarms as f64;
            plot.dots("anomalous", [(recall, right)]);
        }
        figure("Precision and recall", "", &plot.finish(""), &caption)
    }

    /// What other thresholds would give.
    fn table(&self) -> String {
        let mut rows = String::new();
        for rate in RATES {
            let found = self.roc.iter().take_while(|(x, _)| *x <= rate).map(|(_, y)| *y).fold(0.0, f64::max);
            let _ =
                write!(rows, "<tr><th scope=\"row\">{}</th><td>{}</td></tr>", percent(rate), percent(found));
        }
        format!(
            "<div><h3>Other thresholds</h3><div class=\"scroll\" tabindex=\"0\"><table><thead><tr>\
             <th scope=\"col\">false alarms at most</th><th scope=\"col\">detected</th></tr></thead>\
             <tbody>{rows}</tbody></table></div></div>"
        )
    }
}

/// Every so-many-th point, and the last.
fn thinned(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let step = points.len().div_ceil(MOST_POINTS).max(1);
    let mut kept: Vec<(f64, f64)> = points.iter().step_by(step).copied().collect();
    kept.extend(points.last());
    kept
}
