//! ST LIS2DH12: three axes of acceleration, by the driver [`lis2dh12`](::lis2dh12).

use ::lis2dh12::{Error, ErrorKind, Lis2dh12, Mode, RawAccelerometer};
pub use ::lis2dh12::{FullScale, Odr, SlaveAddr};
use embedded_hal::i2c::I2c;

use crate::{i2c_error, Channel, ReadError, SampleSource};

/// The accelerometer in its mode of 12 bits.
pub struct Accelerometer<I> {
    driver: Lis2dh12<I>,
    range: FullScale,
}

impl<I: I2c> Accelerometer<I> {
    /// Wakes the part on an I2C bus: 12 bits, whole samples (block data update), data-ready on its pin INT1.
    ///
    /// # Errors
    /// [`ReadError`]; [`ReadError::Unidentified`] if another part answers.
    pub fn on_i2c(i2c: I, address: SlaveAddr, rate: Odr, range: FullScale) -> Result<Self, ReadError> {
        let mut driver = Lis2dh12::new(i2c, address).map_err(read_error)?;
        driver.set_mode(Mode::HighResolution).map_err(read_error)?;
        driver.set_bdu(true).map_err(read_error)?;
        driver.set_fs(range).map_err(read_error)?;
        driver.enable_axis((true, true, true)).map_err(read_error)?;
        driver.enable_i1_zyxda(true).map_err(read_error)?;
        driver.set_odr(rate).map_err(read_error)?;
        Ok(Self { driver, range })
    }
}

impl<I: I2c> SampleSource<3> for Accelerometer<I> {
    fn read(&mut self) -> Result<[i16; 3], ReadError> {
        let raw = self.driver.accel_raw().map_err(read_error)?;
        // Twelve bits, left-justified.
        Ok([raw.x >> 4, raw.y >> 4, raw.z >> 4])
    }

    fn channels(&self) -> [Channel; 3] {
        // Sensitivity in high-resolution mode, from the datasheet; at 16 g it is not 16/8 of that at 8 g.
        let scale = match self.range {
            FullScale::G2 => 0.001,
            FullScale::G4 => 0.002,
            FullScale::G8 => 0.004,
            FullScale::G16 => 0.012,
        };
        ["accel x", "accel y", "accel z"].map(|name| Channel {
            name,
            unit: "g",
            scale,
            low: -2048,
            high: 2047,
        })
    }
}

fn read_error<E: embedded_hal::i2c::Error>(error: Error<E>) -> ReadError {
    match error.kind() {
        ErrorKind::Device => ReadError::Unidentified,
        // The driver's way to take the cause out panics where there is none.
        _ => error.cause().map_or(ReadError::Driver, i2c_error),
    }
}
