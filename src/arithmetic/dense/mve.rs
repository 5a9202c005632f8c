//! f32 kernels in assembly, for cores with vector instructions (Cortex-M52, M55, M85): four products an instruction.
//!
//! What the compiler does not find: a hardware loop whose step is four inputs, brought by one `LDM`, and ReLU as one integer
//! maximum. Products and sums are separate instructions, in the order of [`portable`](super::portable): a fused one has other
//! bits. [`Encoding::F32Rows8`] is what they are for; [`Encoding::F32Rows4`] takes a call for each block.
#![allow(
    unsafe_code,
    reason = "kernels in assembly: 32x32 in 0.9 instructions per multiply-accumulate, compiled for speed 1.3, for size 7.7"
)]

use super::{Dense, Encoding};
use core::arch::global_asm;

extern "C" {
    /// `W input + bias`, the larger of that and `floor` by their bits as integers, for `rows` rows in blocks of 8 and then one
    /// of 4.
    fn flowlet_f32_blocks(
        weights: *const u32,
        input: *const f32,
        output: *mut f32,
        bias: *const u32,
        inputs: usize,
        rows: usize,
        floor: i32,
    );
}

/// As the floor: ReLU. Integers below it are the floats with their sign set.
const RELU: i32 = 0;
/// As the floor: none.
const LINEAR: i32 = i32::MIN;
/// Word 1 of a hidden layer with ReLU in blocks of 8 rows, and of an output layer.
const HIDDEN: u32 = u32::from_le_bytes([Encoding::F32Rows8 as u8, super::RELU, 0, 0]);
const OUTPUT: u32 = u32::from_le_bytes([Encoding::F32Rows8 as u8, super::OUTPUT, 0, 0]);

/// The layer at the front of `words`, if it is linear or has ReLU, its weights lie in blocks of 8 rows, and all fits; gives
/// the words behind it. Else what `any` does.
///
/// Every score comes by here: a [`Dense`] is not made.
#[inline(always)]
pub(super) fn f32_at_once<'a>(
    words: &'a [u32],
    input: &[f32],
    output: &mut [f32],
    any: impl FnOnce(&'a [u32], &[f32], &mut [f32]) -> Option<&'a [u32]>,
) -> Option<&'a [u32]> {
    let (&[sizes, kind], rest) = words.split_first_chunk::<2>()?;
    let floor = match kind {
        HIDDEN => RELU,
        OUTPUT => LINEAR,
        _ => return any(words, input, output),
    };
    // At most 2^16 each, so that no product of sizes wraps but that of the largest, which is shortened.
    let (inputs, rows) = ((sizes & 0xffff) as usize, ((sizes >> 16) as usize + 3) & 0xfffc);
    let (layer, behind) = rest.split_at_checked(rows * inputs + rows)?;
    let (bias, weights) = layer.split_at_checked(rows)?;
    if input.len() < inputs || output.len() < rows {
        return None;
    }
    let (weights, bias) = (weights.as_ptr(), bias.as_ptr());
    // SAFETY: weights and biases are those of all rows, a multiple of 4, the input has all inputs and the output room for all
    // rows; all are aligned to words by their types. The function keeps the caller's registers.
    unsafe { flowlet_f32_blocks(weights, input.as_ptr(), output.as_mut_ptr(), bias, inputs, rows, floor) }
    Some(behind)
}

/// A layer of f32.
#[inline(never)]
fn run(layer: &Dense<'_>, input: &[f32], output: &mut [f32], floor: i32) -> Option<()> {
    let (input, output) = (input.get(..layer.inputs)?, output.get_mut(..layer.bias.len())?);
    // One block, or each of four rows by itself.
    let rows = match layer.encoding {
        Encoding::F32Rows8 => output.len(),
        Encoding::F32Rows4 => 4,
        _ => return None,
    };
    let mut weights = layer.weights;
    let mut bias = layer.bias;
    let mut rest = output;
    while !rest.is_empty() {
        let (block, behind) = weights.split_at_checked(rows * layer.inputs)?;
        let (start, others) = bias.split_at_checked(rows)?;
        let (sums, left) = rest.split_at_mut_checked(rows)?;
        (weights, bias, rest) = (behind, others, left);
        let (block, start, to) = (block.as_ptr(), start.as_ptr(), sums.as_mut_ptr());
        // SAFETY: weights, biases and output are those of the rows, a multiple of 4, and the input has all inputs; all are
        // aligned to words by their types. The function keeps the caller's registers.
        unsafe { flowlet_f32_blocks(block, input.as_ptr(), to, start, layer.inputs, rows, floor) }
    }
    Some(())
}

/// See [`portable::f32_sums`](super::portable::f32_sums).
pub(super) fn f32_sums(layer: &Dense<'_>, input: &[f32], output: &mut [f32]) -> Option<()> {
    run(layer, input, output, LINEAR)
}

/// See [`portable::f32_relu`](super::portable::f32_relu).
pub(super) fn f32_relu(layer: &Dense<'_>, input: &[f32], output: &mut [f32]) -> Option<()> {
    run(layer, input, output, RELU)
}

// r0 weights, r1 input, r2 output, r3 bias, r4 to r7 inputs, r8 inputs beyond groups of four, r9 such groups, r10 rows left less
// those of a block, r11 the first input, lr what a loop has left. Sums are q0 and q1, weights and then products q2 and q3, the
// floor q4.
global_asm!(
    r#"
    .syntax unified
    // What compiles the crate is told of the core, what assembles this is not.
    .cpu cortex-m55
    .pushsection .text.flowlet_f32_blocks,"ax",%progbits

    .macro flowlet_input8 x
    vldrw.u32 q2, [r0], #16
    vldrw.u32 q3, [r0], #16
    vmul.f32 q2, q2, \x
    vmul.f32 q3, q3, \x
    vadd.f32 q0, q0, q2
    vadd.f32 q1, q1, q3
    .endm
    .macro flowlet_input4 x
    vldrw.u32 q2, [r0], #16
    vmul.f32 q2, q2, \x
    vadd.f32 q0, q0, q2
    .endm
    .macro flowlet_inputs each
    mov r1, r11
    wls lr, r9, 3f
2:  ldm r1!, {{r4-r7}}
    \each r4
    \each r5
    \each r6
    \each r7
    le lr, 2b
3:  wls lr, r8, 5f
4:  ldr r4, [r1], #4
    \each r4
    le lr, 4b
5:
    .endm

    .globl flowlet_f32_blocks
    .hidden flowlet_f32_blocks
    .type flowlet_f32_blocks,%function
    .thumb_func
    .p2align 2
flowlet_f32_blocks:
    push {{r4-r11, lr}}
    ldrd r9, r10, [sp, #36]
    ldr r8, [sp, #44]
    vpush {{d8-d9}}
    vdup.32 q4, r8
    and r8, r9, #3
    lsr r9, r9, #2
    mov r11, r1
    subs r10, r10, #8
    blo 6f
1:  vldrw.u32 q0, [r3], #16
    vldrw.u32 q1, [r3], #16
    flowlet_inputs flowlet_input8
    vmax.s32 q0, q0, q4
    vmax.s32 q1, q1, q4
    vstrw.32 q0, [r2], #16
    vstrw.32 q1, [r2], #16
    subs r10, r10, #8
    bhs 1b
    // 4 rows, or none.
6:  adds r10, r10, #8
    beq 7f
    vldrw.u32 q0, [r3]
    flowlet_inputs flowlet_input4
    vmax.s32 q0, q0, q4
    vstrw.32 q0, [r2]
7:  vpop {{d8-d9}}
    pop {{r4-r11, pc}}

    .purgem flowlet_input8
    .purgem flowlet_input4
    .purgem flowlet_inputs
    .popsection
"#
);
