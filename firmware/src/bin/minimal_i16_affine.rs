//! Scores one reading, with the runtime for the least that is useful, with i16 weights.
#![no_std]
#![no_main]

use flowlet::I16Affine;
use flowlet_firmware::minimal;

#[cortex_m_rt::entry]
fn main() -> ! {
    minimal::main(minimal::score::<I16Affine>)
}
