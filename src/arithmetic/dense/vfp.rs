//! f32 kernels in assembly, for a Cortex-M with a single-precision FPU (M4F, M7, M33).
//!
//! What the compiler does not find: one `VLDM` brings 16 weights, 8 rows share each loaded activation, and
//! all 32 registers are in use. Products and sums are separate instructions, in the order of
//! [`portable`](super::portable): a fused one has other bits, and either of `VFMA` and `VMLA` takes three cycles.
#![allow(
    unsafe_code,
    reason = "kernels in assembly: 32x32 in 3.5 cycles per multiply-accumulate by estimate, compiled for speed 6.0"
)]

use super::{Dense, Encoding};
use core::arch::global_asm;

/// As the argument `linear`: no ReLU.
const LINEAR: usize = 256;

kernels! {
    /// `W input + bias` for `rows` rows: in blocks of 8 and then one of 4, or in blocks of 4.
    Kernel (
        weights: *const u32,
        input: *const f32,
        output: *mut f32,
        bias: *const u32,
        inputs: usize,
        linear: usize,
        rows: usize,
    )
    flowlet_f32_rows8 flowlet_f32_rows4
}

extern "C" {
    /// A layer from its words on: hidden with ReLU or last, its weights in blocks of 8 rows. Gives the address of the words
    /// behind it, and in the upper half how many these are; zero if it is no such layer, or does not fit the words or the
    /// buffers, and then nothing is done.
    fn flowlet_f32_layer(
        words: *const u32,
        input: *const f32,
        output: *mut f32,
        length: usize,
        input_length: usize,
        output_length: usize,
    ) -> u64;
}

/// Word 1 of a hidden layer with ReLU in blocks of 8 rows.
const USUAL: u32 = u32::from_le_bytes([Encoding::F32Rows8 as u8, super::RELU, 0, 0]);
/// Of these bits the same of an output layer has none.
const HIDDEN: u32 = u32::from_le_bytes([0, super::RELU ^ super::OUTPUT, 0, 0]);

/// See [`portable::f32_sums`](super::portable::f32_sums).
pub(super) fn f32_sums(layer: &Dense<'_>, input: &[f32], output: &mut [f32]) -> Option<()> {
    match layer.encoding {
        Encoding::F32Rows8 => run(flowlet_f32_rows8, layer, input, output, LINEAR),
        Encoding::F32Rows4 => run(flowlet_f32_rows4, layer, input, output, LINEAR),
        _ => None,
    }
}

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
    let (front, to, to_length) = (words.as_ptr(), output.as_mut_ptr(), output.len());
    // SAFETY: it reads and writes within these lengths, which it checks, and keeps the caller's registers.
    let found = unsafe { flowlet_f32_layer(front, input.as_ptr(), to, words.len(), input.len(), to_length) };
    // SAFETY: what the kernel gives lies behind the layer, in `words`.
    match unsafe { super::behind(words, found) } {
        None => any(words, input, output),
        behind => behind,
    }
}

/// A hidden layer if it is a usual one; else `None`, and nothing is done.
///
/// `Some(None)`: the buffers do not fit it.
#[inline(always)]
pub(super) fn f32_usual(layer: &Dense<'_>, input: &[f32], output: &mut [f32]) -> Option<Option<()>> {
    (layer.kind == USUAL).then(|| run(flowlet_f32_rows8, layer, input, output, 0))
}

/// See [`portable::f32_relu`](super::portable::f32_relu).
pub(super) fn f32_relu(layer: &Dense<'_>, input: &[f32], output: &mut [f32]) -> Option<()> {
    match layer.encoding {
        Encoding::F32Rows8 => run(flowlet_f32_rows8, layer, input, output, 0),
        Encoding::F32Rows4 => run(flowlet_f32_rows4, layer, input, output, 0),
        _ => None,
    }
}

/// A layer of f32 by the kernel of its encoding.
#[inline(always)]
fn run(kernel: Kernel, layer: &Dense<'_>, input: &[f32], output: &mut [f32], linear: usize) -> Option<()> {
    let (inputs, rows) = (layer.inputs, layer.bias.len());
    if input.len() < inputs || output.len() < rows {
        return None;
    }
    // SAFETY: a `Dense` of f32, as the callers make sure, has `inputs * rows` weights and a multiple
    // of 4 rows; input and output are long enough by the comparison, and aligned to words by their types.
    // The function keeps the caller's registers.
    unsafe {
        kernel(
            layer.weights.as_ptr(),
            input.as_ptr(),
            output.as_mut_ptr(),
            layer.bias.as_ptr(),
            inputs,
            linear,
            rows,
        );
    }
    Some(())
}

// r0 weights, r1 input, r2 output, r3 bias, r5 counter, r7 inputs beyond groups of 8 (then of 4), and LINEAR; r8 rows left,
// less those of a block. In place of the first two arguments on the stack: the input, and how many groups of 8 it has. Sums are
// s0 to s7 (of 4 rows: s0 to s3), weights and then products s8 to s23, activations s24 to s31.
//
// ReLU goes through integer registers: clearing all bits of a number with its sign set takes one
// instruction, a comparison in the FPU and what follows three. The sum of two numbers is no negative NaN on
// these cores, so that a NaN passes.
global_asm!(
    r#"
    .syntax unified
    .fpu fpv4-sp-d16
    .pushsection .text.flowlet_f32_layers,"ax",%progbits

    .macro flowlet_times x, a, b, c, d
    vmul.f32 s\a, s\a, s\x
    vmul.f32 s\b, s\b, s\x
    vmul.f32 s\c, s\c, s\x
    vmul.f32 s\d, s\d, s\x
    .endm
    .macro flowlet_plus a, b, c, d, e, f, g, h
    vadd.f32 s\a, s\a, s\e
    vadd.f32 s\b, s\b, s\f
    vadd.f32 s\c, s\c, s\g
    vadd.f32 s\d, s\d, s\h
    .endm
    .macro flowlet_two_inputs x, y
    vldm r0!, {{s8-s23}}
    flowlet_times \x, 8, 9, 10, 11
    flowlet_times \x, 12, 13, 14, 15
    flowlet_times \y, 16, 17, 18, 19
    flowlet_times \y, 20, 21, 22, 23
    flowlet_plus 0, 1, 2, 3, 8, 9, 10, 11
    flowlet_plus 4, 5, 6, 7, 12, 13, 14, 15
    flowlet_plus 0, 1, 2, 3, 16, 17, 18, 19
    flowlet_plus 4, 5, 6, 7, 20, 21, 22, 23
    .endm

    .macro flowlet_function name
    .globl \name
    .hidden \name
    .type \name,%function
    .thumb_func
\name:
    .endm
    // r1, in place of which a layer's words left come back, then registers to keep, then arguments.
    .macro flowlet_start
    push {{r1, r4-r11, lr}}
    add r12, sp, #40
    ldm r12, {{r4, r7, r8}}
    .endm
    .macro flowlet_relu8
    vmov r4, r5, s0, s1
    vmov r6, r9, s2, s3
    vmov r10, r11, s4, s5
    vmov r12, lr, s6, s7
    bic r4, r4, r4, asr #31
    bic r5, r5, r5, asr #31
    bic r6, r6, r6, asr #31
    bic r9, r9, r9, asr #31
    bic r10, r10, r10, asr #31
    bic r11, r11, r11, asr #31
    bic r12, r12, r12, asr #31
    bic lr, lr, lr, asr #31
    stm r2!, {{r4-r6, r9-r12, lr}}
    .endm

    .p2align 2
    flowlet_function flowlet_f32_rows4
    flowlet_start
    sub r6, r8, #4
    mov r8, #1
    b .Lflowlet_f32_begin

    flowlet_function flowlet_f32_rows8
    flowlet_start
    b .Lflowlet_f32_begin

.Lflowlet_f32_no:
    movs r0, #0
    pop {{r1, r4-r11, pc}}

    // r0 words, r1 input, r2 output, r3 how many words; on the stack the lengths of input and output.
    flowlet_function flowlet_f32_layer
    push {{r1, r4-r11, lr}}
    ldrd r9, r10, [sp, #40]
    subs r6, r3, #2
    blo .Lflowlet_f32_no
    ldrd r5, r7, [r0], #8
    eor r7, r7, #{usual}
    bics r12, r7, #{hidden}
    bne .Lflowlet_f32_no
    uxth r4, r5
    // At most 2^16 - 4 rows, as more wrap, so that no product does.
    add r8, r5, #3 << 16
    lsr r8, r8, #18
    lsl r8, r8, #2
    cmp r9, r4
    it hs
    cmphs r10, r8
    blo .Lflowlet_f32_no
    mla r12, r8, r4, r8
    subs r6, r6, r12
    blo .Lflowlet_f32_no
    str r6, [sp]
    mov r3, r0
    add r0, r0, r8, lsl #2

    // r4 inputs, r7 linear, r8 rows; or one, and r6 rows less 4 where all are in blocks of 4.
.Lflowlet_f32_begin:
    vpush {{d8-d15}}
    bfi r7, r4, #0, #3
    lsrs r4, r4, #3
    strd r1, r4, [sp, #104]
    beq .Lflowlet_f32_begin_few
    subs r8, r8, #8
    bhs .Lflowlet_f32_rows8
.Lflowlet_f32_begin4:
    tst r8, #1
    beq.w .Lflowlet_f32_rows8_done
    mov r8, r6
    b.w .Lflowlet_f32_rows4_begin
.Lflowlet_f32_begin_few:
    subs r8, r8, #8
    blo .Lflowlet_f32_begin4
    b.w .Lflowlet_f32_first8

    // 8 rows, of 8 inputs or more.
.Lflowlet_f32_rows8:
    vldm r3!, {{s0-s7}}
    ldrd r1, r5, [sp, #104]
.Lflowlet_f32_groups8:
    vldm r1!, {{s24-s31}}
    flowlet_two_inputs 24, 25
    flowlet_two_inputs 26, 27
    flowlet_two_inputs 28, 29
    flowlet_two_inputs 30, 31
    subs r5, r5, #1
    bne.w .Lflowlet_f32_groups8
    cbnz r7, .Lflowlet_f32_rest8
    flowlet_relu8
    subs r8, r8, #8
    bhs.w .Lflowlet_f32_rows8
    ands r8, r8, #4
    bne .Lflowlet_f32_last4
    // Weights end where the layer does.
.Lflowlet_f32_return:
    vpop {{d8-d15}}
    pop {{r1, r4-r11, pc}}

.Lflowlet_f32_rest8:
    ands r5, r7, #7
    beq .Lflowlet_f32_plain8
.Lflowlet_f32_one8:
    vldm r0!, {{s8-s15}}
    vldm r1!, {{s24}}
    flowlet_times 24, 8, 9, 10, 11
    flowlet_times 24, 12, 13, 14, 15
    subs r5, r5, #1
    flowlet_plus 0, 1, 2, 3, 8, 9, 10, 11
    flowlet_plus 4, 5, 6, 7, 12, 13, 14, 15
    bne .Lflowlet_f32_one8
    tst r7, #{linear}
    bne .Lflowlet_f32_plain8
    flowlet_relu8
    b .Lflowlet_f32_next8
.Lflowlet_f32_plain8:
    vstm r2!, {{s0-s7}}
.Lflowlet_f32_next8:
    subs r8, r8, #8
    blo .Lflowlet_f32_rows8_done
.Lflowlet_f32_first8:
    vldm r3!, {{s0-s7}}
    ldrd r1, r5, [sp, #104]
    cmp r5, #0
    bne.w .Lflowlet_f32_groups8
    b .Lflowlet_f32_rest8

    // 4 rows.
.Lflowlet_f32_rows8_done:
    ands r8, r8, #4
    beq .Lflowlet_f32_return
.Lflowlet_f32_last4:
    movs r8, #0
.Lflowlet_f32_rows4_begin:
    ldr r4, [sp, #108]
    ubfx r6, r7, #2, #1
    add r6, r6, r4, lsl #1
    bic r7, r7, #4
    b .Lflowlet_f32_rows4
.Lflowlet_f32_groups4:
    vldm r0!, {{s8-s23}}
    vldm r1!, {{s24-s27}}
    flowlet_times 24, 8, 9, 10, 11
    flowlet_times 25, 12, 13, 14, 15
    flowlet_times 26, 16, 17, 18, 19
    flowlet_times 27, 20, 21, 22, 23
    subs r5, r5, #1
    flowlet_plus 0, 1, 2, 3, 8, 9, 10, 11
    flowlet_plus 0, 1, 2, 3, 12, 13, 14, 15
    flowlet_plus 0, 1, 2, 3, 16, 17, 18, 19
    flowlet_plus 0, 1, 2, 3, 20, 21, 22, 23
    bne .Lflowlet_f32_groups4
.Lflowlet_f32_end4:
    cbnz r7, .Lflowlet_f32_rest4
.Lflowlet_f32_relu4:
    vmov r9, r10, s0, s1
    vmov r11, r12, s2, s3
    bic r9, r9, r9, asr #31
    bic r10, r10, r10, asr #31
    bic r11, r11, r11, asr #31
    bic r12, r12, r12, asr #31
    stm r2!, {{r9-r12}}
.Lflowlet_f32_next4:
    subs r8, r8, #4
    blo .Lflowlet_f32_return
.Lflowlet_f32_rows4:
    vldm r3!, {{s0-s3}}
    ldr r1, [sp, #104]
    movs r5, r6
    bne .Lflowlet_f32_groups4
    b .Lflowlet_f32_end4

.Lflowlet_f32_rest4:
    ands r5, r7, #3
    beq .Lflowlet_f32_plain4
.Lflowlet_f32_one4:
    vldm r0!, {{s8-s11}}
    vldm r1!, {{s24}}
    flowlet_times 24, 8, 9, 10, 11
    subs r5, r5, #1
    flowlet_plus 0, 1, 2, 3, 8, 9, 10, 11
    bne .Lflowlet_f32_one4
    tst r7, #{linear}
    beq .Lflowlet_f32_relu4
.Lflowlet_f32_plain4:
    vstm r2!, {{s0-s3}}
    b .Lflowlet_f32_next4

    .purgem flowlet_relu8
    .purgem flowlet_function
    .purgem flowlet_start
    .purgem flowlet_times
    .purgem flowlet_plus
    .purgem flowlet_two_inputs
    .popsection
"#,
    usual = const USUAL,
    hidden = const HIDDEN,
    linear = const LINEAR,
);
