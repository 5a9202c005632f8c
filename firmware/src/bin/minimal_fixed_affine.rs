//! Scores one reading, with the runtime for affine flows in fixed point.
#![no_std]
#![no_main]

use flowlet::FixedAffine;
use flowlet_firmware::minimal;

#[cortex_m_rt::entry]
fn main() -> ! {
    minimal::main(minimal::score::<FixedAffine>)
}
