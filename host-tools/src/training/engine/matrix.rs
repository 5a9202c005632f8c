//! Dense layers in blocks of registers: outputs, input gradient, weight gradient.
//!
//! Each block function fills `R` rows of its output, `C` vectors wide, with the one matrix kernel.

use super::kernels::{PANELS, TILE};
use super::lanes::{floats, floats_mut, multiply, Elements, Lanes, Line, Vectors, LINE};

/// Most inputs of a narrow layer.
pub(super) const NARROW: usize = LINE / 2;
/// Lines of a narrow layer's outputs that are turned at a time.
pub(super) const AT_ONCE: usize = 2;
/// Outputs that the input gradient takes at a time, so that their tile stays in the nearest cache.
pub(super) const STRETCH: usize = 96;

/// Sizes of a dense layer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Shape {
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
}

impl Shape {
    /// Lines in a row of weights.
    pub(crate) fn stride(self) -> usize {
        self.inputs.div_ceil(LINE)
    }

    /// Lines of scratch for the weight gradient.
    pub(crate) fn turned(self) -> usize {
        TILE * if self.is_narrow() { AT_ONCE } else { self.stride() }
    }

    /// Whether vectors of inputs would be half empty: then the weight gradient has vectors of outputs.
    pub(super) fn is_narrow(self) -> bool {
        self.inputs <= NARROW
    }
}

/// A dense layer's parameters.
#[derive(Clone, Copy)]
pub(crate) struct DenseRef<'a> {
    pub(crate) shape: Shape,
    pub(crate) weights: &'a [Line],
    pub(crate) bias: &'a [Line],
}

/// Runs `$body` for blocks of `$most` (8, 4 or 2) rows and of fewer at the end, with their number as the constant
/// `$R`.
macro_rules! for_row_blocks {
    ($rows:expr, $most:expr, $row:ident, $R:ident => $body:expr) => {{
        let mut $row = 0;
        if $most == 8 {
            const $R: usize = 8;
            while $row + $R <= $rows {
                $body;
                $row += $R;
            }
        }
        if $most >= 4 {
            const $R: usize = 4;
            while $row + $R <= $rows {
                $body;
                $row += $R;
            }
        }
        {
            const $R: usize = 2;
            while $row + $R <= $rows {
                $body;
                $row += $R;
            }
        }
        if $row < $rows {
            const $R: usize = 1;
            $body;
        }
    }};
}

pub(super) use for_row_blocks;

/// Vector `c` from panel `first` on: its panel, and where it begins in a line.
#[inline(always)]
fn place<L: Lanes>(first: usize, c: usize) -> (usize, usize) {
    (first + c * L::WIDTH / LINE, c * L::WIDTH % LINE)
}

/// The vectors of a tile with `rows` lines a panel, from panel `first` on.
#[inline(always)]
fn vectors<L: Lanes, const C: usize>(tile: &[Line], first: usize, rows: usize) -> Vectors<'_, C> {
    let mut at = [0; C];
    for (c, at) in at.iter_mut().enumerate() {
        let (panel, column) = place::<L>(first, c);
        *at = panel * rows * LINE + column;
    }
    Vectors { values: floats(tile), at }
}

/// `R` lines of a panel of `rows` lines, from line `row` on.
#[inline(always)]
fn lines_mut<const R: usize>(tile: &mut [Line], panel: usize, rows: usize, row: usize) -> &mut [Line; R] {
    (&mut tile[panel * rows + row..][..R]).try_into().expect("R lines")
}

#[inline(always)]
pub(super) fn dense_block<L: Lanes, const R: usize, const C: usize>(
    l: L,
    net: DenseRef<'_>,
    (row, panel): (usize, usize),
    x: &[Line],
    out: &mut [Line],
    relu: bool,
) {
    let DenseRef { shape, weights, bias } = net;
    let stride = shape.stride() * LINE;
    let bias = &floats(bias)[row..][..R];
    let mut sums = [[l.splat(0.0); C]; R];
    for (sums, &bias) in sums.iter_mut().zip(bias) {
        *sums = [l.splat(bias); C];
    }
    let elements = Elements { values: &floats(weights)[row * stride..], row: stride, step: 1 };
    multiply(l, &mut sums, shape.inputs, elements, vectors::<L, C>(x, panel, shape.inputs));
    for c in 0..C {
        let (panel, column) = place::<L>(panel, c);
        let out: &mut [Line; R] = lines_mut(out, panel, shape.outputs, row);
        for (out, sums) in out.iter_mut().zip(&sums) {
            let v = if relu { l.max(sums[c], l.splat(0.0)) } else { sums[c] };
            l.store(v, &mut out.0[column..]);
        }
    }
}

/// Of the outputs from `first` on, [`STRETCH`] at most: their part is added to what those before gave. The gate is for
/// the last part.
#[inline(always)]
pub(super) fn input_block<L: Lanes, const R: usize, const C: usize>(
    l: L,
    net: DenseRef<'_>,
    first: usize,
    (row, panel): (usize, usize),
    delta: &[Line],
    dx: &mut [Line],
    gate: Option<&[Line]>,
) {
    let shape = net.shape;
    let mut sums = [[l.splat(0.0); C]; R];
    if first > 0 {
        for c in 0..C {
            let (panel, column) = place::<L>(panel, c);
            let dx: &mut [Line; R] = lines_mut(dx, panel, shape.inputs, row);
            for (dx, sums) in dx.iter().zip(&mut sums) {
                sums[c] = l.load(&dx.0[column..]);
            }
        }
    }
    let step = shape.stride() * LINE;
    let elements = Elements { values: &floats(net.weights)[first * step + row..], row: 1, step };
    let delta = vectors::<L, C>(&delta[first..], panel, shape.outputs);
    multiply(l, &mut sums, (shape.outputs - first).min(STRETCH), elements, delta);
    for c in 0..C {
        let (panel, column) = place::<L>(panel, c);
        let dx: &mut [Line; R] = lines_mut(dx, panel, shape.inputs, row);
        let gate = gate.map(|gate| &gate[panel * shape.inputs + row..][..R]);
        for (r, (dx, sums)) in dx.iter_mut().zip(&sums).enumerate() {
            let v = match gate {
                Some(gate) => l.select_gt(l.load(&gate[r].0[column..]), l.splat(0.0), sums[c], l.splat(0.0)),
                None => sums[c],
            };
            l.store(v, &mut dx.0[column..]);
        }
    }
}

/// `turned` holds the inputs: per line of a row of weights the tile's samples, one line each.
#[inline(always)]
pub(super) fn weight_block<L: Lanes, const R: usize, const C: usize>(
    l: L,
    shape: Shape,
    (row, column): (usize, usize),
    delta: &[Line],
    turned: &[Line],
    dw: &mut [Line],
) {
    let mut sums = [[l.splat(0.0); C]; R];
    for p in 0..PANELS {
        let mut at = [0; C];
        for (c, at) in at.iter_mut().enumerate() {
            let column = column + c * L::WIDTH;
            *at = (column / LINE * TILE + p * LINE) * LINE + column % LINE;
        }
        let delta = floats(&delta[p * shape.outputs + row..][..R]);
        let elements = Elements { values: delta, row: LINE, step: 1 };
        multiply(l, &mut sums, LINE, elements, Vectors { values: floats(turned), at });
    }
    let stride = shape.stride() * LINE;
    for (r, sums) in sums.iter().enumerate() {
        let dw = &mut floats_mut(dw)[(row + r) * stride + column..][..C * L::WIDTH];
        for (dw, &sum) in dw.chunks_exact_mut(L::WIDTH).zip(sums) {
            l.store(l.add(l.load(dw), sum), dw);
        }
    }
}

/// The weight gradient of a narrow layer for outputs from line `first` on, [`AT_ONCE`] lines at most; `turned` holds
/// their deltas.
#[inline(always)]
pub(super) fn narrow_weights<L: Lanes>(
    l: L,
    shape: Shape,
    first: usize,
    x: &[Line],
    turned: &[Line],
    dw: &mut [Line],
) {
    let mut product = [[Line::ZERO; LINE]; AT_ONCE];
    let lines = (shape.outputs.div_ceil(LINE) - first).min(AT_ONCE);
    for column in (0..lines * LINE).step_by(L::WIDTH * 2) {
        for_row_blocks!(shape.inputs, 4, row, R => {
            let mut sums = [[l.splat(0.0); 2]; R];
            for p in 0..PANELS {
                let mut at = [0; 2];
                for (c, at) in at.iter_mut().enumerate() {
                    let column = column + c * L::WIDTH;
                    *at = (column / LINE * TILE + p * LINE) * LINE + column % LINE;
                }
                let x = floats(&x[p * shape.inputs + row..][..R]);
                let elements = Elements { values: x, row: LINE, step: 1 };
                multiply(l, &mut sums, LINE, elements, Vectors { values: floats(turned), at });
            }
            for (r, sums) in sums.iter().enumerate() {
                for (c, &sum) in sums.iter().enumerate() {
                    let column = column + c * L::WIDTH;
                    l.store(sum, &mut product[column / LINE][row + r].0[column % LINE..]);
                }
            }
        });
    }
    for (product, dw) in product[..lines].iter().zip(dw[first * LINE..].chunks_mut(LINE)) {
        let mut rows = [Line::ZERO; LINE];
        l.transpose(product, &mut rows);
        for (dw, row) in dw.iter_mut().zip(&rows) {
            add_line(l, row, dw);
        }
    }
}

/// Adds the sum over the tile's samples of each output to its place in `to`, from lines of outputs: panels first, then
/// samples in order, as [`add_sums`] does.
#[inline(always)]
pub(super) fn add_turned_sums<L: Lanes>(l: L, turned: &[Line], to: &mut [Line]) {
    for (turned, to) in turned.chunks_exact(TILE).zip(to) {
        let mut sums = [Line::ZERO; LINE];
        for panel in turned.chunks_exact(LINE) {
            for (sum, line) in sums.iter_mut().zip(panel) {
                add_line(l, line, sum);
            }
        }
        add_all(l, &sums, to);
    }
}

/// Turns rows of a tile, `rows` lines a panel, into lines of samples: [`TILE`] lines for each 16 rows from
/// `16 * first` on, as many as there is room for, zero in places without a row.
#[inline(always)]
pub(super) fn turn<L: Lanes>(l: L, tile: &[Line], rows: usize, first: usize, turned: &mut [Line]) {
    for (block, turned) in (first..rows.div_ceil(LINE)).zip(turned.chunks_exact_mut(TILE)) {
        let live = (rows - block * LINE).min(LINE);
        for (p, to) in turned.chunks_exact_mut(LINE).enumerate() {
            let to: &mut [Line; LINE] = to.try_into().expect("a panel");
            let from = &tile[p * rows + block * LINE..][..live];
            if let Ok(from) = from.try_into() {
                l.transpose(from, to);
            } else {
                let mut padded = [Line::ZERO; LINE];
                padded[..live].copy_from_slice(from);
                l.transpose(&padded, to);
            }
        }
    }
}

/// Adds the sum over the tile's samples of each of `rows` rows to its place in `to`: panels first, then samples in
/// order.
#[inline(always)]
pub(super) fn add_sums<L: Lanes>(l: L, tile: &[Line], rows: usize, to: &mut [Line]) {
    // Panels by index: an iterator over them, made for each row, would divide each time.
    let panels: [&[Line]; PANELS] = std::array::from_fn(|p| &tile[p * rows..][..rows]);
    for (block, to) in to.iter_mut().enumerate() {
        let first = (block * LINE).min(rows);
        let live = (rows - first).min(LINE);
        let panels = panels.map(|panel| &panel[first..][..live]);
        let mut sums = [Line::ZERO; LINE];
        for (i, sum) in sums[..live].iter_mut().enumerate() {
            for at in (0..LINE).step_by(L::WIDTH) {
                let mut v = l.splat(0.0);
                for panel in panels {
                    v = l.add(v, l.load(&panel[i].0[at..]));
                }
                l.store(v, &mut sum.0[at..]);
            }
        }
        let mut turned = [Line::ZERO; LINE];
        l.transpose(&sums, &mut turned);
        add_all(l, &turned, to);
    }
}

/// `to` plus the sum of the lines, which is formed by itself: so what several tiles give does not depend on whether each
/// has a gradient of its own.
#[inline(always)]
fn add_all<L: Lanes>(l: L, lines: &[Line; LINE], to: &mut Line) {
    for at in (0..LINE).step_by(L::WIDTH) {
        let mut sum = l.splat(0.0);
        for line in lines {
            sum = l.add(sum, l.load(&line.0[at..]));
        }
        l.store(l.add(l.load(&to.0[at..]), sum), &mut to.0[at..]);
    }
}

#[inline(always)]
fn add_line<L: Lanes>(l: L, from: &Line, to: &mut Line) {
    for at in (0..LINE).step_by(L::WIDTH) {
        l.store(l.add(l.load(&to.0[at..]), l.load(&from.0[at..])), &mut to.0[at..]);
    }
}
