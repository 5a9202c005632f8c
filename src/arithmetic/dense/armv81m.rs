//! Integer kernels in assembly, for cores with vector instructions (Cortex-M52, M55, M85): eight multiply-accumulates an
//! instruction (`VMLAVA`). Layers of 8, 16 and 32 inputs keep all activations in registers, others share each load between
//! four rows, in a hardware loop that predicates its last step. Four sums are ended at once: shift, ReLU and saturation, or
//! the product with their multipliers.
//!
//! [`Encoding::I8Rows`] and [`Encoding::I16Rows`] are what they are for; other orders go weight by weight.
#![allow(
    unsafe_code,
    reason = "kernels in assembly: i8 32x32 in 0.4 instructions per multiply-accumulate, compiled for speed 1.4"
)]

use super::job::{self, Job, Kernel};
use super::{portable, Dense, Encoding};
use crate::support::{Capabilities, Capability};
use core::arch::global_asm;

global_asm!(include_str!("armv81m.s"), options(raw));

kernels! {
    /// A whole layer: shift, ReLU and saturation, or, where words lie between biases and weights, the product with these, and
    /// a shift. `left` is one less the shift of a hidden layer, 32 less that of an output layer. Those that are called wide are
    /// as fast for 64 inputs as for 32.
    Layer (
        bias: *const u32,
        input: *const u32,
        output: *mut u32,
        weights: *const u32,
        blocks: usize,
        left: i32,
        groups: usize,
    )
    flowlet_i8_layer flowlet_i8_layer_wide flowlet_i16_layer flowlet_i16_layer_wide
}

extern "C" {
    /// All sums of a job of [`Encoding::I8Rows`].
    fn flowlet_i8_sums(job: &Job<'_>);
    /// All sums of a job of [`Encoding::I16Rows`].
    fn flowlet_i16_sums(job: &Job<'_>);
}

const I8_ROWS: u8 = Encoding::I8Rows as u8;
const I16_ROWS: u8 = Encoding::I16Rows as u8;

/// The kernel for the sums of an encoding.
#[inline(always)]
fn sums_kernel(encoding: Encoding) -> Option<Kernel> {
    match encoding {
        Encoding::I8Rows => Some(Kernel { encoding, run: flowlet_i8_sums }),
        Encoding::I16Rows => Some(Kernel { encoding, run: flowlet_i16_sums }),
        _ => None,
    }
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
    let (&[sizes, kind], words) = words.split_first_chunk::<2>()?;
    let [encoding, activation, shift, _] = kind.to_le_bytes();
    // Groups of 4 inputs, and rows with their padding: at most 2^14 and 2^16, so that no product of sizes wraps.
    let (groups, rows) = (((sizes & 0xffff) as usize + 3) >> 2, ((sizes >> 16) as usize + 3) & !3);
    let is_wide = supports.has(Capability::WideLayers);
    let (kernel, doubled): (Layer, u32) = match encoding {
        I8_ROWS if !supports.has(Capability::I8Weights) => return None,
        I8_ROWS if is_wide => (flowlet_i8_layer_wide, 0),
        I8_ROWS => (flowlet_i8_layer, 0),
        I16_ROWS if !supports.has(Capability::I16Weights) => return None,
        I16_ROWS if is_wide => (flowlet_i16_layer_wide, 1),
        I16_ROWS => (flowlet_i16_layer, 1),
        _ => return None,
    };
    let shift = i32::from(shift);
    let (multipliers, written, left) = match activation {
        super::RELU => (0, rows >> 1, 1 - (shift & 31)),
        super::OUTPUT => (rows, rows, 32 - shift),
        _ => return None,
    };
    let (layer, behind) = words.split_at_checked(rows + multipliers + ((rows * groups) << doubled))?;
    let weights = layer.get(rows + multipliers..)?;
    if input.len() < 2 * groups || output.len() < written || groups == 0 || rows == 0 {
        return None;
    }
    let (bias, weights) = (layer.as_ptr(), weights.as_ptr());
    // SAFETY: biases, multipliers and weights are those of all rows, the input has all groups and the output room for all
    // rows; there is one row and one group at least, and all are aligned to words. The function keeps the caller's registers.
    unsafe { kernel(bias, input.as_ptr(), output.as_mut_ptr(), weights, rows >> 2, left, groups) }
    Some(behind)
}

/// Runs a layer's kernel; `written` words of output. `None` for an encoding without one, or if a buffer is too short.
fn run(layer: &Dense<'_>, left: i32, input: &[i16], output: &mut [u32], written: usize) -> Option<()> {
    let kernel: Layer = match layer.encoding {
        Encoding::I8Rows => flowlet_i8_layer_wide,
        Encoding::I16Rows => flowlet_i16_layer_wide,
        _ => return None,
    };
    let input: &[u32] = bytemuck::try_cast_slice(input.get(..layer.padded_inputs())?).ok()?;
    let output = output.get_mut(..written)?.as_mut_ptr();
    let (bias, weights, blocks) = (layer.bias.as_ptr(), layer.weights.as_ptr(), layer.bias.len() >> 2);
    // SAFETY: a `Dense` has one input and one block of rows at least, its biases, multipliers and weights, those of all
    // rows, back to back; the input has all groups and the output room for all rows, and all are aligned to words.
    unsafe { kernel(bias, input.as_ptr(), output, weights, blocks, left, input.len() >> 1) }
    Some(())
}

/// See [`portable::fixed_relu`].
pub(super) fn fixed_relu(layer: &Dense<'_>, input: &[i16], output: &mut [i16]) -> Option<()> {
    if sums_kernel(layer.encoding).is_none() {
        return portable::fixed_relu_any(layer, input, output);
    }
    let output = bytemuck::try_cast_slice_mut(output.get_mut(..layer.bias.len())?).ok()?;
    run(layer, 1 - i32::from(layer.shift & 31), input, output, layer.bias.len() >> 1)
}

/// See [`portable::fixed_scaled`].
pub(super) fn fixed_scaled(layer: &Dense<'_>, input: &[i16], output: &mut [i32]) -> Option<()> {
    if sums_kernel(layer.encoding).is_none() {
        return portable::fixed_scaled_any(layer, input, output);
    }
    run(layer, 32 - i32::from(layer.shift), input, bytemuck::cast_slice_mut(output), layer.bias.len())
}

/// See [`portable::accumulate`].
#[inline(always)]
pub(super) fn accumulate(
    layer: &Dense<'_>,
    input: &[i16],
    emit: impl FnMut(usize, [i32; 4]) -> Option<()>,
) -> Option<()> {
    match sums_kernel(layer.encoding) {
        Some(kernel) => job::accumulate(kernel, layer, input, emit),
        None => portable::accumulate_any(layer, input, emit),
    }
}
