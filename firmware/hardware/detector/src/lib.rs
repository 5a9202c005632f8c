//! From an accelerometer on I2C to an alarm pin: what the boards have in common. A board's binary sets up its bus, its
//! pin and its delay, and calls [`watch`].
#![no_std]

use defmt_rtt as _;
use embedded_hal::delay::DelayNs;
use embedded_hal::digital::{OutputPin, PinState};
use embedded_hal::i2c::I2c;
use flowlet::{Everything, Model, Scorer};
use lis2dh12::{Accelerometer, FullScale, Lis2dh12, Mode, Odr, SlaveAddr};

/// `FLOWLET_IMAGE`: a model of three features, acceleration along x, y and z in g.
static IMAGE: &[u8] = flowlet::include_image!(env!("FLOWLET_IMAGE"));
const WORDS: usize = flowlet::workspace_words(IMAGE);

/// Samples in a second, and what lies between them.
const RATE: Odr = Odr::Hz100;
const PERIOD_MS: u32 = 10;

/// Why there is nothing to watch.
#[derive(Clone, Copy, Debug, defmt::Format)]
pub enum Fault {
    /// The image or a reading.
    Model(flowlet::Error),
    /// The accelerometer (LIS2DH12, address 0x19) did not answer, or is another part.
    Accelerometer,
}

/// Opens the image and the accelerometer, then scores each sample and drives the pin: high while readings are anomalous.
/// Logs over RTT. A sample that could not be read is logged as a fault of the sensor and leaves the pin as it is.
///
/// # Errors
/// [`Fault`]: only before the first sample.
pub fn watch(
    i2c: impl I2c,
    alarm: &mut impl OutputPin,
    delay: &mut impl DelayNs,
) -> Result<core::convert::Infallible, Fault> {
    let model = Model::<Everything>::open(IMAGE).map_err(Fault::Model)?;
    let mut workspace = [0; WORDS];
    let mut scorer = Scorer::new(&model, &mut workspace).map_err(Fault::Model)?;
    defmt::info!(
        "{} features, self-test off by {}",
        model.features(),
        scorer.self_test().map_err(Fault::Model)?
    );

    let mut sensor = start(i2c).ok_or(Fault::Accelerometer)?;
    let mut lost = 0u32;
    loop {
        delay.delay_ms(PERIOD_MS);
        let Ok(sample) = sensor.accel_norm() else {
            lost = lost.saturating_add(1);
            defmt::warn!("sensor fault: {} samples lost", lost);
            continue;
        };
        match scorer.score(&[sample.x, sample.y, sample.z]) {
            Ok(score) => {
                // A pin that fails has no one to tell but the log.
                if alarm.set_state(PinState::from(score.alarm)).is_err() {
                    defmt::error!("the alarm pin failed");
                }
                if score.alarm {
                    defmt::info!("{}", score);
                }
            }
            Err(error) => defmt::error!("{}", error),
        }
    }
}

/// Wakes the accelerometer: 12 bits, whole samples, +-2 g.
fn start<I: I2c>(i2c: I) -> Option<Lis2dh12<I>> {
    let mut sensor = Lis2dh12::new(i2c, SlaveAddr::Alternative(true)).ok()?;
    sensor.set_mode(Mode::HighResolution).ok()?;
    sensor.set_bdu(true).ok()?;
    sensor.set_fs(FullScale::G2).ok()?;
    sensor.enable_axis((true, true, true)).ok()?;
    sensor.set_odr(RATE).ok()?;
    Some(sensor)
}
