//! Sensors as sources of samples, over the buses of embedded-hal 1.0.
//!
//! A [`SampleSource`] reads one sample: a count for each channel, or why there is none, in the words of
//! [`flowlet::stream::health`]. Each part has a module and a cargo feature of its own, and its published driver does
//! the talking; the magnetometer of the LSM303DLHC, whose driver never came to embedded-hal 1.0, is ours.
//!
//! | module | part | bus |
//! |---|---|---|
//! | `bmi160` | Bosch BMI160, accelerometer and gyroscope | I2C, SPI |
//! | `lis2dh12` | ST LIS2DH12 (and LIS2DH), accelerometer | I2C |
//! | `lis3dh` | ST LIS3DH, accelerometer | I2C, asynchronous |
//! | [`lsm303dlhc`] | ST LSM303DLHC, magnetometer and thermometer | I2C |
//!
//! A [`queue`] takes samples from the data-ready interrupt to the main loop and counts those that it had no room for;
//! [`bit_bang`] is an I2C bus on any two pins.
//!
//! ```
//! # use flowlet_sensors::{queue, SampleSource};
//! # fn demo(mut sensor: impl SampleSource<3>) {
//! let mut storage = queue::Storage::<3, 8>::new();
//! let (mut producer, mut consumer) = queue::split(&mut storage);
//! // In the interrupt: read, and hand over with the time.
//! producer.push(1_000, sensor.read());
//! // In the main loop: take them in order.
//! while let Some(sample) = consumer.pop() { /* health, score, alarm */ }
//! # }
//! ```
#![no_std]
#![deny(missing_docs)]

pub mod bit_bang;
#[cfg(feature = "bmi160")]
pub mod bmi160;
#[cfg(feature = "lis2dh12")]
pub mod lis2dh12;
#[cfg(feature = "lis3dh")]
pub mod lis3dh;
pub mod lsm303dlhc;
pub mod queue;

use embedded_hal::{i2c, spi};
pub use flowlet::stream::health::ReadError;

/// A sensor that is read one sample at a time.
pub trait SampleSource<const C: usize> {
    /// Reads the channels, in counts of the sensor.
    ///
    /// # Errors
    /// Why there is no sample; the next call may succeed.
    fn read(&mut self) -> Result<[i16; C], ReadError>;

    /// What the channels are, and what one count means.
    fn channels(&self) -> [Channel; C];
}

/// One channel of a sensor.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Channel {
    /// What it measures, such as `accel x`.
    pub name: &'static str,
    /// The unit, such as `g`.
    pub unit: &'static str,
    /// Units per count.
    pub scale: f32,
    /// The lowest count that the part gives.
    pub low: i16,
    /// The highest count that the part gives.
    pub high: i16,
}

impl Channel {
    /// What is expected of the channel: a reading at the ends of its range is saturated, one that repeats itself
    /// `stuck_after` times is stuck (0: never).
    #[must_use]
    pub fn expected(&self, stuck_after: u16) -> flowlet::stream::health::Channel {
        flowlet::stream::health::Channel { low: self.low, high: self.high, stuck_after }
    }
}

/// Three axes of acceleration, of 12 bits and so many g per count.
#[cfg(any(feature = "lis2dh12", feature = "lis3dh"))]
fn acceleration(scale: f32) -> [Channel; 3] {
    ["accel x", "accel y", "accel z"].map(|name| Channel { name, unit: "g", scale, low: -2048, high: 2047 })
}

/// What an I2C error means for the sensor behind it.
pub fn i2c_error(error: &impl i2c::Error) -> ReadError {
    match error.kind() {
        i2c::ErrorKind::NoAcknowledge(_) => ReadError::NoAcknowledge,
        _ => ReadError::Bus,
    }
}

/// What an SPI error means for the sensor behind it: nobody acknowledges on that bus, so that it is always the bus.
pub fn spi_error(_: &impl spi::Error) -> ReadError {
    ReadError::Bus
}
