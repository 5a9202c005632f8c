//! Dense layers in blocks of registers: outputs, input gradient, weight gradient.
//!
//! Each goes through its output in blocks of `R` rows and `C` vectors, which the one matrix kernel fills.

use super::kernels::{PANELS, TILE};
use super::lanes::{floats, floats_mut, multiply, Elements, Lanes, Line, Vectors, LINE};
use super::sparse;

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

    /// Lines of scratch for the outputs and for the weight gradient.
    pub(crate) fn scratch(self) -> usize {
        let turned = TILE * if self.is_narrow() { AT_ONCE } else { self.stride() };
        turned.max(sparse::scratch(self))
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

/// The vectors side by side of a tile with `rows` lines a panel, from panel `first` on, of which `steps` lines are read.
#[inline(always)]
fn vectors<L: Lanes, const C: usize>(
    tile: &[Line],
    first: usize,
    rows: usize,
    steps: usize,
) -> Vectors<'_, C> {
    // Here and below loops, since `array::from_fn` and `map` stay calls, compiled without the lanes' instructions.
    let mut at = [0; C];
    for (c, at) in at.iter_mut().enumerate() {
        let (panel, column) = place::<L>(first, c);
        *at = panel * rows * LINE + column;
    }
    Vectors::new::<L>(floats(tile), at, steps)
}

/// Vector `c` from panel `first` on: its panel, and where it begins in a line.
#[inline(always)]
fn place<L: Lanes>(first: usize, c: usize) -> (usize, usize) {
    (first + c * L::WIDTH / LINE, c * L::WIDTH % LINE)
}

/// `R` lines of a panel of `rows` lines, from line `row` on.
#[inline(always)]
fn lines_mut<const R: usize>(tile: &mut [Line], panel: usize, rows: usize, row: usize) -> &mut [Line; R] {
    (&mut tile[panel * rows + row..][..R]).try_into().expect("R lines")
}

/// `out = W x + b`, then ReLU if `relu`, in blocks of `C` vectors.
#[inline(always)]
pub(super) fn outputs<L: Lanes, const C: usize>(
    l: L,
    net: DenseRef<'_>,
    x: &[Line],
    out: &mut [Line],
    relu: bool,
) {
    let Shape { inputs, outputs } = net.shape;
    let weights = Elements::new(floats(net.weights), (outputs, net.shape.stride() * LINE), (inputs, 1));
    let bias = &floats(net.bias)[..outputs];
    for panel in (0..PANELS).step_by(C * L::WIDTH / LINE) {
        let x = vectors::<L, C>(x, panel, inputs, inputs);
        for_row_blocks!(outputs, L::ROWS, row, R => {
            let mut sums = [[l.splat(0.0); C]; R];
            for (sums, &bias) in sums.iter_mut().zip(&bias[row..][..R]) {
                *sums = [l.splat(bias); C];
            }
            multiply(l, &mut sums, weights, row, x);
            for c in 0..C {
                let (panel, column) = place::<L>(panel, c);
                let out: &mut [Line; R] = lines_mut(out, panel, outputs, row);
                for (out, sums) in out.iter_mut().zip(&sums) {
                    let v = if relu { l.max(sums[c], l.splat(0.0)) } else { sums[c] };
                    l.store(v, &mut out.0[column..]);
                }
            }
        });
    }
}

/// `dx = W^T delta` in blocks of `C` vectors, [`STRETCH`] outputs after [`STRETCH`] outputs; zero where `gate <= 0`.
#[inline(always)]
pub(super) fn input_gradient<L: Lanes, const C: usize>(
    l: L,
    net: DenseRef<'_>,
    delta: &[Line],
    dx: &mut [Line],
    gate: Option<&[Line]>,
) {
    let Shape { inputs, outputs } = net.shape;
    let step = net.shape.stride() * LINE;
    for first in (0..outputs).step_by(STRETCH) {
        let steps = (outputs - first).min(STRETCH);
        let weights = Elements::new(&floats(net.weights)[first * step..], (inputs, 1), (steps, step));
        let gate = gate.filter(|_| first + steps == outputs);
        for panel in (0..PANELS).step_by(C * L::WIDTH / LINE) {
            let delta = vectors::<L, C>(&delta[first..], panel, outputs, steps);
            for_row_blocks!(inputs, L::ROWS, row, R => {
                let mut sums = [[l.splat(0.0); C]; R];
                if first > 0 {
                    for c in 0..C {
                        let (panel, column) = place::<L>(panel, c);
                        let dx: &mut [Line; R] = lines_mut(dx, panel, inputs, row);
                        for (dx, sums) in dx.iter().zip(&mut sums) {
                            sums[c] = l.load(&dx.0[column..]);
                        }
                    }
                }
                multiply(l, &mut sums, weights, row, delta);
                for c in 0..C {
                    let (panel, column) = place::<L>(panel, c);
                    let dx: &mut [Line; R] = lines_mut(dx, panel, inputs, row);
                    let gate = gate.map(|gate| &gate[panel * inputs + row..][..R]);
                    for (r, (dx, sums)) in dx.iter_mut().zip(&sums).enumerate() {
                        let zero = l.splat(0.0);
                        let v = match gate {
                            Some(gate) => l.select_gt(l.load(&gate[r].0[column..]), zero, sums[c], zero),
                            None => sums[c],
                        };
                        l.store(v, &mut dx.0[column..]);
                    }
                }
            });
        }
    }
}

/// The panels of a tile of `rows` lines each.
#[inline(always)]
fn panels(tile: &[Line], rows: usize) -> [&[Line]; PANELS] {
    let mut panels = [&tile[..0]; PANELS];
    for (p, panel) in panels.iter_mut().enumerate() {
        *panel = &tile[p * rows..][..rows];
    }
    panels
}

/// `R` lines of a panel as elements, a step per sample.
#[inline(always)]
fn samples<const R: usize>(panel: &[Line], row: usize) -> Elements<'_> {
    Elements::new(floats(&panel[row..][..R]), (R, LINE), (LINE, 1))
}

/// Columns from `column` on of a turned tile: a step per sample of all panels. See [`turn`].
#[inline(always)]
fn columns<L: Lanes, const C: usize>(turned: &[Line], column: usize) -> Vectors<'_, C> {
    let mut at = [0; C];
    for (c, at) in at.iter_mut().enumerate() {
        let column = column + c * L::WIDTH;
        *at = column / LINE * TILE * LINE + column % LINE;
    }
    Vectors::new::<L>(floats(turned), at, TILE)
}

/// `dw += delta x^T` over the tile, of a layer that is not narrow; `turned` holds the inputs: per line of a row of weights
/// the tile's samples, one line each.
#[inline(always)]
pub(super) fn wide_weights<L: Lanes>(l: L, shape: Shape, delta: &[Line], turned: &[Line], dw: &mut [Line]) {
    let delta = panels(delta, shape.outputs);
    let dw = floats_mut(dw);
    let vectors = shape.inputs.div_ceil(L::WIDTH);
    // Wide lanes fill the blocks' rows instead: a line is one vector of theirs.
    let fours = if L::VECTORS == 4 && L::WIDTH < LINE { vectors / 4 * 4 } else { 0 };
    let pairs = vectors / 2 * 2;
    weight_columns::<L, 4>(l, shape, 0..fours, delta, turned, dw);
    weight_columns::<L, 2>(l, shape, fours..pairs, delta, turned, dw);
    weight_columns::<L, 1>(l, shape, pairs..vectors, delta, turned, dw);
}

/// The vectors in `range` of each row, `C` at a time; all of a few rows before the next, whose deltas are in the nearest
/// cache then.
#[inline(always)]
fn weight_columns<L: Lanes, const C: usize>(
    l: L,
    shape: Shape,
    range: std::ops::Range<usize>,
    delta: [&[Line]; PANELS],
    turned: &[Line],
    dw: &mut [f32],
) {
    if range.is_empty() {
        return;
    }
    let stride = shape.stride() * LINE;
    let most = (L::ROWS * L::VECTORS / C).min(8);
    for_row_blocks!(shape.outputs, most, row, R => {
        for vector in range.clone().step_by(C) {
            let column = vector * L::WIDTH;
            let turned = columns::<L, C>(turned, column);
            let mut sums = [[l.splat(0.0); C]; R];
            for (p, delta) in delta.into_iter().enumerate() {
                multiply(l, &mut sums, samples::<R>(delta, row), 0, turned.steps(p * LINE, LINE));
            }
            let dw = &mut dw[row * stride + column..];
            for (r, sums) in sums.iter().enumerate() {
                let dw = &mut dw[r * stride..][..C * L::WIDTH];
                for (dw, &sum) in dw.chunks_exact_mut(L::WIDTH).zip(sums) {
                    l.store(l.add(l.load(dw), sum), dw);
                }
            }
        }
    });
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
    let x = panels(x, shape.inputs);
    for column in (0..lines * LINE).step_by(L::WIDTH * 2) {
        let turned = columns::<L, 2>(turned, column);
        for_row_blocks!(shape.inputs, 4, row, R => {
            let mut sums = [[l.splat(0.0); 2]; R];
            for (p, x) in x.into_iter().enumerate() {
                multiply(l, &mut sums, samples::<R>(x, row), 0, turned.steps(p * LINE, LINE));
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
        let panels = panels(turned, LINE);
        for at in (0..LINE).step_by(L::WIDTH) {
            let mut sum = l.splat(0.0);
            for i in 0..LINE {
                sum = l.add(sum, sum_of_panels(l, &panels, i, at));
            }
            // The sum is formed by itself, see [`add_sums`].
            l.store(l.add(l.load(&to.0[at..]), sum), &mut to.0[at..]);
        }
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
    let panels = panels(tile, rows);
    for (block, to) in floats_mut(to).chunks_exact_mut(L::WIDTH).enumerate() {
        let first = (block * L::WIDTH).min(rows);
        let live = (rows - first).min(L::WIDTH);
        let mut panels = panels;
        for panel in &mut panels {
            *panel = &panel[first..][..live];
        }
        let mut sum = l.splat(0.0);
        for at in (0..LINE).step_by(L::WIDTH) {
            let mut samples = [l.splat(0.0); LINE];
            let samples = &mut samples[..L::WIDTH];
            // A full block by itself, where the compiler has nothing to check or to count.
            if live == L::WIDTH {
                for (i, v) in samples.iter_mut().enumerate() {
                    *v = sum_of_panels(l, &panels, i, at);
                }
            } else {
                for (i, v) in samples.iter_mut().enumerate().take(live) {
                    *v = sum_of_panels(l, &panels, i, at);
                }
            }
            l.turn(samples);
            for &v in &*samples {
                sum = l.add(sum, v);
            }
        }
        // The sum is formed by itself: so what several tiles give does not depend on whether each has a gradient of its own.
        l.store(l.add(l.load(to), sum), to);
    }
}

/// Row `i` of all panels, added place by place.
#[inline(always)]
fn sum_of_panels<L: Lanes>(l: L, panels: &[&[Line]; PANELS], i: usize, at: usize) -> L::V {
    let mut sum = l.splat(0.0);
    for panel in panels {
        sum = l.add(sum, l.load(&panel[i].0[at..]));
    }
    sum
}

#[inline(always)]
pub(super) fn add_line<L: Lanes>(l: L, from: &Line, to: &mut Line) {
    for at in (0..LINE).step_by(L::WIDTH) {
        l.store(l.add(l.load(&to.0[at..]), l.load(&from.0[at..])), &mut to.0[at..]);
    }
}
