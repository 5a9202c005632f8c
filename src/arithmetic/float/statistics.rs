//! [`StatisticsArithmetic`] in f32.

use super::{Elementary, Float};
use crate::arithmetic::statistics::StatisticsArithmetic;

impl<E: Elementary> StatisticsArithmetic<f32> for Float<E> {
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
