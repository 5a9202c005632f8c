//! Runs streams through alarm, drift, re-centring and commissioning, and says in digests what came out.
//!
//! The job has no image. A row is a seed and a number of readings, as the bits of two f32.
#![no_std]
#![no_main]

use flowlet_firmware::board::{self, Board};
use flowlet_firmware::conversation::{send, serve};
use flowlet_protocol::job::Job;
use flowlet_protocol::streams::digest;
use flowlet_protocol::{Measurements, Message, Outcome, Refusal, WORDS_PER_MESSAGE};

#[cortex_m_rt::entry]
fn main() -> ! {
    serve(answer)
}

fn answer(board: &mut Board) -> Result<(), Refusal> {
    let job = Job::parse(board.job).map_err(Refusal::Job)?;
    let rows = job.rows().len() as u32;
    send(&mut board.uart, &Message::Loaded { features: job.features as u32, rows, workspace_bytes: 0 });
    for (row, values) in (0..).zip(job.rows()) {
        let words = match values {
            &[seed, readings] => digest(seed.to_bits(), readings.to_bits()),
            _ => None,
        };
        let message = match words {
            Some(words) => {
                Message::Words { row, at: 0, is_last: true, count: WORDS_PER_MESSAGE as u8, words }
            }
            None => Message::Row { index: row, outcome: Outcome::Failed(u8::MAX) },
        };
        send(&mut board.uart, &message);
    }
    let measured = Measurements {
        timed_scores: 0,
        ticks: 0,
        overhead_ticks: 0,
        clock_hz: board::CLOCK_HZ,
        stack_bytes: 0,
    };
    send(&mut board.uart, &Message::Finished(measured));
    Ok(())
}
