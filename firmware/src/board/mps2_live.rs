//! What a live detector needs of ARM's MPS2: the I2C bus of its second shield, a data-ready line, a sampling timer,
//! and a clock.
//!
//! Addresses and interrupt numbers are from ARM's application note AN386, which AN385 and AN500 share; QEMU's
//! `hw/arm/mps2.c` agrees. QEMU puts a device named without a bus on the second shield's.
#![allow(unsafe_code, reason = "addresses of registers")]

use core::convert::Infallible;

use embedded_hal::delay::DelayNs;
use embedded_hal::digital::{ErrorType, InputPin, OutputPin};
use flowlet_sensors::bit_bang::BitBangI2c;

use super::chosen::CLOCK_HZ;
use super::cmsdk::UartRegisters;
use super::interrupts::Interrupt;
use super::register::Register;

// SAFETY: shield 1's two-wire interface (ARM SBCon), always mapped: reading gives the lines, writing sets bits.
const SHIELD_SET: Register = unsafe { Register::at(0x4002_A000) };
// SAFETY: as above; writing clears bits.
const SHIELD_CLEAR: Register = unsafe { Register::at(0x4002_A004) };
const CLOCK_LINE: u32 = 1;
const DATA_LINE: u32 = 1 << 1;

// SAFETY: a free-running counter of the FPGA, always mapped.
const COUNTER: Register = unsafe { Register::at(0x4002_8018) };

// SAFETY: the board's second CMSDK UART, always mapped.
const UART1: UartRegisters = unsafe { UartRegisters::at(0x4000_5000) };
// SAFETY: its interrupt register.
const UART1_INTERRUPTS: Register = unsafe { Register::at(0x4000_500C) };
const UART_RECEIVED: u32 = 1 << 1;

// SAFETY: CMSDK timer 0, always mapped.
const TIMER_CONTROL: Register = unsafe { Register::at(0x4000_0000) };
// SAFETY: as above.
const TIMER_VALUE: Register = unsafe { Register::at(0x4000_0004) };
// SAFETY: as above.
const TIMER_RELOAD: Register = unsafe { Register::at(0x4000_0008) };
// SAFETY: as above.
const TIMER_INTERRUPT: Register = unsafe { Register::at(0x4000_000C) };

/// Ticks of [`now`] in a second.
pub const TICKS_HZ: u32 = CLOCK_HZ;

/// The FPGA's clock: 25 MHz, wraps around after 171 s.
pub fn now() -> u32 {
    COUNTER.read()
}

/// The I2C bus of the second shield.
pub type ShieldI2c = BitBangI2c<ShieldClock, ShieldData, Cycles>;

/// The bus, at the 400 kHz of the fast mode.
pub fn shield_i2c() -> ShieldI2c {
    BitBangI2c::new(ShieldClock(()), ShieldData(()), Cycles(()), 400_000)
}

/// Waits by counting cycles: at least as long as asked.
#[derive(Debug)]
pub struct Cycles(());

impl DelayNs for Cycles {
    fn delay_ns(&mut self, ns: u32) {
        // 40 ns a cycle.
        cortex_m::asm::delay(ns / (1_000_000_000 / CLOCK_HZ) + 1);
    }
}

/// The bus's clock line.
#[derive(Debug)]
pub struct ShieldClock(());

impl ErrorType for ShieldClock {
    type Error = Infallible;
}

impl OutputPin for ShieldClock {
    fn set_low(&mut self) -> Result<(), Infallible> {
        SHIELD_CLEAR.write(CLOCK_LINE);
        Ok(())
    }

    fn set_high(&mut self) -> Result<(), Infallible> {
        SHIELD_SET.write(CLOCK_LINE);
        Ok(())
    }
}

/// The bus's data line, open drain.
#[derive(Debug)]
pub struct ShieldData(());

impl ErrorType for ShieldData {
    type Error = Infallible;
}

impl OutputPin for ShieldData {
    fn set_low(&mut self) -> Result<(), Infallible> {
        SHIELD_CLEAR.write(DATA_LINE);
        Ok(())
    }

    fn set_high(&mut self) -> Result<(), Infallible> {
        SHIELD_SET.write(DATA_LINE);
        Ok(())
    }
}

impl InputPin for ShieldData {
    fn is_high(&mut self) -> Result<bool, Infallible> {
        Ok(SHIELD_SET.read() & DATA_LINE != 0)
    }

    fn is_low(&mut self) -> Result<bool, Infallible> {
        self.is_high().map(|high| !high)
    }
}

/// The sensor's data-ready line. The emulated sensor has none, so that the receiver of the second serial line stands in:
/// a byte is an edge.
pub struct DataReady(());

impl DataReady {
    /// Its interrupt.
    pub const INTERRUPT: Interrupt = Interrupt(2);

    /// Listens to the line.
    pub fn start() {
        UART1.enable_receiver();
    }

    /// Takes note of an edge, once for each.
    pub fn acknowledge() {
        // In this order: reading makes room for the next byte, which raises the interrupt again.
        UART1_INTERRUPTS.write(UART_RECEIVED);
        UART1.take();
    }
}

/// A timer that asks for samples.
pub struct SamplingTimer(());

impl SamplingTimer {
    /// Its interrupt.
    pub const INTERRUPT: Interrupt = Interrupt(8);

    /// Starts it, with a period in ticks of [`TICKS_HZ`].
    pub fn start(period: u32) {
        TIMER_RELOAD.write(period.saturating_sub(1));
        TIMER_VALUE.write(period.saturating_sub(1));
        // Enabled, with its interrupt.
        TIMER_CONTROL.write(1 | 1 << 3);
    }

    /// Ends it.
    pub fn stop() {
        TIMER_CONTROL.write(0);
    }

    /// Takes note of an interrupt.
    pub fn acknowledge() {
        TIMER_INTERRUPT.write(1);
    }
}
