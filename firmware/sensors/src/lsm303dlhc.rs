//! ST LSM303DLHC: the magnetometer and the thermometer of the part, over I2C.
//!
//! The driver crate of this name stayed at embedded-hal 0.2, so the few registers are here. They are from ST's
//! datasheet, DocID018771, section 7.2. Its accelerometer has another address and is not used.

use embedded_hal::i2c::I2c;

use crate::{i2c_error, Channel, ReadError, SampleSource};

/// The magnetometer's address on the bus; it has no other.
pub const ADDRESS: u8 = 0x1E;

const CRA: u8 = 0x00;
const CRB: u8 = 0x01;
const MODE: u8 = 0x02;
const OUT_X_HIGH: u8 = 0x03;
const IDENTIFICATION: u8 = 0x0A;
const TEMPERATURE_HIGH: u8 = 0x31;

const TEMPERATURE_ON: u8 = 1 << 7;
const CONTINUOUS: u8 = 0;
/// What the three identification registers hold.
const WHO: [u8; 3] = *b"H43";

/// How often the part measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Rate {
    /// 15 times a second.
    Hz15 = 4,
    /// 30 times a second.
    Hz30 = 5,
    /// 75 times a second.
    Hz75 = 6,
    /// 220 times a second.
    Hz220 = 7,
}

/// The full scale of the field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Range {
    /// 1.3 gauss, the finest.
    Gauss1_3 = 1,
    /// 4.0 gauss.
    Gauss4_0 = 4,
    /// 8.1 gauss, the coarsest.
    Gauss8_1 = 7,
}

impl Range {
    /// Counts per gauss of x and y, and of z (datasheet, table 75).
    fn gain(self) -> (f32, f32) {
        match self {
            Self::Gauss1_3 => (1100.0, 980.0),
            Self::Gauss4_0 => (450.0, 400.0),
            Self::Gauss8_1 => (230.0, 205.0),
        }
    }
}

/// Three axes of the magnetic field, and the temperature.
#[derive(Debug)]
pub struct Magnetometer<I> {
    i2c: I,
    rate: Rate,
    range: Range,
    configured: bool,
}

impl<I: I2c> Magnetometer<I> {
    /// The part on its bus; it is set up by the first [`SampleSource::read`], and set up again by the one after every
    /// failure, so that it may be plugged in late or lose its supply.
    pub fn new(i2c: I, rate: Rate, range: Range) -> Self {
        Self { i2c, rate, range, configured: false }
    }

    /// Asks who is there and sets it up.
    ///
    /// # Errors
    /// [`ReadError`]; [`ReadError::Unidentified`] if another part answers.
    pub fn configure(&mut self) -> Result<(), ReadError> {
        let mut who = [0; WHO.len()];
        self.i2c.write_read(ADDRESS, &[IDENTIFICATION], &mut who).map_err(|error| i2c_error(&error))?;
        if who != WHO {
            return Err(ReadError::Unidentified);
        }
        let settings = [
            (CRA, TEMPERATURE_ON | (self.rate as u8) << 2),
            (CRB, (self.range as u8) << 5),
            (MODE, CONTINUOUS),
        ];
        for (register, value) in settings {
            self.i2c.write(ADDRESS, &[register, value]).map_err(|error| i2c_error(&error))?;
        }
        self.configured = true;
        Ok(())
    }

    /// The bus, for others on it.
    pub fn release(self) -> I {
        self.i2c
    }

    fn measure(&mut self) -> Result<[i16; 4], ReadError> {
        let mut field = [0; 6];
        self.i2c.write_read(ADDRESS, &[OUT_X_HIGH], &mut field).map_err(|error| i2c_error(&error))?;
        let mut temperature = [0; 2];
        self.i2c
            .write_read(ADDRESS, &[TEMPERATURE_HIGH], &mut temperature)
            .map_err(|error| i2c_error(&error))?;
        // The part gives x, z, y.
        let [x_high, x_low, z_high, z_low, y_high, y_low] = field;
        let field = [[x_high, x_low], [y_high, y_low], [z_high, z_low]].map(i16::from_be_bytes);
        let [x, y, z] = field;
        Ok([x, y, z, i16::from_be_bytes(temperature)])
    }
}

impl<I: I2c> SampleSource<4> for Magnetometer<I> {
    fn read(&mut self) -> Result<[i16; 4], ReadError> {
        if !self.configured {
            self.configure()?;
        }
        let measured = self.measure();
        self.configured = measured.is_ok();
        measured
    }

    fn channels(&self) -> [Channel; 4] {
        let (xy, z) = self.range.gain();
        // The part says -4096 where the field is too strong for the range.
        let field =
            |name, gain: f32| Channel { name, unit: "gauss", scale: 1.0 / gain, low: -2048, high: 2047 };
        // Twelve bits of an eighth of a degree, left-justified by the datasheet. (QEMU justifies them to the right.)
        let temperature =
            Channel { name: "temperature", unit: "degC", scale: 0.125 / 16.0, low: i16::MIN, high: i16::MAX };
        [field("field x", xy), field("field y", xy), field("field z", z), temperature]
    }
}
