    // See armv6m.rs. r0 weights, r1 input, r8 to r11 the sums of what a word and its shifts by 8, 16 and 24 bits
    // are multiplied with, r12 the last four inputs, lr the end of the output.
    .syntax unified

    // On the stack.
    .set flowlet_input, 0
    .set flowlet_bias, 4
    // Shift of a hidden layer; with the top bit, that of a product's upper half; or -1 for sums.
    .set flowlet_shift, 8
    .set flowlet_output, 12
    // The zero-points' part of each row's sum.
    .set flowlet_zero, 16
    .set flowlet_multipliers, 20
    // Half a unit behind the shift, of the upper half or, without a shift, of the lower.
    .set flowlet_half, 24
    .set flowlet_lower_half, 28
    .set flowlet_frame, 32
    // Behind the frame and what is pushed: arguments; the last one gives way to how many words are left.
    .set flowlet_to, 68
    .set flowlet_to_length, 72
    .set flowlet_left, 72

    .macro FLOWLET_FUNCTION name
    .global \name
    .hidden \name
    .type \name,%function
    .thumb_func
    .p2align 2
\name:
    .endm

    // One input (x) against the four rows of a word (w), added to the sums, or what these begin with (`mov`): r6 is the
    // copy that each product destroys.
    .macro FLOWLET_ONE to_sum, w, x
    lsrs r6, \w, #8
    muls r6, \x, r6
    \to_sum r9, r6
    lsrs r6, \w, #16
    muls r6, \x, r6
    \to_sum r10, r6
    lsrs r6, \w, #24
    muls r6, \x, r6
    \to_sum r11, r6
    muls \w, \x, \w
    \to_sum r8, \w
    .endm
    // The first three of four inputs; the last one is r4, with the word r3.
    .macro FLOWLET_THREE first
    ldm r0!, {r2, r3}
    ldm r1!, {r4, r7}
    sxth r5, r4
    FLOWLET_ONE \first, r2, r5
    asrs r4, r4, #16
    FLOWLET_ONE add, r3, r4
    ldm r0!, {r2, r3}
    sxth r5, r7
    FLOWLET_ONE add, r2, r5
    asrs r4, r7, #16
    .endm
    .macro FLOWLET_LEAVE
    add sp, #flowlet_frame
    pop {r4-r7}
    mov r10, r4
    mov r11, r5
    mov r8, r6
    mov r9, r7
    pop {r4-r7, pc}
    .endm
    // A row times its multiplier, which stands so far behind r11; r9 and r10 are the halves to round with.
    .macro FLOWLET_SCALE row, at
    mov r7, r11
    ldr r1, [r7, #\at]
    uxth r0, \row
    asrs \row, \row, #16
    uxth r6, r1
    asrs r1, r1, #16
    mov r7, r0
    muls r7, r6, r7
    lsrs r7, r7, #16
    muls r6, \row, r6
    adds r6, r6, r7
    muls \row, r1, \row
    muls r1, r0, r1
    uxth r7, r6
    adds r1, r1, r7
    add r1, r10
    asrs r1, r1, #16
    asrs r6, r6, #16
    adds \row, \row, r6
    adds \row, \row, r1
    add \row, r9
    ldr r7, [sp, #flowlet_shift]
    asrs \row, r7
    .endm

    .pushsection .text.flowlet_i8_packed4,"ax",%progbits

.Lflowlet_short:
    cmp r2, #0
    beq .Lflowlet_enter
    movs r0, #0
    pop {r4-r7, pc}
.Lflowlet_job:
    ldm r0!, {r1-r7}
    mov lr, r7
    str r2, [sp, #flowlet_input]
    str r3, [sp, #flowlet_bias]
    str r4, [sp, #flowlet_shift]
    str r5, [sp, #flowlet_output]
    mov r0, r1
    b .Lflowlet_sum

    // What the last layer is told besides.
.Lflowlet_last:
    lsls r5, r5, #10
    lsrs r5, r5, #26
    subs r5, #32
    blo .Lflowlet_no
    movs r4, #1
    lsls r4, r5
    lsrs r4, r4, #1
    str r4, [sp, #flowlet_half]
    movs r4, #1
    lsls r4, r4, #15
    lsrs r4, r5
    lsrs r4, r4, #15
    lsls r4, r4, #15
    str r4, [sp, #flowlet_lower_half]
    movs r4, #1
    lsls r4, r4, #31
    adds r5, r5, r4
    str r5, [sp, #flowlet_shift]
    lsls r4, r7, #4
    adds r4, r4, r0
    str r4, [sp, #flowlet_multipliers]
    adds r5, r6, #2
    lsls r4, r7, #2
    b .Lflowlet_fit
.Lflowlet_no:
    movs r0, #0
    FLOWLET_LEAVE

    // A job, which r0 points to: told by an input at zero, where none is.
    //
    // A layer from its words on, if it is one with ReLU or the last one, with a shift of 32 to 63, and everything fits; gives
    // what is behind it and how many words, or zero, and then nothing is done. r0 words, r1 how many, r2 input, r3 its words; on
    // the stack output and its words. r6 groups of four inputs, r7 blocks of four rows, r4 words of output.
    FLOWLET_FUNCTION flowlet_i8_packed4
    movs r1, #0
    movs r2, #0
    FLOWLET_FUNCTION flowlet_layer
    push {r4-r7, lr}
    subs r1, #2
    blo .Lflowlet_short
    ldm r0!, {r4, r5}
    uxtb r6, r5
    cmp r6, #5            // `Encoding::I8Packed4`
    bne .Lflowlet_short
.Lflowlet_enter:
    mov r6, r8
    mov r7, r9
    push {r6, r7}
    mov r6, r10
    mov r7, r11
    push {r6, r7}
    sub sp, #flowlet_frame
    cmp r2, #0
    beq .Lflowlet_job
    uxth r6, r4
    adds r6, #3
    lsrs r6, r6, #2
    beq .Lflowlet_no
    lsrs r7, r4, #16
    adds r7, #3
    lsrs r7, r7, #2
    beq .Lflowlet_no
    uxth r4, r5
    subs r4, #5
    beq .Lflowlet_last
    subs r4, #255
    subs r4, #1
    bne .Lflowlet_no
    lsls r5, r5, #11
    lsrs r5, r5, #27
    str r5, [sp, #flowlet_shift]
    adds r5, r6, #1
    lsls r4, r7, #1
.Lflowlet_fit:
    muls r5, r7, r5
    lsls r5, r5, #2
    subs r1, r1, r5
    blo .Lflowlet_no
    lsls r5, r6, #1
    cmp r3, r5
    blo .Lflowlet_no
    ldr r5, [sp, #flowlet_to_length]
    cmp r5, r4
    blo .Lflowlet_no
    str r1, [sp, #flowlet_left]
    ldr r5, [sp, #flowlet_to]
    str r5, [sp, #flowlet_output]
    str r0, [sp, #flowlet_bias]
    str r2, [sp, #flowlet_input]
    // Biases, and multipliers as many, take what the output takes, twice.
    lsls r4, r4, #2
    adds r5, r5, r4
    mov lr, r5
    lsls r4, r4, #1
    adds r0, r0, r4
    lsls r6, r6, #3
    adds r6, r6, r2
.Lflowlet_sum:
    movs r5, #0
1:  ldm r2!, {r3, r4}
    sxth r7, r3
    adds r5, r5, r7
    asrs r3, r3, #16
    adds r5, r5, r3
    sxth r7, r4
    adds r5, r5, r7
    asrs r4, r4, #16
    adds r5, r5, r4
    cmp r2, r6
    bne 1b
    lsls r5, r5, #7
    rsbs r5, r5, #0
    str r5, [sp, #flowlet_zero]
    subs r6, #8
    mov r12, r6
    b .Lflowlet_block

    // Fewer groups of four inputs than two, or more.
.Lflowlet_more:
    bhi .Lflowlet_one
1:  FLOWLET_THREE add
    FLOWLET_ONE add, r3, r4
    cmp r1, r12
    bne 1b
    b .Lflowlet_end
.Lflowlet_one:
    mov r3, r8
    mov r6, r9
    mov r7, r10
    mov r5, r11
    b .Lflowlet_apart

.Lflowlet_block:
    ldr r1, [sp, #flowlet_input]
    FLOWLET_THREE mov
    FLOWLET_ONE add, r3, r4
    cmp r1, r12
    bne .Lflowlet_more
.Lflowlet_end:
    FLOWLET_THREE add
    // The last input leaves the sums in r3, r6, r7 and r5.
    lsrs r5, r3, #24
    muls r5, r4, r5
    add r5, r11
    lsrs r7, r3, #16
    muls r7, r4, r7
    add r7, r10
    lsrs r6, r3, #8
    muls r6, r4, r6
    add r6, r9
    muls r3, r4, r3
    add r3, r8
.Lflowlet_apart:
    // Rows apart: each sum holds 2^8 times the next one.
    lsls r4, r6, #8
    subs r2, r3, r4
    lsls r4, r7, #8
    subs r3, r6, r4
    lsls r4, r5, #8
    subs r4, r7, r4
    ldr r6, [sp, #flowlet_bias]
    ldm r6!, {r1, r7}
    adds r2, r2, r1
    adds r3, r3, r7
    ldm r6!, {r1, r7}
    adds r4, r4, r1
    adds r5, r5, r7
    str r6, [sp, #flowlet_bias]
    ldr r7, [sp, #flowlet_zero]
    adds r2, r2, r7
    adds r3, r3, r7
    adds r4, r4, r7
    adds r5, r5, r7
    ldr r6, [sp, #flowlet_output]
    ldr r7, [sp, #flowlet_shift]
    cmp r7, #0
    blt .Lflowlet_other
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
    bne .Lflowlet_saturate
.Lflowlet_pack:
    lsls r3, r3, #16
    orrs r2, r3
    lsls r5, r5, #16
    orrs r4, r5
    stm r6!, {r2, r4}
.Lflowlet_next:
    str r6, [sp, #flowlet_output]
    cmp r6, lr
    beq .Lflowlet_leave
    b .Lflowlet_block
.Lflowlet_leave:
    ldr r1, [sp, #flowlet_left]
    FLOWLET_LEAVE

.Lflowlet_saturate:
    movs r1, #1           // 32767
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
    ble .Lflowlet_pack
    mov r5, r1
    b .Lflowlet_pack

.Lflowlet_other:
    adds r7, #1
    beq .Lflowlet_store
    mov r8, r0
    ldr r0, [sp, #flowlet_multipliers]
    ldr r1, [sp, #flowlet_half]
    ldr r7, [sp, #flowlet_lower_half]
    mov r9, r1
    mov r10, r7
    mov r11, r0
    adds r0, #16
    str r0, [sp, #flowlet_multipliers]
    FLOWLET_SCALE r2, 0
    FLOWLET_SCALE r3, 4
    FLOWLET_SCALE r4, 8
    FLOWLET_SCALE r5, 12
    mov r0, r8
    ldr r6, [sp, #flowlet_output]
.Lflowlet_store:
    stm r6!, {r2-r5}
    b .Lflowlet_next
    .popsection
