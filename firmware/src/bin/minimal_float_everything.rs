//! Scores one reading, with the runtime for every flow in f32.
#![no_std]
#![no_main]

use flowlet::FloatEverything;
use flowlet_firmware::minimal;

#[cortex_m_rt::entry]
fn main() -> ! {
    minimal::main(minimal::score::<FloatEverything>)
}
