//! Vector registers behind one trait, chosen at run time.
//!
//! [`Lanes`] names the few operations that the tile engine needs; `avx512`, `avx2`, `neon` and [`portable`]
//! provide them. Kernels are written once over `L: Lanes` (see `kernels`). A lane type is also the proof that
//! the processor has its instructions: all but [`Portable`] can only be had from `detect`.
//!
//! All `unsafe` of the training engine is in this folder.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod line;
#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;
mod product;

#[cfg(target_arch = "x86_64")]
pub(crate) use avx2::Avx2;
#[cfg(target_arch = "x86_64")]
pub(crate) use avx512::Avx512;
pub(crate) use line::{floats, floats_mut, Line, LINE};
#[cfg(target_arch = "aarch64")]
pub(crate) use neon::Neon;
pub(crate) use portable::Portable;
pub(crate) use product::{multiply, multiply_live, Elements, Row, Vectors};

/// Arithmetic on vectors of `WIDTH` f32, and the shape of the matrix kernels that suits them.
///
/// `WIDTH` divides [`LINE`]. All methods are to be inlined into a function run by [`Lanes::vectorize`].
pub(crate) trait Lanes: Copy + Send + Sync + 'static {
    /// A vector register.
    type V: Copy;
    /// Name for reports.
    const NAME: &'static str;
    /// Elements in a vector.
    const WIDTH: usize;
    /// Vectors side by side in a block of accumulators: 2 or 4, and whole lines of them.
    const VECTORS: usize;
    /// Rows of a block that wide: enough accumulators to hide the latency of the multiply-add, and no more than there
    /// are registers.
    const ROWS: usize;
    /// Whether products that skip zeros have been measured to be faster where most inputs are zero.
    const SKIPS: bool = false;

    /// Runs `f` compiled with this lane type's instructions; `f` must be `#[inline(always)]`.
    fn vectorize<R>(self, f: impl FnOnce() -> R) -> R;

    /// `a` in every element.
    fn splat(self, a: f32) -> Self::V;
    /// The first `WIDTH` values of `from`; panics if there are fewer.
    fn load(self, from: &[f32]) -> Self::V;
    /// Writes the first `WIDTH` values of `to`; panics if there are fewer.
    fn store(self, a: Self::V, to: &mut [f32]);
    /// `a + b`
    fn add(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a - b`
    fn sub(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a * b`
    fn mul(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a / b`
    fn div(self, a: Self::V, b: Self::V) -> Self::V;
    /// `1 / a` to 2e-7 relative, for normal `a` with a normal reciprocal.
    #[inline(always)]
    fn reciprocal(self, a: Self::V) -> Self::V {
        self.div(self.splat(1.0), a)
    }
    /// `a * b + c`, rounded once where the instructions exist.
    fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// Square root to 2e-7 relative, of zero or a normal positive number.
    fn sqrt(self, a: Self::V) -> Self::V;
    /// Smaller of both.
    fn min(self, a: Self::V, b: Self::V) -> Self::V;
    /// Larger of both.
    fn max(self, a: Self::V, b: Self::V) -> Self::V;
    /// `yes` where `a > b`, else `no`.
    fn select_gt(self, a: Self::V, b: Self::V, yes: Self::V, no: Self::V) -> Self::V;
    /// Bit `i` is set where element `i` is not zero.
    #[inline(always)]
    fn live(self, a: Self::V) -> u32 {
        let mut line = Line::ZERO;
        self.store(a, &mut line.0);
        line.0.iter().enumerate().fold(0, |live, (i, &v)| live | (u32::from(v != 0.0) << i))
    }
    /// Nearest integer, ties to even; `|a| < 2^22`.
    fn round(self, a: Self::V) -> Self::V;
    /// `2^k` for integral `k` in -126..=127.
    fn power_of_two(self, k: Self::V) -> Self::V;
    /// `a * 2^k` for integral `k` in -126..=127.
    #[inline(always)]
    fn scale(self, a: Self::V, k: Self::V) -> Self::V {
        self.mul(a, self.power_of_two(k))
    }
    /// `floor(log2(a))` for positive normal `a`.
    fn exponent(self, a: Self::V) -> Self::V;
    /// `to[j][i] = from[i][j]`
    fn transpose(self, from: &[Line; LINE], to: &mut [Line; LINE]);
    /// The same of `WIDTH` vectors: element `i` of vector `j` becomes element `j` of vector `i`; panics if there are fewer.
    #[inline(always)]
    fn turn(self, rows: &mut [Self::V]) {
        let (mut from, mut to) = ([Line::ZERO; LINE], [Line::ZERO; LINE]);
        for (row, from) in rows[..Self::WIDTH].iter().zip(&mut from) {
            self.store(*row, &mut from.0);
        }
        self.transpose(&from, &mut to);
        for (row, to) in rows.iter_mut().zip(&to[..Self::WIDTH]) {
            *row = self.load(&to.0);
        }
    }
}

/// 2^x to 2e-7 relative (2.5e-7 where multiply-adds are not fused) for x in -125..=127, and less than 2^-124 below.
///
/// The best polynomial of degree 5 (Remez; 7.5e-8): two degrees less than that of [`exp`].
#[inline(always)]
pub(crate) fn exp2<L: Lanes>(l: L, x: L::V) -> L::V {
    let x = l.max(x, l.splat(-126.0));
    let k = l.round(x);
    let r = l.sub(x, k);
    let mut p = l.splat(1.327_647_1e-3);
    for c in [9.675_541e-3, 5.550_713e-2, 0.240_221_2, 0.693_146_97, 1.000_000_1] {
        p = l.mul_add(p, r, l.splat(c));
    }
    l.scale(p, k)
}

/// e^x to 1.2e-7 relative for x in -87..=88, saturating outside.
///
/// Cody-Waite reduction and the polynomial of Cephes `expf` (Moshier, netlib.org/cephes).
#[inline(always)]
pub(crate) fn exp<L: Lanes>(l: L, x: L::V) -> L::V {
    let x = l.min(l.max(x, l.splat(-87.0)), l.splat(88.0));
    let k = l.round(l.mul(x, l.splat(std::f32::consts::LOG2_E)));
    let r = l.mul_add(k, l.splat(-0.693_359_4), x);
    let r = l.mul_add(k, l.splat(2.121_944_4e-4), r);
    let mut p = l.splat(1.987_569_1e-4);
    for c in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 0.166_666_66, 0.5] {
        p = l.mul_add(p, r, l.splat(c));
    }
    let p = l.add(l.mul_add(p, l.mul(r, r), r), l.splat(1.0));
    l.scale(p, k)
}

/// tanh(x) to 2e-7 relative, any finite x.
///
/// Odd polynomial of Cephes `tanhf` within 0.625, `1 - 2 / (e^2|x| + 1)` beyond it.
#[inline(always)]
pub(crate) fn tanh<L: Lanes>(l: L, x: L::V) -> L::V {
    let zero = l.splat(0.0);
    let one = l.splat(1.0);
    let a = l.max(x, l.sub(zero, x));
    let s = l.mul(x, x);
    let mut p = l.splat(-5.704_988_7e-3);
    for c in [2.063_909e-2, -5.373_971_5e-2, 0.133_314_42, -0.333_332_8] {
        p = l.mul_add(p, s, l.splat(c));
    }
    let near = l.mul_add(l.mul(p, s), x, x);
    // e^18 is past the point where 1 - 2/(e+1) rounds to 1.
    let e = exp(l, l.min(l.add(a, a), l.splat(18.5)));
    let far = l.sub(one, l.mul(l.splat(2.0), l.reciprocal(l.add(e, one))));
    let far = l.select_gt(x, zero, far, l.sub(zero, far));
    l.select_gt(a, l.splat(0.625), far, near)
}

/// ln(1 + x) to 2e-7 relative for x in 0..=1e37, saturating beyond.
///
/// The polynomial of Cephes `logf`; what the sum 1 + x rounds away goes back into its argument.
#[inline(always)]
pub(crate) fn ln_1p<L: Lanes>(l: L, x: L::V) -> L::V {
    let one = l.splat(1.0);
    let x = l.min(x, l.splat(1e37));
    let u = l.add(one, x);
    let lost = l.sub(x, l.sub(u, one));
    let k = l.exponent(u);
    // The mantissa within 1/sqrt 2 ..= sqrt 2.
    let unit = l.power_of_two(l.sub(l.splat(0.0), k));
    let high = l.splat(std::f32::consts::SQRT_2);
    let mantissa = l.mul(u, unit);
    let unit = l.select_gt(mantissa, high, l.mul(unit, l.splat(0.5)), unit);
    let k = l.select_gt(mantissa, high, l.add(k, one), k);
    let r = l.mul_add(lost, unit, l.sub(l.mul(u, unit), one));
    let mut p = l.splat(7.037_683_6e-2);
    for c in [
        -0.115_146_1,
        0.116_769_99,
        -0.124_201_41,
        0.142_493_23,
        -0.166_680_58,
        0.200_007_15,
        -0.249_999_94,
        0.333_333_3,
    ] {
        p = l.mul_add(p, r, l.splat(c));
    }
    let square = l.mul(r, r);
    let low = l.mul_add(k, l.splat(-2.121_944_4e-4), l.mul(l.mul(p, r), square));
    let low = l.mul_add(square, l.splat(-0.5), low);
    l.mul_add(k, l.splat(0.693_359_4), l.add(r, low))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Largest relative error of `f` against `oracle` over `low..=high`.
    fn worst<L: Lanes>(
        l: L,
        f: impl Fn(L, L::V) -> L::V,
        oracle: fn(f64) -> f64,
        low: f32,
        high: f32,
    ) -> f64 {
        let mut worst = 0.0_f64;
        for i in 0..=40_000_u16 {
            let x = low + (high - low) * f32::from(i) / 40_000.0;
            let mut out = [0.0_f32; LINE];
            l.store(f(l, l.splat(x)), &mut out);
            let want = oracle(f64::from(x));
            let error = (f64::from(out[0]) - want).abs() / want.abs().max(1e-30);
            worst = worst.max(error);
        }
        worst
    }

    fn accuracy<L: Lanes>(l: L) {
        let e = worst(l, exp, f64::exp, -86.0, 87.0);
        assert!(e < 2e-7, "{} exp errs by {e:e}", L::NAME);
        let e = worst(l, exp, f64::exp, -2.0, 2.0);
        assert!(e < 1.5e-7, "{} exp errs by {e:e} near 0", L::NAME);
        let e = worst(l, tanh, f64::tanh, -12.0, 12.0);
        assert!(e < 3e-7, "{} tanh errs by {e:e}", L::NAME);
        let e = worst(l, tanh, f64::tanh, 1e-6, 0.7);
        assert!(e < 3e-7, "{} tanh errs by {e:e} near 0", L::NAME);
        for (low, high) in [(1e-37, 1e-30), (1e-12, 1e-8), (0.1, 9.0), (1e6, 1e30)] {
            let e = worst(l, L::sqrt, f64::sqrt, low, high);
            assert!(e < 2e-7, "{} sqrt errs by {e:e} in {low}..={high}", L::NAME);
            let e = worst(l, L::reciprocal, f64::recip, low, high);
            assert!(e < 2e-7, "{} reciprocal errs by {e:e} in {low}..={high}", L::NAME);
        }
        for (low, high) in [(1e-6, 1e-3), (1e-3, 0.5), (0.4, 3.0), (1.0, 1e3), (1e3, 1e6), (1e6, 9e36)] {
            let e = worst(l, ln_1p, f64::ln_1p, low, high);
            assert!(e < 2e-7, "{} ln_1p errs by {e:e} in {low}..={high}", L::NAME);
        }
        for (low, high) in [(-125.0, -1.0), (-3.0, 3.0), (0.0, 127.0)] {
            let e = worst(l, exp2, f64::exp2, low, high);
            assert!(e < 2.5e-7, "{} exp2 errs by {e:e} in {low}..={high}", L::NAME);
        }
        let mut out = [0.0_f32; LINE];
        l.store(exp2(l, l.splat(-1e30)), &mut out);
        assert!((0.0..5e-38).contains(&out[0]), "{} exp2 far down", L::NAME);
        l.store(l.sqrt(l.splat(0.0)), &mut out);
        assert_eq!(out[0], 0.0, "{} sqrt(0)", L::NAME);
        l.store(ln_1p(l, l.splat(f32::MAX)), &mut out);
        assert!(out[0].is_finite());
        for (x, want) in [(1e30, 1.0), (-1e30, -1.0), (0.0, 0.0)] {
            l.store(tanh(l, l.splat(x)), &mut out);
            assert_eq!(out[0], want, "{} tanh({x})", L::NAME);
        }
        l.store(exp(l, l.splat(1e30)), &mut out);
        assert!(out[0].is_finite());
    }

    #[test]
    fn functions_keep_their_budget_in_every_lane_type() {
        accuracy(Portable);
        #[cfg(target_arch = "x86_64")]
        {
            match Avx2::detect() {
                Some(l) => accuracy(l),
                None => println!("skipped: this processor has no AVX2 and FMA"),
            }
            match Avx512::detect() {
                Some(l) => accuracy(l),
                None => println!("skipped: this processor has no AVX-512F"),
            }
        }
        #[cfg(target_arch = "aarch64")]
        accuracy(Neon::detect().expect("every 64-bit Arm has it"));
    }
}
