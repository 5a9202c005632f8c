//! The I2C bus on two pins, against a device that watches the lines by itself.

use std::cell::RefCell;
use std::convert::Infallible;
use std::rc::Rc;

use embedded_hal::digital::{ErrorType, InputPin, OutputPin};
use embedded_hal::i2c::{Error as _, ErrorKind, I2c, NoAcknowledgeSource, Operation};
use embedded_hal_mock::eh1::delay::NoopDelay;
use flowlet_sensors::bit_bang::{BitBangI2c, Error};
use flowlet_sensors::lsm303dlhc::{Magnetometer, Range, Rate};
use flowlet_sensors::{ReadError, SampleSource};

/// A device with 256 registers and a pointer that a write sets and every byte moves on, after NXP's UM10204.
struct Wire {
    clock: bool,
    data: bool,
    /// The device holds the data line low.
    pulled: bool,
    address: u8,
    registers: [u8; 256],
    pointer: u8,
    state: State,
    /// `S` START, `P` STOP, `w`/`r` and a byte, `n` a byte that nobody took.
    log: String,
    /// Refuses every byte behind the register's number.
    read_only: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Idle,
    /// Bits so far, and whether they are the address.
    Receiving {
        bits: u8,
        count: u8,
        what: What,
    },
    /// The ninth clock of a byte from the controller, and what comes next: nothing, if the device speaks.
    Acknowledging {
        next: Option<What>,
    },
    Sending {
        byte: u8,
        count: u8,
    },
    /// The ninth clock of a byte to the controller.
    Listening,
}

#[derive(Clone, Copy, PartialEq)]
enum What {
    Address,
    Pointer,
    Value,
}

impl Wire {
    fn new(address: u8) -> Rc<RefCell<Self>> {
        Rc::new(RefCell::new(Self {
            clock: true,
            data: true,
            pulled: false,
            address,
            registers: std::array::from_fn(|i| i as u8),
            pointer: 0,
            state: State::Idle,
            log: String::new(),
            read_only: false,
        }))
    }

    fn level(&self) -> bool {
        self.data && !self.pulled
    }

    fn set_data(&mut self, high: bool) {
        let before = self.level();
        self.data = high;
        if self.clock && before != self.level() {
            if high {
                self.log.push('P');
                self.state = State::Idle;
            } else {
                self.log.push('S');
                self.state = State::Receiving { bits: 0, count: 0, what: What::Address };
            }
        }
    }

    fn set_clock(&mut self, high: bool) {
        if high == self.clock {
            return;
        }
        self.clock = high;
        if high {
            self.rise();
        } else {
            self.fall();
        }
    }

    /// Levels are taken while the clock is high.
    fn rise(&mut self) {
        match &mut self.state {
            State::Receiving { bits, count, .. } => {
                *bits = *bits << 1 | u8::from(self.data);
                *count += 1;
            }
            State::Listening if self.data => self.state = State::Idle,
            _ => {}
        }
    }

    /// And change while it is low.
    fn fall(&mut self) {
        match self.state {
            State::Receiving { bits, count: 8, what } => self.received(bits, what),
            State::Acknowledging { next } => {
                self.pulled = false;
                match next {
                    None => self.send(),
                    Some(what) => self.state = State::Receiving { bits: 0, count: 0, what },
                }
            }
            State::Sending { byte, count: 8 } => {
                self.log += &format!("r{byte:02x}");
                self.pulled = false;
                self.state = State::Listening;
            }
            State::Sending { byte, count } => {
                self.pulled = byte << count & 0x80 == 0;
                self.state = State::Sending { byte, count: count + 1 };
            }
            State::Listening => self.send(),
            _ => {}
        }
    }

    fn send(&mut self) {
        let byte = self.registers[usize::from(self.pointer)];
        self.pointer = self.pointer.wrapping_add(1);
        self.pulled = byte & 0x80 == 0;
        self.state = State::Sending { byte, count: 1 };
    }

    fn received(&mut self, byte: u8, what: What) {
        let is_ours = byte >> 1 == self.address;
        let taken = match what {
            What::Address => is_ours,
            What::Pointer => true,
            What::Value => !self.read_only,
        };
        if !taken {
            self.log += &format!("n{byte:02x}");
            self.state = State::Idle;
            return;
        }
        self.log += &format!("w{byte:02x}");
        let next = match what {
            What::Address => (byte & 1 == 0).then_some(What::Pointer),
            What::Pointer => {
                self.pointer = byte;
                Some(What::Value)
            }
            What::Value => {
                self.registers[usize::from(self.pointer)] = byte;
                self.pointer = self.pointer.wrapping_add(1);
                Some(What::Value)
            }
        };
        self.pulled = true;
        self.state = State::Acknowledging { next };
    }
}

struct Clock(Rc<RefCell<Wire>>);
struct Data(Rc<RefCell<Wire>>);

impl ErrorType for Clock {
    type Error = Infallible;
}

impl OutputPin for Clock {
    fn set_low(&mut self) -> Result<(), Infallible> {
        self.0.borrow_mut().set_clock(false);
        Ok(())
    }

    fn set_high(&mut self) -> Result<(), Infallible> {
        self.0.borrow_mut().set_clock(true);
        Ok(())
    }
}

impl ErrorType for Data {
    type Error = Infallible;
}

impl OutputPin for Data {
    fn set_low(&mut self) -> Result<(), Infallible> {
        self.0.borrow_mut().set_data(false);
        Ok(())
    }

    fn set_high(&mut self) -> Result<(), Infallible> {
        self.0.borrow_mut().set_data(true);
        Ok(())
    }
}

impl InputPin for Data {
    fn is_high(&mut self) -> Result<bool, Infallible> {
        Ok(self.0.borrow().level())
    }

    fn is_low(&mut self) -> Result<bool, Infallible> {
        Ok(!self.0.borrow().level())
    }
}

fn bus(wire: &Rc<RefCell<Wire>>) -> BitBangI2c<Clock, Data, NoopDelay> {
    BitBangI2c::new(Clock(wire.clone()), Data(wire.clone()), NoopDelay::new(), 100_000)
}

fn log(wire: &Rc<RefCell<Wire>>) -> String {
    std::mem::take(&mut wire.borrow_mut().log)
}

#[test]
fn bytes_go_both_ways_and_every_transaction_has_one_stop() {
    let wire = Wire::new(0x1E);
    let mut bus = bus(&wire);
    bus.write(0x1E, &[0x40, 0xA5, 0x5A, 0xFF, 0x00]).unwrap();
    assert_eq!(log(&wire), "Sw3cw40wa5w5awffw00P");
    let mut back = [0; 4];
    bus.write_read(0x1E, &[0x40], &mut back).unwrap();
    assert_eq!(back, [0xA5, 0x5A, 0xFF, 0x00]);
    assert_eq!(log(&wire), "Sw3cw40Sw3dra5r5arffr00P", "a repeated START and no STOP between");
    let mut one = [0];
    bus.read(0x1E, &mut one).unwrap();
    assert_eq!((one, log(&wire).as_str()), ([0x44], "Sw3dr44P"));
}

#[test]
fn operations_of_one_direction_are_one_transfer() {
    let wire = Wire::new(0x1E);
    let mut bus = bus(&wire);
    let (mut first, mut second) = ([0; 2], [0; 1]);
    let mut operations = [
        Operation::Write(&[0x10]),
        Operation::Write(&[0x77]),
        Operation::Read(&mut first),
        Operation::Read(&mut second),
    ];
    bus.transaction(0x1E, &mut operations).unwrap();
    assert_eq!((first, second), ([0x11, 0x12], [0x13]));
    assert_eq!(log(&wire), "Sw3cw10w77Sw3dr11r12r13P");
    bus.transaction(0x1E, &mut []).unwrap();
    assert_eq!(log(&wire), "", "nothing to do touches no wire");
}

#[test]
fn a_nack_names_its_source_and_gives_the_bus_back() {
    let wire = Wire::new(0x1E);
    let mut bus = bus(&wire);
    let error = bus.write(0x1D, &[1, 2]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoAcknowledge(NoAcknowledgeSource::Address));
    assert_eq!(log(&wire), "Sn3aP");
    wire.borrow_mut().read_only = true;
    assert_eq!(bus.write(0x1E, &[1, 2, 3]), Err(Error::Data));
    assert_eq!(log(&wire), "Sw3cw01n02P");
    let mut byte = [0];
    bus.write_read(0x1E, &[9], &mut byte).unwrap();
    assert_eq!(byte, [9], "the next transaction works");
}

#[test]
fn the_magnetometer_speaks_over_it() {
    let wire = Wire::new(0x1E);
    wire.borrow_mut().registers[0x0A..0x0D].copy_from_slice(b"H43");
    let mut sensor = Magnetometer::new(bus(&wire), Rate::Hz75, Range::Gauss8_1);
    let counts = sensor.read().unwrap();
    assert_eq!(counts, [0x0304, 0x0708, 0x0506, 0x3132]);
    assert_eq!(wire.borrow().registers[..3], [0x98, 0xE0, 0x00]);
    wire.borrow_mut().address = 0x50;
    assert_eq!(sensor.read(), Err(ReadError::NoAcknowledge), "unplugged");
}
