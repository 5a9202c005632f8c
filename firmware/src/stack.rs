//! How deep the stack went: paint the free part, run, see how much paint is left.
#![allow(unsafe_code, reason = "reads and writes the free part of the stack")]

use core::ptr;

const PAINT: u32 = 0xC5C5_C5C5;

/// Room below the stack pointer that is left unpainted: the frame of the painting function and of
/// what may interrupt it.
const MARGIN_BYTES: usize = 256;

extern "C" {
    /// End of the statics, start of the free memory that the stack grows down to (cortex-m-rt).
    static mut _stack_end: u32;
}

/// Runs `work` and returns what it returned and how many bytes of stack it took below its
/// caller, rounded up to a word, `MARGIN_BYTES` at least.
#[inline(never)]
pub fn gauge<R>(work: impl FnOnce() -> R) -> (R, u32) {
    let top = cortex_m::register::msp::read() as usize;
    let bottom = ptr::addr_of_mut!(_stack_end) as usize;
    let painted = top.saturating_sub(MARGIN_BYTES).max(bottom) & !3;
    let words = (painted - bottom) / 4;
    let bottom = bottom as *mut u32;
    for word in 0..words {
        // SAFETY: `bottom` is word-aligned (asserted by cortex-m-rt's link script); the words up
        // to `painted` are below the stack pointer and above all statics: nothing lives there.
        unsafe { bottom.add(word).write_volatile(PAINT) }
    }
    let result = work();
    // SAFETY: as above; the words are initialized by the painting.
    let untouched =
        (0..words).take_while(|&word| unsafe { bottom.add(word).read_volatile() } == PAINT).count();
    let lowest = bottom as usize + untouched * 4;
    (result, top.saturating_sub(lowest) as u32)
}
