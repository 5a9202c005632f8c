    // See armv81m.rs, which fills in what stands in braces.
    .syntax unified
    // What compiles the crate is told of the core, what assembles this is not.
    .cpu cortex-m55

    .macro FLOWLET_FUNCTION name
    .pushsection .text.\name,"ax",%progbits
    .global \name
    .hidden \name
    .type \name,%function
    .thumb_func
    .p2align 2
\name:
    .endm

    // r0 raws, r1 x, r2 shifts, r3 how many; on the stack the clamp as a multiplier, octaves, bits. Gives the sum of the
    // log-scales, and in r1 whether an x was too far out, and none is scaled.
    FLOWLET_FUNCTION flowlet_affine_tanh
    push {{r4-r11, lr}}
    vpush {{d8-d15}}
    movw r4, #:lower16:{tanh}
    movt r4, #:upper16:{tanh}
    add r5, r4, #4
    add r6, r4, #8
    ldrd r9, r10, [sp, #100]
    ldr r11, [sp, #108]
    vdup.32 q6, r9
    movw r7, #0xffff
    movt r7, #7
    vdup.32 q7, r7
    movs r7, #12
    mov r8, #0
    mov r9, #0
    mov r12, r0
    push {{r1-r3}}
    // `elementary::tanh_q31`: q0 argument, q1 its size, then where its row is, q2 position, q3 step.
    dlstp.32 lr, r3
    // Where steps grow, and how many before are left out.
    mov r2, #0x28000
    mov r3, #0x40000
    mov r10, #10
    mov r11, #18
2:  vldrw.u32 q0, [r12]
    vabs.s32 q1, q0
    vmin.u32 q1, q1, q7
    vshl.i32 q2, q1, #19
    vshr.u32 q3, q1, #13
    vpttt.s32 ge, q1, r2
    vshrt.u32 q3, q1, #14
    vaddt.i32 q3, q3, r10
    vshlt.i32 q2, q1, #18
    vpttt.s32 ge, q1, r3
    vshrt.u32 q3, q1, #15
    vaddt.i32 q3, q3, r11
    vshlt.i32 q2, q1, #17
    vmul.i32 q1, q3, r7
    vldrw.u32 q3, [r6, q1]
    vshr.u32 q4, q2, #16
    vmovlb.s16 q5, q3
    vmul.i32 q4, q4, q5
    vadd.i32 q3, q3, q4
    vldrw.u32 q4, [r5, q1]
    vmulh.u32 q3, q3, q2
    vshr.u32 q3, q3, #8
    vsub.i32 q4, q4, q3
    vldrw.u32 q3, [r4, q1]
    vmulh.u32 q4, q4, q2
    vadd.i32 q3, q3, q4
    vpt.s32 lt, q0, zr
    vnegt.s32 q3, q3
    vldrw.u32 q0, [r1], #16
    vstrw.32 q3, [r12], #16
    vrmulh.s32 q3, q3, q6
    vmaxav.s32 r9, q0
    vaddva.s32 r8, q3
    letp lr, 2b
    pop {{r1-r3}}
    ldrd r10, r11, [sp, #104]
    // Far is what does not fit once lifted by bits + 1.
    rsb r4, r11, #30
    lsr r12, r9, r4
    cmp r12, #0
    bne 4f
    add r4, r11, #1
    movs r5, #1
    lsls r5, r4
    sub r11, r11, #1
    movw r4, #:lower16:{exp2}
    movt r4, #:upper16:{exp2}
    add r6, r4, #4 * 33
    movw r7, #0x8000
    movt r7, #0x1f
    vdup.32 q6, r7
    mov r7, #0x8000
    vdup.32 q7, r10
    // `Scales::scale` and `Scales::apply`: q0 the exponent of two in Q21, q2 the mantissa.
    dlstp.32 lr, r3
3:  vldrw.u32 q0, [r0], #16
    vrmulh.s32 q0, q0, q7
    vand q1, q0, q6
    vadd.i32 q1, q1, r7
    vshl.i32 q4, q0, #16
    vshr.u32 q1, q1, #16
    vldrw.u32 q3, [r6, q1, uxtw #2]
    vldrw.u32 q2, [r4, q1, uxtw #2]
    vmullb.s16 q5, q3, q0
    vshr.s32 q0, q0, #21
    vadd.i32 q3, q3, q5
    vsub.i32 q0, q0, r11
    vmulh.s32 q3, q3, q4
    vldrw.u32 q4, [r1]
    vshr.s32 q3, q3, #5
    vmul.i32 q4, q4, r5
    vadd.i32 q2, q2, q3
    vshl.u32 q2, q2, q0
    vldrw.u32 q1, [r2], #16
    vrmulh.s32 q2, q2, q4
    vqadd.s32 q2, q2, q1
    vstrw.32 q2, [r1], #16
    letp lr, 3b
4:  mov r0, r8
    mov r1, r12
    vpop {{d8-d15}}
    pop {{r4-r11, pc}}
    .size flowlet_affine_tanh, . - flowlet_affine_tanh
    .popsection

    // r0 inputs, r1 output, r2 how many, r3 limit; on the stack the shift, negative.
    FLOWLET_FUNCTION flowlet_load_inputs
    push {{r4, lr}}
    ldr r4, [sp, #8]
    vdup.32 q1, r3
    vneg.s32 q2, q1
    dlstp.32 lr, r2
2:  vldrw.u32 q0, [r0], #16
    vmin.s32 q0, q0, q1
    vmax.s32 q0, q0, q2
    vrshl.s32 q0, r4
    vstrh.32 q0, [r1], #8
    letp lr, 2b
    pop {{r4, pc}}
    .size flowlet_load_inputs, . - flowlet_load_inputs
    .popsection

    .purgem FLOWLET_FUNCTION
