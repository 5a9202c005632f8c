//! Scores nothing: what the other minimal firmwares are measured against.
#![no_std]
#![no_main]

use core::hint::black_box;

use flowlet_firmware::minimal;

#[cortex_m_rt::entry]
fn main() -> ! {
    minimal::main(|image, reading, workspace| !black_box((image, reading, workspace)).0.is_empty())
}
