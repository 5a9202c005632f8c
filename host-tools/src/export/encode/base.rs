//! Base distributions.

use super::{is_fixed, value, ExportError, Numeric};
use crate::flow::ln_gamma;
use crate::flow::{Base, Mixture, StudentT};
use flowlet::arithmetic::base::MixtureFormat;
use flowlet::arithmetic::fixed::base::{EXPONENT_BITS, INVERSE_DEGREES_BITS};
use flowlet::base::{BaseRecord, MAX_COMPONENTS};
use std::f64::consts::PI;

/// Appends the base's parameters; gives its record.
pub(super) fn encode(base: &Base, numeric: Numeric, words: &mut Vec<u32>) -> Result<BaseRecord, ExportError> {
    let offset = words.len() as u32;
    match base {
        Base::StandardNormal => Ok(BaseRecord::StandardNormal),
        Base::DiagonalNormal(_) => {
            Err(ExportError::Flow("a diagonal normal is not in canonical form".into()))
        }
        Base::StudentT(base) => {
            student(base, numeric, words)?;
            Ok(BaseRecord::StudentT { offset })
        }
        Base::Mixture(base) => {
            let components = mixture(base, numeric, words)?;
            Ok(BaseRecord::Mixture { offset, components })
        }
    }
}

fn student(base: &StudentT, numeric: Numeric, words: &mut Vec<u32>) -> Result<(), ExportError> {
    let features = base.degrees.iter().zip(&base.location).zip(&base.log_scale);
    let head = words.len();
    words.push(0);
    for (feature, ((&degrees, &location), &log_scale)) in features.enumerate() {
        let wrong = |what: &str| {
            ExportError::Flow(format!(
                "feature {feature} of a Student-t base has {degrees} degrees of freedom, location {location} and \
                 log-scale {log_scale}: {what}"
            ))
        };
        if !(0.6..=1000.0).contains(&degrees) {
            return Err(wrong("degrees go from 0.6 to 1000"));
        }
        // 2^±20, far beyond what a base variable needs.
        if log_scale.is_nan() || log_scale.abs() > 14.0 || !location.is_finite() {
            return Err(wrong("log-scales go from -14 to 14, locations are finite"));
        }
        let nu = f64::from(degrees);
        let half = 0.5 * (nu + 1.0);
        let inverse_scale = (-f64::from(log_scale)).exp();
        words.push(value(location, numeric, "location")?);
        if is_fixed(numeric) {
            let (mantissa, shift) = student_inverse_scale(inverse_scale);
            words.extend([
                mantissa as u32,
                (f64::from(INVERSE_DEGREES_BITS).exp2() / nu).round() as u32,
                (half * f64::from(EXPONENT_BITS).exp2()).round() as u32,
                shift as i32 as u32,
            ]);
        } else {
            words.extend([inverse_scale, 1.0 / nu, half].map(|x| (x as f32).to_bits()));
        }
    }
    words[head] = value(student_log_normalizer(base) as f32, numeric, "normalization of the base")?;
    Ok(())
}

/// What the log-density of a Student-t base is at its location.
pub(in crate::export) fn student_log_normalizer(base: &StudentT) -> f64 {
    let mut constant = 0.0;
    for (&degrees, &log_scale) in base.degrees.iter().zip(&base.log_scale) {
        let nu = f64::from(degrees);
        let half = 0.5 * (nu + 1.0);
        constant += ln_gamma(half) - ln_gamma(0.5 * nu) - 0.5 * (PI * nu).ln() - f64::from(log_scale);
    }
    constant
}

/// The mantissa, within 2^30 and 2^31, and the shift of an inverse scale, `mantissa / 2^shift`.
pub(in crate::export) fn student_inverse_scale(inverse_scale: f64) -> (f64, f64) {
    let shift = 30.0 - inverse_scale.log2().floor();
    ((inverse_scale * shift.exp2()).round().min(f64::from(i32::MAX)), shift)
}

/// A mixture as a fixed-point image holds it.
pub(in crate::export) struct StoredMixture {
    /// Which component comes when.
    pub(in crate::export) order: Vec<usize>,
    /// Normalized weights, in that order.
    pub(in crate::export) weights: Vec<f64>,
    /// Constants of the terms.
    pub(in crate::export) constants: Vec<f64>,
    /// Per component, per feature, mean and precision.
    pub(in crate::export) entries: Vec<Vec<(f64, f64)>>,
    /// What precisions are counted in.
    pub(in crate::export) unit: f64,
}

impl StoredMixture {
    pub(in crate::export) fn new(base: &Mixture) -> Result<Self, ExportError> {
        let mut words = Vec::new();
        let components = usize::from(mixture(base, Numeric::I16, &mut words)?);
        let weights: Vec<f64> = base.log_weights.iter().map(|&w| f64::from(w).exp()).collect();
        let total: f64 = weights.iter().sum();
        let mut order: Vec<usize> = (0..weights.len()).filter(|&k| weights[k] > 0.0).collect();
        order.sort_by(|&a, &b| weights[b].total_cmp(&weights[a]));
        let format = format(base, &order)?;
        let unit = (-f64::from(format.precision_bits)).exp2();
        let features = base.means.len() / weights.len();
        let entry = |&word: &u32| {
            // The whole word is the mean: see `fixed_entries`.
            let mean = f64::from((word as i32) >> format.mean_shift) / 65536.0;
            (mean, f64::from(word as i16) * unit)
        };
        let each = words[1..].chunks_exact(2 + features);
        let constants: Vec<f64> = each.clone().map(|c| f64::from(c[0] as i32) / 65536.0).collect();
        let entries = each.map(|c| c[2..].iter().map(entry).collect()).collect();
        let weights = order.iter().map(|&k| weights[k] / total).collect();
        debug_assert_eq!(constants.len(), components);
        Ok(StoredMixture { order, weights, constants, entries, unit })
    }
}

/// Means and precisions as the device will see them, with the words that hold them.
struct Entries {
    words: Vec<u32>,
    /// Sum of the logarithms of the precisions.
    log_precision: f64,
}

/// Heavy components first: the sooner the nearest one is found, the sooner the others are left.
fn mixture(base: &Mixture, numeric: Numeric, words: &mut Vec<u32>) -> Result<u8, ExportError> {
    let weights: Vec<f64> = base.log_weights.iter().map(|&w| f64::from(w).exp()).collect();
    let total: f64 = weights.iter().sum();
    if !(total.is_finite() && total > 0.0 && weights.len() <= MAX_COMPONENTS) {
        return Err(ExportError::Flow(format!(
            "a mixture of {} components with weights that add up to {total}: 1 to {MAX_COMPONENTS} with finite \
             weights will do",
            weights.len()
        )));
    }
    // A component without weight has no logarithm.
    let mut order: Vec<usize> = (0..weights.len()).filter(|&k| weights[k] > 0.0).collect();
    order.sort_by(|&a, &b| weights[b].total_cmp(&weights[a]));
    let format = if is_fixed(numeric) { Some(format(base, &order)?) } else { None };
    words.push(format.unwrap_or_default().to_word());
    let mut cumulative = 0.0;
    for (rank, &k) in order.iter().enumerate() {
        let (means, log_std) = base.component(k);
        let entries = match format {
            Some(format) => fixed_entries(means, log_std, format),
            None => float_entries(means, log_std)?,
        };
        let weight = weights[k] / total;
        cumulative += weight;
        // Precisions as rounded, so that the rounded mixture is normalized too.
        let constant = weight.ln() + entries.log_precision - 0.5 * means.len() as f64 * (2.0 * PI).ln();
        words.push(value(constant as f32, numeric, "normalization of the base")?);
        let last = rank + 1 == order.len();
        // `as` saturates.
        words.push(if last { u32::MAX } else { (cumulative * 32f64.exp2()).round() as u32 });
        words.extend(entries.words);
    }
    Ok(order.len() as u8)
}

fn float_entries(means: &[f32], log_std: &[f32]) -> Result<Entries, ExportError> {
    let precisions: Vec<f32> = log_std.iter().map(|&s| (-f64::from(s)).exp() as f32).collect();
    if !precisions.iter().all(|p| p.is_normal()) {
        return Err(ExportError::Flow("a mixture has a standard deviation that f32 does not hold".into()));
    }
    Ok(Entries {
        words: means.iter().chain(&precisions).map(|x| x.to_bits()).collect(),
        log_precision: precisions.iter().map(|&p| f64::from(p).ln()).sum(),
    })
}

/// The finest scales that hold all means and all precisions.
fn format(base: &Mixture, used: &[usize]) -> Result<MixtureFormat, ExportError> {
    let (mut mean, mut precision) = (0.0_f64, 0.0_f64);
    for (means, log_std) in used.iter().map(|&k| base.component(k)) {
        mean = means.iter().fold(mean, |largest, &m| largest.max(f64::from(m).abs()));
        precision = log_std.iter().fold(precision, |largest, &s| largest.max((-f64::from(s)).exp()));
    }
    // A mean in units of 2^-shift, rounded, within i16; a precision within 1 and 32767.
    let mean_shift = (4..=15).rev().find(|&s| mean * f64::from(s).exp2() < 32766.0);
    let precision_bits = (8..=22).rev().find(|&b| precision * f64::from(b).exp2() <= 32767.0);
    match (mean_shift, precision_bits) {
        (Some(mean_shift), Some(precision_bits)) => {
            Ok(MixtureFormat { mean_shift: mean_shift as u8, precision_bits: precision_bits as u8 })
        }
        _ => Err(ExportError::Flow(format!(
            "a mixture with a mean of {mean} and a standard deviation of {:e} does not fit fixed point: means \
             below 2000 and standard deviations above 0.008 will do; or use --numeric f32",
            1.0 / precision
        ))),
    }
}

fn fixed_entries(means: &[f32], log_std: &[f32], format: MixtureFormat) -> Entries {
    let mut entries = Entries { words: Vec::new(), log_precision: 0.0 };
    let unit = f64::from(format.precision_bits).exp2();
    for (&mean, &log_std) in means.iter().zip(log_std) {
        let precision = ((-f64::from(log_std)).exp() * unit).round().clamp(1.0, 32767.0);
        entries.log_precision += (precision / unit).ln();
        // The whole word is the mean: the precision below adds to it.
        let target = f64::from(mean) * f64::from(16 + format.mean_shift).exp2();
        let upper = ((target - precision) / 65536.0).round().clamp(-32768.0, 32767.0) as i16;
        entries.words.push(precision as u32 | (upper as u16 as u32) << 16);
    }
    entries
}
