//! tanh over an array in assembly, for a Cortex-M with a single-precision FPU (M4F, M7, M33).
//!
//! What the compiler does not find: a conversion with 28 fraction bits, a row of the table by one `LDM`, and signs by products
//! with one or minus one.
#![allow(
    unsafe_code,
    reason = "a kernel in assembly: 21 instructions per element of an affine coupling, compiled 27"
)]

use super::elementary::Sums;
use super::table;
use core::arch::global_asm;

extern "C" {
    /// `unit y` of each value, y its tanh in units of 2^-31, in place; the sums of results and of values. Not of none.
    fn flowlet_tanh_each(values: *mut f32, count: usize, table: *const [[i32; 4]; 65], unit: f32) -> Sums;
}

/// As `portable_scaled_tanh_each` in [`super::elementary`].
#[inline(always)]
pub(super) fn scaled_tanh_each(values: &mut [f32], unit: f32) -> Sums {
    if values.is_empty() {
        return Sums::default();
    }
    // SAFETY: it reads and writes these values; rows of the table are those of steps of 1/8 up to 8, to which the conversion
    // saturates. It keeps the caller's registers.
    unsafe { flowlet_tanh_each(values.as_mut_ptr(), values.len(), &raw const table::TANH, unit) }
}

// r0 values, r1 how many, r2 table, r3 distance and then position, r4-r7 a row, r12 sign, lr one; s0 and s1 the sums, s2 unit.
global_asm!(
    r#"
    .syntax unified
    .fpu fpv4-sp-d16
    .pushsection .text.flowlet_tanh_each,"ax",%progbits
    .p2align 2
    .globl flowlet_tanh_each
    .hidden flowlet_tanh_each
    .type flowlet_tanh_each,%function
    .thumb_func
flowlet_tanh_each:
    push {{r4-r7, lr}}
    vmov.f32 s2, s0
    movs r3, #0
    vmov s0, s1, r3, r3
    mov lr, #1
.Lflowlet_tanh:
    vldr s3, [r0]
    vadd.f32 s1, s1, s3
    vcvt.s32.f32 s3, s3, #28
    vmov r3, s3
    orr r12, lr, r3, asr #31
    mul r3, r3, r12
    lsrs r4, r3, #25
    add r4, r2, r4, lsl #4
    ldm r4, {{r4-r7}}
    lsls r3, r3, #6
    smmla r6, r3, r7, r6
    smmla r5, r3, r6, r5
    smmla r4, r3, r5, r4
    mul r4, r4, r12
    vmov s3, r4
    vcvt.f32.s32 s3, s3
    vmul.f32 s3, s3, s2
    vadd.f32 s0, s0, s3
    vstmia r0!, {{s3}}
    subs r1, r1, #1
    bne .Lflowlet_tanh
    pop {{r4-r7, pc}}
    .size flowlet_tanh_each, . - flowlet_tanh_each
    .popsection
"#
);
