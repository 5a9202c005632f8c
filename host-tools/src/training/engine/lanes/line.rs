//! The unit of storage: one cache line of f32.

use serde::{Deserialize, Serialize};

/// Values in a [`Line`].
pub(crate) const LINE: usize = 16;

/// Sixteen f32 in one cache line: one feature of sixteen samples, or sixteen parameters.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[repr(C, align(64))]
pub(crate) struct Line(pub(crate) [f32; LINE]);

impl Line {
    /// All zeros.
    pub(crate) const ZERO: Line = Line([0.0; LINE]);
}

/// The values of `lines`, in order.
#[inline(always)]
#[allow(unsafe_code)] // a slice cast that the standard library offers for plain arrays only
pub(crate) fn floats(lines: &[Line]) -> &[f32] {
    // SAFETY: `Line` is `repr(C)`, 64 bytes of 16 f32 without padding, so `lines.len()` lines are
    // `16 * lines.len()` initialised f32 in one allocation, alive as long as the borrow.
    unsafe { std::slice::from_raw_parts(lines.as_ptr().cast::<f32>(), lines.len() * LINE) }
}

/// The same to write to.
#[inline(always)]
#[allow(unsafe_code)] // as above
pub(crate) fn floats_mut(lines: &mut [Line]) -> &mut [f32] {
    // SAFETY: as in `floats`; the borrow is exclusive, and any f32 may be written to a `Line`.
    unsafe { std::slice::from_raw_parts_mut(lines.as_mut_ptr().cast::<f32>(), lines.len() * LINE) }
}
