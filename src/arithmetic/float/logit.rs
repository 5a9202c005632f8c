//! The logit in f32.

use super::{Elementary, Float};
use crate::arithmetic::logit::{LogitArithmetic, LARGEST_MARGIN, SMALLEST_MARGIN};

/// See [`LogitArithmetic::Edge`].
#[derive(Clone, Copy, Debug)]
pub struct Edge {
    /// Half the width of the middle part: `0.5 - margin`.
    half: f32,
    top: f32,
    slope: f32,
    log_slope: f32,
}

impl<E: Elementary> LogitArithmetic<f32, f32> for Float<E> {
    type Edge = Edge;

    fn logit_edge(margin: f32) -> Option<Edge> {
        if !(SMALLEST_MARGIN..=LARGEST_MARGIN).contains(&margin) {
            return None;
        }
        let rest = 1.0 - margin;
        let slope = 1.0 / (margin * rest);
        Some(Edge { half: 0.5 - margin, top: E::ln(rest / margin), slope, log_slope: E::ln(slope) })
    }

    fn logit(edge: Edge, p: f32) -> (f32, f32) {
        let beyond = (p - 0.5).abs() - edge.half;
        if beyond > 0.0 {
            ((edge.top + edge.slope * beyond).copysign(p - 0.5), edge.log_slope)
        } else {
            let rest = 1.0 - p;
            (E::ln(p / rest), -E::ln(p * rest))
        }
    }

    fn logit_inverse(edge: Edge, y: f32) -> (f32, f32) {
        let beyond = y.abs() - edge.top;
        if beyond > 0.0 {
            (0.5 + (edge.half + beyond / edge.slope).copysign(y), edge.log_slope)
        } else {
            // 1 / p of the larger of p and 1 - p; ln p + ln(1 - p) = -|y| - 2 ln(1 + e^-|y|).
            let whole = 1.0 + E::exp(-y.abs());
            let large = 1.0 / whole;
            (if y < 0.0 { 1.0 - large } else { large }, y.abs() + 2.0 * E::ln(whole))
        }
    }
}
