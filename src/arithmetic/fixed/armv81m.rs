//! Loops over features in assembly, for cores with vector instructions (Cortex-M52, M55, M85): four at a time, tables by
//! gathering loads, in hardware loops that predicate their last step. The bits are those of the portable loops.
#![allow(
    unsafe_code,
    reason = "an affine coupling of 8 features in 140 instructions besides its net, compiled for speed 520; 8 inputs loaded \
              in 30, compiled 110"
)]

use super::affine::Scales;
use super::table;
use core::arch::global_asm;

global_asm!(
    include_str!("armv81m.s"),
    tanh = sym table::TANH,
    exp2 = sym table::EXP2_32,
);

extern "C" {
    /// tanh in Q31 of each of `raws`, in place, and with it `x * scale + shift`, unless one of `x` is far out; gives whether it
    /// is (not zero) in the upper half, and the sum of the log-scales in the lower.
    fn flowlet_affine_tanh(
        raws: *mut i32,
        x: *mut i32,
        shifts: *const i32,
        count: usize,
        clamp: i32,
        octaves: i32,
        bits: u32,
    ) -> u64;
    /// Values saturated at `limit`, rounded and shifted right by `-left`.
    fn flowlet_load_inputs(inputs: *const i32, output: *mut i16, count: usize, limit: i32, left: i32);
}

/// See [`super::affine::affine_tanh`]: the sum of the log-scales, and whether `x` is scaled; if not, `raws` holds each tanh in
/// Q31.
#[inline(always)]
pub(super) fn affine_tanh(x: &mut [i32], shifts: &[i32], raws: &mut [i32], scales: Scales) -> (i32, bool) {
    let count = raws.len().min(x.len()).min(shifts.len());
    if count == 0 {
        return (0, true);
    }
    let Scales { clamp, octaves, bits } = scales;
    let (raws, x, shifts) = (raws.as_mut_ptr(), x.as_mut_ptr(), shifts.as_ptr());
    // SAFETY: there are as many as `count` of each, one at least; indices are at most 33 into the 34 steps of one table, 32
    // into the 33 of each half of the other, whatever the values. The function keeps the caller's registers.
    let both = unsafe { flowlet_affine_tanh(raws, x, shifts, count, clamp, octaves, bits) };
    (both as i32, both >> 32 == 0)
}

/// See [`crate::arithmetic::Arithmetic::load_inputs`]: as many as there are both of, and no more.
#[inline(always)]
pub(super) fn load_inputs(inputs: &[i32], limit: i32, shift: u8, out: &mut [i16]) {
    let count = inputs.len().min(out.len());
    if count != 0 {
        // SAFETY: there are as many as `count` of each, one at least. The function keeps the caller's registers.
        unsafe {
            flowlet_load_inputs(inputs.as_ptr(), out.as_mut_ptr(), count, limit, -i32::from(shift & 15));
        }
    }
}
