//! The logit transform.

use super::{unsupported, ExportError, Numeric};
use crate::flow::Logit;

pub(super) fn encode(_t: &Logit, _numeric: Numeric, _words: &mut Vec<u32>) -> Result<u8, ExportError> {
    Err(unsupported("a logit map"))
}
