//! Dense layers: how they lie in the image, and the kernels that evaluate them.
//!
//! ```text
//! word 0   inputs u16, outputs u16
//! word 1   encoding u8, activation u8 (of a hidden layer; 0 = output layer), shift u8, zero u8
//! then     bias, one word per padded output
//! then     multipliers, one word per padded output (fixed-point output layers only)
//! then     weights, in the encoding's order
//! ```
//!
//! Outputs are padded to a multiple of 4 with rows of zeros, so that a kernel always works on four
//! rows that share each loaded activation; inputs of the integer encodings are padded to a multiple
//! of 2. A kernel walks the weights with one pointer, front to back.

use crate::{Error, Part};

/// Element type of a layer's weights, and their order in the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Encoding {
    /// f32; blocks of 4 rows, within a block column by column: 4 weights of one input.
    F32Rows4 = 1,
    /// i16; blocks of 4 rows, within a block by pairs of inputs: 4 times 2 weights.
    I16Rows4Pairs = 2,
    /// i8 in the order of [`Encoding::I16Rows4Pairs`].
    I8Rows4Pairs = 3,
}

impl Encoding {
    fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            1 => Encoding::F32Rows4,
            2 => Encoding::I16Rows4Pairs,
            3 => Encoding::I8Rows4Pairs,
            _ => return None,
        })
    }

    /// Bits of one weight.
    #[must_use]
    pub fn bits(self) -> usize {
        match self {
            Encoding::F32Rows4 => 32,
            Encoding::I16Rows4Pairs => 16,
            Encoding::I8Rows4Pairs => 8,
        }
    }

    /// Inputs with their padding.
    #[must_use]
    pub fn padded_inputs(self, inputs: usize) -> usize {
        match self {
            Encoding::F32Rows4 => inputs,
            Encoding::I16Rows4Pairs | Encoding::I8Rows4Pairs => inputs.next_multiple_of(2),
        }
    }
}

/// Activation byte of an output layer.
pub const OUTPUT: u8 = 0;
/// Activation byte of a hidden layer with ReLU.
pub const RELU: u8 = 1;
/// Words before a layer's numbers.
pub const HEADER_WORDS: usize = 2;
/// Largest number of inputs or outputs of a layer.
pub const MAX_WIDTH: usize = 1024;
/// Largest magnitude of an integer activation.
pub const ACTIVATION_LIMIT: i64 = 32767;

/// One layer, borrowed from the image.
#[derive(Clone, Copy, Debug)]
pub struct Dense<'a> {
    /// Number of inputs.
    pub inputs: usize,
    /// Number of outputs.
    pub outputs: usize,
    /// Type and order of the weights.
    pub encoding: Encoding,
    /// Whether this is the last layer of its net: no activation, results in the trunk's numbers.
    pub is_output: bool,
    /// Fixed point: right shift of the accumulator (hidden) or of the product with the multiplier
    /// (output). f32: zero.
    pub shift: u8,
    /// f32 or i32 per padded output; of a hidden fixed-point layer with its rounding included.
    pub bias: &'a [u32],
    /// i32 per padded output, for a fixed-point output layer; else empty.
    pub multipliers: &'a [u32],
    /// The weights' words.
    pub weights: &'a [u32],
}

impl<'a> Dense<'a> {
    /// Reads a layer at the front of `words`; gives it and the words behind it.
    #[must_use]
    pub fn parse(words: &'a [u32]) -> Option<(Self, &'a [u32])> {
        let (&[sizes, kind], rest) = words.split_first_chunk::<HEADER_WORDS>()?;
        let (inputs, outputs) = ((sizes & 0xffff) as usize, (sizes >> 16) as usize);
        let [encoding, activation, shift, zero] = kind.to_le_bytes();
        let encoding = Encoding::from_byte(encoding)?;
        if inputs == 0 || outputs == 0 || inputs > MAX_WIDTH || outputs > MAX_WIDTH || zero != 0 {
            return None;
        }
        let is_output = match activation {
            OUTPUT => true,
            RELU => false,
            _ => return None,
        };
        let padded = outputs.next_multiple_of(4);
        let scaled = is_output && encoding != Encoding::F32Rows4;
        let weight_words = encoding.padded_inputs(inputs) * padded * encoding.bits() / 32;
        let (bias, rest) = rest.split_at_checked(padded)?;
        let (multipliers, rest) = rest.split_at_checked(if scaled { padded } else { 0 })?;
        let (weights, rest) = rest.split_at_checked(weight_words)?;
        Some((Dense { inputs, outputs, encoding, is_output, shift, bias, multipliers, weights }, rest))
    }

    /// Outputs with their padding: a multiple of 4.
    #[must_use]
    pub fn padded_outputs(&self) -> usize {
        self.bias.len()
    }

    /// Inputs with their padding.
    #[must_use]
    pub fn padded_inputs(&self) -> usize {
        self.encoding.padded_inputs(self.inputs)
    }
}

/// `output = W input + b` in f32, for all padded rows. Products are added in the order of the inputs,
/// so that the bits do not depend on how many rows a kernel takes at once.
pub(crate) fn f32_rows4(layer: &Dense<'_>, input: &[f32], output: &mut [f32]) -> Option<()> {
    let input = input.get(..layer.inputs)?;
    let output = output.get_mut(..layer.padded_outputs())?;
    let bias: &[f32] = bytemuck::cast_slice(layer.bias);
    let mut weights: &[f32] = bytemuck::cast_slice(layer.weights);
    for (y, b) in output.as_chunks_mut::<4>().0.iter_mut().zip(bias.as_chunks::<4>().0) {
        let (block, rest) = weights.split_at_checked(4 * layer.inputs)?;
        weights = rest;
        let mut sums = *b;
        for (w, &x) in block.as_chunks::<4>().0.iter().zip(input) {
            sums[0] += w[0] * x;
            sums[1] += w[1] * x;
            sums[2] += w[2] * x;
            sums[3] += w[3] * x;
        }
        *y = sums;
    }
    Some(())
}

/// Accumulators of all padded rows, four by four. Never wraps for a layer that
/// [`check_accumulators`] has accepted.
#[inline(always)]
fn rows4_pairs<W: Copy + Into<i32>>(
    weights: &[W],
    bias: &[i32],
    input: &[i16],
    mut emit: impl FnMut(usize, [i32; 4]) -> Option<()>,
) -> Option<()> {
    let mut weights = weights;
    for (index, b) in bias.as_chunks::<4>().0.iter().enumerate() {
        let (block, rest) = weights.split_at_checked(4 * input.len())?;
        weights = rest;
        let mut sums = *b;
        for (w, x) in block.as_chunks::<8>().0.iter().zip(input.as_chunks::<2>().0) {
            let (even, odd) = (i32::from(x[0]), i32::from(x[1]));
            for row in 0..4 {
                let (first, second): (i32, i32) = (w[2 * row].into(), w[2 * row + 1].into());
                sums[row] = sums[row].wrapping_add(first.wrapping_mul(even));
                sums[row] = sums[row].wrapping_add(second.wrapping_mul(odd));
            }
        }
        emit(index, sums)?;
    }
    Some(())
}

fn accumulate(
    layer: &Dense<'_>,
    input: &[i16],
    emit: impl FnMut(usize, [i32; 4]) -> Option<()>,
) -> Option<()> {
    let input = input.get(..layer.padded_inputs())?;
    let bias = bytemuck::cast_slice(layer.bias);
    match layer.encoding {
        Encoding::I16Rows4Pairs => rows4_pairs::<i16>(bytemuck::cast_slice(layer.weights), bias, input, emit),
        Encoding::I8Rows4Pairs => rows4_pairs::<i8>(bytemuck::cast_slice(layer.weights), bias, input, emit),
        Encoding::F32Rows4 => None,
    }
}

/// A hidden layer: one shift does the requantization, ReLU and saturation end it. The rounding is in
/// the bias and the row's scale in the next layer's weights, so that no multiplier is needed.
pub(crate) fn fixed_hidden(layer: &Dense<'_>, input: &[i16], output: &mut [i16]) -> Option<()> {
    let shift = u32::from(layer.shift) & 31;
    let output = output.as_chunks_mut::<4>().0;
    accumulate(layer, input, |index, sums| {
        *output.get_mut(index)? = sums.map(|s| (s >> shift).clamp(0, 32767) as i16);
        Some(())
    })
}

/// An output layer: `accumulator * multiplier / 2^shift`, rounded, in Q15.16.
pub(crate) fn fixed_output(layer: &Dense<'_>, input: &[i16], output: &mut [i32]) -> Option<()> {
    let shift = u32::from(layer.shift);
    let output = output.as_chunks_mut::<4>().0;
    let multipliers: &[i32] = bytemuck::cast_slice(layer.multipliers);
    let multipliers = multipliers.as_chunks::<4>().0;
    accumulate(layer, input, |index, sums| {
        let scales = multipliers.get(index)?;
        for ((y, s), m) in output.get_mut(index)?.iter_mut().zip(sums).zip(scales) {
            *y = super::fixed::saturate(super::fixed::round_shift(i64::from(s) * i64::from(*m), shift));
        }
        Some(())
    })
}

/// Proves that no row of a fixed-point layer can overflow its i32 accumulator, whatever the
/// activations: `|bias| + sum |w| * 32767 < 2^31`.
pub(crate) fn check_accumulators(layer: &Dense<'_>) -> Result<(), Error> {
    match layer.encoding {
        Encoding::I16Rows4Pairs => check_rows::<i16>(layer, bytemuck::cast_slice(layer.weights)),
        Encoding::I8Rows4Pairs => check_rows::<i8>(layer, bytemuck::cast_slice(layer.weights)),
        Encoding::F32Rows4 => Err(Error::Malformed(Part::Conditioner)),
    }
}

fn check_rows<W: Copy + Into<i32>>(layer: &Dense<'_>, weights: &[W]) -> Result<(), Error> {
    let mut weights = weights;
    let bias: &[i32] = bytemuck::cast_slice(layer.bias);
    for b in bias.as_chunks::<4>().0 {
        let (block, rest) =
            weights.split_at_checked(4 * layer.padded_inputs()).ok_or(Error::Malformed(Part::Conditioner))?;
        weights = rest;
        // At most MAX_WIDTH * 2^15 * 2^15: no overflow in i64.
        let mut bounds = b.map(|b| i64::from(b.unsigned_abs()));
        for w in block.as_chunks::<8>().0 {
            for row in 0..4 {
                let (first, second): (i32, i32) = (w[2 * row].into(), w[2 * row + 1].into());
                bounds[row] += i64::from(first.unsigned_abs() + second.unsigned_abs()) * ACTIVATION_LIMIT;
            }
        }
        if bounds.iter().any(|&bound| bound > i64::from(i32::MAX)) {
            return Err(Error::AccumulatorOverflow);
        }
    }
    Ok(())
}
