//! What was proved of an image's scores, in words and in JSON.

use flowlet::image::descriptor::CertificateRecord;
use serde_json::{json, Value};

/// The bounds in one sentence.
pub(super) fn line(c: &CertificateRecord, reason: Option<&str>) -> String {
    if !c.at_rows.is_finite() {
        return match reason {
            Some(reason) => format!("not certified: the analysis does not cover {reason}"),
            None => "not certified".to_owned(),
        };
    }
    let over_box = if c.over_box.is_finite() {
        format!("{:.3e} anywhere within the ranges of the calibration", c.over_box)
    } else {
        "without bound within the ranges of the calibration".to_owned()
    };
    format!(
        "certified, in nats: {:.3e} at {} calibration rows, {:.3e} within {} standard deviations of them, {over_box}",
        c.at_rows, c.rows, c.near_rows, c.radius
    )
}

/// Adds `certified_bound` and its companions; null where there is no bound.
pub(super) fn add_json(json: &mut Value, certificate: Option<(CertificateRecord, Option<&str>)>) {
    let number = |pick: fn(&CertificateRecord) -> f32| {
        let bound = certificate.map(|(c, _)| f64::from(pick(&c)));
        bound.filter(|b| b.is_finite()).map_or(Value::Null, |b| json!(b))
    };
    json["certified_bound"] = number(|c| c.over_box);
    json["certified_bound_near_rows"] = number(|c| c.near_rows);
    json["certified_radius"] = number(|c| c.radius);
    json["certified_bound_at_rows"] = number(|c| c.at_rows);
    json["certified_rows"] = json!(certificate.map(|(c, _)| c.rows));
    json["certified_reason"] = json!(certificate.and_then(|(_, reason)| reason));
}
