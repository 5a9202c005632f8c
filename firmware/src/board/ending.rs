//! How a board ends: with a code that the host sees.
#![allow(unsafe_code, reason = "exception handlers")]

use core::panic::PanicInfo;

use cortex_m_rt::{exception, ExceptionFrame};

use crate::exit_code;

/// Ends the program with a code that the host sees.
pub fn exit(code: i32) -> ! {
    semihosting::process::exit(code)
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    exit(exit_code::PANIC)
}

// SAFETY: does not return and touches no memory but its stack.
#[exception]
unsafe fn HardFault(_: &ExceptionFrame) -> ! {
    exit(exit_code::HARD_FAULT)
}

#[cfg(not(all(feature = "live", feature = "mps2-an386")))]
// SAFETY: does not return and touches no memory but its stack.
#[exception]
unsafe fn DefaultHandler(_: i16) -> ! {
    exit(exit_code::EXCEPTION)
}
