//! [`StatisticsArithmetic`] in f32.

use super::{Elementary, FloatWith};
use crate::arithmetic::statistics::StatisticsArithmetic;
use crate::support::Support;

impl<E: Elementary, S: Support> StatisticsArithmetic<f32> for FloatWith<E, S> {
    fn log_from_f32(x: f32) -> f32 {
        x
    }

    fn mean_log(sum: f32, count: usize) -> f32 {
        if count > 1 {
            sum / count as f32
        } else {
            sum
        }
    }

    fn inverse_std(parameters: &[u32]) -> Option<f32> {
        let &[_, inverse_std, _] = parameters else { return None };
        Some(f32::from_bits(inverse_std))
    }
}
