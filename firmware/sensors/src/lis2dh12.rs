//! ST LIS2DH12: three axes of acceleration, by the driver [`lis2dh12`](::lis2dh12).

use ::lis2dh12::{Error, ErrorKind, Lis2dh12, Mode, RawAccelerometer};
pub use ::lis2dh12::{FullScale, Odr, SlaveAddr};
use embedded_hal::i2c::I2c;

use crate::{acceleration, i2c_error, Channel, ReadError, SampleSource};

/// What the part answers when asked who it is.
const WHO: u8 = 0x33;

/// The accelerometer in its mode of 12 bits.
///
/// Its FIFO is left off: it keeps 10 of the 12 bits. After a failure the next [`SampleSource::read`] sets the part up anew,
/// so that it may lose its supply meanwhile.
pub struct Accelerometer<I> {
    driver: Lis2dh12<I>,
    rate: Odr,
    range: FullScale,
    configured: bool,
}

impl<I: I2c> Accelerometer<I> {
    /// Wakes the part on an I2C bus: 12 bits, whole samples (block data update), data-ready on its pin INT1.
    ///
    /// # Errors
    /// [`ReadError`]; [`ReadError::Unidentified`] if another part answers.
    pub fn on_i2c(i2c: I, address: SlaveAddr, rate: Odr, range: FullScale) -> Result<Self, ReadError> {
        let driver = Lis2dh12::new(i2c, address).map_err(read_error)?;
        let mut sensor = Self { driver, rate, range, configured: false };
        sensor.set_up()?;
        Ok(sensor)
    }

    /// Asks who is there and sets it up anew, for example after it was silent.
    ///
    /// # Errors
    /// As [`Self::on_i2c`].
    pub fn configure(&mut self) -> Result<(), ReadError> {
        self.configured = false;
        if self.driver.get_device_id().map_err(read_error)? != WHO {
            return Err(ReadError::Unidentified);
        }
        self.set_up()
    }

    fn set_up(&mut self) -> Result<(), ReadError> {
        let Self { driver, rate, range, configured } = self;
        driver.set_mode(Mode::HighResolution).map_err(read_error)?;
        driver.set_bdu(true).map_err(read_error)?;
        driver.set_fs(*range).map_err(read_error)?;
        driver.enable_axis((true, true, true)).map_err(read_error)?;
        driver.enable_i1_zyxda(true).map_err(read_error)?;
        driver.set_odr(*rate).map_err(read_error)?;
        *configured = true;
        Ok(())
    }

    /// Whether the part overwrote a sample that nobody had read: to be asked before the reading, which clears it.
    ///
    /// # Errors
    /// [`ReadError`], and the part is set up anew before it is read again.
    pub fn has_lost(&mut self) -> Result<bool, ReadError> {
        let status = self.driver.get_status().map_err(read_error);
        self.configured &= status.is_ok();
        Ok(status?.zyxor)
    }
}

impl<I: I2c> SampleSource<3> for Accelerometer<I> {
    fn read(&mut self) -> Result<[i16; 3], ReadError> {
        if !self.configured {
            self.configure()?;
        }
        let raw = self.driver.accel_raw().map_err(read_error);
        self.configured = raw.is_ok();
        let raw = raw?;
        // Twelve bits, left-justified.
        Ok([raw.x >> 4, raw.y >> 4, raw.z >> 4])
    }

    fn channels(&self) -> [Channel; 3] {
        channels(self.range)
    }
}

/// What the channels are at a full scale, and what one count means.
#[must_use]
pub fn channels(range: FullScale) -> [Channel; 3] {
    // Sensitivity in high-resolution mode, from the datasheet; at 16 g it is not 16/8 of that at 8 g.
    acceleration(match range {
        FullScale::G2 => 0.001,
        FullScale::G4 => 0.002,
        FullScale::G8 => 0.004,
        FullScale::G16 => 0.012,
    })
}

fn read_error<E: embedded_hal::i2c::Error>(error: Error<E>) -> ReadError {
    match error.kind() {
        ErrorKind::Device => ReadError::Unidentified,
        // The driver's way to take the cause out panics where there is none.
        _ => error.cause().map_or(ReadError::Driver, i2c_error),
    }
}
