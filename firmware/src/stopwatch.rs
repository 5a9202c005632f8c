//! Counts ticks with SysTick.

use cortex_m::peripheral::syst::SystClkSource;
use cortex_m::peripheral::SYST;

/// SysTick counts down through 24 bits.
const WRAP_MASK: u32 = 0x00FF_FFFF;

/// A clock that must be looked at more often than it wraps.
pub struct Stopwatch {
    last: u32,
}

impl Stopwatch {
    /// Starts the clock.
    pub fn new(mut systick: SYST) -> Self {
        systick.set_clock_source(SystClkSource::Core);
        systick.set_reload(WRAP_MASK);
        systick.clear_current();
        systick.enable_counter();
        Self { last: SYST::get_current() }
    }

    /// Ticks since the last lap; right if they are fewer than 2^24, which at 40 instructions a
    /// tick is 671 million instructions. Laps lose nothing between them, so their sum is exact
    /// however long it grows.
    #[inline(always)]
    pub fn lap(&mut self) -> u32 {
        let now = SYST::get_current();
        let ticks = self.last.wrapping_sub(now) & WRAP_MASK;
        self.last = now;
        ticks
    }
}
