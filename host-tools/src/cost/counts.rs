//! What a score's cost is counted in: the steps of the kernels that run it.
//!
//! | term | of |
//! |---|---|
//! | `score`, `features` | every flow |
//! | `couplings`, `given`; `affine_couplings`, `affine_features` and the like by map; `spline_bins` | couplings: of their own, per feature that conditions, that is mapped, and per bin of these |
//! | `permutations`, `permuted`; `elementwise_features`; `linear_maps`, `linear_rows`, `linear_macs`; `marginal_features`, `marginal_rq_features`; `logit_features` | other transforms |
//! | `student_features`; `mixtures`, `mixture_features`, `mixture_components`, `mixture_macs` | bases |
//! | `layers`; `act_layers`, `tanh_rows` and the like | dense layers, and those with another activation than ReLU, per padded row |
//! | `residual_nets`, `residual_blocks`, `trunk_units`, `last_units` | residual nets besides their layers |
//! | `convolution_steps`, `convolution_cells`, `convolution_outputs` | convolutions besides their layers, each a layer per step of time |
//! | `blocks`, `steps`, `output_blocks` | integer layers: blocks of 4 rows, times groups of 4 inputs; blocks whose sums get a multiplier |
//! | `input_steps` | M0, i8: groups of inputs that are summed up |
//! | `odd_blocks` | M3: blocks of an odd number of steps |
//! | `pair_blocks`; `wide_layers`, `wide_blocks` | M4 and the like: i16 blocks of 8 inputs, which stay in registers; more than 32 inputs |
//! | `kept_blocks`, `kept_steps`; `half_kept_blocks`; `loop_layers`, `loop_blocks`, `loop_steps` | M55: steps of 8 inputs that stay in registers (8, 16 or 32 of them), 64 inputs, half of which do, and others |
//! | `vectors`, `given_vectors`, `affine_vectors`, `additive_vectors` | M55: `features` and the like in vectors of 4 |
//! | `eights`, `eights_rest`, `fours`, `fours_rest`, `blocks` | f32 with an FPU: 8 inputs of a block of 8 rows and single ones, 4 inputs of a block of 4 rows and single ones |
//! | `inputs_of_8`, `inputs_of_4`, `blocks_of_8`, `blocks_of_4` | f32 on the M55 |
//! | `macs`, `dense_macs`, `padding_macs`, `rows` | f32 without an FPU: products, those of them with inputs that no ReLU made zero, further ones with padding, rows |

use crate::export::Numeric;
use crate::flow::{Activation, Base, Conditioner, Coupling, CouplingMap, Flow, MarginalKind, Transform};
use std::collections::BTreeMap;

/// Counts by name.
pub(super) type Terms = BTreeMap<&'static str, u64>;

/// Widest layer of integers that the M4's kernels take in one go, in groups of 4 inputs.
const CHAIN: usize = 8;
/// Blocks of which the M0's kernel leaves the sums at a time.
const BATCH: usize = 8;

/// Kinds of kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kernels {
    /// M0.
    Packed,
    /// M3.
    Scalar,
    /// M4, M7, M33: pairs of products, an FPU.
    Pairs,
    /// M55.
    Vectors,
}

impl Kernels {
    fn of(core: &str) -> Self {
        match core {
            "cortex-m0" => Self::Packed,
            "cortex-m3" => Self::Scalar,
            "cortex-m55" => Self::Vectors,
            _ => Self::Pairs,
        }
    }
}

/// What follows a layer's sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Output,
    Hidden(Activation),
}

/// The counts of flows, all together, on a core.
pub(super) fn count(flows: &[Flow], numeric: Numeric, core: &str) -> Terms {
    let mut counts = Counts { terms: Terms::new(), kernels: Kernels::of(core), numeric };
    for flow in flows {
        counts.flow(flow);
    }
    counts.terms
}

struct Counts {
    terms: Terms,
    kernels: Kernels,
    numeric: Numeric,
}

impl Counts {
    fn add(&mut self, term: &'static str, count: usize) {
        *self.terms.entry(term).or_default() += count as u64;
    }

    /// The same in vectors too, on a core that has them.
    fn add_features(&mut self, (term, vectors): (&'static str, &'static str), count: usize) {
        self.add(term, count);
        if self.kernels == Kernels::Vectors {
            self.add(vectors, count.div_ceil(4));
        }
    }

    fn flow(&mut self, flow: &Flow) {
        self.add("score", 1);
        self.add_features(("features", "vectors"), flow.features);
        for (transform, active) in flow.active_transforms() {
            match transform {
                Transform::Coupling(c) => self.coupling(c),
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
                Transform::Permutation(_) => {
                    self.add("permutations", 1);
                    self.add("permuted", active);
                }
                _ => {}
            }
        }
        match &flow.base {
            Base::StudentT(_) => self.add("student_features", flow.features),
            Base::Mixture(m) => {
                self.add("mixtures", 1);
                self.add("mixture_features", flow.features);
                self.add("mixture_components", m.log_weights.len());
                self.add("mixture_macs", m.means.len());
            }
            Base::StandardNormal | Base::DiagonalNormal(_) => {}
        }
    }

    fn coupling(&mut self, c: &Coupling) {
        let moved = c.mask.moved().len();
        let given = c.mask.given().len();
        self.add("couplings", 1);
        self.add_features(("given", "given_vectors"), given);
        match &c.map {
            CouplingMap::Additive => {
                self.add("additive_couplings", 1);
                self.add_features(("additive_features", "additive_vectors"), moved);
            }
            CouplingMap::Affine { .. } => {
                self.add("affine_couplings", 1);
                self.add_features(("affine_features", "affine_vectors"), moved);
            }
            CouplingMap::Spline(s) => {
                self.add("spline_couplings", 1);
                self.add("spline_features", moved);
                self.add("spline_bins", moved * s.bins);
            }
        }
        match &c.conditioner {
            Conditioner::Mlp(net) => {
                let hidden = End::Hidden(net.activation);
                for (index, layer) in net.layers.iter().enumerate() {
                    let end = if index + 1 == net.layers.len() { End::Output } else { hidden };
                    let is_dense = index == 0 || net.activation != Activation::Relu;
                    self.layer((layer.inputs, layer.outputs), 0, (end, is_dense), 1);
                }
            }
            Conditioner::Residual(net) => {
                let is_dense = net.activation != Activation::Relu;
                self.add("residual_nets", 1);
                self.add("residual_blocks", net.blocks.len());
                self.add("trunk_units", net.initial.outputs * net.blocks.len());
                self.add("last_units", net.last.inputs);
                self.layer((net.initial.inputs, net.initial.outputs), 0, (End::Output, true), 1);
                for block in &net.blocks {
                    let (first, second) = (&block.first, &block.second);
                    let hidden = End::Hidden(net.activation);
                    self.layer((first.inputs, first.outputs), 0, (hidden, is_dense), 1);
                    self.layer((second.inputs, second.outputs), 0, (End::Output, is_dense), 1);
                }
                self.layer((net.last.inputs, net.last.outputs), 0, (End::Output, true), 1);
            }
            Conditioner::Conv1d(net) => {
                for (index, layer) in net.layers.iter().enumerate() {
                    let is_last = index + 1 == net.layers.len();
                    let end = if is_last { End::Output } else { End::Hidden(net.activation) };
                    let step = layer.inputs.next_multiple_of(4);
                    self.add("convolution_steps", net.length);
                    self.add("convolution_cells", (net.length + layer.kernel - 1) * step);
                    if is_last {
                        self.add("convolution_outputs", net.length * layer.outputs);
                    }
                    let window = (layer.kernel * step, layer.outputs);
                    let zeros = layer.kernel * (step - layer.inputs);
                    let is_dense = index == 0 || net.activation != Activation::Relu;
                    self.layer(window, zeros, (end, is_dense), net.length);
                }
            }
        }
    }

    /// So many runs of a layer, `zeros` of whose inputs are padding; `is_dense`: no ReLU made some of the others zero.
    fn layer(
        &mut self,
        (inputs, outputs): (usize, usize),
        zeros: usize,
        (end, is_dense): (End, bool),
        runs: usize,
    ) {
        let rows = outputs.next_multiple_of(4);
        let own_rows = match end {
            End::Output | End::Hidden(Activation::Relu) => None,
            End::Hidden(Activation::LeakyRelu) => Some("leaky_rows"),
            End::Hidden(Activation::Tanh) => Some("tanh_rows"),
            End::Hidden(Activation::Silu) => Some("silu_rows"),
        };
        self.add("layers", runs);
        if let Some(term) = own_rows {
            self.add("act_layers", runs);
            self.add(term, runs * rows);
        }
        match self.numeric {
            Numeric::F32 | Numeric::F32FastMath => self.float_layer((inputs, outputs), zeros, is_dense, runs),
            Numeric::I16 | Numeric::I8 => self.integer_layer((inputs, rows), end, runs),
        }
    }

    fn float_layer(&mut self, (inputs, outputs): (usize, usize), zeros: usize, is_dense: bool, runs: usize) {
        let rows = outputs.next_multiple_of(4);
        let (eights, fours) = (runs * (rows / 8), runs * (rows / 4 % 2));
        match self.kernels {
            Kernels::Pairs => {
                self.add("blocks", eights + fours);
                self.add("eights", eights * (inputs / 8));
                self.add("eights_rest", eights * (inputs % 8));
                self.add("fours", fours * (inputs / 4));
                self.add("fours_rest", fours * (inputs % 4));
            }
            Kernels::Vectors => {
                self.add("blocks_of_8", eights);
                self.add("blocks_of_4", fours);
                self.add("inputs_of_8", eights * inputs);
                self.add("inputs_of_4", fours * inputs);
            }
            Kernels::Packed | Kernels::Scalar => {
                self.add("rows", runs * outputs);
                let macs = (inputs - zeros) * outputs;
                self.add("macs", runs * macs);
                self.add("padding_macs", runs * (inputs * rows - macs));
                if is_dense {
                    self.add("dense_macs", runs * macs);
                }
            }
        }
    }

    fn integer_layer(&mut self, (inputs, rows): (usize, usize), end: End, runs: usize) {
        let (groups, blocks) = (inputs.div_ceil(4), rows / 4);
        let all = runs * blocks;
        let is_whole = matches!(end, End::Output | End::Hidden(Activation::Relu));
        if end == End::Output {
            self.add("output_blocks", all);
        }
        if self.kernels == Kernels::Vectors {
            if is_whole && groups == 16 {
                self.add("half_kept_blocks", all);
            } else if is_whole && matches!(groups, 2 | 4 | 8) {
                self.add("kept_blocks", all);
                self.add("kept_steps", all * groups / 2);
            } else {
                self.add("loop_layers", runs);
                self.add("loop_blocks", all);
                self.add("loop_steps", all * groups.div_ceil(2));
            }
            return;
        }
        let is_pairs = self.kernels == Kernels::Pairs;
        if is_pairs && self.numeric == Numeric::I16 && groups == 2 && end == End::Hidden(Activation::Relu) {
            self.add("pair_blocks", all);
        } else {
            self.add("blocks", all);
            self.add("steps", all * groups);
        }
        if is_pairs && groups > CHAIN {
            self.add("wide_layers", runs);
            self.add("wide_blocks", all);
        }
        if self.kernels == Kernels::Scalar {
            self.add("odd_blocks", all * (groups % 2));
        }
        if self.kernels == Kernels::Packed && self.numeric == Numeric::I8 {
            self.add("input_steps", runs * groups * if is_whole { 1 } else { blocks.div_ceil(BATCH) });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::reference;

    fn of(hidden: &[usize], numeric: Numeric, core: &str) -> Terms {
        count(&[reference::flow(reference::Kind::Realnvp, 16, 1, hidden).flow], numeric, core)
    }

    #[test]
    fn layers_are_counted_as_the_kernels_walk_them() {
        // 8 inputs, 24 and 20 hidden units, 16 outputs.
        let m4 = of(&[24, 20], Numeric::I16, "cortex-m4f");
        assert_eq!((m4["pair_blocks"], m4["blocks"], m4["steps"]), (6, 5 + 4, 5 * 6 + 4 * 5));
        let m55 = of(&[24, 20], Numeric::I8, "cortex-m55");
        assert_eq!((m55["kept_blocks"], m55["kept_steps"]), (6, 6));
        assert_eq!((m55["loop_blocks"], m55["loop_steps"]), (5 + 4, 5 * 3 + 4 * 3));
        let m3 = of(&[24, 20], Numeric::I8, "cortex-m3");
        assert_eq!((m3["blocks"], m3["odd_blocks"]), (6 + 5 + 4, 4));
        let float = of(&[24, 20], Numeric::F32, "cortex-m4f");
        assert_eq!((float["eights"], float["eights_rest"]), (3 + 2 * 3 + 2 * 2, 2 * 4));
        assert_eq!((float["fours"], float["blocks"]), (6, 3 + 3 + 2));
        let soft = of(&[23, 20], Numeric::F32, "cortex-m0");
        assert_eq!((soft["macs"], soft["padding_macs"]), (8 * 23 + 23 * 20 + 20 * 16, 8));
        assert_eq!(soft["dense_macs"], 8 * 23);
    }
}
