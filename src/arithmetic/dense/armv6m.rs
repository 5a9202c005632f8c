//! Integer kernels in assembly, for a Cortex-M0 or M0+: 32-bit products only, and half of the registers out of
//! the compiler's reach.
//!
//! [`Encoding::I8Packed4`] is what they are for; the other encodings take the portable way. A layer is read, checked and
//! started in assembly too, which on layers of flow size is a tenth of the work.
#![allow(
    unsafe_code,
    reason = "kernels in assembly: 32x32 in 3.9 instructions per multiply-accumulate, compiled for speed 7.6"
)]

use super::job::{self, Job, Kernel};
use super::{portable, Dense, Encoding};
use crate::support::{Capabilities, Capability};
use core::arch::global_asm;

global_asm!(include_str!("armv6m.s"), options(raw));

extern "C" {
    /// All rows of a job of [`Encoding::I8Packed4`].
    fn flowlet_i8_packed4(job: &Job<'_>);
    /// A layer of [`Encoding::I8Packed4`] from its words on: hidden with ReLU, or last with a shift of 32 to 63. Gives the
    /// address of the words behind it, and in the upper half how many these are; zero if it is no such layer, or does not fit
    /// the words or the buffers, and then nothing is done.
    fn flowlet_layer(
        words: *const u32,
        length: usize,
        input: *const u32,
        input_length: usize,
        output: *mut u32,
        output_length: usize,
    ) -> u64;
}

// As the assembly has them.
const _: () = assert!(Encoding::I8Packed4 as u8 == 5 && super::RELU == 1 && super::OUTPUT == 0);

/// The kernel for [`Encoding::I8Packed4`].
const PACKED: Kernel = Kernel { encoding: Encoding::I8Packed4, run: flowlet_i8_packed4 };

/// The layer at the front of `words`, if [`flowlet_layer`] takes it; gives the words behind it.
///
/// Every score comes by here: a [`Dense`] is not made.
#[inline(always)]
pub(super) fn at_once<'a>(
    words: &'a [u32],
    input: &[u32],
    output: &mut [u32],
    supports: Capabilities,
) -> Option<&'a [u32]> {
    if !supports.has(Capability::I8Weights) {
        return None;
    }
    let (front, to, to_length) = (words.as_ptr(), output.as_mut_ptr(), output.len());
    // SAFETY: it reads and writes within these lengths, which it checks, and keeps the caller's registers.
    let found = unsafe { flowlet_layer(front, words.len(), input.as_ptr(), input.len(), to, to_length) };
    // SAFETY: what the kernel gives lies behind the layer, in `words`.
    unsafe { super::behind(words, found) }
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
