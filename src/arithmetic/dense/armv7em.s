    // See armv7em.rs, which fills in what stands in braces.
    //
    // r0 weights, r1 input behind what the chain reads, r2 output, r3 a temporary; r4-r7 sums, r8-r11 weights,
    // r12 and lr activations. On the stack: r1 at the end, where a block's sums go, where the chain is entered, then what was
    // pushed, then arguments.
    //
    // A block's first instructions compare where its biases end with where all do: in a usual layer the former with the
    // latter, in others the latter with where the block's begin. No instruction of the chain changes these flags: they tell at
    // its end whether this was the last block of a usual layer ("same"), and that the layer is not a usual one ("higher").
    .syntax unified
    .pushsection .text.flowlet_integer_layers,"ax",%progbits

    .set flowlet_left, 0
    .set flowlet_exit, 4
    .set flowlet_entry, 8
    .set flowlet_bias, 48
    .set flowlet_output, 56
    .set flowlet_ending, 60
    .set flowlet_shift, 64
    .set flowlet_multipliers, 68
    .set flowlet_passes_left, 76
    .set flowlet_passes, 80

    .macro flowlet_function name
    .globl \name
    .hidden \name
    .type \name,%function
    .thumb_func
\name:
    .endm

    // The chain's entry for as many groups as `groups` says.
    .macro flowlet_enter name, step, groups
    adr.w r5, .Lflowlet_\name\()_end + 1
    mov r4, #\step
    mls r4, \groups, r4, r5
    str r4, [sp, #flowlet_entry]
    .endm

    .macro flowlet_start name, step
    push {{r1-r11, lr}}
    flowlet_enter \name, \step, r3
    ldr r2, [sp, #flowlet_output]
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
    // chain wants. What is written is `rows`, shifted.
    .macro flowlet_fit rows, shift:vararg
    add r8, r8, r7
    subs r1, r1, r8
    blo .Lflowlet_no
    cmp r3, r6, lsl #1
    blo .Lflowlet_no
    str r1, [sp, #flowlet_left]
    add r1, r2, r6, lsl #3
    ldrd r2, r10, [sp, #flowlet_bias]
    cmp r10, \rows, \shift
    blo .Lflowlet_no
    add r8, r0, r7, lsl #2
    .endm

    // From the biases to what is behind them.
    .macro flowlet_pass_biases
    strd r0, r8, [sp, #flowlet_bias]
    mov r0, r8
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
.Lflowlet_\name\()_end:
    bhs .Lflowlet_\name\()_leave
    flowlet_usual \shift
    flowlet_next

.Lflowlet_\name\()_leave:
    bhi .Lflowlet_\name\()_other
    flowlet_usual \shift
    pop {{r1-r11, pc}}
.Lflowlet_\name\()_other:
    ldr.w pc, [sp, #flowlet_exit]

    // Another chain, or the end.
    flowlet_function flowlet_\name\()_pass
    ldr r3, [sp, #flowlet_passes_left]
    cbz r3, .Lflowlet_\name\()_full
    subs r3, r3, #1
    str r3, [sp, #flowlet_passes_left]
    add r1, r1, #8 * {chain}
    // Weights are not at address 0: "higher" again.
    cmp r0, #0
    b.w .Lflowlet_\name\()_chain
.Lflowlet_\name\()_full:
    ldr r3, [sp, #flowlet_passes]
    str r3, [sp, #flowlet_passes_left]
    sub r1, r1, r3, lsl #6
    ldr.w pc, [sp, #flowlet_ending]
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

    .p2align 2
    flowlet_function flowlet_i16_general
    flowlet_start i16, 44
    ldrd r8, r9, [sp, #flowlet_bias]
    cmp r9, r8
    flowlet_next_other

    .p2align 2
    flowlet_function flowlet_i16_usual
    flowlet_start i16, 44
    flowlet_next
.Lflowlet_i16_chain:
    .set flowlet_at, -8 * {chain}
    .rept {chain}
    ldrd r12, lr, [r1, #flowlet_at]
    flowlet_pairs r12
    flowlet_pairs lr
    .set flowlet_at, flowlet_at + 8
    .endr
    flowlet_finish i16, {usual_i16}

    flowlet_function flowlet_end_relu
.Lflowlet_at_relu:
    ldr r8, [sp, #flowlet_shift]
    asr r4, r4, r8
    asr r5, r5, r8
    asr r6, r6, r8
    asr r7, r7, r8
    usat r4, #15, r4
    usat r5, #15, r5
    usat r6, #15, r6
    usat r7, #15, r7
    b .Lflowlet_packed

    flowlet_function flowlet_end_inner
.Lflowlet_at_inner:
    usat r4, #15, r4, asr #{inner_i8}
    usat r5, #15, r5, asr #{inner_i8}
    usat r6, #15, r6, asr #{inner_i8}
    usat r7, #15, r7, asr #{inner_i8}
.Lflowlet_packed:
    flowlet_pack
.Lflowlet_again:
    ldrd r8, r9, [sp, #flowlet_bias]
    cmp r9, r8
    beq .Lflowlet_return
    flowlet_next_other
.Lflowlet_return:
    pop {{r1-r11, pc}}

    flowlet_function flowlet_end_scaled32
    ldr r3, [sp, #flowlet_multipliers]
    ldm r3!, {{r9-r12}}
    str r3, [sp, #flowlet_multipliers]
    smmulr r4, r4, r9
    smmulr r5, r5, r10
    smmulr r6, r6, r11
    smmulr r7, r7, r12
    b .Lflowlet_sums

    flowlet_function flowlet_end_scaled
.Lflowlet_at_scaled:
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

    flowlet_function flowlet_end_sums
.Lflowlet_sums:
    stm r2!, {{r4-r7}}
    b .Lflowlet_again

    // A layer from its words on, if it is one of 1 to `chain` groups that ends as below, and everything fits; gives what is
    // behind it and how many words, or zero, and then nothing is done. r0 words, r1 how many, r2 input, r3 its words; on the
    // stack output and its words, which give way to the biases, and room for the arguments behind these.
    // r6 groups, r7 rows, r8 words of the layer.
    .p2align 2
    flowlet_function flowlet_layer
    push {{r1-r11, lr}}
    subs r1, #2
    blo .Lflowlet_no
    ldrd r4, r5, [r0], #8
    uxth r6, r4
    adds r6, #3
    lsrs r6, r6, #2
    subs r8, r6, #1
    cmp r8, #{chain}
    bhs .Lflowlet_no
    lsrs r7, r4, #16
    adds r7, #3
    bics r7, r7, #3
    beq .Lflowlet_no
    mul r8, r6, r7
    // What is left of the kinds with ReLU: the shift, and one less for words of two weights.
    sub r9, r5, #0x103
    cmp r9, #{usual_i8} << 16
    bne .Lflowlet_layer_i16
    flowlet_fit r7, lsr #1
    flowlet_enter i8, 72, r6
    flowlet_first

.Lflowlet_layer_i16:
    adds r9, #1
    cmp r9, #{usual_i16} << 16
    bne .Lflowlet_layer_inner
    lsls r8, r8, #1
    flowlet_fit r7, lsr #1
    cmp r6, #2
    beq .Lflowlet_layer_i16_two
    flowlet_enter i16, 44, r6
    flowlet_first

    // Eight inputs stay in registers.
.Lflowlet_layer_i16_two:
    flowlet_pass_biases
    ldmdb r1, {{r1, r3, r12, lr}}
    mov r9, r8
    ldr r8, [sp, #flowlet_bias]
.Lflowlet_i16_two:
    ldm r8!, {{r4-r7}}
    str r8, [sp, #flowlet_bias]
    cmp r8, r9
    flowlet_pairs r1
    flowlet_pairs r3
    flowlet_pairs r12
    flowlet_pairs lr
    flowlet_usual {usual_i16}
    ldrd r8, r9, [sp, #flowlet_bias]
    bne .Lflowlet_i16_two
    pop {{r1-r11, pc}}

.Lflowlet_layer_inner:
    subs r9, #1
    cmp r9, #{inner_i8} << 16
    bne .Lflowlet_layer_other
    adr.w r9, .Lflowlet_at_inner + 1
    str r9, [sp, #flowlet_exit]
    flowlet_fit r7, lsr #1
    flowlet_pass_biases
.Lflowlet_layer_i8_enter:
    flowlet_enter i8, 72, r6
    cmp r8, #0
    ldr r8, [sp, #flowlet_bias]
    flowlet_next_other

.Lflowlet_layer_other:
    ubfx r4, r5, #16, #8
    ubfx r9, r5, #8, #8
    uxtb r5, r5
    subs r5, #2
    cmp r5, #1
    bhi .Lflowlet_no
    it lo
    lsllo r8, r8, #1
    cmp r9, #1
    bhi .Lflowlet_no
    bne .Lflowlet_layer_scaled
    and r4, r4, #31
    adr.w r9, .Lflowlet_at_relu + 1
    strd r9, r5, [sp, #flowlet_exit]
    str r4, [sp, #flowlet_shift]
    flowlet_fit r7, lsr #1
    flowlet_pass_biases
    b .Lflowlet_layer_enter
.Lflowlet_layer_scaled:
    // A shift of 33 to 63.
    sub r9, r4, #33
    cmp r9, #31
    bhs .Lflowlet_no
    movs r10, #1
    lsl r9, r10, r9
    subs r4, #32
    add r8, r8, r7
    str r4, [sp, #flowlet_shift]
    str r9, [sp, #flowlet_multipliers + 4]
    adr.w r9, .Lflowlet_at_scaled + 1
    strd r9, r5, [sp, #flowlet_exit]
    flowlet_fit r7, lsl #0
    flowlet_pass_biases
    str r0, [sp, #flowlet_multipliers]
    add r0, r0, r7, lsl #2
.Lflowlet_layer_enter:
    ldr r5, [sp, #flowlet_entry]
    cmp r5, #0
    bne .Lflowlet_layer_i8_enter
    flowlet_enter i16, 44, r6
    cmp r8, #0
    ldr r8, [sp, #flowlet_bias]
    flowlet_next_other

.Lflowlet_no:
    movs r0, #0
    pop {{r1-r11, pc}}

    .p2align 2
    flowlet_function flowlet_i8_inner
    flowlet_function flowlet_i8_general
    flowlet_start i8, 72
    ldrd r8, r9, [sp, #flowlet_bias]
    cmp r9, r8
    flowlet_next_other

    .p2align 2
    flowlet_function flowlet_i8_usual
    flowlet_start i8, 72
    flowlet_next
.Lflowlet_i8_chain:
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

    .purgem flowlet_function
    .purgem flowlet_enter
    .purgem flowlet_start
    .purgem flowlet_fit
    .purgem flowlet_next
    .purgem flowlet_first
    .purgem flowlet_pass_biases
    .purgem flowlet_next_other
    .purgem flowlet_pack
    .purgem flowlet_usual
    .purgem flowlet_finish
    .purgem flowlet_pairs
    .purgem flowlet_bytes
    .popsection
