//! The matrix kernel: a block of accumulators in registers, elements of one matrix times vectors of another.
// Unchecked reads behind one check per matrix. With slices and a check at each, in blocks of one vector, a RealNVP of 8
// features trained at 1.12 million rows a second with AVX-512 instead of 1.79 (`cargo bench -p flowlet-tools --bench
// training`, Intel Xeon of the Sapphire Rapids kind). Products that skip zeros would, with checks, even be slower than dense
// ones: of 32 inputs, a quarter not zero, to 92 outputs 221 cycles a sample instead of 159 for the outputs (dense: 184) and
// 209 instead of 159 for the weight gradient (dense: 208), with AVX2 on a Zen 3.
#![allow(unsafe_code)]

use super::{Lanes, LINE};

/// Elements of the left matrix: `a(r, k)` is `values[r * row + k * step]`, for `rows` rows and `steps` steps.
// Fields are private and checked once: all of these elements lie within `values`.
#[derive(Clone, Copy)]
pub(crate) struct Elements<'a> {
    values: &'a [f32],
    rows: usize,
    row: usize,
    steps: usize,
    step: usize,
}

impl<'a> Elements<'a> {
    /// Panics if an element lies outside `values`.
    #[inline(always)]
    pub(crate) fn new(values: &'a [f32], (rows, row): (usize, usize), (steps, step): (usize, usize)) -> Self {
        if let (Some(r), Some(k)) = (rows.checked_sub(1), steps.checked_sub(1)) {
            let farthest = r.saturating_mul(row).saturating_add(k.saturating_mul(step));
            assert!(farthest < values.len(), "elements beyond their matrix");
        }
        Self { values, rows, row, steps, step }
    }
}

/// Vectors of the right matrix: `b(k, c)` begins at `values[at[c] + k * LINE]`, for `steps` steps.
// As above: all of these vectors, `width` values each, lie within `values`.
#[derive(Clone, Copy)]
pub(crate) struct Vectors<'a, const C: usize> {
    values: &'a [f32],
    width: usize,
    at: [usize; C],
    steps: usize,
}

impl<'a, const C: usize> Vectors<'a, C> {
    /// Panics if a vector of `L` lies outside `values`.
    #[inline(always)]
    pub(crate) fn new<L: Lanes>(values: &'a [f32], at: [usize; C], steps: usize) -> Self {
        if let Some(last) = steps.checked_sub(1) {
            for at in at {
                let end = at.saturating_add(last.saturating_mul(LINE)).saturating_add(L::WIDTH);
                assert!(end <= values.len(), "vectors beyond their matrix");
            }
        }
        Self { values, width: L::WIDTH, at, steps }
    }

    /// `count` of the steps, from `first` on; panics if there are fewer.
    #[inline(always)]
    pub(crate) fn steps(mut self, first: usize, count: usize) -> Self {
        assert!(self.steps >= count && first <= self.steps - count, "steps beyond a matrix");
        for at in &mut self.at {
            *at += first * LINE;
        }
        self.steps = count;
        self
    }
}

/// `sums[r][c] += a(first + r, k) b(k, c)` for all steps `k`, in their order.
///
/// Panics if `a` has fewer rows or `b` other steps, or vectors of other lanes.
#[inline(always)]
pub(crate) fn multiply<L: Lanes, const R: usize, const C: usize>(
    l: L,
    sums: &mut [[L::V; C]; R],
    a: Elements<'_>,
    first: usize,
    b: Vectors<'_, C>,
) {
    assert!(
        a.rows >= R && first <= a.rows - R && a.steps == b.steps && b.width == L::WIDTH,
        "other matrices"
    );
    for k in 0..a.steps {
        let mut vectors = [l.splat(0.0); C];
        for (vector, at) in vectors.iter_mut().zip(b.at) {
            let from = at + k * LINE;
            // SAFETY: `k` is less than the steps, so `Vectors::new` found the end of this vector to be within the slice.
            *vector = l.load(unsafe { b.values.get_unchecked(from..from + L::WIDTH) });
        }
        for (r, sums) in sums.iter_mut().enumerate() {
            // SAFETY: `first + r` is less than the rows and `k` than the steps: `Elements::new` checked the farthest.
            let element = l.splat(unsafe { *a.values.get_unchecked((first + r) * a.row + k * a.step) });
            for (sum, vector) in sums.iter_mut().zip(vectors) {
                *sum = l.mul_add(element, vector, *sum);
            }
        }
    }
}

/// A row of elements of which most may be zero: lines of them, `apart` values from one another.
// Checked once: all of these elements lie within `values`, and bits of `live` are set for steps only.
#[derive(Clone, Copy)]
pub(crate) struct Row<'a> {
    values: &'a [f32],
    apart: usize,
    steps: usize,
    live: u64,
}

impl<'a> Row<'a> {
    /// Elements of a row, at most: each has a bit.
    pub(crate) const MOST: usize = u64::BITS as usize;

    /// A row without elements.
    pub(crate) const EMPTY: Self = Self { values: &[], apart: 0, steps: 0, live: 0 };

    /// The row of so many lines; panics if one lies outside `values`, or if there are more than [`Self::MOST`] elements.
    #[inline(always)]
    pub(crate) fn new<L: Lanes>(l: L, values: &'a [f32], lines: usize, apart: usize) -> Self {
        let steps = lines * LINE;
        assert!(steps <= Self::MOST, "a row without enough bits");
        let mut live = 0;
        for line in (0..lines).rev() {
            let elements = &values[line * apart..][..LINE];
            for at in (0..LINE).step_by(L::WIDTH).rev() {
                live = live << L::WIDTH | u64::from(l.live(l.load(&elements[at..])));
            }
        }
        Self { values, apart, steps, live }
    }

    /// Elements, zeros among them.
    #[inline(always)]
    pub(crate) fn steps(self) -> usize {
        self.steps
    }
}

/// `sums[c] += a(k) b(k, c)` for the steps `k` whose element is not zero, in their order.
///
/// Panics if `b` has other steps, or vectors of other lanes.
#[inline(always)]
pub(crate) fn multiply_live<L: Lanes, const C: usize>(
    l: L,
    sums: &mut [L::V; C],
    a: Row<'_>,
    b: Vectors<'_, C>,
) {
    assert!(b.steps == a.steps && b.width == L::WIDTH, "other matrices");
    let mut live = a.live;
    while live != 0 {
        let k = live.trailing_zeros() as usize;
        live &= live - 1;
        // SAFETY: bits are set for steps only, whose elements `Row::new` has read from these places.
        let element = l.splat(unsafe { *a.values.get_unchecked(k / LINE * a.apart + k % LINE) });
        for (sum, at) in sums.iter_mut().zip(b.at) {
            let from = at + k * LINE;
            // SAFETY: `k` is less than the steps, so `Vectors::new` found the end of this vector to be within the slice.
            let vector = l.load(unsafe { b.values.get_unchecked(from..from + L::WIDTH) });
            *sum = l.mul_add(element, vector, *sum);
        }
    }
}
