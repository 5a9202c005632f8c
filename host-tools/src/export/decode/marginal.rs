//! Maps through knots, and the logit.

use crate::flow::{Marginal, MarginalKind, MarginalMap};
use flowlet::arithmetic::marginal::{MarginalForm, SLOPE_FRACTION_BITS};

/// The maps of `active` features; `fixed` says which numbers the words are.
pub(super) fn decode(t: &flowlet::transform::Marginal<'_>, active: usize, fixed: bool) -> Marginal {
    let read = |words: &[u32], bits: u32, signed: bool| -> Vec<f32> {
        let integer = |w: u32| if signed { f64::from(w as i32) } else { f64::from(w) };
        words
            .iter()
            .map(|&w| if fixed { (integer(w) / f64::from(bits).exp2()) as f32 } else { f32::from_bits(w) })
            .collect()
    };
    Marginal {
        form: match t.form() {
            MarginalForm::Linear => MarginalKind::Linear,
            MarginalForm::RationalQuadratic => MarginalKind::RationalQuadratic,
        },
        features: t
            .maps(active)
            .map(|m| MarginalMap {
                x: read(m.x, 16 + u32::from(m.x_shift), true),
                y: read(m.y, 16 + u32::from(m.y_shift), true),
                slopes: read(m.slopes, SLOPE_FRACTION_BITS, false),
            })
            .collect(),
    }
}
