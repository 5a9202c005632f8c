//! ST NUCLEO-F411RE: accelerometer on I2C1 (SCL PB8, SDA PB9, the pins D15 and D14) with its line INT1 on PA10 (D2),
//! alarm on the LED LD2 (PA5).
#![no_std]
#![no_main]

use cortex_m::peripheral::DWT;
use cortex_m_rt::entry;
use detector::polled::{watch, Board};
use panic_probe as _;
use stm32f4xx_hal::i2c::Mode;
use stm32f4xx_hal::pac;
use stm32f4xx_hal::prelude::*;
use stm32f4xx_hal::rcc::Config;

#[entry]
fn main() -> ! {
    if let (Some(board), Some(mut core)) = (pac::Peripherals::take(), cortex_m::Peripherals::take()) {
        // From the internal oscillator: the board comes without a crystal.
        let mut rcc = board.RCC.freeze(Config::hsi().sysclk(84.MHz()));
        // The clock of samples: the core's own cycles.
        core.DCB.enable_trace();
        core.DWT.enable_cycle_counter();
        let a = board.GPIOA.split(&mut rcc);
        let b = board.GPIOB.split(&mut rcc);
        let board = Board {
            i2c: board.I2C1.i2c((b.pb8, b.pb9), Mode::standard(100.kHz()), &mut rcc),
            ready: a.pa10.into_pull_down_input(),
            alarm: a.pa5.into_push_pull_output(),
            now: DWT::cycle_count,
            ticks_hz: rcc.clocks.hclk().raw(),
        };
        match watch(board) {
            Ok(never) => match never {},
            Err(fault) => defmt::error!("{}", fault),
        }
    }
    loop {
        cortex_m::asm::wfi();
    }
}
