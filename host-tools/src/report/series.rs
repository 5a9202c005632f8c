//! The rows in file order: scores, and heat maps of what was unusual and of what was to blame.

use super::scores::{figure, score_axis};
use super::svg::{escape, key, number, Axis, Plot, Scale};
use super::{Explained, Subject};
use crate::segments::segments;
use std::fmt::Write;

/// Columns of a heat map at most.
pub(super) const STRETCHES: usize = 160;
/// Rows of a heat map at most: the features that are blamed most.
const MOST_FEATURES: usize = 40;
/// Rows of a kind that are drawn at most.
const MOST_DOTS: usize = 1500;
/// Labelled events that are shaded at most.
const MOST_EVENTS: usize = 100;
/// Where shades of deviations begin, in standard deviations.
const DEVIATIONS: [f64; 6] = [1.0, 2.0, 3.0, 4.0, 6.0, 10.0];
/// Where shades of blame begin, in nats.
const NATS: [f64; 6] = [0.5, 1.0, 3.0, 10.0, 30.0, 100.0];

/// Rows that lie together in a file, and the least likely of them.
pub(super) fn stretches(subject: &Subject<'_>) -> Vec<(std::ops::Range<usize>, usize)> {
    let rows = subject.scores.len();
    let columns = rows.min(STRETCHES);
    (0..columns)
        .map(|column| {
            let range = column * rows / columns..(column + 1) * rows / columns;
            let score = |row: &usize| subject.scores[*row].score;
            let worst = range.clone().max_by(|a, b| score(a).total_cmp(&score(b))).unwrap_or(range.start);
            (range, worst)
        })
        .collect()
}

/// The section.
pub(super) fn section(subject: &Subject<'_>, explained: &[Explained]) -> String {
    let stretches = stretches(subject);
    let rows = subject.scores.len();
    let per = rows.div_ceil(stretches.len().max(1));
    let mut html = timeline(subject, &stretches);
    let mut order: Vec<usize> = (0..subject.features()).collect();
    let omitted = order.len().saturating_sub(MOST_FEATURES);
    if omitted > 0 {
        let blame = |f: usize| explained.iter().map(|e| f64::from(e.attribution[f].max(0.0))).sum::<f64>();
        order.sort_by(|&a, &b| blame(b).total_cmp(&blame(a)));
        order.truncate(MOST_FEATURES);
        order.sort_unstable();
    }
    let tail = if omitted > 0 {
        format!(" {omitted} features that are blamed less are left out.")
    } else {
        String::new()
    };
    let each = if per > 1 {
        format!("Each column is the least likely of some {per} rows.")
    } else {
        "Each column is a row.".to_owned()
    };
    let z = |e: &Explained, f: usize| f64::from(e.deviation[f]);
    html.push_str(&heat_map(
        subject,
        explained,
        &order,
        "Each feature against its normal values",
        &DEVIATIONS,
        z,
        ["below", "above"],
        &format!(
            "{each} Distance from the mean of the training rows, in standard deviations; a row can be unlikely with every \
             feature near its mean, by how they go together.{tail}"
        ),
    ));
    let blame = |e: &Explained, f: usize| f64::from(e.attribution[f]);
    html.push_str(&heat_map(
        subject,
        explained,
        &order,
        "What made the rows unlikely",
        &NATS,
        blame,
        ["speaks for the row", "to blame"],
        &format!(
            "{each} Each feature's share, in nats, of what the row scores above the nearest normal row (integrated \
             gradients, computed by the device's own code).{tail}"
        ),
    ));
    html
}

fn timeline(subject: &Subject<'_>, stretches: &[(std::ops::Range<usize>, usize)]) -> String {
    let rows = subject.scores.len();
    let y = score_axis(subject, &format!("score, {}", subject.unit()));
    let alarms = subject.scores.iter().filter(|s| s.alarm).count();
    let mut description = format!(
        "{} alarms in {} rows, in file order.",
        crate::cli::grouped(alarms),
        crate::cli::grouped(rows)
    );
    // All alarms as far as they can be told apart, the least likely row of every stretch, and others evenly drawn.
    let mut drawn: Vec<usize> = stretches.iter().map(|(_, worst)| *worst).collect();
    drawn.extend((0..rows).step_by(rows.div_ceil(MOST_DOTS).max(1)));
    let loud: Vec<usize> = (0..rows).filter(|&row| subject.scores[row].alarm).collect();
    drawn.extend(loud.iter().step_by(loud.len().div_ceil(MOST_DOTS).max(1)));
    drawn.sort_unstable();
    drawn.dedup();
    if drawn.len() < rows {
        let _ = write!(description, " {} of the rows are drawn.", crate::cli::grouped(drawn.len()));
    }
    let x = Axis::new(Scale::Linear, 0.0, rows as f64, "row");
    let mut plot = Plot::new(x, y, "Scores over the rows", &description);
    let (low, high) = plot.y.range();
    let events = subject.labels().map(|labels| segments(labels, labels, &[]));
    // Of scattered labels the stripes would be a single haze.
    let events = events.filter(|events| !events.is_empty() && events.len() <= MOST_EVENTS);
    if let Some(events) = &events {
        plot.bars("shade", events.iter().map(|e| (e.rows.start as f64, e.rows.end as f64, low, high)));
    }
    let point = |row: &usize| (*row as f64 + 0.5, f64::from(subject.scores[*row].score));
    let (above, below): (Vec<usize>, Vec<usize>) = drawn.iter().partition(|&&row| subject.scores[row].alarm);
    plot.dots("normal tiny", below.iter().map(point));
    plot.dots("anomalous tiny", above.iter().map(point));
    plot.level("threshold", subject.threshold, "");
    let mut legend = key("normal", "no alarm") + &key("anomalous", "alarm") + &key("threshold", "threshold");
    if events.is_some() {
        legend.push_str(&key("shade", "labelled anomalous"));
    }
    figure("Scores over the rows", &legend, &plot.finish("wide"), &description)
}

#[allow(clippy::too_many_arguments)]
fn heat_map(
    subject: &Subject<'_>,
    explained: &[Explained],
    features: &[usize],
    title: &str,
    ladder: &[f64; 6],
    value: impl Fn(&Explained, usize) -> f64,
    ends: [&str; 2],
    caption: &str,
) -> String {
    // Shades from 1 up, of either sign; cells of one shade are one path.
    let shade = |v: f64| ladder.iter().filter(|&&least| v.abs() >= least).count();
    let mut paths = [[const { String::new() }; 6], [const { String::new() }; 6]];
    for (line, &feature) in features.iter().enumerate() {
        let mut column = 0;
        while column < explained.len() {
            let of = |column: usize| {
                let v = value(&explained[column], feature);
                (v > 0.0, shade(v))
            };
            let (positive, level) = of(column);
            let run = (column..explained.len()).take_while(|&c| of(c) == (positive, level)).count();
            if level > 0 {
                let _ = write!(paths[usize::from(positive)][level - 1], "M{column} {line}h{run}v1h-{run}z");
            }
            column += run;
        }
    }
    let mut drawn = String::new();
    for (sign, paths) in ["low", "high"].into_iter().zip(&paths) {
        for (level, path) in paths.iter().enumerate().filter(|(_, path)| !path.is_empty()) {
            let _ = write!(drawn, "<path class=\"{sign} s{}\" d=\"{path}\"/>", level + 1);
        }
    }
    let names: String =
        features.iter().map(|&f| format!("<span>{}</span>", escape(&subject.table.columns[f]))).collect();
    let mut legend = String::new();
    let unit = if std::ptr::eq(ladder, &NATS) { "nats" } else { "standard deviations" };
    for level in (1..=6).rev() {
        let _ = write!(legend, "<span class=\"cell low s{level}\"></span>");
    }
    legend.push_str("<span class=\"cell\"></span>");
    for level in 1..=6 {
        let _ = write!(legend, "<span class=\"cell high s{level}\"></span>");
    }
    let steps: Vec<String> = ladder.iter().map(|&v| number(v)).collect();
    let legend =
        format!("{} {legend} {}; shades from {} {unit}", escape(ends[0]), escape(ends[1]), steps.join(", "));
    let description = blamed(subject, explained, features, &value);
    let rows = subject.scores.len();
    let body = format!(
        "<div class=\"map\" style=\"--lines:{}\"><div class=\"names\" aria-hidden=\"true\">{names}</div>\
         <svg viewBox=\"0 0 {} {}\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{}\"><title>{}</title>\
         <desc>{}</desc>{drawn}</svg><p class=\"span\" aria-hidden=\"true\"><span>row {}</span><span>row {}</span></p></div>",
        features.len(),
        explained.len().max(1),
        features.len().max(1),
        escape(&format!("{title}. {description}")),
        escape(title),
        escape(&description),
        subject.table.row_number(0),
        subject.table.row_number(rows - 1),
    );
    figure(title, &legend, &body, caption)
}

/// What a heat map shows, in a sentence.
fn blamed(
    subject: &Subject<'_>,
    explained: &[Explained],
    features: &[usize],
    value: &impl Fn(&Explained, usize) -> f64,
) -> String {
    let mean =
        |f: usize| explained.iter().map(|e| value(e, f).abs()).sum::<f64>() / explained.len().max(1) as f64;
    let mut order = features.to_vec();
    order.sort_by(|&a, &b| mean(b).total_cmp(&mean(a)));
    let told: Vec<String> = order
        .iter()
        .take(3)
        .map(|&f| format!("{} (mean size {})", subject.table.columns[f], number(mean(f))))
        .collect();
    format!("Largest for {}", told.join(", "))
}
