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
    if groups == 0 || groups > CHAIN || rows == 0 {
        return any_at_once((sizes, kind), words, input, output);
    }
    let kernel: (Usual, u32) = match kind {
        USUAL_I16 => (flowlet_i16_usual, 1),
        USUAL_I8 => (flowlet_i8_usual, 0),
        INNER_I8 => (flowlet_i8_inner, 0),
        _ => return short_at_once((sizes, kind), (groups, rows), words, input, output),
    };
    usual_at_once(kernel, (groups, rows), words, input, output)
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
    let (bias, weights) = layer.split_at_checked(rows)?;
    if input.len() < 2 * groups || output.len() < rows / 2 {
        return None;
    }
    let bias = bias.as_ptr_range();
    let exit = flowlet_end_inner;
    // SAFETY: weights and bias are those of all rows, the input has all groups and the output room for all rows; one
    // step at least and one chain at most. The function keeps the caller's registers.
    unsafe {
        kernel(weights.as_ptr(), input.as_ptr(), output.as_mut_ptr(), groups, bias.start, bias.end, exit);
    }
    Some(behind)
}

/// [`at_once`] of an output layer with a usual shift, or of a hidden one with ReLU, of 1 to [`CHAIN`] groups and of at
/// least one row.
#[inline(always)]
fn short_at_once<'a>(
    (sizes, kind): (u32, u32),
    (groups, rows): (usize, usize),
    words: &'a [u32],
    input: &[u32],
    output: &mut [u32],
) -> Option<&'a [u32]> {
    let [encoding, activation, shift, _] = kind.to_le_bytes();
    let kernel = KERNELS.get(usize::from(encoding.wrapping_sub(ENCODING_I16)))?;
    let shift = u32::from(shift);
    let (multiplied, ending, shift, rounding): (usize, Ending, u32, u32) = match activation {
        super::RELU => (0, flowlet_end_relu, shift & 31, 0),
        super::OUTPUT if (33..=63).contains(&shift) => {
            (rows, flowlet_end_scaled, shift.wrapping_sub(32), 1 << (shift.wrapping_sub(33) & 31))
        }
        _ => return any_at_once((sizes, kind), words, input, output),
    };
    let (layer, behind) = words.split_at_checked(rows + multiplied + ((rows * groups) << kernel.doubled))?;
    let (bias, layer) = layer.split_at_checked(rows)?;
    let (multipliers, weights) = layer.split_at_checked(multiplied)?;
    let written = if multiplied == 0 { rows / 2 } else { rows };
    if input.len() < 2 * groups || output.len() < written {
        return None;
    }
    let bias = bias.as_ptr_range();
    // SAFETY: weights, bias and, where they are read, multipliers are those of all rows, the input has all groups and the
    // output room for all rows; one step at least and one chain at most. The function keeps the caller's registers.
    unsafe {
        (kernel.general)(
            weights.as_ptr(),
            input.as_ptr(),
            output.as_mut_ptr(),
            groups,
            bias.start,
            bias.end,
            ending,
            ending,
            shift,
            multipliers.as_ptr(),
            rounding,
            0,
            0,
        );
    }
    Some(behind)
}

/// [`at_once`] of any layer that its kernels take.
#[cold]
#[inline(never)]
fn any_at_once<'a>(
    (sizes, kind): (u32, u32),
    words: &'a [u32],
    input: &[u32],
    output: &mut [u32],
) -> Option<&'a [u32]> {
    let [encoding, activation, shift, _] = kind.to_le_bytes();
    let (groups, rows) = groups_and_rows(sizes);
    let kernel = KERNELS.get(usize::from(encoding.wrapping_sub(ENCODING_I16)))?;
    let is_hidden = match activation {
        super::RELU => true,
        super::OUTPUT => false,
        _ => return None,
    };
    let (bias, words) = words.split_at_checked(rows)?;
    let (multipliers, words) = words.split_at_checked(if is_hidden { 0 } else { rows })?;
    let (weights, words) = words.split_at_checked((rows * groups) << kernel.doubled)?;
    let is_short = input.len() < 2 * groups || output.len() < rows >> u32::from(is_hidden);
    if is_short || groups == 0 || rows == 0 {
        return None;
    }
    let shift = u32::from(shift) & 63;
    let end = match shift {
        _ if is_hidden => End::Relu(shift & 31),
        32.. => End::Scaled(shift, multipliers),
        _ => End::Sums,
    };
    let to = output.as_mut_ptr();
    // SAFETY: weights, bias and multipliers are those of all rows, the input has all groups and the output room for all
    // rows.
    unsafe { blocks(kernel, groups, (weights, bias), input.as_ptr(), to, end) };
    if !is_hidden && shift < 32 {
        scale_wide(output, multipliers, shift);
    }
    Some(words)
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

// r0 weights, r1 input behind what the chain reads, r2 output, r3 a temporary; r4-r7 sums, r8-r11 weights,
// r12 and lr activations. On the stack: where the chain is entered, then what was pushed, then arguments.
//
// A block's first instructions compare where its biases end with where all do: in a usual layer the former with the
// latter, in others the latter with where the block's begin. No instruction of the chain changes these flags: they tell at
// its end whether this was the last block of a usual layer ("same"), and that the layer is not a usual one ("higher").
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
    r#"
    .syntax unified
    .pushsection .text.flowlet_integer_layers,"ax",%progbits

    .set flowlet_entry, 0
    .set flowlet_bias, 40
    .set flowlet_exit, 48
    .set flowlet_ending, 52
    .set flowlet_shift, 56
    .set flowlet_multipliers, 60
    .set flowlet_passes_left, 68
    .set flowlet_passes, 72

    .macro flowlet_function name
    .globl \name
    .hidden \name
    .type \name,%function
    .thumb_func
\name:
    .endm

    .macro flowlet_start name, step
    push {{r3-r11, lr}}
    adr.w r5, .Lflowlet_\name\()_end + 1
    mov r4, #\step
    mls r4, r3, r4, r5
    add r1, r1, r3, lsl #3
    str r4, [sp, #flowlet_entry]
    .endm

    .macro flowlet_next
    ldrd r8, r9, [sp, #flowlet_bias]
    ldm r8!, {{r4-r7}}
    str r8, [sp, #flowlet_bias]
    cmp r8, r9
    ldr.w pc, [sp, #flowlet_entry]
    .endm

    // "Higher", where there is another block.
    .macro flowlet_next_other
    ldm r8!, {{r4-r7}}
    str r8, [sp, #flowlet_bias]
    ldr.w pc, [sp, #flowlet_entry]
    .endm

    .macro flowlet_pack
    pkhbt r4, r4, r5, lsl #16
    pkhbt r5, r6, r7, lsl #16
    strd r4, r5, [r2], #8
    .endm

    .macro flowlet_usual shift
    usat r4, #15, r4, asr #\shift
    usat r5, #15, r5, asr #\shift
    usat r6, #15, r6, asr #\shift
    usat r7, #15, r7, asr #\shift
    flowlet_pack
    .endm

    .macro flowlet_finish name, shift
.Lflowlet_\name\()_end:
    bhs .Lflowlet_\name\()_leave
    flowlet_usual \shift
    flowlet_next

.Lflowlet_\name\()_leave:
    bhi .Lflowlet_\name\()_other
    flowlet_usual \shift
    pop {{r3-r11, pc}}
.Lflowlet_\name\()_other:
    ldr.w pc, [sp, #flowlet_exit]

    // Another chain, or the end.
    flowlet_function flowlet_\name\()_pass
    ldr r3, [sp, #flowlet_passes_left]
    cbz r3, .Lflowlet_\name\()_full
    subs r3, r3, #1
    str r3, [sp, #flowlet_passes_left]
    add r1, r1, #8 * {chain}
    // Weights are not at address 0: "higher" again.
    cmp r0, #0
    b.w .Lflowlet_\name\()_chain
.Lflowlet_\name\()_full:
    ldr r3, [sp, #flowlet_passes]
    str r3, [sp, #flowlet_passes_left]
    sub r1, r1, r3, lsl #6
    ldr.w pc, [sp, #flowlet_ending]
    .endm

    .macro flowlet_pairs x
    ldm r0!, {{r8-r11}}
    smlad r4, r8, \x, r4
    smlad r5, r9, \x, r5
    smlad r6, r10, \x, r6
    smlad r7, r11, \x, r7
    .endm

    // Even bytes of a word of weights, then odd ones.
    .macro flowlet_bytes sum, weights
    sxtb16 r3, \weights
    smlad \sum, r3, r12, \sum
    sxtb16 \weights, \weights, ror #8
    smlad \sum, \weights, lr, \sum
    .endm

    .p2align 2
    flowlet_function flowlet_i16_general
    flowlet_start i16, 44
    ldrd r8, r9, [sp, #flowlet_bias]
    cmp r9, r8
    flowlet_next_other

    .p2align 2
    flowlet_function flowlet_i16_usual
    flowlet_start i16, 44
    flowlet_next
.Lflowlet_i16_chain:
    .set flowlet_at, -8 * {chain}
    .rept {chain}
    ldrd r12, lr, [r1, #flowlet_at]
    flowlet_pairs r12
    flowlet_pairs lr
    .set flowlet_at, flowlet_at + 8
    .endr
    flowlet_finish i16, {usual_i16}

    flowlet_function flowlet_end_relu
    ldr r8, [sp, #flowlet_shift]
    asr r4, r4, r8
    asr r5, r5, r8
    asr r6, r6, r8
    asr r7, r7, r8
    usat r4, #15, r4
    usat r5, #15, r5
    usat r6, #15, r6
    usat r7, #15, r7
    b .Lflowlet_packed

    flowlet_function flowlet_end_inner
    usat r4, #15, r4, asr #{inner_i8}
    usat r5, #15, r5, asr #{inner_i8}
    usat r6, #15, r6, asr #{inner_i8}
    usat r7, #15, r7, asr #{inner_i8}
.Lflowlet_packed:
    flowlet_pack
.Lflowlet_again:
    ldrd r8, r9, [sp, #flowlet_bias]
    cmp r9, r8
    beq .Lflowlet_return
    flowlet_next_other
.Lflowlet_return:
    pop {{r3-r11, pc}}

    flowlet_function flowlet_end_scaled32
    ldr r3, [sp, #flowlet_multipliers]
    ldm r3!, {{r9-r12}}
    str r3, [sp, #flowlet_multipliers]
    smmulr r4, r4, r9
    smmulr r5, r5, r10
    smmulr r6, r6, r11
    smmulr r7, r7, r12
    b .Lflowlet_sums

    flowlet_function flowlet_end_scaled
    ldrd r3, lr, [sp, #flowlet_multipliers]
    ldr r8, [sp, #flowlet_shift]
    ldm r3!, {{r9-r12}}
    str r3, [sp, #flowlet_multipliers]
    // The upper half of the product, rounded for the shift that follows.
    smmla r4, r4, r9, lr
    smmla r5, r5, r10, lr
    smmla r6, r6, r11, lr
    smmla r7, r7, r12, lr
    asr r4, r4, r8
    asr r5, r5, r8
    asr r6, r6, r8
    asr r7, r7, r8

    flowlet_function flowlet_end_sums
.Lflowlet_sums:
    stm r2!, {{r4-r7}}
    b .Lflowlet_again

    .p2align 2
    flowlet_function flowlet_i8_inner
    flowlet_function flowlet_i8_general
    flowlet_start i8, 72
    ldrd r8, r9, [sp, #flowlet_bias]
    cmp r9, r8
    flowlet_next_other

    .p2align 2
    flowlet_function flowlet_i8_usual
    flowlet_start i8, 72
    flowlet_next
.Lflowlet_i8_chain:
    .set flowlet_at, -8 * {chain}
    .rept {chain}
    ldrd r12, lr, [r1, #flowlet_at]
    ldm r0!, {{r8-r11}}
    flowlet_bytes r4, r8
    flowlet_bytes r5, r9
    flowlet_bytes r6, r10
    flowlet_bytes r7, r11
    .set flowlet_at, flowlet_at + 8
    .endr
    flowlet_finish i8, {usual_i8}

    .purgem flowlet_function
    .purgem flowlet_start
    .purgem flowlet_next
    .purgem flowlet_next_other
    .purgem flowlet_pack
    .purgem flowlet_usual
    .purgem flowlet_finish
    .purgem flowlet_pairs
    .purgem flowlet_bytes
    .popsection
"#,
    chain = const CHAIN,
    usual_i16 = const USUAL_SHIFT_I16,
    usual_i8 = const USUAL_SHIFTS_I8[0],
    inner_i8 = const USUAL_SHIFTS_I8[1],
);
