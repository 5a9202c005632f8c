//! The matrix kernel and its three uses: forward, input gradient, weight gradient.
//!
//! Each block function fills `R` rows of its output for one panel, from `R x C` vector accumulators.

use super::kernels::{PANELS, TILE};
use super::lanes::{floats, Lanes, Line, LINE};

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
}

/// A dense layer's parameters.
#[derive(Clone, Copy)]
pub(crate) struct DenseRef<'a> {
    pub(crate) shape: Shape,
    pub(crate) weights: &'a [Line],
    pub(crate) bias: &'a [Line],
}

/// Runs `$body` for blocks of `$most`, 4, 2 and 1 rows, with their number as the constant `$R`.
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
        {
            const $R: usize = 4;
            while $row + $R <= $rows {
                $body;
                $row += $R;
            }
        }
        if $row + 2 <= $rows {
            const $R: usize = 2;
            $body;
            $row += $R;
        }
        if $row < $rows {
            const $R: usize = 1;
            $body;
        }
    }};
}

pub(super) use for_row_blocks;

/// `acc[r][c] += a(r, k) * b[k][c]` over k: the one matrix kernel.
#[inline(always)]
fn multiply<'a, L: Lanes, const R: usize, const C: usize>(
    l: L,
    acc: &mut [[L::V; C]; R],
    column: usize,
    steps: impl Iterator<Item = ([f32; R], &'a Line)>,
) {
    for (a, b) in steps {
        let b: [L::V; C] = std::array::from_fn(|c| l.load(&b.0[column + c * L::WIDTH..]));
        for r in 0..R {
            let a = l.splat(a[r]);
            for c in 0..C {
                acc[r][c] = l.mul_add(a, b[c], acc[r][c]);
            }
        }
    }
}

#[inline(always)]
pub(super) fn dense_block<L: Lanes, const R: usize, const C: usize>(
    l: L,
    net: DenseRef<'_>,
    row: usize,
    x: &[Line],
    out: &mut [Line],
    relu: bool,
) {
    let DenseRef { shape, weights, bias } = net;
    let stride = shape.stride() * LINE;
    let rows: [&[f32]; R] = std::array::from_fn(|r| &floats(weights)[(row + r) * stride..][..shape.inputs]);
    let bias: [f32; R] = std::array::from_fn(|r| floats(bias)[row + r]);
    let x = &x[..shape.inputs];
    let out = &mut out[row..row + R];
    let mut column = 0;
    while column < LINE {
        let mut acc: [[L::V; C]; R] = bias.map(|b| [l.splat(b); C]);
        let steps = (0..shape.inputs).map(|k| (std::array::from_fn(|r| rows[r][k]), &x[k]));
        multiply(l, &mut acc, column, steps);
        for (acc, out) in acc.iter().zip(out.iter_mut()) {
            for (c, &v) in acc.iter().enumerate() {
                let v = if relu { l.max(v, l.splat(0.0)) } else { v };
                l.store(v, &mut out.0[column + c * L::WIDTH..]);
            }
        }
        column += C * L::WIDTH;
    }
}

#[inline(always)]
pub(super) fn input_block<L: Lanes, const R: usize, const C: usize>(
    l: L,
    net: DenseRef<'_>,
    row: usize,
    delta: &[Line],
    dx: &mut [Line],
    gate: Option<&[Line]>,
) {
    let stride = net.shape.stride() * LINE;
    let dx = &mut dx[row..row + R];
    let gate = gate.map(|g| &g[row..row + R]);
    let mut column = 0;
    while column < LINE {
        let mut acc = [[l.splat(0.0); C]; R];
        let steps = floats(net.weights).chunks_exact(stride).zip(delta).map(|(w, d)| {
            let w = &w[row..row + R];
            (std::array::from_fn(|r| w[r]), d)
        });
        multiply(l, &mut acc, column, steps);
        for (r, dx) in dx.iter_mut().enumerate() {
            for (c, &v) in acc[r].iter().enumerate() {
                let at = column + c * L::WIDTH;
                let v = match gate {
                    Some(g) => l.select_gt(l.load(&g[r].0[at..]), l.splat(0.0), v, l.splat(0.0)),
                    None => v,
                };
                l.store(v, &mut dx.0[at..]);
            }
        }
        column += C * L::WIDTH;
    }
}

/// `live` of the line's columns are in use: the rest stays as it is.
#[inline(always)]
pub(super) fn weight_block<L: Lanes, const R: usize, const C: usize>(
    l: L,
    shape: Shape,
    row: usize,
    (block, live): (usize, usize),
    delta: &[Line],
    turned: &[Line],
    dw: &mut [Line],
) {
    let stride = shape.stride();
    let turned = &turned[block * TILE..][..TILE];
    let mut column = 0;
    while column < live {
        let mut acc = [[l.splat(0.0); C]; R];
        for p in 0..PANELS {
            let delta: &[Line; R] = delta[p * shape.outputs + row..][..R].try_into().expect("R rows");
            let turned: &[Line; LINE] = turned[p * LINE..][..LINE].try_into().expect("a panel");
            let steps = (0..LINE).map(|s| (std::array::from_fn(|r| delta[r].0[s]), &turned[s]));
            multiply(l, &mut acc, column, steps);
        }
        for (r, acc) in acc.iter().enumerate() {
            let dw = &mut dw[(row + r) * stride + block].0;
            for (c, &v) in acc.iter().enumerate() {
                let at = column + c * L::WIDTH;
                l.store(l.add(l.load(&dw[at..]), v), &mut dw[at..]);
            }
        }
        column += C * L::WIDTH;
    }
}
