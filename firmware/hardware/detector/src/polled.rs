//! A core that does one thing: waits for the accelerometer's data-ready line, reads, scores.

use core::convert::Infallible;

use embedded_hal::digital::{InputPin, OutputPin};
use embedded_hal::i2c::I2c;
use flowlet_sensors::lis2dh12::{Accelerometer, FullScale, Odr, SlaveAddr};
use flowlet_sensors::queue::Numbering;
use flowlet_sensors::{lis2dh12, ReadError, SampleSource};

use crate::{Fault, Watch, CHANNELS, RATE_HZ};

/// 100 Hz, 12 bits, +-2 g: a count is a thousandth of a g.
const RATE: Odr = Odr::Hz100;
const RANGE: FullScale = FullScale::G2;

/// What a board lends.
pub struct Board<I, R, P, T> {
    /// The bus with a LIS2DH12 at 0x19.
    pub i2c: I,
    /// Its data-ready line, INT1.
    pub ready: R,
    /// High while the alarm is on.
    pub alarm: P,
    /// A clock that wraps around, in ticks.
    pub now: T,
    /// Ticks in a second.
    pub ticks_hz: u32,
}

/// Opens the image, then takes and scores each sample. Logs over RTT.
///
/// A sensor that is not there, answers nothing, repeats itself, stands at an end of its range, or was read too late is
/// told as a fault. It may be plugged in late.
///
/// # Errors
/// [`Fault`]: only before the first sample.
pub fn watch<I, R, P, T>(board: Board<I, R, P, T>) -> Result<Infallible, Fault>
where
    I: I2c,
    R: InputPin,
    P: OutputPin,
    T: FnMut() -> u32,
{
    let Board { mut i2c, ready, alarm, now, ticks_hz } = board;
    let period = ticks_hz / RATE_HZ;
    // The part itself says if a sample was overwritten, which is exact; so the time is not looked at.
    let mut watch = Watch::new(lis2dh12::channels(RANGE), 0, alarm)?;
    let mut line = Line { ready, now, patience: 3 * period };
    let mut numbering = Numbering::default();
    let mut sensor = loop {
        match Accelerometer::on_i2c(&mut i2c, SlaveAddr::Alternative(true), RATE, RANGE) {
            Ok(sensor) => break sensor,
            Err(error) => {
                watch.step(&numbering.next(line.time(), Err(error)));
                line.wait();
            }
        }
    };
    loop {
        let is_ready = line.wait();
        let ticks = line.time();
        let reading = if is_ready { take(&mut sensor, &mut numbering) } else { Err(silent(&mut sensor)) };
        watch.step(&numbering.next(ticks, reading));
    }
}

/// Reads the sample that is ready, and says if there was one before it that nobody read.
fn take<I: I2c>(
    sensor: &mut Accelerometer<I>,
    numbering: &mut Numbering,
) -> Result<[i16; CHANNELS], ReadError> {
    if sensor.has_lost()? {
        numbering.skip(1);
    }
    sensor.read()
}

/// Why there was no sample; the part is set up anew if it answers.
fn silent<I: I2c>(sensor: &mut Accelerometer<I>) -> ReadError {
    // It is there and said nothing: it had lost its settings, or the line is broken.
    sensor.configure().err().unwrap_or(ReadError::Unidentified)
}

/// The data-ready line, and how long to wait for it.
struct Line<R, T> {
    ready: R,
    now: T,
    /// In ticks.
    patience: u32,
}

impl<R: InputPin, T: FnMut() -> u32> Line<R, T> {
    fn time(&mut self) -> u32 {
        (self.now)()
    }

    /// Waits until the line is high; `false` if it stayed low for too long.
    fn wait(&mut self) -> bool {
        let start = self.time();
        loop {
            // A pin that can't be read is as good as one that is low.
            if self.ready.is_high().unwrap_or(false) {
                return true;
            }
            if self.time().wrapping_sub(start) > self.patience {
                return false;
            }
        }
    }
}
