//! One interrupt and what it does.
//!
//! Without a vector table of the device every interrupt goes through cortex-m-rt's default handler, which is told its
//! number: enough for firmware that has one source of samples.
#![allow(unsafe_code, reason = "the interrupt controller and its handler")]

use core::cell::Cell;

use cortex_m::interrupt::InterruptNumber;
use cortex_m::peripheral::NVIC;
use cortex_m_rt::exception;
use critical_section::Mutex;

use super::ending::exit;
use crate::exit_code;

/// An interrupt of the board, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interrupt(pub(super) u16);

// SAFETY: the number is the board's and does not change.
unsafe impl InterruptNumber for Interrupt {
    fn number(self) -> u16 {
        self.0
    }
}

type Handler = Option<(Interrupt, fn())>;

static HANDLER: Mutex<Cell<Handler>> = Mutex::new(Cell::new(None));

/// Has `handler` called at an interrupt from now on, in place of any before.
pub fn on(interrupt: Interrupt, handler: fn()) {
    critical_section::with(|section| {
        if let Some((before, _)) = HANDLER.borrow(section).replace(Some((interrupt, handler))) {
            NVIC::mask(before);
        }
    });
    // SAFETY: no critical section is left, and the handler is in place.
    unsafe { NVIC::unmask(interrupt) }
}

// SAFETY: touches no memory but its stack; what handlers share with the program stands behind a critical section.
#[exception]
unsafe fn DefaultHandler(number: i16) {
    let found = critical_section::with(|section| HANDLER.borrow(section).get());
    match found {
        Some((interrupt, handler)) if i32::from(number) == i32::from(interrupt.0) => handler(),
        _ => exit(exit_code::EXCEPTION),
    }
}
