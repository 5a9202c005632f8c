//! The unit of storage: one cache line of f32.

use bytemuck::{Pod, Zeroable};
use serde::{Deserialize, Serialize};

/// Values in a [`Line`].
pub(crate) const LINE: usize = 16;

/// Sixteen f32 in one cache line: one feature of sixteen samples, or sixteen parameters.
#[derive(Clone, Copy, Debug, PartialEq, Pod, Serialize, Deserialize, Zeroable)]
#[repr(C, align(64))]
pub(crate) struct Line(pub(crate) [f32; LINE]);

impl Line {
    /// All zeros.
    pub(crate) const ZERO: Line = Line([0.0; LINE]);
}

/// The values of `lines`, in order.
#[inline(always)]
pub(crate) fn floats(lines: &[Line]) -> &[f32] {
    bytemuck::cast_slice(lines)
}

/// The same to write to.
#[inline(always)]
pub(crate) fn floats_mut(lines: &mut [Line]) -> &mut [f32] {
    bytemuck::cast_slice_mut(lines)
}
