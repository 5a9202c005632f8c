//! Scores one reading, with the runtime for affine flows in f32.
#![no_std]
#![no_main]

use flowlet::FloatAffine;
use flowlet_firmware::minimal;

#[cortex_m_rt::entry]
fn main() -> ! {
    minimal::main(minimal::score::<FloatAffine>)
}
