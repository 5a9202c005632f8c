//! Fourier transforms in place: `microfft` in f32, and one of our own in integers.
//!
//! A spectrum of `n` real values is `n` words: of each bin from 0 to `n / 2 - 1` real and imaginary part, but in place of
//! the imaginary part of bin 0, which is zero, the real bin `n / 2`.
//!
//! Integers: radix 2, decimation in time, `n` values as `n / 2` complex ones and split at the end; i32 with sines in Q15.
//! Values come scaled so that nothing overflows without scaling on the way: `n` of at most 19 bits (for 2,048) grow to 30.
//! No published crate that is kept up does this: the one found (`fixed-fft` 0.1.0, of 2020) keeps 16 bits and shifts at every
//! stage, which costs weak bands their digits.

use super::sine::{PERIOD, SINE};
use core::ops::Range;
use microfft::real;

/// Words of a spectrum, read as bins.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Spectrum<'w, W> {
    words: &'w [W],
}

impl<'w, W: Copy> Spectrum<'w, W> {
    /// Of words as this module leaves them.
    pub(super) fn new(words: &'w [W]) -> Self {
        Spectrum { words }
    }

    /// Calls with each bin of a range within `1..n / 2`, its neighbours around it: what a Hann window needs, which is their
    /// convolution with -1/4, 1/2, -1/4.
    #[inline(always)]
    pub(super) fn each(&self, band: Range<usize>, zero: W, mut call: impl FnMut(usize, [[W; 2]; 3])) {
        let bins = self.words.as_chunks::<2>().0;
        // The two real bins share the first place.
        let [lowest, highest] = bins.first().copied().unwrap_or([zero; 2]);
        let bin = |at: usize| match bins.get(at) {
            _ if at == 0 => [lowest, zero],
            Some(&bin) => bin,
            None => [highest, zero],
        };
        let (mut before, mut here) = (bin(band.start.wrapping_sub(1)), bin(band.start));
        for at in band {
            let after = bin(at + 1);
            call(at, [before, here, after]);
            (before, here) = (here, after);
        }
    }
}

impl Spectrum<'_, f32> {
    /// Bands by their edges.
    pub(super) fn bands(edges: &[u8]) -> impl Iterator<Item = Range<usize>> + '_ {
        let edges = crate::stream::front_end::edges(edges).map(usize::from);
        edges.clone().zip(edges.skip(1)).map(|(from, to)| from..to)
    }
}

/// Transforms real f32 in place; `None` of another length than a power of two from 8 to 4,096.
pub(super) fn real_f32(words: &mut [f32]) -> Option<()> {
    macro_rules! by_length {
        ($($length:literal $transform:ident),*) => {
            match words.len() {
                $($length => drop(real::$transform(words.first_chunk_mut()?)),)*
                _ => return None,
            }
        };
    }
    by_length!(
        8 rfft_8, 16 rfft_16, 32 rfft_32, 64 rfft_64, 128 rfft_128, 256 rfft_256, 512 rfft_512, 1024 rfft_1024,
        2048 rfft_2048, 4096 rfft_4096
    );
    Some(())
}

/// `|Z_k|^2` of `n` complex f32, real parts in the first half of the words and imaginary ones in the second; they are left in
/// the second half, and the first is used up. `None` of another `n` than a power of two from 8 to 4,096.
///
/// Two real transforms instead of a complex one: `Z = A + i B`, whose bins k and n - k come from the same two.
pub(super) fn squares_f32(words: &mut [f32]) -> Option<()> {
    let n = words.len() / 2;
    let (re, im) = words.split_at_mut_checked(n)?;
    real_f32(re)?;
    real_f32(im)?;
    let (a, b) = (re.as_chunks_mut::<2>().0, im.as_chunks::<2>().0);
    for (at, (a, &[br, bi])) in a.iter_mut().zip(b).enumerate() {
        let [ar, ai] = *a;
        *a = if at == 0 {
            [ar * ar + br * br, ai * ai + bi * bi]
        } else {
            let (low, high) = ((ar - bi, ai + br), (ar + bi, br - ai));
            [low.0 * low.0 + low.1 * low.1, high.0 * high.0 + high.1 * high.1]
        };
    }
    // Bins 0 and n / 2, then k and n - k.
    for (at, &[low, high]) in re.as_chunks::<2>().0.iter().enumerate() {
        *im.get_mut(at)? = low;
        *im.get_mut(if at == 0 { n / 2 } else { n - at })? = high;
    }
    Some(())
}

/// Bits that `n` real integers may have before a transform, sign apart.
pub(super) fn room(n: usize) -> i32 {
    30 - n.ilog2_or_zero()
}

/// [`room`] of complex ones.
pub(super) fn complex_room(n: usize) -> i32 {
    29 - n.ilog2_or_zero()
}

trait Ilog2 {
    fn ilog2_or_zero(self) -> i32;
}

impl Ilog2 for usize {
    fn ilog2_or_zero(self) -> i32 {
        self.checked_ilog2().unwrap_or(0) as i32
    }
}

/// `x y / 2^15`, rounded down, for `y` within ±2^15: two products of 32 bits, which every core has.
#[inline(always)]
fn product(x: i32, y: i32) -> i32 {
    (x >> 15).wrapping_mul(y).wrapping_add((x & 0x7fff).wrapping_mul(y) >> 15)
}

/// Cosine and sine of `2 pi angle / PERIOD` in Q15, for angles up to half a period.
#[inline(always)]
fn cosine_sine(angle: usize) -> (i32, i32) {
    const QUARTER: usize = PERIOD / 4;
    let at = |index: usize| SINE.get(index).map_or(0, |&sine| i32::from(sine));
    if angle <= QUARTER {
        (at(QUARTER - angle), at(angle))
    } else {
        (-at(angle - QUARTER), at((2 * QUARTER).saturating_sub(angle)))
    }
}

/// Transforms complex integers (real and imaginary part side by side) in place, a power of two of them up to 2,048, of at
/// most [`complex_room`] bits.
pub(super) fn complex_i32(words: &mut [i32]) {
    let values = words.as_chunks_mut::<2>().0;
    let count = values.len();
    reverse_bits(values);
    for level in 0..count.ilog2_or_zero() as u32 {
        let half = 1usize << (level & 31);
        let stride = (PERIOD / 2) >> (level & 31);
        for pair in values.chunks_exact_mut((2 * half).max(1)) {
            let Some((low, high)) = pair.split_at_mut_checked(half) else { return };
            for (index, (a, b)) in low.iter_mut().zip(high).enumerate() {
                let ([ar, ai], [br, bi]) = (*a, *b);
                let (cosine, sine) = cosine_sine(index * stride);
                let tr = product(br, cosine) + product(bi, sine);
                let ti = product(bi, cosine) - product(br, sine);
                *a = [ar + tr, ai + ti];
                *b = [ar - tr, ai - ti];
            }
        }
    }
}

fn reverse_bits(values: &mut [[i32; 2]]) {
    let bits = values.len().ilog2_or_zero() as u32;
    for index in 1..values.len() {
        let other = (index as u32).reverse_bits().checked_shr(32 - bits).unwrap_or(0) as usize;
        if index < other {
            if let Some((low, high)) = values.split_at_mut_checked(other) {
                if let Some((a, b)) = low.get_mut(index).zip(high.first_mut()) {
                    core::mem::swap(a, b);
                }
            }
        }
    }
}

/// Transforms real integers in place, a power of two of them up to 2,048, of at most [`room`] bits.
pub(super) fn real_i32(words: &mut [i32]) {
    complex_i32(words);
    let stride = PERIOD / words.len().max(1);
    let values = words.as_chunks_mut::<2>().0;
    let count = values.len();
    let Some((first, rest)) = values.split_first_mut() else { return };
    let [re, im] = *first;
    *first = [re + im, re - im];
    // Of the others each goes with its mirror image; the one in the middle with itself.
    let middle = rest.len() / 2;
    let Some((low, high)) = rest.split_at_mut_checked(middle) else { return };
    for (index, (a, b)) in low.iter_mut().zip(high.iter_mut().rev()).enumerate() {
        let ([ar, ai], [br, bi]) = (*a, *b);
        let (cosine, sine) = cosine_sine((index + 1) * stride);
        // Spectra of the even and of the odd samples.
        let (even_re, even_im) = ((ar + br) >> 1, (ai - bi) >> 1);
        let (odd_re, odd_im) = ((ai + bi) >> 1, (br - ar) >> 1);
        let tr = product(odd_re, cosine) + product(odd_im, sine);
        let ti = product(odd_im, cosine) - product(odd_re, sine);
        *a = [even_re + tr, even_im + ti];
        *b = [even_re - tr, ti - even_im];
    }
    if count > 1 {
        if let Some(middle) = high.first_mut() {
            middle[1] = -middle[1];
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::{vec, vec::Vec};

    /// The definition, in f64.
    fn exact(values: &[[f64; 2]], bin: usize) -> [f64; 2] {
        let mut sum = [0.0; 2];
        for (at, [re, im]) in values.iter().enumerate() {
            let turn = -std::f64::consts::TAU * (at * bin % values.len()) as f64 / values.len() as f64;
            let (sine, cosine) = turn.sin_cos();
            sum[0] += re * cosine - im * sine;
            sum[1] += re * sine + im * cosine;
        }
        sum
    }

    fn noise(count: usize, bits: i32) -> Vec<i32> {
        let mut state = 7u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state as i64 >> (63 - bits)) as i32
        };
        (0..count).map(|_| next()).collect()
    }

    #[test]
    fn integers_keep_to_the_definition_up_to_full_scale() {
        for n in [8usize, 32, 256, 2048] {
            let top = (1 << room(n)) - 1;
            let square: Vec<i32> = (0..n).map(|i| if i % 8 < 4 { top } else { -top }).collect();
            for words in [noise(n, room(n)), vec![top; n], square] {
                let values: Vec<[f64; 2]> = words.iter().map(|&x| [f64::from(x), 0.0]).collect();
                let mut found = words.clone();
                real_i32(&mut found);
                let energy: f64 = values.iter().map(|v| v[0] * v[0]).sum::<f64>();
                let mut worst = 0f64;
                for bin in 0..=n / 2 {
                    let wide = exact(&values, bin);
                    let of = match bin {
                        0 => [found[0], 0],
                        _ if bin == n / 2 => [found[1], 0],
                        _ => [found[2 * bin], found[2 * bin + 1]],
                    };
                    let error = (f64::from(of[0]) - wide[0]).hypot(f64::from(of[1]) - wide[1]);
                    worst = worst.max(error);
                }
                // Of the root of the spectrum's energy, which is n times that of the values.
                let relative = worst / (energy * n as f64).sqrt();
                std::println!("n = {n}: {relative:e}");
                assert!(relative < 1.2e-4, "{n}: {relative:e}");
            }
        }
    }

    #[test]
    fn f32_and_integers_lie_alike() {
        let n = 64;
        let mut words = noise(n, 20);
        let mut floats: Vec<f32> = words.iter().map(|&x| x as f32).collect();
        real_i32(&mut words);
        real_f32(&mut floats).unwrap();
        for (i, f) in words.iter().zip(&floats) {
            assert!((*i as f32 - f).abs() < 600.0, "{i} {f}");
        }
        assert_eq!(real_f32(&mut [0.0; 24]), None);
        assert_eq!(squares_f32(&mut [0.0; 24]), None);
    }
}
