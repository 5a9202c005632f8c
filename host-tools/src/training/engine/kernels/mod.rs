//! The inner loops, written once over [`Lanes`] and compiled once per lane type.
//!
//! `Kernels` is the object-safe face of it, so that the rest of the engine is ordinary code without lane
//! parameters.
//!
//! Layout: a *panel* is 16 samples; a tile has [`PANELS`] of them. A tile of `n` rows (features or
//! activations) is `PANELS * n` lines, panel by panel. Weights are `outputs` rows of `stride` lines, padded
//! with zeros.

mod activation;
mod affine;
mod base;
mod dense;
mod linear;
mod soft_tail;
mod spline;

pub(crate) use activation::ActivationKernels;
pub(crate) use affine::AffineKernels;
pub(crate) use base::{BaseKernels, MixtureShape, BLOCK};
pub(crate) use dense::DenseKernels;
pub(crate) use linear::LinearKernels;
pub(crate) use soft_tail::SoftTailKernels;
pub(crate) use spline::{SplineKernels, SplineSettings};

use super::lanes::{Lanes, Line, LINE};
pub(crate) use super::matrix::{DenseRef, Shape};

/// Panels in a tile.
pub(crate) const PANELS: usize = 4;
/// Samples in a tile.
pub(crate) const TILE: usize = PANELS * LINE;

/// First moments below it are zero.
const LEAST_MOMENT: f32 = 1e-30;

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

/// The kernels of one lane type; those of a topic stand in a file and a trait of their own.
pub(crate) trait Kernels:
    DenseKernels
    + ActivationKernels
    + AffineKernels
    + LinearKernels
    + SplineKernels
    + SoftTailKernels
    + BaseKernels
{
    /// Name of the lane type.
    fn name(&self) -> &'static str;

    /// Lays rows out as a tile: `data` has `features` values a row, padded to whole lines; places without
    /// a row are zero.
    fn gather(&self, data: &[Line], features: usize, rows: &[usize], to: &mut [Line]);

    /// `to = clamp(from, -limit, limit)`
    fn clamp(&self, from: &[Line], limit: f32, to: &mut [Line]);

    /// `to += g` where `|clamped| < limit`: the gradient of `clamp`.
    fn clamp_gradient(&self, clamped: &[Line], limit: f32, g: &[Line], to: &mut [Line]);

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

impl<L: Lanes> Kernels for L {
    fn name(&self) -> &'static str {
        L::NAME
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
                    for at in (0..LINE).step_by(L::WIDTH) {
                        l.store(l.add(l.load(&to.0[at..]), l.load(&from.0[at..])), &mut to.0[at..]);
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
                    for at in (0..LINE).step_by(L::WIDTH) {
                        let old = l.load(&to.0[at..]);
                        let change = l.mul(l.splat(rate), l.sub(l.load(&from.0[at..]), old));
                        l.store(l.add(old, change), &mut to.0[at..]);
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
                // A vector per place of a line, so that all lane types add in the same order.
                let mut sums = [l.splat(0.0); LINE];
                let sums = &mut sums[..LINE / L::WIDTH];
                for v in values {
                    for (sum, v) in sums.iter_mut().zip(v.0.chunks_exact(L::WIDTH)) {
                        let v = l.load(v);
                        *sum = l.add(*sum, l.mul(v, v));
                    }
                }
                let mut all = Line::ZERO;
                for (sum, to) in sums.iter().zip(all.0.chunks_exact_mut(L::WIDTH)) {
                    l.store(*sum, to);
                }
                all
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
                        // Of a parameter that no sample reaches any more it would stay subnormal, which is slow.
                        let size = l.max(first, l.sub(l.splat(0.0), first));
                        let first = l.select_gt(size, l.splat(LEAST_MOMENT), first, l.splat(0.0));
                        let old = l.load(&v.0[at..]);
                        let second = l.mul_add(l.sub(l.mul(g, g), old), l.splat(1.0 - beta2), old);
                        l.store(first, &mut m.0[at..]);
                        l.store(second, &mut v.0[at..]);
                        let inverse = l.reciprocal(l.add(l.sqrt(second), l.splat(epsilon)));
                        let change = l.mul(first, inverse);
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

/// The kernels of each kind of lanes that this processor has, the widest first.
pub(crate) fn all() -> Vec<Box<dyn Kernels>> {
    let mut all: Vec<Box<dyn Kernels>> = Vec::new();
    #[cfg(target_arch = "x86_64")]
    {
        use super::lanes::{Avx2, Avx512};
        all.extend(Avx512::detect().map(|l| Box::new(l) as Box<dyn Kernels>));
        all.extend(Avx2::detect().map(|l| Box::new(l) as Box<dyn Kernels>));
    }
    #[cfg(target_arch = "aarch64")]
    all.extend(super::lanes::Neon::detect().map(|l| Box::new(l) as Box<dyn Kernels>));
    all.push(Box::new(super::lanes::Portable));
    all
}

/// Those of the widest lanes; `FLOWLET_LANES` in the environment asks for others by name (`avx2`, `portable`), to
/// measure what the difference is worth.
pub(crate) fn best() -> Box<dyn Kernels> {
    let asked = std::env::var("FLOWLET_LANES").unwrap_or_default();
    let mut all = all();
    let at = all.iter().position(|k| asked.is_empty() || k.name() == asked).unwrap_or(all.len() - 1);
    all.swap_remove(at)
}
