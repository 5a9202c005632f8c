//! Integer kernels in assembly, for cores with vector instructions (Cortex-M52, M55, M85): eight multiply-accumulates an
//! instruction (`VMLAVA`), four rows sharing each load of activations, in a hardware loop that predicates its last step.
//!
//! [`Encoding::I8Rows`] and [`Encoding::I16Rows`] are what they are for; the other encodings take the portable way.
#![allow(
    unsafe_code,
    reason = "kernels in assembly: i8 32x32 in 0.6 instructions per multiply-accumulate, compiled for speed 1.4"
)]

use super::job::{self, Job, Kernel};
use super::{portable, Dense, Encoding};
use core::arch::global_asm;

global_asm!(include_str!("armv81m.s"), options(raw));

extern "C" {
    /// All rows of a job of [`Encoding::I8Rows`].
    fn flowlet_i8_rows(job: &Job<'_>);
    /// All rows of a job of [`Encoding::I16Rows`].
    fn flowlet_i16_rows(job: &Job<'_>);
}

const I8_ROWS: u8 = Encoding::I8Rows as u8;
const I16_ROWS: u8 = Encoding::I16Rows as u8;

/// The kernel for an encoding.
#[inline(always)]
fn kernel(encoding: u8) -> Option<Kernel> {
    match encoding {
        I8_ROWS => Some(Kernel { encoding: Encoding::I8Rows, run: flowlet_i8_rows }),
        I16_ROWS => Some(Kernel { encoding: Encoding::I16Rows, run: flowlet_i16_rows }),
        _ => None,
    }
}

/// See [`portable::at_once`].
#[inline(always)]
pub(super) fn at_once<'a>(words: &'a [u32], input: &[u32], output: &mut [u32]) -> Option<&'a [u32]> {
    job::at_once(kernel, words, input, output)
}

/// See [`portable::fixed_relu`].
pub(super) fn fixed_relu(layer: &Dense<'_>, input: &[i16], output: &mut [i16]) -> Option<()> {
    match kernel(layer.encoding as u8) {
        Some(kernel) => job::fixed_relu(kernel, layer, input, output),
        None => portable::fixed_relu(layer, input, output),
    }
}

/// See [`portable::fixed_scaled`].
pub(super) fn fixed_scaled(layer: &Dense<'_>, input: &[i16], output: &mut [i32]) -> Option<()> {
    match kernel(layer.encoding as u8) {
        Some(kernel) => job::fixed_scaled(kernel, layer, input, output),
        None => portable::fixed_scaled(layer, input, output),
    }
}

/// See [`portable::accumulate`].
#[inline(always)]
pub(super) fn accumulate(
    layer: &Dense<'_>,
    input: &[i16],
    emit: impl FnMut(usize, [i32; 4]) -> Option<()>,
) -> Option<()> {
    match kernel(layer.encoding as u8) {
        Some(kernel) => job::accumulate(kernel, layer, input, emit),
        None => portable::accumulate(layer, input, emit),
    }
}
