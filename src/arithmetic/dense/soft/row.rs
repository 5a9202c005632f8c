//! A row in Rust, for cores whose instructions are too few for the assembly of `row.s` (Cortex-M0).

use super::{anything, exponent, LEAST, MOST, SIGN};

/// The leading one of a mantissa.
const ONE: u32 = 1 << 23;

/// `sum` and the products of a row, whose weights lie `step` apart; all as bits. `is_plain`: all activations are.
#[inline(always)]
pub(super) fn row_sum(mut sum: u32, weights: &[u32], step: usize, input: &[f32], is_plain: bool) -> u32 {
    let mut at = 0;
    for x in input {
        let x = x.to_bits();
        let Some(weight) = weights.get(at) else { break };
        at += step;
        // Of a zero, as ReLU gives it for half of the units, nothing comes but to -0.0: weights are finite.
        if x & !SIGN != 0 || sum == SIGN {
            sum = if is_plain { multiply_add(sum, *weight, x) } else { anything(sum, *weight, x) };
        }
    }
    sum
}

/// The mantissa of a normal number.
#[inline(always)]
fn mantissa(bits: u32) -> u32 {
    bits & (ONE - 1) | ONE
}

/// A number of 24 bits and the 32 behind it, rounded to nearest, ties to even.
#[inline(always)]
fn rounded(high: u32, low: u32) -> u32 {
    let up = high + (low >> 31);
    if low == 1 << 31 {
        up & !1
    } else {
        up
    }
}

/// The product of two mantissas and 2^8: its halves.
#[inline(always)]
fn product(a: u32, b: u32) -> [u32; 2] {
    if cfg!(flowlet_integer_kernels = "armv6m") {
        return product_of_halves(a, b);
    }
    let product = u64::from(a << 8) * u64::from(b);
    [(product >> 32) as u32, product as u32]
}

/// [`product`] where the core has products of 32 bits only: of halves of 12 bits.
#[inline(always)]
fn product_of_halves(a: u32, b: u32) -> [u32; 2] {
    let ([a_high, a_low], [b_high, b_low]) = ([a >> 12, a & 0xfff], [b >> 12, b & 0xfff]);
    let low = a_low * b_low;
    let middle = a_high * b_low + a_low * b_high + (low >> 12);
    [a_high * b_high + (middle >> 12), middle << 20 | (low & 0xfff) << 8]
}

/// `sum + weight * x`, both rounded, as bits, of a plain `x` or zero and a finite weight.
#[inline(always)]
fn multiply_add(sum: u32, weight: u32, x: u32) -> u32 {
    let product_exponent = (exponent(weight) + exponent(x)).wrapping_sub(127);
    let is_taken = |exponent: u32| exponent.wrapping_sub(LEAST) <= MOST - LEAST;
    if !is_taken(product_exponent) || !is_taken(exponent(sum)) {
        return anything(sum, weight, x);
    }
    let [mut high, mut low] = product(mantissa(weight), mantissa(x));
    let mut exponent = product_exponent;
    if high < ONE {
        high = high << 1 | low >> 31;
        low <<= 1;
        exponent -= 1;
    }
    // The leading one adds to the exponent, and so does a carry of the rounding.
    add(sum, (weight ^ x) & SIGN, (exponent << 23) + rounded(high, low))
}

/// The sum of two numbers, the second by its sign and size, with exponents of [`LEAST`] to [`MOST`] + 2.
#[inline(always)]
fn add(a: u32, b_sign: u32, b_size: u32) -> u32 {
    let a_size = a & !SIGN;
    let is_opposite = (a ^ b_sign) & SIGN != 0;
    let (large, small, sign) =
        if a_size >= b_size { (a_size, b_size, a & SIGN) } else { (b_size, a_size, b_sign) };
    let exponent = large >> 23;
    let distance = exponent - (small >> 23);
    if distance > 25 {
        return sign | large;
    }
    let small = mantissa(small);
    let shifted = u64::from(small >> distance) << 32 | u64::from(small << (31 - distance) << 1);
    let whole = u64::from(mantissa(large)) << 32;
    let (total, exponent) = if is_opposite {
        let difference = whole - shifted;
        if difference == 0 {
            return 0;
        }
        // Seven zeros and more, of the eight before a mantissa one.
        let zeros = difference.leading_zeros() - 8;
        (difference << (zeros & 31), exponent - zeros - 1)
    } else {
        let total = whole + shifted;
        if total >> 56 != 0 {
            // What is shifted out is zero or not the last that decides: of 24 bits behind the mantissa the lowest are zero.
            (total >> 1, exponent)
        } else {
            (total, exponent - 1)
        }
    };
    sign | ((exponent << 23) + rounded((total >> 32) as u32, total as u32))
}

#[cfg(test)]
mod tests {
    use super::super::PLAIN;
    use super::*;

    /// Bits without a pattern (SplitMix64, Steele et al. 2014).
    fn bits(state: &mut u64) -> u32 {
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (*state ^ *state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        ((mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb) >> 32) as u32
    }

    #[test]
    fn halves_give_the_same_product() {
        let mut state = 1;
        let edges = [ONE, ONE + 1, 2 * ONE - 1, 0xff_f000, 0x80_0fff];
        for (a, b) in edges.iter().flat_map(|&a| edges.map(|b| (a, b))) {
            assert_eq!(product_of_halves(a, b), product(a, b), "{a:x} {b:x}");
        }
        for _ in 0..1_000_000 {
            let (a, b) = (mantissa(bits(&mut state)), mantissa(bits(&mut state)));
            assert_eq!(product_of_halves(a, b), product(a, b), "{a:x} {b:x}");
        }
    }

    /// Against the processor's own arithmetic: sums that cancel, far ones, ties, and numbers that are left to others.
    #[test]
    fn bits_are_those_of_the_processor() {
        let mut state = 2;
        for round in 0..20_000_000u32 {
            // Numbers of few digits make ties.
            let zeros = bits(&mut state) % 24;
            let [weight, x] = [(); 2].map(|()| bits(&mut state) >> zeros << zeros);
            let of = f32::from_bits(weight) * f32::from_bits(x);
            let other = bits(&mut state);
            let sum = match round % 4 {
                // What is left of them is a few units in the last place, or half of them and less.
                0 => (-of).to_bits().wrapping_add(other % 8).wrapping_sub(4),
                1 => (of.to_bits() ^ other & SIGN).wrapping_add((other % 64) << 23).wrapping_sub(32 << 23),
                2 => (of.to_bits() ^ other & (SIGN | 0x7f_ffff)).wrapping_sub((other % 30) << 23),
                _ => other >> zeros << zeros,
            };
            if !f32::from_bits(weight).is_finite() {
                continue;
            }
            let is_plain = x & !SIGN == 0 || PLAIN.contains(&exponent(x));
            let found = f32::from_bits(row_sum(sum, &[weight], 1, &[f32::from_bits(x)], is_plain));
            let want = f32::from_bits(sum) + of;
            assert!(
                found.to_bits() == want.to_bits() || found.is_nan() && want.is_nan(),
                "{sum:08x} + {weight:08x} * {x:08x}: {found:e}, not {want:e}"
            );
        }
    }
}
