//! Linear maps and elementwise affine ones.

use super::{unsupported, ExportError, Numeric};
use crate::flow::{ElementwiseAffine, Linear};

pub(super) fn elementwise(
    _t: &ElementwiseAffine,
    _numeric: Numeric,
    _words: &mut Vec<u32>,
) -> Result<u8, ExportError> {
    Err(unsupported("an elementwise affine map"))
}

pub(super) fn linear(_t: &Linear, _numeric: Numeric, _words: &mut Vec<u32>) -> Result<u8, ExportError> {
    Err(unsupported("a linear map"))
}
