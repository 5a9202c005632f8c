//! Says all that the runtime can say of the rows that the host placed in memory: statistics, explanation, samples.
//!
//! Job and answers are as in `score_rows`; each row's words go out in `Words` messages.
#![no_std]
#![no_main]

use core::hint::black_box;

use flowlet::{Explainer, Model};
use flowlet_firmware::board::{self, Board, Uart, WORKSPACE_WORDS};
use flowlet_firmware::conversation::{image_error, send, serve};
use flowlet_firmware::stack;
use flowlet_protocol::inquiry::{inquire, workspace_words};
use flowlet_protocol::job::Job;
use flowlet_protocol::{error_code, Measurements, Message, Outcome, Refusal, WORDS_PER_MESSAGE};

#[cortex_m_rt::entry]
fn main() -> ! {
    serve(answer)
}

fn answer(board: &mut Board) -> Result<(), Refusal> {
    let job = Job::parse(board.job).map_err(Refusal::Job)?;
    let words =
        cortex_m::singleton!(: [u32; WORKSPACE_WORDS] = [0; WORKSPACE_WORDS]).ok_or(Refusal::Board)?;
    let model = Model::from_bytes(job.image).map_err(image_error)?;
    if model.inputs() != job.features {
        return Err(Refusal::Features { image: model.inputs() as u32, rows: job.features as u32 });
    }
    let workspace_bytes = 4 * workspace_words(&model) as u32;
    if workspace_words(&model) > words.len() {
        return Err(Refusal::Workspace { needed: workspace_bytes, available: 4 * words.len() as u32 });
    }
    let rows = job.rows().len() as u32;
    send(&mut board.uart, &Message::Loaded { features: job.features as u32, rows, workspace_bytes });
    for (index, row) in (0..).zip(job.rows()) {
        let mut packer = Packer { row: index, at: 0, words: [0; WORDS_PER_MESSAGE], count: 0 };
        match inquire(&model, words, row, u64::from(index), |word| packer.push(word, &mut board.uart)) {
            Ok(()) => packer.flush(true, &mut board.uart),
            Err(error) => {
                send(&mut board.uart, &Message::Row { index, outcome: Outcome::Failed(error_code(error)) });
            }
        }
    }

    let explain = |words: &mut [u32], row: &[f32]| {
        let explained = Explainer::new(&model, words).map(|mut e| e.explain(black_box(row)).is_ok());
        black_box(explained.is_ok_and(|explained| explained))
    };
    let mut ticks = 0;
    let mut timed_scores = 0;
    for row in job.rows().take(job.timed_rows as usize) {
        board.stopwatch.lap();
        if explain(words, row) {
            ticks += u64::from(board.stopwatch.lap());
            timed_scores += 1;
        }
    }
    let (_, stack_bytes) = stack::gauge(|| job.rows().next().map(|row| explain(words, row)));
    let measured =
        Measurements { timed_scores, ticks, overhead_ticks: 0, clock_hz: board::CLOCK_HZ, stack_bytes };
    send(&mut board.uart, &Message::Finished(measured));
    Ok(())
}

/// Gathers words into messages.
struct Packer {
    row: u32,
    at: u32,
    words: [u32; WORDS_PER_MESSAGE],
    count: u8,
}

impl Packer {
    fn push(&mut self, word: u32, uart: &mut Uart) {
        if usize::from(self.count) == WORDS_PER_MESSAGE {
            self.flush(false, uart);
        }
        if let Some(slot) = self.words.get_mut(usize::from(self.count)) {
            *slot = word;
            self.count += 1;
        }
    }

    fn flush(&mut self, is_last: bool, uart: &mut Uart) {
        let Self { row, at, words, count } = *self;
        send(uart, &Message::Words { row, at, is_last, count, words });
        self.at += u32::from(count);
        self.count = 0;
    }
}
