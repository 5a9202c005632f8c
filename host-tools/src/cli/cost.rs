//! Predicted cost of a score, without running it: a linear model over counts of what a flow is made of, fitted
//! to what the emulator counts.
//!
//! `data/cost/fit.py` measures, fits, and prints the table of coefficients below.

use crate::export::Numeric;
use crate::flow::{Activation, Base, Conditioner, Coupling, CouplingMap, Flow, MarginalKind, Transform};
use serde_json::{Map, Value};

/// Names of the counts, in the order of [`cortex_m4f`]'s coefficients.
const TERMS: [&str; COUNT] = [
    "score",
    "features",
    "couplings",
    "dense_layers",
    "hidden_units",
    "leaky_units",
    "padded_macs",
    "affine_features",
    "spline_features",
    "spline_bins",
    "smooth_units",
    "trunk_units",
    "elementwise_features",
    "linear_maps",
    "linear_rows",
    "linear_macs",
    "marginal_features",
    "marginal_rq_features",
    "logit_features",
    "student_features",
    "mixture_components",
    "mixture_macs",
];
const COUNT: usize = 22;

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
            Activation::Tanh | Activation::Silu => "smooth_units",
        };
        let layers = c.conditioner.dense_layers();
        self.add("dense_layers", layers.len());
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
                self.add("dense_layers", net.length * net.layers.len());
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
pub(super) fn terms(flows: &[Flow], numeric: Numeric) -> Map<String, Value> {
    let mut counts = Counts::default();
    for flow in flows {
        counts.flow(flow, matches!(numeric, Numeric::I16 | Numeric::I8));
    }
    counts.0
}

/// Instructions per score by core, of flows that are run one after the other.
pub(super) fn instructions(flows: &[Flow], numeric: Numeric) -> Map<String, Value> {
    let counts = terms(flows, numeric);
    let count = |term: &str| counts.get(term).and_then(Value::as_f64).unwrap_or(0.0);
    let sum: f64 = TERMS.iter().zip(cortex_m4f(numeric)).map(|(term, cost)| cost * count(term)).sum();
    let mut map = Map::new();
    map.insert("cortex-m4f".to_owned(), Value::from(sum.max(0.0).round() as u64));
    map
}

/// Instructions per count, on mps2-an386 as QEMU counts them: the median error on flows that the fit did not see is
/// 1.4 %, the largest 14 %, of the smallest flows. Mixtures are counted as trained ones are, whose components lie
/// apart so that most are left early.
fn cortex_m4f(numeric: Numeric) -> [f64; COUNT] {
    match numeric {
        Numeric::F32 | Numeric::F32FastMath => [
            513.23, 60.91, 463.6, 222.07, 12.29, 14.7, 2.65, 141.74, 773.61, 136.17, 79.32, 33.79, 58.09,
            209.88, 127.08, 4.31, 177.02, 203.92, 134.0, 42.54, 128.6, 8.71,
        ],
        Numeric::I16 => [
            817.62, 177.28, 645.64, 231.58, 13.44, 45.9, 2.22, 199.74, 941.51, 232.34, 97.43, 86.81, 90.2,
            117.59, 247.57, 4.22, 246.6, 536.34, 125.0, 111.55, 145.09, 7.68,
        ],
        Numeric::I8 => [
            828.21, 175.98, 637.22, 227.79, 12.47, 45.0, 2.71, 198.4, 943.94, 228.49, 96.59, 86.61, 89.43,
            120.61, 247.1, 4.23, 246.75, 536.48, 125.0, 111.51, 144.74, 7.7,
        ],
    }
}
