    // See armv81m.rs. r0, r3, r5, r7 the weights of four rows, r1 input, r4, r6, r8, r10 the sums, r2 inputs, r9 bytes of a
    // row, r11 bias, r12 output, lr what the loop has left;
    // on the stack: 0 weights of the next four rows, 4 input, 8 shift, 12 end of the output.
    .syntax unified
    // What compiles the crate is told of the core, what assembles this is not.
    .cpu cortex-m55

    // Eight inputs of a row.
    .macro FLOWLET_ROW load, bytes, weights, vector, sum
    \load \vector, [\weights], #\bytes
    vmlava.s16 \sum, q0, \vector
    .endm

    // `load` reads eight weights, `bytes` in all, 2^`size` each.
    .macro FLOWLET_LAYER name, load, bytes, size
    .pushsection .text.\name,"ax",%progbits
    .global \name
    .type \name,%function
    .thumb_func
    .p2align 2
\name:
    push {r4-r11, lr}
    ldm r0, {r0-r6}
    mov r11, r2
    mov r12, r4
    subs r2, r5, r1
    lsrs r2, r2, #1
    lsl r9, r2, #\size
    push {r0, r1, r3, r6}
1:  ldrd r0, r1, [sp]
    add r3, r0, r9
    add r5, r3, r9
    add r7, r5, r9
    add r4, r7, r9
    str r4, [sp]
    ldm r11!, {r4, r6, r8, r10}
    // The last step has four inputs where their number is odd times four: the loop predicates it.
    dlstp.16 lr, r2
2:  vldrh.u16 q0, [r1], #16
    FLOWLET_ROW \load, \bytes, r0, q1, r4
    FLOWLET_ROW \load, \bytes, r3, q2, r6
    FLOWLET_ROW \load, \bytes, r5, q1, r8
    FLOWLET_ROW \load, \bytes, r7, q2, r10
    letp lr, 2b
    ldrd r0, r1, [sp, #8]
    cmp r0, #0
    blt 4f
    asrs r4, r0
    asrs r6, r0
    asr r8, r8, r0
    asr r10, r10, r0
    usat r4, #15, r4
    usat r6, #15, r6
    usat r8, #15, r8
    usat r10, #15, r10
    orr r4, r4, r6, lsl #16
    orr r8, r8, r10, lsl #16
    strd r4, r8, [r12], #8
3:  cmp r12, r1
    bne 1b
    add sp, #16
    pop {r4-r11, pc}
4:  stm r12!, {r4, r6, r8, r10}
    b 3b
    .size \name, . - \name
    .popsection
    .endm

    FLOWLET_LAYER flowlet_i8_rows, vldrb.s16, 8, 0
    FLOWLET_LAYER flowlet_i16_rows, vldrh.u16, 16, 1
