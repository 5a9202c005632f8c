//! The inner loops, written once over [`Lanes`] and compiled once per lane type.
//!
//! One matrix kernel serves the forward pass, the input gradient and the weight gradient: a block of
//! accumulators, a broadcast element of one matrix times a contiguous line of the other. `Kernels` is the
//! object-safe face of it, so that the rest of the engine is ordinary code without lane parameters.
//!
//! Layout: a *panel* is 16 samples; a tile has [`PANELS`] of them. A tile of `n` rows (features or
//! activations) is `PANELS * n` lines, panel by panel. Weights are `outputs` rows of `stride` lines, padded
//! with zeros.

pub(crate) mod spline;

use super::lanes::{exp, ln_1p, tanh, Lanes, Line, LINE};
use super::matrix::{dense_block, for_row_blocks, input_block, weight_block};
pub(crate) use super::matrix::{DenseRef, Shape};

/// Panels in a tile.
pub(crate) const PANELS: usize = 4;
/// Samples in a tile.
pub(crate) const TILE: usize = PANELS * LINE;

/// What [`Kernels::adam`] needs besides its slices.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AdamStep {
    /// Learning rate with the bias correction of both moments in it.
    pub(crate) rate: f32,
    /// Decay of the first moment.
    pub(crate) beta1: f32,
    /// Decay of the second moment.
    pub(crate) beta2: f32,
    /// Added to the root of the second moment, bias-corrected.
    pub(crate) epsilon: f32,
    /// Factor on the gradient: from clipping of its norm.
    pub(crate) scale: f32,
    /// Factor on the parameter before the step: `1 - lr * weight_decay`.
    pub(crate) keep: f32,
}

/// The kernels of one lane type.
pub(crate) trait Kernels: Send + Sync {
    /// Name of the lane type.
    fn name(&self) -> &'static str;

    /// `out = W x + b`, then ReLU if `relu`, for each panel.
    fn dense(&self, net: DenseRef<'_>, x: &[Line], out: &mut [Line], relu: bool);

    /// `dx = W^T delta`, zero where `gate <= 0` (the ReLU of the layer before).
    fn dense_input(&self, net: DenseRef<'_>, delta: &[Line], dx: &mut [Line], gate: Option<&[Line]>);

    /// `dw += delta x^T` over the tile and `db += delta` summed; `turned` is scratch of
    /// `stride * TILE` lines.
    fn dense_weights(
        &self,
        shape: Shape,
        x: &[Line],
        delta: &[Line],
        dw: &mut [Line],
        db: &mut [Line],
        turned: &mut [Line],
    );

    /// Lays rows out as a tile: `data` has `features` values a row, padded to whole lines; places without
    /// a row are zero.
    fn gather(&self, data: &[Line], features: usize, rows: &[usize], to: &mut [Line]);

    /// `to = clamp(from, -limit, limit)`
    fn clamp(&self, from: &[Line], limit: f32, to: &mut [Line]);

    /// `to += g` where `|clamped| < limit`: the gradient of `clamp`.
    fn clamp_gradient(&self, clamped: &[Line], limit: f32, g: &[Line], to: &mut [Line]);

    /// One panel of an affine coupling. On entry `shift` and `raw` are the conditioner's outputs; on return
    /// `x` is z, `shift` holds `x e^s`, `raw` holds `tanh(raw / clamp)`, `scale` holds `e^s`.
    fn affine(
        &self,
        clamp: f32,
        x: &mut [Line],
        shift: &mut [Line],
        raw: &mut [Line],
        scale: &mut [Line],
        log_det: &mut Line,
    );

    /// Its gradient: `g` goes from d/dz to d/dx; `shift` and `raw` become the gradients of the
    /// conditioner's outputs. `weight` is each sample's share of the loss.
    fn affine_gradient(
        &self,
        g: &mut [Line],
        shift: &mut [Line],
        raw: &mut [Line],
        scale: &[Line],
        weight: &Line,
    );

    /// One panel of the soft tail: `x` becomes its image, `log_det` is added to.
    fn soft_tail(&self, knee: f32, x: &mut [Line], log_det: &mut Line);

    /// Its gradient: `g` goes from that of the images to that of the inputs `x`. `weight` is each sample's
    /// share of the loss.
    fn soft_tail_gradient(&self, knee: f32, x: &[Line], weight: &Line, g: &mut [Line]);

    /// One panel of the standard normal base: returns `|z|^2 / 2` per sample and turns `z` into
    /// the gradient `weight * z`.
    fn base(&self, z: &mut [Line], weight: &Line) -> Line;

    /// Adds noise of standard deviation `size` to every value: sums of four uniform numbers, from `seed`.
    fn noise(&self, values: &mut [Line], size: f32, seed: u64);

    /// `to += from`
    fn add(&self, from: &[Line], to: &mut [Line]);

    /// `to += rate (from - to)`
    fn approach(&self, from: &[Line], rate: f32, to: &mut [Line]);

    /// Sum of squares.
    fn sum_of_squares(&self, values: &[Line]) -> f64;

    /// One step of Adam (Kingma and Ba 2015) with decoupled weight decay (Loshchilov and Hutter 2019).
    fn adam(&self, step: AdamStep, g: &[Line], m: &mut [Line], v: &mut [Line], p: &mut [Line]);
}

/// Sum of a line's values in one fixed order for all lane types.
#[inline(always)]
fn sum_line(line: &Line) -> f32 {
    let mut v = line.0;
    for half in [8, 4, 2, 1] {
        for i in 0..half {
            v[i] += v[i + half];
        }
    }
    v[0]
}

/// Whether a value of the line lies beyond the knee: few lines have one, and the others need no logarithm.
#[inline(always)]
fn any_beyond(line: &Line, knee: f32) -> bool {
    let mut any = false;
    for v in line.0 {
        any |= v.abs() > knee;
    }
    any
}

impl<L: Lanes> Kernels for L {
    fn name(&self) -> &'static str {
        L::NAME
    }

    fn dense(&self, net: DenseRef<'_>, x: &[Line], out: &mut [Line], relu: bool) {
        let l = *self;
        let Shape { inputs, outputs } = net.shape;
        l.vectorize(
            #[inline(always)]
            || {
                for p in 0..PANELS {
                    let x = &x[p * inputs..][..inputs];
                    let out = &mut out[p * outputs..][..outputs];
                    // One wide vector needs eight rows to hide the latency of the multiply-add.
                    if L::WIDTH == LINE {
                        for_row_blocks!(outputs, 8, row, R => dense_block::<L, R, 1>(l, net, row, x, out, relu));
                    } else {
                        for_row_blocks!(outputs, 4, row, R => dense_block::<L, R, 2>(l, net, row, x, out, relu));
                    }
                }
            },
        );
    }

    fn dense_input(&self, net: DenseRef<'_>, delta: &[Line], dx: &mut [Line], gate: Option<&[Line]>) {
        let l = *self;
        let Shape { inputs, outputs } = net.shape;
        l.vectorize(
            #[inline(always)]
            || {
                for p in 0..PANELS {
                    let delta = &delta[p * outputs..][..outputs];
                    let dx = &mut dx[p * inputs..][..inputs];
                    let gate = gate.map(|g| &g[p * inputs..][..inputs]);
                    // One wide vector needs eight rows to hide the latency of the multiply-add.
                    if L::WIDTH == LINE {
                        for_row_blocks!(inputs, 8, row, R => input_block::<L, R, 1>(l, net, row, delta, dx, gate));
                    } else {
                        for_row_blocks!(inputs, 4, row, R => input_block::<L, R, 2>(l, net, row, delta, dx, gate));
                    }
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
                for block in 0..shape.stride() {
                    let live = (inputs - block * LINE).min(LINE);
                    for p in 0..PANELS {
                        let to = &mut turned[block * TILE + p * LINE..][..LINE];
                        let to: &mut [Line; LINE] = to.try_into().expect("a panel");
                        let from = &x[p * inputs + block * LINE..][..live];
                        if let Ok(from) = from.try_into() {
                            l.transpose(from, to);
                        } else {
                            let mut padded = [Line::ZERO; LINE];
                            padded[..live].copy_from_slice(from);
                            l.transpose(&padded, to);
                        }
                    }
                    let at = (block, live);
                    if L::WIDTH == LINE || live <= L::WIDTH {
                        for_row_blocks!(outputs, 8, row, R =>
                            weight_block::<L, R, 1>(l, shape, row, at, delta, turned, dw));
                    } else {
                        for_row_blocks!(outputs, 4, row, R =>
                            weight_block::<L, R, 2>(l, shape, row, at, delta, turned, dw));
                    }
                }
                for o in 0..outputs {
                    let mut sum = delta[o];
                    for p in 1..PANELS {
                        for (sum, d) in sum.0.iter_mut().zip(delta[p * outputs + o].0) {
                            *sum += d;
                        }
                    }
                    db[o / LINE].0[o % LINE] += sum_line(&sum);
                }
            },
        );
    }

    fn gather(&self, data: &[Line], features: usize, rows: &[usize], to: &mut [Line]) {
        let l = *self;
        let stride = features.div_ceil(LINE);
        l.vectorize(
            #[inline(always)]
            || {
                for (p, to) in to.chunks_exact_mut(features).enumerate() {
                    let rows = rows.get(p * LINE..).unwrap_or(&[]);
                    for (block, to) in to.chunks_mut(LINE).enumerate() {
                        let mut from = [Line::ZERO; LINE];
                        for (from, &row) in from.iter_mut().zip(rows) {
                            *from = data[row * stride + block];
                        }
                        if let Ok(to) = <&mut [Line; LINE]>::try_from(&mut *to) {
                            l.transpose(&from, to);
                        } else {
                            let mut turned = [Line::ZERO; LINE];
                            l.transpose(&from, &mut turned);
                            to.copy_from_slice(&turned[..to.len()]);
                        }
                    }
                }
            },
        );
    }

    fn clamp(&self, from: &[Line], limit: f32, to: &mut [Line]) {
        let l = *self;
        l.vectorize(
            #[inline(always)]
            || {
                for (from, to) in from.iter().zip(to) {
                    for at in (0..LINE).step_by(L::WIDTH) {
                        let v = l.min(l.max(l.load(&from.0[at..]), l.splat(-limit)), l.splat(limit));
                        l.store(v, &mut to.0[at..]);
                    }
                }
            },
        );
    }

    fn clamp_gradient(&self, clamped: &[Line], limit: f32, g: &[Line], to: &mut [Line]) {
        let l = *self;
        l.vectorize(
            #[inline(always)]
            || {
                for ((x, g), to) in clamped.iter().zip(g).zip(to) {
                    for at in (0..LINE).step_by(L::WIDTH) {
                        let x = l.load(&x.0[at..]);
                        let size = l.max(x, l.sub(l.splat(0.0), x));
                        let g = l.select_gt(l.splat(limit), size, l.load(&g.0[at..]), l.splat(0.0));
                        l.store(l.add(l.load(&to.0[at..]), g), &mut to.0[at..]);
                    }
                }
            },
        );
    }

    fn affine(
        &self,
        clamp: f32,
        x: &mut [Line],
        shift: &mut [Line],
        raw: &mut [Line],
        scale: &mut [Line],
        log_det: &mut Line,
    ) {
        let l = *self;
        l.vectorize(
            #[inline(always)]
            || {
                let inverse = l.splat(1.0 / clamp);
                for (((x, shift), raw), scale) in x.iter_mut().zip(shift).zip(raw).zip(scale) {
                    for at in (0..LINE).step_by(L::WIDTH) {
                        let t = tanh(l, l.mul(l.load(&raw.0[at..]), inverse));
                        let s = l.mul(t, l.splat(clamp));
                        let e = exp(l, s);
                        let y = l.mul(l.load(&x.0[at..]), e);
                        l.store(l.add(y, l.load(&shift.0[at..])), &mut x.0[at..]);
                        l.store(y, &mut shift.0[at..]);
                        l.store(t, &mut raw.0[at..]);
                        l.store(e, &mut scale.0[at..]);
                        l.store(l.add(l.load(&log_det.0[at..]), s), &mut log_det.0[at..]);
                    }
                }
            },
        );
    }

    fn affine_gradient(
        &self,
        g: &mut [Line],
        shift: &mut [Line],
        raw: &mut [Line],
        scale: &[Line],
        weight: &Line,
    ) {
        let l = *self;
        l.vectorize(
            #[inline(always)]
            || {
                for (((g, shift), raw), scale) in g.iter_mut().zip(shift).zip(raw).zip(scale) {
                    for at in (0..LINE).step_by(L::WIDTH) {
                        let gz = l.load(&g.0[at..]);
                        let y = l.load(&shift.0[at..]);
                        let t = l.load(&raw.0[at..]);
                        // d loss / d log_scale = gz * x e^s - weight; the tanh then passes 1 - t^2.
                        let gs = l.sub(l.mul(gz, y), l.load(&weight.0[at..]));
                        l.store(l.mul(gs, l.sub(l.splat(1.0), l.mul(t, t))), &mut raw.0[at..]);
                        l.store(gz, &mut shift.0[at..]);
                        l.store(l.mul(gz, l.load(&scale.0[at..])), &mut g.0[at..]);
                    }
                }
            },
        );
    }

    fn soft_tail(&self, knee: f32, x: &mut [Line], log_det: &mut Line) {
        let l = *self;
        l.vectorize(
            #[inline(always)]
            || {
                for x in x {
                    if !any_beyond(x, knee) {
                        continue;
                    }
                    for at in (0..LINE).step_by(L::WIDTH) {
                        let v = l.load(&x.0[at..]);
                        let size = l.max(v, l.sub(l.splat(0.0), v));
                        let beyond = l.sub(size, l.splat(knee));
                        let grown = ln_1p(l, l.max(beyond, l.splat(0.0)));
                        let z = l.add(l.splat(knee), grown);
                        let z = l.select_gt(v, l.splat(0.0), z, l.sub(l.splat(0.0), z));
                        l.store(l.select_gt(beyond, l.splat(0.0), z, v), &mut x.0[at..]);
                        l.store(l.sub(l.load(&log_det.0[at..]), grown), &mut log_det.0[at..]);
                    }
                }
            },
        );
    }

    fn soft_tail_gradient(&self, knee: f32, x: &[Line], weight: &Line, g: &mut [Line]) {
        let l = *self;
        l.vectorize(
            #[inline(always)]
            || {
                for (x, g) in x.iter().zip(g) {
                    if !any_beyond(x, knee) {
                        continue;
                    }
                    for at in (0..LINE).step_by(L::WIDTH) {
                        let zero = l.splat(0.0);
                        let v = l.load(&x.0[at..]);
                        let size = l.max(v, l.sub(zero, v));
                        let beyond = l.max(l.sub(size, l.splat(knee)), zero);
                        // dz/dx = 1 / (1 + beyond), and d(-log_det)/dx is the same with the sign of x.
                        let pull = l.load(&weight.0[at..]);
                        let pull = l.select_gt(v, zero, pull, l.sub(zero, pull));
                        let pull = l.select_gt(beyond, zero, pull, zero);
                        let sum = l.add(l.load(&g.0[at..]), pull);
                        l.store(l.div(sum, l.add(l.splat(1.0), beyond)), &mut g.0[at..]);
                    }
                }
            },
        );
    }

    fn base(&self, z: &mut [Line], weight: &Line) -> Line {
        let l = *self;
        l.vectorize(
            #[inline(always)]
            || {
                let mut out = Line::ZERO;
                for at in (0..LINE).step_by(L::WIDTH) {
                    let mut sum = l.splat(0.0);
                    let w = l.load(&weight.0[at..]);
                    for z in z.iter_mut() {
                        let v = l.load(&z.0[at..]);
                        sum = l.mul_add(v, v, sum);
                        l.store(l.mul(v, w), &mut z.0[at..]);
                    }
                    l.store(l.mul(sum, l.splat(0.5)), &mut out.0[at..]);
                }
                out
            },
        )
    }

    fn noise(&self, values: &mut [Line], size: f32, seed: u64) {
        let l = *self;
        l.vectorize(
            #[inline(always)]
            || {
                // Sixteen xorshift32 generators side by side (Marsaglia 2003), seeded by SplitMix64.
                let mut state = [0_u32; LINE];
                let mut s = seed;
                for state in &mut state {
                    s = s.wrapping_add(0x9e37_79b9_7f4a_7c15);
                    *state = (split_mix(s) >> 32) as u32 | 1;
                }
                // A sum of four uniforms on 0..65536 has mean 131070 and standard deviation 37837.
                let scale = size / 37_837.2;
                for line in values {
                    for (v, state) in line.0.iter_mut().zip(&mut state) {
                        let mut x = *state;
                        let mut sum = 0;
                        for _ in 0..2 {
                            x ^= x << 13;
                            x ^= x >> 17;
                            x ^= x << 5;
                            sum += (x & 0xffff) + (x >> 16);
                        }
                        *state = x;
                        *v += (sum as i32 - 131_070) as f32 * scale;
                    }
                }
            },
        );
    }

    fn add(&self, from: &[Line], to: &mut [Line]) {
        let l = *self;
        l.vectorize(
            #[inline(always)]
            || {
                for (from, to) in from.iter().zip(to) {
                    for (from, to) in from.0.iter().zip(&mut to.0) {
                        *to += from;
                    }
                }
            },
        );
    }

    fn approach(&self, from: &[Line], rate: f32, to: &mut [Line]) {
        let l = *self;
        l.vectorize(
            #[inline(always)]
            || {
                for (from, to) in from.iter().zip(to) {
                    for (from, to) in from.0.iter().zip(&mut to.0) {
                        *to += rate * (from - *to);
                    }
                }
            },
        );
    }

    fn sum_of_squares(&self, values: &[Line]) -> f64 {
        let l = *self;
        let sum = l.vectorize(
            #[inline(always)]
            || {
                let mut sum = Line::ZERO;
                for v in values {
                    for (sum, v) in sum.0.iter_mut().zip(v.0) {
                        *sum += v * v;
                    }
                }
                sum
            },
        );
        sum.0.iter().map(|&v| f64::from(v)).sum()
    }

    fn adam(&self, step: AdamStep, g: &[Line], m: &mut [Line], v: &mut [Line], p: &mut [Line]) {
        let l = *self;
        let AdamStep { rate, beta1, beta2, epsilon, scale, keep } = step;
        l.vectorize(
            #[inline(always)]
            || {
                for (((g, m), v), p) in g.iter().zip(m).zip(v).zip(p) {
                    for at in (0..LINE).step_by(L::WIDTH) {
                        let g = l.mul(l.load(&g.0[at..]), l.splat(scale));
                        let old = l.load(&m.0[at..]);
                        let first = l.mul_add(l.sub(g, old), l.splat(1.0 - beta1), old);
                        let old = l.load(&v.0[at..]);
                        let second = l.mul_add(l.sub(l.mul(g, g), old), l.splat(1.0 - beta2), old);
                        l.store(first, &mut m.0[at..]);
                        l.store(second, &mut v.0[at..]);
                        let change = l.div(first, l.add(l.sqrt(second), l.splat(epsilon)));
                        let kept = l.mul(l.load(&p.0[at..]), l.splat(keep));
                        l.store(l.sub(kept, l.mul(change, l.splat(rate))), &mut p.0[at..]);
                    }
                }
            },
        );
    }
}

/// Finalizer of SplitMix64 (Steele, Lea and Flood 2014): a well-mixed 64-bit hash.
pub(crate) fn split_mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The kernels of the widest lanes that this processor has.
pub(crate) fn best() -> Box<dyn Kernels> {
    #[cfg(target_arch = "x86_64")]
    {
        use super::lanes::{Avx2, Avx512};
        if let Some(l) = Avx512::detect() {
            return Box::new(l);
        }
        if let Some(l) = Avx2::detect() {
            return Box::new(l);
        }
    }
    Box::new(super::lanes::Portable)
}
