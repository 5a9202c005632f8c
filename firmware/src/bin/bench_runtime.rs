//! The runtime alone: opens an image and scores one reading; no formatting, no logging, no protocol.
//!
//! Its size less that of `bench_empty` is the flash and the static RAM that flowlet takes.
#![no_std]
#![no_main]

use core::hint::black_box;

use flowlet::{Model, Scorer};
use flowlet_firmware::board::{self, Board};
use flowlet_firmware::exit_code;

/// Words of a workspace, on the stack: the size is not what is measured.
const WORKSPACE_WORDS: usize = 512;

#[cortex_m_rt::entry]
fn main() -> ! {
    let Some(board) = Board::take() else { board::exit(exit_code::FAILED) };
    let code = match score(black_box(board.job), black_box(&[])) {
        Ok(false) => exit_code::DONE,
        _ => exit_code::FAILED,
    };
    board::exit(code)
}

fn score(image: &[u8], reading: &[f32]) -> Result<bool, flowlet::Error> {
    let model = Model::from_bytes(image)?;
    let mut workspace = [0; WORKSPACE_WORDS];
    let score = Scorer::new(&model, &mut workspace)?.score(reading)?;
    Ok(black_box(score).alarm)
}
