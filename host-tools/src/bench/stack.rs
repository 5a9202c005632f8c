//! How deep the stack can go, from the machine code alone: what each function takes, and who calls whom.
//!
//! A function's frame is the sum of all that its instructions take from the stack pointer, whichever way through it is
//! taken; a jump to another function counts as a call. A call through a pointer may go to any function whose address the
//! reachable code makes or loads, or that stands among the constants. So the bound may be too large, and is never too
//! small: recursion, and a frame whose size is computed, are errors. Interrupts are not in it.
//!
//! Assembly kernels jump by `LDR PC` among their own parts, which are one function here.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use object::{Object, ObjectSection, ObjectSymbol, SymbolKind};

use super::thumb::length;
use crate::device::DeviceError;

/// A bound, and the chain of calls that has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    /// Bytes of stack that the entry and all that it calls take.
    pub bytes: u64,
    /// The deepest chain, from the entry on, by the symbols' names.
    pub chain: Vec<String>,
}

/// The bound of a function: the first whose symbol has one of `entries` in its name.
///
/// # Errors
/// [`DeviceError::Elf`]: unreadable, no such function, recursion, or a frame of unknown size.
pub fn bound(elf: &Path, entries: &[&str]) -> Result<Bound, DeviceError> {
    let unreadable = |reason: String| DeviceError::Elf { path: elf.into(), reason };
    let bytes = std::fs::read(elf).map_err(DeviceError::io(format!("reading {}", elf.display())))?;
    let code = Code::read(&bytes).map_err(unreadable)?;
    let find = |part: &&str| code.functions.iter().find(|(_, function)| function.name.contains(part));
    let Some((&entry, _)) = entries.iter().find_map(find) else {
        return Err(unreadable(format!("no symbol {}", entries.join(" or "))));
    };
    code.bound(entry).map_err(unreadable)
}

/// A function, or a run of assembly labels without sizes.
#[derive(Clone, Debug, Default)]
struct Function {
    name: String,
    end: u32,
    frame: u64,
    /// Functions called or jumped to.
    callees: BTreeSet<u32>,
    /// Whether it calls through a pointer.
    is_indirect: bool,
    /// Addresses of functions that it makes or loads.
    taken: BTreeSet<u32>,
    unknown: Option<String>,
}

struct Code {
    functions: BTreeMap<u32, Function>,
    /// Where functions and assembly labels begin: what a pointer to code points to.
    starts: BTreeSet<u32>,
    /// Functions whose addresses stand among the constants.
    constants: BTreeSet<u32>,
}

impl Code {
    fn read(bytes: &[u8]) -> Result<Self, String> {
        let file = object::File::parse(bytes).map_err(|error| error.to_string())?;
        let section = |name: &str| {
            let section = file.section_by_name(name)?;
            Some((section.address() as u32, section.data().ok()?.to_vec()))
        };
        let (start, text) = section(".text").ok_or("no .text section")?;
        let end = start + text.len() as u32;
        let (mut sized, mut labels, mut is_data) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        for symbol in file.symbols() {
            let (Ok(name), address) = (symbol.name(), symbol.address() as u32 & !1) else { continue };
            if !(start..end).contains(&address) {
                continue;
            }
            match name.as_bytes() {
                [b'$', b'd', ..] => drop(is_data.insert(address, true)),
                [b'$', b't', ..] => drop(is_data.insert(address, false)),
                _ if symbol.kind() != SymbolKind::Text => {}
                _ if symbol.size() > 0 => {
                    sized.insert(address, (name.to_owned(), address + symbol.size() as u32));
                }
                _ => drop(labels.insert(address, name.to_owned())),
            }
        }
        let mut functions: BTreeMap<u32, Function> = sized
            .iter()
            .map(|(&address, (name, end))| {
                (address, Function { name: name.clone(), end: *end, ..Function::default() })
            })
            .collect();
        // Labels between two functions are one.
        let mut last_end = 0;
        for (&address, name) in &labels {
            let inside = sized.range(..=address).next_back().is_some_and(|(_, (_, end))| address < *end);
            if inside || address < last_end {
                continue;
            }
            last_end = sized.range(address..).next().map_or(end, |(&next, _)| next);
            functions.insert(address, Function { name: name.clone(), end: last_end, ..Function::default() });
        }
        let starts = sized.keys().chain(labels.keys()).copied().collect();
        let mut code = Self { functions, starts, constants: BTreeSet::new() };
        let mut scanned = BTreeMap::new();
        for (&address, function) in &code.functions {
            let reader = Reader { start, text: &text, is_data: &is_data, code: &code };
            scanned.insert(address, reader.scan(address, function));
        }
        code.functions = scanned;
        if let Some((_, rodata)) = section(".rodata") {
            let words =
                rodata.chunks_exact(4).map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]]));
            code.constants = words.filter_map(|word| code.pointed_to(word)).collect();
        }
        Ok(code)
    }

    /// The function that has an address in it.
    fn owner(&self, address: u32) -> Option<u32> {
        let (&start, function) = self.functions.range(..=address).next_back()?;
        (address < function.end).then_some(start)
    }

    /// The function that a word points to, if it may be a pointer to code.
    fn pointed_to(&self, word: u32) -> Option<u32> {
        (word & 1 == 1 && self.starts.contains(&(word & !1))).then(|| self.owner(word & !1)).flatten()
    }

    fn bound(&self, entry: u32) -> Result<Bound, String> {
        // What can be reached: functions called, and, with one call through a pointer, those pointed to.
        let mut reached = BTreeSet::from([entry]);
        let mut taken = BTreeSet::new();
        loop {
            let mut next = reached.clone();
            for function in reached.iter().filter_map(|address| self.functions.get(address)) {
                next.extend(&function.callees);
                taken.extend(&function.taken);
                if function.is_indirect {
                    taken.extend(&self.constants);
                }
            }
            if next.iter().filter_map(|address| self.functions.get(address)).any(|f| f.is_indirect) {
                next.extend(&taken);
            }
            if next == reached {
                break;
            }
            reached = next;
        }
        let mut known = BTreeMap::new();
        let (bytes, mut at) = self.depth(entry, &taken, &mut known, &mut Vec::new())?;
        let mut chain = Vec::new();
        while let Some(address) = at {
            chain.extend(self.functions.get(&address).map(|function| function.name.clone()));
            at = known.get(&address).and_then(|&(_, next)| next);
        }
        chain.insert(0, self.functions.get(&entry).map_or(String::new(), |function| function.name.clone()));
        Ok(Bound { bytes, chain })
    }

    /// What a function and its callees take, and the deepest of these.
    fn depth(
        &self,
        address: u32,
        taken: &BTreeSet<u32>,
        known: &mut BTreeMap<u32, (u64, Option<u32>)>,
        path: &mut Vec<u32>,
    ) -> Result<(u64, Option<u32>), String> {
        if let Some(&depth) = known.get(&address) {
            return Ok(depth);
        }
        let Some(function) = self.functions.get(&address) else {
            return Err(format!("no function at {address:#x}"));
        };
        if path.contains(&address) {
            return Err(format!("{} calls itself", function.name));
        }
        if let Some(unknown) = &function.unknown {
            return Err(format!("{}: {unknown}", function.name));
        }
        path.push(address);
        let pointed = if function.is_indirect { Some(taken) } else { None };
        let (mut deepest, mut by) = (0, None);
        for &callee in function.callees.iter().chain(pointed.into_iter().flatten()) {
            let (depth, _) = self.depth(callee, taken, known, path)?;
            if depth > deepest || by.is_none() {
                (deepest, by) = (depth, Some(callee));
            }
        }
        path.pop();
        let depth = (function.frame + deepest, by);
        known.insert(address, depth);
        Ok(depth)
    }
}

/// Reads one function's instructions.
struct Reader<'a> {
    start: u32,
    text: &'a [u8],
    /// Where data begins between code, and where code does.
    is_data: &'a BTreeMap<u32, bool>,
    code: &'a Code,
}

impl Reader<'_> {
    fn half(&self, address: u32) -> u16 {
        let at = address.wrapping_sub(self.start) as usize;
        self.text.get(at..at + 2).map_or(0, |bytes| u16::from_le_bytes([bytes[0], bytes[1]]))
    }

    fn word(&self, address: u32) -> u32 {
        u32::from(self.half(address)) | u32::from(self.half(address + 2)) << 16
    }

    fn scan(&self, start: u32, function: &Function) -> Function {
        let mut found = function.clone();
        // What registers were last given: literals, and the lower halves of constants.
        let mut registers = [0u32; 16];
        let mut aligns = 0;
        let mut address = start;
        while address < function.end {
            if self.is_data.range(..=address).next_back().is_some_and(|(_, &is_data)| is_data) {
                address += 2;
                continue;
            }
            let first = self.half(address);
            let size = length(first);
            let effect = if size == 2 {
                narrow(first, address, &registers)
            } else {
                wide(first, self.half(address + 2), address)
            };
            match effect {
                Effect::Nothing => {}
                Effect::Takes(bytes) => found.frame += bytes,
                Effect::Computed => {
                    found.unknown = Some(format!("a frame of computed size, at {address:#x}"))
                }
                Effect::Indirect => found.is_indirect = true,
                Effect::Aligns => aligns = 16,
                // ARMv6-M has no other far branch than BL.
                Effect::Calls(to) if (start + 1..function.end).contains(&to) => {}
                Effect::Calls(to) => match self.code.owner(to) {
                    Some(owner) => drop(found.callees.insert(owner)),
                    None => found.unknown = Some(format!("a call of {to:#x}, where no function is")),
                },
                Effect::Jumps(to) => {
                    found.callees.extend(self.code.owner(to).filter(|&owner| owner != start));
                }
                Effect::Loads(register, literal) => registers[register] = self.word(literal),
                Effect::Lower(register, value) => registers[register] = value,
                Effect::Upper(register, value) => {
                    registers[register] = value << 16 | registers[register] & 0xffff
                }
            }
            if let Effect::Loads(register, _) | Effect::Upper(register, _) = effect {
                found.taken.extend(self.code.pointed_to(registers[register]));
            }
            address += size;
        }
        // A stack pointer that is rounded down.
        found.frame += aligns;
        found
    }
}

/// What an instruction does to the stack and to the flow of control.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    Nothing,
    /// The stack pointer falls by so many bytes.
    Takes(u64),
    /// The stack pointer becomes what nothing is known of.
    Computed,
    /// Bits of an address are cleared: the stack pointer is aligned.
    Aligns,
    Calls(u32),
    Jumps(u32),
    Indirect,
    /// A register gets the word at an address.
    Loads(usize, u32),
    /// A register gets a number of 16 bits.
    Lower(usize, u32),
    /// Its upper half does.
    Upper(usize, u32),
}

const SP: u16 = 13;

fn narrow(op: u16, address: u32, registers: &[u32; 16]) -> Effect {
    let sign = |value: u32, bits: u32| ((value << (32 - bits)) as i32 >> (32 - bits)) as u32;
    match op {
        _ if op & 0xfe00 == 0xb400 => Effect::Takes(4 * u64::from((op & 0x1ff).count_ones())),
        _ if op & 0xff80 == 0xb080 => Effect::Takes(4 * u64::from(op & 0x7f)),
        // ADD SP, register: of a literal, which is negative in a prologue.
        _ if op & 0xff87 == 0x4485 => match registers[usize::from(op >> 3 & 15)] as i32 {
            by @ ..0 => Effect::Takes(u64::from(by.unsigned_abs())),
            _ => Effect::Nothing,
        },
        _ if op & 0xff87 == 0x4780 => Effect::Indirect,
        // BX of another register than LR.
        _ if op & 0xff87 == 0x4700 && op >> 3 & 15 != 14 => Effect::Indirect,
        _ if op & 0xf800 == 0x4800 => {
            let literal = (address & !3) + 4 + 4 * u32::from(op & 0xff);
            Effect::Loads(usize::from(op >> 8 & 7), literal)
        }
        _ if op & 0xf000 == 0xd000 && op >> 8 & 15 < 14 => {
            Effect::Jumps(address.wrapping_add(4).wrapping_add(sign(u32::from(op & 0xff) << 1, 9)))
        }
        _ if op & 0xf800 == 0xe000 => {
            Effect::Jumps(address.wrapping_add(4).wrapping_add(sign(u32::from(op & 0x7ff) << 1, 12)))
        }
        _ => Effect::Nothing,
    }
}

fn wide(first: u16, second: u16, address: u32) -> Effect {
    let destination = second >> 8 & 15;
    let immediate12 =
        u32::from(first >> 10 & 1) << 11 | u32::from(second >> 12 & 7) << 8 | u32::from(second & 0xff);
    let immediate16 = u32::from(first & 15) << 12 | immediate12;
    match first {
        // STMDB SP!, VSTMDB SP!.
        0xe92d => Effect::Takes(4 * u64::from(second.count_ones())),
        _ if first & 0xffbf == 0xed2d => Effect::Takes(4 * u64::from(second & 0xff)),
        // STR and STRD before the stack pointer, which they move.
        0xf84d if second & 0x0f00 == 0x0d00 => Effect::Takes(u64::from(second & 0xff)),
        0xe96d => Effect::Takes(4 * u64::from(second & 0xff)),
        // SUB SP, SP: a modified immediate, a plain one, a register.
        _ if first & 0xfbef == 0xf1ad && destination == SP => Effect::Takes(u64::from(expand(immediate12))),
        _ if first & 0xfbff == 0xf2ad && destination == SP => Effect::Takes(u64::from(immediate12)),
        _ if first & 0xffef == 0xebad && destination == SP => Effect::Computed,
        // BFC.
        0xf36f => Effect::Aligns,
        _ if first & 0xfbf0 == 0xf240 && second & 0x8000 == 0 => {
            Effect::Lower(destination.into(), immediate16)
        }
        _ if first & 0xfbf0 == 0xf2c0 && second & 0x8000 == 0 => {
            Effect::Upper(destination.into(), immediate16)
        }
        0xf8df | 0xf85f if second >> 12 != 15 => {
            let offset = u32::from(second & 0xfff);
            let base = (address & !3) + 4;
            let literal = if first == 0xf8df { base + offset } else { base.wrapping_sub(offset) };
            Effect::Loads(usize::from(second >> 12), literal)
        }
        _ if first & 0xf800 == 0xf000 && second & 0x8000 != 0 => branch(first, second, address),
        _ => Effect::Nothing,
    }
}

/// BL, B.W, and B.W with a condition.
fn branch(first: u16, second: u16, address: u32) -> Effect {
    let bit = |half: u16, place: u16| u32::from(half >> place & 1);
    let (sign, low) = (bit(first, 10), u32::from(second & 0x7ff) << 1);
    let (j1, j2) = (bit(second, 13), bit(second, 11));
    let from = |offset: u32| address.wrapping_add(4).wrapping_add(offset);
    if second & 0x1000 == 0 {
        if second & 0x4000 != 0 || first >> 6 & 15 >= 14 {
            return Effect::Nothing;
        }
        let offset = sign << 20 | j2 << 19 | j1 << 18 | u32::from(first & 0x3f) << 12 | low;
        return Effect::Jumps(from(((offset << 11) as i32 >> 11) as u32));
    }
    let (i1, i2) = (1 ^ j1 ^ sign, 1 ^ j2 ^ sign);
    let offset = sign << 24 | i1 << 23 | i2 << 22 | u32::from(first & 0x3ff) << 12 | low;
    let to = from(((offset << 7) as i32 >> 7) as u32);
    if second & 0x4000 != 0 {
        Effect::Calls(to)
    } else {
        Effect::Jumps(to)
    }
}

/// `ThumbExpandImm` of the architecture reference manual, of the patterns that a frame can have.
fn expand(immediate12: u32) -> u32 {
    let byte = immediate12 & 0xff;
    match immediate12 >> 8 {
        0 => byte,
        1 => byte << 16 | byte,
        2 => byte << 24 | byte << 8,
        3 => byte * 0x0101_0101,
        _ => (0x80 | byte & 0x7f).rotate_right(immediate12 >> 7),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checked with `llvm-mc --disassemble -triple=thumbv7em-none-eabihf -mcpu=cortex-m4`, LLVM 14.
    #[test]
    fn instructions_have_the_effect_that_the_disassembler_shows() {
        let registers = [0; 16];
        let mut literal = registers;
        literal[4] = -640i32 as u32;
        assert_eq!(narrow(0xb5f0, 0, &registers), Effect::Takes(20), "push {{r4-r7, lr}}");
        assert_eq!(narrow(0xb0a3, 0, &registers), Effect::Takes(140), "sub sp, #140");
        assert_eq!(narrow(0xb023, 0, &registers), Effect::Nothing, "add sp, #140");
        assert_eq!(narrow(0x44a5, 0, &literal), Effect::Takes(640), "add sp, r4");
        assert_eq!(narrow(0x4788, 0, &registers), Effect::Indirect, "blx r1");
        assert_eq!(narrow(0x4770, 0, &registers), Effect::Nothing, "bx lr");
        assert_eq!(narrow(0x4901, 0x102, &registers), Effect::Loads(1, 0x108), "ldr r1, [pc, #4]");
        assert_eq!(narrow(0xd1fe, 0x100, &registers), Effect::Jumps(0x100), "bne .");
        assert_eq!(narrow(0xe7fe, 0x100, &registers), Effect::Jumps(0x100), "b .");
        assert_eq!(wide(0xe92d, 0x0f00, 0), Effect::Takes(16), "push.w {{r8-r11}}");
        assert_eq!(wide(0xed2d, 0x8b10, 0), Effect::Takes(64), "vpush {{d8-d15}}");
        assert_eq!(wide(0xf84d, 0xbd04, 0), Effect::Takes(4), "str r11, [sp, #-4]!");
        assert_eq!(wide(0xf5ad, 0x7d14, 0), Effect::Takes(592), "sub.w sp, sp, #592");
        assert_eq!(wide(0xf2ad, 0x5d34, 0), Effect::Takes(1332), "subw sp, sp, #1332");
        assert_eq!(wide(0xebad, 0x0d01, 0), Effect::Computed, "sub.w sp, sp, r1");
        assert_eq!(wide(0xf1a7, 0x0d18, 0), Effect::Nothing, "sub.w sp, r7, #24");
        assert_eq!(wide(0xf240, 0x6ef1, 0), Effect::Lower(14, 0x6f1), "movw lr, #1777");
        assert_eq!(wide(0xf2c0, 0x0e01, 0), Effect::Upper(14, 1), "movt lr, #1");
        assert_eq!(wide(0xf7ff, 0xfffe, 0x100), Effect::Calls(0x100), "bl .");
        assert_eq!(wide(0xf7ff, 0xbffe, 0x100), Effect::Jumps(0x100), "b.w .");
        assert_eq!(wide(0xf43f, 0xaffe, 0x100), Effect::Jumps(0x100), "beq.w .");
    }

    fn code(functions: &[(u32, u64, &[u32], bool)]) -> Code {
        let function = |&(address, frame, callees, is_indirect): &(u32, u64, &[u32], bool)| {
            let name = format!("f{address}");
            let callees = callees.iter().copied().collect();
            (address, Function { name, end: address + 1, frame, callees, is_indirect, ..Function::default() })
        };
        let starts = BTreeSet::new();
        Code { functions: functions.iter().map(function).collect(), starts, constants: BTreeSet::from([9]) }
    }

    #[test]
    fn the_deepest_chain_counts() {
        let code = code(&[(1, 8, &[2, 3], false), (2, 100, &[], false), (3, 16, &[2], false)]);
        let chain = ["f1", "f3", "f2"].map(String::from).to_vec();
        assert_eq!(code.bound(1), Ok(Bound { bytes: 124, chain }));
    }

    #[test]
    fn pointers_may_go_to_whatever_was_taken() {
        let code = code(&[(1, 8, &[2], false), (2, 4, &[], true), (9, 50, &[], false)]);
        assert_eq!(code.bound(1).map(|bound| bound.bytes), Ok(62));
    }

    #[test]
    fn recursion_has_no_bound() {
        let code = code(&[(1, 8, &[2], false), (2, 4, &[1], false)]);
        assert!(code.bound(1).is_err_and(|reason| reason.contains("f1")));
    }
}
