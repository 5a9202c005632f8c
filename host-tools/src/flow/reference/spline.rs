//! Rational-quadratic splines (Durkan et al. 2019).

use crate::flow::Spline;

/// Value and log-derivative at `x` with raw parameters `[widths, heights, derivatives]`.
pub(super) fn forward(_spline: &Spline, _raw: &[f64], _x: f64) -> (f64, f64) {
    unimplemented!("spline")
}

/// Where `z` comes from.
pub(super) fn inverse(_spline: &Spline, _raw: &[f64], _z: f64) -> f64 {
    unimplemented!("spline")
}
