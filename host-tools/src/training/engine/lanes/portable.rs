//! The twin for every processor: plain arrays that the compiler vectorizes as it can.

use super::{Lanes, Line, LINE};

/// Arrays of four f32, no fused multiply-add (`f32::mul_add` would be a library call).
#[derive(Clone, Copy)]
pub(crate) struct Portable;

const WIDTH: usize = 4;
type V = [f32; WIDTH];

#[inline(always)]
fn zip(a: V, b: V, f: impl Fn(f32, f32) -> f32) -> V {
    let mut out = [0.0; WIDTH];
    for i in 0..WIDTH {
        out[i] = f(a[i], b[i]);
    }
    out
}

impl Lanes for Portable {
    type V = V;
    const NAME: &'static str = "portable";
    const WIDTH: usize = WIDTH;
    const VECTORS: usize = 4;
    const ROWS: usize = 2;

    #[inline(always)]
    fn vectorize<R>(self, f: impl FnOnce() -> R) -> R {
        f()
    }
    #[inline(always)]
    fn splat(self, a: f32) -> V {
        [a; WIDTH]
    }
    #[inline(always)]
    fn load(self, from: &[f32]) -> V {
        [from[0], from[1], from[2], from[3]]
    }
    #[inline(always)]
    fn store(self, a: V, to: &mut [f32]) {
        to[..WIDTH].copy_from_slice(&a);
    }
    #[inline(always)]
    fn add(self, a: V, b: V) -> V {
        zip(a, b, |a, b| a + b)
    }
    #[inline(always)]
    fn sub(self, a: V, b: V) -> V {
        zip(a, b, |a, b| a - b)
    }
    #[inline(always)]
    fn mul(self, a: V, b: V) -> V {
        zip(a, b, |a, b| a * b)
    }
    #[inline(always)]
    fn div(self, a: V, b: V) -> V {
        zip(a, b, |a, b| a / b)
    }
    #[inline(always)]
    fn mul_add(self, a: V, b: V, c: V) -> V {
        self.add(self.mul(a, b), c)
    }
    #[inline(always)]
    fn sqrt(self, a: V) -> V {
        a.map(f32::sqrt)
    }
    #[inline(always)]
    fn min(self, a: V, b: V) -> V {
        zip(a, b, |a, b| if a < b { a } else { b })
    }
    #[inline(always)]
    fn max(self, a: V, b: V) -> V {
        zip(a, b, |a, b| if a > b { a } else { b })
    }
    #[inline(always)]
    fn select_gt(self, a: V, b: V, yes: V, no: V) -> V {
        let mut out = [0.0; WIDTH];
        for i in 0..WIDTH {
            out[i] = if a[i] > b[i] { yes[i] } else { no[i] };
        }
        out
    }
    #[inline(always)]
    fn round(self, a: V) -> V {
        // Adding 1.5 * 2^23 leaves no fraction bits: the addition itself rounds to nearest even.
        const MAGIC: f32 = 12_582_912.0;
        a.map(|a| (a + MAGIC) - MAGIC)
    }
    #[inline(always)]
    fn power_of_two(self, k: V) -> V {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        k.map(|k| f32::from_bits(((k as i32 + 127) as u32) << 23))
    }
    #[inline(always)]
    fn exponent(self, a: V) -> V {
        a.map(|a| ((a.to_bits() >> 23) as i32 - 127) as f32)
    }
    #[inline(always)]
    fn transpose(self, from: &[Line; LINE], to: &mut [Line; LINE]) {
        for (j, to) in to.iter_mut().enumerate() {
            for (to, from) in to.0.iter_mut().zip(from) {
                *to = from.0[j];
            }
        }
    }
    #[inline(always)]
    fn turn(self, rows: &mut [V]) {
        let from: [V; WIDTH] = rows[..WIDTH].try_into().expect("four");
        for (j, row) in rows.iter_mut().enumerate() {
            *row = from.map(|from| from[j]);
        }
    }
}
