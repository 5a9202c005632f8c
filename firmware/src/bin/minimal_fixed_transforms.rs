//! Scores one reading, with the runtime for every transform in fixed point.
#![no_std]
#![no_main]

use flowlet::FixedTransforms;
use flowlet_firmware::minimal;

#[cortex_m_rt::entry]
fn main() -> ! {
    minimal::main(minimal::score::<FixedTransforms>)
}
