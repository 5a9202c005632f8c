//! What the assembly kernels for whole integer layers are told, and the checks that make it safe.

#![allow(
    unsafe_code,
    reason = "calls of assembly; what it gains stands in armv6m.rs, armv7m.rs and armv81m.rs"
)]

use super::{Dense, Encoding, MAX_WIDTH};
#[cfg(not(flowlet_integer_kernels = "armv81m"))]
use crate::arithmetic::fixed::elementary::high_rounded;
#[cfg(not(flowlet_integer_kernels = "armv81m"))]
use crate::arithmetic::fixed::{product_shift, product_shift_high};
use core::marker::PhantomData;

/// Blocks of four rows whose sums [`accumulate`] keeps on the stack at a time.
const BATCH: usize = 8;
/// In place of a shift: no shift, no ReLU; sums leave as i32.
const SUMS: i32 = -1;

/// A run of blocks of four rows. The kernels know the fields by their order.
#[repr(C)]
#[derive(Debug)]
pub(super) struct Job<'a> {
    weights: *const u32,
    input: *const u32,
    bias: *const u32,
    /// Right shift before ReLU and saturation to 15 bits, or [`SUMS`].
    shift: i32,
    output: *mut u32,
    input_end: *const u32,
    output_end: *mut u32,
    borrows: PhantomData<&'a mut [u32]>,
}

/// A kernel.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kernel {
    /// The order of weights that it walks.
    pub(super) encoding: Encoding,
    /// Reads and writes what the [`Job`] says and nothing else, and keeps the caller's registers.
    pub(super) run: unsafe extern "C" fn(&Job<'_>),
}

/// Runs a kernel over the rows from block `first` on, as many as `output` holds; `None` if it is not for the
/// layer's encoding, or if anything is shorter than the others want it.
fn run(
    kernel: Kernel,
    layer: &Dense<'_>,
    input: &[i16],
    first: usize,
    shift: i32,
    output: &mut [u32],
) -> Option<()> {
    let columns = layer.padded_inputs();
    let input: &[u32] = bytemuck::try_cast_slice(input.get(..columns)?).ok()?;
    // Rows of sums take a word each, rows of activations half a word.
    let rows = if shift == SUMS { output.len() } else { 2 * output.len() };
    let bias = layer.bias.get(4 * first..)?.get(..rows)?;
    // Widths are small, so that no product wraps: a checked one is a 64-bit product, a call on the M0.
    if layer.encoding != kernel.encoding || columns > MAX_WIDTH || rows > MAX_WIDTH {
        return None;
    }
    let row_words = columns * layer.encoding.bits() / 32;
    let weights = layer.weights.get(4 * first * row_words..)?.get(..rows * row_words)?;
    if columns == 0 || !columns.is_multiple_of(4) || rows == 0 || !rows.is_multiple_of(4) {
        return None;
    }
    let (input, output) = (input.as_ptr_range(), output.as_mut_ptr_range());
    let job = Job {
        weights: weights.as_ptr(),
        input: input.start,
        bias: bias.as_ptr(),
        shift,
        output: output.start,
        input_end: input.end,
        output_end: output.end,
        borrows: PhantomData,
    };
    // SAFETY: weights and bias hold all rows of four that the output has room for, input and output are whole
    // steps of four, none is empty, and all are aligned to words; the kernel is for this encoding.
    unsafe { (kernel.run)(&job) }
    Some(())
}

/// Sums times their rows' multipliers, in Q15.16.
#[cfg(not(flowlet_integer_kernels = "armv81m"))]
#[inline(always)]
fn scale(sums: &mut [u32], multipliers: &[u32], shift: u32) {
    if (33..=63).contains(&shift) {
        for (y, &m) in sums.iter_mut().zip(multipliers) {
            *y = product_shift_high(*y as i32, m as i32, shift) as u32;
        }
    } else {
        scale_wide(sums, multipliers, shift);
    }
}

/// [`scale`] by a shift of 32, as small layers of i8 weights have, or by less.
#[cfg(not(flowlet_integer_kernels = "armv81m"))]
#[cold]
#[inline(never)]
fn scale_wide(sums: &mut [u32], multipliers: &[u32], shift: u32) {
    let pairs = sums.iter_mut().zip(multipliers);
    if shift == 32 {
        pairs.for_each(|(y, &m)| *y = high_rounded(*y as i32, m as i32) as u32);
    } else {
        pairs.for_each(|(y, &m)| *y = product_shift(*y as i32, m as i32, shift) as u32);
    }
}

/// As [`portable::fixed_relu`](super::portable::fixed_relu).
#[cfg(not(flowlet_integer_kernels = "armv81m"))]
pub(super) fn fixed_relu(kernel: Kernel, layer: &Dense<'_>, input: &[i16], output: &mut [i16]) -> Option<()> {
    let output = bytemuck::try_cast_slice_mut(output.get_mut(..layer.padded_outputs())?).ok()?;
    run(kernel, layer, input, 0, i32::from(layer.shift & 31), output)
}

/// As [`portable::fixed_scaled`](super::portable::fixed_scaled).
#[cfg(not(flowlet_integer_kernels = "armv81m"))]
pub(super) fn fixed_scaled(
    kernel: Kernel,
    layer: &Dense<'_>,
    input: &[i16],
    output: &mut [i32],
) -> Option<()> {
    let output = bytemuck::cast_slice_mut(output.get_mut(..layer.padded_outputs())?);
    run(kernel, layer, input, 0, SUMS, output)?;
    scale(output, layer.multipliers, u32::from(layer.shift));
    Some(())
}

/// As [`portable::accumulate`](super::portable::accumulate).
pub(super) fn accumulate(
    kernel: Kernel,
    layer: &Dense<'_>,
    input: &[i16],
    mut emit: impl FnMut(usize, [i32; 4]) -> Option<()>,
) -> Option<()> {
    let mut sums = [0; 4 * BATCH];
    let mut index = 0;
    for bias in layer.bias.chunks(4 * BATCH) {
        let sums = sums.get_mut(..bias.len())?;
        run(kernel, layer, input, index, SUMS, sums)?;
        for four in sums.as_chunks::<4>().0 {
            emit(index, four.map(|sum| sum as i32))?;
            index += 1;
        }
    }
    Some(())
}

/// A layer from its words on: hidden with ReLU, or last, its weights in an order of the function's unit. Gives the address
/// of the words behind it, and in the upper half how many these are; zero if it is no such layer, or does not fit the
/// words or the buffers, and then nothing is done.
#[cfg(not(flowlet_integer_kernels = "armv81m"))]
pub(super) type AtOnce = unsafe extern "C" fn(*const u32, usize, *const u32, usize, *mut u32, usize) -> u64;

/// Declares functions of the type [`AtOnce`].
#[cfg(not(flowlet_integer_kernels = "armv81m"))]
macro_rules! layers_at_once {
    ($($name:ident)*) => {
        extern "C" {
            $(fn $name(
                words: *const u32,
                length: usize,
                input: *const u32,
                input_length: usize,
                output: *mut u32,
                output_length: usize,
            ) -> u64;)*
        }
    };
}
#[cfg(not(flowlet_integer_kernels = "armv81m"))]
pub(super) use layers_at_once;

/// The layer at the front of `words` by `run`, if that takes it; gives the words behind it.
///
/// # Safety
/// `run` reads and writes within the lengths that it is told, gives what its type says, and keeps the caller's registers.
#[cfg(not(flowlet_integer_kernels = "armv81m"))]
#[inline(always)]
pub(super) unsafe fn run_at_once<'a>(
    run: AtOnce,
    words: &'a [u32],
    input: &[u32],
    output: &mut [u32],
) -> Option<&'a [u32]> {
    let (front, to, to_length) = (words.as_ptr(), output.as_mut_ptr(), output.len());
    // SAFETY: the caller promises that it keeps to these lengths, which are those of the slices.
    let found = unsafe { run(front, words.len(), input.as_ptr(), input.len(), to, to_length) };
    // SAFETY: what it gives lies behind the layer, in `words`, as the caller promises.
    unsafe { super::behind(words, found) }
}
