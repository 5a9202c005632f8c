//! ARM MPS2 with the AN386 image: a Cortex-M4F at 25 MHz, as emulated by QEMU.
//!
//! Addresses are from ARM's application note AN386; QEMU's `hw/arm/mps2.c` agrees.
#![allow(unsafe_code, reason = "memory-mapped registers, memory filled by the host, and exception handlers")]

use core::convert::Infallible;
use core::panic::PanicInfo;
use core::ptr;

use cortex_m_rt::{exception, ExceptionFrame};
use embedded_hal::digital::{ErrorType, OutputPin, StatefulOutputPin};

use crate::exit_code;
use crate::stopwatch::Stopwatch;

/// The name by which QEMU and the host tools know the board.
pub const NAME: &str = "mps2-an386";

/// Instructions in one tick of SysTick: under `-icount shift=0` an instruction takes one
/// nanosecond, and a tick of the 25 MHz clock 40.
pub const INSTRUCTIONS_PER_TICK: u32 = 40;

/// PSRAM, all of it left to the host.
const JOB_START: usize = 0x2100_0000;
const JOB_BYTES: usize = 16 << 20;

const UART0: usize = 0x4000_4000;
const FPGA_LEDS: usize = 0x4002_8000;

/// What the board has.
pub struct Board {
    /// The serial line to the host.
    pub uart: Uart,
    /// The alarm output.
    pub alarm: AlarmOutput,
    /// The clock that counts instructions.
    pub stopwatch: Stopwatch,
    /// The memory in which the host places its job.
    pub job: &'static [u8],
}

impl Board {
    /// The board, once.
    pub fn take() -> Option<Self> {
        let core = cortex_m::Peripherals::take()?;
        // SAFETY: PSRAM is plain memory of this size, always mapped; nothing else of the program
        // is linked into it and nothing writes to it, so it is constant while we run.
        let job = unsafe { core::slice::from_raw_parts(JOB_START as *const u8, JOB_BYTES) };
        Some(Self { uart: Uart::new(), alarm: AlarmOutput(()), stopwatch: Stopwatch::new(core.SYST), job })
    }
}

/// CMSDK UART 0, transmitting only.
pub struct Uart(());

impl Uart {
    const DATA: usize = UART0;
    const STATE: usize = UART0 + 0x4;
    const CONTROL: usize = UART0 + 0x8;
    const BAUD_DIVIDER: usize = UART0 + 0x10;
    const STATE_TX_FULL: u32 = 1;
    const CONTROL_TX_ENABLE: u32 = 1;

    fn new() -> Self {
        // The smallest divider the UART takes; an emulated line has no speed.
        write(Self::BAUD_DIVIDER, 16);
        write(Self::CONTROL, Self::CONTROL_TX_ENABLE);
        Self(())
    }

    /// Sends all bytes; waits for the line.
    pub fn send(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            while read(Self::STATE) & Self::STATE_TX_FULL != 0 {}
            write(Self::DATA, byte.into());
        }
    }
}

/// The first user LED, lit on alarm.
pub struct AlarmOutput(());

impl AlarmOutput {
    const LED_0: u32 = 1;
}

impl ErrorType for AlarmOutput {
    type Error = Infallible;
}

impl OutputPin for AlarmOutput {
    fn set_low(&mut self) -> Result<(), Infallible> {
        write(FPGA_LEDS, read(FPGA_LEDS) & !Self::LED_0);
        Ok(())
    }

    fn set_high(&mut self) -> Result<(), Infallible> {
        write(FPGA_LEDS, read(FPGA_LEDS) | Self::LED_0);
        Ok(())
    }
}

impl StatefulOutputPin for AlarmOutput {
    fn is_set_high(&mut self) -> Result<bool, Infallible> {
        Ok(read(FPGA_LEDS) & Self::LED_0 != 0)
    }

    fn is_set_low(&mut self) -> Result<bool, Infallible> {
        self.is_set_high().map(|high| !high)
    }
}

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

// SAFETY: does not return and touches no memory but its stack.
#[exception]
unsafe fn DefaultHandler(_: i16) -> ! {
    exit(exit_code::EXCEPTION)
}

fn read(register: usize) -> u32 {
    // SAFETY: called with the constants above, word-sized registers of always-on peripherals
    // whose reading has no effect on memory.
    unsafe { ptr::read_volatile(register as *const u32) }
}

fn write(register: usize, value: u32) {
    // SAFETY: as for `read`; none of these registers starts a transfer to memory.
    unsafe { ptr::write_volatile(register as *mut u32, value) }
}
