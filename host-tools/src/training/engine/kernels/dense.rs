//! Dense layers on a tile: outputs, input gradient, weight gradient.

use super::super::lanes::{Lanes, Line, LINE};
use super::super::matrix::{
    add_sums, add_turned_sums, input_gradient, narrow_weights, outputs, turn, wide_weights, DenseRef, Shape,
    AT_ONCE,
};
use super::super::sparse::{is_worth_it, skipping_weights};
use super::TILE;

/// See `Kernels`.
pub(crate) trait DenseKernels: Send + Sync {
    /// `out = W x + b`, then ReLU if `relu`, for each panel.
    fn dense(&self, net: DenseRef<'_>, x: &[Line], out: &mut [Line], relu: bool);

    /// `dx = W^T delta`, zero where `gate <= 0` (the ReLU of the layer before).
    fn dense_input(&self, net: DenseRef<'_>, delta: &[Line], dx: &mut [Line], gate: Option<&[Line]>);

    /// `dw += delta x^T` over the tile and `db += delta` summed; `turned` is scratch of [`Shape::turned`] lines.
    fn dense_weights(
        &self,
        shape: Shape,
        x: &[Line],
        delta: &[Line],
        dw: &mut [Line],
        db: &mut [Line],
        turned: &mut [Line],
    );
}

impl<L: Lanes> DenseKernels for L {
    fn dense(&self, net: DenseRef<'_>, x: &[Line], out: &mut [Line], relu: bool) {
        let l = *self;
        l.vectorize(
            #[inline(always)]
            || {
                if L::VECTORS == 2 {
                    outputs::<L, 2>(l, net, x, out, relu);
                } else {
                    outputs::<L, 4>(l, net, x, out, relu);
                }
            },
        );
    }

    fn dense_input(&self, net: DenseRef<'_>, delta: &[Line], dx: &mut [Line], gate: Option<&[Line]>) {
        let l = *self;
        l.vectorize(
            #[inline(always)]
            || {
                if L::VECTORS == 2 {
                    input_gradient::<L, 2>(l, net, delta, dx, gate);
                } else {
                    input_gradient::<L, 4>(l, net, delta, dx, gate);
                }
            },
        );
    }

    fn dense_weights(
        &self,
        shape: Shape,
        x: &[Line],
        delta: &[Line],
        dw: &mut [Line],
        db: &mut [Line],
        turned: &mut [Line],
    ) {
        let l = *self;
        let Shape { inputs, outputs } = shape;
        l.vectorize(
            #[inline(always)]
            || {
                if shape.is_narrow() {
                    for first in (0..outputs.div_ceil(LINE)).step_by(AT_ONCE) {
                        let turned = &mut turned[..AT_ONCE * TILE];
                        turn(l, delta, outputs, first, turned);
                        narrow_weights(l, shape, first, x, turned, dw);
                        add_turned_sums(l, turned, &mut db[first..]);
                    }
                    return;
                }
                if is_worth_it(l, shape, x) {
                    return skipping_weights(l, shape, x, delta, dw, db, turned);
                }
                turn(l, x, inputs, 0, turned);
                wide_weights(l, shape, delta, turned, dw);
                add_sums(l, delta, outputs, db);
            },
        );
    }
}
