//! Random numbers of training: one seeded generator, the same on every machine.

use rand_core::{RngCore, SeedableRng};
use rand_pcg::Pcg64;

/// A seeded generator (PCG XSL RR 128/64, O'Neill 2014).
pub(crate) struct Random(Pcg64);

impl Random {
    /// The generator for `seed` and a purpose, so that one purpose's draws do not move another's.
    pub(crate) fn new(seed: u64, purpose: u64) -> Self {
        Self(Pcg64::seed_from_u64(super::engine::split_mix(seed) ^ super::engine::split_mix(!purpose)))
    }

    /// Uniform on `0..1`, 24 bits.
    pub(crate) fn uniform(&mut self) -> f32 {
        (self.0.next_u32() >> 8) as f32 / 16_777_216.0
    }

    /// Uniform on `0..n`; 0 for an `n` of 0.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        // A 64-bit product's high half: uniform to 2^-32 for any slice that fits in memory.
        usize::try_from((u128::from(self.0.next_u64()) * n as u128) >> 64).unwrap_or(0)
    }

    /// Standard normal (the polar method, Marsaglia and Bray 1964), one of a pair.
    pub(crate) fn normal(&mut self) -> f64 {
        loop {
            let [x, y] = [(); 2].map(|()| (self.0.next_u64() >> 11) as f64 / (1u64 << 52) as f64 - 1.0);
            let square = x * x + y * y;
            if square > 0.0 && square < 1.0 {
                return x * (-2.0 * square.ln() / square).sqrt();
            }
        }
    }

    /// A random order, in place (Fisher and Yates).
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i + 1));
        }
    }
}
