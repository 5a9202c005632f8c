//! A residual net on a tile (nflows' form, see [`flow::ResidualNet`]).

use super::conditioner::TileConditioner;
use super::kernels::{Kernels, PANELS};
use super::lanes::Line;
use super::layer::{starting_bound, Layer};
use crate::flow::{Activation, Conditioner, ResidualBlock, ResidualNet};
use crate::training::random::Random;

/// Half-width of the starting weights that end a block (nflows: `zero_initialization`).
const SECOND_BOUND: f32 = 1e-3;

/// Shape of a residual net and where its parts lie.
#[derive(Clone, Debug)]
pub(crate) struct TileResidual {
    activation: Activation,
    initial: Layer,
    blocks: Vec<[Layer; 2]>,
    last: Layer,
    parameters: usize,
}

// `kept` holds: the trunk, what a block adds to it, then per block the activated trunk and its derivatives,
// the activated hidden layer and its derivatives, and at the end the outputs.
impl TileResidual {
    /// `inputs -> width`, then `blocks` blocks of two layers, then `width -> outputs`; all sizes positive.
    pub(crate) fn new(
        activation: Activation,
        inputs: usize,
        width: usize,
        blocks: usize,
        outputs: usize,
    ) -> Self {
        let mut at = 0;
        let initial = Layer::new(inputs, width, &mut at);
        let blocks =
            (0..blocks).map(|_| std::array::from_fn(|_| Layer::new(width, width, &mut at))).collect();
        let last = Layer::new(width, outputs, &mut at);
        Self { activation, initial, blocks, last, parameters: at }
    }

    /// Lines of the trunk.
    fn trunk(&self) -> usize {
        self.initial.shape.outputs * PANELS
    }
}

impl TileConditioner for TileResidual {
    fn parameters(&self) -> usize {
        self.parameters
    }

    fn kept(&self) -> usize {
        self.outputs_at() + self.last.shape.outputs * PANELS
    }

    fn outputs_at(&self) -> usize {
        self.trunk() * (2 + 4 * self.blocks.len())
    }

    fn scratch(&self) -> usize {
        let inner = self.trunk().max(self.initial.shape.inputs * PANELS);
        self.trunk() + 2 * inner + self.initial.shape.scratch().max(self.last.shape.scratch())
    }

    fn initialize(&self, parameters: &mut [Line], random: &mut Random, outputs: &[f32]) {
        let bound = |layer: &Layer| starting_bound(self.activation, layer.shape.inputs);
        self.initial.initialize(parameters, bound(&self.initial), random);
        for [first, second] in &self.blocks {
            first.initialize(parameters, bound(first), random);
            second.initialize(parameters, SECOND_BOUND, random);
        }
        self.last.initialize_constant(parameters, outputs);
    }

    fn export(&self, parameters: &[Line]) -> Conditioner {
        let block = |[first, second]: &[Layer; 2]| ResidualBlock {
            first: first.export(parameters),
            second: second.export(parameters),
        };
        Conditioner::Residual(ResidualNet {
            activation: self.activation,
            initial: self.initial.export(parameters),
            blocks: self.blocks.iter().map(block).collect(),
            last: self.last.export(parameters),
        })
    }

    fn forward(
        &self,
        k: &dyn Kernels,
        parameters: &[Line],
        x: &[Line],
        kept: &mut [Line],
        scratch: &mut [Line],
    ) {
        let size = self.trunk();
        let (trunk, rest) = kept.split_at_mut(size);
        let (added, mut rest) = rest.split_at_mut(size);
        k.dense(self.initial.of(parameters), x, trunk, false, scratch);
        for [first, second] in &self.blocks {
            let (own, tail) = rest.split_at_mut(4 * size);
            rest = tail;
            let (gate, inner) = own.split_at_mut(2 * size);
            let (gated, gate_slopes) = gate.split_at_mut(size);
            let (hidden, hidden_slopes) = inner.split_at_mut(size);
            gated.copy_from_slice(trunk);
            k.activate(self.activation, gated, gate_slopes);
            k.dense(first.of(parameters), gated, hidden, false, scratch);
            k.activate(self.activation, hidden, hidden_slopes);
            k.dense(second.of(parameters), hidden, added, false, scratch);
            k.add(added, trunk);
        }
        k.dense(self.last.of(parameters), trunk, rest, false, scratch);
    }

    fn backward<'s>(
        &self,
        k: &dyn Kernels,
        (parameters, gradient): (&[Line], &mut [Line]),
        x: &[Line],
        kept: &mut [Line],
        scratch: &'s mut [Line],
    ) -> &'s [Line] {
        let kept = &*kept;
        let size = self.trunk();
        let (slope, rest) = scratch.split_at_mut(size);
        let inputs = self.initial.shape.inputs * PANELS;
        let (inner, rest) = rest.split_at_mut(size.max(inputs));
        let (outer, turned) = rest.split_at_mut(size.max(inputs));
        let mut weights = |layer: &Layer, x: &[Line], delta: &[Line]| {
            let (dw, db) = layer.of_mut(gradient);
            k.dense_weights(layer.shape, x, delta, dw, db, turned);
        };
        let outputs = &kept[self.outputs_at()..][..self.last.shape.outputs * PANELS];
        weights(&self.last, &kept[..size], outputs);
        k.dense_input(self.last.of(parameters), outputs, slope, None);
        let stages = kept[2 * size..self.outputs_at()].chunks_exact(4 * size);
        for ([first, second], own) in self.blocks.iter().zip(stages).rev() {
            let (gate, hidden) = own.split_at(2 * size);
            let (gated, gate_slopes) = gate.split_at(size);
            let (hidden, hidden_slopes) = hidden.split_at(size);
            weights(second, hidden, slope);
            k.dense_input(second.of(parameters), slope, &mut inner[..size], None);
            k.multiply(hidden_slopes, &mut inner[..size]);
            weights(first, gated, &inner[..size]);
            k.dense_input(first.of(parameters), &inner[..size], &mut outer[..size], None);
            k.multiply(gate_slopes, &mut outer[..size]);
            k.add(&outer[..size], slope);
        }
        weights(&self.initial, x, slope);
        k.dense_input(self.initial.of(parameters), slope, &mut inner[..inputs], None);
        &inner[..inputs]
    }
}
