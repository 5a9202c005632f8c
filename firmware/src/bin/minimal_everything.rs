//! Scores one reading, with the runtime for every flow in both arithmetics.
#![no_std]
#![no_main]

use flowlet::Everything;
use flowlet_firmware::minimal;

#[cortex_m_rt::entry]
fn main() -> ! {
    minimal::main(minimal::score::<Everything>)
}
