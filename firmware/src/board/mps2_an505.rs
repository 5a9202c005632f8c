//! ARM MPS2 with the AN505 image: a Cortex-M33 with FPU at 20 MHz, as emulated by QEMU.
//!
//! All is in the secure world, where the core starts. Addresses are from ARM's application note
//! AN505; QEMU's `hw/arm/mps2-tz.c` agrees.
#![allow(unsafe_code, reason = "addresses of registers")]

use super::cmsdk::UartRegisters;
use super::register::Register;

pub use super::cmsdk::{AlarmOutput, Uart};

/// The name by which QEMU and the host tools know the board.
pub const NAME: &str = "mps2-an505";

/// Ticks of SysTick in a second. Under `-icount shift=0` an instruction takes one nanosecond.
pub const CLOCK_HZ: u32 = 20_000_000;

/// Words that a scorer may use here.
pub const WORKSPACE_WORDS: usize = 1 << 17;

/// PSRAM, all of it left to the host.
pub(super) const JOB_START: usize = 0x8000_0000;
pub(super) const JOB_BYTES: usize = 16 << 20;

// SAFETY: the board's first CMSDK UART, always mapped.
pub(super) const UART0: UartRegisters = unsafe { UartRegisters::at(0x5020_0000) };

// SAFETY: the LEDs of the FPGA, always mapped.
pub(super) const FPGA_LEDS: Register = unsafe { Register::at(0x5030_2000) };
