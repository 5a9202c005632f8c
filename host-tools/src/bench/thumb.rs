//! What an instruction of a Cortex-M does, as far as its time depends on it.
//!
//! Encodings are from the ARMv6-M and ARMv7-M Architecture Reference Manuals, sections A5 (Thumb instruction set
//! encoding) and A6 or A7.

/// Kinds of instructions that published timings tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Everything that takes one cycle on every core here.
    Plain,
    /// One load of a word or less, to a core or an FPU register.
    Load,
    /// One store of a word or less.
    Store,
    /// Loads or stores of this many words: LDM, STM, LDRD, STRD, PUSH, POP, VLDM, VSTM.
    Multiple(u32),
    /// A load of the program counter from a table: TBB, TBH.
    TableBranch,
    /// MUL, 32 bits from 32.
    Multiply,
    /// MLA, MLS.
    MultiplyAdd,
    /// The multiplications of the DSP extension with a result of 32 bits (SMLAD, SMULBB, SMMUL, ...).
    Dsp,
    /// SMULL, UMULL.
    MultiplyLong,
    /// SMLAL, UMLAL and their kind.
    MultiplyAddLong,
    /// SDIV, UDIV.
    Divide,
    /// VMLA, VMLS, VFMA, VFMS and their negated forms.
    FloatMultiplyAdd,
    /// VDIV, VSQRT.
    FloatDivide,
    /// BL, BLX.
    Call,
}

/// Bytes of the instruction that begins with this halfword.
#[must_use]
pub fn length(first: u16) -> u32 {
    if first >> 11 >= 0b11101 {
        4
    } else {
        2
    }
}

/// The class of an instruction; `second` is its second halfword, if it has one.
#[must_use]
pub fn classify(first: u16, second: u16) -> Class {
    if length(first) == 4 {
        wide(first, second)
    } else {
        narrow(first)
    }
}

fn narrow(op: u16) -> Class {
    let registers = u32::from(op as u8).count_ones();
    // The register list of PUSH and POP has LR or PC in bit 8.
    let with_bit_8 = registers + u32::from(op >> 8 & 1);
    match op >> 11 {
        // LDR (literal).
        0b01001 => Class::Load,
        // Register offset: STR, STRH, STRB are the first three of eight.
        0b01010 | 0b01011 => load_or_store(op >> 9 & 7 >= 3),
        0b01100 | 0b01110 | 0b10000 | 0b10010 => Class::Store,
        0b01101 | 0b01111 | 0b10001 | 0b10011 => Class::Load,
        0b11000 | 0b11001 => Class::Multiple(registers),
        _ if op & 0xfe00 == 0xb400 || op & 0xfe00 == 0xbc00 => Class::Multiple(with_bit_8),
        _ if op & 0xffc0 == 0x4340 => Class::Multiply,
        _ if op & 0xff80 == 0x4780 => Class::Call,
        _ => Class::Plain,
    }
}

fn load_or_store(is_load: bool) -> Class {
    if is_load {
        Class::Load
    } else {
        Class::Store
    }
}

fn wide(first: u16, second: u16) -> Class {
    let is_load = first & 0x10 != 0;
    if first & 0xec00 == 0xec00 {
        return float(first, second);
    }
    if first & 0xfe40 == 0xe800 {
        return Class::Multiple(u32::from(second).count_ones());
    }
    if first & 0xfff0 == 0xe8d0 && second & 0xffe0 == 0xf000 {
        return Class::TableBranch;
    }
    if first & 0xfe40 == 0xe840 {
        // LDRD and STRD write back or have an index; what has neither is exclusive.
        let is_double = first & 0x0120 != 0;
        return if is_double { Class::Multiple(2) } else { load_or_store(is_load) };
    }
    if first & 0xfe00 == 0xf800 {
        return load_or_store(is_load);
    }
    let operation = first >> 4 & 7;
    if first & 0xff80 == 0xfb00 {
        return match operation {
            0 if second >> 12 == 15 => Class::Multiply,
            0 => Class::MultiplyAdd,
            _ => Class::Dsp,
        };
    }
    if first & 0xff80 == 0xfb80 {
        return match operation {
            1 | 3 => Class::Divide,
            0 | 2 => Class::MultiplyLong,
            _ => Class::MultiplyAddLong,
        };
    }
    if first & 0xf800 == 0xf000 && second & 0xd000 == 0xd000 {
        return Class::Call;
    }
    Class::Plain
}

/// The FPU's instructions.
fn float(first: u16, second: u16) -> Class {
    if first & 0xfe00 == 0xec00 {
        let is_transfer_of_two = first & 0xffe0 == 0xec40;
        // With an offset and without write-back: VLDR, VSTR.
        return if is_transfer_of_two {
            Class::Plain
        } else if first & 0x0120 == 0x0100 {
            load_or_store(first & 0x10 != 0)
        } else {
            Class::Multiple(u32::from(second & 0xff))
        };
    }
    let is_arithmetic = first & 0xff00 == 0xee00 && second & 0x10 == 0;
    if !is_arithmetic {
        return Class::Plain;
    }
    match first >> 4 & 0b1011 {
        0b0000 | 0b0001 | 0b1001 | 0b1010 => Class::FloatMultiplyAdd,
        0b1000 => Class::FloatDivide,
        0b1011 if first & 0xf == 1 && second & 0xc0 == 0xc0 => Class::FloatDivide,
        _ => Class::Plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checked with `llvm-mc --disassemble -triple=thumbv7em-none-eabihf -mcpu=cortex-m4`, LLVM 14.
    #[test]
    fn instructions_are_what_the_disassembler_makes_of_them() {
        use Class::*;
        for (first, second, class, text) in CASES {
            assert_eq!(classify(first, second), class, "{text}");
            assert_eq!(length(first), if second == 0 { 2 } else { 4 }, "{text}");
        }
        const CASES: [(u16, u16, Class, &str); 46] = [
            (0x1888, 0, Plain, "adds r0, r1, r2"),
            (0x4348, 0, Multiply, "muls r0, r1"),
            (0x6848, 0, Load, "ldr r0, [r1, #4]"),
            (0x6048, 0, Store, "str r0, [r1, #4]"),
            (0x5888, 0, Load, "ldr r0, [r1, r2]"),
            (0x5688, 0, Load, "ldrsb r0, [r1, r2]"),
            (0x5088, 0, Store, "str r0, [r1, r2]"),
            (0x5488, 0, Store, "strb r0, [r1, r2]"),
            (0x7808, 0, Load, "ldrb r0, [r1]"),
            (0x8008, 0, Store, "strh r0, [r1]"),
            (0x9801, 0, Load, "ldr r0, [sp, #4]"),
            (0x9001, 0, Store, "str r0, [sp, #4]"),
            (0x4801, 0, Load, "ldr r0, [pc, #4]"),
            (0xb5f0, 0, Multiple(5), "push {r4-r7, lr}"),
            (0xbdf0, 0, Multiple(5), "pop {r4-r7, pc}"),
            (0xc90c, 0, Multiple(2), "ldm r1!, {r2, r3}"),
            (0xc10c, 0, Multiple(2), "stm r1!, {r2, r3}"),
            (0x4788, 0, Call, "blx r1"),
            (0x4770, 0, Plain, "bx lr"),
            (0xd1fe, 0, Plain, "bne ."),
            (0xb108, 0, Plain, "cbz r0, .+6"),
            (0xf7ff, 0xfffe, Call, "bl ."),
            (0xf43f, 0xaffe, Plain, "beq.w ."),
            (0xe8b1, 0x00f0, Multiple(4), "ldm.w r1!, {r4-r7}"),
            (0xe92d, 0x4ff0, Multiple(9), "push {r4-r11, lr}"),
            (0xe9d1, 0x2302, Multiple(2), "ldrd r2, r3, [r1, #8]"),
            (0xe8f1, 0x2302, Multiple(2), "ldrd r2, r3, [r1], #8"),
            (0xe9c1, 0x2302, Multiple(2), "strd r2, r3, [r1, #8]"),
            (0xe851, 0x0f00, Load, "ldrex r0, [r1]"),
            (0xe8df, 0xf001, TableBranch, "tbb [pc, r1]"),
            (0xf851, 0x0b04, Load, "ldr r0, [r1], #4"),
            (0xf841, 0x0b04, Store, "str r0, [r1], #4"),
            (0xf991, 0x2000, Load, "ldrsb.w r2, [r1]"),
            (0xfb01, 0xf002, Multiply, "mul.w r0, r1, r2"),
            (0xfb01, 0x3002, MultiplyAdd, "mla r0, r1, r2, r3"),
            (0xfb21, 0x3002, Dsp, "smlad r0, r1, r2, r3"),
            (0xfb11, 0xf002, Dsp, "smulbb r0, r1, r2"),
            (0xfb82, 0x0103, MultiplyLong, "smull r0, r1, r2, r3"),
            (0xfbc2, 0x0103, MultiplyAddLong, "smlal r0, r1, r2, r3"),
            (0xfb91, 0xf0f2, Divide, "sdiv r0, r1, r2"),
            (0xed91, 0x0a01, Load, "vldr s0, [r1, #4]"),
            (0xecb1, 0x0a04, Multiple(4), "vldmia r1!, {s0-s3}"),
            (0xee20, 0x0a81, Plain, "vmul.f32 s0, s1, s2"),
            (0xeee0, 0x0a81, FloatMultiplyAdd, "vfma.f32 s1, s1, s2"),
            (0xee80, 0x0a81, FloatDivide, "vdiv.f32 s0, s1, s2"),
            (0xeeb1, 0x0ae0, FloatDivide, "vsqrt.f32 s0, s1"),
        ];
    }
}
