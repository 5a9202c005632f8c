//! Sixteen f32: Intel servers since Skylake-X, AMD since Zen 4.
// Intrinsics; sound because an `Avx512` value exists only where they do. Training is 14 to 17 % faster than with
// AVX2 on a Zen 4, and was twice as fast on a Sapphire Rapids (`docs/training.md`).
#![allow(unsafe_code)]

use super::{Avx2, Lanes, Line, LINE};
use std::arch::x86_64::*;

/// Proof that the processor has AVX-512F (and so AVX2 and FMA).
#[derive(Clone, Copy)]
pub(crate) struct Avx512(());

impl Avx512 {
    /// The lanes, if this processor has them.
    pub(crate) fn detect() -> Option<Self> {
        (is_x86_feature_detected!("avx512f") && Avx2::detect().is_some()).then_some(Self(()))
    }
}

impl Lanes for Avx512 {
    type V = __m512;
    const NAME: &'static str = "avx512";
    const WIDTH: usize = 16;
    const VECTORS: usize = 4;
    const ROWS: usize = 4;

    #[inline(always)]
    fn vectorize<R>(self, f: impl FnOnce() -> R) -> R {
        #[target_feature(enable = "avx512f,avx2,fma")]
        fn run<R>(f: impl FnOnce() -> R) -> R {
            f()
        }
        // SAFETY: `self` exists, so `detect` found AVX-512F, AVX2 and FMA.
        unsafe { run(f) }
    }
    #[inline(always)]
    fn splat(self, a: f32) -> __m512 {
        // SAFETY: `self` proves AVX-512F.
        unsafe { _mm512_set1_ps(a) }
    }
    #[inline(always)]
    fn load(self, from: &[f32]) -> __m512 {
        let from = &from[..16];
        // SAFETY: `self` proves AVX-512F; sixteen f32 are readable at `from`; no alignment needed.
        unsafe { _mm512_loadu_ps(from.as_ptr()) }
    }
    #[inline(always)]
    fn store(self, a: __m512, to: &mut [f32]) {
        let to = &mut to[..16];
        // SAFETY: `self` proves AVX-512F; sixteen f32 are writable at `to`; no alignment needed.
        unsafe { _mm512_storeu_ps(to.as_mut_ptr(), a) }
    }
    #[inline(always)]
    fn add(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: `self` proves AVX-512F.
        unsafe { _mm512_add_ps(a, b) }
    }
    #[inline(always)]
    fn sub(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: `self` proves AVX-512F.
        unsafe { _mm512_sub_ps(a, b) }
    }
    #[inline(always)]
    fn mul(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: `self` proves AVX-512F.
        unsafe { _mm512_mul_ps(a, b) }
    }
    #[inline(always)]
    fn div(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: `self` proves AVX-512F.
        unsafe { _mm512_div_ps(a, b) }
    }
    #[inline(always)]
    fn reciprocal(self, a: __m512) -> __m512 {
        // SAFETY: `self` proves AVX-512F.
        unsafe {
            // As for the root: an estimate and one step of Newton's.
            let estimate = _mm512_rcp14_ps(a);
            let lacking = _mm512_fnmadd_ps(a, estimate, _mm512_set1_ps(1.0));
            _mm512_fmadd_ps(estimate, lacking, estimate)
        }
    }
    #[inline(always)]
    fn mul_add(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        // SAFETY: `self` proves AVX-512F.
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }
    #[inline(always)]
    fn sqrt(self, a: __m512) -> __m512 {
        // SAFETY: `self` proves AVX-512F.
        unsafe {
            // The estimate to 14 bits and one step of Newton's: `sqrt` itself holds up the divider. Zero stays zero.
            let inverse = _mm512_rsqrt14_ps(_mm512_max_ps(a, _mm512_set1_ps(f32::MIN_POSITIVE)));
            let root = _mm512_mul_ps(a, inverse);
            let half = _mm512_set1_ps(0.5);
            let lacking = _mm512_fnmadd_ps(root, _mm512_mul_ps(inverse, half), half);
            _mm512_fmadd_ps(root, lacking, root)
        }
    }
    #[inline(always)]
    fn min(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: `self` proves AVX-512F.
        unsafe { _mm512_min_ps(a, b) }
    }
    #[inline(always)]
    fn max(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: `self` proves AVX-512F.
        unsafe { _mm512_max_ps(a, b) }
    }
    #[inline(always)]
    fn select_gt(self, a: __m512, b: __m512, yes: __m512, no: __m512) -> __m512 {
        // SAFETY: `self` proves AVX-512F.
        unsafe { _mm512_mask_blend_ps(_mm512_cmp_ps_mask::<_CMP_GT_OQ>(a, b), no, yes) }
    }
    #[inline(always)]
    fn round(self, a: __m512) -> __m512 {
        // SAFETY: `self` proves AVX-512F.
        unsafe { _mm512_roundscale_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(a) }
    }
    #[inline(always)]
    fn power_of_two(self, k: __m512) -> __m512 {
        // SAFETY: `self` proves AVX-512F.
        unsafe { _mm512_scalef_ps(_mm512_set1_ps(1.0), k) }
    }
    #[inline(always)]
    fn scale(self, a: __m512, k: __m512) -> __m512 {
        // SAFETY: `self` proves AVX-512F.
        unsafe { _mm512_scalef_ps(a, k) }
    }
    #[inline(always)]
    fn exponent(self, a: __m512) -> __m512 {
        // SAFETY: `self` proves AVX-512F.
        unsafe { _mm512_getexp_ps(a) }
    }
    #[inline(always)]
    fn transpose(self, from: &[Line; LINE], to: &mut [Line; LINE]) {
        for quarter in 0..4 {
            let columns = 4 * quarter;
            // SAFETY: `self` proves AVX-512F; four f32 are readable at each of the places, which lie in a line.
            let [a, b, c, d] = unsafe {
                let rows = |i: usize| {
                    let at = |row: usize| _mm_loadu_ps(from[row].0[columns..columns + 4].as_ptr());
                    let v = _mm512_castps128_ps512(at(i));
                    let v = _mm512_insertf32x4::<1>(v, at(4 + i));
                    let v = _mm512_insertf32x4::<2>(v, at(8 + i));
                    _mm512_insertf32x4::<3>(v, at(12 + i))
                };
                transpose_4x4([rows(0), rows(1), rows(2), rows(3)])
            };
            self.store(a, &mut to[columns].0);
            self.store(b, &mut to[columns + 1].0);
            self.store(c, &mut to[columns + 2].0);
            self.store(d, &mut to[columns + 3].0);
        }
    }
}

/// Transposes each 128-bit quarter of four registers.
///
/// # Safety
/// The processor must have AVX-512F.
#[inline(always)]
unsafe fn transpose_4x4([a, b, c, d]: [__m512; 4]) -> [__m512; 4] {
    // SAFETY: the caller promises AVX-512F, all that these register shuffles need.
    unsafe {
        let (ab, cd) = (_mm512_unpacklo_ps(a, b), _mm512_unpacklo_ps(c, d));
        let (ab_high, cd_high) = (_mm512_unpackhi_ps(a, b), _mm512_unpackhi_ps(c, d));
        [
            _mm512_shuffle_ps::<0x44>(ab, cd),
            _mm512_shuffle_ps::<0xee>(ab, cd),
            _mm512_shuffle_ps::<0x44>(ab_high, cd_high),
            _mm512_shuffle_ps::<0xee>(ab_high, cd_high),
        ]
    }
}
