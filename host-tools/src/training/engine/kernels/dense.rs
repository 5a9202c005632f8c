//! Dense layers on a tile: outputs, input gradient, weight gradient.

use super::super::lanes::{Lanes, Line, LINE};
use super::super::matrix::{
    add_sums, add_turned_sums, dense_block, for_row_blocks, input_block, narrow_weights, turn, weight_block,
    DenseRef, Shape, AT_ONCE, STRETCH,
};
use super::{PANELS, TILE};

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

/// Runs `$block` with `$C` vectors and `$R` rows over `$rows` rows and all panels, in the shape that suits `$L`.
macro_rules! for_blocks {
    ($L:ty, $rows:expr, ($row:ident, $panel:ident), ($R:ident, $C:ident) => $block:expr) => {
        match <$L>::VECTORS {
            2 => {
                const $C: usize = 2;
                for $panel in (0..PANELS).step_by($C * <$L>::WIDTH / LINE) {
                    for_row_blocks!($rows, <$L>::ROWS, $row, $R => $block);
                }
            }
            _ => {
                const $C: usize = 4;
                for $panel in (0..PANELS).step_by($C * <$L>::WIDTH / LINE) {
                    for_row_blocks!($rows, <$L>::ROWS, $row, $R => $block);
                }
            }
        }
    };
}

impl<L: Lanes> DenseKernels for L {
    fn dense(&self, net: DenseRef<'_>, x: &[Line], out: &mut [Line], relu: bool) {
        let l = *self;
        l.vectorize(
            #[inline(always)]
            || {
                for_blocks!(L, net.shape.outputs, (row, panel), (R, C) =>
                    dense_block::<L, R, C>(l, net, (row, panel), x, out, relu));
            },
        );
    }

    fn dense_input(&self, net: DenseRef<'_>, delta: &[Line], dx: &mut [Line], gate: Option<&[Line]>) {
        let l = *self;
        l.vectorize(
            #[inline(always)]
            || {
                let outputs = net.shape.outputs;
                for first in (0..outputs).step_by(STRETCH) {
                    let gate = gate.filter(|_| first + STRETCH >= outputs);
                    for_blocks!(L, net.shape.inputs, (row, panel), (R, C) =>
                        input_block::<L, R, C>(l, net, first, (row, panel), delta, dx, gate));
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
                turn(l, x, inputs, 0, turned);
                let turned = &*turned;
                let mut column = 0;
                while column < inputs {
                    let vectors = (inputs - column).div_ceil(L::WIDTH);
                    if vectors == 1 {
                        for_row_blocks!(outputs, 8, row, R =>
                            weight_block::<L, R, 1>(l, shape, (row, column), delta, turned, dw));
                        column += L::WIDTH;
                    } else if L::VECTORS == 2 || vectors == 2 || L::WIDTH == LINE {
                        for_row_blocks!(outputs, L::ROWS * L::VECTORS / 2, row, R =>
                            weight_block::<L, R, 2>(l, shape, (row, column), delta, turned, dw));
                        column += 2 * L::WIDTH;
                    } else {
                        for_row_blocks!(outputs, L::ROWS, row, R =>
                            weight_block::<L, R, 4>(l, shape, (row, column), delta, turned, dw));
                        column += 4 * L::WIDTH;
                    }
                }
                add_sums(l, delta, outputs, db);
            },
        );
    }
}
