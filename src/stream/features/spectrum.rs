//! RMS within bands of a window's spectrum, and its centroid.
//!
//! The spectrum is that of samples less their mean, under a Hann window, which is applied to the bins as they are read:
//! `X_k / 2 - (X_(k-1) + X_(k+1)) / 4`. A sine of amplitude `a` anywhere within a band gives `a / sqrt(2)`.
//!
//! | feature | budget in f32, relative | budget in integers |
//! |---|---|---|
//! | RMS of a band, 2^-10 of the peak or more | [`RELATIVE_F32`] | [`super::LOG_I16`] octaves |
//! | centroid | [`RELATIVE_F32`] | [`super::LOG_I16`] octaves |

use super::fourier::{self, Spectrum};
use super::log;
use super::moments::{float_feature, power, FixedMoments, FloatMoments, Sum};
use super::Unit;
use crate::stream::front_end::Form;
use core::ops::Range;

/// Error budget of f32 features.
pub const RELATIVE_F32: f64 = 2e-5;

/// `log2(16 / 3)` in Q20: a mean square is `16 / 3 sum |X|^2 / n^2`, 2 for the negative frequencies and 8 / 3 for what
/// the Hann window takes.
const LOG_16_BY_3: i32 = 2_532_350;
/// The same factor.
const SIXTEEN_BY_THREE: f32 = 16.0 / 3.0;

/// The spectrum of f32 samples, scaled as their moments are.
pub(super) fn of_f32(samples: &[f32], moments: &FloatMoments, words: &mut [f32]) -> Option<()> {
    let factor = power(-moments.exponent);
    for (word, &x) in words.iter_mut().zip(samples) {
        *word = moments.deviation(x, factor);
    }
    fourier::real_f32(words)
}

/// Energy of a band, and its first moment in bins.
fn energy_f32(words: &[f32], band: Range<usize>) -> (f32, f32) {
    let (mut energy, mut moment) = (Sum::default(), Sum::default());
    Spectrum::new(words).each(band, 0.0, |at, [before, here, after]| {
        let part = |p: usize| 0.5 * here[p & 1] - 0.25 * (before[p & 1] + after[p & 1]);
        let (re, im) = (part(0), part(1));
        let square = re * re + im * im;
        energy.add(square);
        moment.add(square * at as f32);
    });
    (energy.total(), moment.total())
}

/// RMS of a band, in units of the words' input.
pub(super) fn rms_f32(words: &[f32], band: Range<usize>) -> f32 {
    libm::sqrtf(SIXTEEN_BY_THREE * energy_f32(words, band).0) / words.len() as f32
}

pub(super) fn band_f32(
    words: &[f32],
    moments: &FloatMoments,
    band: Range<usize>,
    form: Form,
    unit: &Unit<f32>,
) -> f32 {
    float_feature(moments.amplitude(rms_f32(words, band), unit.floor), form)
}

pub(super) fn centroid_f32(
    words: &[f32],
    moments: &FloatMoments,
    band: Range<usize>,
    form: Form,
    unit: &Unit<f32>,
) -> f32 {
    let middle = (band.start + band.end) as f32 * 0.5;
    let (energy, moment) = energy_f32(words, band);
    let rms = libm::sqrtf(SIXTEEN_BY_THREE * energy) / words.len() as f32;
    let is_silent = rms * power(moments.exponent) <= unit.floor;
    let bins = if is_silent { middle } else { moment / energy };
    float_feature(bins * (unit.rate / words.len() as f32), form)
}

/// Power of two by which `e` of the moments is multiplied before the transform of `n` samples.
pub(super) fn shift_of(moments: &FixedMoments, n: usize) -> i32 {
    fourier::room(n) - log::bits(moments.peak)
}

/// The spectrum of counts.
pub(super) fn of_i16(samples: &[i16], moments: &FixedMoments, words: &mut [i32]) -> Option<()> {
    let shift = shift_of(moments, words.len());
    for (word, &x) in words.iter_mut().zip(samples) {
        *word = log::shifted(moments.fine(x), shift);
    }
    fourier::real_i32(words);
    Some(())
}

/// Energy of a band, and its first moment in bins as far as 64 bits go: divided by [`MOMENT_SHIFT`] octaves.
fn energy_i32(words: &[i32], band: Range<usize>) -> (u64, u64) {
    let (mut energy, mut moment) = (0u64, 0u64);
    Spectrum::new(words).each(band, 0, |at, [before, here, after]| {
        let part = |p: usize| {
            let around = (before[p & 1] >> 2) + (after[p & 1] >> 2);
            let size = ((here[p & 1] >> 1) - around).unsigned_abs();
            u64::from(size) * u64::from(size)
        };
        let square = part(0) + part(1);
        energy += square;
        moment += (square >> MOMENT_SHIFT) * at as u64;
    });
    (energy, moment)
}

/// Bins go up to 2^10 and energies up to 2^61.
const MOMENT_SHIFT: i32 = 8;

/// Logarithm of the RMS of a band in units of the words' input; `None` of silence.
pub(super) fn log_rms_i32(words: &[i32], band: Range<usize>) -> Option<i32> {
    let energy = energy_i32(words, band).0;
    (energy > 0).then(|| log_rms(energy, words.len()))
}

fn log_rms(energy: u64, n: usize) -> i32 {
    (log::log2(energy) + LOG_16_BY_3) / 2 - log::log2(n as u64)
}

/// From the words' input to units.
fn to_units(moments: &FixedMoments, n: usize, unit: &Unit<i32>) -> i32 {
    log::octaves(-8 - shift_of(moments, n)) + unit.scale
}

pub(super) fn band_i16(
    words: &[i32],
    moments: &FixedMoments,
    band: Range<usize>,
    form: Form,
    unit: &Unit<i32>,
) -> f32 {
    let octaves = to_units(moments, words.len(), unit);
    let value = log_rms_i32(words, band).map_or(unit.floor, |rms| (rms + octaves).max(unit.floor));
    log::feature(value, form)
}

pub(super) fn centroid_i16(
    words: &[i32],
    moments: &FixedMoments,
    band: Range<usize>,
    form: Form,
    unit: &Unit<i32>,
) -> f32 {
    let n = words.len();
    let middle = log::log2((band.start + band.end) as u64) - log::octaves(1);
    let (energy, moment) = energy_i32(words, band);
    let is_silent = moment == 0 || log_rms(energy, n) + to_units(moments, n, unit) <= unit.floor;
    let bins =
        if is_silent { middle } else { log::log2(moment) + log::octaves(MOMENT_SHIFT) - log::log2(energy) };
    log::feature(bins + unit.rate - log::log2(n as u64), form)
}
