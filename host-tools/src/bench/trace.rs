//! Which instructions a firmware executed, one by one, between its marks.
//!
//! QEMU logs every instruction that it executes (`-singlestep -d exec,nochain`); which one that is says the ELF file.
//! Loading and checking an image takes most of the time and is left out of the log.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::time::Duration;

use object::{Object, ObjectSection, ObjectSymbol, SectionKind};

use super::cycles::Executed;
use super::thumb::{classify, length};
use crate::device::{Board, DeviceError, Finished, Qemu};

/// What the functions that only load, check and answer have in their names.
const UNLOGGED: [&str; 5] =
    ["bench_parts6answer", "8checksum", "11check_dense", "5image5check", "5frame6encode"];

/// The instructions of one stretch between two marks.
#[derive(Clone, Debug, Default)]
pub(super) struct Stretch {
    /// What was executed, in order, from behind the first mark's return to the second mark's first instruction.
    pub(super) executed: Vec<Executed>,
    /// The address that follows the last one: the mark's.
    pub(super) end: u32,
}

/// Runs a firmware and gives the stretches between its first and second call of `mark`, its third and fourth, ...
///
/// # Errors
/// Every [`DeviceError`] of a run, and [`DeviceError::Elf`] without the symbol.
pub(super) fn run(
    qemu: &Qemu,
    board: Board,
    elf: &Path,
    job: &[u8],
    mark: &str,
) -> Result<(Finished, Vec<Stretch>), DeviceError> {
    let code = Code::read(elf, mark)?;
    let folder = tempfile::tempdir().map_err(DeviceError::io("making a temporary folder"))?;
    let log = folder.path().join("log");
    let finished = qemu.trace(board, elf, job, (&log, &code.filter), Duration::from_secs(600))?;
    let file = File::open(&log).map_err(DeviceError::io("reading the emulator's log"))?;
    let mut reader = BufReader::with_capacity(1 << 20, file);
    let mut stretches = Vec::new();
    let mut stretch = Stretch::default();
    let mut line = Vec::new();
    let (mut is_inside, mut is_in_mark) = (false, false);
    loop {
        line.clear();
        if reader.read_until(b'\n', &mut line).map_err(DeviceError::io("reading the emulator's log"))? == 0 {
            return Ok((finished, stretches));
        }
        let Some(address) = address(&line) else { continue };
        if (code.mark..code.mark_end).contains(&address) {
            if !is_in_mark && is_inside {
                stretch.end = address;
                stretches.push(std::mem::take(&mut stretch));
            }
            if !is_in_mark {
                is_inside = !is_inside;
            }
            is_in_mark = true;
            continue;
        }
        is_in_mark = false;
        if is_inside {
            stretch.executed.push(code.at(address));
        }
    }
}

/// The address in a line such as `Trace 0: 0x7f1f280001c0 [00000000/000010f4/00000110/ff000201] name`.
fn address(line: &[u8]) -> Option<u32> {
    let line = line.strip_prefix(b"Trace ")?;
    let open = line.iter().position(|&byte| byte == b'[')?;
    let mut fields = line.get(open + 1..)?.split(|&byte| byte == b'/');
    let digits = std::str::from_utf8(fields.nth(1)?).ok()?;
    u32::from_str_radix(digits, 16).ok()
}

/// The machine code of a firmware.
struct Code {
    start: u32,
    bytes: Vec<u8>,
    mark: u32,
    mark_end: u32,
    /// QEMU's list of the ranges to log.
    filter: String,
}

impl Code {
    fn read(elf: &Path, mark: &str) -> Result<Self, DeviceError> {
        let unreadable = |reason: &str| DeviceError::Elf { path: elf.into(), reason: reason.into() };
        let bytes = std::fs::read(elf).map_err(DeviceError::io(format!("reading {}", elf.display())))?;
        let file = object::File::parse(&*bytes).map_err(|error| unreadable(&error.to_string()))?;
        let text = file
            .sections()
            .find(|section| section.kind() == SectionKind::Text && section.name() == Ok(".text"))
            .ok_or_else(|| unreadable("no .text section"))?;
        let symbol = file
            .symbols()
            .find(|symbol| symbol.name().is_ok_and(|name| name.contains(mark)) && symbol.size() > 0)
            .ok_or_else(|| unreadable(&format!("no symbol {mark}")))?;
        // The lowest bit says that it is Thumb code.
        let at = symbol.address() as u32 & !1;
        let start = text.address() as u32;
        let unlogged = file.symbols().filter(|symbol| {
            symbol.size() > 0
                && symbol.name().is_ok_and(|name| UNLOGGED.iter().any(|part| name.contains(part)))
        });
        let mut unlogged: Vec<(u32, u32)> = unlogged
            .map(|symbol| (symbol.address() as u32 & !1, symbol.size() as u32))
            .filter(|&(address, _)| address >= start)
            .collect();
        unlogged.sort_unstable();
        Ok(Self {
            filter: ranges(start, start + text.size() as u32, &unlogged),
            start,
            bytes: text.data().map_err(|error| unreadable(&error.to_string()))?.to_vec(),
            mark: at,
            mark_end: at + symbol.size() as u32,
        })
    }

    fn at(&self, address: u32) -> Executed {
        let halfword = |address: u32| {
            let at = address.wrapping_sub(self.start) as usize;
            self.bytes.get(at..at + 2).map_or(0, |bytes| u16::from_le_bytes([bytes[0], bytes[1]]))
        };
        let first = halfword(address);
        let second = if length(first) == 4 { halfword(address + 2) } else { 0 };
        Executed { address, first, class: classify(first, second) }
    }
}

/// `start..end` without the stretches of (address, bytes), as QEMU's `-dfilter` writes it.
fn ranges(start: u32, end: u32, without: &[(u32, u32)]) -> String {
    let mut ranges = Vec::new();
    let mut from = start;
    for &(address, bytes) in without.iter().chain([&(end, 0)]) {
        if from < address {
            ranges.push(format!("{from:#x}..{:#x}", address - 1));
        }
        from = from.max(address + bytes);
    }
    ranges.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_found_in_the_log() {
        let line = b"Trace 0: 0x7f1f280001c0 [00000000/000010f4/00000110/ff000201] main\n";
        assert_eq!(address(line), Some(0x10f4));
        assert_eq!(address(b"Stopped execution of TB chain before 0x7f [000002d4] x\n"), None);
        assert_eq!(address(b""), None);
    }

    #[test]
    fn what_is_not_logged_is_cut_out() {
        assert_eq!(ranges(0x10, 0x100, &[(0x10, 0x10), (0x40, 0x20)]), "0x20..0x3f,0x60..0xff");
        assert_eq!(ranges(0x10, 0x100, &[]), "0x10..0xff");
    }
}
