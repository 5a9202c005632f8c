//! ST LIS3DH: three axes of acceleration over embedded-hal-async, by the driver [`lis3dh-async`](::lis3dh_async).
//!
//! The part speaks as the LIS2DH12 does, but for a register of its analogue inputs that the driver writes; so that one is
//! left to its own driver.

use ::lis3dh_async::{Configuration, Error, IrqPin1Config, Lis3dh, Lis3dhI2C};
pub use ::lis3dh_async::{DataRate, Range, SlaveAddr};
use embedded_hal_async::i2c::I2c;

use crate::{acceleration, i2c_error, Channel, ReadError};

/// The accelerometer in its mode of 12 bits.
///
/// Its FIFO is left off: it keeps 10 of the 12 bits.
pub struct Accelerometer<I> {
    driver: Lis3dh<Lis3dhI2C<I>>,
    rate: DataRate,
    range: Range,
    configured: bool,
}

impl<I: I2c> Accelerometer<I> {
    /// The part on its bus; it is set up by the first [`Self::read`], and set up again by the one after every failure, so
    /// that it may be plugged in late or lose its supply.
    pub async fn new(i2c: I, address: SlaveAddr, rate: DataRate, range: Range) -> Self {
        let driver = Lis3dh::new_i2c_without_config(i2c, address).await;
        Self { driver, rate, range, configured: false }
    }

    /// Asks who is there and sets it up: 12 bits, whole samples (block data update), data-ready on its pin INT1.
    ///
    /// # Errors
    /// [`ReadError`]; [`ReadError::Unidentified`] if another part answers.
    pub async fn configure(&mut self) -> Result<(), ReadError> {
        self.configured = false;
        let settings = Configuration { datarate: self.rate, ..Configuration::default() };
        self.driver.configure(settings).await.map_err(read_error)?;
        self.driver.set_range(self.range).await.map_err(read_error)?;
        let ready = IrqPin1Config { zyxda_en: true, ..IrqPin1Config::default() };
        self.driver.configure_interrupt_pin(ready).await.map_err(read_error)?;
        self.configured = true;
        Ok(())
    }

    /// Reads the three axes, in counts; lowers the data-ready line.
    ///
    /// # Errors
    /// Why there is no sample; the next call may succeed.
    pub async fn read(&mut self) -> Result<[i16; 3], ReadError> {
        if !self.configured {
            self.configure().await?;
        }
        let raw = self.driver.accel_raw().await.map_err(read_error);
        self.configured = raw.is_ok();
        let raw = raw?;
        // Twelve bits, left-justified.
        Ok([raw.x >> 4, raw.y >> 4, raw.z >> 4])
    }
}

/// What the channels are at a full scale, and what one count means.
#[must_use]
pub fn channels(range: Range) -> [Channel; 3] {
    // Sensitivity in high-resolution mode, from the datasheet; at 16 g it is not 16/8 of that at 8 g.
    acceleration(match range {
        Range::G2 => 0.001,
        Range::G4 => 0.002,
        Range::G8 => 0.004,
        Range::G16 => 0.012,
    })
}

fn read_error<E: embedded_hal::i2c::Error>(error: Error<E>) -> ReadError {
    match error {
        Error::Bus(error) => i2c_error(&error),
        Error::WrongAddress => ReadError::Unidentified,
        _ => ReadError::Driver,
    }
}
