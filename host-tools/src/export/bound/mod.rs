//! A certified bound on what fixed point can cost: `|log_prob(image) - log_prob(flow)|` for every
//! reading in a box, against the flow in exact arithmetic.
//!
//! Per value of the chain two quantities are carried, each as an affine form in the same symbols: the exact value, and the
//! difference of the fixed-point one from it ([`pair::Pair`]). The difference grows by the mean value theorem, with slopes
//! bounded over what both values can be, and by each operation's own rounding or table error, the budgets that the runtime's
//! tests hold. Quantized weights are known, so their part is no noise but an exact linear map of the values ([`net`]).
//! The box is then halved where that helps, a fixed number of times: the same bound on any machine.

mod base;
mod budgets;
mod conditioner;
mod form;
mod interval;
mod logit;
mod marginal;
mod net;
mod pair;
mod plan;
mod rational;
mod spline;
mod walk;

use super::dense::EncodedDense;
use super::Ensemble;
use crate::flow::Flow;
use flowlet::image::descriptor::CertificateRecord;
use plan::Plan;
use rayon::prelude::*;
use walk::over;

/// Bounds in nats; each an error's name where there is none.
#[derive(Clone, Debug, PartialEq)]
pub struct Certificate {
    /// For every reading within the box.
    pub over_box: Result<f64, String>,
    /// For every reading within [`Self::radius`] standard deviations, in each feature, of a row that was given.
    pub near_rows: Result<f64, String>,
    /// See [`Self::near_rows`].
    pub radius: f64,
    /// For the rows themselves.
    pub at_rows: Result<f64, String>,
    /// Rows that the last two speak of.
    pub rows: usize,
}

impl Certificate {
    /// As the image holds it: rounded up, infinite where there is no bound.
    #[must_use]
    pub fn record(&self) -> CertificateRecord {
        let number = |bound: &Result<f64, String>| up(*bound.as_ref().unwrap_or(&f64::INFINITY));
        CertificateRecord {
            over_box: number(&self.over_box),
            near_rows: number(&self.near_rows),
            radius: self.radius as f32,
            at_rows: number(&self.at_rows),
            rows: self.rows as u32,
        }
    }

    /// Why something could not be bounded.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        [&self.over_box, &self.near_rows, &self.at_rows]
            .into_iter()
            .find_map(|b| b.as_ref().err())
            .map(String::as_str)
    }
}

/// The least f32 that is not below `x`.
fn up(x: f64) -> f32 {
    let near = x as f32;
    if f64::from(near) < x {
        near.next_up()
    } else {
        near
    }
}

/// How much work a certificate may take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Effort {
    /// Parts that the box is cut into at most; as many more are made of what lies around rows.
    pub parts: usize,
    /// Rows that are looked at, spread over all that are given.
    pub rows: usize,
    /// See [`Certificate::radius`].
    pub radius: f64,
}

impl Effort {
    /// What takes seconds for an ensemble of this size: fewer parts and rows for larger nets, the same on any machine.
    #[must_use]
    pub fn of<'f>(flow: impl Into<Ensemble<'f>>) -> Self {
        let ensemble = flow.into();
        // A walk takes time by its multiply-accumulates and by the symbols that each carries.
        let work: usize = ensemble.experts.iter().map(|flow| flow.macs() * flow.inputs().div_ceil(8)).sum();
        let walks = 4_000_000 / work.max(1);
        Effort { parts: walks.clamp(32, 512), rows: (walks / 2).clamp(32, 256), radius: 0.01 }
    }
}

/// Parts that are halved at a time: the same on any number of threads.
const ROUND: usize = 16;

/// The certificate of a flow in canonical form whose nets were encoded as `nets`; `readings` are row-major.
pub(super) fn certify(
    flow: &Flow,
    nets: &[Vec<EncodedDense>],
    readings: &[f32],
    effort: Effort,
) -> Certificate {
    let plan = match Plan::new(flow, nets) {
        Ok(plan) => plan,
        Err(reason) => {
            let none = || Err(reason.clone());
            let (over_box, near_rows, at_rows) = (none(), none(), none());
            return Certificate { over_box, near_rows, at_rows, radius: effort.radius, rows: 0 };
        }
    };
    let inputs = flow.inputs();
    let mut low = vec![f64::INFINITY; inputs];
    let mut high = vec![f64::NEG_INFINITY; inputs];
    for row in readings.chunks_exact(inputs) {
        for ((low, high), &x) in low.iter_mut().zip(&mut high).zip(row) {
            *low = low.min(f64::from(x));
            *high = high.max(f64::from(x));
        }
    }
    let rows: Vec<&[f32]> = readings.chunks_exact(inputs).collect();
    let rows: Vec<&[f32]> = rows.iter().copied().step_by(rows.len().div_ceil(effort.rows).max(1)).collect();
    let around = |radius: f64| rows.iter().map(|row| Part::around(&plan, row, radius)).collect::<Vec<_>>();
    Certificate {
        over_box: cut(&plan, vec![Part { low, high }], effort.parts),
        near_rows: cut(&plan, around(effort.radius), rows.len() + effort.parts),
        radius: effort.radius,
        at_rows: cut(&plan, around(0.0), rows.len()),
        rows: rows.len(),
    }
}

/// A box of readings.
#[derive(Clone, Debug)]
struct Part {
    low: Vec<f64>,
    high: Vec<f64>,
}

impl Part {
    fn around(plan: &Plan, row: &[f32], radius: f64) -> Self {
        let at = |sign: f64| {
            let moved = |(&x, &std): (&f32, &f64)| f64::from(x) + sign * radius * std;
            row.iter().zip(&plan.std).map(moved).collect()
        };
        Part { low: at(-1.0), high: at(1.0) }
    }

    /// Both halves along the feature that is widest, far-out readings being closer to each other than they look.
    fn halves(&self, plan: &Plan) -> [Part; 2] {
        let width = |i: usize| {
            let at = |x: f64| {
                let z = (x - plan.mean[i]) / plan.std[i];
                z / (1.0 + 0.25 * z.abs())
            };
            at(self.high[i]) - at(self.low[i])
        };
        let widest = (0..self.low.len()).max_by(|&a, &b| width(a).total_cmp(&width(b))).unwrap_or(0);
        let middle = 0.5 * (self.low[widest] + self.high[widest]);
        let mut halves = [self.clone(), self.clone()];
        halves[0].high[widest] = middle;
        halves[1].low[widest] = middle;
        halves
    }
}

/// The bound over boxes from those of their parts: the worst are halved until there are `parts`.
fn cut(plan: &Plan, boxes: Vec<Part>, parts: usize) -> Result<f64, String> {
    let judge = |part: &Part| over(plan, &part.low, &part.high);
    // What cannot be bounded yet comes first.
    let size = |bound: &Result<f64, String>| bound.as_ref().map_or(f64::INFINITY, |b| *b);
    let mut open: Vec<(Result<f64, String>, Part)> =
        boxes.into_par_iter().map(|part| (judge(&part), part)).collect();
    while open.len() < parts {
        open.sort_by(|(a, _), (b, _)| size(a).total_cmp(&size(b)));
        let taken = open.split_off(open.len().saturating_sub(ROUND.min(parts - open.len())));
        let halves = taken.into_iter().flat_map(|(before, part)| {
            let before = size(&before);
            part.halves(plan).map(move |half| (before, half))
        });
        let halves: Vec<(f64, Part)> = halves.collect();
        let judged =
            halves.into_par_iter().map(|(before, part)| (judge(&part).map(|bound| bound.min(before)), part));
        open.extend(judged.collect::<Vec<_>>());
    }
    open.into_iter().try_fold(0.0, |largest, (bound, _)| Ok(f64::max(largest, bound?)))
}
