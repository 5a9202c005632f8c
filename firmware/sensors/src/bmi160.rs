//! Bosch BMI160: three axes of acceleration and three of rotation, by the driver [`bmi160`](::bmi160).

use ::bmi160::interface::{I2cInterface, ReadData, SpiInterface, WriteData};
use ::bmi160::{
    AccelerometerPowerMode, Bmi160, Error, GyroscopePowerMode, GyroscopeRange, Sensor3DData, SensorSelector,
};
pub use ::bmi160::{AccelerometerRange, SlaveAddr};
use embedded_hal::i2c::I2c;
use embedded_hal::spi::SpiDevice;

use crate::{i2c_error, spi_error, Channel, ReadError, SampleSource};

/// What the part answers when asked who it is.
const CHIP_ID: u8 = 0xD1;

/// Accelerometer and gyroscope, six channels.
pub struct Imu<D, E> {
    driver: Bmi160<D>,
    meaning: fn(&E) -> ReadError,
    accel_range: AccelerometerRange,
}

impl<I: I2c> Imu<I2cInterface<I>, I::Error> {
    /// Wakes the part on an I2C bus, at a range of 2, 4 or 8 g and 2000 degrees per second.
    ///
    /// The part takes up to 80 ms to start its gyroscope; until then its axes read 0.
    ///
    /// # Errors
    /// [`ReadError`]; [`ReadError::Unidentified`] if another part answers.
    pub fn on_i2c(i2c: I, address: SlaveAddr, range: AccelerometerRange) -> Result<Self, ReadError> {
        Self::started(Bmi160::new_with_i2c(i2c, address), i2c_error, range)
    }
}

impl<S: SpiDevice> Imu<SpiInterface<S>, S::Error> {
    /// As [`Imu::on_i2c`], on an SPI bus. The part changes to SPI at the first falling edge of its chip select, which
    /// a first, unanswered question gives.
    ///
    /// # Errors
    /// As [`Imu::on_i2c`].
    pub fn on_spi(spi: S, range: AccelerometerRange) -> Result<Self, ReadError> {
        let mut driver = Bmi160::new_with_spi(spi);
        driver.chip_id().map_err(|error| read_error(error, spi_error))?;
        Self::started(driver, spi_error, range)
    }
}

impl<D, E> Imu<D, E>
where
    D: ReadData<Error = Error<E>> + WriteData<Error = Error<E>>,
{
    fn started(
        driver: Bmi160<D>,
        meaning: fn(&E) -> ReadError,
        range: AccelerometerRange,
    ) -> Result<Self, ReadError> {
        let mut imu = Self { driver, meaning, accel_range: range };
        imu.configure()?;
        Ok(imu)
    }

    /// Sets the part up anew, for example after it lost its supply.
    ///
    /// # Errors
    /// As the constructors.
    pub fn configure(&mut self) -> Result<(), ReadError> {
        let Self { driver, meaning, accel_range } = self;
        let failed = |error| read_error(error, *meaning);
        if driver.chip_id().map_err(failed)? != CHIP_ID {
            return Err(ReadError::Unidentified);
        }
        driver.set_accel_power_mode(AccelerometerPowerMode::Normal).map_err(failed)?;
        driver.set_gyro_power_mode(GyroscopePowerMode::Normal).map_err(failed)?;
        driver.set_accel_range(*accel_range).map_err(failed)?;
        driver.set_gyro_range(GyroscopeRange::Scale2000).map_err(failed)
    }
}

impl<D, E> SampleSource<6> for Imu<D, E>
where
    D: ReadData<Error = Error<E>> + WriteData<Error = Error<E>>,
{
    fn read(&mut self) -> Result<[i16; 6], ReadError> {
        let all = SensorSelector::new().accel().gyro();
        let data = self.driver.data(all).map_err(|error| read_error(error, self.meaning))?;
        let (Some(accel), Some(gyro)) = (data.accel, data.gyro) else { return Err(ReadError::Driver) };
        let Sensor3DData { x, y, z } = accel;
        Ok([x, y, z, gyro.x, gyro.y, gyro.z])
    }

    fn channels(&self) -> [Channel; 6] {
        let accel = match self.accel_range {
            AccelerometerRange::G2 => 2.0,
            AccelerometerRange::G4 => 4.0,
            AccelerometerRange::G8 => 8.0,
        };
        let channel = |name, unit, range: f32| Channel {
            name,
            unit,
            scale: range / 32768.0,
            low: i16::MIN,
            high: i16::MAX,
        };
        [
            channel("accel x", "g", accel),
            channel("accel y", "g", accel),
            channel("accel z", "g", accel),
            channel("gyro x", "deg/s", 2000.0),
            channel("gyro y", "deg/s", 2000.0),
            channel("gyro z", "deg/s", 2000.0),
        ]
    }
}

fn read_error<E>(error: Error<E>, meaning: fn(&E) -> ReadError) -> ReadError {
    match error {
        Error::Comm(error) => meaning(&error),
        Error::InvalidInputData => ReadError::Driver,
    }
}
