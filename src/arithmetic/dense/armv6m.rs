//! Integer kernels in assembly, for a Cortex-M0 or M0+: 32-bit products only, and half of the registers out of
//! the compiler's reach.
//!
//! [`Encoding::I8Packed4`] and [`Encoding::I16Rows4`] are what they are for; other orders go weight by weight. A layer is read,
//! checked and started in assembly too, which on layers of flow size is a tenth of the work.
#![allow(
    unsafe_code,
    reason = "kernels in assembly: i8 32x32 in 3.9 instructions per multiply-accumulate, compiled for speed 7.6"
)]

use super::job::{self, Job, Kernel};
use super::{portable, Dense, Encoding};
use crate::support::{Capabilities, Capability};
use core::arch::global_asm;

/// A layer from its words on, its weights in the order of the function's unit: hidden with ReLU, or last. Gives the address of
/// the words behind it, and in the upper half how many these are; zero if it is no such layer, or does not fit the words or the
/// buffers, and then nothing is done.
type AtOnce = unsafe extern "C" fn(*const u32, usize, *const u32, usize, *mut u32, usize) -> u64;

macro_rules! unit {
    ($unit:literal $layer:ident $job:ident) => {
        extern "C" {
            fn $layer(
                words: *const u32,
                length: usize,
                input: *const u32,
                input_length: usize,
                output: *mut u32,
                output_length: usize,
            ) -> u64;
            /// All rows of a job.
            fn $job(job: &Job<'_>);
        }
        global_asm!(include_str!("armv6m.s"), unit = const $unit);
    };
}

unit!(1 flowlet_layer_1 flowlet_job_1);
unit!(2 flowlet_layer_2 flowlet_job_2);

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
        let (front, to, to_length) = (words.as_ptr(), output.as_mut_ptr(), output.len());
        // SAFETY: it reads and writes within these lengths, which it checks, and keeps the caller's registers.
        let found = unsafe { run(front, words.len(), input.as_ptr(), input.len(), to, to_length) };
        // SAFETY: what the kernel gives lies behind the layer, in `words`.
        unsafe { super::behind(words, found) }
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
