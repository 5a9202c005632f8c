    // See armv7m.rs, which fills in what stands in braces, and assembles this several times, each time in a section of its
    // own: as unit 1 for i8 weights, 2 for i16, 3 for both, and 7 for both
    // with jobs.
    //
    // r0 weights, r1 input, r2 to r5 the sums of four rows, r6 an activation, r7 to r10 weights, r11 output, r12 bias, lr end of
    // the input. Steps of four inputs go two by two; of an odd number of them the first is the second of two.
    .syntax unified
    .pushsection .text.flowlet_integer_layers_{unit},"ax",%progbits

    // On the stack.
    .set flowlet_input, 0
    // End of the output, halved; in the top bit whether the steps are odd in number.
    .set flowlet_end, 4
    // Where a block's sums go.
    .set flowlet_exit, 8
    // Where the next block begins, if there are two orders of weights.
    .set flowlet_head, 12
    .set flowlet_shift, 16
    .set flowlet_multipliers, 20
    // What a product is rounded with: lower half, upper half.
    .set flowlet_half, 24
    .set flowlet_left, 32
    .set flowlet_frame, 36
    // Behind the frame and what is pushed: arguments.
    .set flowlet_to, 72

    .macro flowlet_function name
    .globl \name
    .hidden \name
    .type \name,%function
    .thumb_func
    .p2align 2
\name:
    .endm

    .macro flowlet_products
    mla r2, r7, r6, r2
    mla r3, r8, r6, r3
    mla r4, r9, r6, r4
    mla r5, r10, r6, r5
    .endm
    // An activation against four rows, whose weights lie so far before r0, one `row` behind the other.
    .macro flowlet_one load, at, row, before
    ldrsh r6, [r1, #-\before]
    \load r7, [r0, #-\at]
    \load r8, [r0, #\row - \at]
    \load r9, [r0, #2 * \row - \at]
    \load r10, [r0, #3 * \row - \at]
    flowlet_products
    .endm
    // The first of four, which goes on to the next four and their weights, `step` bytes.
    .macro flowlet_first load, step, row
    ldrsh r6, [r1], #8
    \load r7, [r0], #\step
    \load r8, [r0, #\row - \step]
    \load r9, [r0, #2 * \row - \step]
    \load r10, [r0, #3 * \row - \step]
    flowlet_products
    .endm
    .macro flowlet_step_i8
    flowlet_first ldrsb, 16, 4
    flowlet_one ldrsb, 14, 4, 6
    flowlet_one ldrsb, 15, 4, 4
    flowlet_one ldrsb, 13, 4, 2
    .endm
    .macro flowlet_step_i16
    flowlet_first ldrsh, 32, 4
    flowlet_one ldrsh, 30, 4, 6
    flowlet_one ldrsh, 16, 4, 4
    flowlet_one ldrsh, 14, 4, 2
    .endm

    // A block's sums. The carry tells of odd steps.
    .macro flowlet_sums name
.Lflowlet_\name\()_{unit}:
    ldr r1, [sp, #flowlet_input]
    ldm r12!, {{r2-r5}}
    bcs 2f
1:  flowlet_step_\name
2:  flowlet_step_\name
    cmp r1, lr
    bne 1b
    ldr.w pc, [sp, #flowlet_exit]
    .endm

    // Packs activations, and goes on to the next block: "not equal", and the carry.
    .macro flowlet_pack
    orr r2, r2, r3, lsl #16
    orr r3, r4, r5, lsl #16
    strd r2, r3, [r11], #8
    ldr r6, [sp, #flowlet_end]
    teq r11, r6, lsl #1
    .endm
    // Shift, ReLU and saturation in one.
    .macro flowlet_usual name, ending, shift
.Lflowlet_\ending\()_{unit}:
    usat r2, #15, r2, asr #\shift
    usat r3, #15, r3, asr #\shift
    usat r4, #15, r4, asr #\shift
    usat r5, #15, r5, asr #\shift
    .ifnc \ending, usual_i8
    .if {unit} < 3
.Lflowlet_packed_{unit}:
    .endif
    .endif
    flowlet_pack
    bne.w .Lflowlet_\name\()_{unit}
    b .Lflowlet_leave_{unit}
    .endm

    // The next block, or on to the end.
    .macro flowlet_again
    .if {unit} == 1
    bne.w .Lflowlet_i8_{unit}
    .elseif {unit} == 2
    bne.w .Lflowlet_i16_{unit}
    .else
    beq .Lflowlet_leave_{unit}
    ldr.w pc, [sp, #flowlet_head]
    .endif
    .endm

    // A layer from its words on, if it is hidden with ReLU or the last, and everything fits; gives what is behind it and how
    // many words, or zero, and then nothing is done. r0 words, r1 how many, r2 input, r3 its words; on the stack output and
    // its words. r4 shift, then words of output; r6 groups, r7 rows, r8 words of the layer, r9 exit, lr zero for i16.
    flowlet_function flowlet_layer_{unit}
    push {{r4-r11, lr}}
    sub sp, #flowlet_frame
    subs r1, #2
    blo .Lflowlet_no_{unit}
    ldm r0!, {{r4, r5}}
    uxth r6, r4
    adds r6, #3
    lsrs r6, r6, #2
    beq .Lflowlet_no_{unit}
    lsrs r7, r4, #16
    adds r7, #3
    bics r7, r7, #3
    beq .Lflowlet_no_{unit}
    mul r8, r6, r7
    ubfx r4, r5, #16, #8
    ubfx r10, r5, #8, #8
    uxtb r5, r5
    .if {unit} == 1
    cmp r5, #3            // `Encoding::I8Rows4`
    bne .Lflowlet_no_{unit}
    .else
    subs r5, #2           // `Encoding::I16Rows4`
    .if {unit} == 2
    bne .Lflowlet_no_{unit}
    lsls r8, r8, #1
    .else
    cmp r5, #1
    bhi .Lflowlet_no_{unit}
    it lo
    lsllo r8, r8, #1
    .endif
    .endif
    .if {unit} > 2
    mov lr, r5
    .endif
    cmp r10, #1           // `RELU`
    bhi .Lflowlet_no_{unit}
    bne .Lflowlet_scale_{unit}
    adr.w r9, .Lflowlet_relu_{unit} + 1
    str r4, [sp, #flowlet_shift]
    .if {unit} > 2
    cbz r5, .Lflowlet_relu_i16_{unit}
    .endif
    .if {unit} & 1
    cmp r4, #{inner_i8}
    it eq
    adreq.w r9, .Lflowlet_inner_i8_{unit} + 1
    cmp r4, #{usual_i8}
    it eq
    adreq.w r9, .Lflowlet_usual_i8_{unit} + 1
    .endif
    .if {unit} > 2
    b .Lflowlet_fit_{unit}
.Lflowlet_relu_i16_{unit}:
    .endif
    .if {unit} & 2
    cmp r4, #{usual_i16}
    it eq
    adreq.w r9, .Lflowlet_usual_i16_{unit} + 1
    .endif
.Lflowlet_fit_{unit}:
    lsrs r4, r7, #1
    mov r10, r0
.Lflowlet_fit_words_{unit}:
    // The weights are behind biases, and multipliers if there are.
    add r8, r7
    subs r1, r1, r8
    blo .Lflowlet_no_{unit}
    cmp r3, r6, lsl #1
    blo .Lflowlet_no_{unit}
    ldrd r11, r3, [sp, #flowlet_to]
    cmp r3, r4
    blo .Lflowlet_no_{unit}
    str r1, [sp, #flowlet_left]
    mov r12, r0
    add r0, r10, r7, lsl #2
    add r4, r11, r4, lsl #2
    lsrs r4, r4, #1
    orr r4, r4, r6, lsl #31
    .if {unit} > 2
    adr.w r10, .Lflowlet_i8_{unit} + 1
    cmp lr, #0
    it eq
    adreq.w r10, .Lflowlet_i16_{unit} + 1
    stm sp, {{r2, r4, r9, r10}}
    add lr, r2, r6, lsl #3
    lsrs r6, r6, #1
    ldr.w pc, [sp, #flowlet_head]
    .else
    stm sp, {{r2, r4, r9}}
    add lr, r2, r6, lsl #3
    lsrs r6, r6, #1
    .if {unit} == 1
    b.w .Lflowlet_i8_{unit}
    .else
    b.w .Lflowlet_i16_{unit}
    .endif
    .endif

    // What the last layer is told besides.
.Lflowlet_scale_{unit}:
    add r8, r7
    add r10, r0, r7, lsl #2
    str r10, [sp, #flowlet_multipliers]
    adr.w r9, .Lflowlet_wide_{unit} + 1
    cmp r4, #32
    blo .Lflowlet_scale_fit_{unit}
    adr.w r9, .Lflowlet_scaled_{unit} + 1
    subs r4, #32
    mov r12, #0
    movs r5, #1
    lsls r5, r4
    lsrs r5, r5, #1
    rrx r12, r12
    strd r12, r5, [sp, #flowlet_half]
.Lflowlet_scale_fit_{unit}:
    str r4, [sp, #flowlet_shift]
    mov r4, r7
    b .Lflowlet_fit_words_{unit}
.Lflowlet_no_{unit}:
    movs r0, #0
.Lflowlet_leave_{unit}:
    ldr r1, [sp, #flowlet_left]
    add sp, #flowlet_frame
    pop {{r4-r11, pc}}
    .size flowlet_layer_{unit}, . - flowlet_layer_{unit}

    .if {unit} > 3
    // A job, which r0 points to.
    .macro flowlet_job name
    flowlet_function flowlet_\name\()_rows4_{unit}
    push {{r4-r11, lr}}
    sub sp, #flowlet_frame
    adr.w r9, .Lflowlet_\name\()_{unit} + 1
    b .Lflowlet_job_{unit}
    .size flowlet_\name\()_rows4_{unit}, . - flowlet_\name\()_rows4_{unit}
    .endm
    flowlet_job i16
    flowlet_job i8
.Lflowlet_job_{unit}:
    ldm r0, {{r0-r6}}
    adr.w r10, .Lflowlet_relu_{unit} + 1
    cmp r3, #0
    it lt
    adrlt.w r10, .Lflowlet_store_{unit} + 1
    str r3, [sp, #flowlet_shift]
    mov r12, r2
    mov r11, r4
    mov lr, r5
    subs r5, r5, r1
    lsrs r7, r6, #1
    orr r7, r7, r5, lsl #28
    strd r1, r7, [sp, #flowlet_input]
    strd r10, r9, [sp, #flowlet_exit]
    lsrs r5, r5, #4
    ldr.w pc, [sp, #flowlet_head]
    .endif

    .if {unit} & 1
    flowlet_sums i8
    flowlet_usual i8, usual_i8, {usual_i8}
    flowlet_usual i8, inner_i8, {inner_i8}
    .endif
    .if {unit} & 2
    flowlet_sums i16
    flowlet_usual i16, usual_i16, {usual_i16}
    .endif

.Lflowlet_relu_{unit}:
    ldr r6, [sp, #flowlet_shift]
    asrs r2, r6
    asrs r3, r6
    asrs r4, r6
    asrs r5, r6
    usat r2, #15, r2
    usat r3, #15, r3
    usat r4, #15, r4
    usat r5, #15, r5
    .if {unit} > 2
    flowlet_pack
    flowlet_again
    .else
    b .Lflowlet_packed_{unit}
    .endif

    // Products with multipliers, shifted by less than 32: 64 bits of each, rounded by the last bit that goes, and saturated.
.Lflowlet_wide_{unit}:
    stm r11!, {{r2-r5}}
    ldr r1, [sp, #flowlet_multipliers]
    ldr r7, [sp, #flowlet_shift]
    rsb r9, r7, #32
    sub r10, r11, #16
1:  ldr r2, [r10]
    ldr r3, [r1], #4
    smull r2, r3, r2, r3
    lsrs r2, r7
    lsl r6, r3, r9
    orr r2, r2, r6
    asr r3, r3, r7
    adcs r2, r2, #0
    adc r3, r3, #0
    cmp r3, r2, asr #31
    itt ne
    mvnne r2, #1 << 31
    eorne r2, r2, r3, asr #31
    str r2, [r10], #4
    cmp r10, r11
    bne 1b
    str r1, [sp, #flowlet_multipliers]
    b .Lflowlet_next_{unit}

    // Shifted by 32 or more: the upper half of the product, rounded; by the lower half only where nothing else goes.
.Lflowlet_scaled_{unit}:
    ldr r1, [sp, #flowlet_multipliers]
    ldm r1!, {{r7-r10}}
    str r1, [sp, #flowlet_multipliers]
    smull r1, r2, r2, r7
    ldrd r6, r7, [sp, #flowlet_half]
    cmn r1, r6
    adcs r2, r7
    smull r1, r3, r3, r8
    cmn r1, r6
    adcs r3, r7
    smull r1, r4, r4, r9
    cmn r1, r6
    adcs r4, r7
    smull r1, r5, r5, r10
    cmn r1, r6
    adcs r5, r7
    ldr r6, [sp, #flowlet_shift]
    asrs r2, r6
    asrs r3, r6
    asrs r4, r6
    asrs r5, r6
.Lflowlet_store_{unit}:
    stm r11!, {{r2-r5}}
.Lflowlet_next_{unit}:
    ldr r6, [sp, #flowlet_end]
    teq r11, r6, lsl #1
    flowlet_again
    .if {unit} < 3
    b .Lflowlet_leave_{unit}
    .endif

    .purgem flowlet_function
    .purgem flowlet_products
    .purgem flowlet_one
    .purgem flowlet_first
    .purgem flowlet_step_i8
    .purgem flowlet_step_i16
    .purgem flowlet_sums
    .purgem flowlet_pack
    .purgem flowlet_usual
    .purgem flowlet_again
    .if {unit} > 3
    .purgem flowlet_job
    .endif
    .popsection
