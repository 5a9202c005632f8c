//! Base distributions.

use super::{unsupported, ExportError, Numeric};
use crate::flow::Base;
use flowlet::base::BaseRecord;

/// Appends the base's parameters; gives its record.
pub(super) fn encode(
    base: &Base,
    _numeric: Numeric,
    _words: &mut Vec<u32>,
) -> Result<BaseRecord, ExportError> {
    match base {
        Base::StandardNormal => Ok(BaseRecord::StandardNormal),
        _ => Err(unsupported("this base distribution")),
    }
}
