//! Affine coupling (RealNVP, Dinh et al. 2017) on a tile.

use super::kernels::{Kernels, PANELS};
use super::lanes::Line;
use super::mlp::TileMlp;
use super::transform::TileTransform;
use crate::flow;
use crate::training::random::Random;
use std::ops::Range;

/// The coupling that [`flow::AffineCoupling`] documents.
pub(crate) struct TileAffine {
    features: usize,
    split: usize,
    condition_on_first: bool,
    clamp: f32,
    input_limit: f32,
    net: TileMlp,
}

impl TileAffine {
    /// `0 < split < features`; `clamp` and `input_limit` positive.
    pub(crate) fn new(
        features: usize,
        split: usize,
        condition_on_first: bool,
        (clamp, input_limit): (f32, f32),
        hidden: &[usize],
    ) -> Self {
        let (inputs, moved) =
            if condition_on_first { (split, features - split) } else { (features - split, split) };
        let net = TileMlp::new(inputs, hidden, 2 * moved);
        Self { features, split, condition_on_first, clamp, input_limit, net }
    }

    /// The conditioning features and the transformed ones.
    fn parts(&self) -> (Range<usize>, Range<usize>) {
        let (first, second) = (0..self.split, self.split..self.features);
        if self.condition_on_first {
            (first, second)
        } else {
            (second, first)
        }
    }
}

// `kept` holds: the clamped conditioner inputs, e^log_scale, then what the net keeps, whose last part (the
// outputs: shift and raw scale, panel by panel) the coupling reuses as `Kernels::affine` says.
impl TileTransform for TileAffine {
    fn parameters(&self) -> usize {
        self.net.parameters()
    }
    fn kept(&self) -> usize {
        self.features * PANELS + self.net.kept()
    }
    fn scratch(&self) -> usize {
        self.net.scratch()
    }
    fn initialize(&self, parameters: &mut [Line], random: &mut Random) {
        self.net.initialize(parameters, random);
    }

    fn export(&self, parameters: &[Line]) -> flow::Transform {
        flow::Transform::AffineCoupling(flow::AffineCoupling {
            split: self.split,
            condition_on_first: self.condition_on_first,
            clamp: self.clamp,
            input_limit: self.input_limit,
            conditioner: self.net.export(parameters),
        })
    }

    fn forward(
        &self,
        k: &dyn Kernels,
        parameters: &[Line],
        values: &mut [Line],
        log_det: &mut [Line; PANELS],
        kept: &mut [Line],
    ) {
        let (given, moved) = self.parts();
        let (inputs, rest) = kept.split_at_mut(given.len() * PANELS);
        let (scale, net) = rest.split_at_mut(moved.len() * PANELS);
        for (values, inputs) in values.chunks_exact(self.features).zip(inputs.chunks_exact_mut(given.len())) {
            k.clamp(&values[given.clone()], self.input_limit, inputs);
        }
        self.net.forward(k, parameters, inputs, net);
        let outputs = net[self.net.outputs_at()..].chunks_exact_mut(2 * moved.len());
        let panels = values.chunks_exact_mut(self.features).zip(outputs);
        for ((values, outputs), (scale, log_det)) in
            panels.zip(scale.chunks_exact_mut(moved.len()).zip(log_det))
        {
            let (shift, raw) = outputs.split_at_mut(moved.len());
            k.affine(self.clamp, &mut values[moved.clone()], shift, raw, scale, log_det);
        }
    }

    fn backward(
        &self,
        k: &dyn Kernels,
        parameters: &[Line],
        gradient: &mut [Line],
        slope: &mut [Line],
        weight: &[Line; PANELS],
        kept: &mut [Line],
        scratch: &mut [Line],
    ) {
        let (given, moved) = self.parts();
        let (inputs, rest) = kept.split_at_mut(given.len() * PANELS);
        let (scale, net) = rest.split_at_mut(moved.len() * PANELS);
        let outputs = net[self.net.outputs_at()..].chunks_exact_mut(2 * moved.len());
        let panels = slope.chunks_exact_mut(self.features).zip(outputs);
        for ((slope, outputs), (scale, weight)) in panels.zip(scale.chunks_exact(moved.len()).zip(weight)) {
            let (shift, raw) = outputs.split_at_mut(moved.len());
            k.affine_gradient(&mut slope[moved.clone()], shift, raw, scale, weight);
        }
        let to_inputs = self.net.backward(k, (parameters, gradient), inputs, net, scratch);
        let panels = inputs.chunks_exact(given.len()).zip(to_inputs.chunks_exact(given.len()));
        for ((inputs, to_inputs), slope) in panels.zip(slope.chunks_exact_mut(self.features)) {
            k.clamp_gradient(inputs, self.input_limit, to_inputs, &mut slope[given.clone()]);
        }
    }
}
