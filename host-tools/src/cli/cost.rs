//! Predicted cost of a score, without running it: a linear model, fitted to what the emulator counts.
//!
//! `data/cost/fit.py` measures and fits.

use crate::export::Numeric;
use crate::flow::Flow;
use serde_json::{Map, Value};

/// What a score's cost depends on.
struct Shape {
    features: usize,
    couplings: usize,
    dense_layers: usize,
    hidden_units: usize,
    transformed: usize,
    macs: usize,
}

impl Shape {
    fn of(flow: &Flow) -> Self {
        let mut shape = Self {
            features: flow.features,
            couplings: 0,
            dense_layers: 0,
            hidden_units: 0,
            transformed: 0,
            macs: flow.macs(),
        };
        for coupling in flow.couplings() {
            let (_, transformed) = coupling.parts(flow.features);
            let layers = &coupling.conditioner.layers;
            shape.couplings += 1;
            shape.dense_layers += layers.len();
            shape.hidden_units += layers.iter().map(|layer| layer.outputs).sum::<usize>() - 2 * transformed;
            shape.transformed += transformed;
        }
        shape
    }

    /// The factors of [`cortex_m4f`]'s coefficients.
    fn terms(&self) -> [f64; 7] {
        [1, self.features, self.couplings, self.dense_layers, self.hidden_units, self.transformed, self.macs]
            .map(|term| term as f64)
    }
}

/// Instructions per score by core.
pub(super) fn instructions(flow: &Flow, numeric: Numeric) -> Map<String, Value> {
    let terms = Shape::of(flow).terms();
    let count: f64 = cortex_m4f(numeric).iter().zip(terms).map(|(cost, term)| cost * term).sum();
    let mut map = Map::new();
    map.insert("cortex-m4f".to_owned(), Value::from(count.max(0.0).round() as u64));
    map
}

/// Instructions per term of a [`Shape`], on mps2-an386 as QEMU counts them; within 5 % of every flow measured.
fn cortex_m4f(numeric: Numeric) -> [f64; 7] {
    match numeric {
        Numeric::F32 | Numeric::F32FastMath => [407.35, 156.44, 239.15, 138.15, 17.17, 158.13, 2.49],
        Numeric::I16 => [664.36, 262.03, 326.05, 140.22, 22.13, 294.7, 3.04],
        Numeric::I8 => [723.91, 261.77, 241.11, 136.97, 27.29, 295.7, 2.8],
    }
}
