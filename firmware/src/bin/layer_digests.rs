//! Runs dense layers of every width, and says in digests what came out.
//!
//! The job has no image. A row is what `flowlet_protocol::layers::Kind` makes of its first four values, and
//! a number of inputs; its answer has one word for each number of outputs from 1 to the widest.
#![no_std]
#![no_main]

use flowlet_firmware::board::{self, Board, Uart};
use flowlet_firmware::conversation::{send, serve};
use flowlet_protocol::job::Job;
use flowlet_protocol::layers::{digest, Kind, INTEGER_MEMORY_WORDS, MEMORY_WORDS, WIDEST};
use flowlet_protocol::{Measurements, Message, Outcome, Refusal, WORDS_PER_MESSAGE};

/// Where RAM is short there is room for integer layers only.
const WORDS: usize = if board::WORKSPACE_WORDS < MEMORY_WORDS { INTEGER_MEMORY_WORDS } else { MEMORY_WORDS };

#[cortex_m_rt::entry]
fn main() -> ! {
    serve(answer)
}

fn answer(board: &mut Board) -> Result<(), Refusal> {
    let job = Job::parse(board.job).map_err(Refusal::Job)?;
    let memory = cortex_m::singleton!(: [u32; WORDS] = [0; WORDS]).ok_or(Refusal::Board)?;
    let rows = job.rows().len() as u32;
    send(&mut board.uart, &Message::Loaded { features: job.features as u32, rows, workspace_bytes: 0 });
    for (index, row) in (0..).zip(job.rows()) {
        if row_digests(index, row, memory, &mut board.uart).is_none() {
            send(&mut board.uart, &Message::Row { index, outcome: Outcome::Failed(u8::MAX) });
        }
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

fn row_digests(index: u32, row: &[f32], memory: &mut [u32], uart: &mut Uart) -> Option<()> {
    let &[encoding, activation, shift, extreme, inputs] = row else { return None };
    let kind = Kind::from_numbers([encoding, activation, shift, extreme])?;
    let mut digests = [0; WIDEST];
    for (outputs, word) in (1..).zip(digests.iter_mut()) {
        *word = digest(kind, inputs as usize, outputs, memory)?;
    }
    let chunks = digests.as_chunks::<WORDS_PER_MESSAGE>().0;
    for (at, &words) in chunks.iter().enumerate() {
        let count = WORDS_PER_MESSAGE as u8;
        let at = (at * WORDS_PER_MESSAGE) as u32;
        let is_last = at as usize + WORDS_PER_MESSAGE == WIDEST;
        send(uart, &Message::Words { row: index, at, is_last, count, words });
    }
    Some(())
}
