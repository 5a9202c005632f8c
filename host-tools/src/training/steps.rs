//! The steps of an epoch, on one thread or on several in step with one another.
//!
//! Every thread has a copy of the parameters, some of a batch's tiles and a part of the parameters. In a step it goes
//! through its tiles, waits, adds the gradients of all tiles for its part, waits, takes the optimizer's step there,
//! waits, and copies the other parts. Tiles and blocks are added in their order, so results do not depend on the number
//! of threads, bit for bit.

use super::barrier::Barrier;
use super::engine::{Engine, Line, Rows, Workspace, TILE};
use super::optimizer::{Clipping, Moments, Optimizer};
use std::ops::Range;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Tiles whose gradients are added first: on one thread they share memory. A sum of all tiles one by one would have the
/// second of two threads keep, and the first one fetch, twice as much.
const GROUP: usize = 2;
/// Lines of parameters whose squares are summed before they go to the gradient's norm; parts are whole blocks.
const BLOCK: usize = 32;

/// What all steps of an epoch have in common.
#[derive(Clone, Copy)]
pub(super) struct Steps<'a> {
    pub(super) engine: &'a Engine,
    /// The preprocessed data, and the indices of the rows in the epoch's order.
    pub(super) data: &'a [Line],
    pub(super) rows: &'a [usize],
    /// Rows per step.
    pub(super) batch: usize,
    /// Width of the uniform noise that makes integers continuous; 0 for none.
    pub(super) width: f32,
    pub(super) clipping: Clipping,
    /// Settings of the epoch's steps, from 0.
    pub(super) schedule: &'a (dyn Fn(usize) -> Setting + Sync),
}

/// What changes from step to step.
#[derive(Clone, Copy)]
pub(super) struct Setting {
    pub(super) lr: f32,
    /// Standard deviation and seed of the noise.
    pub(super) noise: f32,
    pub(super) seed: u64,
}

/// Memory of the threads: made once, used for every epoch.
pub(super) struct Memory {
    own: Vec<Own>,
    shared: Vec<Shared>,
}

/// A thread's own.
struct Own {
    workspace: Workspace,
    parameters: Vec<Line>,
    /// Of its part.
    gradient: Vec<Line>,
}

/// What one thread writes and the others read, on cache lines of its own (two at a time: processors fetch pairs).
#[repr(align(128))]
struct Shared {
    tiles: RwLock<Tiles>,
    part: RwLock<Part>,
}

/// Gradients of a thread's tiles, in their order, and the sums of their negative log-likelihoods.
struct Tiles {
    /// With the group of tiles that each belongs to.
    gradients: Vec<(usize, Vec<Line>)>,
    losses: Vec<f64>,
    /// Gradients in use.
    live: usize,
}

/// What a thread found for its part of the parameters.
struct Part {
    /// Sum of the gradient's squares per block.
    squares: Vec<f64>,
    parameters: Vec<Line>,
}

/// What one thread does of `count` things: the earlier threads no less than the later ones.
fn share(count: usize, thread: usize, threads: usize) -> Range<usize> {
    (thread * count).div_ceil(threads)..((thread + 1) * count).div_ceil(threads)
}

/// The lines of the parameters that are a thread's.
fn part(lines: usize, thread: usize, threads: usize) -> Range<usize> {
    let Range { start, end } = share(lines.div_ceil(BLOCK), thread, threads);
    (start * BLOCK).min(lines)..(end * BLOCK).min(lines)
}

// A thread that panicked while it wrote ends the training with its panic: nobody reads on.
fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

impl Memory {
    /// For batches of up to `rows` rows and so many threads.
    pub(super) fn new(engine: &Engine, rows: usize, threads: usize) -> Self {
        let lines = engine.parameters();
        let own = |thread| Own {
            workspace: engine.workspace(),
            parameters: vec![Line::ZERO; lines],
            gradient: vec![Line::ZERO; part(lines, thread, threads).len()],
        };
        let shared = |thread| {
            // A batch of fewer tiles may cut them into as many groups, but not into more than there are tiles.
            let tiles = rows.div_ceil(TILE).div_ceil(threads);
            let gradients = if engine.adds_once() { tiles.min(tiles.div_ceil(GROUP) + 1) } else { tiles };
            let part = part(lines, thread, threads);
            Shared {
                tiles: RwLock::new(Tiles {
                    gradients: vec![(0, vec![Line::ZERO; lines]); gradients],
                    losses: Vec::with_capacity(tiles),
                    live: 0,
                }),
                part: RwLock::new(Part {
                    squares: Vec::with_capacity(part.len().div_ceil(BLOCK)),
                    parameters: vec![Line::ZERO; part.len()],
                }),
            }
        };
        Self { own: (0..threads).map(own).collect(), shared: (0..threads).map(shared).collect() }
    }
}

impl Steps<'_> {
    /// Takes the steps, on as many threads as the memory is for; `told` hears of each: its number, from 0, and the
    /// batch's mean negative log-likelihood in nats. False if an infinity or a NaN stopped it before the end.
    pub(super) fn run(
        self,
        memory: &mut Memory,
        optimizer: &mut Optimizer,
        parameters: &mut Vec<Line>,
        mut told: impl FnMut(usize, f64),
    ) -> bool {
        let threads = memory.own.len();
        let barrier = Barrier::new(threads);
        let shared = memory.shared.as_slice();
        for own in &mut memory.own {
            own.parameters.clone_from(parameters);
        }
        let parts = (0..threads).map(|thread| part(parameters.len(), thread, threads));
        let mut moments = optimizer.parts(parts);
        let mut own = memory.own.iter_mut().zip(&mut moments).enumerate();
        let Some((_, (leader, leaders))) = own.next() else { return true };
        let healthy = if threads == 1 {
            self.work(0, leader, leaders, shared, &barrier, &mut told)
        } else {
            // One task for each other thread of the pool: nobody takes two, since none ends before the others.
            rayon::in_place_scope(|scope| {
                for (thread, (own, moments)) in own {
                    let barrier = &barrier;
                    scope.spawn(move |_| {
                        self.work(thread, own, moments, shared, barrier, &mut |_, _| ());
                    });
                }
                self.work(0, leader, leaders, shared, &barrier, &mut told)
            })
        };
        let steps = leaders.steps();
        parameters.clone_from(&leader.parameters);
        optimizer.set_steps(steps);
        healthy
    }

    /// One thread's share.
    fn work(
        self,
        thread: usize,
        own: &mut Own,
        moments: &mut Moments<'_>,
        shared: &[Shared],
        barrier: &Barrier,
        told: &mut dyn FnMut(usize, f64),
    ) -> bool {
        let (engine, kernels) = (self.engine, self.engine.kernels());
        let threads = shared.len();
        let mut member = barrier.member();
        let lines = own.parameters.len();
        let mine = part(lines, thread, threads);
        for (step, rows) in self.rows.chunks(self.batch).enumerate() {
            let Setting { lr, noise, seed } = (self.schedule)(step);
            let batch = Rows { data: self.data, rows, noise, step: self.width, seed };
            self.tiles(thread, threads, own, batch, &mut write(&shared[thread].tiles));
            member.wait();

            let tiles: Vec<_> = shared.iter().map(|shared| read(&shared.tiles)).collect();
            let loss: f64 = tiles.iter().flat_map(|tiles| &tiles.losses).sum();
            self.sum(&tiles, &mine, &mut own.gradient, &mut write(&shared[thread].part).squares);
            drop(tiles);
            member.wait();

            let add =
                |sum, shared: &Shared| read(&shared.part).squares.iter().fold(sum, |sum, block| sum + block);
            let norm = shared.iter().fold(0.0_f64, add).sqrt();
            let nll = loss / rows.len() as f64;
            if !nll.is_finite() || !norm.is_finite() {
                // All threads find the same.
                return false;
            }
            moments.step(
                kernels,
                lr,
                (self.clipping, norm),
                &own.gradient,
                &mut own.parameters[mine.clone()],
            );
            if threads > 1 {
                write(&shared[thread].part).parameters.copy_from_slice(&own.parameters[mine.clone()]);
                member.wait();
                for (other, shared) in shared.iter().enumerate().filter(|(other, _)| *other != thread) {
                    own.parameters[part(lines, other, threads)]
                        .copy_from_slice(&read(&shared.part).parameters);
                }
            }
            engine.project(&mut own.parameters);
            told(step, nll);
        }
        true
    }

    /// Forward and backward through a thread's tiles of a batch.
    fn tiles(&self, thread: usize, threads: usize, own: &mut Own, batch: Rows<'_>, to: &mut Tiles) {
        let Own { workspace, parameters, .. } = own;
        let Tiles { gradients, losses, live } = to;
        losses.clear();
        *live = 0;
        for index in share(batch.rows.len().div_ceil(TILE), thread, threads) {
            let group = index / GROUP;
            if *live == 0 || gradients[*live - 1].0 != group || !self.engine.adds_once() {
                gradients[*live].0 = group;
                gradients[*live].1.fill(Line::ZERO);
                *live += 1;
            }
            let gradient = &mut gradients[*live - 1].1;
            losses.push(self.engine.tile(parameters, workspace, batch, index, gradient));
        }
    }

    /// Adds the gradients of all tiles for a thread's part.
    fn sum(
        &self,
        tiles: &[RwLockReadGuard<'_, Tiles>],
        mine: &Range<usize>,
        gradient: &mut [Line],
        squares: &mut Vec<f64>,
    ) {
        let kernels = self.engine.kernels();
        let gradients: Vec<_> = tiles.iter().flat_map(|tiles| &tiles.gradients[..tiles.live]).collect();
        squares.clear();
        for (at, sum) in mine.clone().step_by(BLOCK).zip(gradient.chunks_mut(BLOCK)) {
            sum.fill(Line::ZERO);
            for group in gradients.chunk_by(|(a, _), (b, _)| a == b) {
                if let [(_, lines)] = group {
                    kernels.add(&lines[at..at + sum.len()], sum);
                } else {
                    let mut partial = [Line::ZERO; BLOCK];
                    for (_, lines) in group {
                        kernels.add(&lines[at..at + sum.len()], &mut partial);
                    }
                    kernels.add(&partial, sum);
                }
            }
            squares.push(kernels.sum_of_squares(sum));
        }
    }
}
