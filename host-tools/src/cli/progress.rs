//! Progress of long work: a bar on a terminal, now and then a plain line elsewhere, nothing with `--quiet`.

use super::output::Output;
use crate::training::{self, Keeper};
use indicatif::{ProgressBar, ProgressStyle};
use std::io::{IsTerminal, Write};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// How often a plain line is due.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// One piece of work of known length. May be advanced from many threads.
pub(super) struct Progress {
    kind: Kind,
}

enum Kind {
    Silent,
    Bar(ProgressBar),
    Lines(Mutex<Lines>),
}

struct Lines {
    what: String,
    unit: &'static str,
    done: u64,
    total: u64,
    last: Instant,
}

impl Progress {
    /// Begins: `what` is being done, and takes `total` steps of a `unit`.
    pub(super) fn start(output: &Output, what: &str, unit: &'static str, total: u64) -> Self {
        let kind = if output.is_quiet() {
            Kind::Silent
        } else if std::io::stderr().is_terminal() {
            let bar = ProgressBar::new(total);
            let template =
                format!("{{prefix}} {{bar:30}} {{human_pos}}/{{human_len}} {unit} {{msg}} ({{eta}} left)");
            if let Ok(style) = ProgressStyle::with_template(&template) {
                bar.set_style(style);
            }
            bar.set_prefix(what.to_owned());
            Kind::Bar(bar)
        } else {
            Kind::Lines(Mutex::new(Lines {
                what: what.to_owned(),
                unit,
                done: 0,
                total,
                last: Instant::now(),
            }))
        };
        Self { kind }
    }

    /// So many more steps are done.
    pub(super) fn advance(&self, steps: u64) {
        match &self.kind {
            Kind::Silent => {}
            Kind::Bar(bar) => bar.inc(steps),
            Kind::Lines(lines) => {
                let Ok(mut lines) = lines.lock() else { return };
                lines.done += steps;
                lines.print_if_due("", false);
            }
        }
    }

    /// As many steps are done in all; what the state of things is.
    pub(super) fn set(&self, done: u64, state: &str, important: bool) {
        match &self.kind {
            Kind::Silent => {}
            Kind::Bar(bar) => {
                bar.set_position(done);
                bar.set_message(state.to_owned());
            }
            Kind::Lines(lines) => {
                let Ok(mut lines) = lines.lock() else { return };
                lines.done = done;
                lines.print_if_due(state, important);
            }
        }
    }

    /// Says something without tearing the bar.
    pub(super) fn note(&self, output: &Output, text: &str) {
        match &self.kind {
            Kind::Bar(bar) => bar.suspend(|| output.note(text)),
            _ => output.note(text),
        }
    }

    /// Takes the bar away.
    pub(super) fn finish(&self) {
        if let Kind::Bar(bar) = &self.kind {
            bar.finish_and_clear();
        }
    }
}

impl Lines {
    fn print_if_due(&mut self, state: &str, important: bool) {
        if important || self.last.elapsed() >= LINE_EVERY {
            self.last = Instant::now();
            let Self { what, unit, done, total, .. } = self;
            let gap = if state.is_empty() { "" } else { "  " };
            let _ = writeln!(std::io::stderr(), "{what}: {done}/{total} {unit}{gap}{state}");
        }
    }
}

/// Shows training as it runs, with the likelihood after every step.
pub(super) struct Training<'a> {
    output: &'a Output,
    keeper: Option<&'a mut dyn Keeper>,
    progress: Option<Progress>,
    batches: usize,
    held_out: f64,
}

impl<'a> Training<'a> {
    /// `keeper`: who keeps states to go on from, if anyone.
    pub(super) fn new(output: &'a Output, keeper: Option<&'a mut dyn Keeper>) -> Self {
        Self { output, keeper, progress: None, batches: 1, held_out: f64::NAN }
    }
}

impl Drop for Training<'_> {
    fn drop(&mut self) {
        if let Some(progress) = &self.progress {
            progress.finish();
        }
    }
}

impl training::Progress for Training<'_> {
    fn start(&mut self, plan: &training::Plan) {
        self.batches = plan.batches.max(1);
        self.output.note(&format!(
            "training on {} rows, {} held out: {} features, {} parameters, at most {} epochs of {} steps, {} thread(s), {}",
            plan.rows, plan.held_out, plan.features, plan.parameters, plan.epochs, plan.batches, plan.threads, plan.lanes
        ));
        self.progress = Some(Progress::start(self.output, "training", "epochs", plan.epochs as u64));
    }

    fn batch(&mut self, epoch: usize, batch: usize, nll: f64) {
        let Some(progress) = &self.progress else { return };
        // A bar is cheap to set but its text is not: a few times per epoch are enough.
        if matches!(progress.kind, Kind::Bar(_)) && batch.is_multiple_of(self.batches.div_ceil(4)) {
            progress.set(epoch as u64 - 1, &state(nll, self.held_out), false);
        }
    }

    fn epoch(&mut self, epoch: &training::Epoch, _best: bool) {
        self.held_out = epoch.val_nll_trimmed;
        if let Some(progress) = &self.progress {
            progress.set(epoch.number as u64, &state(epoch.train_nll, self.held_out), epoch.number == 1);
        }
    }

    fn note(&mut self, message: &str) {
        match &self.progress {
            Some(progress) => progress.note(self.output, message),
            None => self.output.note(message),
        }
    }

    fn keeper(&mut self) -> Option<&mut dyn Keeper> {
        match &mut self.keeper {
            Some(keeper) => Some(&mut **keeper),
            None => None,
        }
    }
}

fn state(nll: f64, held_out: f64) -> String {
    if held_out.is_finite() {
        format!("NLL {nll:.3}, held out {held_out:.3}")
    } else {
        format!("NLL {nll:.3}")
    }
}
