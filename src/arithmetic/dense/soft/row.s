    // See soft.rs: what multiply_add and add do there, for all inputs of a row.
    .syntax unified
    .pushsection .text.flowlet_soft_row,"ax",%progbits
    .global flowlet_soft_row
    .hidden flowlet_soft_row
    .type flowlet_soft_row,%function
    .thumb_func
    .p2align 2
    // r0 sum, r1 weights, r2 bytes from one to the next, r3 inputs; on the stack how many. Gives the sum, and in the upper half
    // how many inputs are left, of which the first is one for other routines.
    //
    // r4 inputs left, r5 x and then the product or the smaller number, r6 weight, the sum's size or the larger number, r7, r9
    // exponents, r8 signs, r10 behind the last place, lr what is more.
flowlet_soft_row:
    push {r4-r10, lr}
    ldr r4, [sp, #32]
1:  ldr r5, [r3], #4
    ldr r6, [r1]
    add r1, r1, r2
    // Of a zero, as ReLU gives it for half of the units, nothing comes but to -0.0.
    lsls r7, r5, #1
    beq 9f
    lsr r7, r7, #24
    ubfx r8, r6, #23, #8
    add r7, r7, r8
    sub r8, r7, #127 + 25
    cmp r8, #251 - 25
    bhi 8f
    ubfx r9, r0, #23, #8
    sub r9, r9, #25
    cmp r9, #251 - 25
    bhi 8f
    // Of the product 24 bits, and 32 behind them.
    eor r8, r5, r6
    ubfx r5, r5, #0, #23
    orr r5, r5, #1 << 23
    lsl r6, r6, #8
    orr r6, r6, #1 << 31
    umull r10, r5, r5, r6
    tst r5, #1 << 23
    bne 2f
    lsls r10, r10, #1
    adc r5, r5, r5
    sub r7, r7, #1
2:  cmp r10, #1 << 31
    adc r5, r5, r7, lsl #23
    it eq
    biceq r5, r5, #1
    sub r5, r5, #127 << 23
    // The larger in r6, its sign in r0.
    bic r6, r0, #1 << 31
    eor r8, r8, r0
    subs r7, r5, r6
    bls 3f
    sub r5, r5, r7
    add r6, r6, r7
    eor r0, r0, r8
3:  and r0, r0, #1 << 31
    lsr r9, r6, #23
    sub r7, r9, r5, lsr #23
    cmp r7, #25
    bhi 0f
    ubfx r5, r5, #0, #23
    orr r5, r5, #1 << 23
    rsb r10, r7, #32
    lsl r10, r5, r10
    lsr r5, r5, r7
    cmp r8, #0
    bmi 5f
    // The larger one's exponent stays on: a sum that runs into it is to be halved.
    add r6, r6, r5
    cmp r9, r6, lsr #23
    beq 6f
    sub r6, r6, r9, lsl #23
    add r6, r6, #1 << 23
    lsrs r6, r6, #1
    rrx r10, r10
    add r6, r6, r9, lsl #23
    b 6f
5:  rsbs r10, r10, #0
    sbc r6, r6, r5
    cmp r9, r6, lsr #23
    beq 6f
    // Less than 24 bits are left.
    sub r6, r6, r9, lsl #23
    adds r6, r6, #1 << 23
    beq 4f
    clz r7, r6
    sub r7, r7, #8
    sub r9, r9, r7
    sub r9, r9, #1
    lsl r6, r6, r7
    rsb lr, r7, #32
    lsr lr, r10, lr
    orr r6, r6, lr
    lsl r10, r10, r7
    add r6, r6, r9, lsl #23
6:  cmp r10, #1 << 31
    adc r6, r6, #0
    it eq
    biceq r6, r6, #1
0:  orr r0, r0, r6
    subs r4, r4, #1
    bne 1b
7:  mov r1, r4
    pop {r4-r10, pc}
    // Nor of a zero weight, as padding has it.
8:  lsls r7, r6, #1
    bne 7b
9:  cmp r0, #1 << 31
    beq 7b
10: subs r4, r4, #1
    bne 1b
    b 7b
    // No bit, or one behind the last place: of numbers that are neighbours, the larger a power of two.
4:  cmp r10, #0
    beq 5f
    sub r9, r9, #24
    orr r0, r0, r9, lsl #23
    b 10b
5:  movs r0, #0
    b 10b
    .size flowlet_soft_row, . - flowlet_soft_row
    .popsection
