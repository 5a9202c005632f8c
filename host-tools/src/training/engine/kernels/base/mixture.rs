//! Mixtures of diagonal normals: the density with samples side by side, its gradient with features side by side.
//!
//! The gradient takes a sample after the other and of the components only those that it belongs to: they are few,
//! and a row of parameters is then a row of vectors, so that nothing has to be summed across a register.

use super::super::super::lanes::{exp, ln_1p, Lanes, Line, LINE};
use super::super::sum_line;

/// Rows that the f64 kernel takes at once, side by side.
pub(crate) const BLOCK: usize = 16;
/// Rows of one feature, side by side.
pub(crate) type Block = [f64; BLOCK];

/// Components that share a load of z.
const GROUP: usize = 4;
/// A sample's smaller shares are left out of its gradient.
const SMALL_SHARE: f32 = 1e-7;

/// Sizes of a mixture, and where its parts lie.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MixtureShape {
    /// Number of features.
    pub(crate) features: usize,
    /// Number of components, at most 64.
    pub(crate) components: usize,
}

impl MixtureShape {
    /// Lines of a row of features.
    pub(crate) fn stride(self) -> usize {
        self.features.div_ceil(LINE)
    }

    /// Lines of the weights' logarithms, which need not be normalized.
    pub(crate) fn weight_lines(self) -> usize {
        self.components.div_ceil(LINE)
    }

    /// Lines of the means, and as many of the logarithms of the standard deviations.
    pub(crate) fn entry_lines(self) -> usize {
        self.components * self.stride()
    }

    /// Lines of all parameters: weights, means, logarithms of standard deviations.
    pub(crate) fn parameters(self) -> usize {
        self.weight_lines() + 2 * self.entry_lines()
    }

    /// Lines of scratch: precisions, shares, and two transposed panels.
    pub(crate) fn scratch(self) -> usize {
        self.entry_lines() + self.components + 2 * LINE * self.stride()
    }

    /// Weights, means and logarithms of standard deviations.
    pub(crate) fn split(self, parameters: &[Line]) -> (&[Line], &[Line], &[Line]) {
        let (weights, entries) = parameters.split_at(self.weight_lines());
        let (means, log_std) = entries.split_at(self.entry_lines());
        (weights, means, log_std)
    }

    /// The same to write to.
    pub(crate) fn split_mut(self, parameters: &mut [Line]) -> (&mut [Line], &mut [Line], &mut [Line]) {
        let (weights, entries) = parameters.split_at_mut(self.weight_lines());
        let (means, log_std) = entries.split_at_mut(self.entry_lines());
        (weights, means, log_std)
    }
}

/// See `BaseKernels`.
pub(crate) trait MixtureKernels {
    /// One panel: `-log_prob` per sample, without `d ln(2 pi) / 2`. Leaves precisions and shares in `scratch`.
    fn mixture(&self, shape: MixtureShape, parameters: &[Line], z: &[Line], scratch: &mut [Line]) -> Line;

    /// The same with the gradient: `z` becomes `weight * d loss / dz`, `gradient` is added to.
    fn mixture_gradient(
        &self,
        shape: MixtureShape,
        parameters: (&[Line], &mut [Line]),
        z: &mut [Line],
        weight: &Line,
        scratch: &mut [Line],
    ) -> Line;

    /// `out[k] = sum over i of ((x[i] - means[k, i]) precisions[k, i])^2` for a block of rows, in f64 and in the
    /// same order on every lane type.
    fn distances(&self, x: &[Block], means: &[f64], precisions: &[f64], out: &mut [Block]);
}

/// Normalized logarithms of the weights.
#[inline(always)]
fn log_weights<L: Lanes>(l: L, components: usize, lines: &[Line]) -> [f32; 64] {
    let mut out = [0.0; 64];
    let mut largest = f32::NEG_INFINITY;
    for (k, out) in out[..components].iter_mut().enumerate() {
        *out = lines[k / LINE].0[k % LINE];
        largest = largest.max(*out);
    }
    let mut terms = [Line([-1e3; LINE]); 4];
    for (k, out) in out[..components].iter_mut().enumerate() {
        *out -= largest;
        terms[k / LINE].0[k % LINE] = *out;
    }
    let mut sum = Line::ZERO;
    for term in &terms[..lines.len()] {
        for at in (0..LINE).step_by(L::WIDTH) {
            let e = exp(l, l.load(&term.0[at..]));
            l.store(l.add(l.load(&sum.0[at..]), e), &mut sum.0[at..]);
        }
    }
    let mut total = Line::ZERO;
    l.store(ln_1p(l, l.splat(sum_line(&sum) - 1.0)), &mut total.0);
    for out in &mut out[..components] {
        *out -= total.0[0];
    }
    out
}

/// Fills precisions and exponents; gives the log-sum-exp.
#[inline(always)]
fn exponents<L: Lanes>(
    l: L,
    shape: MixtureShape,
    parameters: &[Line],
    z: &[Line],
    precisions: &mut [Line],
    exponents: &mut [Line],
) -> Line {
    let (weights, means, log_std) = shape.split(parameters);
    let stride = shape.stride();
    let mut constants = log_weights(l, shape.components, weights);
    for ((row, precisions), constant) in
        log_std.chunks_exact(stride).zip(precisions.chunks_exact_mut(stride)).zip(&mut constants)
    {
        for (log_std, precision) in row.iter().zip(precisions) {
            *constant -= sum_line(log_std);
            for at in (0..LINE).step_by(L::WIDTH) {
                let p = exp(l, l.sub(l.splat(0.0), l.load(&log_std.0[at..])));
                l.store(p, &mut precision.0[at..]);
            }
        }
    }
    let mut out = Line::ZERO;
    for at in (0..LINE).step_by(L::WIDTH) {
        let mut largest = l.splat(f32::MIN);
        for first in (0..shape.components).step_by(GROUP) {
            // The last group repeats its last component.
            let row = |j: usize| (first + j).min(shape.components - 1);
            let mut sums = [l.splat(0.0); GROUP];
            for (i, z) in z.iter().enumerate() {
                let z = l.load(&z.0[at..]);
                let (line, lane) = (i / LINE, i % LINE);
                for (j, sum) in sums.iter_mut().enumerate() {
                    let place = row(j) * stride + line;
                    let difference = l.sub(z, l.splat(means[place].0[lane]));
                    let u = l.mul(difference, l.splat(precisions[place].0[lane]));
                    *sum = l.mul_add(u, u, *sum);
                }
            }
            for (j, &sum) in sums.iter().enumerate() {
                let exponent = l.mul_add(sum, l.splat(-0.5), l.splat(constants[row(j)]));
                largest = l.max(largest, exponent);
                l.store(exponent, &mut exponents[row(j)].0[at..]);
            }
        }
        let mut sum = l.splat(-1.0);
        for exponent in exponents.iter() {
            sum = l.add(sum, exp(l, l.sub(l.load(&exponent.0[at..]), largest)));
        }
        l.store(l.add(largest, ln_1p(l, l.max(sum, l.splat(0.0)))), &mut out.0[at..]);
    }
    out
}

/// The lines of a panel as rows of samples, each of whole lines; what is left is zero.
#[inline(always)]
fn turn<L: Lanes>(l: L, lines: &[Line], stride: usize, rows: &mut [Line]) {
    for (block, lines) in lines.chunks(LINE).enumerate() {
        let mut from = [Line::ZERO; LINE];
        from[..lines.len()].copy_from_slice(lines);
        let mut to = [Line::ZERO; LINE];
        l.transpose(&from, &mut to);
        for (row, line) in to.iter().enumerate() {
            rows[row * stride + block] = *line;
        }
    }
}

/// Back.
#[inline(always)]
fn turn_back<L: Lanes>(l: L, rows: &[Line], stride: usize, lines: &mut [Line]) {
    for (block, lines) in lines.chunks_mut(LINE).enumerate() {
        let mut from = [Line::ZERO; LINE];
        for (row, line) in from.iter_mut().enumerate() {
            *line = rows[row * stride + block];
        }
        let mut to = [Line::ZERO; LINE];
        l.transpose(&from, &mut to);
        lines.copy_from_slice(&to[..lines.len()]);
    }
}

impl<L: Lanes> MixtureKernels for L {
    fn mixture(&self, shape: MixtureShape, parameters: &[Line], z: &[Line], scratch: &mut [Line]) -> Line {
        let l = *self;
        l.vectorize(
            #[inline(always)]
            || {
                let (precisions, rest) = scratch.split_at_mut(shape.entry_lines());
                let total = exponents(l, shape, parameters, z, precisions, &mut rest[..shape.components]);
                Line(total.0.map(|t| -t))
            },
        )
    }

    fn mixture_gradient(
        &self,
        shape: MixtureShape,
        (parameters, gradient): (&[Line], &mut [Line]),
        z: &mut [Line],
        weight: &Line,
        scratch: &mut [Line],
    ) -> Line {
        let l = *self;
        l.vectorize(
            #[inline(always)]
            || {
                let stride = shape.stride();
                let (precisions, rest) = scratch.split_at_mut(shape.entry_lines());
                let (shares, rest) = rest.split_at_mut(shape.components);
                let (rows, slopes) = rest.split_at_mut(LINE * stride);
                let slopes = &mut slopes[..LINE * stride];
                let total = exponents(l, shape, parameters, z, precisions, shares);
                let (_, means, _) = shape.split(parameters);
                let prior = log_weights(l, shape.components, &parameters[..shape.weight_lines()]);
                let (weight_slopes, mean_slopes, std_slopes) = shape.split_mut(gradient);

                let whole: f32 = sum_line(weight);
                for (k, share) in shares.iter_mut().enumerate() {
                    let mut own = Line::ZERO;
                    for at in (0..LINE).step_by(L::WIDTH) {
                        let r = exp(l, l.sub(l.load(&share.0[at..]), l.load(&total.0[at..])));
                        l.store(r, &mut share.0[at..]);
                        l.store(l.mul(r, l.load(&weight.0[at..])), &mut own.0[at..]);
                    }
                    let mut expected = Line::ZERO;
                    l.store(exp(l, l.splat(prior[k])), &mut expected.0);
                    weight_slopes[k / LINE].0[k % LINE] += whole * expected.0[0] - sum_line(&own);
                }

                turn(l, z, stride, rows);
                slopes.fill(Line::ZERO);
                let mut live = vec_of_ones(shape.features);
                let live = &mut live[..stride];
                for sample in 0..LINE {
                    if weight.0[sample] == 0.0 {
                        continue;
                    }
                    let row = &rows[sample * stride..][..stride];
                    let slope = &mut slopes[sample * stride..][..stride];
                    for (k, share) in shares.iter().enumerate() {
                        if share.0[sample] < SMALL_SHARE {
                            continue;
                        }
                        let share = l.splat(share.0[sample] * weight.0[sample]);
                        let own = k * stride..(k + 1) * stride;
                        let (means, precisions) = (&means[own.clone()], &precisions[own.clone()]);
                        let (mean_slopes, std_slopes) = (&mut mean_slopes[own.clone()], &mut std_slopes[own]);
                        for b in 0..stride {
                            for at in (0..LINE).step_by(L::WIDTH) {
                                let p = l.load(&precisions[b].0[at..]);
                                let u = l.mul(l.sub(l.load(&row[b].0[at..]), l.load(&means[b].0[at..])), p);
                                let pull = l.mul(share, u);
                                let g = l.mul(pull, p);
                                l.store(l.add(l.load(&slope[b].0[at..]), g), &mut slope[b].0[at..]);
                                let m = l.sub(l.load(&mean_slopes[b].0[at..]), g);
                                l.store(m, &mut mean_slopes[b].0[at..]);
                                let s = l.mul_add(
                                    share,
                                    l.load(&live[b].0[at..]),
                                    l.load(&std_slopes[b].0[at..]),
                                );
                                l.store(l.sub(s, l.mul(pull, u)), &mut std_slopes[b].0[at..]);
                            }
                        }
                    }
                }
                turn_back(l, slopes, stride, z);
                Line(total.0.map(|t| -t))
            },
        )
    }

    fn distances(&self, x: &[Block], means: &[f64], precisions: &[f64], out: &mut [Block]) {
        self.vectorize(
            #[inline(always)]
            || {
                let features = x.len();
                let rows = means.chunks_exact(features).zip(precisions.chunks_exact(features));
                for (out, (means, precisions)) in out.iter_mut().zip(rows) {
                    let mut sum = [0.0; BLOCK];
                    for ((x, mean), precision) in x.iter().zip(means).zip(precisions) {
                        for (sum, x) in sum.iter_mut().zip(x) {
                            let u = (x - mean) * precision;
                            *sum += u * u;
                        }
                    }
                    *out = sum;
                }
            },
        );
    }
}

/// Ones in so many places, zeros behind them: a padded feature has no standard deviation to learn.
#[inline(always)]
fn vec_of_ones(features: usize) -> [Line; 16] {
    let mut out = [Line::ZERO; 16];
    for i in 0..features {
        out[i / LINE].0[i % LINE] = 1.0;
    }
    out
}
