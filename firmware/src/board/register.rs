//! Memory-mapped registers.
#![allow(unsafe_code, reason = "memory-mapped registers")]

use core::ptr;

/// A word-sized register of an always-on peripheral, none of whose accesses touches memory.
#[derive(Clone, Copy)]
pub(super) struct Register(usize);

impl Register {
    /// The register at an address.
    ///
    /// # Safety
    /// It must be what the type says, for as long as the program runs.
    pub(super) const unsafe fn at(address: usize) -> Self {
        Self(address)
    }

    pub(super) fn read(self) -> u32 {
        // SAFETY: `at` was promised a register that can be read at any time.
        unsafe { ptr::read_volatile(self.0 as *const u32) }
    }

    pub(super) fn write(self, value: u32) {
        // SAFETY: `at` was promised a register that can be written at any time.
        unsafe { ptr::write_volatile(self.0 as *mut u32, value) }
    }
}
