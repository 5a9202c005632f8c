//! Dense layers on a tile: outputs, input gradient, weight gradient.

use super::super::lanes::{Lanes, Line, LINE};
use super::super::matrix::{
    add_sums, add_turned_sums, input_gradient, narrow_weights, outputs, turn, wide_weights, DenseRef, Shape,
    AT_ONCE,
};
use super::super::sparse;
use super::TILE;

/// See `Kernels`.
pub(crate) trait DenseKernels: Send + Sync {
    /// `out = W x + b`, then ReLU if `relu`, for each panel, with scratch of [`Shape::scratch`] lines.
    fn dense(&self, net: DenseRef<'_>, x: &[Line], out: &mut [Line], relu: bool, scratch: &mut [Line]);

    /// `dx = W^T delta`, zero where `gate <= 0` (the ReLU of the layer before).
    fn dense_input(&self, net: DenseRef<'_>, delta: &[Line], dx: &mut [Line], gate: Option<&[Line]>);

    /// `dw += delta x^T` over the tile and `db += delta` summed, with scratch of [`Shape::scratch`] lines.
    fn dense_weights(
        &self,
        shape: Shape,
        x: &[Line],
        delta: &[Line],
        dw: &mut [Line],
        db: &mut [Line],
        scratch: &mut [Line],
    );
}

impl<L: Lanes> DenseKernels for L {
    fn dense(&self, net: DenseRef<'_>, x: &[Line], out: &mut [Line], relu: bool, scratch: &mut [Line]) {
        let l = *self;
        l.vectorize(
            #[inline(always)]
            || {
                if sparse::is_sparse(l, net.shape, x) {
                    sparse::outputs(l, net, x, out, relu, scratch);
                } else if L::VECTORS == 2 {
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
        scratch: &mut [Line],
    ) {
        let l = *self;
        let Shape { inputs, outputs } = shape;
        l.vectorize(
            #[inline(always)]
            || {
                if shape.is_narrow() {
                    for first in (0..outputs.div_ceil(LINE)).step_by(AT_ONCE) {
                        let turned = &mut scratch[..AT_ONCE * TILE];
                        turn(l, delta, outputs, first, turned);
                        narrow_weights(l, shape, first, x, turned, dw);
                        add_turned_sums(l, turned, &mut db[first..]);
                    }
                    return;
                }
                if sparse::is_sparse(l, shape, x) {
                    return sparse::weights(l, shape, x, delta, dw, db, scratch);
                }
                let turned = scratch;
                turn(l, x, inputs, 0, turned);
                wide_weights(l, shape, delta, turned, dw);
                add_sums(l, delta, outputs, db);
            },
        );
    }
}
