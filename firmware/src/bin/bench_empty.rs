//! Start-up and exit, and nothing between: what `bench_runtime` is compared with.
#![no_std]
#![no_main]

use core::hint::black_box;

use flowlet_firmware::board::{self, Board};
use flowlet_firmware::exit_code;

#[cortex_m_rt::entry]
fn main() -> ! {
    let Some(board) = Board::take() else { board::exit(exit_code::FAILED) };
    // As in `bench_runtime`, without the runtime.
    let code = if black_box(board.job).is_empty() { exit_code::FAILED } else { exit_code::DONE };
    board::exit(code)
}
