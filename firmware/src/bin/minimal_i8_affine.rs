//! Scores one reading, with the runtime for the least that is useful, with i8 weights.
#![no_std]
#![no_main]

use flowlet::I8Affine;
use flowlet_firmware::minimal;

#[cortex_m_rt::entry]
fn main() -> ! {
    minimal::main(minimal::score::<I8Affine>)
}
