//! BBC micro:bit, version 1: a Cortex-M0 (nRF51822) with 16 KB of RAM at 16 MHz, as emulated by QEMU.
//!
//! Addresses are from Nordic's nRF51 Series Reference Manual. The job lies in the second half of the
//! flash: the RAM has no room for it.
#![allow(unsafe_code, reason = "addresses of registers")]

use core::convert::Infallible;

use embedded_hal::digital::{ErrorType, OutputPin, StatefulOutputPin};

use super::register::Register;

/// The name by which QEMU and the host tools know the board.
pub const NAME: &str = "microbit";

/// Ticks of SysTick in a second. Under `-icount shift=0` an instruction takes one nanosecond.
pub const CLOCK_HZ: u32 = 16_000_000;

/// Words that a scorer may use here; the other half of the RAM is statics and stack.
pub const WORKSPACE_WORDS: usize = 1 << 11;

/// The upper half of the flash, left to the host.
pub(super) const JOB_START: usize = 0x2_0000;
pub(super) const JOB_BYTES: usize = 128 << 10;

// SAFETY: registers of the UART, always mapped; sending moves no memory.
const UART_START_TX: Register = unsafe { Register::at(0x4000_2008) };
// SAFETY: as above.
const UART_TX_READY: Register = unsafe { Register::at(0x4000_211C) };
// SAFETY: as above.
const UART_ENABLE: Register = unsafe { Register::at(0x4000_2500) };
// SAFETY: as above.
const UART_TX_DATA: Register = unsafe { Register::at(0x4000_251C) };

// SAFETY: registers of the pins, always mapped.
const PINS_OUT: Register = unsafe { Register::at(0x5000_0504) };
// SAFETY: as above.
const PINS_SET: Register = unsafe { Register::at(0x5000_0508) };
// SAFETY: as above.
const PINS_CLEAR: Register = unsafe { Register::at(0x5000_050C) };
// SAFETY: as above.
const PINS_DIRECTION_SET: Register = unsafe { Register::at(0x5000_0518) };

/// The UART, transmitting only.
pub struct Uart(());

impl Uart {
    pub(super) fn new() -> Self {
        UART_ENABLE.write(4);
        UART_START_TX.write(1);
        Self(())
    }

    /// Sends all bytes; waits for the line.
    pub fn send(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            UART_TX_READY.write(0);
            UART_TX_DATA.write(byte.into());
            while UART_TX_READY.read() == 0 {}
        }
    }
}

/// The LED in the upper left corner, lit on alarm.
pub struct AlarmOutput(());

impl AlarmOutput {
    /// Drives the LED's row; lit if high.
    const ROW_1: u32 = 1 << 13;
    /// Drives the LED's column; stays low.
    const COLUMN_1: u32 = 1 << 4;

    pub(super) fn new() -> Self {
        PINS_CLEAR.write(Self::ROW_1 | Self::COLUMN_1);
        PINS_DIRECTION_SET.write(Self::ROW_1 | Self::COLUMN_1);
        Self(())
    }
}

impl ErrorType for AlarmOutput {
    type Error = Infallible;
}

impl OutputPin for AlarmOutput {
    fn set_low(&mut self) -> Result<(), Infallible> {
        PINS_CLEAR.write(Self::ROW_1);
        Ok(())
    }

    fn set_high(&mut self) -> Result<(), Infallible> {
        PINS_SET.write(Self::ROW_1);
        Ok(())
    }
}

impl StatefulOutputPin for AlarmOutput {
    fn is_set_high(&mut self) -> Result<bool, Infallible> {
        Ok(PINS_OUT.read() & Self::ROW_1 != 0)
    }

    fn is_set_low(&mut self) -> Result<bool, Infallible> {
        self.is_set_high().map(|high| !high)
    }
}
