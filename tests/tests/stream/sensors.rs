//! Sensors over mocked buses: what goes over the wires, what comes out as counts, and what becomes of a NACK.
//!
//! Registers and answers are from the parts' datasheets: Bosch BST-BMI160-DS000, ST DocID027668 (LIS2DH12), ST DocID017530
//! (LIS3DH), ST DocID018771 (LSM303DLHC). The mocks fail at any transaction that is not in the list, or left over.

use embedded_hal_mock::eh1::i2c::{Mock as I2cMock, Transaction as I2c};
use embedded_hal_mock::eh1::spi::{Mock as SpiMock, Transaction as Spi};
use flowlet::stream::health::{Fault, Health, Settings, Verdict};
use flowlet_sensors::lsm303dlhc::{Magnetometer, Range, Rate};
use flowlet_sensors::{bmi160, lis2dh12, lis3dh, queue, ReadError, SampleSource};

use core::future::Future;
use core::pin::pin;
use core::task::{Context, Poll, Waker};
use embedded_hal::i2c::{ErrorKind, NoAcknowledgeSource};

const NOBODY: ErrorKind = ErrorKind::NoAcknowledge(NoAcknowledgeSource::Address);

/// Bosch: gyro x, y, z, then accel x, y, z, low bytes first.
const BMI160_DATA: [u8; 12] = [1, 0, 0xFF, 0xFF, 0, 0x80, 0, 0x10, 0xFF, 0x7F, 0, 0x80];
const BMI160_COUNTS: [i16; 6] = [4096, 32767, -32768, 1, -1, -32768];

/// Both parts on, 8 g, 2000 degrees per second.
const BMI160_SETTINGS: [[u8; 2]; 4] = [[0x7E, 0x11], [0x7E, 0x15], [0x41, 0b1000], [0x43, 0]];

#[test]
fn bmi160_over_i2c() {
    let mut wires = vec![I2c::write_read(0x69, vec![0], vec![0xD1])];
    wires.extend(BMI160_SETTINGS.map(|setting| I2c::write(0x69, setting.into())));
    wires.push(I2c::write_read(0x69, vec![0x0C], BMI160_DATA.into()));
    wires.push(I2c::write_read(0x69, vec![0x0C], BMI160_DATA.into()).with_error(NOBODY));
    wires.push(I2c::write_read(0x69, vec![0x0C], BMI160_DATA.into()).with_error(ErrorKind::ArbitrationLoss));
    let mut bus = I2cMock::new(&wires);
    let address = bmi160::SlaveAddr::Alternative(true);
    let mut imu = bmi160::Imu::on_i2c(bus.clone(), address, bmi160::AccelerometerRange::G8).unwrap();
    assert_eq!(imu.read(), Ok(BMI160_COUNTS));
    assert_eq!(imu.read(), Err(ReadError::NoAcknowledge));
    assert_eq!(imu.read(), Err(ReadError::Bus));
    let channels = imu.channels();
    // The datasheet: 4096 counts per g at 8 g, 16.4 per degree and second at 2000.
    assert_eq!(4096.0 * channels[0].scale, 1.0);
    assert!((16.4 * channels[5].scale - 1.0).abs() < 1e-3, "{:?}", channels[5]);
    bus.done();
}

#[test]
fn bmi160_over_spi() {
    let device = |exchange: Spi<u8>| vec![Spi::transaction_start(), exchange, Spi::transaction_end()];
    // The first question turns the part to SPI, and its answer is nothing.
    let ask = |answer| device(Spi::transfer_in_place(vec![0x80, 0], vec![0, answer]));
    let mut wires = [ask(0), ask(0xD1)].concat();
    wires.extend(BMI160_SETTINGS.into_iter().flat_map(|setting| device(Spi::write_vec(setting.into()))));
    let mut question = vec![0x8C];
    question.resize(13, 0);
    let answer = [&[0][..], &BMI160_DATA].concat();
    wires.extend(device(Spi::transfer_in_place(question, answer)));
    let mut bus = SpiMock::new(&wires);
    let mut imu = bmi160::Imu::on_spi(bus.clone(), bmi160::AccelerometerRange::G8).unwrap();
    assert_eq!(imu.read(), Ok(BMI160_COUNTS));
    bus.done();
}

#[test]
fn another_part_at_the_address_is_not_taken_for_the_sensor() {
    let mut bus = I2cMock::new(&[I2c::write_read(0x68, vec![0], vec![0x33])]);
    let found = bmi160::Imu::on_i2c(bus.clone(), bmi160::SlaveAddr::Default, Default::default());
    assert_eq!(found.err(), Some(ReadError::Unidentified));
    bus.done();
    let mut bus = I2cMock::new(&[I2c::write_read(0x18, vec![0x0F], vec![0xD1])]);
    let (rate, range) = (lis2dh12::Odr::Hz400, lis2dh12::FullScale::G4);
    let found = lis2dh12::Accelerometer::on_i2c(bus.clone(), lis2dh12::SlaveAddr::Default, rate, range);
    assert_eq!(found.err(), Some(ReadError::Unidentified));
    bus.done();
}

/// A register read, and written with what it was changed to.
fn modify(address: u8, register: u8, before: u8, after: u8) -> [I2c; 2] {
    [I2c::write_read(address, vec![register], vec![before]), I2c::write(address, vec![register, after])]
}

/// Twelve bits, left-justified.
const ST_DATA: [u8; 6] = [0x10, 0x00, 0xF0, 0x7F, 0xF0, 0xFF];
const ST_COUNTS: [i16; 3] = [1, 2047, -1];

/// From register 0x28 on with auto-increment.
fn st_reading(address: u8) -> I2c {
    I2c::write_read(address, vec![0x28 | 0x80], ST_DATA.into())
}

#[test]
fn lis2dh12_over_i2c() {
    let set_up = || {
        let mut wires = vec![I2c::write_read(0x19, vec![0x0F], vec![0x33])];
        // High resolution, block data update, 4 g, all axes, data-ready on INT1, 400 Hz.
        wires.extend(modify(0x19, 0x20, 0x07, 0x07));
        wires.extend(modify(0x19, 0x23, 0x00, 0x08));
        wires.extend(modify(0x19, 0x23, 0x08, 0x88));
        wires.extend(modify(0x19, 0x23, 0x88, 0x98));
        wires.extend(modify(0x19, 0x20, 0x07, 0x07));
        wires.extend(modify(0x19, 0x22, 0x00, 0x10));
        wires.extend(modify(0x19, 0x20, 0x07, 0x77));
        wires
    };
    let mut wires = set_up();
    // The status: new data of all axes; then data overwritten, too.
    wires.push(I2c::write_read(0x19, vec![0x27], vec![0x0F]));
    wires.push(I2c::write_read(0x19, vec![0x27], vec![0xFF]));
    wires.push(st_reading(0x19));
    wires.push(st_reading(0x19).with_error(NOBODY));
    // It may have lost its settings meanwhile: it is asked and set up again.
    wires.push(I2c::write_read(0x19, vec![0x0F], vec![0]).with_error(NOBODY));
    wires.push(I2c::write_read(0x19, vec![0x0F], vec![0x32]));
    wires.extend(set_up());
    wires.push(st_reading(0x19));
    wires.push(I2c::write_read(0x19, vec![0x27], vec![0]).with_error(NOBODY));
    wires.extend(set_up());
    wires.push(st_reading(0x19));
    let mut bus = I2cMock::new(&wires);
    let address = lis2dh12::SlaveAddr::Alternative(true);
    let (rate, range) = (lis2dh12::Odr::Hz400, lis2dh12::FullScale::G4);
    let mut sensor = lis2dh12::Accelerometer::on_i2c(bus.clone(), address, rate, range).unwrap();
    assert_eq!(sensor.has_lost(), Ok(false));
    assert_eq!(sensor.has_lost(), Ok(true));
    assert_eq!(sensor.read(), Ok(ST_COUNTS));
    assert_eq!(sensor.read(), Err(ReadError::NoAcknowledge));
    assert_eq!(sensor.read(), Err(ReadError::NoAcknowledge));
    assert_eq!(sensor.read(), Err(ReadError::Unidentified));
    assert_eq!(sensor.read(), Ok(ST_COUNTS));
    assert_eq!(sensor.has_lost(), Err(ReadError::NoAcknowledge));
    assert_eq!(sensor.read(), Ok(ST_COUNTS));
    let [x, ..] = sensor.channels();
    assert_eq!((x.scale, x.low, x.high, x.unit), (0.002, -2048, 2047, "g"));
    bus.done();
}

/// What a mocked bus never has to wait for.
fn ready<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("the mock waits"),
    }
}

#[test]
fn lis3dh_over_asynchronous_i2c() {
    let set_up = || {
        // Who it is, block data update, no low power, high resolution, 100 Hz, all axes, analogue inputs as by default.
        let mut wires = vec![I2c::write_read(0x18, vec![0x0F], vec![0x33])];
        wires.push(I2c::write(0x18, vec![0x23, 0x80]));
        wires.extend(modify(0x18, 0x20, 0x0F, 0x07));
        wires.extend(modify(0x18, 0x23, 0x80, 0x88));
        wires.extend(modify(0x18, 0x20, 0x07, 0x57));
        wires.extend(modify(0x18, 0x20, 0x57, 0x57));
        wires.push(I2c::write(0x18, vec![0x1F, 0x80]));
        // 2 g, data-ready on INT1.
        wires.extend(modify(0x18, 0x23, 0xB8, 0x88));
        wires.push(I2c::write(0x18, vec![0x22, 0x10]));
        wires
    };
    let mut wires = vec![I2c::write_read(0x18, vec![0x0F], vec![0]).with_error(NOBODY)];
    wires.push(I2c::write_read(0x18, vec![0x0F], vec![0xD1]));
    wires.extend(set_up());
    wires.push(st_reading(0x18));
    wires.push(st_reading(0x18).with_error(ErrorKind::ArbitrationLoss));
    wires.extend(set_up());
    wires.push(st_reading(0x18));
    let mut bus = I2cMock::new(&wires);
    let (rate, range) = (lis3dh::DataRate::Hz_100, lis3dh::Range::G2);
    let mut sensor = ready(lis3dh::Accelerometer::new(bus.clone(), lis3dh::SlaveAddr::Default, rate, range));
    assert_eq!(ready(sensor.read()), Err(ReadError::NoAcknowledge), "it is plugged in late");
    assert_eq!(ready(sensor.read()), Err(ReadError::Unidentified));
    assert_eq!(ready(sensor.read()), Ok(ST_COUNTS));
    assert_eq!(ready(sensor.read()), Err(ReadError::Bus));
    assert_eq!(ready(sensor.read()), Ok(ST_COUNTS));
    let [_, _, z] = lis3dh::channels(range);
    assert_eq!((z.scale, z.low, z.high, z.unit), (0.001, -2048, 2047, "g"));
    bus.done();
}

/// The magnetometer's first conversation: who it is; thermometer on and 220 Hz, 1.3 gauss, continuous.
fn lsm303dlhc_set_up() -> Vec<I2c> {
    vec![
        I2c::write_read(0x1E, vec![0x0A], b"H43".to_vec()),
        I2c::write(0x1E, vec![0x00, 0x9C]),
        I2c::write(0x1E, vec![0x01, 0x20]),
        I2c::write(0x1E, vec![0x02, 0x00]),
    ]
}

#[test]
fn lsm303dlhc_magnetometer_over_i2c() {
    let mut wires = lsm303dlhc_set_up();
    // The part gives x, z, y, high bytes first.
    let field = vec![0x01, 0x02, 0xFF, 0xFE, 0x07, 0xFF];
    let reading = || {
        [I2c::write_read(0x1E, vec![3], field.clone()), I2c::write_read(0x1E, vec![0x31], vec![0x0C, 0x80])]
    };
    wires.extend(reading());
    wires.push(I2c::write_read(0x1E, vec![3], field.clone()).with_error(NOBODY));
    // It may have lost its settings meanwhile: it is asked and set up again.
    wires.push(I2c::write_read(0x1E, vec![0x0A], vec![0; 3]).with_error(NOBODY));
    wires.push(I2c::write_read(0x1E, vec![0x0A], vec![0; 3]));
    wires.extend(lsm303dlhc_set_up());
    wires.extend(reading());
    let mut bus = I2cMock::new(&wires);
    let mut sensor = Magnetometer::new(bus.clone(), Rate::Hz220, Range::Gauss1_3);
    let counts = [0x0102, 0x07FF, -2, 0x0C80];
    assert_eq!(sensor.read(), Ok(counts));
    assert_eq!(sensor.read(), Err(ReadError::NoAcknowledge));
    assert_eq!(sensor.read(), Err(ReadError::NoAcknowledge));
    assert_eq!(sensor.read(), Err(ReadError::Unidentified));
    assert_eq!(sensor.read(), Ok(counts));
    let [x, _, z, temperature] = sensor.channels();
    assert_eq!((x.scale, z.scale), (1.0 / 1100.0, 1.0 / 980.0), "gauss per count");
    assert_eq!(f32::from(counts[3]) * temperature.scale, 25.0, "degrees: 200 eighths, left-justified");
    bus.done();
}

#[test]
fn a_full_queue_drops_the_newest_samples_and_the_next_one_tells_how_many() {
    let mut storage = queue::Storage::<1, 4>::new();
    let (mut producer, mut consumer) = queue::split(&mut storage);
    let mut health = Health::new(Settings::default());
    for turn in 0..5 {
        producer.push(100 * turn, Ok([turn as i16]));
    }
    assert_eq!(consumer.len(), 3, "one place of four tells full from empty");
    producer.push(500, Err(ReadError::Bus));
    let mut taken = Vec::new();
    while let Some(sample) = consumer.pop() {
        assert_eq!(health.observe(&sample), Verdict::Healthy);
        taken.push((sample.counter, sample.ticks, sample.reading));
    }
    assert_eq!(taken, [(0, 0, Ok([0])), (1, 100, Ok([1])), (2, 200, Ok([2]))]);
    producer.push(600, Ok([6]));
    let sample = consumer.pop().expect("there is room again");
    assert_eq!((sample.counter, sample.overruns), (6, 3));
    assert_eq!(health.observe(&sample), Verdict::Faulty(Fault::Overrun { lost: 3 }));
    assert!(consumer.is_empty());
}

#[test]
fn a_sensor_that_numbers_its_samples_is_believed() {
    let mut storage = queue::Storage::<1, 4>::new();
    let (mut producer, mut consumer) = queue::split(&mut storage);
    let mut health = Health::new(Settings::default());
    let mut verdicts = Vec::new();
    for counter in [u32::MAX, 0, 1, 5] {
        producer.set_counter(counter);
        producer.push(0, Ok([counter as i16]));
        verdicts.push(consumer.pop().map(|sample| health.observe(&sample)));
    }
    let healthy = Some(Verdict::Healthy);
    assert_eq!(verdicts, [healthy, healthy, healthy, Some(Verdict::Faulty(Fault::Gap { missed: 3 }))]);
}
