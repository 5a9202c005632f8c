    // See armv81m.rs.
    .syntax unified
    // What compiles the crate is told of the core, what assembles this is not.
    .cpu cortex-m55

    // Sums without an end, of any number of inputs. r0, r3, r5, r7 the weights of four rows, r1 input, r4, r6, r8, r10 the sums,
    // r2 output, r9 bytes of a row, r11 bias, r12 inputs, lr what the loop has left; on the stack: 0 weights of the next four
    // rows, 4 input.
    // `load` reads eight weights, `bytes` in all, 2^`size` each.
    .macro FLOWLET_ROWS load, bytes, size
    ldrd r0, r1, [sp]
    add r3, r0, r9
    add r5, r3, r9
    add r7, r5, r9
    add r4, r7, r9
    str r4, [sp]
    ldm r11!, {r4, r6, r8, r10}
    // The last step has four inputs where their number is odd times four: the loop predicates it.
    dlstp.16 lr, r12
2:  vldrh.u16 q0, [r1], #16
    \load q1, [r0], #\bytes
    \load q2, [r3], #\bytes
    vmlava.s16 r4, q0, q1
    \load q1, [r5], #\bytes
    vmlava.s16 r6, q0, q2
    \load q2, [r7], #\bytes
    vmlava.s16 r8, q0, q1
    vmlava.s16 r10, q0, q2
    letp lr, 2b
    .endm

    .macro FLOWLET_FUNCTION name
    .pushsection .text.\name,"ax",%progbits
    .global \name
    .hidden \name
    .type \name,%function
    .thumb_func
    .p2align 2
\name:
    .endm

    .macro FLOWLET_SUMS name, load, bytes, size
    FLOWLET_FUNCTION \name
    push {r4-r11, lr}
    ldm r0, {r0-r6}
    mov r11, r2
    mov r2, r4
    sub r12, r5, r1
    lsr r12, r12, #1
    lsl r9, r12, #\size
    push {r0, r1, r6, r7}
1:  FLOWLET_ROWS \load, \bytes, \size
    stm r2!, {r4, r6, r8, r10}
    ldr r1, [sp, #8]
    cmp r2, r1
    bne 1b
    add sp, #16
    pop {r4-r11, pc}
    .size \name, . - \name
    .popsection
    .endm

    // Two steps of eight inputs.
    .macro FLOWLET_TWO load, bytes, one, other, first, sum, second, next_sum
    \load \one, [r0], #\bytes
    \load \other, [r0], #\bytes
    vmlava.s16 \sum, \first, \one
    vmlava.s16 \next_sum, \second, \other
    .endm

    // A row's next half of 64 inputs, and the `step` to the next row's.
    .macro FLOWLET_HALF load, bytes, sum, step
    FLOWLET_TWO \load, \bytes, q4, q5, q0, \sum, q1, \sum
    \load q4, [r0], #\bytes
    \load q5, [r0], #\step
    vmlava.s16 \sum, q2, q4
    vmlava.s16 \sum, q3, q5
    .endm

    // Sums to lanes, and the end of a block: "equal" for a hidden layer. `low` and `high` are the halves of `sums`.
    .macro FLOWLET_END low, high, sums, other, again
    vmov \low, r4, r6
    vmov \high, r8, r10
    bne 3f
    // One bit more than the shift leaves, so that saturation to 16 bits is one to 15.
    vqshl.s32 \sums, r5
    vqmovunb.s32 \sums, \sums
    vshr.u16 \sums, \sums, #1
    vstrh.32 \sums, [r2], #8
    le lr, \again
    b 4f
3:  vldrw.u32 \other, [r9], #16
    vmulh.s32 \sums, \sums, \other
    vrshl.s32 \sums, r5
    vstrw.32 \sums, [r2], #16
    le lr, \again
4:
    .endm

    // A whole layer. r0 bias, r1 input, r2 output, r3 weights; on the stack blocks of four rows, the left shift at the end,
    // and groups of four inputs. With 8, 16 or 32 inputs all activations stay in registers, and one pointer walks the weights.
    // Then r0 weights, r4, r6, r8, r10 sums, r5 the shift, r9 multipliers, r11 bias, lr blocks left; the flags say whether there
    // are multipliers, between bias and weights.
    .macro FLOWLET_LAYER name, load, bytes, size
    FLOWLET_FUNCTION \name
    push {r4-r11, lr}
    ldrd r4, r5, [sp, #36]
    ldr r7, [sp, #44]
    mov r11, r0
    add r9, r0, r4, lsl #4
    mov r0, r3
    // What vectors do not shift, and what is behind the table's reach.
    cmp r5, #0
    bge 90f
    cmp r7, #8
    bhi 90f
    dls lr, r4
    cmp r9, r0
    tbb [pc, r7]
9:  .byte (90f - 9b) / 2, (90f - 9b) / 2, (10f - 9b) / 2, (90f - 9b) / 2, (20f - 9b) / 2
    .byte (90f - 9b) / 2, (90f - 9b) / 2, (90f - 9b) / 2, (40f - 9b) / 2, 0
10: vldrh.u16 q0, [r1]
11: ldm r11!, {r4, r6, r8, r10}
    FLOWLET_TWO \load, \bytes, q2, q3, q0, r4, q0, r6
    FLOWLET_TWO \load, \bytes, q2, q3, q0, r8, q0, r10
    FLOWLET_END d4, d5, q2, q3, 11b
    pop {r4-r11, pc}
20: vldrh.u16 q0, [r1], #16
    vldrh.u16 q1, [r1]
21: ldm r11!, {r4, r6, r8, r10}
    .irp sum, r4, r6, r8, r10
    FLOWLET_TWO \load, \bytes, q2, q3, q0, \sum, q1, \sum
    .endr
    FLOWLET_END d4, d5, q2, q3, 21b
    pop {r4-r11, pc}
40: vpush {d8-d11}
    vldrh.u16 q0, [r1], #16
    vldrh.u16 q1, [r1], #16
    vldrh.u16 q2, [r1], #16
    vldrh.u16 q3, [r1]
41: ldm r11!, {r4, r6, r8, r10}
    .irp sum, r4, r6, r8, r10
    FLOWLET_TWO \load, \bytes, q4, q5, q0, \sum, q1, \sum
    FLOWLET_TWO \load, \bytes, q4, q5, q2, \sum, q3, \sum
    .endr
    FLOWLET_END d8, d9, q4, q5, 41b
    vpop {d8-d11}
    pop {r4-r11, pc}

    // Any number of inputs: r12 that, r9 bytes of a row; on the stack: 0 weights of the next four rows, 4 input,
    // 8 the shift, 12 end of the biases, 16 multipliers.
90: lsl r12, r7, #2
    mov r6, r9
    mov r7, r9
    lsl r9, r12, #\size
    push {r0, r1, r5, r6, r7}
    cmp r6, r0
91: FLOWLET_ROWS \load, \bytes, \size
    ldrd r0, r1, [sp, #8]
    vmov d0, r4, r6
    vmov d1, r8, r10
    sub r1, r1, r11
    bne 3f
    vqshl.s32 q0, r0
    vqmovunb.s32 q0, q0
    vshr.u16 q0, q0, #1
    vstrh.32 q0, [r2], #8
    cbz r1, 92f
    b 91b
3:  ldr r3, [sp, #16]
    cmp r0, #0
    bge 4f
    vldrw.u32 q1, [r3], #16
    vmulh.s32 q0, q0, q1
    vrshl.s32 q0, r0
    vstrw.32 q0, [r2], #16
6:  str r3, [sp, #16]
    cbz r1, 92f
    b 91b
    // Products shifted by 32 or less, as small layers of i8 weights have, one by one, and saturated.
4:  stm r2, {r4, r6, r8, r10}
    rsb r0, r0, #32
    movs r4, #4
    dls lr, r4
5:  ldr r4, [r2]
    ldr r5, [r3], #4
    smull r6, r7, r4, r5
    sqrshrl r6, r7, #64, r0
    cmp r7, r6, asr #31
    itt ne
    mvnne r6, #0x80000000
    eorne r6, r6, r7, asr #31
    str r6, [r2], #4
    le lr, 5b
    // Flags as before.
    movs r4, #1
    b 6b
92: add sp, #20
    pop {r4-r11, pc}
    .size \name, . - \name
    .popsection
    .endm

    // The same, for which 64 inputs are a case of their own: a half of the activations at a time stays in registers.
    .macro FLOWLET_WIDE name, load, bytes
    FLOWLET_FUNCTION \name\()_wide
    ldr r12, [sp, #8]
    cmp r12, #16
    bne 1f
    ldr r12, [sp, #4]
    cmp r12, #0
    blt 80f
1:  b.w \name
80: push {r4-r11, lr}
    ldrd r4, r5, [sp, #36]
    mov r11, r0
    add r9, r0, r4, lsl #4
    mov r0, r3
    vpush {d8-d11}
    dls lr, r4
    cmp r9, r0
81: ldm r11!, {r4, r6, r8, r10}
    .irp at, 0, 1, 2, 3
    vldrh.u16 q\at, [r1, #16 * \at]
    .endr
    .irp sum, r4, r6, r8, r10
    FLOWLET_HALF \load, \bytes, \sum, 5 * \bytes
    .endr
    sub r0, #28 * \bytes
    .irp at, 0, 1, 2, 3
    vldrh.u16 q\at, [r1, #64 + 16 * \at]
    .endr
    .irp sum, r4, r6, r8
    FLOWLET_HALF \load, \bytes, \sum, 5 * \bytes
    .endr
    FLOWLET_HALF \load, \bytes, r10, \bytes
    FLOWLET_END d8, d9, q4, q5, 81b
    vpop {d8-d11}
    pop {r4-r11, pc}
    .size \name\()_wide, . - \name\()_wide
    .popsection
    .endm

    FLOWLET_SUMS flowlet_i8_sums, vldrb.s16, 8, 0
    FLOWLET_SUMS flowlet_i16_sums, vldrh.u16, 16, 1
    FLOWLET_LAYER flowlet_i8_layer, vldrb.s16, 8, 0
    FLOWLET_LAYER flowlet_i16_layer, vldrh.u16, 16, 1
    FLOWLET_WIDE flowlet_i8_layer, vldrb.s16, 8
    FLOWLET_WIDE flowlet_i16_layer, vldrh.u16, 16

    .irp name, ROWS, FUNCTION, SUMS, TWO, HALF, END, LAYER, WIDE
    .purgem FLOWLET_\name
    .endr
