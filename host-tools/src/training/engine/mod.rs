//! The tile engine: hand-derived reverse mode for a whole flow, sixty-four samples at a time.
//!
//! Samples lie side by side in vector registers, so every loop over a layer's weights serves a whole tile,
//! and what the backward pass needs stays in the nearest caches. Gradients of tiles are added in the
//! order of the tiles whatever the number of threads, so results do not depend on it, bit for bit.

mod coupling;
mod kernels;
mod lanes;
mod matrix;
mod mlp;
mod permutation;
mod soft_tail;
#[cfg(test)]
mod tests;
mod transform;

pub(crate) use coupling::TileAffine;
pub(crate) use kernels::{split_mix, AdamStep, Kernels, TILE};
pub(crate) use lanes::Line;
pub(crate) use permutation::TilePermutation;
pub(crate) use soft_tail::TileSoftTail;
pub(crate) use transform::TileTransform;

use crate::flow;
use crate::training::random::Random;
use kernels::PANELS;
use lanes::LINE;
use rayon::prelude::*;

/// A chain of trainable transforms and a standard normal base, on tiles.
pub(crate) struct Engine {
    features: usize,
    transforms: Vec<Box<dyn TileTransform>>,
    kernels: Box<dyn Kernels>,
}

/// Memory of one tile: made once, used for every batch.
pub(crate) struct Workspace {
    values: Vec<Line>,
    kept: Vec<Line>,
    scratch: Vec<Line>,
}

/// Memory of a batch: one workspace and one gradient per tile that may run at the same time.
pub(crate) struct Batch {
    tiles: Vec<(Workspace, Vec<Line>, f64)>,
}

/// Rows of one batch and what to add to them.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a> {
    /// The preprocessed data, row by row, from [`padded`].
    pub(crate) data: &'a [Line],
    /// Indices of the rows.
    pub(crate) rows: &'a [usize],
    /// Standard deviation of the input noise.
    pub(crate) noise: f32,
    /// Seed of the noise.
    pub(crate) seed: u64,
}

impl Engine {
    /// A chain over `features` inputs with the widest lanes of this processor.
    pub(crate) fn new(features: usize, transforms: Vec<Box<dyn TileTransform>>) -> Self {
        Self::with_kernels(features, transforms, kernels::best())
    }

    /// The same on given kernels.
    fn with_kernels(
        features: usize,
        transforms: Vec<Box<dyn TileTransform>>,
        kernels: Box<dyn Kernels>,
    ) -> Self {
        Self { features, transforms, kernels }
    }

    /// The kernels in use.
    pub(crate) fn kernels(&self) -> &dyn Kernels {
        self.kernels.as_ref()
    }

    /// Lines of parameters of the whole chain.
    pub(crate) fn parameters(&self) -> usize {
        self.transforms.iter().map(|t| t.parameters()).sum()
    }

    /// Fresh parameters.
    pub(crate) fn initialize(&self, random: &mut Random) -> Vec<Line> {
        let mut parameters = vec![Line::ZERO; self.parameters()];
        let mut rest = parameters.as_mut_slice();
        for t in &self.transforms {
            let (own, tail) = rest.split_at_mut(t.parameters());
            t.initialize(own, random);
            rest = tail;
        }
        parameters
    }

    /// The chain with these parameters.
    pub(crate) fn export(&self, parameters: &[Line]) -> Vec<flow::Transform> {
        let mut rest = parameters;
        self.transforms
            .iter()
            .map(|t| {
                let (own, tail) = rest.split_at(t.parameters());
                rest = tail;
                t.export(own)
            })
            .collect()
    }

    /// Memory for one tile.
    pub(crate) fn workspace(&self) -> Workspace {
        let kept = self.transforms.iter().map(|t| t.kept()).sum();
        let scratch = self.transforms.iter().map(|t| t.scratch()).max().unwrap_or(0);
        Workspace {
            values: vec![Line::ZERO; PANELS * self.features],
            kept: vec![Line::ZERO; kept],
            scratch: vec![Line::ZERO; scratch],
        }
    }

    /// Memory for batches of up to `rows` rows, with `threads` threads.
    pub(crate) fn batch(&self, rows: usize, threads: usize) -> Batch {
        let tiles = if threads > 1 { rows.div_ceil(TILE).max(1) } else { 1 };
        let tile = || (self.workspace(), vec![Line::ZERO; self.parameters()], 0.0);
        Batch { tiles: std::iter::repeat_with(tile).take(tiles).collect() }
    }

    /// Mean negative log-likelihood of the batch in nats and, in `gradient`, its gradient.
    pub(crate) fn gradient(
        &self,
        parameters: &[Line],
        batch: &mut Batch,
        rows: Rows<'_>,
        gradient: &mut [Line],
    ) -> f64 {
        let weight = 1.0 / rows.rows.len() as f32;
        let tiles = rows.rows.chunks(TILE).enumerate();
        gradient.fill(Line::ZERO);
        let mut loss = 0.0;
        if let [(workspace, _, _)] = batch.tiles.as_mut_slice() {
            for (i, tile) in tiles {
                loss += self.tile(parameters, workspace, rows, (i, tile), weight, gradient);
            }
        } else {
            let tiles: Vec<_> = tiles.collect();
            batch.tiles.par_iter_mut().zip(tiles.par_iter()).for_each(|((workspace, own, loss), &tile)| {
                own.fill(Line::ZERO);
                *loss = self.tile(parameters, workspace, rows, tile, weight, own);
            });
            for (_, own, tile_loss) in &batch.tiles[..tiles.len()] {
                self.kernels.add(own, gradient);
                loss += tile_loss;
            }
        }
        loss / rows.rows.len() as f64
    }

    /// Forward and backward for one tile; returns the sum of its negative log-likelihoods.
    fn tile(
        &self,
        parameters: &[Line],
        workspace: &mut Workspace,
        rows: Rows<'_>,
        (index, tile): (usize, &[usize]),
        weight: f32,
        gradient: &mut [Line],
    ) -> f64 {
        let k = self.kernels.as_ref();
        k.gather(rows.data, self.features, tile, &mut workspace.values);
        if rows.noise > 0.0 {
            k.noise(&mut workspace.values, rows.noise, split_mix(rows.seed ^ ((index as u64) << 48)));
        }
        let log_det = self.forward(parameters, workspace);
        let Workspace { values, kept, scratch } = workspace;
        let mut loss = 0.0;
        let mut weights = [Line::ZERO; PANELS];
        for (p, values) in values.chunks_exact_mut(self.features).enumerate() {
            let live = tile.len().saturating_sub(p * LINE).min(LINE);
            weights[p].0[..live].fill(weight);
            let half = k.base(values, &weights[p]);
            for i in 0..live {
                loss += f64::from(half.0[i]) - f64::from(log_det[p].0[i]);
            }
        }
        let mut parameters_end = parameters.len();
        let mut kept_end = kept.len();
        for t in self.transforms.iter().rev() {
            let own = parameters_end - t.parameters()..parameters_end;
            let kept_own = kept_end - t.kept()..kept_end;
            parameters_end = own.start;
            kept_end = kept_own.start;
            t.backward(
                k,
                &parameters[own.clone()],
                &mut gradient[own],
                values,
                &weights,
                &mut kept[kept_own],
                scratch,
            );
        }
        loss + tile.len() as f64 * half_log_two_pi(self.features)
    }

    fn forward(&self, parameters: &[Line], workspace: &mut Workspace) -> [Line; PANELS] {
        let Workspace { values, kept, .. } = workspace;
        let mut log_det = [Line::ZERO; PANELS];
        let (mut rest, mut kept) = (parameters, kept.as_mut_slice());
        for t in &self.transforms {
            let (own, tail) = rest.split_at(t.parameters());
            let (kept_own, kept_tail) = kept.split_at_mut(t.kept());
            t.forward(self.kernels.as_ref(), own, values, &mut log_det, kept_own);
            (rest, kept) = (tail, kept_tail);
        }
        log_det
    }

    /// Log-densities in nats of the given rows of preprocessed data, in their order.
    pub(crate) fn log_prob(
        &self,
        parameters: &[Line],
        workspace: &mut Workspace,
        data: &[Line],
        rows: &[usize],
    ) -> Vec<f64> {
        let mut out = Vec::with_capacity(rows.len());
        for tile in rows.chunks(TILE) {
            self.kernels.gather(data, self.features, tile, &mut workspace.values);
            let log_det = self.forward(parameters, workspace);
            for (p, values) in workspace.values.chunks_exact_mut(self.features).enumerate() {
                let half = self.kernels.base(values, &Line::ZERO);
                let live = tile.len().saturating_sub(p * LINE).min(LINE);
                for i in 0..live {
                    let z = f64::from(log_det[p].0[i]) - f64::from(half.0[i]);
                    out.push(z - half_log_two_pi(self.features));
                }
            }
        }
        out
    }
}

/// Row-major values as the engine reads them: every row padded to whole lines.
pub(crate) fn padded(values: &[f32], features: usize) -> Vec<Line> {
    let pad = |part: &[f32]| {
        let mut line = Line::ZERO;
        line.0[..part.len()].copy_from_slice(part);
        line
    };
    values.chunks_exact(features).flat_map(|row| row.chunks(LINE).map(pad)).collect()
}

/// Minus the log of the standard normal's density at zero, in nats.
fn half_log_two_pi(features: usize) -> f64 {
    0.5 * features as f64 * (2.0 * std::f64::consts::PI).ln()
}
