//! An I2C bus on two pins, driven by the program: for boards whose bus is a pair of lines in a register, and for any
//! two open-drain pins.
//!
//! Written for want of a published one: `bitbang-hal` stayed at embedded-hal 0.2, and `soft-i2c` ends every part of a
//! transaction with a STOP, which embedded-hal 1.0 forbids, and panics at an empty read. By NXP's UM10204, without
//! clock stretching and arbitration: one controller, and devices that keep up.

use embedded_hal::delay::DelayNs;
use embedded_hal::digital::{InputPin, OutputPin};
use embedded_hal::i2c::{ErrorKind, ErrorType, I2c, NoAcknowledgeSource, Operation};

/// What can go wrong on the two lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Error {
    /// Nobody has the address.
    Address,
    /// The device refused a byte.
    Data,
    /// A pin does not obey.
    Pin,
}

impl embedded_hal::i2c::Error for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Address => ErrorKind::NoAcknowledge(NoAcknowledgeSource::Address),
            Self::Data => ErrorKind::NoAcknowledge(NoAcknowledgeSource::Data),
            Self::Pin => ErrorKind::Other,
        }
    }
}

/// The bus: a clock line, a data line that can be read, both open drain (high lets go), and a delay.
#[derive(Debug)]
pub struct BitBangI2c<C, D, W> {
    clock: C,
    data: D,
    delay: W,
    half_period: u32,
}

impl<C: OutputPin, D: OutputPin + InputPin, W: DelayNs> BitBangI2c<C, D, W> {
    /// A bus of at most `hertz`; at least 1.
    pub fn new(clock: C, data: D, delay: W, hertz: u32) -> Self {
        Self { clock, data, delay, half_period: 500_000_000 / hertz.max(1) }
    }

    /// Lets go of the pins.
    pub fn release(self) -> (C, D, W) {
        (self.clock, self.data, self.delay)
    }

    fn clock(&mut self, high: bool) -> Result<(), Error> {
        self.clock.set_state(high.into()).map_err(|_| Error::Pin)?;
        self.delay.delay_ns(self.half_period);
        Ok(())
    }

    fn data(&mut self, high: bool) -> Result<(), Error> {
        self.data.set_state(high.into()).map_err(|_| Error::Pin)?;
        self.delay.delay_ns(self.half_period);
        Ok(())
    }

    /// START, also a repeated one: data falls while the clock is high.
    fn start(&mut self) -> Result<(), Error> {
        self.data(true)?;
        self.clock(true)?;
        self.data(false)?;
        self.clock(false)
    }

    /// STOP: data rises while the clock is high.
    fn stop(&mut self) -> Result<(), Error> {
        self.data(false)?;
        self.clock(true)?;
        self.data(true)
    }

    fn put_bit(&mut self, bit: bool) -> Result<(), Error> {
        self.data(bit)?;
        self.clock(true)?;
        self.clock(false)
    }

    fn get_bit(&mut self) -> Result<bool, Error> {
        self.data(true)?;
        self.clock(true)?;
        let bit = self.data.is_high().map_err(|_| Error::Pin)?;
        self.clock(false)?;
        Ok(bit)
    }

    fn put(&mut self, byte: u8, refused: Error) -> Result<(), Error> {
        for shift in (0..8).rev() {
            self.put_bit(byte >> shift & 1 == 1)?;
        }
        if self.get_bit()? {
            return Err(refused);
        }
        Ok(())
    }

    fn get(&mut self, last: bool) -> Result<u8, Error> {
        let mut byte = 0;
        for _ in 0..8 {
            byte = byte << 1 | u8::from(self.get_bit()?);
        }
        // The controller acknowledges what it wants more of.
        self.put_bit(last)?;
        Ok(byte)
    }

    /// All operations with a START wherever the direction changes, as embedded-hal asks.
    fn transact(&mut self, address: u8, operations: &mut [Operation<'_>]) -> Result<(), Error> {
        let mut direction = None;
        // The controller does not acknowledge the last byte of a read; the operation behind shows which one that is.
        let mut rest = operations.iter_mut().peekable();
        while let Some(operation) = rest.next() {
            let is_read = matches!(operation, Operation::Read(_));
            if direction.replace(is_read) != Some(is_read) {
                self.start()?;
                self.put(address << 1 | u8::from(is_read), Error::Address)?;
            }
            match operation {
                Operation::Write(bytes) => bytes.iter().try_for_each(|&byte| self.put(byte, Error::Data))?,
                Operation::Read(bytes) => {
                    let ends = !matches!(rest.peek(), Some(Operation::Read(_)));
                    let mut left = bytes.len();
                    for byte in bytes.iter_mut() {
                        left -= 1;
                        *byte = self.get(ends && left == 0)?;
                    }
                }
            }
        }
        Ok(())
    }
}

impl<C, D, W> ErrorType for BitBangI2c<C, D, W> {
    type Error = Error;
}

impl<C: OutputPin, D: OutputPin + InputPin, W: DelayNs> I2c for BitBangI2c<C, D, W> {
    fn transaction(&mut self, address: u8, operations: &mut [Operation<'_>]) -> Result<(), Error> {
        if operations.is_empty() {
            return Ok(());
        }
        let done = self.transact(address, operations);
        // The bus is given back whatever happened; the first trouble is the one to report.
        let stopped = self.stop();
        done.and(stopped)
    }
}
