//! Integer kernels in assembly, for a Cortex-M0 or M0+: 32-bit products only, and half of the registers out of
//! the compiler's reach.
//!
//! [`Encoding::I8Packed4`] and [`Encoding::I16Rows4`] are what they are for; other orders go weight by weight. A layer is read,
//! checked and started in assembly too, which on layers of flow size is a tenth of the work.
#![allow(
    unsafe_code,
    reason = "kernels in assembly: i8 32x32 in 3.9 instructions per multiply-accumulate, compiled for speed 7.6"
)]

use super::job::{self, AtOnce, Job, Kernel};
use super::{portable, Dense, Encoding};
use crate::support::{Capabilities, Capability};
use core::arch::global_asm;

extern "C" {
    /// All rows of a job of [`Encoding::I8Packed4`].
    fn flowlet_job_1(job: &Job<'_>);
    /// All rows of a job of [`Encoding::I16Rows4`].
    fn flowlet_job_2(job: &Job<'_>);
}

job::layers_at_once!(flowlet_layer_1 flowlet_layer_2);

global_asm!(include_str!("armv6m.s"), unit = const 1);
global_asm!(include_str!("armv6m.s"), unit = const 2);

const I8_PACKED_4: u8 = Encoding::I8Packed4 as u8;
const I16_ROWS_4: u8 = Encoding::I16Rows4 as u8;

// As the assembly has them.
const _: () = assert!(I8_PACKED_4 == 5 && I16_ROWS_4 == 2 && super::RELU == 1 && super::OUTPUT == 0);

/// The kernel for an encoding.
#[inline(always)]
fn kernel(encoding: Encoding) -> Option<Kernel> {
    let run = match encoding {
        Encoding::I8Packed4 => flowlet_job_1,
        Encoding::I16Rows4 => flowlet_job_2,
        _ => return None,
    };
    Some(Kernel { encoding, run })
}

/// The layer at the front of `words`, hidden with ReLU or last, its weights in an order of these kernels; gives the words
/// behind it.
///
/// Every score comes by here: a [`Dense`] is not made.
#[inline(always)]
pub(super) fn at_once<'a>(
    words: &'a [u32],
    input: &[u32],
    output: &mut [u32],
    supports: Capabilities,
) -> Option<&'a [u32]> {
    let mut take = |run: AtOnce| {
        // SAFETY: it checks all lengths that it is told, and keeps the caller's registers.
        unsafe { job::run_at_once(run, words, input, output) }
    };
    // What the first does not take costs it some ten instructions.
    let of_i8 = if supports.has(Capability::I8Weights) { take(flowlet_layer_1) } else { None };
    match of_i8 {
        None if supports.has(Capability::I16Weights) => take(flowlet_layer_2),
        found => found,
    }
}

/// See [`portable::fixed_relu`].
pub(super) fn fixed_relu(layer: &Dense<'_>, input: &[i16], output: &mut [i16]) -> Option<()> {
    match kernel(layer.encoding) {
        Some(kernel) => job::fixed_relu(kernel, layer, input, output),
        None => portable::fixed_relu_any(layer, input, output),
    }
}

/// See [`portable::fixed_scaled`].
pub(super) fn fixed_scaled(layer: &Dense<'_>, input: &[i16], output: &mut [i32]) -> Option<()> {
    match kernel(layer.encoding) {
        Some(kernel) => job::fixed_scaled(kernel, layer, input, output),
        None => portable::fixed_scaled_any(layer, input, output),
    }
}

/// See [`portable::accumulate`].
#[inline(always)]
pub(super) fn accumulate(
    layer: &Dense<'_>,
    input: &[i16],
    emit: impl FnMut(usize, [i32; 4]) -> Option<()>,
) -> Option<()> {
    match kernel(layer.encoding) {
        Some(kernel) => job::accumulate(kernel, layer, input, emit),
        None => portable::accumulate_any(layer, input, emit),
    }
}
