//! What ARM's MPS boards share: the CMSDK UART and the LEDs of the FPGA, at addresses of the board's.

use core::convert::Infallible;

use embedded_hal::digital::{ErrorType, OutputPin, StatefulOutputPin};

use super::chosen::{FPGA_LEDS, UART0};
use super::register::Register;

/// Registers of UART 0.
pub(super) struct UartRegisters {
    pub(super) data: Register,
    pub(super) state: Register,
    pub(super) control: Register,
    pub(super) baud_divider: Register,
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
