//! Integer kernels in assembly, for a Cortex-M3, or a Cortex-M33 without the DSP extension: one
//! multiply-accumulate at a time (`MLA`), with the loads before it side by side, so that they pipeline.
//!
//! [`Encoding::I8Rows4`] and [`Encoding::I16Rows4`] are what they are for; other orders go weight by weight.
//! The packed order of the M0 was tried here too: its shifts cost what the loads of single bytes do.
#![allow(
    unsafe_code,
    reason = "kernels in assembly: 32x32 in 2.7 instructions per multiply-accumulate, compiled for speed 3.8"
)]

use super::job::{self, Job, Kernel};
use super::{portable, Dense, Encoding};
use crate::support::{Capabilities, Capability};
use core::arch::global_asm;

global_asm!(include_str!("armv7m.s"), options(raw));

extern "C" {
    /// All rows of a job of [`Encoding::I8Rows4`].
    fn flowlet_i8_rows4(job: &Job<'_>);
    /// All rows of a job of [`Encoding::I16Rows4`].
    fn flowlet_i16_rows4(job: &Job<'_>);
}

const I8_ROWS_4: u8 = Encoding::I8Rows4 as u8;
const I16_ROWS_4: u8 = Encoding::I16Rows4 as u8;

/// The kernel for an encoding.
#[inline(always)]
fn kernel(encoding: Encoding) -> Option<Kernel> {
    let run = match encoding {
        Encoding::I8Rows4 => flowlet_i8_rows4,
        Encoding::I16Rows4 => flowlet_i16_rows4,
        _ => return None,
    };
    Some(Kernel { encoding, run })
}

/// See [`portable::at_once`].
#[inline(always)]
pub(super) fn at_once<'a>(
    words: &'a [u32],
    input: &[u32],
    output: &mut [u32],
    supports: Capabilities,
) -> Option<&'a [u32]> {
    let kernel_of = |encoding| match encoding {
        I8_ROWS_4 if supports.has(Capability::I8Weights) => kernel(Encoding::I8Rows4),
        I16_ROWS_4 if supports.has(Capability::I16Weights) => kernel(Encoding::I16Rows4),
        _ => None,
    };
    job::at_once(kernel_of, words, input, output)
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
