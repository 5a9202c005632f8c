//! Instruction sets: loops over a tile compiled for the processor at hand, and the two dense kernels, whose
//! accumulators the compiler would not keep in registers by itself.
//!
//! A type that implements [`Isa`] is the proof that the processor has its instructions; [`Level::detect`] is the way
//! to one. None of them fuses a product and a sum: the bits are those of the row-by-row scorer.
// Intrinsics and functions of a target feature; sound because a token exists only where its instructions do. Rows per
// second grow 1.9- to 3.6-fold, reading and writing included (`docs/evaluation.md`).
#![allow(unsafe_code)]

use super::{Lane, ROWS};

/// Rows whose sums a portable kernel keeps in registers.
const SIDE: usize = 8;

/// What the loops over a tile are compiled for.
pub(super) trait Isa: Copy {
    /// Runs `f` compiled with these instructions; `f` and what it calls must be `#[inline(always)]`.
    fn vectorize<R>(self, f: impl FnOnce() -> R) -> R;

    /// Four rows of an integer layer: bias, and for each pair of inputs the products with the two i16 halves of a word.
    #[inline(always)]
    fn integer_sums(
        self,
        bias: &[i32; 4],
        weights: &[[u32; 4]],
        pairs: &[Lane<u32>],
        sums: &mut [Lane<i32>; 4],
    ) {
        for first in (0..ROWS).step_by(SIDE) {
            let mut rows = bias.map(|b| [b; SIDE]);
            for (weights, pair) in weights.iter().zip(pairs) {
                let Some(pair) = pair.0[first..].first_chunk::<SIDE>() else { continue };
                for (row, &w) in rows.iter_mut().zip(weights) {
                    let (low, high) = (i32::from(w as i16), w as i32 >> 16);
                    for (sum, &x) in row.iter_mut().zip(pair) {
                        let products = (i32::from(x as i16) * low).wrapping_add((x as i32 >> 16) * high);
                        *sum = sum.wrapping_add(products);
                    }
                }
            }
            for (sums, row) in sums.iter_mut().zip(&rows) {
                sums.0[first..first + SIDE].copy_from_slice(row);
            }
        }
    }

    /// Adds `((z - mean) precision)^2` of each feature to the sum of its index modulo 4, in the order of the features.
    #[inline(always)]
    fn float_squares(self, z: &[Lane<f32>], features: &[[f32; 2]], sums: &mut [Lane<f32>; 4]) {
        for (index, (z, &[mean, precision])) in z.iter().zip(features).enumerate() {
            for (sum, &z) in sums[index % 4].0.iter_mut().zip(&z.0) {
                let u = (z - mean) * precision;
                *sum += u * u;
            }
        }
    }

    /// The sum of `((z - mean) precision / 2^16)^2` over the features, for deviations that fit i32.
    #[inline(always)]
    fn integer_squares(self, z: &[Lane<i32>], features: &[[i32; 2]], sums: &mut Lane<i64>) {
        sums.0 = [0; ROWS];
        for (z, &[mean, precision]) in z.iter().zip(features) {
            for (sum, &z) in sums.0.iter_mut().zip(&z.0) {
                let u = (i64::from(z.wrapping_sub(mean)) * i64::from(precision)) >> 16;
                let u = i64::from(u as i32);
                *sum = sum.wrapping_add(u * u);
            }
        }
    }

    /// Four rows of an f32 layer: bias, then the products in the order of the inputs.
    #[inline(always)]
    fn float_sums(
        self,
        bias: &[f32; 4],
        weights: &[[f32; 4]],
        inputs: &[Lane<f32>],
        sums: &mut [Lane<f32>; 4],
    ) {
        for first in (0..ROWS).step_by(SIDE) {
            let mut rows = bias.map(|b| [b; SIDE]);
            for (weights, input) in weights.iter().zip(inputs) {
                let Some(input) = input.0[first..].first_chunk::<SIDE>() else { continue };
                for (row, &w) in rows.iter_mut().zip(weights) {
                    for (sum, &x) in row.iter_mut().zip(input) {
                        *sum += w * x;
                    }
                }
            }
            for (sums, row) in sums.iter_mut().zip(&rows) {
                sums.0[first..first + SIDE].copy_from_slice(row);
            }
        }
    }
}

/// What every processor of the target has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Portable;

impl Isa for Portable {
    #[inline(always)]
    fn vectorize<R>(self, f: impl FnOnce() -> R) -> R {
        f()
    }
}

/// Which instructions to use.
#[derive(Clone, Copy, Debug)]
pub(super) enum Level {
    Portable(Portable),
    #[cfg(target_arch = "x86_64")]
    Avx2(x86::Avx2),
    #[cfg(target_arch = "x86_64")]
    Avx512(x86::Avx512),
}

impl Level {
    /// All that this processor has, the best last.
    pub(super) fn all() -> Vec<Self> {
        #[allow(unused_mut, reason = "one level where there are no others")]
        let mut all = vec![Level::Portable(Portable)];
        #[cfg(target_arch = "x86_64")]
        {
            all.extend(x86::Avx2::detect().map(Level::Avx2));
            all.extend(x86::Avx512::detect().map(Level::Avx512));
        }
        all
    }

    /// The best that this processor has.
    pub(super) fn detect() -> Self {
        Self::all().pop().unwrap_or(Level::Portable(Portable))
    }
}

#[cfg(target_arch = "x86_64")]
pub(super) mod x86 {
    use super::super::{Lane, ROWS};
    use super::Isa;
    use std::arch::x86_64::*;

    /// Eight lanes of 32 bits.
    #[derive(Clone, Copy, Debug)]
    pub(in super::super) struct Avx2(());

    /// Sixteen lanes of 32 bits.
    #[derive(Clone, Copy, Debug)]
    pub(in super::super) struct Avx512(());

    impl Avx2 {
        /// The token, if this processor has the instructions.
        pub(super) fn detect() -> Option<Self> {
            (is_x86_feature_detected!("avx2") && is_x86_feature_detected!("bmi2")).then_some(Self(()))
        }
    }

    impl Avx512 {
        /// The token, if this processor has the instructions.
        pub(super) fn detect() -> Option<Self> {
            let has = is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vl");
            (has && Avx2::detect().is_some()).then_some(Self(()))
        }
    }

    /// The first `ROWS / WIDTH` vectors of a kernel's four rows, loops over constants.
    macro_rules! kernels {
        ($width:literal, $side:literal, $set:ident, $set_ps:ident, $load:ident,
         $load_ps:ident, $store:ident, $store_ps:ident, $madd:ident, $add:ident, $mul_ps:ident, $add_ps:ident,
         $sub_ps:ident, $sub:ident, $mul:ident, $right:ident, $add_64:ident) => {
            #[inline(always)]
            fn integer_sums(
                self,
                bias: &[i32; 4],
                weights: &[[u32; 4]],
                pairs: &[Lane<u32>],
                sums: &mut [Lane<i32>; 4],
            ) {
                // As many accumulators as registers hold beside what is loaded.
                for first in (0..ROWS).step_by($width * $side) {
                    // SAFETY: `self` proves the instructions; all addresses are of `$width` lanes within a tile's line, as
                    // `$width * $side` divides `ROWS`.
                    unsafe {
                        let [b0, b1, b2, b3] = *bias;
                        let mut rows =
                            [[$set(b0); $side], [$set(b1); $side], [$set(b2); $side], [$set(b3); $side]];
                        for (weights, pair) in weights.iter().zip(pairs) {
                            let from = pair.0.as_ptr().add(first);
                            for side in 0..$side {
                                let x = $load(from.add($width * side).cast());
                                for (row, &w) in rows.iter_mut().zip(weights) {
                                    row[side] = $add(row[side], $madd(x, $set(w as i32)));
                                }
                            }
                        }
                        for (sums, row) in sums.iter_mut().zip(rows) {
                            for (i, sum) in row.into_iter().enumerate() {
                                $store(sums.0.as_mut_ptr().add(first + $width * i).cast(), sum);
                            }
                        }
                    }
                }
            }

            #[inline(always)]
            fn float_sums(
                self,
                bias: &[f32; 4],
                weights: &[[f32; 4]],
                inputs: &[Lane<f32>],
                sums: &mut [Lane<f32>; 4],
            ) {
                for first in (0..ROWS).step_by($width * $side) {
                    // SAFETY: as above.
                    unsafe {
                        let [b0, b1, b2, b3] = *bias;
                        let mut rows = [
                            [$set_ps(b0); $side],
                            [$set_ps(b1); $side],
                            [$set_ps(b2); $side],
                            [$set_ps(b3); $side],
                        ];
                        for (weights, input) in weights.iter().zip(inputs) {
                            let from = input.0.as_ptr().add(first);
                            for side in 0..$side {
                                let x = $load_ps(from.add($width * side));
                                for (row, &w) in rows.iter_mut().zip(weights) {
                                    row[side] = $add_ps(row[side], $mul_ps($set_ps(w), x));
                                }
                            }
                        }
                        for (sums, row) in sums.iter_mut().zip(rows) {
                            for (i, sum) in row.into_iter().enumerate() {
                                $store_ps(sums.0.as_mut_ptr().add(first + $width * i), sum);
                            }
                        }
                    }
                }
            }

            #[inline(always)]
            fn float_squares(self, z: &[Lane<f32>], features: &[[f32; 2]], sums: &mut [Lane<f32>; 4]) {
                let count = z.len().min(features.len());
                for first in (0..ROWS).step_by($width) {
                    // SAFETY: as above; of `z` and `features` the first `count` are read.
                    unsafe {
                        let at = |sums: &mut [Lane<f32>; 4], row: usize| sums[row].0.as_mut_ptr().add(first);
                        let mut rows = [
                            $load_ps(at(sums, 0)),
                            $load_ps(at(sums, 1)),
                            $load_ps(at(sums, 2)),
                            $load_ps(at(sums, 3)),
                        ];
                        for four in (0..count).step_by(4) {
                            // Unrolled, so that each sum is a register.
                            for row in 0..4 {
                                let Some((z, &[mean, precision])) =
                                    z.get(four + row).zip(features.get(four + row))
                                else {
                                    break;
                                };
                                let away = $sub_ps($load_ps(z.0.as_ptr().add(first)), $set_ps(mean));
                                let u = $mul_ps(away, $set_ps(precision));
                                rows[row] = $add_ps(rows[row], $mul_ps(u, u));
                            }
                        }
                        for row in 0..4 {
                            $store_ps(at(sums, row), rows[row]);
                        }
                    }
                }
            }

            #[inline(always)]
            fn integer_squares(self, z: &[Lane<i32>], features: &[[i32; 2]], sums: &mut Lane<i64>) {
                for first in (0..ROWS).step_by($width) {
                    // SAFETY: as above.
                    unsafe {
                        let (mut even, mut odd) = ($set(0), $set(0));
                        for (z, &[mean, precision]) in z.iter().zip(features) {
                            let precision = $set(precision);
                            let away = $sub($load(z.0.as_ptr().add(first).cast()), $set(mean));
                            // The lower half of a product of 64 bits, shifted, is the deviation; products take the lower
                            // halves.
                            let u = $right::<16>($mul(away, precision));
                            even = $add_64(even, $mul(u, u));
                            let u = $right::<16>($mul($right::<32>(away), precision));
                            odd = $add_64(odd, $mul(u, u));
                        }
                        let mut both = [[0i64; $width / 2]; 2];
                        $store(both[0].as_mut_ptr().cast(), even);
                        $store(both[1].as_mut_ptr().cast(), odd);
                        for (pair, sums) in
                            sums.0[first..first + $width].as_chunks_mut::<2>().0.iter_mut().enumerate()
                        {
                            *sums = [both[0][pair], both[1][pair]];
                        }
                    }
                }
            }
        };
    }

    impl Isa for Avx2 {
        #[inline(always)]
        fn vectorize<R>(self, f: impl FnOnce() -> R) -> R {
            #[target_feature(enable = "avx2,bmi2")]
            fn run<R>(f: impl FnOnce() -> R) -> R {
                f()
            }
            // SAFETY: `self` exists, so `detect` found AVX2 and BMI2.
            unsafe { run(f) }
        }

        kernels!(
            8,
            2,
            _mm256_set1_epi32,
            _mm256_set1_ps,
            _mm256_loadu_si256,
            _mm256_loadu_ps,
            _mm256_storeu_si256,
            _mm256_storeu_ps,
            _mm256_madd_epi16,
            _mm256_add_epi32,
            _mm256_mul_ps,
            _mm256_add_ps,
            _mm256_sub_ps,
            _mm256_sub_epi32,
            _mm256_mul_epi32,
            _mm256_srli_epi64,
            _mm256_add_epi64
        );
    }

    impl Isa for Avx512 {
        #[inline(always)]
        fn vectorize<R>(self, f: impl FnOnce() -> R) -> R {
            #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,bmi2")]
            fn run<R>(f: impl FnOnce() -> R) -> R {
                f()
            }
            // SAFETY: `self` exists, so `detect` found all of them.
            unsafe { run(f) }
        }

        kernels!(
            16,
            2,
            _mm512_set1_epi32,
            _mm512_set1_ps,
            _mm512_loadu_si512,
            _mm512_loadu_ps,
            _mm512_storeu_si512,
            _mm512_storeu_ps,
            _mm512_madd_epi16,
            _mm512_add_epi32,
            _mm512_mul_ps,
            _mm512_add_ps,
            _mm512_sub_ps,
            _mm512_sub_epi32,
            _mm512_mul_epi32,
            _mm512_srli_epi64,
            _mm512_add_epi64
        );
    }
}
