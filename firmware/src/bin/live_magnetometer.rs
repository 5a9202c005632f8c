//! A live detector: an LSM303DLHC magnetometer on I2C, every reading scored, the alarm on a pin and in a defmt log.
//!
//! The sensor's data-ready line asks for a sample; its interrupt reads the sensor and queues what it says, and the main
//! loop takes it from there. The model's features are the field's three axes and the temperature, in counts; the host
//! places the image in memory. Each sample gives one line of the log.
#![no_std]
#![no_main]

use defmt_semihosting as _;
use embedded_hal::digital::{OutputPin, StatefulOutputPin};
use flowlet::stream::health::{Health, Settings};
use flowlet::stream::{Alarm, AlarmSettings, Detector, Event, Readings, SettingsError, Surprise, Votes};
use flowlet::{Model, Scorer};
use flowlet_firmware::board::mps2_live::DataReady;
use flowlet_firmware::board::{self, interrupts, AlarmOutput, Board, WORKSPACE_WORDS};
use flowlet_firmware::{exit_code, sampling};

/// Three of five readings that only one normal reading in 64 is as rare as.
fn alarm_settings() -> Result<AlarmSettings, SettingsError> {
    let votes = Votes { needed: 3, of: 5, level: Surprise::from_bits(6), clear: Surprise::from_bits(4) };
    AlarmSettings::new(Some(votes), None, None, 0)
}

/// The field's noise changes the last digit all the time; the temperature may rest.
const STUCK_AFTER: [u16; sampling::CHANNELS] = [20, 20, 20, 0];

#[cortex_m_rt::entry]
fn main() -> ! {
    let Some(mut board) = Board::take() else { board::exit(exit_code::FAILED) };
    if let Err(error) = watch(board.image(), &mut board.alarm) {
        defmt::error!("stopped: {}", error);
    }
    board::exit(exit_code::FAILED)
}

/// Why there is no detector.
#[derive(defmt::Format)]
enum Stopped {
    /// The image, or its needs.
    Image(flowlet::Error),
    /// The alarm's settings.
    Alarm(SettingsError),
    /// The board was taken already.
    Board,
}

fn watch(image: &[u8], pin: &mut AlarmOutput) -> Result<(), Stopped> {
    let model = Model::from_bytes(image).map_err(Stopped::Image)?;
    let words =
        cortex_m::singleton!(: [u32; WORKSPACE_WORDS] = [0; WORKSPACE_WORDS]).ok_or(Stopped::Board)?;
    let mut scorer = Scorer::new(&model, words).map_err(Stopped::Image)?;
    defmt::info!("self-test passes: {}", scorer.self_test_passes().map_err(Stopped::Image)?);

    let (mut samples, channels) = sampling::start().ok_or(Stopped::Board)?;
    let mut settings = Settings::default();
    for ((expected, channel), stuck_after) in settings.channels.iter_mut().zip(&channels).zip(STUCK_AFTER) {
        *expected = channel.expected(stuck_after);
    }
    let alarm = Alarm::new(alarm_settings().map_err(Stopped::Alarm)?);
    let health = Health::new(settings);
    let detector = Detector::new(health, Readings::default(), scorer, alarm);
    let mut detector = detector.map_err(Stopped::Image)?;

    interrupts::on(DataReady::INTERRUPT, || {
        DataReady::acknowledge();
        sampling::take_sample();
    });
    DataReady::start();
    defmt::info!("watching");
    loop {
        while let Some(sample) = samples.pop() {
            let event = detector.push(&sample);
            if let Some(Event::Scored(_, verdict, ())) = &event {
                // The pin of this board can't fail.
                let _ = pin.set_state(verdict.is_on().into());
            }
            let is_high = pin.is_set_high().unwrap_or(false);
            match &event {
                Some(Event::Faulty(_) | Event::Failed(_)) => {
                    defmt::warn!("{} {} pin: {}", sample, event, is_high);
                }
                _ => defmt::info!("{} {} pin: {}", sample, event, is_high),
            }
        }
        sampling::sleep_unless_waiting(&samples);
    }
}
