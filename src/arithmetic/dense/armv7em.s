    // See armv7em.rs, which fills in what stands in braces, and assembles this several times, each time in a section of its
    // own: as unit 1 for i8 weights, 2 for i16, both of no more inputs than a chain has, 3 for both of any, and 7 for both of any
    // with functions that take a layer in parts.
    //
    // r0 weights, r1 input behind what the chain reads, r2 output, r3 a temporary; r4-r7 sums, r8-r11 weights,
    // r12 and lr activations. On the stack: r1 at the end, where a block's sums go, where the chain is entered, then what was
    // pushed, then arguments.
    //
    // A block's first instructions compare where its biases end with where all do: in a usual layer the former with the
    // latter, in others the latter with where the block's begin. No instruction of the chain changes these flags: they tell at
    // its end whether this was the last block of a usual layer ("same"), and that the layer is not a usual one ("higher").
    .syntax unified
    .pushsection .text.flowlet_integer_layers_{unit},"ax",%progbits

    .set flowlet_left, 0
    .set flowlet_exit, 4
    .set flowlet_entry, 8
    .set flowlet_bias, 48
    .set flowlet_passes, 56
    .set flowlet_ending, 60
    .set flowlet_shift, 64
    .set flowlet_multipliers, 68
    // Of the functions that take a layer in parts: with any ending, and with a usual one.
    .set flowlet_output_general, 76
    .set flowlet_output_usual, 56

    .macro flowlet_function name
    .globl \name
    .hidden \name
    .type \name,%function
    .thumb_func
\name:
    .endm

    // The chain's entry for as many groups as `groups` says.
    .macro flowlet_enter name, step, groups
    adr.w r5, .Lflowlet_\name\()_end_{unit} + 1
    mov r4, #\step
    mls r4, \groups, r4, r5
    str r4, [sp, #flowlet_entry]
    .endm

    .macro flowlet_start name, step, output
    push {{r1-r11, lr}}
    flowlet_enter \name, \step, r3
    ldr r2, [sp, #\output]
    add r1, r1, r3, lsl #3
    .endm

    .macro flowlet_next
    ldrd r8, r9, [sp, #flowlet_bias]
    ldm r8!, {{r4-r7}}
    cmp r8, r9
    // A load right behind a store takes a cycle less.
    str r8, [sp, #flowlet_bias]
    ldr.w pc, [sp, #flowlet_entry]
    .endm
    // The same of the first block, where r0 is at the biases, which end at r8.
    .macro flowlet_first
    str r8, [sp, #flowlet_bias + 4]
    ldm r0!, {{r4-r7}}
    cmp r0, r8
    str r0, [sp, #flowlet_bias]
    mov r0, r8
    ldr.w pc, [sp, #flowlet_entry]
    .endm

    // "Higher", where there is another block.
    .macro flowlet_next_other
    ldm r8!, {{r4-r7}}
    str r8, [sp, #flowlet_bias]
    ldr.w pc, [sp, #flowlet_entry]
    .endm

    // Whether words, input and output are as long as a layer wants them; then biases end at r8, and r1 and r2 are what the
    // chain wants. What is written is `rows`, shifted. Keeps r5 and r9.
    .macro flowlet_fit rows, shift:vararg
    add r8, r8, r7
    subs r1, r1, r8
    blo .Lflowlet_no_{unit}
    cmp r3, r6, lsl #1
    blo .Lflowlet_no_{unit}
    str r1, [sp, #flowlet_left]
    add r1, r2, r6, lsl #3
    ldrd r2, r10, [sp, #flowlet_bias]
    cmp r10, \rows, \shift
    blo .Lflowlet_no_{unit}
    add r8, r0, r7, lsl #2
    .endm

    .macro flowlet_pack
    pkhbt r4, r4, r5, lsl #16
    pkhbt r5, r6, r7, lsl #16
    strd r4, r5, [r2], #8
    .endm

    .macro flowlet_usual shift
    usat r4, #15, r4, asr #\shift
    usat r5, #15, r5, asr #\shift
    usat r6, #15, r6, asr #\shift
    usat r7, #15, r7, asr #\shift
    flowlet_pack
    .endm

    .macro flowlet_finish name, shift
.Lflowlet_\name\()_end_{unit}:
    bhs .Lflowlet_\name\()_leave_{unit}
    flowlet_usual \shift
    flowlet_next

.Lflowlet_\name\()_leave_{unit}:
    bhi .Lflowlet_\name\()_other_{unit}
    flowlet_usual \shift
    pop {{r1-r11, pc}}
.Lflowlet_\name\()_other_{unit}:
    ldr.w pc, [sp, #flowlet_exit]

    .if {unit} > 2
    // Another chain, or the end.
    flowlet_function flowlet_\name\()_pass_{unit}
.Lflowlet_\name\()_pass_{unit}:
    ldr r3, [sp, #flowlet_passes]
    lsls r8, r3, #16
    beq .Lflowlet_\name\()_full_{unit}
    subs r3, r3, #1
    str r3, [sp, #flowlet_passes]
    add r1, r1, #8 * {chain}
    // Weights are not at address 0: "higher" again.
    cmp r0, #0
    b.w .Lflowlet_\name\()_chain_{unit}
.Lflowlet_\name\()_full_{unit}:
    lsrs r8, r3, #16
    orr r3, r3, r8
    str r3, [sp, #flowlet_passes]
    sub r1, r1, r8, lsl #6
    ldr.w pc, [sp, #flowlet_ending]
    .endif
    .endm

    .macro flowlet_pairs x
    ldm r0!, {{r8-r11}}
    smlad r4, r8, \x, r4
    smlad r5, r9, \x, r5
    smlad r6, r10, \x, r6
    smlad r7, r11, \x, r7
    .endm

    // Even bytes of a word of weights, then odd ones.
    .macro flowlet_bytes sum, weights
    sxtb16 r3, \weights
    smlad \sum, r3, r12, \sum
    sxtb16 \weights, \weights, ror #8
    smlad \sum, \weights, lr, \sum
    .endm

    .if {unit} & 4
    .p2align 2
    flowlet_function flowlet_i16_general_{unit}
    flowlet_start i16, 44, flowlet_output_general
    ldrd r8, r9, [sp, #flowlet_bias]
    cmp r9, r8
    flowlet_next_other

    .p2align 2
    flowlet_function flowlet_i16_usual_{unit}
    flowlet_start i16, 44, flowlet_output_usual
    flowlet_next
    .endif

    .if {unit} & 2
.Lflowlet_i16_chain_{unit}:
    .set flowlet_at, -8 * {chain}
    .rept {chain}
    ldrd r12, lr, [r1, #flowlet_at]
    flowlet_pairs r12
    flowlet_pairs lr
    .set flowlet_at, flowlet_at + 8
    .endr
    flowlet_finish i16, {usual_i16}
    .endif

    flowlet_function flowlet_end_relu_{unit}
.Lflowlet_at_relu_{unit}:
    ldr r8, [sp, #flowlet_shift]
    asr r4, r4, r8
    asr r5, r5, r8
    asr r6, r6, r8
    asr r7, r7, r8
    usat r4, #15, r4
    usat r5, #15, r5
    usat r6, #15, r6
    usat r7, #15, r7
    b .Lflowlet_packed_{unit}

    .if {unit} & 1
    flowlet_function flowlet_end_inner_{unit}
.Lflowlet_at_inner_{unit}:
    usat r4, #15, r4, asr #{inner_i8}
    usat r5, #15, r5, asr #{inner_i8}
    usat r6, #15, r6, asr #{inner_i8}
    usat r7, #15, r7, asr #{inner_i8}
    .endif
.Lflowlet_packed_{unit}:
    flowlet_pack
.Lflowlet_again_{unit}:
    ldrd r8, r9, [sp, #flowlet_bias]
    cmp r9, r8
    beq .Lflowlet_return_{unit}
    flowlet_next_other
.Lflowlet_return_{unit}:
    pop {{r1-r11, pc}}

    // A shift below 32: 64 bits of each product, rounded by the last bit that goes, and saturated.
    flowlet_function flowlet_end_wide_{unit}
.Lflowlet_at_wide_{unit}:
    stm r2, {{r4-r7}}
    ldr r3, [sp, #flowlet_multipliers]
    ldr r8, [sp, #flowlet_shift]
    rsb r9, r8, #32
    add r10, r2, #16
.Lflowlet_wide_{unit}:
    ldr r4, [r2]
    ldr r5, [r3], #4
    smull r4, r5, r4, r5
    lsrs r4, r4, r8
    lsl r6, r5, r9
    orr r4, r4, r6
    asr r5, r5, r8
    adcs r4, r4, #0
    adc r5, r5, #0
    cmp r5, r4, asr #31
    itt ne
    mvnne r4, #1 << 31
    eorne r4, r4, r5, asr #31
    str r4, [r2], #4
    cmp r2, r10
    bne .Lflowlet_wide_{unit}
    str r3, [sp, #flowlet_multipliers]
    b .Lflowlet_again_{unit}

    flowlet_function flowlet_end_scaled32_{unit}
.Lflowlet_at_scaled32_{unit}:
    ldr r3, [sp, #flowlet_multipliers]
    ldm r3!, {{r9-r12}}
    str r3, [sp, #flowlet_multipliers]
    smmulr r4, r4, r9
    smmulr r5, r5, r10
    smmulr r6, r6, r11
    smmulr r7, r7, r12
    b .Lflowlet_sums_{unit}

    flowlet_function flowlet_end_scaled_{unit}
.Lflowlet_at_scaled_{unit}:
    ldrd r3, lr, [sp, #flowlet_multipliers]
    ldr r8, [sp, #flowlet_shift]
    ldm r3!, {{r9-r12}}
    str r3, [sp, #flowlet_multipliers]
    // The upper half of the product, rounded for the shift that follows.
    smmla r4, r4, r9, lr
    smmla r5, r5, r10, lr
    smmla r6, r6, r11, lr
    smmla r7, r7, r12, lr
    asr r4, r4, r8
    asr r5, r5, r8
    asr r6, r6, r8
    asr r7, r7, r8

    flowlet_function flowlet_end_sums_{unit}
.Lflowlet_sums_{unit}:
    stm r2!, {{r4-r7}}
    b .Lflowlet_again_{unit}

    // A layer from its words on, if it is hidden with ReLU or the last, and everything fits; gives what is behind it and how
    // many words, or zero, and then nothing is done. r0 words, r1 how many, r2 input, r3 its words; on the stack output and
    // its words, which give way to the biases, and room for the arguments behind these.
    // r6 groups, r7 rows, r8 words of the layer.
    .p2align 2
    flowlet_function flowlet_layer_{unit}
    push {{r1-r11, lr}}
    subs r1, #2
    blo .Lflowlet_no_{unit}
    ldrd r4, r5, [r0], #8
    uxth r6, r4
    adds r6, #3
    lsrs r6, r6, #2
    beq .Lflowlet_no_{unit}
    lsrs r7, r4, #16
    adds r7, #3
    bics r7, r7, #3
    beq .Lflowlet_no_{unit}
    mul r8, r6, r7
    cmp r6, #{chain}
    .if {unit} > 2
    bhi .Lflowlet_layer_other_{unit}
    .else
    bhi .Lflowlet_no_{unit}
    .endif
    // What is left of the kinds with ReLU: the shift, and one less for words of two weights. The usual i8 layer comes first.
    .if {unit} & 1
    sub r9, r5, #0x103
    cmp r9, #{usual_i8} << 16
    bne .Lflowlet_layer_unusual_{unit}
    flowlet_fit r7, lsr #1
    flowlet_enter i8, 72, r6
    flowlet_first

.Lflowlet_layer_unusual_{unit}:
    cmp r9, #{inner_i8} << 16
    bne .Lflowlet_layer_wider_{unit}
    adr.w r9, .Lflowlet_at_inner_{unit} + 1
    str r9, [sp, #flowlet_exit]
    lsrs r4, r7, #1
    bl .Lflowlet_fit_{unit}
.Lflowlet_layer_i8_enter_{unit}:
    flowlet_enter i8, 72, r6
    cmp r8, #0
    ldr r8, [sp, #flowlet_bias]
    flowlet_next_other
    .endif

.Lflowlet_layer_wider_{unit}:
    .if {unit} & 2
    .if {unit} & 1
    adds r9, #1
    .else
    sub r9, r5, #0x102
    .endif
    cmp r9, #{usual_i16} << 16
    bne .Lflowlet_layer_other_{unit}
    lsls r8, r8, #1
    lsrs r4, r7, #1
    bl .Lflowlet_fit_{unit}
    cmp r6, #2
    beq .Lflowlet_layer_i16_two_{unit}
    flowlet_enter i16, 44, r6
    flowlet_next

    // Eight inputs stay in registers.
.Lflowlet_layer_i16_two_{unit}:
    ldmdb r1, {{r1, r3, r12, lr}}
    mov r9, r8
    ldr r8, [sp, #flowlet_bias]
.Lflowlet_i16_two_{unit}:
    ldm r8!, {{r4-r7}}
    str r8, [sp, #flowlet_bias]
    cmp r8, r9
    flowlet_pairs r1
    flowlet_pairs r3
    flowlet_pairs r12
    flowlet_pairs lr
    flowlet_usual {usual_i16}
    ldrd r8, r9, [sp, #flowlet_bias]
    bne .Lflowlet_i16_two_{unit}
    pop {{r1-r11, pc}}
    .endif

    // Any shift, and any number of groups. The ending goes where the chain is left to, what is left of the order of weights
    // where it is entered.
.Lflowlet_layer_other_{unit}:
    ubfx r4, r5, #16, #8
    ubfx r9, r5, #8, #8
    uxtb r5, r5
    .if {unit} & 2
    subs r5, #2
    .if {unit} & 1
    cmp r5, #1
    bhi .Lflowlet_no_{unit}
    it lo
    lsllo r8, r8, #1
    .else
    bne .Lflowlet_no_{unit}
    lsls r8, r8, #1
    .endif
    .else
    cmp r5, #3
    bne .Lflowlet_no_{unit}
    .endif
    cmp r9, #1
    bhi .Lflowlet_no_{unit}
    bne .Lflowlet_layer_scaled_{unit}
    and r4, r4, #31
    adr.w r9, .Lflowlet_at_relu_{unit} + 1
    strd r9, r5, [sp, #flowlet_exit]
    str r4, [sp, #flowlet_shift]
    lsrs r4, r7, #1
    bl .Lflowlet_fit_{unit}
    b .Lflowlet_layer_enter_{unit}
.Lflowlet_layer_scaled_{unit}:
    add r8, r8, r7
    movs r10, #1
    adr.w r9, .Lflowlet_at_scaled_{unit} + 1
    subs r11, r4, #33
    lsl r10, r10, r11
    bmi .Lflowlet_layer_wide_{unit}
    subs r4, #32
.Lflowlet_layer_fit_{unit}:
    str r4, [sp, #flowlet_shift]
    str r10, [sp, #flowlet_multipliers + 4]
    strd r9, r5, [sp, #flowlet_exit]
    mov r4, r7
    bl .Lflowlet_fit_{unit}
    str r0, [sp, #flowlet_multipliers]
    add r0, r0, r7, lsl #2
.Lflowlet_layer_enter_{unit}:
    .if {unit} > 2
    cmp r6, #{chain}
    bhi .Lflowlet_layer_passes_{unit}
    .endif
    .if {unit} & 2
    .if {unit} & 1
    ldr r5, [sp, #flowlet_entry]
    cmp r5, #0
    bne .Lflowlet_layer_i8_enter_{unit}
    .endif
.Lflowlet_layer_i16_enter_{unit}:
    flowlet_enter i16, 44, r6
    cmp r8, #0
    ldr r8, [sp, #flowlet_bias]
    flowlet_next_other
    .else
    b .Lflowlet_layer_i8_enter_{unit}
    .endif

.Lflowlet_layer_wide_{unit}:
    adr.w r9, .Lflowlet_at_wide_{unit} + 1
    cmp r4, #32
    it eq
    adreq.w r9, .Lflowlet_at_scaled32_{unit} + 1
    b .Lflowlet_layer_fit_{unit}

    .if {unit} > 2
    // First the groups that make no whole chain, or one.
.Lflowlet_layer_passes_{unit}:
    ldrd r9, r5, [sp, #flowlet_exit]
    str r9, [sp, #flowlet_ending]
    subs r4, r6, #1
    lsrs r4, r4, #3
    orr r10, r4, r4, lsl #16
    str r10, [sp, #flowlet_passes]
    sub r6, r6, r4, lsl #3
    sub r1, r1, r4, lsl #6
    adr.w r9, .Lflowlet_i16_pass_{unit} + 1
    str r9, [sp, #flowlet_exit]
    cmp r5, #0
    beq .Lflowlet_layer_i16_enter_{unit}
    adr.w r9, .Lflowlet_i8_pass_{unit} + 1
    str r9, [sp, #flowlet_exit]
    b .Lflowlet_layer_i8_enter_{unit}
    .endif

    // What fits passes the biases: they end at r8 and r0. r4 words are written.
.Lflowlet_fit_{unit}:
    flowlet_fit r4, lsl #0
    strd r0, r8, [sp, #flowlet_bias]
    mov r0, r8
    bx lr
.Lflowlet_no_{unit}:
    movs r0, #0
    pop {{r1-r11, pc}}

    .if {unit} & 4
    .p2align 2
    flowlet_function flowlet_i8_inner_{unit}
    flowlet_start i8, 72, flowlet_output_usual
.Lflowlet_i8_parts_{unit}:
    ldrd r8, r9, [sp, #flowlet_bias]
    cmp r9, r8
    flowlet_next_other

    .p2align 2
    flowlet_function flowlet_i8_general_{unit}
    flowlet_start i8, 72, flowlet_output_general
    b .Lflowlet_i8_parts_{unit}

    .p2align 2
    flowlet_function flowlet_i8_usual_{unit}
    flowlet_start i8, 72, flowlet_output_usual
    flowlet_next
    .endif

    .if {unit} & 1
.Lflowlet_i8_chain_{unit}:
    .set flowlet_at, -8 * {chain}
    .rept {chain}
    ldrd r12, lr, [r1, #flowlet_at]
    ldm r0!, {{r8-r11}}
    flowlet_bytes r4, r8
    flowlet_bytes r5, r9
    flowlet_bytes r6, r10
    flowlet_bytes r7, r11
    .set flowlet_at, flowlet_at + 8
    .endr
    flowlet_finish i8, {usual_i8}
    .endif

    .purgem flowlet_function
    .purgem flowlet_enter
    .purgem flowlet_start
    .purgem flowlet_next
    .purgem flowlet_first
    .purgem flowlet_fit
    .purgem flowlet_next_other
    .purgem flowlet_pack
    .purgem flowlet_usual
    .purgem flowlet_finish
    .purgem flowlet_pairs
    .purgem flowlet_bytes
    .popsection
