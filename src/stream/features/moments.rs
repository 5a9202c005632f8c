//! Mean, RMS, peak, crest factor, kurtosis, skewness, zero crossings and jerk: the shape of a window in time.
//!
//! f32: samples are taken less the mean and scaled by a power of two so that the peak is within 1 and 2; sums are taken in
//! blocks of 32. Integers: less the mean in 1/256 counts, scaled to 15 bits and a sign.
//!
//! | feature | budget in f32, relative | budget in integers, octaves or as stated |
//! |---|---|---|
//! | mean | 3e-7 of the peak | 1/256 count |
//! | RMS, peak, crest factor, jerk | [`RELATIVE_F32`] | [`LOG_MOMENTS_I16`] |
//! | kurtosis | [`RELATIVE_F32`] | twice that |
//! | skewness, absolute | [`RELATIVE_F32`] (1 + skewness) | [`SKEWNESS_I16`] |
//! | zero crossings | none | none |

use super::log;
use super::Unit;
use crate::stream::front_end::Form;

/// Error budget of f32 features.
pub const RELATIVE_F32: f64 = 4e-6;
/// Error budget of logarithms in integers, of windows that peak at 16 counts or more.
pub const LOG_MOMENTS_I16: f64 = 1e-3;
/// Error budget of the skewness in integers.
pub const SKEWNESS_I16: f64 = 2e-3;

/// Samples that are summed before their sum is added to the total.
const BLOCK: u32 = 32;

/// What is asked of moments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Shape {
    /// Mean.
    Mean,
    /// Root of the mean square.
    Rms,
    /// Largest magnitude.
    Peak,
    /// Peak by RMS.
    Crest,
    /// Standardized fourth moment.
    Kurtosis,
    /// Standardized third moment.
    Skewness,
    /// Changes of sign.
    ZeroCrossings,
    /// RMS of differences by time.
    Jerk,
}

/// A sum in blocks: its rounding errors grow with the number of blocks, not of terms.
#[derive(Clone, Copy, Default)]
pub(super) struct Sum {
    total: f32,
    block: f32,
    count: u32,
}

impl Sum {
    #[inline(always)]
    pub(super) fn add(&mut self, x: f32) {
        self.block += x;
        self.count += 1;
        if self.count.is_multiple_of(BLOCK) {
            self.total += self.block;
            self.block = 0.0;
        }
    }

    #[inline(always)]
    pub(super) fn total(&self) -> f32 {
        self.total + self.block
    }
}

/// Moments of f32 samples; `d` is a sample less the mean, times `2^-exponent`.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct FloatMoments {
    pub(super) mean: f32,
    pub(super) exponent: i32,
    peak: f32,
    /// Means of `d^2`, `d^3`, `d^4`.
    pub(super) square: f32,
    cube: f32,
    fourth: f32,
    /// Mean of the squared difference of neighbours.
    jerk: f32,
    crossings: u32,
}

/// `2^exponent` for exponents of normal numbers.
pub(super) fn power(exponent: i32) -> f32 {
    f32::from_bits(((exponent + 127) as u32) << 23)
}

impl FloatMoments {
    /// Looks at a window: two passes.
    pub(super) fn new(samples: &[f32]) -> Self {
        let count = samples.len() as f32;
        // Differences from a sample: what stands still is exactly still, and a large offset costs no digits.
        let first = samples.first().copied().unwrap_or_default();
        let (mut sum, mut low, mut high) = (Sum::default(), f32::INFINITY, f32::NEG_INFINITY);
        for &x in samples {
            sum.add(x - first);
            low = if x < low { x } else { low };
            high = if x > high { x } else { high };
        }
        let mean = first + sum.total() / count;
        let (above, below) = (high - mean, mean - low);
        let peak = if above > below { above } else { below };
        // Within 2^±100 the powers of two are normal numbers, and so are their squares' sums below.
        let exponent = ((peak.to_bits() >> 23 & 0xff) as i32 - 127).clamp(-100, 126);
        let factor = power(-exponent);

        let [mut square, mut cube, mut fourth, mut jerk] = [Sum::default(); 4];
        let mut crossings = 0;
        let mut before = (first - mean) * factor;
        for &x in samples {
            let d = (x - mean) * factor;
            let d2 = d * d;
            square.add(d2);
            cube.add(d2 * d);
            fourth.add(d2 * d2);
            let step = d - before;
            jerk.add(step * step);
            crossings += u32::from((d < 0.0) != (before < 0.0));
            before = d;
        }
        FloatMoments {
            mean,
            exponent,
            peak: peak * factor,
            square: square.total() / count,
            cube: cube.total() / count,
            fourth: fourth.total() / count,
            jerk: jerk.total() / (count - 1.0),
            crossings,
        }
    }

    /// `d` of a sample.
    #[inline(always)]
    pub(super) fn deviation(&self, x: f32, factor: f32) -> f32 {
        (x - self.mean) * factor
    }

    pub(super) fn is_finite(&self) -> bool {
        self.mean.is_finite() && self.square.is_finite()
    }

    /// An amplitude of `d` in units, or the floor.
    pub(super) fn amplitude(&self, d: f32, floor: f32) -> f32 {
        let amplitude = d * power(self.exponent);
        if amplitude > floor {
            amplitude
        } else {
            floor
        }
    }

    pub(super) fn shape(&self, shape: Shape, form: Form, unit: &Unit<f32>) -> f32 {
        let amplitude = |d| self.amplitude(d, unit.floor);
        let rms = libm::sqrtf(self.square);
        let is_flat = rms * power(self.exponent) < unit.floor;
        let value = match shape {
            Shape::Mean => return self.mean,
            Shape::Skewness if is_flat => return 0.0,
            Shape::Skewness => return self.cube / (self.square * rms),
            Shape::ZeroCrossings => return self.crossings as f32,
            Shape::Rms => amplitude(rms),
            Shape::Peak => amplitude(self.peak),
            Shape::Crest if is_flat => 1.0,
            Shape::Crest => self.peak / rms,
            Shape::Kurtosis if is_flat => 3.0,
            Shape::Kurtosis => self.fourth / (self.square * self.square),
            Shape::Jerk => amplitude(libm::sqrtf(self.jerk)) * unit.rate,
        };
        float_feature(value, form)
    }
}

/// An amplitude as a feature.
pub(super) fn float_feature(amplitude: f32, form: Form) -> f32 {
    match form {
        Form::Plain => amplitude,
        Form::Log2 => libm::log2f(amplitude),
    }
}

/// Moments of counts. `e` is a count less the mean in 1/256, and `d = e 2^shift`, rounded: 15 bits and a sign.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct FixedMoments {
    count: u32,
    /// Sum of counts.
    sum: i32,
    /// Mean in 1/256 counts.
    mean: i32,
    /// Largest `|e|`.
    pub(super) peak: u32,
    shift: i32,
    /// Sums of `d^2`, `d^3 / 2^15`, `d^4 / 2^30`.
    pub(super) square: u64,
    cube: i64,
    fourth: u64,
    /// Sum of squared differences of neighbouring counts.
    jerk: u64,
    crossings: u32,
}

impl FixedMoments {
    /// Looks at a window of at most 2,048 samples: three passes.
    pub(super) fn new(samples: &[i16]) -> Self {
        let count = samples.len() as u32;
        let sum: i32 = samples.iter().map(|&x| i32::from(x)).sum();
        let length = (count as i32).max(1);
        // Two divisions of 32 bits: a core that has none would need a longer routine for one of 64.
        let mean = (sum / length) * 256 + (sum % length) * 256 / length;
        let mut moments = FixedMoments {
            count,
            sum,
            mean,
            peak: 0,
            shift: 0,
            square: 0,
            cube: 0,
            fourth: 0,
            jerk: 0,
            crossings: 0,
        };
        for &x in samples {
            moments.peak = moments.peak.max(moments.fine(x).unsigned_abs());
        }
        moments.shift = 15 - log::bits(moments.peak);
        let mut before = samples.first().copied().unwrap_or_default();
        for &x in samples {
            let d = moments.deviation(x);
            let d2 = d.unsigned_abs().wrapping_mul(d.unsigned_abs());
            let reduced = (d2 + (1 << 14)) >> 15;
            moments.square += u64::from(d2);
            moments.cube += i64::from(d * reduced as i32);
            moments.fourth += u64::from(reduced * reduced);
            let step = i32::from(x).abs_diff(i32::from(before));
            moments.jerk += u64::from(step * step);
            moments.crossings += u32::from((moments.fine(x) < 0) != (moments.fine(before) < 0));
            before = x;
        }
        moments
    }

    /// `e` of a count.
    #[inline(always)]
    pub(super) fn fine(&self, x: i16) -> i32 {
        (i32::from(x) << 8) - self.mean
    }

    /// `d` of a count.
    #[inline(always)]
    pub(super) fn deviation(&self, x: i16) -> i32 {
        log::shifted(self.fine(x), self.shift)
    }

    /// Logarithm of the RMS, in units.
    pub(super) fn rms(&self, unit: &Unit<i32>) -> i32 {
        let octaves = log::octaves(-8 - self.shift) + unit.scale;
        (log::log2(self.square) - log::log2(self.count.into())) / 2 + octaves
    }

    /// Whether there is nothing but the floor.
    pub(super) fn is_flat(&self, unit: &Unit<i32>) -> bool {
        self.peak == 0 || self.rms(unit) < unit.floor
    }

    pub(super) fn shape(&self, shape: Shape, form: Form, unit: &Unit<i32>) -> f32 {
        let rms = self.rms(unit);
        let is_flat = self.is_flat(unit);
        let count = log::log2(self.count.into());
        let square = log::log2(self.square);
        let peak = || log::log2(self.peak.into()) + log::octaves(-8) + unit.scale;
        let value = match shape {
            Shape::Mean if self.sum == 0 => return 0.0,
            Shape::Mean => {
                let size = log::log2(self.sum.unsigned_abs().into());
                return log::signed(self.sum < 0, size - count + unit.scale);
            }
            Shape::ZeroCrossings => return log::count(self.crossings),
            Shape::Skewness if is_flat || self.cube == 0 => return 0.0,
            Shape::Skewness => {
                let cube = log::log2(self.cube.unsigned_abs()) + log::octaves(15);
                return log::signed(self.cube < 0, cube + count / 2 - square - square / 2);
            }
            Shape::Rms => rms.max(unit.floor),
            Shape::Peak if self.peak == 0 => unit.floor,
            Shape::Peak => peak().max(unit.floor),
            Shape::Crest if is_flat => 0,
            Shape::Crest => peak() - rms,
            // log2(3).
            Shape::Kurtosis if is_flat => 1_661_954,
            Shape::Kurtosis => log::log2(self.fourth) + log::octaves(30) + count - 2 * square,
            Shape::Jerk if self.jerk == 0 => unit.floor + unit.rate,
            Shape::Jerk => {
                let steps = log::log2(u64::from(self.count.saturating_sub(1)));
                ((log::log2(self.jerk) - steps) / 2 + unit.scale).max(unit.floor) + unit.rate
            }
        };
        log::feature(value, form)
    }
}
