//! Modulation of the energy around a resonance: the squared-envelope spectrum of bearing diagnosis.
//!
//! A fault on a race or a rolling element strikes at its own frequency, of some tens to hundreds of hertz, and each impact
//! rings at a resonance of some kilohertz. The bins of the resonance's band alone, as a one-sided spectrum, are the
//! analytic signal of the band-passed window (Randall and Antoni 2011, "Rolling element bearing diagnostics: a tutorial",
//! section 5); shifted down to zero and padded to twice their number, they need a short transform only, and the square of
//! its magnitude, the squared envelope, has no aliases. Its spectrum is read under a Hann window, relative to its mean.
//!
//! The transform runs forward where the definition runs backward: that mirrors time, and magnitudes are the same.
//!
//! | feature | budget in f32, relative | budget in integers |
//! |---|---|---|
//! | depth, 2^-6 or more | [`RELATIVE_F32`] | [`LOG_I16`] octaves |

use super::fourier;
use super::log::{self, DEPTH_FLOOR};
use super::moments::{float_feature, power, FixedMoments, FloatMoments, Sum};
use super::spectrum::{log_rms_i32, rms_f32, shift_of};
use super::Unit;
use crate::stream::front_end::Form;
use core::ops::Range;

/// Error budget of f32 features.
pub const RELATIVE_F32: f64 = 5e-5;
/// Error budget of integer ones, in octaves, of windows that peak at 256 counts or more.
pub const LOG_I16: f64 = 1e-2;

/// Number of the envelope's samples: a power of two, twice the band's bins or more.
fn samples_of(band: &Range<usize>) -> usize {
    (2 * band.len()).next_power_of_two()
}

/// The words of the spectrum of the squared envelope, which is scaled to a mean of 1; `None` of silence.
pub(super) fn of_f32<'w>(
    words: &'w mut [f32],
    moments: &FloatMoments,
    band: Range<usize>,
    unit: &Unit<f32>,
) -> Option<(&'w [f32], f32)> {
    let (n, samples, bins) = (words.len(), samples_of(&band), band.len());
    to_front(words, band, samples, 0.0)?;
    let words = words.get_mut(..2 * samples)?;
    let mut energy = Sum::default();
    words.iter().take(2 * bins).for_each(|&x| energy.add(x * x));
    let rms = libm::sqrtf(2.0 * energy.total()) / n as f32;
    if rms * power(moments.exponent) <= unit.floor {
        return None;
    }
    // Real parts to the first half, imaginary ones to the second: those lie in the first still.
    let (first, second) = words.split_at_mut_checked(samples)?;
    for at in 0..bins {
        *second.get_mut(at)? = *first.get(2 * at + 1)?;
        *first.get_mut(at)? = *first.get(2 * at)?;
    }
    first.get_mut(bins..)?.fill(0.0);
    fourier::squares_f32(words)?;
    let words = words.get_mut(samples..)?;
    // By Parseval the mean of the squared envelope is the bins' energy.
    let scale = 1.0 / energy.total();
    for word in words.iter_mut() {
        *word = *word * scale - 1.0;
    }
    fourier::real_f32(words)?;
    Some((words, 0.0))
}

pub(super) fn modulation_f32(envelope: Option<(&[f32], f32)>, band: Range<usize>, form: Form) -> f32 {
    let depth = envelope.map_or(0.0, |(words, _)| rms_f32(words, band));
    let floor = power(DEPTH_FLOOR);
    float_feature(if depth > floor { depth } else { floor }, form)
}

/// Moves the bins of a band to the front and fills up with zeros: `samples` complex values.
fn to_front<W: Copy>(words: &mut [W], band: Range<usize>, samples: usize, zero: W) -> Option<()> {
    let bins = words.as_chunks_mut::<2>().0;
    // The band lies at bin 1 or above, so nothing is overwritten that is still to be moved.
    for to in 0..samples {
        let value = if to < band.len() { *bins.get(band.start + to)? } else { [zero; 2] };
        *bins.get_mut(to)? = value;
    }
    Some(())
}

/// As [`of_f32`]; with the logarithm of the squared envelope's mean, in the scale of the words' input.
pub(super) fn of_i16<'w>(
    words: &'w mut [i32],
    moments: &FixedMoments,
    band: Range<usize>,
    unit: &Unit<i32>,
) -> Option<(&'w [i32], i32)> {
    let (n, samples) = (words.len(), samples_of(&band));
    to_front(words, band, samples, 0)?;
    let words = words.get_mut(..2 * samples)?;
    let first = fit(words, fourier::complex_room(samples));
    fourier::complex_i32(words);
    let second = fit(words, 15);
    let mut sum = 0u64;
    for at in 0..samples {
        let (&re, &im) = words.get(2 * at).zip(words.get(2 * at + 1))?;
        // Twice 2^30 at most.
        let square = re.unsigned_abs() * re.unsigned_abs() + im.unsigned_abs() * im.unsigned_abs();
        sum += u64::from(square);
        *words.get_mut(at)? = square as i32;
    }
    if sum == 0 {
        return None;
    }
    let size = log::log2(samples as u64);
    // mean |z|^2 = sum |X|^2, in the scale that the shifts made; RMS = sqrt(2 sum |X|^2) / n.
    let mean = log::log2(sum) - size;
    let rms = (mean + log::octaves(1)) / 2
        - log::log2(n as u64)
        - log::octaves(first + second + 8 + shift_of(moments, n))
        + unit.scale;
    if rms <= unit.floor {
        return None;
    }
    let middle = (sum >> samples.trailing_zeros()) as i64;
    let words = words.get_mut(..samples)?;
    for word in words.iter_mut() {
        // Squares use all 32 bits; their distance from the mean has 31 and a sign.
        *word = ((i64::from(*word as u32) - middle) >> 1) as i32;
    }
    let third = fit(words, fourier::room(samples)) - 1;
    fourier::real_i32(words);
    Some((words, mean + log::octaves(third)))
}

pub(super) fn modulation_i16(envelope: Option<(&[i32], i32)>, band: Range<usize>, form: Form) -> f32 {
    let depth = envelope.and_then(|(words, mean)| Some(log_rms_i32(words, band)? - mean));
    let floor = log::octaves(DEPTH_FLOOR);
    log::feature(depth.map_or(floor, |depth| depth.max(floor)), form)
}

/// Shifts words so that the largest has this many bits; gives the shift.
fn fit(words: &mut [i32], bits: i32) -> i32 {
    let largest = words.iter().map(|x| x.unsigned_abs()).max().unwrap_or(0);
    let shift = bits - log::bits(largest);
    if largest == 0 {
        return 0;
    }
    for word in words {
        *word = log::shifted(*word, shift);
    }
    shift
}
