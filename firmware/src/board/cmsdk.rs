//! What ARM's MPS boards share: the CMSDK UART and the LEDs of the FPGA, at addresses of the board's.
#![allow(unsafe_code, reason = "addresses of registers")]

use core::convert::Infallible;

use embedded_hal::digital::{ErrorType, OutputPin, StatefulOutputPin};

use super::chosen::{FPGA_LEDS, UART0};
use super::register::Register;

/// Registers of a CMSDK UART.
pub(super) struct UartRegisters {
    data: Register,
    state: Register,
    control: Register,
    baud_divider: Register,
}

impl UartRegisters {
    /// The registers from an address on.
    ///
    /// # Safety
    /// A CMSDK UART must be there for as long as the program runs.
    pub(super) const unsafe fn at(base: usize) -> Self {
        // SAFETY: the caller's word; sending moves no memory.
        unsafe {
            Self {
                data: Register::at(base),
                state: Register::at(base + 0x4),
                control: Register::at(base + 0x8),
                baud_divider: Register::at(base + 0x10),
            }
        }
    }

    /// Receives, with an interrupt for each byte.
    #[cfg(feature = "live")]
    pub(super) fn enable_receiver(&self) {
        self.baud_divider.write(16);
        self.control.write(1 << 1 | 1 << 3);
    }

    /// The byte received last, out of the way of the next.
    #[cfg(feature = "live")]
    pub(super) fn take(&self) -> u8 {
        self.data.read() as u8
    }
}

/// CMSDK UART 0, transmitting only.
pub struct Uart(());

impl Uart {
    const STATE_TX_FULL: u32 = 1;
    const CONTROL_TX_ENABLE: u32 = 1;

    pub(super) fn new() -> Self {
        // The smallest divider the UART takes; an emulated line has no speed.
        UART0.baud_divider.write(16);
        UART0.control.write(Self::CONTROL_TX_ENABLE);
        Self(())
    }

    /// Sends all bytes; waits for the line.
    pub fn send(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            while UART0.state.read() & Self::STATE_TX_FULL != 0 {}
            UART0.data.write(byte.into());
        }
    }
}

/// The first user LED, lit on alarm.
pub struct AlarmOutput(());

impl AlarmOutput {
    const LED_0: u32 = 1;

    pub(super) fn new() -> Self {
        Self(())
    }
}

impl ErrorType for AlarmOutput {
    type Error = Infallible;
}

impl OutputPin for AlarmOutput {
    fn set_low(&mut self) -> Result<(), Infallible> {
        FPGA_LEDS.write(FPGA_LEDS.read() & !Self::LED_0);
        Ok(())
    }

    fn set_high(&mut self) -> Result<(), Infallible> {
        FPGA_LEDS.write(FPGA_LEDS.read() | Self::LED_0);
        Ok(())
    }
}

impl StatefulOutputPin for AlarmOutput {
    fn is_set_high(&mut self) -> Result<bool, Infallible> {
        Ok(FPGA_LEDS.read() & Self::LED_0 != 0)
    }

    fn is_set_low(&mut self) -> Result<bool, Infallible> {
        self.is_set_high().map(|high| !high)
    }
}
