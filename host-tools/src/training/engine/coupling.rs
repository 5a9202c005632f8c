//! A coupling on a tile: geometry and net; what happens to the transformed features is its map's.

use super::conditioner::TileConditioner;
use super::kernels::{Kernels, PANELS};
use super::lanes::Line;
use super::map::TileMap;
use super::transform::TileTransform;
use crate::flow::{self, Mask};
use crate::training::random::Random;

/// The coupling that [`flow::Coupling`] documents.
pub(crate) struct TileCoupling {
    /// Lines in a panel: features, then context.
    stride: usize,
    mask: Mask,
    /// Lines that condition: features of the mask, then all of the context.
    given: Vec<usize>,
    /// Lines that are transformed.
    moved: Vec<usize>,
    input_limit: f32,
    map: Box<dyn TileMap>,
    net: Box<dyn TileConditioner>,
}

impl TileCoupling {
    /// A coupling of the first `mask.0.len()` of `features` features; `net` must fit `mask` and `map`.
    pub(crate) fn new(
        (features, contexts): (usize, usize),
        mask: Mask,
        input_limit: f32,
        map: Box<dyn TileMap>,
        net: Box<dyn TileConditioner>,
    ) -> Self {
        let mut given = mask.given();
        given.extend(features..features + contexts);
        let moved = mask.moved();
        Self { stride: features + contexts, mask, given, moved, input_limit, map, net }
    }

    /// Where the transformed lines stand, if one behind the other.
    fn block(&self) -> Option<std::ops::Range<usize>> {
        let (&first, &last) = (self.moved.first()?, self.moved.last()?);
        (last - first + 1 == self.moved.len()).then_some(first..last + 1)
    }

    /// Runs `apply` on the transformed lines of a panel, in place or through `buffer`.
    fn on_moved(&self, panel: &mut [Line], buffer: &mut [Line], apply: impl FnOnce(&mut [Line])) {
        if let Some(block) = self.block() {
            return apply(&mut panel[block]);
        }
        for (line, &from) in buffer.iter_mut().zip(&self.moved) {
            *line = panel[from];
        }
        apply(buffer);
        for (line, &to) in buffer.iter().zip(&self.moved) {
            panel[to] = *line;
        }
    }

    /// Lines of the buffer of [`Self::on_moved`].
    fn buffer(&self) -> usize {
        if self.block().is_some() {
            0
        } else {
            self.moved.len()
        }
    }
}

// `kept` holds: the clamped conditioner inputs, what the map keeps, the buffer, then what the net keeps, whose last part
// (the outputs) the map reuses.
impl TileTransform for TileCoupling {
    fn parameters(&self) -> usize {
        self.net.parameters()
    }
    fn kept(&self) -> usize {
        let moved = self.moved.len();
        (self.given.len() + self.map.kept(moved)) * PANELS + self.buffer() + self.net.kept()
    }
    fn scratch(&self) -> usize {
        self.net.scratch()
    }
    fn adds_once(&self) -> bool {
        self.net.adds_once()
    }
    fn initialize(&self, parameters: &mut [Line], random: &mut Random) {
        self.net.initialize(parameters, random, &self.map.identity(self.moved.len()));
    }

    fn export(&self, parameters: &[Line]) -> flow::Transform {
        flow::Transform::Coupling(flow::Coupling {
            mask: self.mask.clone(),
            map: self.map.export(),
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
        scratch: &mut [Line],
    ) {
        let (given, moved) = (self.given.len(), self.moved.len());
        let (inputs, rest) = kept.split_at_mut(given * PANELS);
        let (own, rest) = rest.split_at_mut(self.map.kept(moved) * PANELS);
        let (buffer, net) = rest.split_at_mut(self.buffer());
        for (values, inputs) in values.chunks_exact(self.stride).zip(inputs.chunks_exact_mut(given)) {
            // Runs of neighbours in one call: a half mask is one run.
            let mut at = 0;
            while at < given {
                let from = self.given[at];
                let run = (1..given - at).take_while(|i| self.given[at + i] == from + i).count() + 1;
                k.clamp(&values[from..from + run], self.input_limit, &mut inputs[at..at + run]);
                at += run;
            }
        }
        self.net.forward(k, parameters, inputs, net, scratch);
        let width = self.map.outputs(moved);
        let mut outputs = net[self.net.outputs_at()..].chunks_exact_mut(width);
        let kept_width = self.map.kept(moved);
        for (p, (values, log_det)) in values.chunks_exact_mut(self.stride).zip(log_det).enumerate() {
            let Some(outputs) = outputs.next() else { break };
            let own = &mut own[p * kept_width..][..kept_width];
            self.on_moved(values, buffer, |x| self.map.forward(k, x, outputs, own, log_det));
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
        let (given, moved) = (self.given.len(), self.moved.len());
        let (inputs, rest) = kept.split_at_mut(given * PANELS);
        let (own, rest) = rest.split_at_mut(self.map.kept(moved) * PANELS);
        let (buffer, net) = rest.split_at_mut(self.buffer());
        let width = self.map.outputs(moved);
        let mut outputs = net[self.net.outputs_at()..].chunks_exact_mut(width);
        let kept_width = self.map.kept(moved);
        for (p, (slope, weight)) in slope.chunks_exact_mut(self.stride).zip(weight).enumerate() {
            let Some(outputs) = outputs.next() else { break };
            let own = &mut own[p * kept_width..][..kept_width];
            self.on_moved(slope, buffer, |g| self.map.backward(k, g, outputs, own, weight));
        }
        let to_inputs = self.net.backward(k, (parameters, gradient), inputs, net, scratch);
        let panels = inputs.chunks_exact(given).zip(to_inputs.chunks_exact(given));
        for ((inputs, to_inputs), slope) in panels.zip(slope.chunks_exact_mut(self.stride)) {
            let mut at = 0;
            while at < given {
                let to = self.given[at];
                let run = (1..given - at).take_while(|i| self.given[at + i] == to + i).count() + 1;
                let (seen, g) = (&inputs[at..at + run], &to_inputs[at..at + run]);
                k.clamp_gradient(seen, self.input_limit, g, &mut slope[to..to + run]);
                at += run;
            }
        }
    }
}
