//! A live detector at a fixed rate: every sample that is due is taken, scored and counted; then the main loop is held up,
//! and the interrupts are, to see that neither goes unnoticed.
//!
//! A timer asks for samples at the magnetometer's fastest rate; its interrupt reads the sensor and queues what it says.
#![no_std]
#![no_main]

use defmt_semihosting as _;
use flowlet::stream::health::{Health, Sample, Settings};
use flowlet::stream::{Alarm, AlarmSettings, Detector, Event, Readings, SettingsError, Surprise, Votes};
use flowlet::{Model, Scorer};
use flowlet_firmware::board::mps2_live::{now, SamplingTimer, TICKS_HZ};
use flowlet_firmware::board::{self, interrupts, Board, WORKSPACE_WORDS};
use flowlet_firmware::{exit_code, sampling};
use flowlet_sensors::queue::SampleConsumer;

const CHANNELS: usize = sampling::CHANNELS;

/// The magnetometer's fastest.
const RATE_HZ: u32 = 220;
const PERIOD: u32 = TICKS_HZ / RATE_HZ;

/// Samples of the undisturbed part.
const SAMPLES: u32 = 1000;

/// How many samples find no room while the main loop is held up.
const TOO_MANY: u32 = 5;

#[cortex_m_rt::entry]
fn main() -> ! {
    let Some(board) = Board::take() else { board::exit(exit_code::FAILED) };
    match run(board.image()) {
        Ok(()) => board::exit(exit_code::DONE),
        Err(error) => {
            defmt::error!("stopped: {}", error);
            board::exit(exit_code::FAILED)
        }
    }
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

/// The far end of the queue, and what becomes of its samples.
struct Loop<'m, 'w> {
    samples: SampleConsumer<'static, CHANNELS>,
    detector: Detector<'m, 'w, Readings<CHANNELS>, CHANNELS>,
    /// Ticks from a sample to its verdict, the longest so far.
    slowest: u32,
}

impl Loop<'_, '_> {
    /// Waits for the next sample; what it is and what becomes of it.
    fn next(&mut self) -> (Sample<CHANNELS>, Option<Event>) {
        loop {
            if let Some(sample) = self.samples.pop() {
                let event = self.detector.push(&sample);
                self.slowest = self.slowest.max(now().wrapping_sub(sample.ticks));
                return (sample, event);
            }
            // No sleep: the emulator's clock goes by instructions, and is even only while there are some.
            core::hint::spin_loop();
        }
    }

    /// Logs what is not a score, until a fault came and is over.
    fn watch_a_fault(&mut self) {
        loop {
            let (_, event) = self.next();
            match event {
                Some(Event::Scored(..)) | None => {}
                Some(event) => defmt::info!("{}", event),
            }
            if let Some(Event::Recovered(_)) = event {
                return;
            }
        }
    }
}

fn run(image: &[u8]) -> Result<(), Stopped> {
    let model = Model::from_bytes(image).map_err(Stopped::Image)?;
    let words =
        cortex_m::singleton!(: [u32; WORKSPACE_WORDS] = [0; WORKSPACE_WORDS]).ok_or(Stopped::Board)?;
    let scorer = Scorer::new(&model, words).map_err(Stopped::Image)?;
    let level = Surprise::from_bits(6);
    let votes = Votes { needed: 3, of: 5, level, clear: level };
    let alarm = Alarm::new(AlarmSettings::new(Some(votes), None, None, 0).map_err(Stopped::Alarm)?);
    let (samples, channels) = sampling::start().ok_or(Stopped::Board)?;
    // Nobody moves the field here: it may rest.
    let channels = channels.map(|channel| channel.expected(0));
    let settings = Settings { channels, period: PERIOD, ..Settings::default() };
    let detector = Detector::new(Health::new(settings), Readings::default(), scorer, alarm);
    let mut main_loop = Loop { samples, detector: detector.map_err(Stopped::Image)?, slowest: 0 };

    interrupts::on(SamplingTimer::INTERRUPT, || {
        SamplingTimer::acknowledge();
        sampling::take_sample();
    });
    SamplingTimer::start(PERIOD);

    // The first sample also sets the sensor up.
    let (first, _) = main_loop.next();
    main_loop.slowest = 0;
    let (mut last, mut scored) = (first, 1);
    while scored < SAMPLES {
        let (sample, event) = main_loop.next();
        match event {
            Some(Event::Scored(..)) => scored += 1,
            event => defmt::warn!("{} {}", sample, event),
        }
        last = sample;
    }
    let due = (last.ticks.wrapping_sub(first.ticks) + PERIOD / 2) / PERIOD + 1;
    let (slowest, lost) = (main_loop.slowest, due.saturating_sub(scored));
    defmt::info!("{} Hz: {} samples due, {} scored, {} lost", RATE_HZ, due, scored, lost);
    defmt::info!("slowest verdict: {} of {} ticks after its sample", slowest, PERIOD);

    defmt::info!("the main loop is held up");
    let (held, _) = main_loop.next();
    wait(held.ticks, (sampling::QUEUE as u32 + TOO_MANY) * PERIOD + PERIOD / 2);
    main_loop.watch_a_fault();

    defmt::info!("interrupts are held back");
    let (held, _) = main_loop.next();
    // Three samples are due meanwhile; one is taken late.
    critical_section::with(|_| wait(held.ticks, 3 * PERIOD + PERIOD / 4));
    main_loop.watch_a_fault();
    SamplingTimer::stop();
    Ok(())
}

/// Waits until so many ticks after a time.
fn wait(from: u32, ticks: u32) {
    while now().wrapping_sub(from) < ticks {
        cortex_m::asm::delay(1000);
    }
}
