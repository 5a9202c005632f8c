//! Integer kernels in assembly, for a Cortex-M0 or M0+: 32-bit products only, and half of the registers out of
//! the compiler's reach.
//!
//! [`Encoding::I8Packed4`] is what they are for; the other encodings take the portable way.
#![allow(
    unsafe_code,
    reason = "kernels in assembly: 32x32 in 4.0 instructions per multiply-accumulate, compiled for speed 7.6"
)]

use super::job::{self, Job, Kernel};
use super::{portable, Dense, Encoding};
use crate::support::{Capabilities, Capability};
use core::arch::global_asm;

global_asm!(include_str!("armv6m.s"), options(raw));

extern "C" {
    /// All rows of a job of [`Encoding::I8Packed4`].
    fn flowlet_i8_packed4(job: &Job<'_>);
}

/// The kernel for [`Encoding::I8Packed4`].
const PACKED: Kernel = Kernel { encoding: Encoding::I8Packed4, run: flowlet_i8_packed4 };

/// See [`portable::at_once`].
#[inline(always)]
pub(super) fn at_once<'a>(
    words: &'a [u32],
    input: &[u32],
    output: &mut [u32],
    supports: Capabilities,
) -> Option<&'a [u32]> {
    job::at_once(
        |encoding| {
            (supports.has(Capability::I8Weights) && encoding == Encoding::I8Packed4 as u8).then_some(PACKED)
        },
        words,
        input,
        output,
    )
}

/// See [`portable::fixed_relu`].
pub(super) fn fixed_relu(layer: &Dense<'_>, input: &[i16], output: &mut [i16]) -> Option<()> {
    match layer.encoding {
        Encoding::I8Packed4 => job::fixed_relu(PACKED, layer, input, output),
        _ => portable::fixed_relu(layer, input, output),
    }
}

/// See [`portable::fixed_scaled`].
pub(super) fn fixed_scaled(layer: &Dense<'_>, input: &[i16], output: &mut [i32]) -> Option<()> {
    match layer.encoding {
        Encoding::I8Packed4 => job::fixed_scaled(PACKED, layer, input, output),
        _ => portable::fixed_scaled(layer, input, output),
    }
}

/// See [`portable::accumulate`].
#[inline(always)]
pub(super) fn accumulate(
    layer: &Dense<'_>,
    input: &[i16],
    emit: impl FnMut(usize, [i32; 4]) -> Option<()>,
) -> Option<()> {
    match layer.encoding {
        Encoding::I8Packed4 => job::accumulate(PACKED, layer, input, emit),
        _ => portable::accumulate(layer, input, emit),
    }
}
