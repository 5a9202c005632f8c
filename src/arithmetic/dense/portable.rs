//! Kernels in safe Rust: the definition of every result, and what runs where no core-specific kernel does.

#![cfg_attr(target_os = "none", allow(dead_code, reason = "what a core has kernels of its own for"))]

use super::{Dense, Encoding};
use crate::arithmetic::fixed::{round_shift, saturate};

/// `output = W input + b` in f32, for all padded rows. Products are added in the order of the inputs,
/// so that the bits do not depend on how many rows a kernel takes at once.
pub(super) fn f32_sums(layer: &Dense<'_>, input: &[f32], output: &mut [f32]) -> Option<()> {
    let input = input.get(..layer.inputs)?;
    let rows8 = match layer.encoding {
        Encoding::F32Rows8 => layer.padded_outputs() / 8 * 8,
        _ => 0,
    };
    let (output8, output4) = output.get_mut(..layer.padded_outputs())?.split_at_mut_checked(rows8)?;
    let (bias8, bias4) = bytemuck::cast_slice(layer.bias).split_at_checked(rows8)?;
    let (weights8, weights4) = bytemuck::cast_slice(layer.weights).split_at_checked(rows8 * layer.inputs)?;
    f32_blocks::<8>(weights8, bias8, input, output8)?;
    f32_blocks::<4>(weights4, bias4, input, output4)
}

/// Blocks of `ROWS` rows.
#[inline(always)]
fn f32_blocks<const ROWS: usize>(
    mut weights: &[f32],
    bias: &[f32],
    input: &[f32],
    output: &mut [f32],
) -> Option<()> {
    for (y, b) in output.as_chunks_mut::<ROWS>().0.iter_mut().zip(bias.as_chunks::<ROWS>().0) {
        let (block, rest) = weights.split_at_checked(ROWS * input.len())?;
        weights = rest;
        let mut sums = *b;
        for (w, &x) in block.as_chunks::<ROWS>().0.iter().zip(input) {
            for (sum, w) in sums.iter_mut().zip(w) {
                *sum += w * x;
            }
        }
        *y = sums;
    }
    Some(())
}

/// [`f32_sums`] and ReLU.
pub(super) fn f32_relu(layer: &Dense<'_>, input: &[f32], output: &mut [f32]) -> Option<()> {
    f32_sums(layer, input, output)?;
    for y in output.get_mut(..layer.padded_outputs())? {
        // Also of -0.0 it makes 0.0, so that a kernel may go by the sign bit; NaN stays.
        *y = if *y <= 0.0 { 0.0 } else { *y };
    }
    Some(())
}

/// Low and high half of a word, as the signed numbers that they hold.
#[inline(always)]
pub(super) fn halves(word: u32) -> [i32; 2] {
    [i32::from(word as i16), (word as i32) >> 16]
}

/// The four bytes of a word of i8 weights, in the order of the inputs.
#[inline(always)]
pub(super) fn bytes(word: u32) -> [i32; 4] {
    let [c0, c2, c1, c3] = word.to_le_bytes();
    [i32::from(c0 as i8), i32::from(c1 as i8), i32::from(c2 as i8), i32::from(c3 as i8)]
}

/// `sum + w . x` of two 16-bit pairs. Never wraps for a layer that [`check_accumulators`](super::check_accumulators) has accepted.
#[inline(always)]
fn multiply_add(sum: i32, w: [i32; 2], x: [i32; 2]) -> i32 {
    sum.wrapping_add(w[0].wrapping_mul(x[0])).wrapping_add(w[1].wrapping_mul(x[1]))
}

/// Four rows of i16 weights; `input` has two activations a word.
///
/// Whole words are loaded and split, which the compiler turns into `SMLABB` and `SMLATT`; four inputs a
/// step are as many as the registers of a Cortex-M hold. Sums are named one by one because an array of
/// them goes through the stack.
fn i16_block(block: &[u32], bias: &[u32; 4], input: &[u32]) -> [i32; 4] {
    let [mut s0, mut s1, mut s2, mut s3] = bias.map(|b| b as i32);
    let steps = block.as_chunks::<8>().0.iter().zip(input.as_chunks::<2>().0);
    for (&[w0, w1, w2, w3, w4, w5, w6, w7], &[x0, x1]) in steps {
        let (first, second) = (halves(x0), halves(x1));
        s0 = multiply_add(s0, halves(w0), first);
        s1 = multiply_add(s1, halves(w1), first);
        s2 = multiply_add(s2, halves(w2), first);
        s3 = multiply_add(s3, halves(w3), first);
        s0 = multiply_add(s0, halves(w4), second);
        s1 = multiply_add(s1, halves(w5), second);
        s2 = multiply_add(s2, halves(w6), second);
        s3 = multiply_add(s3, halves(w7), second);
    }
    [s0, s1, s2, s3]
}

/// Four rows of i8 weights; `input` has two activations a word.
fn i8_block(block: &[u32], bias: &[u32; 4], input: &[u32]) -> [i32; 4] {
    let [mut s0, mut s1, mut s2, mut s3] = bias.map(|b| b as i32);
    let four = |sum: i32, word: u32, first: [i32; 2], second: [i32; 2]| {
        let [c0, c1, c2, c3] = bytes(word);
        multiply_add(multiply_add(sum, [c0, c1], first), [c2, c3], second)
    };
    let steps = block.as_chunks::<4>().0.iter().zip(input.as_chunks::<2>().0);
    for (&[w0, w1, w2, w3], &[x0, x1]) in steps {
        let (first, second) = (halves(x0), halves(x1));
        s0 = four(s0, w0, first, second);
        s1 = four(s1, w1, first, second);
        s2 = four(s2, w2, first, second);
        s3 = four(s3, w3, first, second);
    }
    [s0, s1, s2, s3]
}

/// Accumulators of all padded rows, four by four.
#[inline(always)]
pub(super) fn accumulate(
    layer: &Dense<'_>,
    input: &[i16],
    mut emit: impl FnMut(usize, [i32; 4]) -> Option<()>,
) -> Option<()> {
    let input = input.get(..layer.padded_inputs())?;
    let input: &[u32] = bytemuck::try_cast_slice(input).ok()?;
    let block_words = layer.padded_inputs() * layer.encoding.bits() / 8;
    let kernel = match layer.encoding {
        Encoding::I16Rows4 => i16_block,
        Encoding::I8Rows4 => i8_block,
        Encoding::F32Rows4 | Encoding::F32Rows8 => return None,
    };
    let mut weights = layer.weights;
    for (index, bias) in layer.bias.as_chunks::<4>().0.iter().enumerate() {
        let (block, rest) = weights.split_at_checked(block_words)?;
        weights = rest;
        emit(index, kernel(block, bias, input))?;
    }
    Some(())
}

/// A hidden ReLU layer: one shift does the requantization, ReLU and saturation end it; the rounding is in
/// the bias and the row's scale in the next layer's weights, so that no multiplier is needed.
pub(super) fn fixed_relu(layer: &Dense<'_>, input: &[i16], output: &mut [i16]) -> Option<()> {
    let output = output.as_chunks_mut::<4>().0;
    let shift = u32::from(layer.shift) & 31;
    accumulate(layer, input, |index, sums| {
        *output.get_mut(index)? = sums.map(|s| (s >> shift).clamp(0, 32767) as i16);
        Some(())
    })
}

/// Where a core does hidden f32 layers of some kind at once: none here.
#[inline(always)]
pub(super) fn f32_usual(_layer: &Dense<'_>, _input: &[f32], _output: &mut [f32]) -> Option<Option<()>> {
    None
}

/// Where a core does hidden layers of some kind at once: none here.
#[inline(always)]
pub(super) fn usual(_layer: &Dense<'_>, _input: &[i16], _output: &mut [i16]) -> Option<Option<()>> {
    None
}

/// Accumulators times their rows' multipliers, in Q15.16.
pub(super) fn fixed_scaled(layer: &Dense<'_>, input: &[i16], output: &mut [i32]) -> Option<()> {
    let output = output.as_chunks_mut::<4>().0;
    let multipliers = layer.multipliers.as_chunks::<4>().0;
    accumulate(layer, input, |index, sums| {
        *output.get_mut(index)? = scale(sums, multipliers.get(index)?, u32::from(layer.shift));
        Some(())
    })
}

/// `sum * multiplier / 2^shift`, rounded to nearest (ties upwards) and saturated; `1 <= shift <= 62`.
#[inline(always)]
pub(super) fn scale(mut sums: [i32; 4], multipliers: &[u32; 4], shift: u32) -> [i32; 4] {
    for (s, &m) in sums.iter_mut().zip(multipliers) {
        *s = saturate(round_shift(i64::from(*s) * i64::from(m as i32), shift));
    }
    sums
}
