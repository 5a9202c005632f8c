//! A whole detector in integers on a Cortex-M0: samples, health, windows, features, score, alarm on the LED and over the
//! serial line.
//!
//! In place of an accelerometer, which the emulated board lacks, stands a recording: behind the image, on a word's
//! boundary, the host places the number of samples as an u32 and then their three channels as i16. What becomes of a
//! sample is a line of text, with numbers in hexadecimal:
//!
//! ```text
//! S <sample> <log_prob, its bits> <p-value, its bits> <verdict: Q R O C> <LED: 0 1>
//! F <sample> <fault: U O G S K> <channel>        a fault of the sensor begins
//! R <sample>                                     it is over
//! X <sample>                                     a window could not be scored
//! E <bytes of stack>                             the end
//! ```
#![no_std]
#![no_main]

use embedded_hal::digital::{OutputPin, StatefulOutputPin};
use flowlet::stream::health::{Channel, Fault, Health, Sample, Settings};
use flowlet::stream::{Alarm, AlarmSettings, Detector, Event, Surprise, Verdict, Votes, Window, Windows};
use flowlet::{FixedAffine, Model, Scorer};
use flowlet_firmware::board::{self, Board, Uart};
use flowlet_firmware::{exit_code, stack};

const CHANNELS: usize = 3;
/// Three channels of 256.
const SAMPLES: usize = 768;

/// All that is not on the stack.
struct Memory {
    window: Window<i16, SAMPLES>,
    scratch: [i32; 256],
    features: [f32; 48],
    workspace: [u32; 256],
}

#[cortex_m_rt::entry]
fn main() -> ! {
    let memory = cortex_m::singleton!(: Memory = Memory {
        window: Window::empty(),
        scratch: [0; 256],
        features: [0.0; 48],
        workspace: [0; 256],
    });
    let Some((mut board, memory)) = Board::take().zip(memory) else { board::exit(exit_code::FAILED) };
    let (watched, stack_bytes) = stack::gauge(|| watch(&mut board, memory));
    if watched.is_none() {
        board::exit(exit_code::FAILED);
    }
    board.uart.send(b"E");
    number(&mut board.uart, stack_bytes);
    board.uart.send(b"\n");
    board::exit(exit_code::DONE)
}

/// Watches the recording; `None` if the image or the recording is not what it must be.
#[inline(never)]
fn watch(board: &mut Board, memory: &mut Memory) -> Option<()> {
    let image = board.image();
    let (count, samples) = board.job.get(image.len().next_multiple_of(4)..)?.split_first_chunk::<4>()?;
    let model = Model::<FixedAffine>::open(image).ok()?;
    let Memory { window, scratch, features, workspace } = memory;
    let scorer = Scorer::new(&model, workspace).ok()?;
    let front = Windows::new(model.front_end().ok()?, window, scratch, features).ok()?;
    // Two of three windows that only one normal window in 64 is as rare as.
    let level = Surprise::from_bits(6);
    let votes = Votes { needed: 2, of: 3, level, clear: Surprise::from_bits(3) };
    let alarm = Alarm::new(AlarmSettings::new(Some(votes), None, None, 0).ok()?);
    let channel = Channel { stuck_after: 32, ..Channel::default() };
    let settings = Settings { channels: [channel; CHANNELS], ..Settings::default() };
    let mut detector = Detector::new(Health::new(settings), front, scorer, alarm).ok()?;

    let samples = samples.chunks_exact(2 * CHANNELS).zip(0..u32::from_le_bytes(*count));
    for (bytes, index) in samples {
        let mut counts = [0; CHANNELS];
        for (count, bytes) in counts.iter_mut().zip(bytes.chunks_exact(2)) {
            *count = i16::from_le_bytes(*bytes.first_chunk()?);
        }
        let sample = Sample { ticks: 0, counter: index, overruns: 0, reading: Ok(counts) };
        if let Some(event) = detector.push(&sample) {
            report(board, index, event);
        }
    }
    Some(())
}

fn report(board: &mut Board, index: u32, event: Event) {
    let Board { uart, alarm: led, .. } = board;
    match event {
        Event::Scored(score, verdict, ()) => {
            // The pins of this board can't fail.
            let _ = led.set_state(verdict.is_on().into());
            uart.send(b"S");
            number(uart, index);
            number(uart, score.log_prob.to_bits());
            number(uart, score.p_value.to_bits());
            uart.send(match verdict {
                Verdict::Quiet => b" Q",
                Verdict::Raised => b" R",
                Verdict::On => b" O",
                Verdict::Cleared => b" C",
            });
            uart.send(if led.is_set_high().unwrap_or(false) { b" 1" } else { b" 0" });
        }
        Event::Faulty(fault) => {
            uart.send(b"F");
            number(uart, index);
            let (letter, channel) = match fault {
                Fault::Unreadable(_) => (b" U", 0),
                Fault::Overrun { .. } => (b" O", 0),
                Fault::Gap { .. } => (b" G", 0),
                Fault::Saturated { channel, .. } => (b" S", channel),
                Fault::Stuck { channel, .. } => (b" K", channel),
                _ => (b" ?", 0),
            };
            uart.send(letter);
            number(uart, channel.into());
        }
        Event::Recovered(_) => {
            uart.send(b"R");
            number(uart, index);
        }
        Event::Failed(_) => {
            uart.send(b"X");
            number(uart, index);
        }
    }
    uart.send(b"\n");
}

/// A blank and eight hexadecimal digits.
fn number(uart: &mut Uart, number: u32) {
    uart.send(b" ");
    for shift in (0..8).rev() {
        let digit = (number >> (4 * shift) & 0xF) as u8;
        uart.send(&[if digit < 10 { b'0' + digit } else { b'a' - 10 + digit }]);
    }
}
