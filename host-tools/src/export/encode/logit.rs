//! The logit transform.

use super::{value, ExportError, Numeric};
use crate::flow::Logit;
use flowlet::arithmetic::logit::{LARGEST_MARGIN, SMALLEST_MARGIN};
use flowlet::transform::kind;

pub(super) fn encode(t: &Logit, numeric: Numeric, words: &mut Vec<u32>) -> Result<u8, ExportError> {
    if !(SMALLEST_MARGIN..=LARGEST_MARGIN).contains(&t.margin) {
        let margin = t.margin;
        return Err(ExportError::Flow(format!("a logit's margin of {margin} is not between 1/4096 and 1/4")));
    }
    words.push(value(t.margin, numeric, "margin")?);
    Ok(kind::LOGIT)
}
