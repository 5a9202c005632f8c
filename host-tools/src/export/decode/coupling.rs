//! Couplings.

use super::{net, CHECKED};
use crate::flow::{Coupling, CouplingMap, Mask, ScaleMap};
use flowlet::arithmetic::Arithmetic;
use flowlet::transform::coupling::{affine, Coupling as Encoded, Map};

/// A coupling of `active` features.
pub(super) fn decode<A: Arithmetic>(
    c: &Encoded<'_>,
    active: usize,
    number: impl Fn(A::Value) -> f32,
) -> Coupling {
    let bound = number(c.bound::<A>().expect(CHECKED));
    let map = match c.map() {
        Map::Additive => CouplingMap::Additive,
        Map::Affine(affine::ScaleMap::Tanh) => CouplingMap::Affine { scale: ScaleMap::Tanh { clamp: bound } },
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
