//! From samples of an accelerometer to an alarm pin: what the boards have in common.
//!
//! A board's binary sets up its pins and its bus. [`polled::watch`] does the rest on one core without interrupts; who takes
//! samples in another way hands each to [`Watch::step`].
#![no_std]

#[cfg(feature = "polled")]
pub mod polled;
mod stage;

use defmt_rtt as _;
use embedded_hal::digital::OutputPin;
use flowlet::stream::health::{Health, Sample, Settings};
use flowlet::stream::{Alarm, AlarmSettings, Detector, Event, Surprise, Verdict, Votes};
use flowlet::{Error, Model, Scorer};
use flowlet_sensors::Channel;

use stage::Stage;

/// `FLOWLET_IMAGE`: a model of the acceleration along x, y and z, in counts of the sensor.
static IMAGE: &[u8] = flowlet::include_image!(env!("FLOWLET_IMAGE"));
const WORDS: usize = flowlet::workspace_words(IMAGE);

/// Axes of the accelerometer.
pub const CHANNELS: usize = 3;
/// Samples in a second.
pub const RATE_HZ: u32 = 100;

/// So many equal samples in a row are a stuck axis. At rest the last of 12 bits moves.
const STUCK_AFTER: u16 = 64;

/// Why there is nothing to watch.
#[derive(Clone, Copy, Debug, defmt::Format)]
pub enum Fault {
    /// The image, or what it needs.
    Model(Error),
    /// The detector was taken already.
    Taken,
}

/// Health, readings or windows, score, alarm, pin. One in a program: its buffers are statics.
pub struct Watch<P> {
    detector: Detector<'static, 'static, Stage, CHANNELS>,
    pin: P,
}

impl<P: OutputPin> Watch<P> {
    /// Opens the image. Samples are `period` ticks of their clock apart; 0: the time is not looked at.
    ///
    /// The alarm listens to what the image says; to votes of three in five readings if it says nothing.
    ///
    /// # Errors
    /// [`Fault`].
    pub fn new(channels: [Channel; CHANNELS], period: u32, pin: P) -> Result<Self, Fault> {
        let model = Model::from_bytes(IMAGE).map_err(Fault::Model)?;
        let model = &*cortex_m::singleton!(MODEL: Model<'static> = model).ok_or(Fault::Taken)?;
        let workspace = cortex_m::singleton!(WORKSPACE: [u32; WORDS] = [0; WORDS]).ok_or(Fault::Taken)?;
        let mut scorer = Scorer::new(model, workspace).map_err(Fault::Model)?;
        defmt::info!("self-test passes: {}", scorer.self_test_passes().map_err(Fault::Model)?);

        let channels = channels.map(|channel| channel.expected(STUCK_AFTER));
        let health = Health::new(Settings { channels, period, ..Settings::default() });
        let alarm = match model.alarm() {
            Err(Error::NoAlarm) => usual_alarm().ok_or(Fault::Model(Error::NoAlarm))?,
            said => said.map_err(Fault::Model)?,
        };
        let alarm = Alarm::new(alarm);
        let detector = Detector::new(health, Stage::of(model)?, scorer, alarm).map_err(Fault::Model)?;
        Ok(Self { detector, pin })
    }

    /// Takes the next sample. The pin is high while the alarm is on; a fault of the sensor leaves it as it is. What
    /// begins and ends, alarms and faults, is logged.
    pub fn step(&mut self, sample: &Sample<CHANNELS>) {
        match self.detector.push(sample) {
            None => {}
            Some(Event::Scored(score, verdict, ())) => {
                // A pin that fails has no one to tell but the log.
                if self.pin.set_state(verdict.is_on().into()).is_err() {
                    defmt::error!("the alarm pin failed");
                }
                match verdict {
                    Verdict::Raised => defmt::warn!("alarm: {}", score),
                    Verdict::Cleared => defmt::info!("alarm over: {}", score),
                    Verdict::Quiet | Verdict::On => defmt::debug!("{}", score),
                }
            }
            Some(Event::Faulty(fault)) => defmt::warn!("sensor fault: {}", fault),
            Some(Event::Recovered(fault)) => defmt::info!("sensor fault over: {}", fault),
            Some(Event::Failed(error)) => defmt::error!("{}", error),
        }
    }
}

/// Three of five readings that only one normal reading in 64 is as rare as.
fn usual_alarm() -> Option<AlarmSettings> {
    let votes = Votes { needed: 3, of: 5, level: Surprise::from_bits(6), clear: Surprise::from_bits(4) };
    AlarmSettings::new(Some(votes), None, None, 0).ok()
}
