//! The marginal transform.

use super::{unsupported, ExportError, Numeric};
use crate::flow::Marginal;

pub(super) fn encode(_t: &Marginal, _numeric: Numeric, _words: &mut Vec<u32>) -> Result<u8, ExportError> {
    Err(unsupported("a marginal map"))
}
