//! The image itself: what quantization cost, what it takes of a chip, and what is in it.

use super::svg::{escape, number};
use super::Subject;
use crate::cost;
use crate::export::{self, Combine, Numeric};
use crate::selection;
use flowlet::Model;
use std::fmt::Write;

/// What became of the scores when numbers got smaller.
pub(super) fn quantization(subject: &Subject<'_>, model: &Model<'_>) -> String {
    let mut html = String::new();
    let numeric = subject.numeric;
    if model.numeric() == Numeric::F32 {
        html.push_str("<p>This image computes in 32-bit float: nothing was quantized.</p>");
    } else {
        let _ = write!(html, "<p>This image computes with {numeric} weights.</p>");
    }
    let mut lines = String::new();
    let mut line = |what: &str, value: Option<f64>| {
        if let Some(value) = value.filter(|v| v.is_finite()) {
            let _ = write!(
                lines,
                "<tr><th scope=\"row\">{}</th><td>{} nats</td></tr>",
                escape(what),
                number(value)
            );
        }
    };
    if let Some(measured) = &subject.reference {
        line("mean change of log_prob on these rows, measured", Some(measured.mean));
        line("largest change on these rows, measured", Some(measured.largest));
    }
    if let Ok(history) = &subject.history {
        let of = |key: &str| history.train[key].as_f64();
        if model.numeric() != Numeric::F32 {
            line("mean change of log_prob, measured on held-out rows", of("mean_abs_delta_log_prob"));
            line("largest change, measured on held-out rows", of("max_abs_delta_log_prob"));
        }
    }
    if let Some(c) = model.certificate() {
        line(&format!("proved at {} calibration rows: no more than", c.rows), Some(f64::from(c.at_rows)));
        line(
            &format!("proved within {} standard deviations of them", c.radius),
            Some(f64::from(c.near_rows)),
        );
        line("proved anywhere within the ranges of the calibration", Some(f64::from(c.over_box)));
    }
    if !lines.is_empty() {
        let _ =
            write!(html, "<div class=\"scroll\" tabindex=\"0\"><table><tbody>{lines}</tbody></table></div>");
    } else if model.numeric() != Numeric::F32 {
        html.push_str(
            "<p class=\"note\">The image holds no certificate, and nothing else says what its numbers cost: name the float \
             image with <code>--reference F32.flow</code> to measure it on these rows.</p>",
        );
    }
    if let Some(measured) = &subject.reference {
        if let Some(change) = measured.auroc_change {
            let _ = write!(html, "<p>AUROC changes by {} on these rows.</p>", number(change));
        }
    }
    if let Ok(history) = &subject.history {
        if let Some(reason) = history.train["numeric_reason"].as_str() {
            let _ = write!(html, "<p>Why these numbers: {}.</p>", escape(reason));
        }
    }
    html
}

/// Instructions per score by core.
pub(super) fn instructions(model: &Model<'_>) -> Vec<(String, f64)> {
    let (ensemble, _) = export::import_ensemble(model);
    let flows = match ensemble.combine {
        Combine::Quoted => std::slice::from_ref(ensemble.quoted_flow()),
        Combine::Minimum | Combine::Mean => &ensemble.experts,
    };
    let counts = cost::instructions(flows, model.numeric());
    counts.iter().filter_map(|(core, count)| Some((core.clone(), count.as_f64()?))).collect()
}

/// Bytes and instructions.
pub(super) fn cost(subject: &Subject<'_>, model: &Model<'_>) -> String {
    let counts = instructions(model);
    let most = counts.iter().map(|(_, n)| *n).fold(1.0, f64::max);
    let mut lines = String::new();
    for (core, count) in &counts {
        let _ = write!(
            lines,
            "<tr><th scope=\"row\">{}</th><td>{}</td><td class=\"bar\"><span class=\"cost\" style=\"width:{:.1}%\"></span></td></tr>",
            escape(core),
            number(*count),
            100.0 * count / most
        );
    }
    format!(
        "<dl class=\"facts\"><div><dt>image in flash</dt><dd>{} bytes</dd></div>\
         <div><dt>RAM to score</dt><dd>{} bytes</dd></div>\
         <div><dt>RAM to explain</dt><dd>{} bytes</dd></div></dl>\
         <div class=\"scroll\" tabindex=\"0\"><table><thead><tr><th scope=\"col\">core</th>\
         <th scope=\"col\">instructions per score</th><th scope=\"col\" class=\"bar\">compared</th></tr></thead>\
         <tbody>{lines}</tbody></table></div>\
         <p class=\"note\">Predicted from the image's structure with measured coefficients; instructions are not cycles. \
         <code>flowlet simulate</code> counts them exactly.</p>",
        number(subject.image.bytes().len() as f64),
        number(model.workspace_bytes() as f64),
        number(4.0 * flowlet::explain_workspace_words(model) as f64),
    )
}

/// What is in the image, as `inspect` tells it.
pub(super) fn contents(subject: &Subject<'_>, model: &Model<'_>) -> String {
    let head = model.head();
    let (ensemble, metadata) = export::import_ensemble(model);
    let flow = ensemble.quoted_flow();
    let transforms: Vec<&str> = flow.transforms.iter().map(crate::flow::Transform::name).collect();
    let names = |inputs: &[(String, String)]| {
        let named = |(name, unit): &(String, String)| {
            if unit.is_empty() {
                name.clone()
            } else {
                format!("{name} [{unit}]")
            }
        };
        inputs.iter().map(named).collect::<Vec<_>>().join(", ")
    };
    let mut lines = String::new();
    let mut line = |what: &str, value: &str| {
        if !value.is_empty() {
            let _ = write!(lines, "<tr><th scope=\"row\">{what}</th><td>{}</td></tr>", escape(value));
        }
    };
    line("name", &metadata.name);
    line("made by", &metadata.provenance);
    line("table", &subject.table_name);
    line("features", &format!("{}: {}", metadata.features.len(), names(&metadata.features)));
    line("context", &names(&metadata.contexts));
    line("trained as", model.trained_as());
    line("experts", &head.experts.to_string());
    line("transforms", &runs(&transforms));
    line("base", flow.base.name());
    line("parameters", &number(ensemble.parameters() as f64));
    line("numbers", subject.numeric);
    line("statistic", selection::name(head.statistic));
    line(
        "calibration",
        &format!(
            "{} readings; alarm above the {} of normal ones that score highest",
            number(f64::from(head.calibration.readings)),
            super::svg::percent(f64::from(head.calibration.false_alarm_rate))
        ),
    );
    line("format", &model.format_version().to_string());
    format!(
        "<div class=\"scroll\" tabindex=\"0\"><table class=\"words\"><tbody>{lines}</tbody></table></div>"
    )
}

/// `a, b x 3, c`.
fn runs(names: &[&str]) -> String {
    let mut told: Vec<String> = Vec::new();
    for run in names.chunk_by(|a, b| a == b) {
        told.push(if run.len() > 1 { format!("{} \u{d7} {}", run[0], run.len()) } else { run[0].to_owned() });
    }
    told.join(", ")
}
