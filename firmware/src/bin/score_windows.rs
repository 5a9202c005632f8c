//! From raw samples to scores, as the image's front end has it: what a detector does between its sensor and its pin.
//!
//! The rows of the job are samples, one value a channel (counts too as f32). Per window the answer has the bits of its
//! features, then of log_prob, p-value and score, and whether it alarms.
#![no_std]
#![no_main]

use core::hint::black_box;

use flowlet::stream::features::Sample;
use flowlet::stream::front_end::Samples;
use flowlet::stream::{extract, FrontEnd, Window};
use flowlet::{Model, Scorer};
use flowlet_firmware::board::{self, Board, Uart};
use flowlet_firmware::conversation::{image_error, send, serve};
use flowlet_firmware::stack;
use flowlet_protocol::job::Job;
use flowlet_protocol::{Measurements, Message, Refusal, WORDS_PER_MESSAGE};

/// Where RAM is short and there is no FPU: integers, affine flows, and windows of 768 samples of all channels.
#[cfg(feature = "microbit")]
mod room {
    pub(super) type Supported = flowlet::FixedAffine;
    pub(super) const SAMPLES: usize = 768;
    pub(super) const SCRATCH: usize = 256;
    pub(super) const WORKSPACE: usize = 256;
    pub(super) const FEATURES: usize = 64;
}

#[cfg(not(feature = "microbit"))]
mod room {
    pub(super) type Supported = flowlet::Everything;
    pub(super) const SAMPLES: usize = 8192;
    pub(super) const SCRATCH: usize = 4096;
    pub(super) const WORKSPACE: usize = 2048;
    pub(super) const FEATURES: usize = 256;
}

use room::{Supported, FEATURES, SAMPLES, SCRATCH, WORKSPACE};

/// What every window needs besides its samples; the words are those of either arithmetic.
struct Memory {
    scratch: [u32; SCRATCH],
    features: [f32; FEATURES],
    workspace: [u32; WORKSPACE],
}

#[cortex_m_rt::entry]
fn main() -> ! {
    serve(answer)
}

fn answer(board: &mut Board) -> Result<(), Refusal> {
    let job = Job::parse(board.job).map_err(Refusal::Job)?;
    let memory = cortex_m::singleton!(: Memory = Memory {
        scratch: [0; SCRATCH],
        features: [0.0; FEATURES],
        workspace: [0; WORKSPACE],
    })
    .ok_or(Refusal::Board)?;
    let model = Model::<Supported>::open(job.image).map_err(image_error)?;
    let front_end = model.front_end().map_err(image_error)?;
    if front_end.channel_count() != job.features {
        let (image, rows) = (front_end.channel_count() as u32, job.features as u32);
        return Err(Refusal::Features { image, rows });
    }
    match front_end.samples() {
        #[cfg(not(feature = "microbit"))]
        Samples::F32 => {
            let window = cortex_m::singleton!(: Window<f32, SAMPLES> = Window::empty());
            watch(board, &job, &model, &front_end, (memory, window.ok_or(Refusal::Board)?), |x| x)
        }
        #[cfg(feature = "microbit")]
        Samples::F32 => Err(image_error(flowlet::Error::Unsupported(flowlet::Part::FrontEnd))),
        Samples::I16 => {
            let window = cortex_m::singleton!(: Window<i16, SAMPLES> = Window::empty());
            // No conversion by the compiler: it would take soft float where there is no FPU.
            let count = |x| flowlet::arithmetic::fixed::convert::f32_to_fixed(x, 0) as i16;
            watch(board, &job, &model, &front_end, (memory, window.ok_or(Refusal::Board)?), count)
        }
    }
}

/// Twice over the samples: up to the first score for the depth of the stack, then all of them.
fn watch<T: Sample>(
    board: &mut Board,
    job: &Job<'_>,
    model: &Model<'_, Supported>,
    front_end: &FrontEnd<'_>,
    (memory, window): (&mut Memory, &mut Window<T, SAMPLES>),
    sample: fn(f32) -> T,
) -> Result<(), Refusal>
where
    T::Word: bytemuck::Pod,
{
    let first = |_: &[f32], score: flowlet::Score| {
        black_box(score);
        false
    };
    let (done, stack_bytes) = stack::gauge(|| each(job, model, front_end, (memory, window), sample, first));
    done?;
    let uart = &mut board.uart;
    let rows = job.rows().len() as u32;
    let workspace_bytes = model.workspace_bytes() as u32;
    send(uart, &Message::Loaded { features: job.features as u32, rows, workspace_bytes });
    let (mut windows, mut ticks) = (0, 0);
    let clock = &mut board.stopwatch;
    clock.lap();
    each(job, model, front_end, (memory, window), sample, |features, score| {
        // The first window has more new samples than the others.
        let lap = u64::from(clock.lap());
        ticks += if windows > 0 { lap } else { 0 };
        let numbers = [score.log_prob, score.p_value, score.score].map(f32::to_bits);
        let words = features.iter().map(|x| x.to_bits()).chain(numbers).chain([u32::from(score.alarm)]);
        send_words(uart, windows, features.len() + 4, words);
        windows += 1;
        clock.lap();
        true
    })?;
    let timed_scores = windows.saturating_sub(1);
    let clock_hz = board::CLOCK_HZ;
    let measured = Measurements { timed_scores, ticks, overhead_ticks: 0, clock_hz, stack_bytes };
    send(uart, &Message::Finished(measured));
    Ok(())
}

/// Calls with each window, its features and its score, until told to stop.
#[inline(never)]
fn each<T: Sample>(
    job: &Job<'_>,
    model: &Model<'_, Supported>,
    front_end: &FrontEnd<'_>,
    (memory, window): (&mut Memory, &mut Window<T, SAMPLES>),
    sample: fn(f32) -> T,
    mut call: impl FnMut(&[f32], flowlet::Score) -> bool,
) -> Result<(), Refusal>
where
    T::Word: bytemuck::Pod,
{
    let Memory { scratch, features, workspace } = memory;
    let scratch: &mut [T::Word] = bytemuck::try_cast_slice_mut(scratch).map_err(|_| Refusal::Board)?;
    let available = core::mem::size_of_val(workspace) as u32;
    let needed = model.workspace_bytes() as u32;
    if needed > available {
        return Err(Refusal::Workspace { needed, available });
    }
    let mut scorer = Scorer::new(model, workspace).map_err(image_error)?;
    window.follow(front_end).map_err(image_error)?;
    // As many values as there may be channels.
    let mut values = [T::ZERO; 16];
    for row in job.rows() {
        for (value, &x) in values.iter_mut().zip(row) {
            *value = sample(x);
        }
        let values = values.get(..row.len()).ok_or(Refusal::Board)?;
        if !window.push(values).map_err(image_error)? {
            continue;
        }
        let features = extract(front_end, window, scratch, features).map_err(image_error)?;
        let score = scorer.score(features).map_err(image_error)?;
        if !call(features, score) {
            break;
        }
    }
    Ok(())
}

fn send_words(uart: &mut Uart, row: u32, total: usize, mut from: impl Iterator<Item = u32>) {
    let mut at = 0;
    while at < total {
        let mut words = [0; WORDS_PER_MESSAGE];
        let count = (total - at).min(WORDS_PER_MESSAGE);
        for word in words.iter_mut().take(count) {
            *word = from.next().unwrap_or(0);
        }
        let is_last = at + count == total;
        send(uart, &Message::Words { row, at: at as u32, is_last, count: count as u8, words });
        at += count;
    }
}
