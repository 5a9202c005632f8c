//! Predicted cost of a score, without running it: a linear model, fitted to what the emulator counts.
//!
//! `data/cost/fit.py` measures and fits.

use crate::export::Numeric;
use crate::flow::{Conditioner, Flow, Transform};
use serde_json::{Map, Value};

/// What a score's cost depends on.
struct Shape {
    features: usize,
    couplings: usize,
    dense_layers: usize,
    hidden_units: usize,
    transformed: usize,
    /// With the padding that kernels compute: rows to a multiple of 4, and columns too in fixed point.
    padded_macs: usize,
}

impl Shape {
    fn of(flow: &Flow, numeric: Numeric) -> Self {
        let fixed = matches!(numeric, Numeric::I16 | Numeric::I8);
        let mut shape = Self {
            features: flow.features,
            couplings: 0,
            dense_layers: 0,
            hidden_units: 0,
            transformed: 0,
            padded_macs: 0,
        };
        for coupling in flow.couplings() {
            let layers = coupling.conditioner.dense_layers();
            shape.couplings += 1;
            shape.dense_layers += layers.len();
            let hidden = layers.split_last().map_or(&[][..], |(_, hidden)| hidden);
            shape.hidden_units += hidden.iter().map(|layer| layer.outputs).sum::<usize>();
            shape.transformed += coupling.mask.moved().len();
            if let Conditioner::Conv1d(net) = &coupling.conditioner {
                // Each time step is a call of the dense kernels.
                shape.dense_layers += net.length * net.layers.len();
                let hidden = net.layers.split_last().map_or(&[][..], |(_, hidden)| hidden);
                shape.hidden_units += net.length * hidden.iter().map(|layer| layer.outputs).sum::<usize>();
                for layer in &net.layers {
                    let columns = layer.kernel * layer.inputs.next_multiple_of(4);
                    shape.padded_macs += net.length * columns * layer.outputs.next_multiple_of(4);
                }
            }
            for layer in layers {
                let columns = if fixed { layer.inputs.next_multiple_of(4) } else { layer.inputs };
                shape.padded_macs += columns * layer.outputs.next_multiple_of(4);
            }
        }
        shape
    }

    /// The factors of [`cortex_m4f`]'s coefficients.
    fn terms(&self) -> [f64; 7] {
        [
            1,
            self.features,
            self.couplings,
            self.dense_layers,
            self.hidden_units,
            self.transformed,
            self.padded_macs,
        ]
        .map(|term| term as f64)
    }
}

/// Instructions per score by core, of flows that are run one after the other.
pub(super) fn instructions(flows: &[Flow], numeric: Numeric) -> Map<String, Value> {
    let terms = flows.iter().map(|flow| Shape::of(flow, numeric).terms());
    let cost = |terms: [f64; 7]| cortex_m4f(numeric).iter().zip(terms).map(|(c, t)| c * t).sum::<f64>();
    let linear = flows.iter().flat_map(|flow| &flow.transforms).map(|t| linear_on_cortex_m4f(t, numeric));
    let count = terms.map(cost).sum::<f64>() + linear.sum::<f64>();
    let mut map = Map::new();
    map.insert("cortex-m4f".to_owned(), Value::from(count.max(0.0).round() as u64));
    map
}

/// Instructions per term of a [`Shape`], on mps2-an386 as QEMU counts them: within 3 % on flows that the
/// fit did not see.
fn cortex_m4f(numeric: Numeric) -> [f64; 7] {
    match numeric {
        Numeric::F32 | Numeric::F32FastMath => [392.56, 50.13, 192.85, 168.65, 12.83, 158.54, 2.62],
        Numeric::I16 => [588.08, 155.69, 311.8, 185.75, 15.22, 204.31, 2.19],
        Numeric::I8 => [590.32, 155.62, 311.65, 183.05, 13.78, 201.65, 2.69],
    }
}

/// Instructions of a matrix or of scales and shifts; within 0.3 % of what `device_bits_linear` prints for
/// matrices over 2 to 36 features.
fn linear_on_cortex_m4f(transform: &Transform, numeric: Numeric) -> f64 {
    let is_fixed = matches!(numeric, Numeric::I16 | Numeric::I8);
    match transform {
        Transform::Linear(t) => {
            let n = t.shift.len() as f64;
            let [block, feature, product] =
                if is_fixed { [321.6, 213.6, 4.83] } else { [271.3, 122.9, 4.42] };
            block + n * (feature + n * product)
        }
        Transform::ElementwiseAffine(t) => t.shift.len() as f64 * if is_fixed { 90.0 } else { 81.0 },
        _ => 0.0,
    }
}
