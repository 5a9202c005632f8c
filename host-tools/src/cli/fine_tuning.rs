//! When 8-bit weights are fine-tuned, and what is said of it.

use crate::export::FineTuned;
use clap::{Args, ValueEnum};
use serde_json::{json, Value};

/// What 8-bit weights may cost by default: mean |delta log_prob| on held-out rows, in nats.
pub(super) const I8_BUDGET: f64 = 0.1;
/// What rounding may cost at most for tuning to be tried where 16-bit weights would do too, in budgets: tuning takes 5 to 30 % off.
const IN_REACH: f64 = 1.5;

/// When 8-bit weights are fine-tuned, as the command line names it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum FineTune {
    /// Where rounding costs more than 0.1 nats and that matters
    #[default]
    Auto,
    /// Wherever there are 8-bit weights
    Always,
    /// Nowhere
    Never,
}

/// The option of all commands that make 8-bit images.
#[derive(Args, Clone, Copy, Debug)]
pub(super) struct FineTuneArgs {
    /// Whether 8-bit weights are fine-tuned after rounding, with the device's own integers in every step: towards the scores of
    /// the f32 flow, on rows that do not judge the result. auto does so where rounding alone moves log_prob by more than 0.1
    /// nats in the mean (and, without --numeric, by no more than 0.15: 16 bits are taken then); it takes seconds to minutes, and
    /// the image stays as it was unless rows held out find it better
    #[arg(long, value_name = "WHEN", value_enum, default_value = "auto", help_heading = "Flow")]
    pub(super) fine_tune: FineTune,
}

impl FineTune {
    /// Whether to tune weights whose rounding costs so much, as a mean |delta log_prob| in nats; `replaceable` if an image of
    /// 16-bit weights would do too.
    pub(super) fn is_wanted(self, mean_delta: f64, replaceable: bool) -> bool {
        match self {
            FineTune::Auto if replaceable => (I8_BUDGET..IN_REACH * I8_BUDGET).contains(&mean_delta),
            FineTune::Auto => mean_delta > I8_BUDGET,
            FineTune::Always => true,
            FineTune::Never => false,
        }
    }
}

/// What came of it.
#[derive(Clone, Debug)]
pub(super) struct FineTuning {
    /// One per expert; none of those without weights that can be tuned.
    pub(super) experts: Vec<Option<FineTuned>>,
    /// Mean |delta log_prob| of the image as it was, and as it is now, in nats.
    pub(super) mean_delta: [f64; 2],
    /// Whether the tuned weights are in the image.
    pub(super) kept: bool,
}

impl FineTuning {
    /// In one sentence.
    pub(super) fn told(&self) -> String {
        let [before, after] = self.mean_delta;
        if self.kept {
            format!("fine-tuned: mean |delta log_prob| was {before:.4} nats and is {after:.4}")
        } else if self.experts.iter().all(Option::is_none) {
            "not fine-tuned: there are no perceptrons to tune, or no rows held out to judge by".to_owned()
        } else {
            "fine-tuning made nothing better on held-out rows: the weights stay as they were rounded"
                .to_owned()
        }
    }
}

/// Adds `fine_tuned` and what was measured; null where nothing was tried.
pub(super) fn add_json(json: &mut Value, tuning: Option<&FineTuning>) {
    json["fine_tuned"] = json!(tuning.is_some_and(|t| t.kept));
    json["fine_tuning"] = tuning.map_or(Value::Null, |t| {
        let loss = |l: crate::export::Loss| {
            json!({ "trimmed_nll_loss": l.trimmed_nll, "mean_abs_delta_log_prob": l.mean_delta })
        };
        let expert = |e: &Option<FineTuned>| match e {
            Some(e) => json!({ "before": loss(e.before), "after": loss(e.after), "steps": e.steps }),
            None => Value::Null,
        };
        json!({
            "mean_abs_delta_log_prob_before": t.mean_delta[0],
            "mean_abs_delta_log_prob_after": t.mean_delta[1],
            "experts": t.experts.iter().map(expert).collect::<Vec<_>>(),
        })
    });
}
