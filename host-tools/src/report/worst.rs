//! The least likely rows, each with its explanation.

use super::svg::{escape, number};
use super::{Explained, Subject};
use std::fmt::Write;

/// How many rows are shown.
pub(super) const SHOWN: usize = 8;
/// Features of a row that are listed by name.
const MOST_FEATURES: usize = 8;
/// Neighbours of a row that is shown are left out: they mostly tell the same.
const APART: usize = 5;

/// The rows to explain, worst first.
pub(super) fn rows(subject: &Subject<'_>) -> Vec<usize> {
    let mut order: Vec<usize> = (0..subject.scores.len()).collect();
    order.sort_by(|&a, &b| subject.scores[b].score.total_cmp(&subject.scores[a].score));
    let mut kept: Vec<usize> = Vec::new();
    for row in order {
        if kept.len() == SHOWN {
            break;
        }
        if kept.iter().all(|&other| other.abs_diff(row) > APART) {
            kept.push(row);
        }
    }
    kept
}

/// The section.
pub(super) fn section(subject: &Subject<'_>, explained: &[Explained]) -> String {
    let mut html = format!(
        "<p>The least likely rows; within {APART} rows of one that is shown, others are left out. \u{201c}Normal would be\u{201d} \
         is the nearest normal row: the row pulled towards the flow's centre until it is as likely as normal rows are.</p>"
    );
    for (place, e) in explained.iter().enumerate() {
        html.push_str(&row(subject, e, place == 0));
    }
    html
}

fn row(subject: &Subject<'_>, e: &Explained, open: bool) -> String {
    let score = &subject.scores[e.row];
    let mut order: Vec<usize> = (0..subject.features()).collect();
    order.sort_by(|&a, &b| e.attribution[b].abs().total_cmp(&e.attribution[a].abs()));
    let label = match subject.labels() {
        Some(labels) if labels[e.row] => "labelled anomalous",
        Some(_) => "labelled normal",
        None => "",
    };
    let most = order.first().filter(|_| e.excess > 0.0).map(|&f| {
        let share = 100.0 * f64::from(e.attribution[f]) / f64::from(e.excess);
        format!("<b>{}</b> bears {}\u{a0}% of it", escape(&subject.table.columns[f]), number(share.round()))
    });
    let facts: Vec<String> = [
        Some(format!("score {}", number(f64::from(score.score)))),
        Some(format!("p-value {}", number(f64::from(score.p_value)))),
        Some(label.to_owned()).filter(|l| !l.is_empty()),
        most,
    ]
    .into_iter()
    .flatten()
    .collect();
    let largest = order.first().map_or(1.0, |&f| e.attribution[f].abs().max(f32::MIN_POSITIVE));
    let mut lines = String::new();
    for &f in order.iter().take(MOST_FEATURES) {
        let nats = e.attribution[f];
        let width = 100.0 * nats.abs() / largest;
        let _ = write!(
            lines,
            "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td>{}</td><td>{}</td>\
             <td class=\"bar\"><span class=\"{}\" style=\"width:{width:.1}%\"></span></td></tr>",
            escape(&subject.table.columns[f]),
            number(f64::from(e.reading[f])),
            number(f64::from(e.nearest[f])),
            number(f64::from(e.deviation[f])),
            number(f64::from(nats)),
            if nats < 0.0 { "low" } else { "high" },
        );
    }
    let rest = &order[order.len().min(MOST_FEATURES)..];
    if !rest.is_empty() {
        let sum: f32 = rest.iter().map(|&f| e.attribution[f]).sum();
        let _ = write!(
            lines,
            "<tr><th scope=\"row\">{} other{}</th><td></td><td></td><td></td><td>{}</td><td></td></tr>",
            rest.len(),
            if rest.len() == 1 { "" } else { "s" },
            number(f64::from(sum))
        );
    }
    let doubt = if e.nearest_is_typical {
        ""
    } else {
        "<p class=\"note\">The nearest normal row that was found is not typical itself: read the shares as relative to it.</p>"
    };
    format!(
        "<details{}><summary><b>Row {}</b> <span>{}</span></summary>{doubt}<div class=\"scroll\" tabindex=\"0\"><table>\
         <thead><tr><th scope=\"col\">feature</th><th scope=\"col\">is</th><th scope=\"col\">normal would be</th>\
         <th scope=\"col\">standard deviations from the mean</th><th scope=\"col\">nats</th>\
         <th scope=\"col\" class=\"bar\">to blame</th></tr></thead><tbody>{lines}</tbody></table></div></details>",
        if open { " open" } else { "" },
        subject.table.row_number(e.row),
        facts.join(" \u{b7} "),
    )
}
