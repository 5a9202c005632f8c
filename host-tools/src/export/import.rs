//! From an image back to the flow's parameters.
//!
//! An f32 image gives back what was exported, up to the rounding of one division. A fixed-point image
//! gives the real net that its integers stand for: the integer activations are taken as the real ones,
//! so that no scale is lost.

use super::{dense, Metadata};
use crate::flow::{AffineCoupling, Dense, Flow, Mlp, Permutation, SoftTail, Standardize, Transform};
use flowlet::arithmetic::{Arithmetic, Fixed, Float};
use flowlet::image::descriptor::Numeric;
use flowlet::transform::Step;
use flowlet::Model;

/// Reads the first expert of a checked image.
#[must_use]
pub fn import(model: &Model<'_>) -> (Flow, Metadata) {
    let metadata = Metadata {
        name: model.head().name.to_owned(),
        provenance: model.head().provenance.to_owned(),
        features: model.feature_names().map(|f| (f.name.to_owned(), f.unit.to_owned())).collect(),
    };
    let flow = match model.numeric() {
        Numeric::F32 | Numeric::F32FastMath => flow::<Float>(model, f64::from),
        Numeric::I16 | Numeric::I8 => flow::<Fixed>(model, |q| f64::from(q) / 65536.0),
    };
    (flow, metadata)
}

fn flow<A: Arithmetic>(model: &Model<'_>, real: fn(A::Value) -> f64) -> Flow {
    // A checked image has all that is asked for here.
    const CHECKED: &str = "the image was checked";
    let number = |v: Option<A::Value>| real(v.expect(CHECKED)) as f32;
    let mut transforms = vec![Transform::Standardize(standardize::<A>(model))];
    let expert = model.experts().next().expect(CHECKED);
    for step in expert.chain.steps() {
        transforms.push(match step {
            Step::SoftTail(t) => Transform::SoftTail(SoftTail { knee: number(t.knee::<A>()) }),
            Step::Permutation(p) => Transform::Permutation(Permutation {
                order: p.order().iter().take(model.features()).map(|&i| usize::from(i)).collect(),
            }),
            Step::AffineCoupling(c) => {
                let clamp = number(c.clamp::<A>());
                Transform::AffineCoupling(AffineCoupling {
                    split: c.split(),
                    condition_on_first: c.condition_on_first(),
                    clamp,
                    input_limit: number(c.input_limit::<A>()),
                    conditioner: mlp(&c, clamp),
                })
            }
            other => unreachable!("no import of {}", other.name()),
        });
    }
    Flow { features: model.features(), transforms }
}

fn standardize<A: Arithmetic>(model: &Model<'_>) -> Standardize {
    let standardizer = model.standardizer::<A>().expect("the image was checked");
    let (mean, std) = standardizer
        .parameters::<A>()
        .map(|words| match *words {
            [mean, _, std] => (f32::from_bits(mean), f32::from_bits(std)),
            [low, high, _, scale, exponent] => {
                let center = i64::from(low) | i64::from(high as i32) << 32;
                let unit = f64::from(exponent as i32).exp2();
                ((center as f64 / unit) as f32, (f64::from(scale) / unit) as f32)
            }
            _ => unreachable!("a standardizer has 3 or 5 words per feature"),
        })
        .unzip();
    Standardize { mean, std }
}

fn mlp(coupling: &flowlet::transform::AffineCoupling<'_>, clamp: f32) -> Mlp {
    // Integer inputs are real ones times this.
    let mut input_scale = match coupling.input_shift() {
        0 => 1.0,
        shift => (16.0 - f64::from(shift)).exp2(),
    };
    let mut layers = Vec::new();
    for layer in coupling.conditioner().layers() {
        let weights = dense::weights(&layer);
        let rows = weights.chunks_exact(layer.inputs);
        let (mut real_weights, mut bias) = (Vec::new(), Vec::new());
        for (row, row_weights) in rows.enumerate() {
            let word = layer.bias[row];
            let (offset, scale) = if layer.encoding == flowlet::arithmetic::dense::Encoding::F32Rows4 {
                (f64::from(f32::from_bits(word)), 1.0)
            } else if layer.is_output {
                let multiplier = f64::from(layer.multipliers[row] as i32);
                (f64::from(word as i32), multiplier / f64::from(layer.shift).exp2() / 65536.0)
            } else {
                // The bias holds one half of the shift's unit for rounding.
                let half = if layer.shift == 0 { 0.0 } else { (f64::from(layer.shift) - 1.0).exp2() };
                (f64::from(word as i32) - half, 1.0 / f64::from(layer.shift).exp2())
            };
            // The second half of an output layer is in units of the clamp.
            let unit = if layer.is_output && row >= layer.outputs / 2 { f64::from(clamp) } else { 1.0 };
            bias.push((offset * scale * unit) as f32);
            real_weights.extend(row_weights.iter().map(|w| (w * scale * unit * input_scale) as f32));
        }
        layers.push(Dense { inputs: layer.inputs, outputs: layer.outputs, weights: real_weights, bias });
        input_scale = 1.0;
    }
    Mlp { layers }
}
