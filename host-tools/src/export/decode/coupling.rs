//! Couplings.

use super::{net, CHECKED};
use crate::flow::{Coupling, CouplingMap, Mask, ScaleMap, Spline, SplineParameters};
use flowlet::arithmetic::Arithmetic;
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
        Map::Spline(s) => CouplingMap::Spline(spline::<A>(s, c.bound::<A>().expect(CHECKED), bound)),
        other => unreachable!("no import of {other:?}"),
    };
    let conditioner = net::decode(&c.net(), c.input_shift(), &map);
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

fn spline<A: Arithmetic>(
    s: flowlet::transform::coupling::spline::Spline,
    value: A::Value,
    bound: f32,
) -> Spline {
    let shape = s.shape::<A>(value).expect(CHECKED);
    Spline {
        bins: shape.bins,
        bound,
        min_bin: A::fraction_to_f32(shape.min_bin),
        min_derivative: A::fraction_to_f32(shape.min_derivative),
        parameters: match shape.parameters {
            flowlet::arithmetic::spline::SplineParameters::Softplus => SplineParameters::Softplus,
            flowlet::arithmetic::spline::SplineParameters::SoftClipped => SplineParameters::SoftClipped,
        },
    }
}
