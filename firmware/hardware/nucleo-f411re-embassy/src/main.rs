//! ST NUCLEO-F411RE with Embassy: accelerometer (LIS3DH) on I2C1 (SCL PB8, SDA PB9, the pins D15 and D14) with its line
//! INT1 on PA10 (D2), alarm on the LED LD2 (PA5).
//!
//! Two tasks. One waits for the data-ready line, reads by DMA and queues what it read; it runs in an interrupt, so that it
//! is never late. The other takes samples from the queue and scores them while the first one waits.
#![no_std]
#![no_main]

use detector::{Watch, CHANNELS, RATE_HZ};
use embassy_executor::{InterruptExecutor, Spawner};
use embassy_stm32::exti::{self, ExtiInput};
use embassy_stm32::gpio::{Level, Output, Pull, Speed};
use embassy_stm32::i2c::{self, I2c};
use embassy_stm32::interrupt::{self, InterruptExt, Priority};
use embassy_stm32::peripherals::{DMA1_CH0, DMA1_CH6, EXTI10, I2C1, PA10, PB8, PB9};
use embassy_stm32::time::Hertz;
use embassy_stm32::{bind_interrupts, dma, rcc, Config, Peri};
use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embassy_sync::channel::Channel;
use embassy_time::{with_timeout, Duration, Instant, Timer, TICK_HZ};
use flowlet::stream::health::{ReadError, Sample};
use flowlet_sensors::lis3dh::{self, Accelerometer, DataRate, Range, SlaveAddr};
use flowlet_sensors::queue::Numbering;
use panic_probe as _;

bind_interrupts!(struct Interrupts {
    I2C1_EV => i2c::EventInterruptHandler<I2C1>;
    I2C1_ER => i2c::ErrorInterruptHandler<I2C1>;
    DMA1_STREAM6 => dma::InterruptHandler<DMA1_CH6>;
    DMA1_STREAM0 => dma::InterruptHandler<DMA1_CH0>;
    EXTI15_10 => exti::InterruptHandler<interrupt::typelevel::EXTI15_10>;
});

/// 100 Hz, 12 bits, +-2 g: a count is a thousandth of a g.
const RATE: DataRate = DataRate::Hz_100;
const RANGE: Range = Range::G2;
const PERIOD: Duration = Duration::from_hz(RATE_HZ as u64);

/// Samples that may wait while a window is scored: 160 ms.
const QUEUE: usize = 16;
static SAMPLES: Channel<CriticalSectionRawMutex, Sample<CHANNELS>, QUEUE> = Channel::new();

/// Runs the sampling task, in an interrupt of a peripheral that is not used.
static SAMPLING: InterruptExecutor = InterruptExecutor::new();

#[embassy_stm32::interrupt]
unsafe fn SPI5() {
    // SAFETY: this is the handler of the interrupt that the executor was started with, which first enables it. There is
    // no other way to run a task above the others.
    unsafe { SAMPLING.on_interrupt() }
}

defmt::timestamp!("{=u64:us}", Instant::now().as_micros());

/// What the sampling task owns.
struct Sensor {
    i2c: Peri<'static, I2C1>,
    scl: Peri<'static, PB8>,
    sda: Peri<'static, PB9>,
    transmit: Peri<'static, DMA1_CH6>,
    receive: Peri<'static, DMA1_CH0>,
    ready: Peri<'static, PA10>,
    ready_line: Peri<'static, EXTI10>,
}

#[embassy_executor::task]
async fn sample(parts: Sensor) {
    let Sensor { i2c, scl, sda, transmit, receive, ready, ready_line } = parts;
    let mut settings = i2c::Config::default();
    settings.frequency = Hertz::khz(400);
    let i2c = I2c::new(i2c, scl, sda, transmit, receive, Interrupts, settings);
    let mut ready = ExtiInput::new(ready, ready_line, Pull::Down, Interrupts);
    let mut sensor = Accelerometer::new(i2c, SlaveAddr::Default, RATE, RANGE).await;
    let mut numbering = Numbering::default();
    // Set up before its line is waited for; if that fails, the first silence tells.
    let _ = with_timeout(PERIOD, sensor.configure()).await;
    loop {
        let is_ready = with_timeout(3 * PERIOD, ready.wait_for_high()).await.is_ok();
        let ticks = Instant::now().as_ticks() as u32;
        let answer = async {
            if is_ready {
                sensor.read().await
            } else {
                // It is there and said nothing: it had lost its settings, or the line is broken.
                Err(sensor.configure().await.err().unwrap_or(ReadError::Unidentified))
            }
        };
        // A line that is held low for ever is a fault of the bus.
        let reading = with_timeout(PERIOD, answer).await.unwrap_or(Err(ReadError::Bus));
        if SAMPLES.try_send(numbering.next(ticks, reading)).is_err() {
            numbering.overran();
        }
        if reading.is_err() {
            // The line may stay high meanwhile.
            Timer::after(PERIOD).await;
        }
    }
}

/// 84 MHz, from the internal oscillator: the board comes without a crystal.
fn clocks() -> Config {
    let mut config = Config::default();
    config.rcc.pll_src = rcc::PllSource::HSI;
    config.rcc.pll = Some(rcc::Pll {
        prediv: rcc::PllPreDiv::DIV16,
        mul: rcc::PllMul::MUL336,
        divp: Some(rcc::PllPDiv::DIV4),
        divq: None,
        divr: None,
    });
    config.rcc.sys = rcc::Sysclk::PLL1_P;
    config.rcc.apb1_pre = rcc::APBPrescaler::DIV2;
    config
}

#[embassy_executor::main]
async fn main(_spawner: Spawner) {
    let board = embassy_stm32::init(clocks());
    let sensor = Sensor {
        i2c: board.I2C1,
        scl: board.PB8,
        sda: board.PB9,
        transmit: board.DMA1_CH6,
        receive: board.DMA1_CH0,
        ready: board.PA10,
        ready_line: board.EXTI10,
    };
    let alarm = Output::new(board.PA5, Level::Low, Speed::Low);
    // The image first: without one there is nothing to sample for.
    let mut watch = match Watch::new(lis3dh::channels(RANGE), (TICK_HZ / RATE_HZ as u64) as u32, alarm) {
        Ok(watch) => watch,
        Err(fault) => return defmt::error!("{}", fault),
    };
    interrupt::SPI5.set_priority(Priority::P6);
    let sampling = SAMPLING.start(interrupt::SPI5);
    if sample(sensor).map(|task| sampling.spawn(task)).is_err() {
        return defmt::error!("the sampling task did not start");
    }
    loop {
        watch.step(&SAMPLES.receive().await);
    }
}
