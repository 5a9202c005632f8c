//! What `flowlet train` says of experts and of the candidates for each.

use super::fit::Fit;
use crate::training::{Candidate, Search};
use serde_json::{json, Value};

pub(super) fn candidate(candidate: &Candidate) -> Value {
    let mut json = json!({ "flow": candidate.config.flow.name(), "recipe": candidate.config.summary() });
    match &candidate.outcome {
        Ok(outcome) => {
            json["val_nll_trimmed_standardized"] = json!(outcome.val_nll_trimmed);
            json["parameters"] = json!(outcome.parameters);
            json["seconds"] = json!(outcome.seconds);
        }
        Err(error) => json["error"] = json!(error),
    }
    json
}

/// An expert as JSON.
pub(super) fn expert(member: &Search) -> Value {
    let mut json = candidate(&member.candidates[member.chosen]);
    json["val_nll"] = json!(member.trained.val_nll);
    json["val_nll_standardized"] = json!(member.trained.val_nll_standardized);
    json["epochs"] = json!(member.trained.epochs);
    json["candidates"] = member.candidates.iter().map(candidate).collect();
    json["chosen"] = json!(member.chosen);
    json
}

/// Why these candidates and not others, as lines of the message.
pub(super) fn told(fit: &Fit) -> String {
    let mut text = String::new();
    for (number, member) in fit.experts.members.iter().enumerate() {
        if fit.experts.members.len() > 1 {
            let quoted = if number == fit.experts.quoted { ", which log_prob speaks of" } else { "" };
            text.push_str(&format!("\nexpert {number}{quoted}"));
        } else if member.candidates.len() < 2 {
            continue;
        }
        for (index, candidate) in member.candidates.iter().enumerate() {
            let mark = if index == member.chosen { "  chosen  " } else { "          " };
            let told = match &candidate.outcome {
                Ok(o) => format!("held-out NLL {:.3} without the worst 2 %", o.val_nll_trimmed),
                Err(error) => format!("could not be trained: {error}"),
            };
            text.push_str(&format!("\n{mark} {}: {told}", candidate.config.summary()));
        }
    }
    text
}
