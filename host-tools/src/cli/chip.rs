//! The budget of a chip: options of `flowlet train`, the search within it, and `flowlet chips`.

use super::fit::{self, Fit, I8_BUDGET};
use super::output::{grouped, Output};
use super::progress::Progress;
use super::scoring;
use super::train::Finished;
use super::usage;
use crate::chip_search::{
    self, Budget, Candidate, Cost, Fixed, Found, Limit, Memory, Point, Request, SearchError,
};
use crate::chips::{self, Chip};
use crate::export::{Core, Numeric};
use crate::table::Table;
use crate::training::{BaseKind, MarginalFront, TrainConfig};
use anyhow::bail;
use clap::Args;
use serde_json::{json, Value};
use std::sync::Mutex;
use std::time::Instant;

/// Lines of the Pareto front in the message.
const FRONT_LINES: usize = 6;

/// What an image may cost; any of these starts a search.
#[derive(Args, Debug)]
#[command(next_help_heading = "Budget of a chip (searches architectures, kinds of flows and numbers)")]
pub(super) struct BudgetArgs {
    /// Chip by name or order code, such as stm32f401 or nRF52840-QIAA (see `flowlet chips`): its core, and all of its
    /// flash and RAM but what the code and stack of the smallest runtime take that opens the image
    #[arg(long, value_name = "NAME", conflicts_with = "core")]
    chip: Option<String>,
    /// Flash for the image, in bytes (or 16k); the runtime's code is not counted and said separately
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    max_flash: Option<usize>,
    /// RAM for the workspace of a score, in bytes (or 2k); the stack is not counted and said separately
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    max_ram: Option<usize>,
    /// Instructions of a score, all experts together, as predicted for the core (see `flowlet inspect`)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    max_instructions: Option<u64>,
}

/// A number of bytes, or of KiB with a `k` behind it.
fn bytes(text: &str) -> Result<usize, String> {
    let lower = text.to_ascii_lowercase();
    let (digits, unit) = match lower.strip_suffix('k') {
        Some(digits) => (digits, 1024),
        None => (lower.as_str(), 1),
    };
    match digits.parse::<usize>().ok().and_then(|n| n.checked_mul(unit)) {
        Some(bytes) if bytes > 0 => Ok(bytes),
        _ => Err("must be a number of bytes above 0, such as 16384 or 16k".to_owned()),
    }
}

/// A budget, and the chip that it is that of.
pub(super) struct Limits {
    pub(super) budget: Budget,
    chip: Option<Chip>,
}

impl BudgetArgs {
    /// The budget that was asked for; `core` where no chip says which.
    pub(super) fn limits(&self, core: Core) -> anyhow::Result<Option<Limits>> {
        let chip = self
            .chip
            .as_deref()
            .map(chips::find)
            .transpose()
            .map_err(|error| usage(format!("--chip: {error}")))?;
        let mut budget = Budget {
            core,
            has_fpu: true,
            flash: self.max_flash.map(Memory::Besides),
            ram: self.max_ram.map(Memory::Besides),
            instructions: self.max_instructions,
        };
        let Some(chip) = chip else {
            let is_given = Limit::ALL.into_iter().any(|limit| budget.most(limit).is_some());
            return Ok(is_given.then_some(Limits { budget, chip: None }));
        };
        (budget.core, budget.has_fpu) = (chip.core, chip.has_fpu);
        budget.flash = budget.flash.or(chip.flash.map(Memory::Whole));
        budget.ram = budget.ram.or(Some(Memory::Whole(chip.ram)));
        Ok(Some(Limits { budget, chip: Some(chip) }))
    }
}

/// What is searched for.
pub(super) struct Job<'a> {
    pub(super) table: &'a Table,
    /// The experts of the unconstrained default.
    pub(super) reference: Vec<TrainConfig>,
    pub(super) fixed: Fixed,
    pub(super) numeric: Option<Numeric>,
    pub(super) limits: &'a Limits,
    /// Trainings whose held-out rows the image will be calibrated on.
    pub(super) folds: usize,
    pub(super) name: &'a str,
    pub(super) false_alarm_rate: f32,
}

/// What a search found, for the message.
pub(super) struct Outcome {
    found: Found,
    /// The candidate that became the image.
    chosen: usize,
    cost: Cost,
    pub(super) seconds: f64,
}

impl Job<'_> {
    /// Searches, and makes the image of the best candidate by `finish`.
    pub(super) fn run(
        self,
        finish: impl Fn(Fit, Numeric) -> anyhow::Result<Finished>,
        output: &Output,
    ) -> anyhow::Result<(Finished, Outcome)> {
        let started = Instant::now();
        let matrix = fit::matrix(self.table)?;
        let numerics = self.numerics()?;
        let metadata =
            |experts: &[&TrainConfig]| fit::metadata(self.table, experts, matrix.rows, self.name.to_owned());
        let budget = self.limits.budget;
        let request = Request {
            data: &matrix,
            reference: &self.reference,
            fixed: &self.fixed,
            numerics: &numerics,
            budget,
            folds: self.folds,
            rungs: chip_search::RUNGS,
            metadata: &metadata,
        };
        let watch = Watch { output, progress: Mutex::new(None) };
        let found = chip_search::search(&request, &watch).map_err(|error| match error {
            SearchError::Train(error) => fit::name_column(error, self.table),
            other => other.into(),
        })?;
        for finalist in &found.finalists {
            let Candidate { name, numeric, .. } = &found.candidates[finalist.candidate];
            let fit = Fit::of(
                self.table,
                matrix.clone(),
                finalist.experts.clone(),
                self.name.to_owned(),
                self.false_alarm_rate,
                output,
            )?;
            let mut finished = finish(fit, *numeric)?;
            let others = found.finalists.iter().map(|f| &found.candidates[f.candidate]);
            let in_i16 = others.filter(|c| c.name == *name).any(|c| c.numeric == Numeric::I16);
            if self.numeric.is_none()
                && *numeric == Numeric::I8
                && in_i16
                && finished.chosen.delta.mean > I8_BUDGET
            {
                output.note(&format!("{name}: i8 costs more than {I8_BUDGET} nats, and i16 fits too"));
                continue;
            }
            let cost = Cost::of(&finished.chosen.image, budget.core)?;
            if !budget.admits(cost) {
                output.note(&format!("{name}: the finished image is over the budget and is left out"));
                continue;
            }
            finished.chosen.reason = finished.chosen.reason.replacen("as asked", "by the search", 1);
            let seconds = started.elapsed().as_secs_f64();
            let chosen = finalist.candidate;
            return Ok((finished, Outcome { found, chosen, cost, seconds }));
        }
        bail!("none of {} finished images keeps the budget (please report this)", found.finalists.len())
    }

    /// Numbers that the chip computes with; the smallest image first.
    fn numerics(&self) -> anyhow::Result<Vec<Numeric>> {
        let core = self.limits.budget.core;
        let soft = !self.limits.budget.has_fpu
            && !matches!(core, Core::CortexM0 | Core::CortexM0Plus | Core::CortexM3);
        match self.numeric {
            Some(Numeric::F32 | Numeric::F32FastMath) if soft => Err(usage(
                "this chip has no FPU, and what f32 costs there is not known: take --numeric i16 or i8"
                    .to_owned(),
            )),
            Some(numeric) => Ok(vec![numeric]),
            None if soft => Ok(vec![Numeric::I8, Numeric::I16]),
            None => Ok(vec![Numeric::I8, Numeric::I16, Numeric::F32]),
        }
    }
}

/// Shows a search as it runs.
struct Watch<'a> {
    output: &'a Output,
    progress: Mutex<Option<Progress>>,
}

impl Watch<'_> {
    fn with(&self, f: impl FnOnce(&mut Option<Progress>)) {
        if let Ok(mut progress) = self.progress.lock() {
            f(&mut progress);
        }
    }
}

impl chip_search::Watch for Watch<'_> {
    fn start(&self, rung: &str, flows: usize) {
        self.with(|p| *p = Some(Progress::start(self.output, rung, "flows", flows as u64)));
    }

    fn advance(&self) {
        self.with(|p| p.iter().for_each(|p| p.advance(1)));
    }

    fn finish(&self) {
        self.with(|p| p.take().iter().for_each(Progress::finish));
    }

    fn note(&self, text: &str) {
        self.with(|p| match p {
            Some(p) => p.note(self.output, text),
            None => self.output.note(text),
        });
    }
}

impl Outcome {
    /// Adds all candidates and which one was chosen.
    pub(super) fn add_json(&self, json: &mut Value, limits: &Limits) {
        let found = &self.found;
        json["candidates"] = (0..found.candidates.len()).map(|index| self.candidate(index)).collect();
        json["chosen"] = json!(self.chosen);
        json["seconds"] = json!(self.seconds);
        json["instructions"] = json!(self.cost.instructions);
        let over = |limit| found.over.iter().find(|o| o.0 == limit).map(|o| o.1);
        json["budget"] = json!({
            "chip": limits.chip.as_ref().map(|chip| &chip.name),
            "core": limits.budget.core.name(),
            "max_flash": limits.budget.flash.map(Memory::bytes),
            "max_ram": limits.budget.ram.map(Memory::bytes),
            "max_instructions": limits.budget.instructions,
            "flash_holds_code": limits.budget.runtime_within(Limit::Flash).is_some(),
            "ram_holds_stack": limits.budget.runtime_within(Limit::Ram).is_some(),
        });
        json["runtime"] = json!({
            "support": self.cost.support,
            "code_bytes": self.cost.code_bytes,
            "stack_bytes": self.cost.stack_bytes,
        });
        json["search"] = json!({
            "priced": found.priced,
            "over_flash": over(Limit::Flash),
            "over_ram": over(Limit::Ram),
            "over_instructions": over(Limit::Instructions),
            "within_budget": found.candidates.len(),
            "rungs": found.rungs,
            "flows_trained": found.trained,
            "unconstrained": found.reference.map(|(numeric, cost)| json!({
                "numeric": scoring::name(numeric),
                "image_bytes": cost.image_bytes,
                "workspace_bytes": cost.workspace_bytes,
                "instructions": cost.instructions,
            })),
        });
    }

    fn candidate(&self, index: usize) -> Value {
        let candidate = &self.found.candidates[index];
        let point = Point {
            name: self.name(index),
            proxy: candidate.worth.map_or(f64::NAN, |worth| worth.proxy),
            instructions: candidate.cost.instructions,
            image_bytes: candidate.cost.image_bytes,
            pareto: candidate.pareto,
            chosen: index == self.chosen,
        };
        let mut json = json!(point);
        let experts = || candidate.experts.iter();
        // Of the flow with couplings, if there is one.
        let coupled = experts().find(|c| c.layers > 0);
        json["flow"] = json!(coupled.map(|c| c.flow.name()));
        json["layers"] = json!(coupled.map_or(0, |c| c.layers));
        json["hidden"] = json!(coupled.map_or(&[][..], |c| &c.hidden));
        json["numeric"] = json!(scoring::name(candidate.numeric));
        json["experts"] = experts()
            .map(|c| {
                json!({
                    "recipe": c.summary(),
                    "components": (c.base == BaseKind::Mixture && c.components > 0).then_some(c.components),
                    "knots": (c.marginal != MarginalFront::None).then_some(c.knots),
                    "epochs": c.epochs,
                })
            })
            .collect();
        json["workspace_bytes"] = json!(candidate.cost.workspace_bytes);
        json["support"] = json!(candidate.cost.support);
        json["code_bytes"] = json!(candidate.cost.code_bytes);
        json["separation"] = json!(candidate.worth.map(|worth| worth.separation));
        json["agreement"] = json!(candidate.worth.map(|worth| worth.agreement));
        json["val_nll"] = json!(candidate.val_nll);
        json["rung"] = json!(candidate.rung);
        json
    }

    fn name(&self, index: usize) -> String {
        let candidate = &self.found.candidates[index];
        format!("{}: {}", scoring::name(candidate.numeric), candidate.name)
    }

    /// What was searched and chosen, as lines of the message.
    pub(super) fn told(&self, limits: &Limits) -> String {
        let (found, budget) = (&self.found, &limits.budget);
        let most = |limit| budget.most(limit).map_or("any".to_owned(), |n| grouped(n as usize));
        let over = |limit: Limit| {
            let count = found.over.iter().find(|o| o.0 == limit).map_or(0, |o| o.1);
            format!("{} over {}", grouped(count), limit.option())
        };
        let cost = |cost: Cost| {
            format!(
                "{} bytes, {} of workspace, {} instructions",
                grouped(cost.image_bytes),
                grouped(cost.workspace_bytes),
                grouped(cost.instructions as usize)
            )
        };
        let with = |limit| budget.runtime_within(limit).map_or_else(String::new, |r| format!(" and {r}"));
        let mut text = format!(
            "\nbudget     {} bytes of flash for the image{}, {} of RAM for the workspace{}, {} instructions on a {}{}\n\
             runtime    {}: {} bytes of code, at most {} of stack\n\
             searched   {} candidates ({}), {} within the budget; {} flows trained in {:.1} s",
            most(Limit::Flash),
            with(Limit::Flash),
            most(Limit::Ram),
            with(Limit::Ram),
            most(Limit::Instructions),
            budget.core.name(),
            limits.chip.as_ref().map_or_else(String::new, |chip| format!(" ({})", chip.name)),
            self.cost.support,
            grouped(self.cost.code_bytes),
            grouped(self.cost.stack_bytes),
            grouped(found.priced),
            Limit::ALL.map(over).join(", "),
            grouped(found.candidates.len()),
            grouped(found.trained),
            self.seconds,
        );
        if let Some((numeric, needs)) = found.reference {
            let fits = if budget.admits(needs) { ", which fits" } else { ", which does not fit" };
            text.push_str(&format!(
                "\n           the unconstrained default takes {} in {}{fits}",
                cost(needs),
                scoring::name(numeric)
            ));
        }
        let line = |index: usize| {
            let candidate = &found.candidates[index];
            let proxy = candidate.worth.map_or(f64::NAN, |worth| worth.proxy);
            format!("{proxy:.4}  {}  {}", cost(candidate.cost), self.name(index))
        };
        text.push_str(&format!("\nchosen     {}: the best proxy of detection", line(self.chosen)));
        if let Some(worth) = found.candidates[self.chosen].worth {
            text.push_str(&format!(
                "\n           (it is the mean of {:.4}, AUROC against perturbed rows, and {:.4}, rank correlation with the \
                 unconstrained default)",
                worth.separation, worth.agreement
            ));
        }
        let front = found.finalists.iter().map(|f| f.candidate);
        let front: Vec<usize> =
            front.filter(|&i| found.candidates[i].pareto && i != self.chosen).take(FRONT_LINES).collect();
        for (number, index) in front.into_iter().enumerate() {
            let head = if number == 0 { "front      " } else { "           " };
            text.push_str(&format!("\n{head}{}", line(index)));
        }
        text
    }
}

/// List the chips that --chip of `flowlet train` knows
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  flowlet chips nrf")]
pub(super) struct ChipsArgs {
    /// Only those whose name has this in it
    #[arg(value_name = "PART")]
    part: Option<String>,
}

impl ChipsArgs {
    pub(super) fn run(self, output: &Output) -> anyhow::Result<()> {
        let part = self.part.unwrap_or_default().to_ascii_lowercase();
        let chips: Vec<Chip> = chips::all().into_iter().filter(|chip| chip.name.contains(&part)).collect();
        let mut text = format!(
            "{:<14}{:<15}{:<5}{:>10}{:>10}{:>6}  maker",
            "chip", "core", "FPU", "flash", "RAM", "MHz"
        );
        for chip in &chips {
            let flash = chip.flash.map_or("external".to_owned(), |bytes| format!("{} KiB", bytes / 1024));
            text.push_str(&format!(
                "\n{:<14}{:<15}{:<5}{flash:>10}{:>10}{:>6}  {}",
                chip.name,
                chip.core.name(),
                if chip.has_fpu { "yes" } else { "no" },
                format!("{} KiB", chip.ram / 1024),
                chip.clock_mhz,
                chip.maker
            ));
        }
        text.push_str(
            "\nflash and RAM of the smallest member; an order code tells more where it names the size (STM32F401RE)",
        );
        let all: Vec<Value> = chips
            .iter()
            .map(|chip| {
                json!({
                    "name": chip.name,
                    "core": chip.core.name(),
                    "fpu": chip.has_fpu,
                    "flash_bytes": chip.flash,
                    "ram_bytes": chip.ram,
                    "clock_mhz": chip.clock_mhz,
                    "maker": chip.maker,
                })
            })
            .collect();
        output.finish(&text, &json!({ "chips": all }))
    }
}
