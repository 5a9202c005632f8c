//! Conditioner nets of all kinds, made of layers.

use super::budgets::TRUNK_LIMIT;
use super::form::{Form, Symbols};
use super::net::{activate, Layer};
use super::pair::{span, Pair, UNBOUNDED};
use super::plan::Reason;
use crate::export::dense::EncodedDense;
use crate::export::encode::{groups, stored_order};
use crate::flow::{Conditioner, Conv1d, CouplingMap, Dense, Padding, ResidualNet};
use flowlet::arithmetic::activation::Activation;

/// A net as trained and as the image has it.
pub(super) enum NetPlan {
    Mlp(Vec<Layer>),
    Residual { initial: Box<Layer>, blocks: Vec<(Gate, [Layer; 2])>, last: (Gate, Box<Layer>) },
    Conv1d(Convolutions),
}

/// How a layer reads the trunk of a residual net.
#[derive(Clone, Copy)]
pub(super) struct Gate {
    activation: Activation,
    /// Real size of a unit of what the layer reads.
    unit: f64,
}

pub(super) struct Convolutions {
    /// Time steps.
    length: usize,
    /// Of the given inputs, per step.
    channels: usize,
    padding: Padding,
    /// Parts that a step's outputs come in.
    groups: usize,
    /// Per layer its kernel, the width of a step that it reads, and the layer over a window of steps.
    layers: Vec<(usize, usize, Layer)>,
}

/// Pairs layers with their integers, one after the other.
struct Reader<'e> {
    encoded: std::slice::Iter<'e, EncodedDense>,
    /// What raw outputs from half on are divided by, of an affine coupling.
    unit: f64,
    halves: bool,
}

impl Reader<'_> {
    fn layer(&mut self, exact: &Dense, scales: &[f64], is_last: bool) -> Result<(Layer, Vec<f64>), Reason> {
        let encoded = self.encoded.next().ok_or("a net that was not encoded")?;
        let from = if is_last && self.halves { exact.outputs / 2 } else { exact.outputs };
        Layer::new(exact, encoded, scales, (self.unit, from)).ok_or_else(|| "a net in f32".into())
    }

    /// The gate of the next layer.
    fn gate(&self) -> Result<Gate, Reason> {
        let gate = self.encoded.as_slice().first().and_then(|next| next.gate);
        let (activation, shift) = gate.ok_or("a residual net without gates")?;
        Ok(Gate { activation, unit: (f64::from(shift) - 16.0).exp2() })
    }
}

impl NetPlan {
    /// The net of a coupling with this map, whose layers were encoded as `encoded`; integer inputs have `scale` units.
    pub(super) fn new(
        conditioner: &Conditioner,
        map: &CouplingMap,
        encoded: &[EncodedDense],
        scale: f64,
    ) -> Result<Self, Reason> {
        let mut reader = Reader {
            encoded: encoded.iter(),
            unit: map.raw_unit().into(),
            halves: matches!(map, CouplingMap::Affine { .. }),
        };
        match conditioner {
            Conditioner::Mlp(mlp) => {
                let mut scales = vec![scale; mlp.layers[0].inputs];
                let mut layers = Vec::new();
                for (index, exact) in mlp.layers.iter().enumerate() {
                    let (layer, next) = reader.layer(exact, &scales, index + 1 == mlp.layers.len())?;
                    layers.push(layer);
                    scales = next;
                }
                Ok(NetPlan::Mlp(layers))
            }
            Conditioner::Residual(net) => Self::residual(net, &mut reader, scale),
            Conditioner::Conv1d(net) => Convolutions::new(net, map, &mut reader, scale).map(NetPlan::Conv1d),
        }
    }

    fn residual(net: &ResidualNet, reader: &mut Reader<'_>, scale: f64) -> Result<Self, Reason> {
        let (initial, _) = reader.layer(&net.initial, &vec![scale; net.initial.inputs], false)?;
        let mut blocks = Vec::new();
        for block in &net.blocks {
            let gate = reader.gate()?;
            let (first, scales) =
                reader.layer(&block.first, &vec![1.0 / gate.unit; block.first.inputs], false)?;
            let (second, _) = reader.layer(&block.second, &scales, false)?;
            blocks.push((gate, [first, second]));
        }
        let gate = reader.gate()?;
        let (last, _) = reader.layer(&net.last, &vec![1.0 / gate.unit; net.last.inputs], true)?;
        Ok(NetPlan::Residual { initial: Box::new(initial), blocks, last: (gate, Box::new(last)) })
    }

    /// The outputs for saturated inputs.
    pub(super) fn run(&self, inputs: Vec<Pair>, symbols: &mut Symbols) -> Vec<Pair> {
        match self {
            NetPlan::Mlp(layers) => layers.iter().fold(inputs, |values, layer| layer.run(&values, symbols)),
            NetPlan::Residual { initial, blocks, last: (gate, last) } => {
                let mut trunk = initial.run(&inputs, symbols);
                for (gate, [first, second]) in blocks {
                    let seen = gate.read(&trunk, symbols);
                    let added = second.run(&first.run(&seen, symbols), symbols);
                    for (trunk, added) in trunk.iter_mut().zip(&added) {
                        let bounds = span([(1.0, trunk.fixed()), (1.0, added.fixed())].into_iter(), 0.0, 0.0);
                        let sum =
                            Pair::new(trunk.value.plus(&added.value), trunk.error.plus(&added.error), bounds);
                        *trunk = sum.cut(TRUNK_LIMIT, symbols);
                    }
                }
                last.run(&gate.read(&trunk, symbols), symbols)
            }
            NetPlan::Conv1d(net) => net.run(&inputs, symbols),
        }
    }
}

impl Gate {
    fn read(&self, trunk: &[Pair], symbols: &mut Symbols) -> Vec<Pair> {
        trunk.iter().map(|value| activate(self.activation, value, self.unit, symbols)).collect()
    }
}

impl Convolutions {
    fn new(net: &Conv1d, map: &CouplingMap, reader: &mut Reader<'_>, scale: f64) -> Result<Self, Reason> {
        let contexts = net.layers[0].inputs - net.channels;
        let windows = stored_order(net, map, contexts);
        let mut scales = vec![scale; windows[0].inputs];
        let mut layers = Vec::new();
        for (index, (exact, conv)) in windows.iter().zip(&net.layers).enumerate() {
            let (layer, mut step) = reader.layer(exact, &scales, index + 1 == windows.len())?;
            layers.push((conv.kernel, exact.inputs / conv.kernel, layer));
            if let Some(next) = net.layers.get(index + 1) {
                step.resize(step.len().next_multiple_of(4), 1.0);
                scales = step.repeat(next.kernel);
            }
        }
        let (length, channels, padding) = (net.length, net.channels, net.padding);
        Ok(Convolutions { length, channels, padding, groups: groups(map), layers })
    }

    fn run(&self, inputs: &[Pair], symbols: &mut Symbols) -> Vec<Pair> {
        let (given, context) = inputs.split_at(self.length * self.channels);
        let mut steps: Vec<Vec<Pair>> =
            given.chunks_exact(self.channels).map(|step| [step, context].concat()).collect();
        for (kernel, stride, layer) in &self.layers {
            let lead = if self.padding == Padding::Causal { kernel - 1 } else { kernel / 2 };
            let window = |t: usize| -> Vec<Pair> {
                let taps = (t..t + kernel).map(|at| at.checked_sub(lead).and_then(|at| steps.get(at)));
                taps.flat_map(|step| {
                    let mut step = step.cloned().unwrap_or_default();
                    step.resize(*stride, zero());
                    step
                })
                .collect()
            };
            let next = (0..self.length).map(|t| layer.run(&window(t), symbols)).collect();
            steps = next;
        }
        // Output `j` of group `g` at time `t` goes to `(g length + t) size + j`.
        let size = steps[0].len() / self.groups;
        let groups = 0..self.groups;
        groups.flat_map(|g| steps.iter().flat_map(move |step| step[g * size..][..size].to_vec())).collect()
    }
}

fn zero() -> Pair {
    Pair::new(Form::constant(0.0), Form::constant(0.0), UNBOUNDED)
}
