//! ST NUCLEO-F411RE: accelerometer on I2C1 (SCL PB8, SDA PB9, the pins D15 and D14), alarm on the LED LD2 (PA5).
#![no_std]
#![no_main]

use cortex_m_rt::entry;
use panic_probe as _;
use stm32f4xx_hal::i2c::Mode;
use stm32f4xx_hal::pac;
use stm32f4xx_hal::prelude::*;
use stm32f4xx_hal::rcc::Config;

#[entry]
fn main() -> ! {
    if let (Some(board), Some(core)) = (pac::Peripherals::take(), cortex_m::Peripherals::take()) {
        // From the internal oscillator: the board comes without a crystal.
        let mut rcc = board.RCC.freeze(Config::hsi().sysclk(84.MHz()));
        let mut delay = core.SYST.delay(&rcc.clocks);
        let mut alarm = board.GPIOA.split(&mut rcc).pa5.into_push_pull_output();
        let pins = board.GPIOB.split(&mut rcc);
        let i2c = board.I2C1.i2c((pins.pb8, pins.pb9), Mode::standard(100.kHz()), &mut rcc);
        match detector::watch(i2c, &mut alarm, &mut delay) {
            Ok(never) => match never {},
            Err(fault) => defmt::error!("{}", fault),
        }
    }
    loop {
        cortex_m::asm::wfi();
    }
}
