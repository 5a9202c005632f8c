//! A dense layer whose inputs are mostly zero, as those behind a ReLU are: outputs and weight gradient in steps that skip
//! zeros.
//!
//! Products have a row of inputs for left matrix and vectors of outputs for right one, where [`super::matrix`] has rows of
//! outputs and vectors of samples or inputs: all that a zero would be multiplied with is passed by at once. What is added
//! is added in the same order, so that for finite operands the results are the same, bit for bit.

use super::kernels::{PANELS, TILE};
use super::lanes::{floats, multiply_live, Lanes, Line, Row, Vectors, LINE};
use super::matrix::{add_line, add_turned_sums, turn, DenseRef, Shape};

/// Lines of outputs at a time: their tile fits into the nearest cache.
const STRETCH: usize = 6;
/// Outputs of a layer that is worth it: with fewer, there are too few accumulators to hide the latency of multiply-adds.
const LEAST: usize = 4 * LINE;

// What an input is in all samples of a tile makes a row.
const _: () = assert!(TILE == Row::MOST);

/// A line of outputs per row, for each line of a stretch.
type Product = [[Line; LINE]; STRETCH];

/// Lines of scratch for outputs and for the weight gradient: turned weights or deltas, and turned inputs.
pub(super) fn scratch(shape: Shape) -> usize {
    if may_skip(shape) {
        (STRETCH + shape.stride()) * TILE
    } else {
        0
    }
}

/// Whether a layer of this shape is to skip zeros, if there are enough.
#[inline(always)]
fn may_skip(shape: Shape) -> bool {
    !shape.is_narrow() && shape.stride() * LINE <= Row::MOST && shape.outputs > LEAST
}

/// Whether zeros are to be skipped, by the lanes, the layer's shape, and the first panel's share of zeros.
#[inline(always)]
pub(super) fn is_sparse<L: Lanes>(l: L, shape: Shape, x: &[Line]) -> bool {
    if !L::SKIPS || !may_skip(shape) {
        return false;
    }
    let panel = floats(&x[..shape.inputs]);
    let live: u32 = panel.chunks_exact(L::WIDTH).map(|v| l.live(l.load(v)).count_ones()).sum();
    // Two in five: turning the operands and the results costs as much as some of the zeros save.
    live as usize * 5 < panel.len() * 2
}

/// `out = W x + b`, then ReLU if `relu`.
#[inline(always)]
pub(super) fn outputs<L: Lanes>(
    l: L,
    net: DenseRef<'_>,
    x: &[Line],
    out: &mut [Line],
    relu: bool,
    scratch: &mut [Line],
) {
    let Shape { inputs, outputs } = net.shape;
    let stride = net.shape.stride();
    let (samples, turned) = scratch.split_at_mut(stride * TILE);
    turn(l, x, inputs, 0, samples);
    for first in (0..outputs.div_ceil(LINE)).step_by(STRETCH) {
        let lines = (outputs.div_ceil(LINE) - first).min(STRETCH);
        let turned = &mut turned[..lines * TILE];
        turn_weights(l, net, first, turned);
        let mut bias = [Line::ZERO; STRETCH];
        bias[..lines].copy_from_slice(&net.bias[first..first + lines]);
        let mut product = [[Line::ZERO; LINE]; STRETCH];
        for p in 0..PANELS {
            let rows = rows(l, &samples[p * LINE..], LINE, (stride, TILE));
            multiply_rows(l, &rows, turned, &bias, &mut product);
            let out = &mut out[p * outputs..][..outputs];
            for (product, out) in product.iter().zip(out[first * LINE..].chunks_mut(LINE)).take(lines) {
                turn_back(l, product, out);
                if relu {
                    rectify(l, out);
                }
            }
        }
    }
}

/// `dw += delta x^T` and `db += delta` over the tile.
#[inline(always)]
pub(super) fn weights<L: Lanes>(
    l: L,
    shape: Shape,
    x: &[Line],
    delta: &[Line],
    dw: &mut [Line],
    db: &mut [Line],
    scratch: &mut [Line],
) {
    let Shape { inputs, outputs } = shape;
    let stride = shape.stride();
    for first in (0..outputs.div_ceil(LINE)).step_by(STRETCH) {
        let lines = (outputs.div_ceil(LINE) - first).min(STRETCH);
        let turned = &mut scratch[..lines * TILE];
        turn(l, delta, outputs, first, turned);
        let dw = &mut dw[first * LINE * stride..];
        for group in 0..stride {
            let here = (inputs - group * LINE).min(LINE);
            let rows = rows(l, &x[group * LINE..], here, (PANELS, inputs));
            let mut product = [[Line::ZERO; LINE]; STRETCH];
            multiply_rows(l, &rows[..here], turned, &[Line::ZERO; STRETCH], &mut product);
            for (product, dw) in product[..lines].iter().zip(dw.chunks_mut(LINE * stride)) {
                let mut back = [Line::ZERO; LINE];
                l.transpose(product, &mut back);
                for (line, dw) in back.iter().zip(dw.chunks_exact_mut(stride)) {
                    add_line(l, line, &mut dw[group]);
                }
            }
        }
        add_turned_sums(l, turned, &mut db[first..]);
    }
}

/// Lines of outputs, of which the last may be missing, from lines of samples.
#[inline(always)]
fn turn_back<L: Lanes>(l: L, product: &[Line; LINE], out: &mut [Line]) {
    if let Ok(out) = <&mut [Line; LINE]>::try_from(&mut *out) {
        return l.transpose(product, out);
    }
    let mut back = [Line::ZERO; LINE];
    l.transpose(product, &mut back);
    out.copy_from_slice(&back[..out.len()]);
}

/// ReLU.
#[inline(always)]
fn rectify<L: Lanes>(l: L, out: &mut [Line]) {
    for line in out {
        for at in (0..LINE).step_by(L::WIDTH) {
            l.store(l.max(l.load(&line.0[at..]), l.splat(0.0)), &mut line.0[at..]);
        }
    }
}

/// Weights of the outputs from line `first` on: for each line of outputs a line per input, in [`TILE`] lines.
#[inline(always)]
fn turn_weights<L: Lanes>(l: L, net: DenseRef<'_>, first: usize, turned: &mut [Line]) {
    let stride = net.shape.stride();
    let rows = net.weights[first * LINE * stride..].chunks(LINE * stride);
    for (rows, turned) in rows.zip(turned.chunks_exact_mut(TILE)) {
        for (group, turned) in turned.chunks_exact_mut(LINE).enumerate().take(stride) {
            let mut from = [Line::ZERO; LINE];
            for (from, row) in from.iter_mut().zip(rows.chunks_exact(stride)) {
                *from = row[group];
            }
            l.transpose(&from, turned.try_into().expect("a line per input"));
        }
    }
}

/// The first `count` rows, whose first lines stand one behind the other; a row has `lines` lines, `apart` lines from one
/// another. All zeros are found before the first product: it would wait for them at every row's end.
#[inline(always)]
fn rows<L: Lanes>(l: L, values: &[Line], count: usize, (lines, apart): (usize, usize)) -> [Row<'_>; LINE] {
    let mut rows = [Row::EMPTY; LINE];
    for (i, row) in rows[..count].iter_mut().enumerate() {
        *row = Row::new(l, floats(&values[i..]), lines, apart * LINE);
    }
    rows
}

/// `start` plus the products of `rows` with `turned`, which has for each line of outputs a line per element of a row, in
/// [`TILE`] lines.
#[inline(always)]
fn multiply_rows<L: Lanes>(
    l: L,
    rows: &[Row<'_>],
    turned: &[Line],
    start: &[Line; STRETCH],
    product: &mut Product,
) {
    let vectors = turned.len() / TILE * (LINE / L::WIDTH);
    let mut first = 0;
    macro_rules! columns {
        ($($C:literal)*) => {$(
            while vectors - first >= $C {
                multiply_columns::<L, $C>(l, rows, turned, start, first, product);
                first += $C;
            }
        )*};
    }
    // Accumulators, with an element in a register of its own, fit into 16.
    columns!(12 8 4 2 1);
}

/// `C` vectors of each row, from vector `first` on.
#[inline(always)]
fn multiply_columns<L: Lanes, const C: usize>(
    l: L,
    rows: &[Row<'_>],
    turned: &[Line],
    start: &[Line; STRETCH],
    first: usize,
    product: &mut Product,
) {
    let place = |c: usize| ((first + c) * L::WIDTH / LINE, (first + c) * L::WIDTH % LINE);
    let steps = rows.first().map_or(0, |row| row.steps());
    let mut at = [0; C];
    for (c, at) in at.iter_mut().enumerate() {
        let (line, column) = place(c);
        *at = line * TILE * LINE + column;
    }
    let vectors = Vectors::new::<L>(floats(turned), at, steps);
    for (i, &row) in rows.iter().enumerate() {
        let mut sums = [l.splat(0.0); C];
        for (c, sum) in sums.iter_mut().enumerate() {
            let (line, column) = place(c);
            *sum = l.load(&start[line].0[column..]);
        }
        multiply_live(l, &mut sums, row, vectors);
        for (c, &sum) in sums.iter().enumerate() {
            let (line, column) = place(c);
            l.store(sum, &mut product[line][i].0[column..]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::lanes::Portable;
    #[cfg(target_arch = "x86_64")]
    use super::super::lanes::{Avx2, Avx512};
    use super::super::matrix;
    use super::*;
    use crate::training::random::Random;

    /// More than a stretch of outputs, lines that are not full, the most inputs, the fewest outputs.
    const SHAPES: [(usize, usize); 5] = [(32, 92), (17, 65), (64, 200), (45, 97), (9, 66)];

    fn lines(count: usize, random: &mut Random, mut value: impl FnMut(&mut Random) -> f32) -> Vec<Line> {
        (0..count).map(|_| Line(std::array::from_fn(|_| value(random)))).collect()
    }

    fn tile(rows: usize, live: f32, random: &mut Random) -> Vec<Line> {
        let value = |random: &mut Random| {
            let value = random.uniform() - 0.5;
            if random.uniform() < live {
                value
            } else {
                0.0
            }
        };
        lines(PANELS * rows, random, value)
    }

    fn bits(lines: &[Line]) -> Vec<u32> {
        floats(lines).iter().map(|v| v.to_bits()).collect()
    }

    fn same_bits_as_the_dense_form<L: Lanes, const C: usize>(l: L) {
        let mut random = Random::new(41, 1);
        for (inputs, outputs) in SHAPES {
            let shape = Shape { inputs, outputs };
            for live in [0.0, 0.25, 1.0] {
                let what = format!("{} {inputs} x {outputs}, {live} live", L::NAME);
                let stride = shape.stride();
                let any = |random: &mut Random| random.uniform() - 0.5;
                let mut weights = lines(outputs * stride, &mut random, any);
                // Padding is zero.
                for row in floats_of(&mut weights).chunks_exact_mut(stride * LINE) {
                    row[inputs..].fill(0.0);
                }
                let bias = lines(outputs.div_ceil(LINE), &mut random, any);
                let x = tile(inputs, live, &mut random);
                let delta = tile(outputs, 1.0, &mut random);
                let mut scratch = vec![Line([f32::NAN; LINE]); shape.scratch()];

                let net = DenseRef { shape, weights: &weights, bias: &bias };
                for relu in [false, true] {
                    let (mut want, mut got) = (vec![Line::ZERO; PANELS * outputs], vec![]);
                    got.clone_from(&want);
                    matrix::outputs::<L, C>(l, net, &x, &mut want, relu);
                    super::outputs(l, net, &x, &mut got, relu, &mut scratch);
                    assert_eq!(bits(&got), bits(&want), "{what}: outputs");
                }

                let (mut want, mut want_bias) = (weights.clone(), bias.clone());
                let (mut got, mut got_bias) = (weights.clone(), bias.clone());
                let mut turned = vec![Line::ZERO; shape.stride() * TILE];
                turn(l, &x, inputs, 0, &mut turned);
                matrix::wide_weights(l, shape, &delta, &turned, &mut want);
                matrix::add_sums(l, &delta, outputs, &mut want_bias);
                super::weights(l, shape, &x, &delta, &mut got, &mut got_bias, &mut scratch);
                assert_eq!(bits(&got), bits(&want), "{what}: weight gradient");
                assert_eq!(bits(&got_bias), bits(&want_bias), "{what}: bias gradient");
            }
        }
    }

    fn floats_of(lines: &mut [Line]) -> &mut [f32] {
        super::super::lanes::floats_mut(lines)
    }

    #[test]
    fn skipping_zeros_changes_no_bit_on_any_lane_type() {
        same_bits_as_the_dense_form::<_, 4>(Portable);
        #[cfg(target_arch = "x86_64")]
        {
            match Avx2::detect() {
                Some(l) => same_bits_as_the_dense_form::<_, 2>(l),
                None => println!("skipped: this processor has no AVX2 and FMA"),
            }
            match Avx512::detect() {
                Some(l) => same_bits_as_the_dense_form::<_, 4>(l),
                None => println!("skipped: this processor has no AVX-512F"),
            }
        }
        #[cfg(target_arch = "aarch64")]
        same_bits_as_the_dense_form::<_, 4>(
            super::super::lanes::Neon::detect().expect("every 64-bit Arm has it"),
        );
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn zeros_are_skipped_where_that_pays() {
        let Some(l) = Avx2::detect() else { return println!("skipped: this processor has no AVX2 and FMA") };
        let mut random = Random::new(42, 1);
        for (inputs, outputs, live, want) in [
            (32, 92, 0.25, true),
            (32, 92, 0.6, false),
            (32, 64, 0.25, false),
            (65, 92, 0.25, false),
            (8, 92, 0.25, false),
        ] {
            let x = tile(inputs, live, &mut random);
            let found = is_sparse(l, Shape { inputs, outputs }, &x);
            assert_eq!(found, want, "{inputs} x {outputs}, {live} live");
        }
        assert!(!is_sparse(Portable, Shape { inputs: 32, outputs: 92 }, &tile(32, 0.25, &mut random)));
    }
}
