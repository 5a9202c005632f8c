//! Base distributions in f32.

use super::{finite, Elementary, FloatWith};
use crate::arithmetic::base::{BaseArithmetic, MixtureFormat, StudentNumbers};
use crate::support::Support;
use crate::{Fault, Part};

/// Features between two looks at whether a component can still matter.
const STRIDE: usize = 16;

/// `sum of ((z - mean) precision)^2` in four partial sums, by index modulo 4: what a SIMD register of the
/// host does, and the same bits everywhere.
fn add_squares(sums: &mut [f32; 4], z: &[f32], means: &[f32], precisions: &[f32]) {
    let (z4, z) = z.as_chunks::<4>();
    let (means4, means) = means.as_chunks::<4>();
    let (precisions4, precisions) = precisions.as_chunks::<4>();
    for ((z, mean), precision) in z4.iter().zip(means4).zip(precisions4) {
        for (((sum, &z), &mean), &precision) in sums.iter_mut().zip(z).zip(mean).zip(precision) {
            let u = (z - mean) * precision;
            *sum += u * u;
        }
    }
    for (((sum, &z), &mean), &precision) in sums.iter_mut().zip(z).zip(means).zip(precisions) {
        let u = (z - mean) * precision;
        *sum += u * u;
    }
}

/// `q`, `1 / nu` and `(nu + 1) / 2` of each feature.
fn student<'a>(z: &'a [f32], words: &'a [u32]) -> impl Iterator<Item = (f32, f32, f32)> + 'a {
    let (words, _) = words.as_chunks::<4>();
    z.iter().zip(words).map(|(z, words)| {
        let [location, inverse_scale, inverse_degrees, exponent] = words.map(f32::from_bits);
        ((z - location) * inverse_scale, inverse_degrees, exponent)
    })
}

impl<E: Elementary, S: Support> BaseArithmetic<f32, f32> for FloatWith<E, S> {
    type Mass = f32;

    /// location, 1 / scale, 1 / nu, (nu + 1) / 2.
    const STUDENT_WORDS: usize = 4;
    const NO_MASS: (f32, f32) = (f32::MIN, 0.0);
    /// e^-20 is a thirtieth of half a unit in the last place of one.
    const NEGLIGIBLE: f32 = 20.0;

    fn squared_norm(z: &[f32]) -> f32 {
        let mut sum = 0.0;
        for &z in z {
            sum += z * z;
        }
        sum
    }

    fn check_student(words: &[u32]) -> Result<(), Fault> {
        let &[location, inverse_scale, inverse_degrees, exponent] = words else {
            return Err(Fault::malformed(Part::Base));
        };
        let not_finite = Fault::not_finite(Part::Base);
        finite(location).ok_or(not_finite)?;
        let inverse_scale = finite(inverse_scale).ok_or(not_finite)?;
        let inverse_degrees = finite(inverse_degrees).ok_or(not_finite)?;
        let exponent = finite(exponent).ok_or(not_finite)?;
        if inverse_scale > 0.0 && inverse_degrees > 0.0 && exponent > 0.5 {
            Ok(())
        } else {
            Err(Fault::malformed(Part::Base))
        }
    }

    fn student_energy(z: &[f32], words: &[u32]) -> f32 {
        let mut sum = 0.0;
        for (q, inverse_degrees, exponent) in student(z, words) {
            sum += exponent * E::ln(1.0 + q * q * inverse_degrees);
        }
        sum
    }

    fn student_squared_norm(z: &[f32], words: &[u32]) -> f32 {
        let mut sum = 0.0;
        for (q, _, _) in student(z, words) {
            sum += q * q;
        }
        sum
    }

    fn student_numbers(words: &[u32]) -> Option<StudentNumbers> {
        let &[location, inverse_scale, _, exponent] = words else { return None };
        Some(StudentNumbers {
            location: f32::from_bits(location),
            inverse_scale: f32::from_bits(inverse_scale),
            degrees: 2.0 * f32::from_bits(exponent) - 1.0,
        })
    }

    fn student_location(words: &[u32]) -> Option<f32> {
        words.first().map(|&w| f32::from_bits(w))
    }

    /// All means, then all precisions.
    fn mixture_words(features: usize) -> usize {
        features.saturating_mul(2)
    }

    fn mixture_format_is_valid(format: MixtureFormat) -> bool {
        format == MixtureFormat::default()
    }

    fn check_component(words: &[u32], features: usize) -> Result<(), Fault> {
        let malformed = Fault::malformed(Part::Base);
        let (_, precisions) = words.split_at_checked(features).ok_or(malformed)?;
        if words.iter().any(|&w| finite(w).is_none()) {
            return Err(Fault::not_finite(Part::Base));
        }
        if precisions.len() == features && precisions.iter().all(|&w| f32::from_bits(w) > 0.0) {
            Ok(())
        } else {
            Err(malformed)
        }
    }

    fn is_near(_: &[f32]) -> bool {
        true
    }

    fn half_distance(z: &[f32], words: &[u32], _: MixtureFormat, _: bool, limit: f32) -> Option<f32> {
        let (means, precisions) = words.split_at_checked(z.len())?;
        let means = bytemuck::cast_slice::<u32, f32>(means).chunks(STRIDE);
        let precisions = bytemuck::cast_slice::<u32, f32>(precisions).chunks(STRIDE);
        let mut sums = [0.0; 4];
        let mut half = 0.0;
        for ((z, means), precisions) in z.chunks(STRIDE).zip(means).zip(precisions) {
            add_squares(&mut sums, z, means, precisions);
            half = 0.5 * ((sums[0] + sums[1]) + (sums[2] + sums[3]));
            if half > limit {
                return None;
            }
        }
        Some(half)
    }

    fn component_mean(words: &[u32], _: MixtureFormat, feature: usize) -> Option<f32> {
        words.get(feature).map(|&w| f32::from_bits(w))
    }

    fn component_numbers(
        words: &[u32],
        _: MixtureFormat,
        features: usize,
        feature: usize,
    ) -> Option<(f32, f32)> {
        let mean = words.get(feature)?;
        let precision = words.get(features.checked_add(feature)?)?;
        Some((f32::from_bits(*mean), f32::from_bits(*precision)))
    }

    fn add_mass((largest, sum): (f32, f32), term: f32) -> (f32, f32) {
        // An infinite distance is the lowest log-density, and a NaN (absurd couplings) too.
        let term = if term > f32::MIN { term } else { f32::MIN };
        let exp = |below: f32| if below > -Self::NEGLIGIBLE { E::exp(below) } else { 0.0 };
        if term > largest {
            (term, sum * exp(largest - term) + 1.0)
        } else {
            (largest, sum + exp(term - largest))
        }
    }

    fn log_mass((largest, sum): (f32, f32)) -> f32 {
        largest + E::ln(sum)
    }
}
