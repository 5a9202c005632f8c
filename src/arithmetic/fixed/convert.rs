//! Between the bits of an f32 and fixed point, with integer instructions alone: a core without an
//! FPU then needs no soft-float library for a score.

/// Largest magnitude that [`f32_to_fixed`] gives.
pub const LIMIT: i64 = 1 << 62;

/// `x * 2^fraction_bits`, rounded to nearest (ties away from zero), saturated at ±2^62.
///
/// Infinities saturate and NaN gives a saturated value too: callers exclude both before.
#[must_use]
pub fn f32_to_fixed(x: f32, fraction_bits: i32) -> i64 {
    bits_to_fixed(x.to_bits(), fraction_bits)
}

/// [`f32_to_fixed`] of the bits of a number.
pub(super) fn bits_to_fixed(bits: u32, fraction_bits: i32) -> i64 {
    let field = ((bits >> 23) & 0xff) as i32;
    let fraction = bits & 0x7f_ffff;
    // Subnormals have no hidden bit and the exponent of the smallest normal.
    let (mantissa, exponent) = if field == 0 { (fraction, -149) } else { (fraction | 1 << 23, field - 150) };
    let left = exponent.saturating_add(fraction_bits);
    let size = if left < 0 {
        // 24 bits are gone by a shift of 25.
        i64::from(((mantissa >> left.wrapping_neg().wrapping_sub(1).min(31)) + 1) >> 1)
    } else if left < 39 {
        // In halves: a shift of 64 bits is a routine where a core has no wide ones.
        let (low, left) = (mantissa << (left & 31), left as u32);
        let high = if left < 32 { mantissa >> 1 >> (31 ^ left) } else { low };
        i64::from(high) << 32 | if left < 32 { i64::from(low) } else { 0 }
    } else if mantissa == 0 {
        0
    } else {
        LIMIT
    };
    if bits >> 31 == 0 {
        size
    } else {
        -size
    }
}

/// `x / 2^fraction_bits` as f32, rounded to nearest, ties to even; overflow gives an infinity.
#[must_use]
pub fn fixed_to_f32(x: i64, fraction_bits: i32) -> f32 {
    if x == 0 {
        return 0.0;
    }
    if (-60..=120).contains(&fraction_bits) {
        return normal_to_f32(x, fraction_bits);
    }
    wide_to_f32(x, fraction_bits)
}

/// [`fixed_to_f32`] with `fraction_bits` from -60 to 120, so that nothing is subnormal and nothing overflows.
///
/// Its result is put together as an integer, which goes on in a register of the core.
#[inline(always)]
pub(super) fn normal_to_f32(x: i64, fraction_bits: i32) -> f32 {
    f32::from_bits(normal_to_bits(x, fraction_bits))
}

/// As `x.leading_zeros()`: where a core has no instruction for it, a loop of 32 bytes for the compiler's routine of 108, and 19
/// instructions longer (`ln` on the M0, in the table of costs).
#[cfg(flowlet_integer_kernels = "armv6m")]
#[inline(never)]
pub(crate) fn leading_zeros(mut x: u32) -> u32 {
    let (mut zeros, mut step) = (32, 16u32);
    while step != 0 {
        let upper = x >> (step & 31);
        if upper != 0 {
            zeros -= step;
            x = upper;
        }
        step >>= 1;
    }
    zeros - x
}

/// As `x.leading_zeros()`.
#[cfg(not(flowlet_integer_kernels = "armv6m"))]
#[inline(always)]
pub(crate) fn leading_zeros(x: u32) -> u32 {
    x.leading_zeros()
}

#[inline(never)]
fn normal_to_bits(x: i64, fraction_bits: i32) -> u32 {
    let size = x.unsigned_abs();
    let (mut low, mut bits) = (size as u32, fraction_bits);
    let high = (size >> 32) as u32;
    if high != 0 {
        // The upper 32 bits from the first one on; whether any below is set goes into the last of them.
        let zeros = leading_zeros(high);
        let rest = low << zeros;
        low = high << zeros | low >> 1 >> (31 ^ zeros) | u32::from(rest != 0);
        bits -= 32 - zeros as i32;
    }
    if low == 0 {
        return 0;
    }
    let zeros = leading_zeros(low);
    let normal = low << (zeros & 31);
    // To nearest, ties to even: up from half of the last place, or more than half where that place holds a zero. A carry runs
    // into the exponent, as it should.
    let (kept, rest) = (normal >> 8, normal & 0xff);
    let kept = kept + u32::from(rest + (kept & 1) > 0x80);
    let exponent = (157 - bits) as u32 - zeros;
    ((x >> 32) as u32 & 1 << 31) | ((exponent << 23) + kept)
}

/// [`fixed_to_f32`] of all numbers but zero.
#[inline(never)]
fn wide_to_f32(x: i64, fraction_bits: i32) -> f32 {
    let sign = if x < 0 { 1u32 << 31 } else { 0 };
    let size = x.unsigned_abs();
    let zeros = size.leading_zeros();
    // The top bit in place 63: value = normal * 2^(-63) * 2^exponent.
    let normal = size << (zeros & 63);
    let exponent = 63 - zeros as i32 - fraction_bits;
    // A subnormal result keeps fewer bits.
    let keep = if exponent >= -126 { 24 } else { 150 + exponent };
    if keep < 0 {
        return f32::from_bits(sign);
    }
    let drop = (64 - keep) as u32;
    let (kept, rest, half) = if drop >= 64 {
        (0, normal, 1u64 << 63)
    } else {
        (normal >> drop, normal & ((1 << drop) - 1), 1u64 << (drop - 1))
    };
    let kept = kept as u32 + u32::from(rest > half || (rest == half && kept & 1 == 1));
    let bits = if exponent > 127 {
        0x7f80_0000
    } else if exponent >= -126 {
        // Adding the mantissa with its hidden bit carries into the exponent where rounding overflows.
        (((exponent + 126) as u32) << 23) + kept
    } else {
        kept
    };
    f32::from_bits(sign | bits.min(0x7f80_0000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fixed_to_f32_rounds_as_the_compiler_does() {
        let mut state = 1u64;
        for i in 0..200_000u64 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let x = (state as i64) >> (i % 64);
            assert_eq!(fixed_to_f32(x, 0), x as f32, "{x}");
            // Exact scaling by a power of two, down into the subnormals, through f64.
            let bits = (i % 180) as i32;
            let small = x >> 11;
            assert_eq!(fixed_to_f32(small, bits), (small as f64 / 2f64.powi(bits)) as f32, "{small} {bits}");
            if x != 0 && bits <= 120 {
                assert_eq!(normal_to_f32(x, bits), wide_to_f32(x, bits), "{x} {bits}");
            }
        }
        assert_eq!(fixed_to_f32(1, 149), f32::from_bits(1));
        assert_eq!(fixed_to_f32(1, 150), 0.0);
        assert_eq!(fixed_to_f32(3, 150), f32::from_bits(2));
        assert_eq!(fixed_to_f32(i64::MAX, -100), f32::INFINITY);
        assert_eq!(fixed_to_f32(i64::MIN, 0), i64::MIN as f32);
    }

    #[test]
    fn f32_to_fixed_is_exact_or_rounds_to_nearest() {
        let mut state = 7u64;
        for _ in 0..200_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let x = f32::from_bits((state >> 32) as u32);
            let bits = (state & 63) as i32 - 20;
            if !x.is_finite() {
                continue;
            }
            let exact = f64::from(x) * 2f64.powi(bits);
            let found = f32_to_fixed(x, bits);
            if exact.abs() >= LIMIT as f64 {
                assert_eq!(found, if x > 0.0 { LIMIT } else { -LIMIT });
            } else {
                assert!((found as f64 - exact).abs() <= 0.5, "{x:e} {bits}: {found} for {exact}");
            }
        }
        assert_eq!(f32_to_fixed(f32::from_bits(1), 149), 1);
        assert_eq!(f32_to_fixed(-0.0, 16), 0);
        assert_eq!(f32_to_fixed(f32::MAX, 16), LIMIT);
    }
}
