    // See armv7m.rs. r0 weights (their last one of the step), r1 input, r2 to r5 the sums of four rows, r6 an
    // activation, r7 to r10 weights, r11 output, r12 bias, lr end of the input;
    // on the stack: 0 input, 4 shift, 8 end of the output.
    .syntax unified

    // Activation `x` against four rows, whose weights lie so far from r0.
    .macro FLOWLET_ROWS load, a, b, c, d
    \load r7, [r0, #\a]
    \load r8, [r0, #\b]
    \load r9, [r0, #\c]
    \load r10, [r0, #\d]
    FLOWLET_PRODUCTS
    .endm
    .macro FLOWLET_PRODUCTS
    mla r2, r7, r6, r2
    mla r3, r8, r6, r3
    mla r4, r9, r6, r4
    mla r5, r10, r6, r5
    .endm

    // Everything but the loads of weights, which `step` has for four inputs.
    .macro FLOWLET_LAYER name, step, last
    .pushsection .text.\name,"ax",%progbits
    .global \name
    .type \name,%function
    .thumb_func
    .p2align 2
\name:
    push {r4-r11, lr}
    ldm r0, {r0, r2-r7}
    mov r12, r3
    mov lr, r6
    mov r11, r5
    push {r2, r4, r7}
    adds r0, #\last
1:  ldr r1, [sp, #0]
    ldm r12!, {r2-r5}
2:  \step
    cmp r1, lr
    bne 2b
    ldr r6, [sp, #4]
    cmp r6, #0
    blt 4f
    asrs r2, r6
    asrs r3, r6
    asrs r4, r6
    asrs r5, r6
    usat r2, #15, r2
    usat r3, #15, r3
    usat r4, #15, r4
    usat r5, #15, r5
    orr r2, r2, r3, lsl #16
    orr r3, r4, r5, lsl #16
    strd r2, r3, [r11], #8
3:  ldr r6, [sp, #8]
    cmp r11, r6
    bne 1b
    add sp, #12
    pop {r4-r11, pc}
4:  stm r11!, {r2-r5}
    b 3b
    .size \name, . - \name
    .popsection
    .endm

    .macro FLOWLET_STEP_I8
    ldrsh r6, [r1], #8
    FLOWLET_ROWS ldrsb, -15, -11, -7, -3
    ldrsh r6, [r1, #-6]
    FLOWLET_ROWS ldrsb, -13, -9, -5, -1
    ldrsh r6, [r1, #-4]
    FLOWLET_ROWS ldrsb, -14, -10, -6, -2
    ldrsh r6, [r1, #-2]
    ldrsb r7, [r0, #-12]
    ldrsb r8, [r0, #-8]
    ldrsb r9, [r0, #-4]
    ldrsb r10, [r0], #16
    FLOWLET_PRODUCTS
    .endm

    .macro FLOWLET_STEP_I16
    ldrsh r6, [r1], #8
    FLOWLET_ROWS ldrsh, -30, -26, -22, -18
    ldrsh r6, [r1, #-6]
    FLOWLET_ROWS ldrsh, -28, -24, -20, -16
    ldrsh r6, [r1, #-4]
    FLOWLET_ROWS ldrsh, -14, -10, -6, -2
    ldrsh r6, [r1, #-2]
    ldrsh r7, [r0, #-12]
    ldrsh r8, [r0, #-8]
    ldrsh r9, [r0, #-4]
    ldrsh r10, [r0], #32
    FLOWLET_PRODUCTS
    .endm

    FLOWLET_LAYER flowlet_i8_rows4, FLOWLET_STEP_I8, 15
    FLOWLET_LAYER flowlet_i16_rows4, FLOWLET_STEP_I16, 30
