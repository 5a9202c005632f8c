//! Base distributions.

use crate::flow::{Base, Mixture, StudentT};
use flowlet::arithmetic::Arithmetic;
use flowlet::base::Base as Encoded;
use std::f64::consts::PI;

/// The base as the device's numbers have it.
pub(super) fn decode<A: Arithmetic>(base: &Encoded<'_>, features: usize) -> Base {
    match base {
        Encoded::StandardNormal(_) => Base::StandardNormal,
        Encoded::StudentT(base) => {
            let mut out = StudentT { degrees: Vec::new(), location: Vec::new(), log_scale: Vec::new() };
            for numbers in (0..features).filter_map(|i| base.numbers::<A>(i)) {
                out.degrees.push(numbers.degrees);
                out.location.push(numbers.location);
                out.log_scale.push(-f64::from(numbers.inverse_scale).ln() as f32);
            }
            Base::StudentT(out)
        }
        Encoded::Mixture(base) => {
            let mut out = Mixture { log_weights: Vec::new(), means: Vec::new(), log_std: Vec::new() };
            for k in 0..base.components() {
                let mut log_weight =
                    f64::from(base.constant::<A>(k)) + 0.5 * features as f64 * (2.0 * PI).ln();
                for (mean, precision) in (0..features).filter_map(|i| base.numbers::<A>(k, i)) {
                    let log_precision = f64::from(precision).ln();
                    log_weight -= log_precision;
                    out.means.push(mean);
                    out.log_std.push(-log_precision as f32);
                }
                out.log_weights.push(log_weight as f32);
            }
            Base::Mixture(out)
        }
        other => unreachable!("no import of {}", other.name()),
    }
}
