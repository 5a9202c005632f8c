//! Predicted cost of a score, without running it: a linear model over counts of what a flow is made of, fitted for
//! each core to what the emulator counts.
//!
//! `cargo xtask bench --fit` (see [`fit`]) writes `data/cost/coefficients.csv` and prints how far off the predictions are
//! of flows that it was not fitted to. Mixtures are counted as trained ones are, whose components lie apart so that most
//! are left early.

pub mod fit;

use crate::export::Numeric;
use crate::flow::{Activation, Base, Conditioner, Coupling, CouplingMap, Flow, MarginalKind, Transform};
use serde_json::{Map, Value};

/// The table of coefficients: `term`, then a column per core and numbers, such as `cortex-m4f i8`.
const COEFFICIENTS: &str = include_str!("../../data/cost/coefficients.csv");

/// What a score's cost depends on, over all experts.
#[derive(Default)]
struct Counts(Map<String, Value>);

impl Counts {
    fn add(&mut self, term: &str, count: usize) {
        let before = self.0.get(term).and_then(Value::as_u64).unwrap_or(0);
        self.0.insert(term.to_owned(), Value::from(before + count as u64));
    }

    fn flow(&mut self, flow: &Flow, fixed: bool) {
        self.add("score", 1);
        self.add("features", flow.features);
        for (transform, active) in flow.active_transforms() {
            match transform {
                Transform::Coupling(c) => self.coupling(c, fixed),
                Transform::ElementwiseAffine(_) => self.add("elementwise_features", active),
                Transform::Linear(_) => {
                    self.add("linear_maps", 1);
                    self.add("linear_rows", active);
                    self.add("linear_macs", active * active);
                }
                Transform::Marginal(t) if t.form == MarginalKind::Linear => {
                    self.add("marginal_features", active);
                }
                Transform::Marginal(_) => self.add("marginal_rq_features", active),
                Transform::Logit(_) => self.add("logit_features", active),
                _ => {}
            }
        }
        match &flow.base {
            Base::StudentT(_) => self.add("student_features", flow.features),
            Base::Mixture(m) => {
                self.add("mixture_components", m.log_weights.len());
                self.add("mixture_macs", m.means.len());
            }
            Base::StandardNormal | Base::DiagonalNormal(_) => {}
        }
    }

    fn coupling(&mut self, c: &Coupling, fixed: bool) {
        self.add("couplings", 1);
        let moved = c.mask.moved().len();
        match &c.map {
            CouplingMap::Additive => {}
            CouplingMap::Affine { .. } => self.add("affine_features", moved),
            CouplingMap::Spline(s) => {
                self.add("spline_features", moved);
                self.add("spline_bins", moved * s.bins);
            }
        }
        let activation = match &c.conditioner {
            Conditioner::Mlp(net) => net.activation,
            Conditioner::Residual(net) => net.activation,
            Conditioner::Conv1d(net) => net.activation,
        };
        let hidden = match activation {
            Activation::Relu => "hidden_units",
            Activation::LeakyRelu => "leaky_units",
            Activation::Tanh => "tanh_units",
            Activation::Silu => "silu_units",
        };
        let layers = c.conditioner.dense_layers();
        self.add("dense_layers", layers.len());
        self.add("output_units", moved * c.map.outputs_per_feature());
        for layer in &layers {
            // With the padding that kernels compute: rows to a multiple of 4, and columns too in fixed point.
            let columns = if fixed { layer.inputs.next_multiple_of(4) } else { layer.inputs };
            self.add("padded_macs", columns * layer.outputs.next_multiple_of(4));
        }
        match &c.conditioner {
            Conditioner::Mlp(net) => {
                let units = net.layers.iter().rev().skip(1).map(|layer| layer.outputs).sum();
                self.add(hidden, units);
            }
            Conditioner::Residual(net) => {
                self.add("trunk_units", net.initial.outputs * (net.blocks.len() + 1));
                self.add(hidden, net.blocks.iter().map(|block| 2 * block.first.outputs).sum());
            }
            Conditioner::Conv1d(net) => {
                // Each time step is a call of the dense kernels.
                self.add("convolution_steps", net.length * net.layers.len());
                let units: usize = net.layers.iter().rev().skip(1).map(|layer| layer.outputs).sum();
                self.add(hidden, net.length * units);
                for layer in &net.layers {
                    let columns = layer.kernel * layer.inputs.next_multiple_of(4);
                    self.add("padded_macs", net.length * columns * layer.outputs.next_multiple_of(4));
                }
            }
        }
    }
}

/// The counts of a model by name: what [`instructions`] is computed from.
#[must_use]
pub fn terms(flows: &[Flow], numeric: Numeric) -> Map<String, Value> {
    let mut counts = Counts::default();
    for flow in flows {
        counts.flow(flow, matches!(numeric, Numeric::I16 | Numeric::I8));
    }
    counts.0
}

/// Instructions per score by core, of flows that are run one after the other; the cores are those of the table of
/// coefficients.
#[must_use]
pub fn instructions(flows: &[Flow], numeric: Numeric) -> Map<String, Value> {
    let counts = terms(flows, numeric);
    let numbers = match numeric {
        Numeric::F32 | Numeric::F32FastMath => "f32",
        Numeric::I16 => "i16",
        Numeric::I8 => "i8",
    };
    let mut lines = COEFFICIENTS.lines().filter(|line| !line.starts_with('#'));
    let columns: Vec<&str> = lines.next().unwrap_or_default().split(',').collect();
    let mut sums = vec![0.0; columns.len()];
    for line in lines {
        let mut cells = line.split(',');
        let count = cells.next().and_then(|term| counts.get(term)).and_then(Value::as_f64).unwrap_or(0.0);
        for (sum, cell) in sums.iter_mut().skip(1).zip(cells) {
            *sum += count * cell.parse::<f64>().unwrap_or(0.0);
        }
    }
    let mut map = Map::new();
    for (column, sum) in columns.iter().zip(sums).skip(1) {
        if let Some(core) = column.strip_suffix(numbers).and_then(|name| name.strip_suffix(' ')) {
            map.insert(core.to_owned(), Value::from(sum.max(0.0).round() as u64));
        }
    }
    map
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::reference;

    #[test]
    fn the_table_is_whole() {
        let mut lines = COEFFICIENTS.lines().filter(|line| !line.starts_with('#'));
        let columns = lines.next().unwrap().split(',').count();
        for line in lines {
            let cells: Vec<&str> = line.split(',').collect();
            assert_eq!(cells.len(), columns, "{line}");
            assert!(cells[1..].iter().all(|cell| cell.parse::<f64>().is_ok_and(|x| x >= 0.0)), "{line}");
        }
    }

    #[test]
    fn a_wider_flow_costs_more_on_every_core() {
        let predict = |width| {
            let flow = reference::flow(reference::Kind::Realnvp, 8, 4, &[width, width]).flow;
            instructions(&[flow], Numeric::I8)
        };
        let (narrow, wide) = (predict(16), predict(32));
        assert!(narrow.contains_key("cortex-m4f"));
        for (core, count) in &narrow {
            assert!(count.as_u64() < wide[core].as_u64(), "{core}");
        }
    }
}
