//! The weight gradient of a dense layer whose inputs are mostly zero, as those behind a ReLU are, in steps that skip zeros.

use super::kernels::{PANELS, TILE};
use super::lanes::{floats, multiply_live, Lanes, Line, Samples, Vectors, LINE};
use super::matrix::{add_line, add_turned_sums, turn, Shape};

/// Lines of outputs that are turned at a time: their tile fits into the nearest cache.
pub(super) const STRETCH: usize = 6;
/// Vectors of accumulators, at most: with an element in a register of its own, they fit into 16.
const MOST: usize = 12;
/// Outputs of a layer that is worth it: with fewer there are too few accumulators to hide the latency of multiply-adds.
const LEAST: usize = 4 * LINE;

/// Whether zeros are to be skipped, by the lanes, the layer's shape, and the first panel's share of zeros.
#[inline(always)]
pub(super) fn is_worth_it<L: Lanes>(l: L, shape: Shape, x: &[Line]) -> bool {
    if !L::SKIPS || shape.is_narrow() || shape.outputs <= LEAST {
        return false;
    }
    let panel = floats(&x[..shape.inputs]);
    let live: u32 = panel.chunks_exact(L::WIDTH).map(|v| l.live(l.load(v)).count_ones()).sum();
    // Two in five: turning the deltas and the gradient costs as much as some of the zeros save.
    live as usize * 5 < panel.len() * 2
}

/// `dw += delta x^T` and `db += delta` over the tile, in the order of the dense form, bit for bit. `turned` is scratch of
/// [`Shape::turned`] lines.
#[inline(always)]
pub(super) fn skipping_weights<L: Lanes>(
    l: L,
    shape: Shape,
    x: &[Line],
    delta: &[Line],
    dw: &mut [Line],
    db: &mut [Line],
    turned: &mut [Line],
) {
    let Shape { inputs, outputs } = shape;
    let stride = shape.stride();
    for first in (0..outputs.div_ceil(LINE)).step_by(STRETCH) {
        let lines = (outputs.div_ceil(LINE) - first).min(STRETCH);
        let turned = &mut turned[..lines * TILE];
        turn(l, delta, outputs, first, turned);
        let rows = &mut dw[first * LINE * stride..outputs.min((first + lines) * LINE) * stride];
        for group in 0..stride {
            // The product's columns, a line of outputs each.
            let mut product = [[Line::ZERO; LINE]; STRETCH];
            let here = (inputs - group * LINE).min(LINE);
            let mut live = [0; LINE];
            for (i, live) in live[..here].iter_mut().enumerate() {
                *live = samples(x, inputs, group * LINE + i).live(l);
            }
            for (i, &live) in live[..here].iter().enumerate() {
                let x = samples(x, inputs, group * LINE + i);
                product_column(l, x, turned, live, i, &mut product);
            }
            for (product, rows) in product.iter().zip(rows.chunks_mut(LINE * stride)) {
                let mut turned_back = [Line::ZERO; LINE];
                l.transpose(product, &mut turned_back);
                for (line, row) in turned_back.iter().zip(rows.chunks_exact_mut(stride)) {
                    add_line(l, line, &mut row[group]);
                }
            }
        }
        add_turned_sums(l, turned, &mut db[first..]);
    }
}

/// Row `row` of a tile with `rows` lines a panel.
#[inline(always)]
fn samples(tile: &[Line], rows: usize, row: usize) -> Samples<'_> {
    Samples::new(floats(&tile[row..(PANELS - 1) * rows + row + 1]), rows * LINE)
}

/// What all outputs in `turned` get for input `i`, into line `i` of each line of outputs.
#[inline(always)]
fn product_column<L: Lanes>(
    l: L,
    x: Samples<'_>,
    turned: &[Line],
    live: u64,
    i: usize,
    product: &mut [[Line; LINE]; STRETCH],
) {
    let vectors = turned.len() / TILE * (LINE / L::WIDTH);
    let mut at = 0;
    macro_rules! blocks {
        ($($C:literal)*) => {$(
            while at + $C <= vectors {
                product_block::<L, $C>(l, x, turned, live, (at, i), product);
                at += $C;
            }
        )*};
    }
    blocks!(12 8 4 2 1);
}

/// `C` vectors of it, from vector `first` on.
#[inline(always)]
fn product_block<L: Lanes, const C: usize>(
    l: L,
    x: Samples<'_>,
    turned: &[Line],
    live: u64,
    (first, i): (usize, usize),
    product: &mut [[Line; LINE]; STRETCH],
) {
    const { assert!(C <= MOST) };
    let mut at = [0; C];
    for (c, at) in at.iter_mut().enumerate() {
        let column = (first + c) * L::WIDTH;
        *at = column / LINE * TILE * LINE + column % LINE;
    }
    let mut sums = [l.splat(0.0); C];
    multiply_live(l, &mut sums, x, Vectors::new::<L>(floats(turned), at, TILE), live);
    for (c, &sum) in sums.iter().enumerate() {
        let column = (first + c) * L::WIDTH;
        l.store(sum, &mut product[column / LINE][i].0[column % LINE..]);
    }
}
