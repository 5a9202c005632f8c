//! `flowlet inspect`

use super::output::{grouped, Output};
use super::scoring;
use super::{alarm, certified};
use crate::calibration::RateInterval;
use crate::cost;
use crate::export::{self, Combine, Ensemble, Statistic};
use crate::flow::{Conditioner, CouplingMap, Flow, ScaleMap, Transform};
use crate::selection;
use clap::Args;
use flowlet::stream::Surprise;
use serde_json::{json, Value};
use std::path::PathBuf;

/// Show all that is in an image
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  flowlet inspect pump.flow --json")]
pub(super) struct InspectArgs {
    /// The image
    #[arg(value_name = "M.flow")]
    model: PathBuf,
}

impl InspectArgs {
    pub(super) fn run(self, output: &Output) -> anyhow::Result<()> {
        let image = scoring::read_image(&self.model)?;
        let model = image.model()?;
        let head = model.head();
        let (ensemble, metadata) = export::import_ensemble(&model);
        let flow = ensemble.quoted_flow();
        let numeric = scoring::name(model.numeric());
        let instructions = cost::instructions(running(&ensemble), model.numeric());
        let explain_workspace_bytes = 4 * flowlet::explain_workspace_words(&model);
        let transforms: Vec<Value> = flow.transforms.iter().map(describe).collect();
        let inputs = |inputs: &[(String, String)]| -> Vec<Value> {
            inputs.iter().map(|(name, unit)| json!({ "name": name, "unit": unit })).collect()
        };
        let calibration = head.calibration;
        let rate = f64::from(calibration.false_alarm_rate);
        let readings = calibration.readings as usize;
        let within = RateInterval::within(readings, rate);
        let promised = readings > 0 && rate >= RateInterval::smallest_promised(readings);
        let calibrated: Vec<&str> = Statistic::ALL
            .into_iter()
            .filter(|&statistic| model.calibration_of(statistic).is_some())
            .map(selection::name)
            .collect();
        let mut json = json!({
            "format": model.format_version(),
            "name": metadata.name,
            "provenance": metadata.provenance,
            "features": inputs(&metadata.features),
            "context": inputs(&metadata.contexts),
            "trained_as": model.trained_as(),
            "transforms": transforms,
            "base": flow.base.name(),
            "needs": model.needs().iter().map(|capability| format!("{capability:?}")).collect::<Vec<_>>(),
            "support": flowlet::support::smallest(model.needs()),
            "experts": head.experts,
            "quoted": head.quoted,
            "combine": combine(head.combine),
            "other_experts": other_experts(&ensemble),
            "statistic": selection::name(head.statistic),
            "calibrated_statistics": calibrated,
            "numeric": numeric,
            "parameters": ensemble.parameters(),
            "macs": running(&ensemble).iter().map(Flow::macs).sum::<usize>(),
            "image_bytes": image.bytes().len(),
            "workspace_bytes": model.workspace_bytes(),
            "explain_workspace_bytes": explain_workspace_bytes,
            "instructions": instructions,
            "cost_terms": cost::terms(running(&ensemble), model.numeric()),
            "calibration": {
                "readings": calibration.readings,
                "quantiles": calibration.quantiles,
                "false_alarm_rate": shortest(calibration.false_alarm_rate),
                "false_alarm_interval": within.map(|i| [i.low, i.high]),
                "false_alarms_promised": promised,
            },
            "entropy": shortest(head.entropy),
            "self_test_vectors": head.self_test.vectors,
            "signed_by": null,
        });

        let front_end = super::streams::described(&model)?;
        json["front_end"] = front_end.as_ref().map_or(Value::Null, |(json, _)| json.clone());
        let front_end = front_end.map_or_else(|| "none: features are readings".to_owned(), |(_, text)| text);

        let settings = export::present(model.alarm())?;
        json["alarm"] = json!(settings.map(|settings| alarm::settings_json(&settings)));
        // Where an alarm stands behind it, it may say that nothing was proved.
        let certificate = model.certificate().filter(|c| c.rows > 0 || c.at_rows.is_finite());
        certified::add_json(&mut json, certificate.map(|c| (c, None)));
        let proved = match &certificate {
            Some(c) => certified::line(c, None),
            None => "not certified".to_owned(),
        };

        let names = |inputs: &[(String, String)]| -> String {
            let named = |(name, unit): &(String, String)| {
                if unit.is_empty() {
                    name.clone()
                } else {
                    format!("{name} [{unit}]")
                }
            };
            format!("{}: {}", inputs.len(), inputs.iter().map(named).collect::<Vec<_>>().join(", "))
        };
        let chain: Vec<String> = transforms.iter().map(line).collect();
        let costs: Vec<String> = instructions
            .iter()
            .map(|(core, count)| {
                format!("about {} on a {core}", grouped(count.as_u64().unwrap_or(0) as usize))
            })
            .collect();
        let text = format!(
            "{}: {} (format {})\n\
             made by       {}\n\
             features      {}\n\
             context       {}\n\
             front end     {front_end}\n\
             experts       {}\n\
             numbers       {numeric}\n\
             trained as    {}\n\
             transforms    {}\n\
             base          {}\n\
             parameters    {}, {} multiply-accumulates\n\
             image         {} bytes; {} bytes of workspace, {} to explain\n\
             firmware      Model::<{}> is the smallest that opens it\n\
             instructions  {}\n\
             statistic     {}; calibrated: {}\n\
             calibration   {} readings; alarm above the {} most unlikely of normal ones{}\n\
             self-test     {} vectors\n\
             error         {proved}\n\
             {}\
             signed by     nobody",
            self.model.display(),
            if metadata.name.is_empty() { "unnamed" } else { &metadata.name },
            model.format_version(),
            metadata.provenance,
            names(&metadata.features),
            if metadata.contexts.is_empty() { "none".to_owned() } else { names(&metadata.contexts) },
            experts_line(head.experts, head.quoted, head.combine),
            if model.trained_as().is_empty() { "unknown" } else { model.trained_as() },
            chain.join("\n              "),
            flow.base.name(),
            grouped(ensemble.parameters()),
            grouped(running(&ensemble).iter().map(Flow::macs).sum()),
            grouped(image.bytes().len()),
            grouped(model.workspace_bytes()),
            grouped(explain_workspace_bytes),
            flowlet::support::smallest(model.needs()),
            costs.join(", "),
            selection::name(head.statistic),
            calibrated.join(", "),
            grouped(calibration.readings as usize),
            calibration.false_alarm_rate,
            if promised { "" } else { ", which so few readings cannot vouch for" },
            head.self_test.vectors,
            settings.map_or_else(String::new, |a| alarm::described(&a, Surprise::ceiling(&model))),
        );
        output.finish(&text, &json)
    }
}

/// The flows that a score runs.
fn running<'e>(ensemble: &'e Ensemble<'_>) -> &'e [Flow] {
    match ensemble.combine {
        Combine::Quoted => std::slice::from_ref(ensemble.quoted_flow()),
        Combine::Minimum | Combine::Mean => &ensemble.experts,
    }
}

fn combine(combine: Combine) -> &'static str {
    match combine {
        Combine::Quoted => "quoted",
        Combine::Minimum => "minimum",
        Combine::Mean => "mean",
    }
}

fn experts_line(experts: u8, quoted: u8, how: Combine) -> String {
    match how {
        _ if experts == 1 => "1".to_owned(),
        Combine::Quoted => format!("{experts}; number {quoted} alone is run"),
        _ => format!(
            "{experts}; the {} of their log-densities is judged, log_prob is that of number {quoted}",
            combine(how)
        ),
    }
}

/// Transforms and base of each expert that is not quoted.
fn other_experts(ensemble: &Ensemble<'_>) -> Vec<Value> {
    let others = ensemble.experts.iter().enumerate().filter(|(index, _)| *index != ensemble.quoted);
    others
        .map(|(index, flow)| {
            let transforms: Vec<Value> = flow.transforms.iter().map(describe).collect();
            json!({ "expert": index, "transforms": transforms, "base": flow.base.name() })
        })
        .collect()
}

fn describe(transform: &Transform) -> Value {
    match transform {
        Transform::Standardize(s) => json!({
            "kind": "standardize",
            "mean": s.mean.iter().copied().map(shortest).collect::<Vec<_>>(),
            "std": s.std.iter().copied().map(shortest).collect::<Vec<_>>(),
        }),
        Transform::SoftTail(t) => json!({ "kind": "soft_tail", "knee": shortest(t.knee) }),
        Transform::Permutation(p) => json!({ "kind": "permutation", "order": p.order }),
        Transform::Coupling(c) => {
            let layers = c.conditioner.dense_layers();
            let mut hidden: Vec<usize> =
                layers.iter().take(layers.len().saturating_sub(1)).map(|l| l.outputs).collect();
            if let Conditioner::Conv1d(net) = &c.conditioner {
                hidden = net.layers.iter().take(net.layers.len() - 1).map(|l| l.outputs).collect();
            }
            let mut json = json!({
                "kind": c.name(),
                "conditions": c.mask.given().len(),
                "transformed": c.mask.moved().len(),
                "condition_on_first": c.mask.as_split().is_some_and(|(_, first)| first),
                "conditioner": c.conditioner.name(),
                "activation": c.conditioner.activation().name(),
                "hidden": hidden,
                "input_limit": shortest(c.input_limit),
            });
            if let CouplingMap::Affine { scale } = c.map {
                json["scale"] = scale.name().into();
                match scale {
                    ScaleMap::Tanh { clamp } | ScaleMap::Hard { clamp } | ScaleMap::SoftSign { clamp } => {
                        json["clamp"] = shortest(clamp);
                    }
                    ScaleMap::Sigmoid { offset, floor } => {
                        json["offset"] = shortest(offset);
                        json["floor"] = shortest(floor);
                    }
                }
            }
            json
        }
        Transform::ElementwiseAffine(t) => json!({
            "kind": "elementwise_affine",
            "log_scale": t.log_scale.iter().copied().map(shortest).collect::<Vec<_>>(),
            "shift": t.shift.iter().copied().map(shortest).collect::<Vec<_>>(),
        }),
        Transform::Linear(t) => json!({ "kind": "linear", "features": t.shift.len() }),
        other => json!({ "kind": other.name() }),
    }
}

fn line(transform: &Value) -> String {
    let kind = transform["kind"].as_str().unwrap_or_default();
    match kind {
        "soft_tail" => format!("soft_tail beyond {}", transform["knee"]),
        "permutation" => format!("permutation {}", transform["order"]),
        "affine_coupling" if !transform["clamp"].is_null() => format!(
            "affine_coupling {} -> {}, hidden {}, clamp {}",
            transform["conditions"], transform["transformed"], transform["hidden"], transform["clamp"]
        ),
        "additive_coupling" => format!(
            "additive_coupling {} -> {}, hidden {}",
            transform["conditions"], transform["transformed"], transform["hidden"]
        ),
        "linear" => format!("linear {0} x {0}", transform["features"]),
        _ => kind.to_owned(),
    }
}

/// An f32 as JSON in its own shortest digits, not in those of the f64 that equals it.
fn shortest(value: f32) -> Value {
    value.to_string().parse::<f64>().map_or(Value::Null, |v| json!(v))
}
