//! Couplings and their nets.

use super::{dense, CHECKED};
use crate::flow::{Activation, Conditioner, Coupling, CouplingMap, Dense, Mask, Mlp, ScaleMap};
use flowlet::arithmetic::Arithmetic;
use flowlet::conditioner::Net;
use flowlet::transform::coupling::{affine, Coupling as Encoded, Map};

/// A coupling of `active` features.
pub(super) fn decode<A: Arithmetic>(
    c: &Encoded<'_>,
    active: usize,
    number: impl Fn(A::Value) -> f32 + Copy,
) -> Coupling {
    let bound = number(c.bound::<A>().expect(CHECKED));
    let map = match c.map() {
        Map::Additive => CouplingMap::Additive,
        Map::Affine(scale) => CouplingMap::Affine { scale: scale_map::<A>(scale, bound, number) },
        other => unreachable!("no import of {other:?}"),
    };
    let conditioner = match c.net() {
        Net::Mlp(net) => Conditioner::Mlp(mlp(&net, c.input_shift(), &map)),
        other => unreachable!("no import of {}", other.name()),
    };
    Coupling {
        mask: Mask::split(active, c.split(), c.condition_on_first()),
        map,
        input_limit: number(c.input_limit::<A>().expect(CHECKED)),
        conditioner,
    }
}

fn scale_map<A: Arithmetic>(
    scale: affine::ScaleMap,
    clamp: f32,
    number: impl Fn(A::Value) -> f32,
) -> ScaleMap {
    match scale {
        affine::ScaleMap::Tanh => ScaleMap::Tanh { clamp },
        affine::ScaleMap::Hard => ScaleMap::Hard { clamp },
        affine::ScaleMap::SoftSign => ScaleMap::SoftSign { clamp },
        affine::ScaleMap::Sigmoid { offset, floor } => ScaleMap::Sigmoid {
            offset: number(A::value(offset).expect(CHECKED)),
            floor: A::scale_floor(floor).expect(CHECKED),
        },
        other => unreachable!("no import of {other:?}"),
    }
}

fn mlp(net: &flowlet::conditioner::Mlp<'_>, input_shift: u8, map: &CouplingMap) -> Mlp {
    // The second half of an affine coupling's outputs may be in units of the clamp.
    let clamp = f64::from(map.raw_unit());
    // Integer inputs are real ones times this.
    let mut input_scale = match input_shift {
        0 => 1.0,
        shift => (16.0 - f64::from(shift)).exp2(),
    };
    let mut layers = Vec::new();
    for layer in net.layers() {
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
            let unit = if layer.is_output && row >= layer.outputs / 2 { clamp } else { 1.0 };
            bias.push((offset * scale * unit) as f32);
            real_weights.extend(row_weights.iter().map(|w| (w * scale * unit * input_scale) as f32));
        }
        layers.push(Dense { inputs: layer.inputs, outputs: layer.outputs, weights: real_weights, bias });
        input_scale = 1.0;
    }
    Mlp { activation: Activation::Relu, layers }
}
