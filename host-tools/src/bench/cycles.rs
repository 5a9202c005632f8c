//! Estimated cycles of a trace, by the published timings of the core.
//!
//! An estimate: no board was asked. Memory answers without wait states, and an instruction does not wait for the
//! result of the one before. Sources: ARM DDI 0439 (Cortex-M4 TRM, 3.3.1 and 7.2.3), DDI 0337 (Cortex-M3 TRM, 3.3),
//! DDI 0432 (Cortex-M0 TRM, 3.3). Where a manual gives a range, the upper end counts.
//!
//! | | M0 | M3 | M4 |
//! |---|---|---|---|
//! | LDR, VLDR | 2 | 2, and 1 right behind another load or store | as M3 |
//! | STR, VSTR | 2 | 1 | 1 |
//! | LDM, STM, LDRD, STRD, PUSH, POP, VLDM, VSTM of N words | 1 + N | 1 + N | 1 + N |
//! | MUL | 1 | 1 | 1 |
//! | MLA, MLS | - | 2 | 1 |
//! | SMLAD and the like | - | - | 1 |
//! | SMULL, UMULL | - | 5 | 1 |
//! | SMLAL, UMLAL | - | 7 | 1 |
//! | SDIV, UDIV | - | 12 | 12 |
//! | VMLA, VFMA and the like | - | - | 3 |
//! | VDIV, VSQRT | - | - | 14 |
//! | a taken branch, BX | 3 | 3 | 3 |
//! | BL | 4 | 3 | 3 |
//! | the program counter loaded by POP or TBB | 2 more | 2 more | 2 more |
//! | all else | 1 | 1 | 1 |

use super::thumb::{length, Class};
use crate::device::Board;

/// A core whose timings are published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Core {
    /// Cortex-M0 with the fast multiplier.
    M0,
    /// Cortex-M3.
    M3,
    /// Cortex-M4, with its FPU.
    M4,
}

impl Core {
    /// The core of a board; `None` where there is no table of timings.
    #[must_use]
    pub fn of(board: Board) -> Option<Self> {
        match board {
            Board::Microbit => Some(Self::M0),
            Board::Mps2An385 => Some(Self::M3),
            Board::Mps2An386 => Some(Self::M4),
            Board::Mps2An500 | Board::Mps2An505 | Board::Mps3An547 => None,
        }
    }

    fn cycles(self, class: Class, before: Option<Class>) -> u64 {
        let pipelined = self != Self::M0 && matches!(before, Some(Class::Load | Class::Store));
        match class {
            Class::Plain | Class::Multiply | Class::Dsp => 1,
            Class::Load if pipelined => 1,
            Class::Load | Class::TableBranch => 2,
            Class::Store => {
                if self == Self::M0 {
                    2
                } else {
                    1
                }
            }
            Class::Multiple(words) => 1 + u64::from(words),
            Class::MultiplyAdd => {
                if self == Self::M3 {
                    2
                } else {
                    1
                }
            }
            Class::MultiplyLong => {
                if self == Self::M3 {
                    5
                } else {
                    1
                }
            }
            Class::MultiplyAddLong => {
                if self == Self::M3 {
                    7
                } else {
                    1
                }
            }
            Class::Divide => 12,
            Class::FloatMultiplyAdd => 3,
            Class::FloatDivide => 14,
            // With the taken branch that it is.
            Class::Call => {
                if self == Self::M0 {
                    2
                } else {
                    1
                }
            }
        }
    }
}

/// One executed instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Executed {
    /// Its address.
    pub address: u32,
    /// Its first halfword.
    pub first: u16,
    /// What it does.
    pub class: Class,
}

/// Estimated cycles of instructions in the order of their execution; `end` is the address that follows the last.
#[must_use]
pub fn estimate(core: Core, trace: &[Executed], end: u32) -> u64 {
    let next = trace.iter().skip(1).map(|executed| executed.address).chain([end]);
    let mut before = None;
    let mut cycles = 0;
    for (executed, next) in trace.iter().zip(next) {
        cycles += core.cycles(executed.class, before);
        if next != executed.address + length(executed.first) {
            cycles += 2;
        }
        before = Some(executed.class);
    }
    cycles
}

#[cfg(test)]
mod tests {
    use super::super::thumb::classify;
    use super::*;

    fn program(halfwords: &[u16]) -> Vec<Executed> {
        let mut at = 0;
        let mut trace = Vec::new();
        while let Some(&first) = halfwords.get(at) {
            let second = halfwords.get(at + 1).copied().unwrap_or(0);
            let class = classify(first, second);
            trace.push(Executed { address: 2 * at as u32, first, class });
            at += length(first) as usize / 2;
        }
        trace
    }

    #[test]
    fn a_loop_by_hand() {
        // ldr r0, [r1]; ldr r2, [r1, #4]; mla r3, r0, r2, r3; subs r4, #1; bne to the start
        let body = program(&[0x6808, 0x684a, 0xfb00, 0x3302, 0x3c01, 0xd1f9]);
        let end = 12;
        assert_eq!(estimate(Core::M4, &body, end), 2 + 1 + 1 + 1 + 1);
        assert_eq!(estimate(Core::M3, &body, end), 2 + 1 + 2 + 1 + 1);
        let taken = [&body[..], &body].concat();
        assert_eq!(estimate(Core::M4, &taken, end), (2 + 1 + 1 + 1 + 3) + 6);
        // push {r4, lr}; muls r0, r1; str r0, [r1]; pop {r4, pc}
        let call = program(&[0xb510, 0x4348, 0x6008, 0xbd10]);
        assert_eq!(estimate(Core::M0, &call, 100), 3 + 1 + 2 + (3 + 2));
    }
}
