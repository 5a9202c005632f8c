//! Scores one reading, with the runtime for the flows of the default recipe in fixed point.
#![no_std]
#![no_main]

use flowlet::FixedAuto;
use flowlet_firmware::minimal;

#[cortex_m_rt::entry]
fn main() -> ! {
    minimal::main(minimal::score::<FixedAuto>)
}
