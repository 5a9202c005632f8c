    // See armv6m.rs, which fills in what stands in braces, and assembles this twice, each time in a section of its own: as
    // unit 1 for packed i8 weights, as unit 2 for i16.
    //
    // r0 weights, r1 input, lr the end of the output. In unit 1, r8 to r11 are the sums of what a word and its shifts by 8, 16
    // and 24 bits are multiplied with, and r12 the last four inputs; in unit 2, the sums of four rows, and the end of the inputs.
    .syntax unified

    // On the stack.
    .set flowlet_input, 0
    .set flowlet_bias, 4
    // Shift of a hidden layer; with the top bit, that of a product's upper half; or -1 for sums.
    .set flowlet_shift, 8
    .set flowlet_output, 12
    // The zero-points' part of each row's sum.
    .set flowlet_zero, 16
    // Those of the next block; zero for sums.
    .set flowlet_multipliers, 20
    // Half a unit behind the shift, of the upper half or, without a shift, of the lower. Or a shift below 32, less one.
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

    .if {unit} == 1
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
    ldm r0!, {{r2, r3}}
    ldm r1!, {{r4, r7}}
    sxth r5, r4
    FLOWLET_ONE \first, r2, r5
    asrs r4, r4, #16
    FLOWLET_ONE add, r3, r4
    ldm r0!, {{r2, r3}}
    sxth r5, r7
    FLOWLET_ONE add, r2, r5
    asrs r4, r7, #16
    .endm
    .else
    // Two inputs, in a word (x), against four rows.
    .macro FLOWLET_TWO x
    sxth r3, \x
    asrs \x, \x, #16
    ldm r0!, {{r4, r6}}
    FLOWLET_ROW r8, r4, \x
    FLOWLET_ROW r9, r6, \x
    ldm r0!, {{r4, r6}}
    FLOWLET_ROW r10, r4, \x
    FLOWLET_ROW r11, r6, \x
    .endm
    .macro FLOWLET_ROW sum, w, x
    sxth r5, \w
    muls r5, r3, r5
    add \sum, r5
    asrs \w, \w, #16
    muls \w, \x, \w
    add \sum, \w
    .endm
    .endif
    // Behind a push of r4 to r7 and lr.
    .macro FLOWLET_ENTER
    mov r6, r8
    mov r7, r9
    push {{r6, r7}}
    mov r6, r10
    mov r7, r11
    push {{r6, r7}}
    sub sp, #flowlet_frame
    .endm
    .macro FLOWLET_LEAVE
    add sp, #flowlet_frame
    pop {{r4-r7}}
    mov r10, r4
    mov r11, r5
    mov r8, r6
    mov r9, r7
    pop {{r4-r7, pc}}
    .endm
    // Words of a block, in fours, with those of its biases and multipliers.
    .macro FLOWLET_WORDS others
    .if {unit} == 1
    adds r5, r6, #\others
    .else
    lsls r5, r6, #1
    adds r5, #\others
    .endif
    .endm

    .pushsection .text.flowlet_layer_{unit},"ax",%progbits

.Lflowlet_short_{unit}:
    movs r0, #0
    pop {{r4-r7, pc}}

    // What the last layer is told besides.
.Lflowlet_last_{unit}:
    lsls r5, r5, #10
    lsrs r5, r5, #26
    subs r5, #32
    blo .Lflowlet_last_wide_{unit}
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
.Lflowlet_last_shift_{unit}:
    str r5, [sp, #flowlet_shift]
    lsls r4, r7, #4
    adds r4, r4, r0
    str r4, [sp, #flowlet_multipliers]
    FLOWLET_WORDS 2
    lsls r4, r7, #2
    b .Lflowlet_fit_{unit}
    // Sums first.
.Lflowlet_last_wide_{unit}:
    adds r5, #31
    str r5, [sp, #flowlet_half]
    movs r5, #0
    mvns r5, r5
    b .Lflowlet_last_shift_{unit}
.Lflowlet_no_{unit}:
    movs r0, #0
    b .Lflowlet_done_{unit}

    // A layer from its words on, if it is one with ReLU or the last one, and everything fits; gives what is behind it and how
    // many words, or zero, and then nothing is done. r0 words, r1 how many, r2 input, r3 its words; on the stack output and its
    // words. r6 groups of four inputs, r7 blocks of four rows, r4 words of output.
    FLOWLET_FUNCTION flowlet_layer_{unit}
    push {{r4-r7, lr}}
    subs r1, #2
    blo .Lflowlet_short_{unit}
    ldm r0!, {{r4, r5}}
    uxtb r6, r5
    .if {unit} == 1
    cmp r6, #5            // `Encoding::I8Packed4`
    .else
    cmp r6, #2            // `Encoding::I16Rows4`
    .endif
    bne .Lflowlet_short_{unit}
    FLOWLET_ENTER
    uxth r6, r4
    adds r6, #3
    lsrs r6, r6, #2
    beq .Lflowlet_no_{unit}
    lsrs r7, r4, #16
    adds r7, #3
    lsrs r7, r7, #2
    beq .Lflowlet_no_{unit}
    uxth r4, r5
    lsrs r4, r4, #8
    beq .Lflowlet_last_{unit}
    cmp r4, #1
    bne .Lflowlet_no_{unit}
    lsls r5, r5, #11
    lsrs r5, r5, #27
    str r5, [sp, #flowlet_shift]
    FLOWLET_WORDS 1
    lsls r4, r7, #1
.Lflowlet_fit_{unit}:
    muls r5, r7, r5
    lsls r5, r5, #2
    subs r1, r1, r5
    blo .Lflowlet_no_{unit}
    lsls r5, r6, #1
    cmp r3, r5
    blo .Lflowlet_no_{unit}
    ldr r5, [sp, #flowlet_to_length]
    cmp r5, r4
    blo .Lflowlet_no_{unit}
    str r1, [sp, #flowlet_left]
    ldr r5, [sp, #flowlet_to]
    str r5, [sp, #flowlet_output]
    str r0, [sp, #flowlet_bias]
    str r2, [sp, #flowlet_input]
    // Biases, and multipliers as many, take what the output takes, twice.
    lsls r4, r4, #2
    adds r5, r5, r4
    lsls r4, r4, #1
    adds r0, r0, r4
    lsls r6, r6, #3
    adds r6, r6, r2
    // All rows, with what stands on the stack. r0 weights, r2 input, r5 and r6 the ends of output and input.
    FLOWLET_FUNCTION flowlet_rows_{unit}
    mov lr, r5
    .if {unit} == 1
    movs r5, #0
1:  ldm r2!, {{r3, r4}}
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
    b .Lflowlet_block_{unit}

    // Fewer groups of four inputs than two, or more.
.Lflowlet_more_{unit}:
    bhi .Lflowlet_one_{unit}
1:  FLOWLET_THREE add
    FLOWLET_ONE add, r3, r4
    cmp r1, r12
    bne 1b
    b .Lflowlet_end_{unit}
.Lflowlet_one_{unit}:
    mov r3, r8
    mov r6, r9
    mov r7, r10
    mov r5, r11
    b .Lflowlet_apart_{unit}

.Lflowlet_block_{unit}:
    ldr r1, [sp, #flowlet_input]
    FLOWLET_THREE mov
    FLOWLET_ONE add, r3, r4
    cmp r1, r12
    bne .Lflowlet_more_{unit}
.Lflowlet_end_{unit}:
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
.Lflowlet_apart_{unit}:
    // Rows apart: each sum holds 2^8 times the next one.
    lsls r4, r6, #8
    subs r2, r3, r4
    lsls r4, r7, #8
    subs r3, r6, r4
    lsls r4, r5, #8
    subs r4, r7, r4
    ldr r6, [sp, #flowlet_bias]
    ldm r6!, {{r1, r7}}
    adds r2, r2, r1
    adds r3, r3, r7
    ldm r6!, {{r1, r7}}
    adds r4, r4, r1
    adds r5, r5, r7
    str r6, [sp, #flowlet_bias]
    ldr r7, [sp, #flowlet_zero]
    adds r2, r2, r7
    adds r3, r3, r7
    adds r4, r4, r7
    adds r5, r5, r7
    .else
    mov r12, r6
.Lflowlet_block_{unit}:
    ldr r1, [sp, #flowlet_bias]
    ldm r1!, {{r2-r5}}
    str r1, [sp, #flowlet_bias]
    ldr r1, [sp, #flowlet_input]
    mov r8, r2
    mov r9, r3
    mov r10, r4
    mov r11, r5
1:  ldm r1!, {{r2, r7}}
    FLOWLET_TWO r2
    FLOWLET_TWO r7
    cmp r1, r12
    bne 1b
    mov r2, r8
    mov r3, r9
    mov r4, r10
    mov r5, r11
    .endif
    ldr r6, [sp, #flowlet_output]
    ldr r7, [sp, #flowlet_shift]
    cmp r7, #0
    blt .Lflowlet_other_{unit}
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
    bne .Lflowlet_saturate_{unit}
.Lflowlet_pack_{unit}:
    lsls r3, r3, #16
    orrs r2, r3
    lsls r5, r5, #16
    orrs r4, r5
    stm r6!, {{r2, r4}}
.Lflowlet_next_{unit}:
    str r6, [sp, #flowlet_output]
    cmp r6, lr
    beq .Lflowlet_leave_{unit}
    b .Lflowlet_block_{unit}
.Lflowlet_leave_{unit}:
    ldr r1, [sp, #flowlet_left]
.Lflowlet_done_{unit}:
    FLOWLET_LEAVE

.Lflowlet_saturate_{unit}:
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
    ble .Lflowlet_pack_{unit}
    mov r5, r1
    b .Lflowlet_pack_{unit}

    // Sums as they are, or times their multipliers: each is written first, and then in turn.
.Lflowlet_other_{unit}:
    stm r6!, {{r2-r5}}
    ldr r3, [sp, #flowlet_multipliers]
    cmp r3, #0
    beq .Lflowlet_next_{unit}
    mov r8, r0
    mov r11, r6
    subs r6, #16
    adds r5, r7, #1
    beq .Lflowlet_wide_{unit}
    ldr r0, [sp, #flowlet_half]
    mov r9, r0
    ldr r0, [sp, #flowlet_lower_half]
    mov r10, r0
    // r2 the sum, r1 its multiplier, r7 the shift.
1:  ldr r2, [r6]
    ldm r3!, {{r1}}
    uxth r0, r2
    asrs r2, r2, #16
    uxth r4, r1
    asrs r1, r1, #16
    mov r5, r0
    muls r5, r4, r5
    lsrs r5, r5, #16
    muls r4, r2, r4
    adds r4, r4, r5
    muls r2, r1, r2
    muls r1, r0, r1
    uxth r5, r4
    adds r1, r1, r5
    add r1, r10
    asrs r1, r1, #16
    asrs r4, r4, #16
    adds r2, r2, r4
    adds r2, r2, r1
    add r2, r9
    asrs r2, r7
    stm r6!, {{r2}}
    cmp r6, r11
    bne 1b
.Lflowlet_scaled_{unit}:
    str r3, [sp, #flowlet_multipliers]
    mov r0, r8
    b .Lflowlet_next_{unit}

.Lflowlet_wide_{unit}:
    // Products of 64 bits, to be saturated. r6 the row, r7 its multiplier.
    mov r9, r12
    mov r10, lr
    mov r7, r3
1:  ldm r7!, {{r2}}
    asrs r3, r2, #31
    ldr r0, [r6]
    asrs r1, r0, #31
    bl __aeabi_lmul
    ldr r2, [sp, #flowlet_half]
    movs r3, #32
    subs r3, r3, r2
    mov r4, r1
    lsls r4, r3
    lsrs r0, r2
    orrs r0, r4
    asrs r1, r2
    adds r0, #1
    movs r3, #0
    adcs r1, r3
    lsrs r0, r0, #1
    lsls r3, r1, #31
    orrs r0, r3
    asrs r1, r1, #1
    asrs r3, r0, #31
    cmp r3, r1
    beq 2f
    asrs r1, r1, #31
    movs r0, #1
    lsls r0, r0, #31
    mvns r0, r0
    eors r0, r1
2:  stm r6!, {{r0}}
    cmp r6, r11
    bne 1b
    mov r3, r7
    mov r12, r9
    mov lr, r10
    b .Lflowlet_scaled_{unit}
    .popsection

    .pushsection .text.flowlet_job_{unit},"ax",%progbits
    // A job, which r0 points to; gives nothing. Apart, as firmware that scores alone has none.
    FLOWLET_FUNCTION flowlet_job_{unit}
    push {{r4-r7, lr}}
    FLOWLET_ENTER
    ldm r0!, {{r1-r7}}
    str r2, [sp, #flowlet_input]
    str r3, [sp, #flowlet_bias]
    str r4, [sp, #flowlet_shift]
    str r5, [sp, #flowlet_output]
    movs r5, #0
    str r5, [sp, #flowlet_multipliers]
    mov r5, r7
    mov r0, r1
    // It leaves by itself; only a call reaches another section.
    bl flowlet_rows_{unit}
    .popsection

    .purgem FLOWLET_FUNCTION
    .if {unit} == 1
    .purgem FLOWLET_ONE
    .purgem FLOWLET_THREE
    .else
    .purgem FLOWLET_TWO
    .purgem FLOWLET_ROW
    .endif
    .purgem FLOWLET_ENTER
    .purgem FLOWLET_LEAVE
    .purgem FLOWLET_WORDS
