//! A mixture of diagonal normals: starts from expectation maximization, trains jointly with the chain.

use super::TileBase;
use crate::flow;
use crate::training::engine::kernels::{best, Kernels, MixtureShape};
use crate::training::engine::lanes::{Line, LINE};
use crate::training::mixture;
use crate::training::random::Random;

/// The base that [`flow::Mixture`] documents.
pub(crate) struct TileMixture(MixtureShape);

impl TileMixture {
    /// Over `features` features, at most 256; 1 to 64 components.
    pub(crate) fn new(features: usize, components: usize) -> Self {
        Self(MixtureShape { features, components })
    }
}

/// Row-major values into rows of whole lines.
fn lay_out(values: &[f32], features: usize, lines: &mut [Line]) {
    let stride = features.div_ceil(LINE);
    for (row, lines) in values.chunks_exact(features).zip(lines.chunks_exact_mut(stride)) {
        for (i, &value) in row.iter().enumerate() {
            lines[i / LINE].0[i % LINE] = value;
        }
    }
}

/// Back.
fn collect(lines: &[Line], features: usize) -> Vec<f32> {
    let stride = features.div_ceil(LINE);
    lines.chunks_exact(stride).flat_map(|row| (0..features).map(|i| row[i / LINE].0[i % LINE])).collect()
}

impl TileBase for TileMixture {
    fn parameters(&self) -> usize {
        self.0.parameters()
    }
    fn scratch(&self) -> usize {
        self.0.scratch()
    }

    fn fit(&self, parameters: &mut [Line], values: &[f32], random: &mut Random) {
        let MixtureShape { features, components } = self.0;
        let mut found = mixture::fit(best().as_ref(), values, features, components, random);
        // Fewer rows than components: the rest repeats them, with next to no weight.
        let fitted = found.components();
        for k in fitted..components {
            let (means, log_std) = found.component(k % fitted);
            let (means, log_std) = (means.to_vec(), log_std.to_vec());
            found.means.extend(means);
            found.log_std.extend(log_std);
            found.log_weights.push(-14.0);
        }
        let (weights, means, log_std) = self.0.split_mut(parameters);
        for (k, &weight) in found.log_weights.iter().enumerate() {
            weights[k / LINE].0[k % LINE] = weight;
        }
        lay_out(&found.means, features, means);
        lay_out(&found.log_std, features, log_std);
    }

    fn project(&self, parameters: &mut [Line]) {
        let floor = mixture::STD_FLOOR.ln() as f32;
        let (_, _, log_std) = self.0.split_mut(parameters);
        for value in log_std.iter_mut().flat_map(|line| &mut line.0) {
            // The padding is zero and stays so.
            *value = value.max(floor);
        }
    }

    fn export(&self, parameters: &[Line]) -> flow::Base {
        let (weights, means, log_std) = self.0.split(parameters);
        flow::Base::Mixture(flow::Mixture {
            log_weights: (0..self.0.components).map(|k| weights[k / LINE].0[k % LINE]).collect(),
            means: collect(means, self.0.features),
            log_std: collect(log_std, self.0.features),
        })
    }

    fn constant(&self) -> f64 {
        0.5 * self.0.features as f64 * (2.0 * std::f64::consts::PI).ln()
    }

    fn loss(&self, k: &dyn Kernels, parameters: &[Line], z: &mut [Line], scratch: &mut [Line]) -> Line {
        k.mixture(self.0, parameters, z, scratch)
    }

    fn gradient(
        &self,
        k: &dyn Kernels,
        parameters: (&[Line], &mut [Line]),
        z: &mut [Line],
        weight: &Line,
        scratch: &mut [Line],
    ) -> Line {
        k.mixture_gradient(self.0, parameters, z, weight, scratch)
    }
}
