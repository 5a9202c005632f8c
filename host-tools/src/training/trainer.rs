//! The training loop.

use super::course::{run_number, Course};
use super::engine::{split_mix, Engine, Line, TILE};
use super::optimizer::{cosine, one_cycle, Clipping, Optimizer};
use super::preprocess::{preprocess, Preprocessed};
use super::random::Random;
use super::steps::{Memory, Setting, Steps};
use super::structure::Structure;
use super::subset::{split, trusted};
use super::{Epoch, Matrix, Plan, Progress, TrainConfig, TrainError};
use crate::flow::Flow;
use rayon::prelude::*;
use std::time::Instant;

/// A trained flow and how it came about.
#[derive(Clone, Debug)]
pub struct Trained {
    /// Standardize, soft tail, couplings with fixed permutations between them, soft tail.
    pub flow: Flow,
    /// The epochs in order; those that diverged are left out.
    pub history: Vec<Epoch>,
    /// Number of the epoch whose weights were kept; 0 if there was none to run.
    pub best_epoch: usize,
    /// Epochs run.
    pub epochs: usize,
    /// Time of the whole training in seconds.
    pub seconds: f64,
    /// Rows per second through forward, backward and optimizer, all threads together; evaluation of the
    /// held-out rows not counted.
    pub samples_per_second: f64,
    /// Mean negative log-likelihood of the held-out rows, nats, in the user's units; of the training rows if
    /// none were held out.
    pub val_nll: f64,
    /// The same for standardized readings.
    pub val_nll_standardized: f64,
    /// The same without the least likely 2 %, by which the kept epoch was chosen; NaN if no rows were held out.
    pub val_nll_trimmed: f64,
    /// Indices of the rows held out, ascending.
    pub holdout_rows: Vec<usize>,
    /// Columns without variation: standardized with 1 instead of their standard deviation.
    pub constant_columns: Vec<usize>,
    /// How often training diverged and went on from its best epoch at half the learning rate.
    pub restarts: usize,
    /// Vector instructions that were used: `avx512`, `avx2` or `portable`.
    pub lanes: &'static str,
}

/// Share of the held-out rows, the least likely ones, that do not vote on the best epoch: one wild row must
/// not decide.
const TRIM: f64 = 0.02;
const MAX_RESTARTS: usize = 6;
/// How often the start of a training on contaminated rows is fitted anew to the rows that it trusts.
const ROBUST_ROUNDS: usize = 2;
const MIN_ROWS: usize = 8;

/// What the random generators are for.
mod purpose {
    pub(super) const SPLIT: u64 = 1;
    pub(super) const STRUCTURE: u64 = 2;
    pub(super) const WEIGHTS: u64 = 3;
    pub(super) const ORDER: u64 = 4;
    pub(super) const NOISE: u64 = 5;
}

/// Fits a flow to normal readings by maximum likelihood.
///
/// Deterministic: the same data, settings and kind of processor give the same parameters bit for bit at any
/// number of threads, and whether or not it was interrupted and went on from a state that the watcher's
/// [`Keeper`](super::Keeper) has.
///
/// # Errors
/// [`TrainError`]: settings out of range, fewer than 2 features, too few rows, values that are not finite,
/// or divergence that lower learning rates did not cure.
///
/// ```
/// use flowlet_tools::training::{train, Matrix, TrainConfig};
/// let values = (0..400_u16).flat_map(|i| { let t = f32::from(i) * 0.1; [t.sin(), t.cos() * 5.0] }).collect();
/// let config = TrainConfig { epochs: Some(3), layers: 2, hidden: vec![8], ..TrainConfig::default() };
/// let trained = train(&Matrix::new(400, 2, values)?, &config, &mut ())?;
/// assert!(trained.val_nll.is_finite());
/// # Ok::<(), flowlet_tools::training::TrainError>(())
/// ```
pub fn train(
    data: &Matrix,
    config: &TrainConfig,
    progress: &mut dyn Progress,
) -> Result<Trained, TrainError> {
    config.check()?;
    data.check_shape()?;
    let features = data.columns.saturating_sub(config.contexts);
    if features < 2 {
        return Err(TrainError::TooFewFeatures(features));
    }
    if data.rows < MIN_ROWS {
        return Err(TrainError::TooFewRows { rows: data.rows, needed: MIN_ROWS });
    }
    let threads = match config.threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        n => n,
    };
    // More threads than tiles in a batch would only wait.
    let threads = threads.min(config.batch.min(data.rows).div_ceil(TILE)).max(1);
    let mut run = || {
        let mut trainer = Trainer::new(data, config, threads)?;
        if progress.keeper().is_some() {
            trainer.run = Some(run_number(data, config, trainer.engine.kernels().name()));
        }
        trainer.train(progress)
    };
    if threads == 1 {
        return run();
    }
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .map_err(|e| TrainError::Threads { threads, reason: e.to_string() })?;
    // All of it on one of the pool's threads: to hand over each batch from outside would cost as much as it gains.
    pool.install(run)
}

/// The rows that [`train`] fits a flow to with these settings, of so many: those that are neither held out nor left out
/// between the two; ascending. With contamination, it trusts only some of them.
#[must_use]
pub fn fitted_rows(rows: usize, config: &TrainConfig) -> Vec<usize> {
    split(rows, config, Random::new(config.seed, purpose::SPLIT)).0
}

/// All that the loop holds.
struct Trainer<'a> {
    config: &'a TrainConfig,
    /// More than one only within a pool of so many.
    threads: usize,
    engine: Engine,
    front: Preprocessed,
    /// All that is not held out.
    fit: Vec<usize>,
    /// What is trained on of it: all, unless rows may be anomalous.
    trusted: Vec<usize>,
    held_out: Vec<usize>,
    /// Number of this run, if states of it are kept.
    run: Option<u64>,
}

impl<'a> Trainer<'a> {
    fn new(data: &Matrix, config: &'a TrainConfig, threads: usize) -> Result<Self, TrainError> {
        let (fit, held_out) = split(data.rows, config, Random::new(config.seed, purpose::SPLIT));
        let mut trainer = Self::around(data, config, threads, (fit.clone(), fit, held_out))?;
        if config.contamination > 0.0 {
            // Anomalies bend the front and the base as well: each round is fitted on what the one before trusts.
            for _ in 0..ROBUST_ROUNDS {
                let losses = trainer.losses(&trainer.start(), &trainer.fit);
                let kept = trusted(&trainer.fit, &losses, config.contamination);
                let Trainer { fit, held_out, .. } = trainer;
                trainer = Self::around(data, config, threads, (fit, kept, held_out))?;
            }
        }
        Ok(trainer)
    }

    /// With the front fitted on the trusted ones of the rows to fit; the third part is held out.
    fn around(
        data: &Matrix,
        config: &'a TrainConfig,
        threads: usize,
        (fit, trusted, held_out): (Vec<usize>, Vec<usize>, Vec<usize>),
    ) -> Result<Self, TrainError> {
        let front = preprocess(data, &fit, &trusted, config)?;
        let features = data.columns - config.contexts;
        let structure = Structure { features, rows: trusted.len(), config };
        let mut chain = structure.bounded(front.bounded.as_ref());
        let fixed = chain.len();
        chain.extend(structure.chain(&mut Random::new(config.start_seed(), purpose::STRUCTURE))?);
        let inputs = (features, config.contexts);
        let engine = Engine::new(inputs, chain, structure.base()?).noise_behind(fixed);
        Ok(Self { config, threads, engine, front, fit, trusted, held_out, run: None })
    }

    /// Parameters before the first step: of the base what suits the trusted rows.
    fn start(&self) -> Vec<Line> {
        let mut random = Random::new(self.config.start_seed(), purpose::WEIGHTS);
        let mut parameters = self.engine.initialize(&mut random);
        self.engine.fit(&mut parameters, &self.front.values, &self.trusted, &mut random);
        parameters
    }

    fn train(mut self, progress: &mut dyn Progress) -> Result<Trained, TrainError> {
        let started = Instant::now();
        let config = self.config;
        let epochs = config.epochs_for(self.trusted.len());
        let parameters = self.start();
        let flow = self.flow(&parameters);
        let lanes = self.engine.kernels().name();
        progress.start(&Plan {
            rows: self.trusted.len(),
            held_out: self.held_out.len(),
            features: flow.features,
            parameters: flow.parameters(),
            epochs,
            batches: self.trusted.len().div_ceil(config.batch),
            threads: self.threads,
            lanes,
        });
        let mut memory = Memory::new(&self.engine, config.batch.min(self.trusted.len()), self.threads);
        let mut order = Random::new(config.start_seed(), purpose::ORDER);
        let mut course = match Course::find(self.run, parameters.len(), progress) {
            Some(found) => {
                progress.note(&format!("going on behind epoch {} of {epochs}", found.done));
                // The order of the rows is that of all shuffles so far, unless other rows came to be trusted.
                (0..found.done).for_each(|_| order.shuffle(&mut self.trusted));
                if let Some(rows) = &found.trusted {
                    self.trusted.clone_from(rows);
                }
                found
            }
            None => Course::new(parameters, config),
        };
        if epochs == 0 {
            course.best.score = self.evaluate(&course.parameters).1;
        }
        while course.done < epochs && !course.ended {
            order.shuffle(&mut self.trusted);
            self.epoch(&mut course, epochs, &mut memory, progress)?;
            course.ended |= course.done == epochs;
            course.trusted = (config.contamination > 0.0).then(|| self.trusted.clone());
            course.keep(self.run, started.elapsed(), progress);
        }
        let best = course.best;
        let judged = if self.held_out.is_empty() { &self.trusted } else { &self.held_out };
        let val_nll_standardized = mean(self.losses(&best.parameters, judged).into_iter());
        let restarts = course.restarts;
        if (best.epoch == 0 && epochs > 0) || !val_nll_standardized.is_finite() {
            return Err(TrainError::Diverged { restarts, lr: config.lr * course.factor });
        }
        Ok(Trained {
            flow: self.flow(&best.parameters),
            best_epoch: best.epoch,
            epochs: course.history.last().map_or(0, |e| e.number),
            history: course.history,
            seconds: (course.earlier + started.elapsed()).as_secs_f64(),
            samples_per_second: course.stepped as f64 / course.stepping.as_secs_f64().max(1e-9),
            val_nll: val_nll_standardized + self.front.sum_log_std,
            val_nll_standardized,
            val_nll_trimmed: best.score,
            holdout_rows: self.held_out,
            constant_columns: self.front.constant,
            restarts,
            lanes,
        })
    }

    /// One pass over the training rows in their present order, and the verdict of the held-out ones.
    fn epoch(
        &mut self,
        course: &mut Course,
        epochs: usize,
        memory: &mut Memory,
        progress: &mut dyn Progress,
    ) -> Result<(), TrainError> {
        let started = Instant::now();
        let config = self.config;
        let batches = self.trusted.len().div_ceil(config.batch);
        let number = course.done + 1;
        let (done, factor) = (course.done, course.factor);
        let setting = |batch: usize| {
            let step = done * batches + batch;
            let done = step as f64 / (epochs * batches) as f64;
            let floor = f64::from(config.noise_floor);
            Setting {
                lr: config.lr * factor * one_cycle(done) as f32,
                noise: config.noise * (floor + (1.0 - floor) * cosine(done)) as f32,
                seed: split_mix(config.start_seed() ^ split_mix(purpose::NOISE ^ ((step as u64) << 8))),
            }
        };
        let steps = Steps {
            engine: &self.engine,
            data: &self.front.values,
            rows: &self.trusted,
            batch: config.batch,
            width: self.front.bounded.as_ref().map_or(0.0, |b| b.step),
            clipping: Clipping { weight_decay: config.weight_decay, grad_norm: config.grad_norm },
            schedule: &setting,
        };
        let mut loss = 0.0;
        let healthy = steps.run(memory, &mut course.optimizer, &mut course.parameters, |batch, nll| {
            let first = batch * config.batch;
            let rows = &self.trusted[first..(first + config.batch).min(self.trusted.len())];
            let tail = mean(rows.iter().map(|&r| self.front.log_det[r]));
            loss += (nll - tail) * rows.len() as f64;
            progress.batch(number, batch + 1, nll - tail);
        });
        let lr = setting(batches - 1).lr;
        course.done = number;
        course.stepping += started.elapsed();
        course.stepped += self.trusted.len();
        let smooth = course.optimizer.smooth(&course.parameters);
        let (val_nll, val_nll_trimmed) = self.evaluate(smooth);
        let epoch = Epoch {
            number,
            train_nll: loss / self.trusted.len() as f64,
            val_nll,
            val_nll_trimmed,
            lr,
            duration: started.elapsed(),
        };
        let usable = healthy && smooth.iter().flat_map(|l| &l.0).all(|v| v.is_finite());
        let bound = 1e3 + course.best.score.min(1e6);
        let wild = !self.held_out.is_empty() && (val_nll_trimmed.is_nan() || val_nll_trimmed > bound);
        if !usable || wild {
            course.restarts += 1;
            if course.restarts > MAX_RESTARTS {
                return Err(TrainError::Diverged { restarts: MAX_RESTARTS, lr: config.lr * course.factor });
            }
            course.factor *= 0.5;
            course.parameters.clone_from(&course.best.parameters);
            course.optimizer = Optimizer::new(&course.parameters, config.average);
            let lr = config.lr * course.factor;
            progress.note(&format!("epoch {number} diverged: back to the best, learning rate {lr:e}"));
            return Ok(());
        }
        let better = self.held_out.is_empty() || val_nll_trimmed < course.best.score;
        if better {
            course.best.epoch = number;
            course.best.score = val_nll_trimmed;
            course.best.parameters.copy_from_slice(smooth);
            self.engine.project(&mut course.best.parameters);
        }
        if config.contamination > 0.0 {
            let smooth = course.optimizer.smooth(&course.parameters);
            self.trusted = trusted(&self.fit, &self.losses(smooth, &self.fit), config.contamination);
        }
        progress.epoch(&epoch, better);
        course.history.push(epoch);
        course.ended = config.patience.is_some_and(|p| number - course.best.epoch >= p);
        Ok(())
    }

    /// Negative log-likelihoods of rows, standardized nats.
    fn losses(&self, parameters: &[Line], rows: &[usize]) -> Vec<f64> {
        if rows.is_empty() {
            return Vec::new();
        }
        let part = |rows: &[usize]| {
            let mut workspace = self.engine.workspace();
            let values = self.engine.log_prob(parameters, &mut workspace, &self.front.values, rows);
            let tails = rows.iter().map(|&r| self.front.log_det[r]);
            values.into_iter().zip(tails).map(|(v, tail)| -v - tail).collect::<Vec<_>>()
        };
        if self.threads == 1 {
            return part(rows);
        }
        rows.par_chunks(16 * TILE).flat_map_iter(part).collect()
    }

    /// Mean and trimmed mean over the held-out rows; NaN if there are none.
    fn evaluate(&self, parameters: &[Line]) -> (f64, f64) {
        let mut losses = self.losses(parameters, &self.held_out);
        losses.sort_unstable_by(f64::total_cmp);
        let trim = TRIM + self.config.contamination;
        let kept = losses.len() - (losses.len() as f64 * trim) as usize;
        (mean(losses.iter().copied()), mean(losses[..kept].iter().copied()))
    }

    fn flow(&self, parameters: &[Line]) -> Flow {
        let mut transforms = self.front.transforms.clone();
        transforms.extend(self.engine.export(parameters));
        Flow {
            features: self.engine.features(),
            contexts: self.config.contexts,
            transforms,
            base: self.engine.export_base(parameters),
        }
    }
}

/// Mean; NaN of nothing.
fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let n = values.len() as f64;
    values.sum::<f64>() / n
}
