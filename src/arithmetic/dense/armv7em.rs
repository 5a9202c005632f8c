//! Integer kernels in assembly, for a Cortex-M with the DSP extension (M4, M7, M33).
//!
//! Four rows share each pair of activations, and `SMLAD` does two multiply-accumulates. The inner loop is a
//! chain of steps of four inputs, entered where as many are left as the layer has: a layer of flow size has
//! no loop there, a wider one runs through the chain again. A ReLU layer with a shift that the exporter
//! prefers ([`USUAL_SHIFT_I16`], [`USUAL_SHIFTS_I8`]) ends a block of rows with constants: one `USAT` is the
//! shift, ReLU and saturation. All but the first of these shifts, and everything else, end it out of line.
#![allow(
    unsafe_code,
    reason = "kernels in assembly: i16 32x32 in 0.8 instructions per multiply-accumulate, compiled for speed 2.7"
)]

use super::{portable, Dense, Encoding, USUAL_SHIFTS_I8, USUAL_SHIFT_I16};
use crate::arithmetic::fixed::product_shift;
use core::arch::global_asm;

/// Steps of four inputs in a chain.
const CHAIN: usize = 8;

/// Code that takes over where a block's sums are complete. Not to be called.
type Ending = unsafe extern "C" fn();

kernels! {
    /// `groups` steps for each block of 4 rows from `bias` to `bias_end`, ReLU with a usual shift: the first, or that of
    /// `exit`.
    Usual (
        weights: *const u32,
        input: *const u32,
        output: *mut u32,
        groups: usize,
        bias: *const u32,
        bias_end: *const u32,
        exit: Ending,
    )
    flowlet_i16_usual flowlet_i8_usual flowlet_i8_inner
}

kernels! {
    /// The same with any `ending`, and `passes` whole chains after the first `groups` steps; without these
    /// `exit` is the ending itself.
    General (
        weights: *const u32,
        input: *const u32,
        output: *mut u32,
        groups: usize,
        bias: *const u32,
        bias_end: *const u32,
        exit: Ending,
        ending: Ending,
        shift: u32,
        multipliers: *const u32,
        rounding: u32,
        passes_left: usize,
        passes: usize,
    )
    flowlet_i16_general flowlet_i8_general
}

extern "C" {
    /// Shift, ReLU and saturation to i16.
    fn flowlet_end_relu();
    /// The same with the second usual shift of i8 weights.
    fn flowlet_end_inner();
    /// Product with a multiplier, a shift of 33 or more.
    fn flowlet_end_scaled();
    /// The same with a shift of 32.
    fn flowlet_end_scaled32();
    /// The sums themselves.
    fn flowlet_end_sums();
    /// Where a chain goes on with whole ones.
    fn flowlet_i16_pass();
    fn flowlet_i8_pass();
}

const ENCODING_I16: u8 = Encoding::I16Rows4 as u8;
const ENCODING_I8: u8 = Encoding::I8Rows4 as u8;

/// Word 1 of a ReLU layer that ends in constants.
const USUAL_I16: u32 = u32::from_le_bytes([ENCODING_I16, super::RELU, USUAL_SHIFT_I16, 0]);
const USUAL_I8: u32 = u32::from_le_bytes([ENCODING_I8, super::RELU, USUAL_SHIFTS_I8[0], 0]);

/// Word 1 of a ReLU layer of i8 weights that ends in the other constant.
const INNER_I8: u32 = u32::from_le_bytes([ENCODING_I8, super::RELU, USUAL_SHIFTS_I8[1], 0]);

/// The kernels for an order of weights.
#[derive(Debug)]
struct Kernel {
    general: General,
    pass: Ending,
    /// Words that four inputs of a row take, as a power of two.
    doubled: u32,
}

/// By their [`Encoding`], from [`ENCODING_I16`] on.
static KERNELS: [Kernel; 2] = [
    Kernel { general: flowlet_i16_general, pass: flowlet_i16_pass, doubled: 1 },
    Kernel { general: flowlet_i8_general, pass: flowlet_i8_pass, doubled: 0 },
];

/// The layer at the front of `words`, hidden with ReLU or last, its weights in an order of these kernels; gives the words
/// behind it.
///
/// Every score comes by here: a [`Dense`] is not made.
#[inline(always)]
pub(super) fn at_once<'a>(words: &'a [u32], input: &[u32], output: &mut [u32]) -> Option<&'a [u32]> {
    let (&[sizes, kind], words) = words.split_first_chunk::<2>()?;
    let (groups, rows) = groups_and_rows(sizes);
    if groups == 0 || rows == 0 {
        return None;
    }
    let [_, activation, _, _] = kind.to_le_bytes();
    let usual: Option<(Usual, u32)> = match kind {
        // Before three comparisons in vain.
        _ if activation == super::OUTPUT => None,
        USUAL_I16 => Some((flowlet_i16_usual, 1)),
        USUAL_I8 => Some((flowlet_i8_usual, 0)),
        INNER_I8 => Some((flowlet_i8_inner, 0)),
        _ => None,
    };
    match usual {
        Some(kernel) if groups <= CHAIN => usual_at_once(kernel, (groups, rows), words, input, output),
        _ => any_at_once(kind, (groups, rows), words, input, output),
    }
}

/// Groups of 4 inputs, and rows with their padding: no more than 2^17 of these, so that no product of sizes wraps.
#[inline(always)]
fn groups_and_rows(sizes: u32) -> (usize, usize) {
    (((sizes & 0xffff) as usize + 3) >> 2, ((sizes >> 16) as usize + 3) & !3)
}

/// A usual layer of 1 to [`CHAIN`] groups and of at least one row; row by row, weights take `groups << doubled` words.
#[inline(always)]
fn usual_at_once<'a>(
    (kernel, doubled): (Usual, u32),
    (groups, rows): (usize, usize),
    words: &'a [u32],
    input: &[u32],
    output: &mut [u32],
) -> Option<&'a [u32]> {
    let (layer, behind) = words.split_at_checked(rows + ((rows * groups) << doubled))?;
    let (bias, weights) = (layer.as_ptr(), layer.as_ptr().wrapping_add(rows));
    if input.len() < 2 * groups || output.len() < rows / 2 {
        return None;
    }
    let exit = flowlet_end_inner;
    // SAFETY: the layer has bias and weights of all rows, the input has all groups and the output room for all rows; one
    // step at least and one chain at most. The function keeps the caller's registers.
    unsafe {
        kernel(weights, input.as_ptr(), output.as_mut_ptr(), groups, bias, weights, exit);
    }
    Some(behind)
}

/// [`at_once`] of any layer of at least one group and one row.
#[inline(always)]
fn any_at_once<'a>(
    kind: u32,
    (groups, rows): (usize, usize),
    words: &'a [u32],
    input: &[u32],
    output: &mut [u32],
) -> Option<&'a [u32]> {
    let [encoding, activation, shift, _] = kind.to_le_bytes();
    let kernel = KERNELS.get(usize::from(encoding.wrapping_sub(ENCODING_I16)))?;
    let shift = u32::from(shift);
    let (multiplied, ending, to_shift, rounding): (usize, Ending, u32, u32) = match activation {
        super::RELU => (0, flowlet_end_relu, shift & 31, 0),
        super::OUTPUT if (33..=63).contains(&shift) => {
            (rows, flowlet_end_scaled, shift.wrapping_sub(32), 1 << (shift.wrapping_sub(33) & 31))
        }
        super::OUTPUT if shift == 32 => (rows, flowlet_end_scaled32, 0, 0),
        super::OUTPUT => (rows, flowlet_end_sums, 0, 0),
        _ => return None,
    };
    let (layer, behind) = words.split_at_checked(rows + multiplied + ((rows * groups) << kernel.doubled))?;
    let bias = layer.as_ptr();
    let multipliers = bias.wrapping_add(rows);
    let written = if multiplied == 0 { rows / 2 } else { rows };
    if input.len() < 2 * groups || output.len() < written {
        return None;
    }
    let passes = (groups - 1) / CHAIN;
    // SAFETY: the layer has bias, weights and, where they are read, multipliers of all rows, the input has all groups and the
    // output room for all rows; one step at least and one chain at most before the whole ones. The function keeps the
    // caller's registers.
    unsafe {
        (kernel.general)(
            multipliers.wrapping_add(multiplied),
            input.as_ptr(),
            output.as_mut_ptr(),
            groups - passes * CHAIN,
            bias,
            multipliers,
            if passes == 0 { ending } else { kernel.pass },
            ending,
            to_shift,
            multipliers,
            rounding,
            passes,
            passes,
        );
    }
    if shift < 32 && multiplied != 0 {
        scale_wide(output, layer.get(rows..)?, shift);
    }
    Some(behind)
}

/// Sums times their rows' multipliers, by a shift that may leave more than 32 bits: few layers have one.
#[cold]
#[inline(never)]
fn scale_wide(sums: &mut [u32], multipliers: &[u32], shift: u32) {
    for (y, &m) in sums.iter_mut().zip(multipliers) {
        *y = product_shift(*y as i32, m as i32, shift) as u32;
    }
}

/// A hidden layer if it is a usual one; else `None`, and nothing is done.
///
/// `Some(None)`: the buffers do not fit it, or are not aligned to words.
#[inline(always)]
pub(super) fn usual(layer: &Dense<'_>, input: &[i16], output: &mut [i16]) -> Option<Option<()>> {
    match layer.kind {
        USUAL_I16 => run_usual(flowlet_i16_usual, layer, input, output),
        USUAL_I8 => run_usual(flowlet_i8_usual, layer, input, output),
        INNER_I8 => run_usual(flowlet_i8_inner, layer, input, output),
        _ => None,
    }
}

#[inline(always)]
fn run_usual(kernel: Usual, layer: &Dense<'_>, input: &[i16], output: &mut [i16]) -> Option<Option<()>> {
    let groups = (layer.inputs + 3) >> 2;
    if groups > CHAIN {
        return None;
    }
    let are_aligned = (input.as_ptr() as usize | output.as_ptr() as usize).is_multiple_of(4);
    if input.len() < 4 * groups || output.len() < layer.bias.len() || !are_aligned {
        return Some(None);
    }
    let bias = layer.bias.as_ptr_range();
    // SAFETY: a `Dense` has at least one input and one block of 4 rows, and the weights of all its blocks;
    // input and output are as long as its padded sizes. One step at least and one chain at most. The
    // function keeps the caller's registers.
    unsafe {
        kernel(
            layer.weights.as_ptr(),
            input.as_ptr().cast(),
            output.as_mut_ptr().cast(),
            groups,
            bias.start,
            bias.end,
            flowlet_end_inner,
        );
    }
    Some(Some(()))
}

/// What a block ends in.
enum End<'m> {
    /// Right shift, up to 31; 2 words of output.
    Relu(u32),
    /// Right shift from 32 to 63, and a multiplier per row; 4 words of output.
    Scaled(u32, &'m [u32]),
    /// 4 words of output.
    Sums,
}

/// Runs the blocks of `bias` on their `weights`, which are all of `layer`'s or those of one block of 4 rows.
#[inline(always)]
fn run(
    layer: &Dense<'_>,
    (weights, bias): (&[u32], &[u32]),
    input: &[i16],
    output: &mut [u32],
    end: End<'_>,
) -> Option<()> {
    let groups = (layer.inputs + 3) >> 2;
    let kernel = KERNELS.get(usize::from((layer.encoding as u8).wrapping_sub(ENCODING_I16)))?;
    let (words, multipliers) = match end {
        End::Relu(_) => (bias.len() / 2, bias),
        End::Scaled(_, multipliers) => (bias.len(), multipliers),
        End::Sums => (bias.len(), bias),
    };
    let is_aligned = (input.as_ptr() as usize).is_multiple_of(4);
    if input.len() < 4 * groups || output.len() < words || multipliers.len() < bias.len() || !is_aligned {
        return None;
    }
    // SAFETY: a `Dense` of integers has at least one input and one block of 4 rows, and the weights of all
    // its blocks; so has one block of it. Input, output and multipliers are as long as these ask for.
    unsafe { blocks(kernel, groups, (weights, bias), input.as_ptr().cast(), output.as_mut_ptr(), end) };
    Some(())
}

/// Blocks of 4 rows, as many as `bias` has, by the kernels that take any `end`.
///
/// # Safety
/// At least one row and one group of 4 inputs; weights (and multipliers) of all rows; `input` has all groups, and
/// `output` room for all rows, both aligned to words.
#[inline(always)]
unsafe fn blocks(
    kernel: &Kernel,
    groups: usize,
    (weights, bias): (&[u32], &[u32]),
    input: *const u32,
    output: *mut u32,
    end: End<'_>,
) {
    let (ending, shift, rounding, multipliers): (Ending, _, _, &[u32]) = match end {
        End::Relu(shift) => (flowlet_end_relu, shift, 0, bias),
        End::Scaled(32, multipliers) => (flowlet_end_scaled32, 0, 0, multipliers),
        End::Scaled(shift, multipliers) => (flowlet_end_scaled, shift - 32, 1 << (shift - 33), multipliers),
        End::Sums => (flowlet_end_sums, 0, 0, bias),
    };
    let passes = (groups - 1) / CHAIN;
    let bias = bias.as_ptr_range();
    // SAFETY: by the contract; one step at least and one chain at most before the whole ones. The function keeps
    // the caller's registers.
    unsafe {
        (kernel.general)(
            weights.as_ptr(),
            input,
            output,
            groups - passes * CHAIN,
            bias.start,
            bias.end,
            if passes == 0 { ending } else { kernel.pass },
            ending,
            shift,
            multipliers.as_ptr(),
            rounding,
            passes,
            passes,
        );
    }
}

/// Whether the weights lie in an order that is for other cores.
#[inline(always)]
fn is_foreign(encoding: Encoding) -> bool {
    !matches!(encoding, Encoding::I8Rows4 | Encoding::I16Rows4)
}

/// See [`portable::fixed_relu`]; the output is aligned to words.
pub(super) fn fixed_relu(layer: &Dense<'_>, input: &[i16], output: &mut [i16]) -> Option<()> {
    if is_foreign(layer.encoding) {
        return portable::fixed_relu_any(layer, input, output);
    }
    let output = bytemuck::try_cast_slice_mut(output.get_mut(..layer.bias.len())?).ok()?;
    run(layer, (layer.weights, layer.bias), input, output, End::Relu(u32::from(layer.shift) & 31))
}

/// See [`portable::fixed_scaled`].
#[inline(always)]
pub(super) fn fixed_scaled(layer: &Dense<'_>, input: &[i16], output: &mut [i32]) -> Option<()> {
    if is_foreign(layer.encoding) {
        return portable::fixed_scaled_any(layer, input, output);
    }
    let shift = u32::from(layer.shift) & 63;
    if shift >= 32 {
        let output = bytemuck::cast_slice_mut(output);
        return run(layer, (layer.weights, layer.bias), input, output, End::Scaled(shift, layer.multipliers));
    }
    let output = bytemuck::cast_slice_mut(output);
    run(layer, (layer.weights, layer.bias), input, output, End::Sums)?;
    scale_wide(output, layer.multipliers, shift);
    Some(())
}

/// See [`portable::accumulate`].
#[inline(always)]
pub(super) fn accumulate(
    layer: &Dense<'_>,
    input: &[i16],
    mut emit: impl FnMut(usize, [i32; 4]) -> Option<()>,
) -> Option<()> {
    for (index, bias) in layer.bias.as_chunks::<4>().0.iter().enumerate() {
        emit(index, block_sums(layer, (index, bias), input)?)?;
    }
    Some(())
}

#[inline(never)]
fn block_sums(layer: &Dense<'_>, (index, bias): (usize, &[u32; 4]), input: &[i16]) -> Option<[i32; 4]> {
    if is_foreign(layer.encoding) {
        return portable::block_any(layer, (4 * index, bias), input);
    }
    let words = layer.padded_inputs() * layer.encoding.bits() / 8;
    let weights = layer.weights.get(index * words..(index + 1) * words)?;
    let mut sums = [0; 4];
    run(layer, (weights, bias), input, &mut sums, End::Sums)?;
    Some(sums.map(|s| s as i32))
}

#[cfg(flowlet_armv8m)]
macro_rules! extension {
    () => {
        ".cpu cortex-m33"
    };
}
#[cfg(not(flowlet_armv8m))]
macro_rules! extension {
    () => {
        ""
    };
}

global_asm!(
    extension!(),
    include_str!("armv7em.s"),
    chain = const CHAIN,
    usual_i16 = const USUAL_SHIFT_I16,
    usual_i8 = const USUAL_SHIFTS_I8[0],
    inner_i8 = const USUAL_SHIFTS_I8[1],
);
