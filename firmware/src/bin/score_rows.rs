//! Scores the rows that the host placed in memory, and says what each score cost.
//!
//! The image is not compiled in: it comes with the rows, as `flowlet_protocol::job` lays them out.
//! The answers go out over the serial line, each in a frame of its own.
#![no_std]
#![no_main]

use core::hint::black_box;

use flowlet::{Model, Scorer};
use flowlet_firmware::board::{self, Board, WORKSPACE_WORDS};
use flowlet_firmware::conversation::{image_error, send, serve};
use flowlet_firmware::stack;
use flowlet_firmware::stopwatch::Stopwatch;
use flowlet_protocol::job::Job;
use flowlet_protocol::{error_code, Measurements, Message, Outcome, Refusal, ScoreBits};

/// How many rows the timed loop can remember.
const TIMED_ROWS: usize = 256;

#[cortex_m_rt::entry]
fn main() -> ! {
    serve(answer)
}

fn answer(board: &mut Board) -> Result<(), Refusal> {
    let job = Job::parse(board.job).map_err(Refusal::Job)?;
    let words =
        cortex_m::singleton!(: [u32; WORKSPACE_WORDS] = [0; WORKSPACE_WORDS]).ok_or(Refusal::Board)?;
    let timed = cortex_m::singleton!(: [u32; TIMED_ROWS] = [0; TIMED_ROWS]).ok_or(Refusal::Board)?;

    // What a user of the crate does, and nothing else, is what the stack gauge sees.
    let (first, stack_bytes) = stack::gauge(|| load_and_score(&job, words));
    let workspace_bytes = first?;

    let uart = &mut board.uart;
    let rows = job.rows().len() as u32;
    send(uart, &Message::Loaded { features: job.features as u32, rows, workspace_bytes });

    let model = Model::from_bytes(job.image).map_err(image_error)?;
    let mut scorer = Scorer::new(&model, words).map_err(image_error)?;
    let mut good = 0;
    let most = job.timed_rows as usize;
    for (index, row) in (0..).zip(job.rows()) {
        let outcome = match scorer.score(row) {
            Ok(score) => {
                if let Some(slot) = timed.get_mut(good).filter(|_| good < most) {
                    *slot = index;
                    good += 1;
                }
                Outcome::Scored(ScoreBits {
                    log_prob: score.log_prob.to_bits(),
                    p_value: score.p_value.to_bits(),
                    score: score.score.to_bits(),
                    alarm: score.alarm,
                })
            }
            Err(error) => Outcome::Failed(error_code(error)),
        };
        send(uart, &Message::Row { index, outcome });
    }

    let timed = timed.get(..good).unwrap_or_default();
    let ticks = laps(&mut board.stopwatch, &job, timed, |row| {
        // The result must be wanted, or the compiler leaves the score out.
        black_box(scorer.score(row).is_ok());
    });
    let overhead_ticks = laps(&mut board.stopwatch, &job, timed, |row| {
        black_box(row.is_empty());
    });
    let timed_scores = good as u32;
    let clock_hz = board::CLOCK_HZ;
    let measured = Measurements { timed_scores, ticks, overhead_ticks, clock_hz, stack_bytes };
    send(&mut board.uart, &Message::Finished(measured));
    Ok(())
}

/// Loads the image and scores every row once; returns the bytes of workspace that the image needs.
fn load_and_score(job: &Job<'_>, words: &mut [u32]) -> Result<u32, Refusal> {
    let model = Model::from_bytes(job.image).map_err(image_error)?;
    if model.inputs() != job.features {
        return Err(Refusal::Features { image: model.inputs() as u32, rows: job.features as u32 });
    }
    let needed = flowlet::workspace_bytes(job.image);
    let available = core::mem::size_of_val(words);
    if needed > available {
        return Err(Refusal::Workspace { needed: needed as u32, available: available as u32 });
    }
    let mut scorer = Scorer::new(&model, words).map_err(image_error)?;
    for row in job.rows().take(TIMED_ROWS) {
        // Errors are answered row by row later; here only the depth of the stack counts.
        black_box(scorer.score(row).is_ok());
    }
    Ok(needed as u32)
}

/// Ticks of `work` over the rows, with the loop and the clock around it.
#[inline(always)]
fn laps(clock: &mut Stopwatch, job: &Job<'_>, rows: &[u32], mut work: impl FnMut(&[f32])) -> u64 {
    clock.lap();
    let mut ticks = 0;
    for &index in rows {
        if let Some(row) = job.rows().nth(index as usize) {
            work(black_box(row));
        }
        ticks += u64::from(clock.lap());
    }
    ticks
}
