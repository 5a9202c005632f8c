//! Kernels in safe Rust: the definition of every result, and what runs where no core-specific kernel does.

#![allow(dead_code, reason = "a core with kernels of its own takes some of it, others the rest")]

use super::{Dense, Encoding, ZERO_POINT};
use crate::arithmetic::fixed::product_shift;
use crate::support::Capabilities;

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

/// The weights of four rows for one input, from a word of [`Encoding::I8Packed4`].
#[inline(always)]
pub(super) fn packed(word: u32) -> [i32; 4] {
    word.to_le_bytes().map(|byte| i32::from(byte) - ZERO_POINT)
}

/// Four rows of packed i8 weights; `input` has two activations a word.
///
/// The word with its four zero-points is a multiplier as it is: modulo 2^32 the sum of its products holds
/// row 0, 2^8 times row 1 and so on, that of the word without its lowest byte row 1 and the others, and so the
/// rows come apart at the end. Zero-points are taken off with the sum of the inputs.
fn packed_block(block: &[u32], bias: &[u32; 4], input: &[u32]) -> [i32; 4] {
    let (mut s0, mut s1, mut s2, mut s3, mut sum) = (0u32, 0u32, 0u32, 0u32, 0u32);
    for (&[first, second], &pair) in block.as_chunks::<2>().0.iter().zip(input) {
        for (w, x) in [(first, halves(pair)[0] as u32), (second, halves(pair)[1] as u32)] {
            s0 = s0.wrapping_add(w.wrapping_mul(x));
            s1 = s1.wrapping_add((w >> 8).wrapping_mul(x));
            s2 = s2.wrapping_add((w >> 16).wrapping_mul(x));
            s3 = s3.wrapping_add((w >> 24).wrapping_mul(x));
            sum = sum.wrapping_add(x);
        }
    }
    let zero = sum.wrapping_mul(ZERO_POINT as u32);
    let row = |sums: u32, above: u32, bias: u32| {
        sums.wrapping_sub(above << 8).wrapping_sub(zero).wrapping_add(bias) as i32
    };
    let [b0, b1, b2, b3] = *bias;
    [row(s0, s1, b0), row(s1, s2, b1), row(s2, s3, b2), row(s3, 0, b3)]
}

/// `w . x` of eight inputs: on a core with vectors one instruction, two loads aside.
#[inline(always)]
fn eight<W: Copy + Into<i32>>(w: &[W; 8], x: &[i16; 8]) -> i32 {
    let mut sum = 0i32;
    for (&w, &x) in w.iter().zip(x) {
        sum = sum.wrapping_add(w.into().wrapping_mul(i32::from(x)));
    }
    sum
}

/// Four rows that lie one behind the other, along the inputs, eight of them a step: for cores with vectors. One
/// chain of inputs without steps comes out slower there: what predicates its end costs more than the work.
#[inline(always)]
fn rows_block<W: bytemuck::Pod + Into<i32>>(block: &[u32], bias: &[u32; 4], input: &[u32]) -> [i32; 4] {
    let [mut s0, mut s1, mut s2, mut s3] = bias.map(|b| b as i32);
    let rows: &[W] = bytemuck::cast_slice(block);
    let (xs, x_rest) = bytemuck::cast_slice::<u32, i16>(input).as_chunks::<8>();
    let (r0, rows) = rows.split_at_checked(2 * input.len()).unwrap_or_default();
    let (r1, rows) = rows.split_at_checked(2 * input.len()).unwrap_or_default();
    let (r2, r3) = rows.split_at_checked(2 * input.len()).unwrap_or_default();
    let ((r0, rest0), (r1, rest1)) = (r0.as_chunks::<8>(), r1.as_chunks::<8>());
    let ((r2, rest2), (r3, rest3)) = (r2.as_chunks::<8>(), r3.as_chunks::<8>());
    for ((((w0, w1), w2), w3), x) in r0.iter().zip(r1).zip(r2).zip(r3).zip(xs) {
        s0 = s0.wrapping_add(eight(w0, x));
        s1 = s1.wrapping_add(eight(w1, x));
        s2 = s2.wrapping_add(eight(w2, x));
        s3 = s3.wrapping_add(eight(w3, x));
    }
    for ((((&w0, &w1), &w2), &w3), &x) in rest0.iter().zip(rest1).zip(rest2).zip(rest3).zip(x_rest).take(4) {
        let x = i32::from(x);
        s0 = s0.wrapping_add(x.wrapping_mul(w0.into()));
        s1 = s1.wrapping_add(x.wrapping_mul(w1.into()));
        s2 = s2.wrapping_add(x.wrapping_mul(w2.into()));
        s3 = s3.wrapping_add(x.wrapping_mul(w3.into()));
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
        Encoding::I8Packed4 => packed_block,
        Encoding::I8Rows => rows_block::<i8>,
        Encoding::I16Rows => rows_block::<i16>,
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

/// Four rows from `first` on, weight by weight: little code, for orders that a core with kernels of its own has
/// none for.
#[cold]
#[inline(never)]
pub(super) fn block_any(
    layer: &Dense<'_>,
    (first, bias): (usize, &[u32; 4]),
    input: &[i16],
) -> Option<[i32; 4]> {
    let input = input.get(..layer.padded_inputs())?;
    let mut sums = bias.map(|b| b as i32);
    for (row, sum) in (first..).zip(&mut sums) {
        for (column, &x) in input.iter().enumerate() {
            *sum = sum.wrapping_add(layer.integer(row, column)?.wrapping_mul(i32::from(x)));
        }
    }
    Some(sums)
}

/// As [`accumulate`], for any order of weights.
#[inline(always)]
pub(super) fn accumulate_any(
    layer: &Dense<'_>,
    input: &[i16],
    mut emit: impl FnMut(usize, [i32; 4]) -> Option<()>,
) -> Option<()> {
    for (index, bias) in layer.bias.as_chunks::<4>().0.iter().enumerate() {
        emit(index, block_any(layer, (4 * index, bias), input)?)?;
    }
    Some(())
}

/// As [`fixed_relu`], for any order of weights.
#[cold]
pub(super) fn fixed_relu_any(layer: &Dense<'_>, input: &[i16], output: &mut [i16]) -> Option<()> {
    let output = output.as_chunks_mut::<4>().0;
    let shift = u32::from(layer.shift) & 31;
    accumulate_any(layer, input, |index, sums| {
        *output.get_mut(index)? = sums.map(|s| (s >> shift).clamp(0, 32767) as i16);
        Some(())
    })
}

/// As [`fixed_scaled`], for any order of weights.
#[cold]
pub(super) fn fixed_scaled_any(layer: &Dense<'_>, input: &[i16], output: &mut [i32]) -> Option<()> {
    let output = output.as_chunks_mut::<4>().0;
    let multipliers = layer.multipliers.as_chunks::<4>().0;
    accumulate_any(layer, input, |index, sums| {
        *output.get_mut(index)? = scale(sums, multipliers.get(index)?, u32::from(layer.shift));
        Some(())
    })
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

/// Where a core does the layer at the front of the words at once: none here.
#[inline(always)]
pub(super) fn f32_at_once<'a>(
    words: &'a [u32],
    input: &[f32],
    output: &mut [f32],
    any: impl FnOnce(&'a [u32], &[f32], &mut [f32]) -> Option<&'a [u32]>,
) -> Option<&'a [u32]> {
    any(words, input, output)
}

/// Where a core does the layer at the front of the words at once: none here.
#[inline(always)]
pub(super) fn at_once<'a>(
    _words: &'a [u32],
    _input: &[u32],
    _output: &mut [u32],
    _supports: Capabilities,
) -> Option<&'a [u32]> {
    None
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

/// `sums * multipliers / 2^shift`, rounded and saturated; `1 <= shift <= 63`.
#[inline(always)]
pub(super) fn scale(sums: [i32; 4], multipliers: &[u32; 4], shift: u32) -> [i32; 4] {
    let mut values = [0; 4];
    for ((y, s), &m) in values.iter_mut().zip(sums).zip(multipliers) {
        *y = product_shift(s, m as i32, shift);
    }
    values
}

#[cfg(test)]
mod tests {
    use super::super::{check_accumulators, MAX_WIDTH};
    use super::*;
    use crate::Fault;
    extern crate std;
    use std::vec;
    use std::vec::Vec;

    const ENCODINGS: [Encoding; 5] =
        [Encoding::I16Rows4, Encoding::I8Rows4, Encoding::I8Packed4, Encoding::I8Rows, Encoding::I16Rows];

    fn random(state: &mut u64) -> i32 {
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (*state >> 32) as i32
    }

    /// The words of the weights that `of` gives by row and column.
    fn words(encoding: Encoding, rows: usize, columns: usize, of: impl Fn(usize, usize) -> i32) -> Vec<u32> {
        let size = encoding.bits() / 8;
        let mut bytes = vec![0; rows * columns * size];
        for row in 0..rows {
            for column in 0..columns {
                let at = size * encoding.position((rows, columns), row, column);
                let stored = encoding.stored(of(row, column)).to_le_bytes();
                bytes[at..at + size].copy_from_slice(&stored[..size]);
            }
        }
        bytes.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word)).collect()
    }

    fn layer(encoding: Encoding, inputs: usize, bias: &[u32], weights: &[u32]) -> Vec<u32> {
        let kind = u32::from_le_bytes([encoding as u8, super::super::RELU, 7, 0]);
        [&[inputs as u32 | (bias.len() as u32) << 16, kind], bias, weights].concat()
    }

    #[test]
    fn every_order_of_weights_gives_the_sums_of_the_definition() {
        let mut state = 5;
        for encoding in ENCODINGS {
            let largest = (1 << (encoding.bits() - 1)) - 1;
            for (case, (inputs, rows)) in
                [(4, 4), (8, 4), (12, 8), (4, 36), (32, 32), (60, 8), (64, 64)].into_iter().enumerate()
            {
                let mut weights = Vec::new();
                weights.resize_with(rows * inputs, || match case % 2 {
                    0 => random(&mut state) % (largest + 1),
                    _ => [largest, -largest, -largest - 1, 0][random(&mut state) as usize % 4],
                });
                let mut input = vec![0u32; inputs / 2];
                let activations: &mut [i16] = bytemuck::cast_slice_mut(&mut input);
                activations.fill_with(|| (random(&mut state) % 32768) as i16);
                let bias: Vec<u32> = (0..rows).map(|_| (random(&mut state) >> 4) as u32).collect();
                let stored = words(encoding, rows, inputs, |row, column| weights[row * inputs + column]);
                let image = layer(encoding, inputs, &bias, &stored);
                let (layer, _) = Dense::parse(&image).expect("a layer");
                let mut found = Vec::new();
                accumulate(&layer, activations, |_, sums| {
                    found.extend(sums);
                    Some(())
                })
                .expect("buffers that fit");
                accumulate_any(&layer, activations, |index, sums| {
                    assert_eq!(sums, found[4 * index..][..4], "{encoding:?}");
                    Some(())
                })
                .expect("buffers that fit");
                for (row, found) in found.into_iter().enumerate() {
                    let mut sum = bias[row] as i32;
                    for (column, &x) in activations.iter().enumerate() {
                        let weight = weights[row * inputs + column];
                        assert_eq!(layer.weight(row, column), Some(weight as f32), "{encoding:?}");
                        sum = sum.wrapping_add(weight.wrapping_mul(i32::from(x)));
                    }
                    assert_eq!(found, sum, "{encoding:?} {inputs}x{rows} row {row}");
                }
            }
        }
    }

    #[test]
    fn the_bound_on_a_row_is_sharp_in_every_order() {
        for encoding in ENCODINGS {
            let (rows, inputs, at) = (8, 12, 6);
            let weight = |row: usize, column: usize| match (row, column) {
                (6, 7) => -100,
                (6, 2) => 27,
                _ => 0,
            };
            let weights = words(encoding, rows, inputs, weight);
            let room = i32::MAX - 127 * 32767;
            for (excess, want) in [(0, Ok(())), (1, Err(Fault::ACCUMULATOR_OVERFLOW))] {
                let mut bias = vec![0; rows];
                bias[at] = (-(room + excess)) as u32;
                let image = layer(encoding, inputs, &bias, &weights);
                let found = check_accumulators(&Dense::parse(&image).expect("a layer").0);
                assert_eq!(found, want, "{encoding:?}");
            }
            // The widest layer of the largest weights must not overflow the check itself.
            let low = -(1 << (encoding.bits() - 1));
            let weights = words(encoding, 4, MAX_WIDTH, |_, _| low);
            let image = layer(encoding, MAX_WIDTH, &[0; 4], &weights);
            let found = check_accumulators(&Dense::parse(&image).expect("a layer").0);
            assert_eq!(found, Err(Fault::ACCUMULATOR_OVERFLOW), "{encoding:?}");
        }
    }
}
