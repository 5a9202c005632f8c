    // See mve.rs. r0 to r3 the weights of four rows, r4, r6, r8, r10 their sums (a product's sum wants an even
    // register), r5 input, r7 bias, r9 output, r11 its end, r12 number of inputs; q2 zeros, q3 32767.
    // On the stack: 0 input, 4 shift (negative: to the right; 1: sums leave as they are), 8 the next four rows.
    .syntax unified
    .cpu cortex-m55

    .macro FLOWLET_ROWS name, load, bytes, scale
    .pushsection .text.\name,"ax",%progbits
    .global \name
    .hidden \name
    .type \name,%function
    .thumb_func
    .p2align 2
\name:
    push {r4-r11, lr}
    sub sp, #12
    ldm r0, {r1-r7}
    mov r0, r1
    mov r9, r5
    mov r11, r7
    mov r7, r3
    subs r6, r6, r2
    lsr r12, r6, #1
    rsbs r4, r4, #0
    strd r2, r4, [sp]
    movw r4, #32767
    vmov.i32 q2, #0
    vdup.32 q3, r4
    b 2f
1:  ldr r0, [sp, #8]
2:  ldm r7!, {r4, r6, r8, r10}
    ldr r5, [sp, #0]
    add.w r1, r0, r12, lsl #\scale
    add.w r2, r1, r12, lsl #\scale
    add.w r3, r2, r12, lsl #\scale
    add.w lr, r3, r12, lsl #\scale
    str.w lr, [sp, #8]
    // The last turn's lanes beyond the inputs count for nothing.
    dlstp.16 lr, r12
3:  vldrh.u16 q0, [r5], #16
    \load q1, [r0], #\bytes
    vmladava.s16 r4, q0, q1
    \load q1, [r1], #\bytes
    vmladava.s16 r6, q0, q1
    \load q1, [r2], #\bytes
    vmladava.s16 r8, q0, q1
    \load q1, [r3], #\bytes
    vmladava.s16 r10, q0, q1
    letp lr, 3b
    ldr r5, [sp, #4]
    cmp r5, #0
    bgt 4f
    mov r1, r9
    vmov q0[2], q0[0], r8, r4
    vmov q0[3], q0[1], r10, r6
    vshl.s32 q0, r5
    vmax.s32 q0, q0, q2
    vmin.s32 q0, q0, q3
    vstrh.32 q0, [r1]
    add.w r9, r9, #8
    cmp r9, r11
    bne 1b
    b 5f
4:  stm r9!, {r4, r6, r8, r10}
    cmp r9, r11
    bne 1b
5:  add sp, #12
    pop {r4-r11, pc}
    .size \name, . - \name
    .popsection
    .endm

    FLOWLET_ROWS flowlet_i16_rows, vldrh.u16, 16, 1
    FLOWLET_ROWS flowlet_i8_rows, vldrb.s16, 8, 0
    .purgem FLOWLET_ROWS
