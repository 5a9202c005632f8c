    // See armv6m.rs. r0 weights, r1 input, r8 to r11 the sums of what a word and its shifts by 8, 16 and 24 bits
    // are multiplied with, r12 end of the input, lr end of the output;
    // on the stack: 0 input, 4 bias, 8 shift, 12 output, 16 to 28 what the sums start from: the zero-points' part
    // of them, so that rows apart are rows without zero-points.
    .syntax unified

    // One input (x) against the four rows of a word (w): t is the copy that each product destroys.
    .macro FLOWLET_ONE w, x
    lsrs r6, \w, #8
    muls r6, \x, r6
    add r9, r6
    lsrs r6, \w, #16
    muls r6, \x, r6
    add r10, r6
    lsrs r6, \w, #24
    muls r6, \x, r6
    add r11, r6
    muls \w, \x, \w
    add r8, \w
    .endm
    // Four inputs.
    .macro FLOWLET_STEP
    ldm r0!, {r2, r3}
    ldm r1!, {r4, r7}
    sxth r5, r4
    FLOWLET_ONE r2, r5
    asrs r4, r4, #16
    FLOWLET_ONE r3, r4
    ldm r0!, {r2, r3}
    sxth r5, r7
    FLOWLET_ONE r2, r5
    asrs r4, r7, #16
    FLOWLET_ONE r3, r4
    .endm
    // All blocks of four rows, `steps` times four inputs in a turn of the inner loop.
    .macro FLOWLET_BLOCKS steps
2:  add r6, sp, #16
    ldm r6!, {r2-r5}
    mov r8, r2
    mov r9, r3
    mov r10, r4
    mov r11, r5
    ldr r1, [sp, #0]
3:
    .rept \steps
    FLOWLET_STEP
    .endr
    cmp r1, r12
    bne 3b
    // Rows apart: each sum holds 2^8 times the next one.
    mov r5, r11
    mov r4, r10
    mov r3, r9
    mov r2, r8
    lsls r6, r3, #8
    subs r2, r2, r6
    lsls r6, r4, #8
    subs r3, r3, r6
    lsls r6, r5, #8
    subs r4, r4, r6
    ldr r6, [sp, #4]
    ldm r6!, {r1, r7}
    adds r2, r2, r1
    adds r3, r3, r7
    ldm r6!, {r1, r7}
    adds r4, r4, r1
    adds r5, r5, r7
    str r6, [sp, #4]
    ldr r6, [sp, #12]
    ldr r7, [sp, #8]
    cmp r7, #0
    blt 6f
    asrs r2, r7
    asrs r3, r7
    asrs r4, r7
    asrs r5, r7
    // ReLU, and a look for any that saturates.
    asrs r1, r2, #31
    bics r2, r1
    asrs r1, r3, #31
    bics r3, r1
    asrs r1, r4, #31
    bics r4, r1
    asrs r1, r5, #31
    bics r5, r1
    mov r1, r2
    orrs r1, r3
    orrs r1, r4
    orrs r1, r5
    lsrs r1, r1, #15
    bne 7f
4:  lsls r3, r3, #16
    orrs r2, r3
    lsls r5, r5, #16
    orrs r4, r5
    stm r6!, {r2, r4}
5:  str r6, [sp, #12]
    cmp r6, lr
    beq 9f
    b 2b
6:  stm r6!, {r2-r5}
    b 5b
7:  movs r1, #1           // 32767
    lsls r1, r1, #15
    subs r1, #1
    cmp r2, r1
    ble 8f
    mov r2, r1
8:  cmp r3, r1
    ble 8f
    mov r3, r1
8:  cmp r4, r1
    ble 8f
    mov r4, r1
8:  cmp r5, r1
    ble 4b
    mov r5, r1
    b 4b
9:
    .endm

    .pushsection .text.flowlet_i8_packed4,"ax",%progbits
    .global flowlet_i8_packed4
    .type flowlet_i8_packed4,%function
    .thumb_func
    .p2align 2
flowlet_i8_packed4:
    push {r4-r7, lr}
    mov r4, r8
    mov r5, r9
    mov r6, r10
    mov r7, r11
    push {r4-r7}
    sub sp, #16
    ldm r0!, {r1-r7}
    push {r2-r5}
    mov r12, r6
    mov lr, r7
    mov r0, r1
    mov r1, r2
    // The sum of the inputs, times -128.
    movs r2, #0
1:  ldm r1!, {r3, r4}
    sxth r5, r3
    asrs r3, r3, #16
    sxth r6, r4
    asrs r4, r4, #16
    adds r2, r2, r5
    adds r2, r2, r3
    adds r2, r2, r6
    adds r2, r2, r4
    cmp r1, r12
    bne 1b
    lsls r2, r2, #7
    rsbs r5, r2, #0
    lsls r4, r5, #8
    adds r4, r4, r5
    lsls r3, r4, #8
    adds r3, r3, r5
    lsls r2, r3, #8
    adds r2, r2, r5
    add r6, sp, #16
    stm r6!, {r2-r5}
    ldr r6, [sp, #0]
    // A multiple of eight inputs?
    subs r6, r1, r6
    lsls r6, r6, #28
    beq 1f
    b 20f
1:  FLOWLET_BLOCKS 2
    b 9f
20: FLOWLET_BLOCKS 1
    add sp, #32
    pop {r4-r7}
    mov r8, r4
    mov r9, r5
    mov r10, r6
    mov r11, r7
    pop {r4-r7, pc}
    .size flowlet_i8_packed4, . - flowlet_i8_packed4
    .popsection
