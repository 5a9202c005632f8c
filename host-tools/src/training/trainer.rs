//! The training loop.

use super::engine::{split_mix, Batch, Engine, Line, Rows, TILE};
use super::optimizer::{cosine, one_cycle, Optimizer};
use super::preprocess::{preprocess, Preprocessed};
use super::random::Random;
use super::structure::Structure;
use super::subset::{split, trusted};
use super::{Epoch, Matrix, Plan, Progress, TrainConfig, TrainError};
use crate::flow::Flow;
use rayon::prelude::*;
use std::time::{Duration, Instant};

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
/// number of threads.
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
    if threads == 1 {
        return Trainer::new(data, config, threads)?.run(progress);
    }
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .map_err(|e| TrainError::Threads { threads, reason: e.to_string() })?;
    let mut trainer = Trainer::new(data, config, threads)?;
    trainer.pool = Some(pool);
    trainer.run(progress)
}

/// All that the loop holds.
struct Trainer<'a> {
    config: &'a TrainConfig,
    threads: usize,
    pool: Option<rayon::ThreadPool>,
    engine: Engine,
    front: Preprocessed,
    /// All that is not held out.
    fit: Vec<usize>,
    /// What is trained on of it: all, unless rows may be anomalous.
    trusted: Vec<usize>,
    held_out: Vec<usize>,
}

/// The weights that would be kept, and their merit.
struct Best {
    epoch: usize,
    score: f64,
    parameters: Vec<Line>,
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
        chain.extend(structure.chain(&mut Random::new(config.seed, purpose::STRUCTURE))?);
        let inputs = (features, config.contexts);
        let engine = Engine::new(inputs, chain, structure.base()?).noise_behind(fixed);
        Ok(Self { config, threads, pool: None, engine, front, fit, trusted, held_out })
    }

    /// Parameters before the first step: of the base what suits the trusted rows.
    fn start(&self) -> Vec<Line> {
        let mut random = Random::new(self.config.seed, purpose::WEIGHTS);
        let mut parameters = self.engine.initialize(&mut random);
        self.engine.fit(&mut parameters, &self.front.values, &self.trusted, &mut random);
        parameters
    }

    fn run(mut self, progress: &mut dyn Progress) -> Result<Trained, TrainError> {
        let started = Instant::now();
        let config = self.config;
        let epochs = config.epochs_for(self.trusted.len());
        let mut parameters = self.start();
        let flow = self.flow(&parameters);
        let batches = self.trusted.len().div_ceil(config.batch);
        let lanes = self.engine.kernels().name();
        progress.start(&Plan {
            rows: self.trusted.len(),
            held_out: self.held_out.len(),
            features: flow.features,
            parameters: flow.parameters(),
            epochs,
            batches,
            threads: self.threads,
            lanes,
        });
        let mut memory = self.engine.batch(config.batch.min(self.trusted.len()), self.threads);
        let mut gradient = vec![Line::ZERO; parameters.len()];
        let mut optimizer = Optimizer::new(&parameters, config.average);
        let mut order = Random::new(config.seed, purpose::ORDER);
        let mut best = Best { epoch: 0, score: f64::INFINITY, parameters: parameters.clone() };
        if epochs == 0 {
            best.score = self.evaluate(&parameters).1;
        }
        let mut history: Vec<Epoch> = Vec::new();
        let (mut restarts, mut factor) = (0, 1.0_f32);
        let mut stepping = Duration::ZERO;
        let mut stepped = 0;
        for number in 1..=epochs {
            let epoch_started = Instant::now();
            let mut rows = std::mem::take(&mut self.trusted);
            order.shuffle(&mut rows);
            let mut loss = 0.0;
            let mut lr = 0.0;
            let mut healthy = true;
            for (i, batch) in rows.chunks(config.batch).enumerate() {
                let step = (number - 1) * batches + i;
                let done = step as f64 / (epochs * batches) as f64;
                lr = config.lr * factor * one_cycle(done) as f32;
                let floor = f64::from(config.noise_floor);
                let noise = config.noise * (floor + (1.0 - floor) * cosine(done)) as f32;
                let seed = split_mix(config.seed ^ split_mix(purpose::NOISE ^ ((step as u64) << 8)));
                let step = self.front.bounded.as_ref().map_or(0.0, |b| b.step);
                let rows = Rows { data: &self.front.values, rows: batch, noise, step, seed };
                let nll = self.gradient(&parameters, &mut memory, rows, &mut gradient);
                let tail = mean(batch.iter().map(|&r| self.front.log_det[r]));
                let bounds = (config.weight_decay, config.grad_norm);
                let norm = optimizer.step(self.engine.kernels(), lr, bounds, &gradient, &mut parameters);
                self.engine.project(&mut parameters);
                healthy = nll.is_finite() && norm.is_finite();
                if !healthy {
                    break;
                }
                loss += (nll - tail) * batch.len() as f64;
                progress.batch(number, i + 1, nll - tail);
            }
            let count = rows.len();
            self.trusted = rows;
            stepping += epoch_started.elapsed();
            stepped += count;
            let smooth = optimizer.smooth(&parameters);
            let (val_nll, val_nll_trimmed) = self.evaluate(smooth);
            let epoch = Epoch {
                number,
                train_nll: loss / count as f64,
                val_nll,
                val_nll_trimmed,
                lr,
                duration: epoch_started.elapsed(),
            };
            let usable = healthy && smooth.iter().flat_map(|l| &l.0).all(|v| v.is_finite());
            let bound = 1e3 + best.score.min(1e6);
            let wild = !self.held_out.is_empty() && (val_nll_trimmed.is_nan() || val_nll_trimmed > bound);
            if !usable || wild {
                restarts += 1;
                if restarts > MAX_RESTARTS {
                    return Err(TrainError::Diverged { restarts: MAX_RESTARTS, lr: config.lr * factor });
                }
                factor *= 0.5;
                parameters.clone_from(&best.parameters);
                optimizer = Optimizer::new(&parameters, config.average);
                let lr = config.lr * factor;
                progress.note(&format!("epoch {number} diverged: back to the best, learning rate {lr:e}"));
                continue;
            }
            let better = self.held_out.is_empty() || val_nll_trimmed < best.score;
            if better {
                best.epoch = number;
                best.score = val_nll_trimmed;
                best.parameters.copy_from_slice(smooth);
                self.engine.project(&mut best.parameters);
            }
            if config.contamination > 0.0 {
                self.trusted = trusted(&self.fit, &self.losses(smooth, &self.fit), config.contamination);
            }
            progress.epoch(&epoch, better);
            history.push(epoch);
            if config.patience.is_some_and(|p| number - best.epoch >= p) {
                break;
            }
        }
        let judged = if self.held_out.is_empty() { &self.trusted } else { &self.held_out };
        let val_nll_standardized = mean(self.losses(&best.parameters, judged).into_iter());
        if (best.epoch == 0 && epochs > 0) || !val_nll_standardized.is_finite() {
            return Err(TrainError::Diverged { restarts, lr: config.lr * factor });
        }
        Ok(Trained {
            flow: self.flow(&best.parameters),
            best_epoch: best.epoch,
            epochs: history.last().map_or(0, |e| e.number),
            history,
            seconds: started.elapsed().as_secs_f64(),
            samples_per_second: stepped as f64 / stepping.as_secs_f64().max(1e-9),
            val_nll: val_nll_standardized + self.front.sum_log_std,
            val_nll_standardized,
            val_nll_trimmed: best.score,
            holdout_rows: self.held_out,
            constant_columns: self.front.constant,
            restarts,
            lanes,
        })
    }

    fn gradient(
        &self,
        parameters: &[Line],
        memory: &mut Batch,
        rows: Rows<'_>,
        gradient: &mut [Line],
    ) -> f64 {
        match &self.pool {
            None => self.engine.gradient(parameters, memory, rows, gradient),
            Some(pool) => pool.install(|| self.engine.gradient(parameters, memory, rows, gradient)),
        }
    }

    /// Negative log-likelihoods of rows, standardized nats.
    fn losses(&self, parameters: &[Line], rows: &[usize]) -> Vec<f64> {
        let part = |rows: &[usize]| {
            let mut workspace = self.engine.workspace();
            let values = self.engine.log_prob(parameters, &mut workspace, &self.front.values, rows);
            let tails = rows.iter().map(|&r| self.front.log_det[r]);
            values.into_iter().zip(tails).map(|(v, tail)| -v - tail).collect::<Vec<_>>()
        };
        match &self.pool {
            None => part(rows),
            Some(pool) => pool.install(|| rows.par_chunks(16 * TILE).flat_map_iter(part).collect()),
        }
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
