//! Raspberry Pi Pico: accelerometer on I2C0 (SDA GP4, SCL GP5) with its line INT1 on GP6, alarm on the LED (GP25).
#![no_std]
#![no_main]

use detector::polled::{watch, Board};
use panic_probe as _;
use rp2040_hal as hal;

use hal::clocks::{init_clocks_and_plls, Clock};
use hal::fugit::RateExtU32;
use hal::gpio::{FunctionI2C, Pin, PullUp};
use hal::pac;

/// Starts the flash in place; the chip's own loader runs it.
#[link_section = ".boot2"]
#[used]
static BOOT2: [u8; 256] = rp2040_boot2::BOOT_LOADER_W25Q080;

/// The crystal.
const CRYSTAL_HZ: u32 = 12_000_000;

#[hal::entry]
fn main() -> ! {
    if let Some(mut board) = pac::Peripherals::take() {
        let mut watchdog = hal::Watchdog::new(board.WATCHDOG);
        let clocks = init_clocks_and_plls(
            CRYSTAL_HZ,
            board.XOSC,
            board.CLOCKS,
            board.PLL_SYS,
            board.PLL_USB,
            &mut board.RESETS,
            &mut watchdog,
        );
        match clocks {
            Ok(clocks) => {
                let timer = hal::Timer::new(board.TIMER, &mut board.RESETS, &clocks);
                let sio = hal::Sio::new(board.SIO);
                let pins =
                    hal::gpio::Pins::new(board.IO_BANK0, board.PADS_BANK0, sio.gpio_bank0, &mut board.RESETS);
                let sda: Pin<_, FunctionI2C, PullUp> = pins.gpio4.reconfigure();
                let scl: Pin<_, FunctionI2C, PullUp> = pins.gpio5.reconfigure();
                let system = clocks.system_clock.freq();
                let board = Board {
                    i2c: hal::I2C::i2c0(board.I2C0, sda, scl, 100.kHz(), &mut board.RESETS, system),
                    ready: pins.gpio6.into_pull_down_input(),
                    alarm: pins.gpio25.into_push_pull_output(),
                    now: || timer.get_counter_low(),
                    // Microseconds.
                    ticks_hz: 1_000_000,
                };
                match watch(board) {
                    Ok(never) => match never {},
                    Err(fault) => defmt::error!("{}", fault),
                }
            }
            Err(_) => defmt::error!("the clocks did not start"),
        }
    }
    loop {
        cortex_m::asm::wfi();
    }
}
