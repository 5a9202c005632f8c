//! How the image came about: training curves, and the designs that were tried for a chip.

use super::history::{Curve, Design};
use super::scores::figure;
use super::svg::{escape, key, number, Axis, Plot, Scale};
use super::Subject;
use std::fmt::Write;

/// The section on training.
pub(super) fn section(subject: &Subject<'_>) -> String {
    let history = match &subject.history {
        Ok(history) => history,
        Err(why) => return format!("<p class=\"note\">{}</p>", escape(why)),
    };
    let mut html = facts(&history.train);
    html.push_str("<div class=\"pair\">");
    let several = history.curves.len() > 1;
    for (number, expert) in history.curves.iter().enumerate() {
        let name = if several { format!("Expert {number}") } else { "Training curve".to_owned() };
        html.push_str(&curve(&name, expert));
    }
    html.push_str("</div>");
    html
}

/// What `train` said in numbers.
fn facts(train: &serde_json::Value) -> String {
    let mut cells = String::new();
    let mut fact = |name: &str, key: &str, unit: &str| {
        if let Some(value) = train[key].as_f64() {
            let _ = write!(cells, "<div><dt>{name}</dt><dd>{}{unit}</dd></div>", number(value));
        }
    };
    fact("normal rows", "rows", "");
    fact("of them held out", "held_out_rows", "");
    fact("seconds of training", "seconds", "");
    fact("rows per second", "samples_per_second", "");
    fact("held-out NLL, standardized", "val_nll_standardized", " nats");
    let recipe = train["recipe"]
        .as_str()
        .map_or_else(String::new, |r| format!("<div><dt>recipe</dt><dd>{}</dd></div>", escape(r)));
    format!("<dl class=\"facts\">{recipe}{cells}</dl>")
}

fn curve(name: &str, expert: &Curve) -> String {
    if expert.epochs.is_empty() {
        let caption = format!("{}: fitted without epochs (expectation maximization alone).", expert.recipe);
        return figure(name, "", "", &caption);
    }
    let points = |pick: fn(&super::history::Point) -> Option<f64>| -> Vec<(f64, f64)> {
        expert.epochs.iter().filter_map(|p| Some((p.epoch as f64, pick(p)?))).collect()
    };
    let (train, held_out) = (points(|p| p.train_nll), points(|p| p.held_out_nll));
    let mut values: Vec<f64> = train.iter().chain(&held_out).map(|(_, v)| *v).collect();
    values.sort_by(f64::total_cmp);
    let at = |share: f64| values[((values.len() - 1) as f64 * share) as usize];
    // The first epochs fall from far above, where nothing is to be seen.
    let (low, high) = (at(0.0), at(0.5) + 4.0 * (at(0.9) - at(0.0)).max(1e-3));
    let high = high.min(at(1.0));
    let last = expert.epochs.last().map_or(1, |p| p.epoch);
    let best = held_out.iter().find(|(epoch, _)| *epoch == expert.best_epoch as f64);
    let kept = best.map_or_else(
        || "no rows were held out, so the last epoch was kept".to_owned(),
        |(epoch, nll)| format!("epoch {epoch} was kept, at {} nats held out", number(*nll)),
    );
    let caption = format!(
        "{}. NLL is in nats per row of standardized readings, of the held-out rows without the least likely 2\u{a0}%; {kept}.",
        expert.recipe
    );
    let x = Axis::new(Scale::Linear, 1.0, last as f64, "epoch");
    let mut plot = Plot::new(x, Axis::new(Scale::Linear, low, high, "NLL, nats"), name, &caption);
    plot.line("anomalous", train);
    plot.line("normal bold", held_out.iter().copied());
    if let Some(&best) = best {
        plot.dots("normal", [best]);
    }
    let legend = key("anomalous", "training rows, with noise") + &key("normal", "held-out rows");
    figure(name, &legend, &plot.finish(""), &caption)
}

/// The section on the search within a chip's budget; `None` if there was none.
pub(super) fn front(subject: &Subject<'_>) -> Option<String> {
    let designs = subject.history.as_ref().ok()?.designs();
    if designs.len() < 2 {
        return None;
    }
    let known = |of: fn(&Design) -> Option<f64>| designs.iter().filter(|d| of(d).is_some()).count();
    let by_auroc = known(|d| d.auroc) > 0 && known(|d| d.auroc) >= known(|d| d.nll);
    let flagged = designs.iter().any(|d| d.pareto);
    let merit = |d: &Design| if by_auroc { d.auroc } else { d.nll };
    let judged: Vec<&Design> = designs.iter().filter(|d| merit(d).is_some_and(f64::is_finite)).collect();
    if judged.len() < 2 {
        return None;
    }
    let value = |d: &Design| merit(d).unwrap_or(f64::NAN);
    let better = |a: f64, b: f64| if by_auroc { a > b } else { a < b };
    let mut html = String::from("<div class=\"pair\">");
    type Cost = fn(&Design) -> f64;
    let costs: [(&str, Cost); 2] =
        [("instructions per score", |d| d.instructions), ("bytes of image", |d| d.bytes)];
    let what = if by_auroc { "AUROC proxy" } else { "held-out NLL, nats" };
    for (name, cost) in costs {
        let mut order: Vec<&Design> = judged.clone();
        order.sort_by(|a, b| cost(a).total_cmp(&cost(b)));
        let mut best = f64::NAN;
        let mut front: Vec<(f64, f64)> = Vec::new();
        for design in order.iter().filter(|d| d.pareto || !flagged) {
            if best.is_nan() || better(value(design), best) {
                // A step: the next better design costs so much more.
                front.extend(front.last().map(|&(_, y)| (cost(design), y)));
                best = value(design);
                front.push((cost(design), best));
            }
        }
        let spread = |pick: &dyn Fn(&Design) -> f64| {
            let (low, high) = judged
                .iter()
                .fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), d| (l.min(pick(d)), h.max(pick(d))));
            (low, high)
        };
        let (left, right) = spread(&cost);
        let (low, high) = spread(&value);
        let margin = 0.06 * (high - low);
        let x = Axis::new(Scale::Log, 0.9 * left, 1.1 * right, name);
        let y = Axis::new(Scale::Linear, low - margin, high + margin, what);
        let caption = format!(
            "{} designs; the line joins those that no other beats at the same cost, the large dot was chosen. {} is better.",
            judged.len(),
            if by_auroc { "Higher" } else { "Lower" }
        );
        let heading = format!("Against {name}");
        let mut plot = Plot::new(x, y, &heading, &caption);
        plot.line("normal", front);
        plot.dots("muted small", judged.iter().map(|d| (cost(d), value(d))));
        plot.dots("anomalous", judged.iter().filter(|d| d.chosen).map(|d| (cost(d), value(d))));
        html.push_str(&figure(&heading, "", &plot.finish(""), &caption));
    }
    html.push_str("</div>");
    let mut lines = String::new();
    for d in &judged {
        let _ = write!(
            lines,
            "<tr{}><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td>{}</td></tr>",
            if d.chosen { " class=\"chosen\"" } else { "" },
            escape(&format!("{}{}", d.name, if d.chosen { " (chosen)" } else { "" })),
            number(value(d)),
            number(d.instructions),
            number(d.bytes)
        );
    }
    let _ = write!(
        html,
        "<details><summary>All designs</summary><div class=\"scroll\" tabindex=\"0\"><table><thead><tr>\
         <th scope=\"col\">design</th><th scope=\"col\">{what}</th><th scope=\"col\">instructions</th>\
         <th scope=\"col\">bytes</th></tr></thead><tbody>{lines}</tbody></table></div></details>"
    );
    Some(html)
}
