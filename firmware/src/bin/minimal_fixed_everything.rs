//! Scores one reading, with the runtime for every flow in fixed point.
#![no_std]
#![no_main]

use flowlet::FixedEverything;
use flowlet_firmware::minimal;

#[cortex_m_rt::entry]
fn main() -> ! {
    minimal::main(minimal::score::<FixedEverything>)
}
