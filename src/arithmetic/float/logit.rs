//! The logit in f32.

use super::{Elementary, FloatWith};
use crate::arithmetic::logit::{LogitArithmetic, LARGEST_MARGIN, SMALLEST_MARGIN};
use crate::support::Support;

/// See [`LogitArithmetic::Edge`].
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Edge {
    low: f32,
    high: f32,
    top: f32,
    slope: f32,
    log_slope: f32,
}

impl<E: Elementary, S: Support> LogitArithmetic<f32, f32> for FloatWith<E, S> {
    type Edge = Edge;

    fn logit_edge(margin: f32) -> Option<Edge> {
        if !(SMALLEST_MARGIN..=LARGEST_MARGIN).contains(&margin) {
            return None;
        }
        let high = 1.0 - margin;
        let slope = 1.0 / (margin * high);
        Some(Edge { low: margin, high, top: E::ln(high / margin), slope, log_slope: E::ln(slope) })
    }

    // Each side from its own edge: differences from one half would round off the digits of a small p.
    fn logit(edge: Edge, p: f32) -> (f32, f32) {
        if p > edge.high {
            (edge.top + edge.slope * (p - edge.high), edge.log_slope)
        } else if p < edge.low {
            (edge.slope * (p - edge.low) - edge.top, edge.log_slope)
        } else {
            let rest = 1.0 - p;
            (E::ln(p / rest), -E::ln(p * rest))
        }
    }

    fn logit_inverse(edge: Edge, y: f32) -> (f32, f32) {
        if y > edge.top {
            (edge.high + (y - edge.top) / edge.slope, edge.log_slope)
        } else if y < -edge.top {
            (edge.low + (y + edge.top) / edge.slope, edge.log_slope)
        } else {
            // ln p + ln(1 - p) = -|y| - 2 ln(1 + e^-|y|).
            let small = E::exp(-y.abs());
            let whole = 1.0 + small;
            (if y < 0.0 { small / whole } else { 1.0 / whole }, y.abs() + 2.0 * E::ln(whole))
        }
    }
}
