//! Integer kernels in assembly, for a Cortex-M3, or a Cortex-M33 without the DSP extension: one
//! multiply-accumulate at a time (`MLA`), with the loads before it side by side, so that they pipeline.
//!
//! [`Encoding::I8Rows4`] and [`Encoding::I16Rows4`] are what they are for; other orders go weight by weight. A layer is read,
//! checked and started in assembly too. The loop has two steps of four inputs, and an odd number of steps begins at the
//! second. A ReLU layer with a shift that the exporter prefers ([`USUAL_SHIFT_I16`], [`USUAL_SHIFTS_I8`]) ends a block of rows
//! with constants, in one `USAT` a row. The packed order of the M0 was tried here too: its shifts cost what the loads of single bytes do.
#![allow(
    unsafe_code,
    reason = "kernels in assembly: 32x32 in 2.5 instructions per multiply-accumulate, compiled for speed 3.8"
)]

use super::job::{self, AtOnce, Job, Kernel};
use super::{portable, Dense, Encoding, USUAL_SHIFTS_I8, USUAL_SHIFT_I16};
use crate::support::{Capabilities, Capability};
use core::arch::global_asm;

extern "C" {
    /// All rows of a job of [`Encoding::I8Rows4`].
    fn flowlet_i8_rows4_7(job: &Job<'_>);
    /// All rows of a job of [`Encoding::I16Rows4`].
    fn flowlet_i16_rows4_7(job: &Job<'_>);
}

job::layers_at_once!(flowlet_layer_1 flowlet_layer_2 flowlet_layer_3 flowlet_layer_7);

// As the assembly has them.
const _: () = assert!(Encoding::I8Rows4 as u8 == 3 && Encoding::I16Rows4 as u8 == 2);
const _: () = assert!(super::RELU == 1 && super::OUTPUT == 0);

/// The kernel for an encoding.
#[inline(always)]
fn kernel(encoding: Encoding) -> Option<Kernel> {
    let run = match encoding {
        Encoding::I8Rows4 => flowlet_i8_rows4_7,
        Encoding::I16Rows4 => flowlet_i16_rows4_7,
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
    // What else the firmware supports takes layers in parts, by unit 7.
    let in_parts = supports.has(Capability::Activations)
        || supports.has(Capability::Residual)
        || supports.has(Capability::Conv1d)
        || supports.has(Capability::OtherOrders);
    let run: AtOnce = match (supports.has(Capability::I8Weights), supports.has(Capability::I16Weights)) {
        _ if in_parts => return any_at_once(words, input, output),
        (true, true) => flowlet_layer_3,
        (true, false) => flowlet_layer_1,
        (false, _) => flowlet_layer_2,
    };
    // SAFETY: it checks all lengths that it is told, and keeps the caller's registers.
    unsafe { job::run_at_once(run, words, input, output) }
}

/// By unit 7; apart, as it would widen the frames of what calls it from many places.
#[inline(never)]
fn any_at_once<'a>(words: &'a [u32], input: &[u32], output: &mut [u32]) -> Option<&'a [u32]> {
    // SAFETY: it checks all lengths that it is told, and keeps the caller's registers.
    unsafe { job::run_at_once(flowlet_layer_7, words, input, output) }
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

/// The kernels of one unit: see the file's first lines.
macro_rules! assemble {
    ($unit:literal) => {
        global_asm!(
            include_str!("armv7m.s"),
            unit = const $unit,
            usual_i16 = const USUAL_SHIFT_I16,
            usual_i8 = const USUAL_SHIFTS_I8[0],
            inner_i8 = const USUAL_SHIFTS_I8[1],
        );
    };
}

assemble!(1);
assemble!(2);
assemble!(3);
assemble!(7);
