//! From the data-ready interrupt to the main loop: the sensor and the queue's near end belong to the interrupt.

use core::cell::Cell;

use critical_section::Mutex;
use flowlet_sensors::lsm303dlhc::{Magnetometer, Range, Rate};
use flowlet_sensors::queue::{self, SampleConsumer, SampleProducer};
use flowlet_sensors::{Channel, SampleSource};

use crate::board::mps2_live::{now, shield_i2c, ShieldI2c};

/// Channels of the magnetometer: three axes and the temperature.
pub const CHANNELS: usize = 4;

/// Samples that may wait for the main loop.
pub const QUEUE: usize = 8;

/// What the interrupt owns.
struct Sampler {
    sensor: Magnetometer<ShieldI2c>,
    producer: SampleProducer<'static, CHANNELS>,
}

static SAMPLER: Mutex<Cell<Option<Sampler>>> = Mutex::new(Cell::new(None));

/// Gives the sensor on the shield to the interrupt that will call [`take_sample`]; once. Returns the queue's far end and
/// what the channels are.
pub fn start() -> Option<(SampleConsumer<'static, CHANNELS>, [Channel; CHANNELS])> {
    let storage = cortex_m::singleton!(: queue::Storage<CHANNELS, { QUEUE + 1 }> = queue::Storage::new())?;
    let (producer, consumer) = queue::split(storage);
    let sensor = Magnetometer::new(shield_i2c(), Rate::Hz220, Range::Gauss1_3);
    let channels = sensor.channels();
    let sampler = Sampler { sensor, producer };
    critical_section::with(|section| SAMPLER.borrow(section).set(Some(sampler)));
    Some((consumer, channels))
}

/// Reads the sensor and queues what it says, with the time. For the interrupt's handler.
pub fn take_sample() {
    // Owned while it works, so that interrupts stay open meanwhile.
    let sampler = critical_section::with(|section| SAMPLER.borrow(section).take());
    if let Some(mut sampler) = sampler {
        let ticks = now();
        sampler.producer.push(ticks, sampler.sensor.read());
        critical_section::with(|section| SAMPLER.borrow(section).set(Some(sampler)));
    }
}

/// Sleeps until a sample waits.
pub fn sleep_unless_waiting(consumer: &SampleConsumer<'static, CHANNELS>) {
    // An interrupt between the look and the sleep is held back, and ends the sleep at once.
    critical_section::with(|_| {
        if consumer.is_empty() {
            cortex_m::asm::wfi();
        }
    });
}
