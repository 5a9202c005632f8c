//! f32 kernels for cores without an FPU: products and sums of IEEE 754 in integers, where every operation is a call otherwise.
//!
//! A product goes into its sum without being put together first, zeros of ReLU are passed over, and what is rare (numbers near
//! the ends of the range, infinities, NaN) is left to the compiler's own routines: so the bits are theirs in every case.
//!
//! Cores with the larger set of instructions have the same in assembly (`row.s`), which gives up where a case is rare.
#![cfg_attr(
    flowlet_soft_rows,
    allow(
        unsafe_code,
        reason = "kernels in assembly: 32x32 in 64 instructions per multiply-accumulate, compiled 91, by calls 137"
    )
)]

use super::{Dense, Encoding};

#[cfg(not(flowlet_soft_rows))]
mod row;
#[cfg(not(flowlet_soft_rows))]
use row::row_sum;

#[cfg(flowlet_soft_rows)]
core::arch::global_asm!(include_str!("row.s"), options(raw));

#[cfg(flowlet_soft_rows)]
extern "C" {
    /// `sum` and the products of `inputs` plain activations with weights that lie `step` bytes apart, as bits; and in the upper
    /// half how many activations are left, of which the first is one for [`anything`].
    fn flowlet_soft_row(sum: u32, weights: *const u32, step: usize, input: *const f32, inputs: usize) -> u64;
}

const SIGN: u32 = 1 << 31;
const INFINITY: u32 = 0xff << 23;
/// Exponents of sums and products that are taken: whatever they become together, it is a normal number. Of two numbers that
/// cancel all but the last bit, 25 are left.
const LEAST: u32 = 25;
const MOST: u32 = 251;
// As the assembly has them.
const _: () = assert!(LEAST == 25 && MOST == 251);

/// Exponents of activations that are taken, besides zero. No product with a weight that is zero, subnormal or beyond
/// 2^101 has one of the above.
const PLAIN: core::ops::RangeInclusive<u32> = 1..=127 + LEAST - 1;

/// See [`portable::f32_sums`](super::portable::f32_sums).
pub(super) fn f32_sums(layer: &Dense<'_>, input: &[f32], output: &mut [f32]) -> Option<()> {
    let input = input.get(..layer.inputs)?;
    let is_plain = input.iter().map(|x| x.to_bits()).all(|x| x & !SIGN == 0 || PLAIN.contains(&exponent(x)));
    let rows = if layer.encoding == Encoding::F32Rows8 { 8 } else { 4 };
    let mut weights = layer.weights;
    let (mut bias, mut output) = (layer.bias, output.get_mut(..layer.bias.len())?);
    while !output.is_empty() {
        let rows = output.len().min(rows);
        let (block, rest) = weights.split_at_checked(rows * input.len())?;
        weights = rest;
        for row in 0..rows {
            let (y, others) = output.split_first_mut()?;
            output = others;
            let (&start, others) = bias.split_first()?;
            bias = others;
            *y = f32::from_bits(row_sum(start, block.get(row..)?, rows, input, is_plain));
        }
    }
    Some(())
}

/// See [`portable::f32_relu`](super::portable::f32_relu).
pub(super) fn f32_relu(layer: &Dense<'_>, input: &[f32], output: &mut [f32]) -> Option<()> {
    f32_sums(layer, input, output)?;
    for y in output.get_mut(..layer.bias.len())? {
        // From -0.0 to minus infinity; NaN stays.
        if (SIGN..=SIGN | INFINITY).contains(&y.to_bits()) {
            *y = 0.0;
        }
    }
    Some(())
}

/// `sum` and the products of a row, whose weights lie `step` apart; all as bits. `is_plain`: all activations are.
#[cfg(flowlet_soft_rows)]
fn row_sum(mut sum: u32, mut weights: &[u32], step: usize, mut input: &[f32], is_plain: bool) -> u32 {
    loop {
        let count = input.len();
        if is_plain && count > 0 && weights.len() > step * (count - 1) {
            // SAFETY: it reads the weights of all activations, of which there is one at least and the last of which has its
            // weight by the comparison. The function keeps the caller's registers.
            let found = unsafe { flowlet_soft_row(sum, weights.as_ptr(), 4 * step, input.as_ptr(), count) };
            sum = found as u32;
            let done = count.wrapping_sub((found >> 32) as usize);
            weights = weights.get(done * step..).unwrap_or_default();
            input = input.get(done..).unwrap_or_default();
        }
        let (Some(&weight), Some((x, rest))) = (weights.first(), input.split_first()) else { return sum };
        sum = anything(sum, weight, x.to_bits());
        weights = weights.get(step..).unwrap_or_default();
        input = rest;
    }
}

/// The exponent's field.
#[inline(always)]
fn exponent(bits: u32) -> u32 {
    (bits >> 23) & 0xff
}

/// The same of any numbers.
#[cold]
#[inline(never)]
fn anything(sum: u32, weight: u32, x: u32) -> u32 {
    // Of a zero weight, as padding has it, nothing comes but to -0.0, unless activations have run over.
    if weight & !SIGN == 0 && sum != SIGN && exponent(x) < 0xff {
        return sum;
    }
    (f32::from_bits(sum) + f32::from_bits(weight) * f32::from_bits(x)).to_bits()
}
