//! The least that a detector does: open an image where it lies, score one reading. What the binaries `minimal_*`
//! have in common, so that they differ by the runtime alone; `minimal_empty` has none, and what another binary has
//! beyond it is what the runtime costs.
//!
//! The host places an image, and nothing else, in the board's memory for jobs.

use core::hint::black_box;

use flowlet::{Model, Scorer, Support};

use crate::board::{self, Board};
use crate::exit_code;

/// Words that a scorer may use here.
const WORKSPACE_WORDS: usize = 1 << 10;

/// The reading: longer ones are not scored.
static READING: [f32; 32] = [0.25; 32];

/// Gives the image, a reading and the workspace to `work`; the program ends well if that returns true.
pub fn main(work: fn(&'static [u8], &[f32], &mut [u32]) -> bool) -> ! {
    let done = Board::take().zip(cortex_m::singleton!(: [u32; WORKSPACE_WORDS] = [0; WORKSPACE_WORDS]));
    let Some((board, workspace)) = done else { board::exit(exit_code::FAILED) };
    let done = work(black_box(board.image()), black_box(&READING), workspace);
    board::exit(if done { exit_code::DONE } else { exit_code::FAILED })
}

/// Opens the image and scores the reading with a scorer for `S`.
#[inline(always)]
pub fn score<S: Support>(image: &'static [u8], reading: &[f32], workspace: &mut [u32]) -> bool {
    let Ok(model) = Model::<S>::open(image) else { return false };
    let Ok(mut scorer) = Scorer::new(&model, workspace) else { return false };
    score_one(&mut scorer, reading.get(..model.inputs()).unwrap_or_default())
}

/// One score, in a function that the gates find by its name.
#[inline(never)]
fn score_one<S: Support>(scorer: &mut Scorer<'_, '_, S>, reading: &[f32]) -> bool {
    black_box(scorer.score(reading)).is_ok()
}
