    // See mve.rs.
    .syntax unified
    // What compiles the crate is told of the core, what assembles this is not.
    .cpu cortex-m55

    // Rows that lie side by side, input by input. r0 weights, r1 input, r2 output, r3 bias; on the stack how many inputs, how many
    // blocks of so many rows, and the least result as an integer. Then r4 to r6 these, r7 an activation, r12 where they are read.
    .macro FLOWLET_BLOCKS name, rows
    .pushsection .text.\name,"ax",%progbits
    .global \name
    .hidden \name
    .type \name,%function
    .thumb_func
    .p2align 2
\name:
    push {r4-r7, lr}
    ldrd r4, r5, [sp, #20]
    ldr r6, [sp, #28]
1:  mov r12, r1
    vldrw.u32 q0, [r3], #16
    .if \rows == 8
    vldrw.u32 q1, [r3], #16
    .endif
    dls lr, r4
2:  ldr r7, [r12], #4
    vldrw.u32 q2, [r0], #16
    .if \rows == 8
    vldrw.u32 q3, [r0], #16
    .endif
    vmul.f32 q2, q2, r7
    .if \rows == 8
    vmul.f32 q3, q3, r7
    .endif
    vadd.f32 q0, q0, q2
    .if \rows == 8
    vadd.f32 q1, q1, q3
    .endif
    le lr, 2b
    // Below zero integers and numbers begin with the same bit.
    vdup.32 q2, r6
    vmax.s32 q0, q0, q2
    vstrw.32 q0, [r2], #16
    .if \rows == 8
    vmax.s32 q1, q1, q2
    vstrw.32 q1, [r2], #16
    .endif
    subs r5, #1
    bne 1b
    pop {r4-r7, pc}
    .size \name, . - \name
    .popsection
    .endm

    FLOWLET_BLOCKS flowlet_f32_blocks_4, 4
    FLOWLET_BLOCKS flowlet_f32_blocks_8, 8
    .purgem FLOWLET_BLOCKS
