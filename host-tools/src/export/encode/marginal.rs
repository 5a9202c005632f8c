//! The marginal transform.

use super::{is_fixed, ExportError, Numeric};
use crate::flow::{Marginal, MarginalKind, MarginalMap};
use flowlet::arithmetic::marginal::{
    FEWEST_KNOTS, MOST_KNOTS, MOST_KNOT_SHIFT, SLOPE_BITS, SLOPE_FRACTION_BITS,
};
use flowlet::transform::kind;
use flowlet::transform::marginal::{RATIONAL_QUADRATIC, SHARED_Y};

pub(super) fn encode(t: &Marginal, numeric: Numeric, words: &mut Vec<u32>) -> Result<u8, ExportError> {
    let refused = |what: String| Err(ExportError::Flow(format!("a marginal map: {what}")));
    let Some(first) = t.features.first() else { return refused("no features".into()) };
    let knots = first.x.len();
    if !(FEWEST_KNOTS..=MOST_KNOTS).contains(&knots) {
        return refused(format!("{knots} knots are not between {FEWEST_KNOTS} and {MOST_KNOTS}"));
    }
    for (feature, map) in t.features.iter().enumerate() {
        if let Err(what) = check(map, t.form, knots) {
            return refused(format!("feature {feature}: {what}"));
        }
    }
    // Equal bits: a difference of rounding would be lost.
    let shared = t.features.iter().all(|m| m.y == first.y);
    let (x_shift, y_shift) = if is_fixed(numeric) { shifts(t)? } else { (0, 0) };
    let form = if t.form == MarginalKind::Linear { 0 } else { RATIONAL_QUADRATIC };
    let flags = form | if shared { SHARED_Y } else { 0 };
    words.push(u32::from_le_bytes([flags, knots as u8, x_shift, y_shift]));
    let mut push = |values: &[f32], bits: u32| {
        words.extend(values.iter().map(|&v| {
            if is_fixed(numeric) {
                (f64::from(v) * f64::from(bits).exp2()).round() as i64 as u32
            } else {
                v.to_bits()
            }
        }));
    };
    let owners = if shared { 1 } else { t.features.len() };
    t.features[..owners].iter().for_each(|m| push(&m.y, 16 + u32::from(y_shift)));
    t.features.iter().for_each(|m| push(&m.x, 16 + u32::from(x_shift)));
    t.features.iter().for_each(|m| push(&m.slopes, SLOPE_FRACTION_BITS));
    Ok(kind::MARGINAL)
}

/// Fractional bits beyond 16 of the knots' x and y, in fixed point.
pub(in crate::export) fn shifts(t: &Marginal) -> Result<(u8, u8), ExportError> {
    let all = |axis: fn(&MarginalMap) -> &[f32]| t.features.iter().flat_map(axis).copied();
    Ok((shift(all(|m| &m.x))?, shift(all(|m| &m.y))?))
}

/// The most fractional bits beyond 16 that all values leave room for.
fn shift(values: impl Iterator<Item = f32>) -> Result<u8, ExportError> {
    let size = values.fold(0.0, |a, v| f64::from(v).abs().max(a));
    let fits = |shift: &u8| (size * f64::from(16 + shift).exp2()).round() < f64::from(i32::MAX);
    (0..=MOST_KNOT_SHIFT).rev().find(fits).ok_or_else(|| {
        ExportError::Flow(format!("a marginal map: a knot at {size} does not fit Q15.16 (below 32768)"))
    })
}

fn check(map: &MarginalMap, form: MarginalKind, knots: usize) -> Result<(), String> {
    let slopes = if form == MarginalKind::Linear { 2 } else { knots };
    if map.x.len() != knots || map.y.len() != knots || map.slopes.len() != slopes {
        return Err(format!("not {knots} knots and {slopes} slopes"));
    }
    let limit = f32::from(1u16 << SLOPE_BITS);
    let fits = |slope: f32| slope >= 1.0 / limit && slope <= limit;
    for (x, y) in map.x.windows(2).zip(map.y.windows(2)) {
        if !(x[1] > x[0] && y[1] > y[0] && fits((y[1] - y[0]) / (x[1] - x[0]))) {
            return Err(format!("from {} to {} the slope is not between 1/{limit} and {limit}", x[0], x[1]));
        }
    }
    match map.slopes.iter().find(|&&s| !fits(s)) {
        Some(slope) => Err(format!("a slope of {slope} is not between 1/{limit} and {limit}")),
        None => Ok(()),
    }
}
