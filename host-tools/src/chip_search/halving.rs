//! The search itself: rungs of successive halving over what the budget leaves.

use super::pareto::front;
use super::price::{ensemble, price, undominated, Priced, Shape};
use super::proxy::{Proxy, Worth};
use super::space::{Fixed, Space};
use super::{Budget, Cost, Impossible, Limit, SearchError};
use crate::export::{self, Calibration, Ensemble, Metadata, Numeric, MIN_READINGS};
use crate::training::{
    train, Candidate as Trial, Experts, Matrix, Outcome, Search, TrainConfig, TrainError, Trained,
};
use rayon::prelude::*;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// What each rung divides the epochs by, usually.
pub const RUNGS: &[usize] = &[9, 3, 1];
/// One in so many architectures goes up to the next rung,
const KEPT: usize = 4;
/// but so many at least,
const FEWEST: usize = 8;
/// and so many of the Pareto front, which would else lose all that is small.
const OF_FRONT: usize = 6;
/// Proxies closer than that are equal: of such candidates the smaller image is the better one.
const RESOLUTION: f64 = 1e-3;

/// What is to be found.
pub struct Request<'a> {
    /// Normal rows, context last.
    pub data: &'a Matrix,
    /// The experts of the unconstrained default, one or two; what the search varies.
    pub reference: &'a [TrainConfig],
    /// What it leaves as it is.
    pub fixed: &'a Fixed,
    /// Numbers that an image may have, those to prefer first.
    pub numerics: &'a [Numeric],
    /// What it may cost.
    pub budget: Budget,
    /// Trainings whose held-out rows the image is calibrated on, at least 1: more rows, more quantiles, more bytes.
    pub folds: usize,
    /// What each rung divides the epochs by, falling to 1: [`RUNGS`], or `[1]` to train all candidates to the end.
    pub rungs: &'a [usize],
    /// What an image of experts with these settings says of itself; its length counts.
    pub metadata: &'a (dyn Fn(&[&TrainConfig]) -> Metadata + Sync),
}

/// Receives what happens during a search, from many threads. Does nothing by default; `()` watches nothing.
pub trait Watch: Sync {
    /// A rung begins, on which so many flows are trained.
    fn start(&self, _rung: &str, _flows: usize) {}
    /// One flow more is trained.
    fn advance(&self) {}
    /// The rung is over.
    fn finish(&self) {}
    /// Something worth knowing.
    fn note(&self, _text: &str) {}
}

impl Watch for () {}

/// A candidate that keeps the budget.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Its experts, in words.
    pub name: String,
    /// Their settings, with the epochs of the last rung that it reached.
    pub experts: Vec<TrainConfig>,
    /// Its numbers.
    pub numeric: Numeric,
    /// What it costs.
    pub cost: Cost,
    /// The last rung that it reached, from 1 to [`Found::rungs`].
    pub rung: usize,
    /// What it was worth there; on the last rung in its own numbers, before it in f32. `None` if it could not be trained.
    pub worth: Option<Worth>,
    /// Mean negative log-likelihood of the held-out rows there, in nats and in the units of the data; NaN if untrained.
    pub val_nll: f64,
    /// Whether no other candidate of the last rung beats it in proxy, instructions and bytes.
    pub pareto: bool,
}

/// A candidate of the last rung, trained to the end.
#[derive(Clone, Debug)]
pub struct Finalist {
    /// Its place among the candidates.
    pub candidate: usize,
    /// What became of its experts.
    pub experts: Experts,
}

/// What a search found.
#[derive(Clone, Debug)]
pub struct Found {
    /// All candidates that keep the budget, in the order of the space.
    pub candidates: Vec<Candidate>,
    /// Those of the last rung, best first.
    pub finalists: Vec<Finalist>,
    /// Candidates that were priced.
    pub priced: usize,
    /// How many of them are over each limit.
    pub over: Vec<(Limit, usize)>,
    /// What the unconstrained default costs in the numbers that come closest to the budget, if it can be written.
    pub reference: Option<(Numeric, Cost)>,
    /// Rungs that there were.
    pub rungs: usize,
    /// Flows that were trained, over all rungs.
    pub trained: usize,
}

/// A trained expert and what it finds of the rows that candidates are judged on.
#[derive(Clone)]
struct Expert {
    trained: Trained,
    log_probs: Vec<f32>,
}

/// Searches for the best detector within a budget.
///
/// # Errors
/// [`SearchError`]: a budget that nothing keeps, settings or data that cannot be trained with.
pub fn search(request: &Request<'_>, watch: &dyn Watch) -> Result<Found, SearchError> {
    let config = &request.reference[0];
    config.check()?;
    if config.holdout == 0.0 {
        let remedy = "a search needs rows to judge by: hold out some, such as 0.1";
        return Err(TrainError::Setting { name: "holdout", value: "0".to_owned(), remedy }.into());
    }
    let threads = match config.threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        n => n,
    };
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .map_err(|e| TrainError::Threads { threads, reason: e.to_string() })?;
    pool.install(|| run(request, watch))
}

fn run(request: &Request<'_>, watch: &dyn Watch) -> Result<Found, SearchError> {
    let Request { data, reference, budget, .. } = *request;
    let features = data.columns.saturating_sub(reference[0].contexts);
    let held = ((data.rows as f64 * reference[0].holdout).round() as usize).max(1);
    let rows = data.rows.saturating_sub(held);
    let calibration_rows = if held >= MIN_READINGS { held * request.folds.max(1) } else { data.rows };
    let space = Space::new(reference, request.fixed, rows);
    let shape = Shape { features, rows: (rows, calibration_rows), metadata: request.metadata };
    let all = price(&space, &shape, request.numerics, &budget)?;
    let fitting: Vec<Priced> = all.iter().copied().filter(|p| budget.admits(p.cost)).collect();
    if fitting.is_empty() {
        return Err(Box::new(impossible(&space, &all, features, budget)).into());
    }
    let over = Limit::ALL.map(|limit| (limit, all.iter().filter(|p| budget.exceeds(limit, p.cost)).count()));
    let of_reference = all.iter().filter(|p| p.architecture == 0);
    let closest = of_reference.min_by(|a, b| budget.strain(a.cost).total_cmp(&budget.strain(b.cost)));
    let fitting = undominated(&fitting);
    let mut halving = Halving { request, watch, space: &space, rows, full: BTreeMap::new(), trained: 0 };
    let (candidates, finalists, rungs) = halving.run(&fitting)?;
    Ok(Found {
        candidates,
        finalists,
        priced: all.len(),
        over: over.to_vec(),
        reference: closest.map(|p| (p.numeric, p.cost)),
        rungs,
        trained: halving.trained,
    })
}

/// What a budget that nothing keeps would have to be.
fn impossible(space: &Space, all: &[Priced], features: usize, budget: Budget) -> Impossible {
    let least = |limit: Limit| all.iter().map(|p| budget.spent(limit, p.cost)).min().unwrap_or(0);
    let limits = Limit::ALL
        .into_iter()
        .filter(|&limit| all.iter().all(|p| budget.exceeds(limit, p.cost)))
        .map(|limit| (limit, least(limit)))
        .collect();
    let nearest = all
        .iter()
        .min_by(|a, b| budget.strain(a.cost).total_cmp(&budget.strain(b.cost)))
        .map(|p| (space.name(&space.architectures[p.architecture]), p.cost));
    Impossible { features, limits, nearest: nearest.unwrap_or_default(), budget }
}

/// The rungs.
struct Halving<'a> {
    request: &'a Request<'a>,
    watch: &'a dyn Watch,
    space: &'a Space,
    /// Rows trained on.
    rows: usize,
    /// Experts that are trained to the end.
    full: BTreeMap<usize, Result<Expert, String>>,
    trained: usize,
}

/// Experts by their place in the space.
type Bank = BTreeMap<usize, Result<Expert, String>>;

impl Halving<'_> {
    fn run(&mut self, fitting: &[Priced]) -> Result<(Vec<Candidate>, Vec<Finalist>, usize), SearchError> {
        let reference = &self.space.architectures[0];
        let proxy = self.reference(reference)?;
        let name = |p: &Priced| self.space.name(&self.space.architectures[p.architecture]);
        let mut candidates: Vec<Candidate> = fitting
            .iter()
            .map(|p| Candidate {
                name: name(p),
                experts: Vec::new(),
                numeric: p.numeric,
                cost: p.cost,
                rung: 0,
                worth: None,
                val_nll: f64::NAN,
                pareto: false,
            })
            .collect();
        let mut alive: BTreeSet<usize> = fitting.iter().map(|p| p.architecture).collect();
        // A few are best all trained to the end at once.
        let rungs = if alive.len() <= FEWEST { &[1][..] } else { self.request.rungs };
        let mut last = Bank::new();
        for (number, &divisor) in rungs.iter().enumerate() {
            let wanted: BTreeSet<usize> =
                alive.iter().flat_map(|&a| &self.space.architectures[a]).copied().collect();
            last =
                self.train(&wanted, divisor, &proxy, &format!("rung {} of {}", number + 1, rungs.len()))?;
            for (candidate, priced) in candidates.iter_mut().zip(fitting) {
                if alive.contains(&priced.architecture) {
                    self.judge(candidate, &self.space.architectures[priced.architecture], &last, &proxy);
                    candidate.rung = number + 1;
                    let epochs = |config: &TrainConfig| self.epochs(config, divisor);
                    let members = self.space.members(&self.space.architectures[priced.architecture]);
                    candidate.experts =
                        members.map(|c| TrainConfig { epochs: Some(epochs(c)), ..c.clone() }).collect();
                }
            }
            if number + 1 < rungs.len() {
                alive = survivors(fitting, &candidates, number + 1);
            }
        }
        let finalists = self.finish(fitting, &mut candidates, &last, &proxy, rungs.len())?;
        Ok((candidates, finalists, rungs.len()))
    }

    fn epochs(&self, config: &TrainConfig, divisor: usize) -> usize {
        (config.epochs_for(self.rows) / divisor).max(1)
    }

    /// Trains the unconstrained default, by which candidates are judged.
    fn reference(&mut self, experts: &[usize]) -> Result<Proxy, SearchError> {
        self.watch.start("the unconstrained default", experts.len());
        let trained = experts
            .par_iter()
            .map(|&expert| {
                let config = TrainConfig { threads: 1, ..self.space.experts[expert].clone() };
                let trained = train(self.request.data, &config, &mut ());
                self.watch.advance();
                trained
            })
            .collect::<Result<Vec<Trained>, TrainError>>();
        self.watch.finish();
        let trained = trained?;
        self.trained += trained.len();
        let (data, features) = (self.request.data, trained[0].flow.features);
        let mut proxy = Proxy::new(data, features, &trained[0].holdout_rows);
        let mut least = Vec::new();
        for (&expert, trained) in experts.iter().zip(trained) {
            let log_probs = proxy.log_probs(&trained.flow)?;
            self.full.insert(expert, Ok(Expert { trained, log_probs }));
            least.push(expert);
        }
        let scores = suspicion(&least, &self.full).unwrap_or_default();
        proxy.set_reference(&scores);
        Ok(proxy)
    }

    /// Trains experts for a part of their epochs.
    fn train(
        &mut self,
        wanted: &BTreeSet<usize>,
        divisor: usize,
        proxy: &Proxy,
        rung: &str,
    ) -> Result<Bank, SearchError> {
        let known = |expert: &usize| if divisor == 1 { self.full.get(expert).cloned() } else { None };
        let missing: Vec<usize> = wanted.iter().copied().filter(|e| known(e).is_none()).collect();
        self.watch.start(rung, missing.len());
        let trained: Vec<(usize, Result<Expert, String>)> = missing
            .par_iter()
            // One at a time: they are unequal.
            .with_max_len(1)
            .map(|&expert| {
                let config = &self.space.experts[expert];
                let epochs = Some(self.epochs(config, divisor));
                let config = TrainConfig { threads: 1, epochs, ..config.clone() };
                let judged = train(self.request.data, &config, &mut ()).map_err(|e| e.to_string());
                let judged = judged.and_then(|trained| {
                    let log_probs = proxy.log_probs(&trained.flow).map_err(|e| e.to_string())?;
                    Ok(Expert { trained, log_probs })
                });
                self.watch.advance();
                (expert, judged)
            })
            .collect();
        self.watch.finish();
        let mut bank: Bank = wanted.iter().filter_map(|e| Some((*e, known(e)?))).collect();
        self.trained += trained.len();
        bank.extend(trained);
        for (expert, outcome) in &bank {
            if let Err(error) = outcome {
                let name = self.space.experts[*expert].summary();
                self.watch.note(&format!("{name} could not be trained and is left out: {error}"));
            }
        }
        Ok(bank)
    }

    /// What a candidate is worth in f32.
    fn judge(&self, candidate: &mut Candidate, architecture: &[usize], bank: &Bank, proxy: &Proxy) {
        candidate.worth = suspicion(architecture, bank).map(|scores| proxy.worth(&scores));
        candidate.val_nll = match members(architecture, bank) {
            Some(members) => members[quoted(&members)].trained.val_nll,
            None => f64::NAN,
        };
    }

    /// Judges the candidates of the last rung in their own numbers, and puts them in order.
    fn finish(
        &self,
        fitting: &[Priced],
        candidates: &mut [Candidate],
        bank: &Bank,
        proxy: &Proxy,
        rung: usize,
    ) -> Result<Vec<Finalist>, SearchError> {
        let last: Vec<usize> = (0..candidates.len())
            .filter(|&index| candidates[index].rung == rung && candidates[index].worth.is_some())
            .collect();
        let architecture = |index: usize| &self.space.architectures[fitting[index].architecture];
        let worths: Vec<Option<Worth>> = last
            .par_iter()
            .with_max_len(1)
            .map(|&index| {
                let members = members(architecture(index), bank)?;
                self.in_numbers(&members, candidates[index].numeric, proxy)
            })
            .collect();
        let mut kept = Vec::new();
        for (&index, worth) in last.iter().zip(worths) {
            if worth.is_none() {
                let Candidate { name, numeric, .. } = &candidates[index];
                self.watch.note(&format!("{name} cannot be written in {numeric:?} and is left out"));
            } else {
                kept.push(index);
            }
            candidates[index].worth = worth;
        }
        let points: Vec<(f64, [f64; 2])> = kept.iter().map(|&index| point(&candidates[index])).collect();
        for (&index, pareto) in kept.iter().zip(front(&points)) {
            candidates[index].pareto = pareto;
        }
        let steps = |index: usize| {
            let proxy = candidates[index].worth.map_or(f64::NEG_INFINITY, |worth| worth.proxy);
            (proxy / RESOLUTION).round() as i64
        };
        kept.sort_by_key(|&index| (Reverse(steps(index)), candidates[index].cost.image_bytes, index));
        let finalists: Vec<Finalist> = kept
            .into_iter()
            .filter_map(|index| {
                let members = members(architecture(index), bank)?;
                let quoted = quoted(&members);
                let configs = self.space.members(architecture(index));
                let members = configs.zip(members).map(|(config, e)| found(config, &e.trained)).collect();
                Some(Finalist { candidate: index, experts: Experts { members, quoted } })
            })
            .collect();
        if finalists.is_empty() {
            let reason = bank.values().find_map(|outcome| outcome.as_ref().err().cloned());
            let text = reason.unwrap_or_else(|| "no candidate could be written".to_owned());
            return Err(export::ExportError::Flow(text).into());
        }
        Ok(finalists)
    }

    /// What experts are worth in some numbers; `None` if they cannot be written so.
    fn in_numbers(&self, members: &[&Expert], numeric: Numeric, proxy: &Proxy) -> Option<Worth> {
        let data = self.request.data;
        let flows: Vec<_> = members.iter().map(|e| e.trained.flow.clone()).collect();
        let image = Ensemble { quoted: quoted(members), ..ensemble(flows) };
        let blank = Metadata {
            features: vec![(String::new(), String::new()); members[0].trained.flow.features],
            contexts: vec![(String::new(), String::new()); members[0].trained.flow.contexts],
            ..Metadata::default()
        };
        // Scores do not depend on them: as few as will do.
        let readings = data.values.get(..MIN_READINGS * data.columns)?;
        let calibration = Calibration { readings, false_alarm_rate: 0.5 };
        let image = export::build_observing(&image, numeric, &blank, calibration, &data.values).ok()?;
        let scores = export::scores(&image, &proxy.rows).ok()?;
        Some(proxy.worth(&scores.iter().map(|score| f64::from(score.score)).collect::<Vec<_>>()))
    }
}

/// A candidate as the front sees it.
fn point(candidate: &Candidate) -> (f64, [f64; 2]) {
    let quality = candidate.worth.map_or(f64::NEG_INFINITY, |worth| worth.proxy);
    (quality, [candidate.cost.image_bytes as f64, candidate.cost.instructions as f64])
}

/// The architectures that go up from a rung: the best ones, and the best of the Pareto front.
fn survivors(fitting: &[Priced], candidates: &[Candidate], rung: usize) -> BTreeSet<usize> {
    let judged: Vec<usize> = (0..candidates.len())
        .filter(|&index| candidates[index].rung == rung && candidates[index].worth.is_some())
        .collect();
    let proxy = |index: usize| point(&candidates[index]).0;
    let by_proxy = |order: &mut Vec<usize>| {
        order.sort_by(|&a, &b| proxy(b).total_cmp(&proxy(a)).then(a.cmp(&b)));
    };
    let architectures: BTreeSet<usize> = judged.iter().map(|&index| fitting[index].architecture).collect();
    let room = architectures.len().div_ceil(KEPT).max(FEWEST);
    let mut best = judged.clone();
    by_proxy(&mut best);
    let mut kept = BTreeSet::new();
    for index in best {
        if kept.len() == room {
            break;
        }
        kept.insert(fitting[index].architecture);
    }
    let points: Vec<_> = judged.iter().map(|&index| point(&candidates[index])).collect();
    let flags = front(&points);
    let mut of_front: Vec<usize> =
        judged.iter().zip(flags).filter(|(_, is_front)| *is_front).map(|(&index, _)| index).collect();
    by_proxy(&mut of_front);
    // Evenly over the front: its best are kept already.
    let step = of_front.len().div_ceil(OF_FRONT).max(1);
    kept.extend(of_front.iter().step_by(step).map(|&index| fitting[index].architecture));
    kept
}

/// The experts of an architecture, if all could be trained.
fn members<'b>(architecture: &[usize], bank: &'b Bank) -> Option<Vec<&'b Expert>> {
    architecture.iter().map(|expert| bank.get(expert)?.as_ref().ok()).collect()
}

/// The likeliest of them: of equals the first.
fn quoted(members: &[&Expert]) -> usize {
    let merit = |index: usize| members[index].trained.val_nll_trimmed;
    (1..members.len()).fold(0, |best, index| if merit(index) < merit(best) { index } else { best })
}

/// Minus the least of the experts' log-densities, row by row.
fn suspicion(architecture: &[usize], bank: &Bank) -> Option<Vec<f64>> {
    let members = members(architecture, bank)?;
    let least = |row: usize| members.iter().map(|e| e.log_probs[row]).fold(f32::MAX, f32::min);
    Some((0..members[0].log_probs.len()).map(|row| -f64::from(least(row))).collect())
}

/// A trained expert as a search of one candidate gives it.
fn found(config: &TrainConfig, trained: &Trained) -> Search {
    let outcome = Outcome {
        val_nll_trimmed: trained.val_nll_trimmed,
        parameters: trained.flow.parameters(),
        seconds: trained.seconds,
    };
    let trial = Trial { config: config.clone(), outcome: Ok(outcome) };
    Search { trained: trained.clone(), chosen: 0, candidates: vec![trial] }
}
