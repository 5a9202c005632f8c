//! The tile engine: hand-derived reverse mode for a whole flow, sixty-four samples at a time.
//!
//! Samples lie side by side in vector registers, so every loop over a layer's weights serves a whole tile,
//! and what the backward pass needs stays in the nearest caches. Gradients of tiles are added in the
//! order of the tiles whatever the number of threads, so results do not depend on it, bit for bit.

mod actnorm;
mod additive;
mod affine;
mod bases;
mod conditioner;
mod conv1d;
mod coupling;
mod kernels;
mod lanes;
mod layer;
mod linear;
#[cfg(test)]
mod linear_tests;
mod logit;
mod map;
mod marginal;
mod matrix;
mod mlp;
#[cfg(test)]
mod net_tests;
mod permutation;
mod residual;
mod soft_tail;
mod sparse;
mod spline;
mod split;
#[cfg(test)]
mod tests;
mod transform;

pub(crate) use actnorm::TileActNorm;
pub(crate) use additive::TileAdditive;
pub(crate) use affine::TileAffine;
pub(crate) use bases::{TileBase, TileMixture, TileStandardNormal, TileStudentT};
pub(crate) use conditioner::TileConditioner;
pub(crate) use conv1d::{ConvShape, TileConv1d};
pub(crate) use coupling::TileCoupling;
#[cfg(test)]
pub(crate) use kernels::best as best_kernels;
pub(crate) use kernels::{split_mix, AdamStep, Kernels, BLOCK, TILE};
pub(crate) use lanes::Line;
pub(crate) use linear::TileLinear;
pub(crate) use logit::TileLogit;
pub(crate) use map::TileMap;
pub(crate) use marginal::TileMarginal;
pub(crate) use mlp::TileMlp;
pub(crate) use permutation::TilePermutation;
pub(crate) use residual::TileResidual;
pub(crate) use soft_tail::TileSoftTail;
pub(crate) use spline::TileSpline;
pub(crate) use split::TileSplit;
pub(crate) use transform::TileTransform;

use crate::flow;
use crate::training::random::Random;
use kernels::PANELS;
use lanes::LINE;

/// A chain of trainable transforms and a base, on tiles.
///
/// A panel of a tile has a line per input: the features, then the context, which no transform changes.
pub(crate) struct Engine {
    features: usize,
    contexts: usize,
    transforms: Vec<Box<dyn TileTransform>>,
    base: Box<dyn TileBase>,
    kernels: Box<dyn Kernels>,
    /// The noise comes behind so many transforms.
    noise_behind: usize,
}

/// Memory of one tile: made once, used for every batch.
pub(crate) struct Workspace {
    values: Vec<Line>,
    kept: Vec<Line>,
    scratch: Vec<Line>,
    /// Of the base, which adds panel by panel: one sum per tile, whatever the number of threads.
    base_gradient: Vec<Line>,
}

/// Rows of one batch and what to add to them.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a> {
    /// The preprocessed data, row by row, from [`padded`].
    pub(crate) data: &'a [Line],
    /// Indices of the rows.
    pub(crate) rows: &'a [usize],
    /// Standard deviation of the noise.
    pub(crate) noise: f32,
    /// Width of the uniform noise in front of the chain that makes integers continuous; 0 for none.
    pub(crate) step: f32,
    /// Seed of the noise.
    pub(crate) seed: u64,
}

impl Engine {
    /// A chain over features and context inputs, with the widest lanes of this processor.
    pub(crate) fn new(
        inputs: (usize, usize),
        transforms: Vec<Box<dyn TileTransform>>,
        base: Box<dyn TileBase>,
    ) -> Self {
        Self::with_kernels(inputs, transforms, base, kernels::best())
    }

    /// The same on given kernels.
    fn with_kernels(
        (features, contexts): (usize, usize),
        transforms: Vec<Box<dyn TileTransform>>,
        base: Box<dyn TileBase>,
        kernels: Box<dyn Kernels>,
    ) -> Self {
        Self { features, contexts, transforms, base, kernels, noise_behind: 0 }
    }

    /// The same with the noise (not that of integers) behind the first `count` transforms.
    pub(crate) fn noise_behind(self, count: usize) -> Self {
        Self { noise_behind: count, ..self }
    }

    /// Number of features.
    pub(crate) fn features(&self) -> usize {
        self.features
    }

    /// Lines in a panel.
    fn stride(&self) -> usize {
        self.features + self.contexts
    }

    /// The kernels in use.
    pub(crate) fn kernels(&self) -> &dyn Kernels {
        self.kernels.as_ref()
    }

    /// Lines of parameters of the whole chain and of the base behind it.
    pub(crate) fn parameters(&self) -> usize {
        self.chain_parameters() + self.base.parameters()
    }

    fn chain_parameters(&self) -> usize {
        self.transforms.iter().map(|t| t.parameters()).sum()
    }

    /// Fresh parameters, before [`Self::fit`].
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

    /// Takes from data the starting values of what wants them: transforms in order, then the base. `rows` of
    /// `data` are what the chain is trained on.
    pub(crate) fn fit(&self, parameters: &mut [Line], data: &[Line], rows: &[usize], random: &mut Random) {
        let few: Vec<usize> = rows.iter().copied().step_by(rows.len().div_ceil(MOST_FITTED).max(1)).collect();
        let mut at = 0;
        for (index, t) in self.transforms.iter().enumerate() {
            let end = at + t.parameters();
            if t.wants_data() {
                let values = self.values_behind(index, parameters, data, &few);
                t.fit(&mut parameters[at..end], &values, random);
            }
            at = end;
        }
        if self.base.parameters() > 0 {
            let values = self.values_behind(self.transforms.len(), parameters, data, rows);
            self.base.fit(&mut parameters[at..], &values, random);
        }
    }

    /// The features' values behind the first `count` transforms, row-major.
    fn values_behind(&self, count: usize, parameters: &[Line], data: &[Line], rows: &[usize]) -> Vec<f32> {
        let mut workspace = self.workspace();
        let mut out = Vec::with_capacity(rows.len() * self.features);
        for tile in rows.chunks(TILE) {
            self.kernels.gather(data, self.stride(), tile, &mut workspace.values);
            self.forward(parameters, &mut workspace, count, None);
            for i in 0..tile.len() {
                let panel = &workspace.values[i / LINE * self.stride()..][..self.features];
                out.extend(panel.iter().map(|line| line.0[i % LINE]));
            }
        }
        out
    }

    /// Takes parameters back into their ranges after a step.
    pub(crate) fn project(&self, parameters: &mut [Line]) {
        self.base.project(&mut parameters[self.chain_parameters()..]);
    }

    /// The base with these parameters.
    pub(crate) fn export_base(&self, parameters: &[Line]) -> flow::Base {
        self.base.export(&parameters[self.chain_parameters()..])
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
        let scratch = self.transforms.iter().map(|t| t.scratch()).max().unwrap_or(0).max(self.base.scratch());
        Workspace {
            values: vec![Line::ZERO; PANELS * self.stride()],
            kept: vec![Line::ZERO; kept],
            scratch: vec![Line::ZERO; scratch],
            base_gradient: vec![Line::ZERO; self.base.parameters()],
        }
    }

    /// Whether a tile adds at most once to each parameter's gradient. Then tiles may add to one gradient, one behind the
    /// other, and it is the sum of the tiles' own, bit for bit.
    pub(crate) fn adds_once(&self) -> bool {
        self.transforms.iter().all(|t| t.adds_once())
    }

    /// Forward and backward for tile `index` of a batch: adds its share of the gradient of the batch's mean negative
    /// log-likelihood, and returns the sum of its own, in nats.
    pub(crate) fn tile(
        &self,
        parameters: &[Line],
        workspace: &mut Workspace,
        rows: Rows<'_>,
        index: usize,
        gradient: &mut [Line],
    ) -> f64 {
        let k = self.kernels.as_ref();
        let weight = 1.0 / rows.rows.len() as f32;
        let tile = &rows.rows[(index * TILE).min(rows.rows.len())..];
        let tile = &tile[..tile.len().min(TILE)];
        k.gather(rows.data, self.stride(), tile, &mut workspace.values);
        if rows.step > 0.0 {
            let seed = split_mix(rows.seed ^ (DEQUANTIZE << 32) ^ ((index as u64) << 48));
            for (p, values) in workspace.values.chunks_exact_mut(self.stride()).enumerate() {
                logit::dequantize(&mut values[..self.features], rows.step, split_mix(seed ^ p as u64));
            }
        }
        let noise = (rows.noise > 0.0).then_some((rows, index));
        let log_det = self.forward(parameters, workspace, self.transforms.len(), noise);
        let Workspace { values, kept, scratch, base_gradient: own_gradient } = workspace;
        own_gradient.fill(Line::ZERO);
        let (chain, base) = parameters.split_at(self.chain_parameters());
        let (chain_gradient, base_gradient) = gradient.split_at_mut(chain.len());
        let mut loss = 0.0;
        let mut weights = [Line::ZERO; PANELS];
        for (p, values) in values.chunks_exact_mut(self.stride()).enumerate() {
            let live = tile.len().saturating_sub(p * LINE).min(LINE);
            weights[p].0[..live].fill(weight);
            let z = &mut values[..self.features];
            let own = self.base.gradient(k, (base, &mut *own_gradient), z, &weights[p], scratch);
            for i in 0..live {
                loss += f64::from(own.0[i]) - f64::from(log_det[p].0[i]);
            }
        }
        k.add(own_gradient, base_gradient);
        let mut parameters_end = chain.len();
        let mut kept_end = kept.len();
        for t in self.transforms.iter().rev() {
            let own = parameters_end - t.parameters()..parameters_end;
            let kept_own = kept_end - t.kept()..kept_end;
            parameters_end = own.start;
            kept_end = kept_own.start;
            t.backward(
                k,
                &chain[own.clone()],
                &mut chain_gradient[own],
                values,
                &weights,
                &mut kept[kept_own],
                scratch,
            );
        }
        loss + tile.len() as f64 * self.base.constant()
    }

    /// Noise on the features, none on the context.
    fn add_noise(&self, values: &mut [Line], rows: Rows<'_>, index: usize) {
        let seed = split_mix(rows.seed ^ ((index as u64) << 48));
        if self.contexts == 0 {
            return self.kernels.noise(values, rows.noise, seed);
        }
        for (p, values) in values.chunks_exact_mut(self.stride()).enumerate() {
            let seed = split_mix(seed ^ p as u64);
            self.kernels.noise(&mut values[..self.features], rows.noise, seed);
        }
    }

    /// The first `count` transforms, with the noise for a tile among them.
    fn forward(
        &self,
        parameters: &[Line],
        workspace: &mut Workspace,
        count: usize,
        noise: Option<(Rows<'_>, usize)>,
    ) -> [Line; PANELS] {
        let Workspace { values, kept, scratch, .. } = workspace;
        let mut log_det = [Line::ZERO; PANELS];
        let (mut rest, mut kept) = (parameters, kept.as_mut_slice());
        for (at, t) in self.transforms[..count].iter().enumerate() {
            if let Some((rows, index)) = noise.filter(|_| at == self.noise_behind) {
                self.add_noise(values, rows, index);
            }
            let (own, tail) = rest.split_at(t.parameters());
            let (kept_own, kept_tail) = kept.split_at_mut(t.kept());
            t.forward(self.kernels.as_ref(), own, values, &mut log_det, kept_own, scratch);
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
        let base = &parameters[self.chain_parameters()..];
        for tile in rows.chunks(TILE) {
            self.kernels.gather(data, self.stride(), tile, &mut workspace.values);
            let log_det = self.forward(parameters, workspace, self.transforms.len(), None);
            let Workspace { values, scratch, .. } = workspace;
            for (p, values) in values.chunks_exact_mut(self.stride()).enumerate() {
                let loss = self.base.loss(self.kernels(), base, &mut values[..self.features], scratch);
                let live = tile.len().saturating_sub(p * LINE).min(LINE);
                for i in 0..live {
                    out.push(f64::from(log_det[p].0[i]) - f64::from(loss.0[i]) - self.base.constant());
                }
            }
        }
        out
    }
}

/// Keeps the noise of integers apart from the other.
const DEQUANTIZE: u64 = 1;
/// Rows that data-dependent starting values of transforms are taken from, spread over all.
const MOST_FITTED: usize = 4096;

/// Row-major values as the engine reads them: every row padded to whole lines.
pub(crate) fn padded(values: &[f32], features: usize) -> Vec<Line> {
    let pad = |part: &[f32]| {
        let mut line = Line::ZERO;
        line.0[..part.len()].copy_from_slice(part);
        line
    };
    values.chunks_exact(features).flat_map(|row| row.chunks(LINE).map(pad)).collect()
}
