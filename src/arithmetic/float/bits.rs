//! Comparisons of f32 as integers, as which their sizes have the same order: without an FPU those of floating point are calls,
//! each of a routine of its own.

/// Whether the core computes in f32 itself.
pub(super) const HAS_FPU: bool = !cfg!(all(target_arch = "arm", target_abi = "eabi"));

/// `|x| > limit`, of a limit that is not negative; no NaN is.
#[inline(always)]
pub(super) fn is_beyond(x: f32, limit: f32) -> bool {
    if HAS_FPU {
        x.abs() > limit
    } else {
        is_beyond_by_bits(x, limit)
    }
}

/// [`is_beyond`] as a core without an FPU has it.
#[inline(always)]
fn is_beyond_by_bits(x: f32, limit: f32) -> bool {
    let (size, limit) = (x.abs().to_bits(), limit.to_bits());
    // From the limit on to infinity, behind which are the NaN.
    size.wrapping_sub(limit).wrapping_sub(1) < f32::INFINITY.to_bits().wrapping_sub(limit)
}

/// `x` cut off at `-limit` and `limit`, which is not negative; a NaN stays. Not `f32::clamp`, which panics on limits that the
/// check has already excluded.
#[inline(always)]
pub(super) fn saturated(x: f32, limit: f32) -> f32 {
    if is_beyond(x, limit) {
        limit.copysign(x)
    } else {
        x
    }
}

/// `0 < x <= limit`, of a positive limit.
#[inline(always)]
pub(super) fn is_positive_within(x: f32, limit: f32) -> bool {
    x.to_bits().wrapping_sub(1) < limit.to_bits()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comparisons_as_integers_are_those_of_floating_point() {
        let ends = [0, 1, 0x7f80_0000, 0x7f80_0001, 0x7fff_ffff, 1 << 31, 0xff80_0000, 0xff80_0001, u32::MAX];
        for limit in [0.0, f32::from_bits(1), 3.0, 32767.0, 1e38, f32::MAX] {
            let near = (0..5).map(|i| (limit.to_bits() + i).wrapping_sub(2));
            let all = near.flat_map(|x| [x, x ^ 1 << 31]).chain(ends).chain((0..u32::MAX).step_by(99_991));
            for x in all.map(f32::from_bits) {
                assert_eq!(is_beyond_by_bits(x, limit), x.abs() > limit, "{x} {limit}");
                assert_eq!(saturated(x, limit).to_bits(), x.clamp(-limit, limit).to_bits(), "{x} {limit}");
                let is_within = x > 0.0 && x <= limit;
                assert!(limit == 0.0 || is_positive_within(x, limit) == is_within, "{x} {limit}");
            }
        }
    }
}
