//! Dense layers: how they lie in the image, and the kernels that evaluate them.
//!
//! ```text
//! word 0   inputs u16, outputs u16
//! word 1   encoding u8, activation u8 (of a hidden layer; 0 = output layer), shift u8,
//!          activation shift u8 (fixed point, tanh and SiLU: right shift from Q15.16 to i16; else 0)
//! then     bias, one word per padded output
//! then     multipliers, one word per padded output (fixed point: output layers, tanh, SiLU)
//! then     weights, in the encoding's order
//! ```
//!
//! Outputs are padded to a multiple of 4 with rows of zeros, so that a kernel always works on four
//! rows that share each loaded activation; inputs of the integer encodings are padded to a multiple
//! of 4 with columns of zeros. A kernel walks the weights with one pointer, front to back:
//!
//! ```text
//! F32Rows4   per input:    w[r0] w[r1] w[r2] w[r3]                          one word each
//! F32Rows8   per input:    w[r0] w[r1] .. w[r7]; the last 4 rows of an odd multiple of 4 as F32Rows4
//! I16Rows4   per 4 inputs: r0:c0c1 r1:c0c1 r2:c0c1 r3:c0c1                  two weights a word,
//!                          r0:c2c3 r1:c2c3 r2:c2c3 r3:c2c3                  the first in the low half
//! I8Rows4    per 4 inputs: r0:c0c2c1c3 r1:c0c2c1c3 r2:c0c2c1c3 r3:c0c2c1c3  four weights a word,
//!                                                                           the first in the low byte
//! ```
//!
//! The i8 order is the one in which sign-extending every other byte of a word (`SXTB16`) gives pairs
//! that stand as the activations do. Other cores want other orders, of the same size:
//!
//! ```text
//! I8Packed4  per input:    r0 r1 r2 r3, each plus 128, in one word           Cortex-M0
//! I8Rows     per row:      c0 c1 c2 c3 ...                                   Cortex-M55
//! I16Rows    per row:      c0 c1 ...                                         Cortex-M55
//! ```
//!
//! Every core evaluates every order, with the same bits, unless its firmware leaves those of other cores out
//! ([`Capability::OtherOrders`]): the exporter chooses the one that is fastest on
//! the core that it is told of.

/// Functions of one signature in assembly, and its type.
#[cfg(any(
    flowlet_integer_kernels = "armv7em",
    flowlet_integer_kernels = "armv81m",
    flowlet_float_kernels = "vfp"
))]
macro_rules! kernels {
    ($(#[$doc:meta])* $type:ident $signature:tt $($name:ident)*) => {
        $(#[$doc])*
        type $type = unsafe extern "C" fn $signature;
        extern "C" {
            $(fn $name $signature;)*
        }
    };
}

#[cfg(flowlet_integer_kernels = "armv6m")]
mod armv6m;
#[cfg(flowlet_integer_kernels = "armv7em")]
mod armv7em;
#[cfg(flowlet_integer_kernels = "armv7m")]
mod armv7m;
#[cfg(flowlet_integer_kernels = "armv81m")]
mod armv81m;
#[cfg(any(
    flowlet_integer_kernels = "armv6m",
    flowlet_integer_kernels = "armv7m",
    flowlet_integer_kernels = "armv81m"
))]
mod job;
mod layers;
#[cfg(flowlet_float_kernels = "mve")]
mod mve;
mod portable;
#[cfg(any(test, flowlet_float_kernels = "soft"))]
#[cfg_attr(not(flowlet_float_kernels = "soft"), allow(dead_code, reason = "tests alone run it"))]
mod soft;
#[cfg(flowlet_float_kernels = "vfp")]
mod vfp;

use super::activation::Activation;
use super::Arithmetic;
use crate::support::{Capabilities, Capability};
use crate::{Fault, Part};
use core::ops::Deref;
#[cfg(any(
    flowlet_integer_kernels = "armv6m",
    flowlet_integer_kernels = "armv7em",
    flowlet_integer_kernels = "armv7m",
    flowlet_float_kernels = "vfp"
))]
use layers::behind;
pub(crate) use layers::{
    f32_at_once, f32_relu, f32_sums, f32_usual, fixed_at_once, fixed_hidden, fixed_layer, fixed_output,
    fixed_relu, fixed_slopes, is_native, takes_all,
};

/// Element type of a layer's weights, and their order in the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(u8)]
pub enum Encoding {
    /// f32; blocks of 4 rows, within a block column by column: 4 weights of one input.
    F32Rows4 = 1,
    /// i16; blocks of 4 rows, within a block by 4 inputs: twice 4 rows of 2 weights.
    I16Rows4 = 2,
    /// i8; blocks of 4 rows, within a block by 4 inputs: 4 rows of 4 weights.
    I8Rows4 = 3,
    /// f32; blocks of 8 rows and, where the padded rows are an odd multiple of 4, a last one of 4; within a
    /// block column by column.
    F32Rows8 = 4,
    /// i8 plus 128; blocks of 4 rows, within a block column by column: 4 weights of one input in a word.
    ///
    /// For cores that multiply 32 bits only: the word and what its shifts by 8, 16 and 24 leave act as multipliers as
    /// they are, and the four rows are separated once, at the end.
    I8Packed4 = 5,
    /// i8; row by row, for cores whose vectors lie along the inputs.
    I8Rows = 6,
    /// i16; row by row.
    I16Rows = 7,
}

/// Rows or columns with their padding: the next multiple of 4, of what is no size near the largest.
#[inline(always)]
pub(crate) fn padded(count: usize) -> usize {
    count.wrapping_add(3) & !3
}

/// What a weight of [`Encoding::I8Packed4`] is stored with on top.
pub(crate) const ZERO_POINT: i32 = 128;

impl Encoding {
    const fn from_byte(byte: u8) -> Option<Self> {
        Self::from_byte_within(byte, Capabilities::ALL)
    }

    /// The same; `None` too for what is not in `supports`, so that the compiler knows the others.
    #[inline(always)]
    const fn from_byte_within(byte: u8, supports: Capabilities) -> Option<Self> {
        Some(match byte {
            1 if Encoding::F32Rows4.is_within(supports) => Encoding::F32Rows4,
            2 if Encoding::I16Rows4.is_within(supports) => Encoding::I16Rows4,
            3 if Encoding::I8Rows4.is_within(supports) => Encoding::I8Rows4,
            4 if Encoding::F32Rows8.is_within(supports) => Encoding::F32Rows8,
            5 if Encoding::I8Packed4.is_within(supports) => Encoding::I8Packed4,
            6 if Encoding::I8Rows.is_within(supports) => Encoding::I8Rows,
            7 if Encoding::I16Rows.is_within(supports) => Encoding::I16Rows,
            _ => return None,
        })
    }

    /// What it needs.
    #[inline(always)]
    pub(crate) const fn needs(self) -> Capabilities {
        match self {
            Encoding::F32Rows4 | Encoding::F32Rows8 => Capabilities::NONE,
            Encoding::I16Rows4 | Encoding::I16Rows => Capabilities::of(&[Capability::I16Weights]),
            Encoding::I8Rows4 | Encoding::I8Packed4 | Encoding::I8Rows => {
                Capabilities::of(&[Capability::I8Weights])
            }
        }
    }

    /// Whether layers of it may come to a scorer that has `supports`.
    #[inline(always)]
    const fn is_within(self, supports: Capabilities) -> bool {
        let needs = self.needs();
        (if needs.is_empty() {
            supports.has(Capability::Float) || supports.has(Capability::FastMath)
        } else {
            supports.covers(needs)
        }) && (supports.has(Capability::OtherOrders) || is_native(self))
    }

    /// Bits of one weight.
    #[must_use]
    pub fn bits(self) -> usize {
        match self {
            Encoding::F32Rows4 | Encoding::F32Rows8 => 32,
            Encoding::I16Rows4 | Encoding::I16Rows => 16,
            Encoding::I8Rows4 | Encoding::I8Packed4 | Encoding::I8Rows => 8,
        }
    }

    /// The bits of a stored weight: of i8 and i16, the low ones of what this gives.
    #[must_use]
    pub fn stored(self, weight: i32) -> i32 {
        if self == Encoding::I8Packed4 {
            weight.wrapping_add(ZERO_POINT)
        } else {
            weight
        }
    }

    /// Whether the layer's numbers are f32.
    #[must_use]
    pub fn is_float(self) -> bool {
        matches!(self, Encoding::F32Rows4 | Encoding::F32Rows8)
    }

    /// Where a weight lies, counted in weights, in a layer of so many padded rows and columns.
    #[must_use]
    pub fn position(self, (rows, columns): (usize, usize), row: usize, column: usize) -> usize {
        let block = (row / 4) * 4 * columns;
        let (place_row, group, place) = (row % 4, column / 4, column % 4);
        match self {
            Encoding::F32Rows4 | Encoding::I8Packed4 => block + 4 * column + place_row,
            Encoding::I8Rows | Encoding::I16Rows => row * columns + column,
            Encoding::F32Rows8 => {
                let first = row / 8 * 8;
                let in_block = if rows.saturating_sub(first) < 8 { 4 } else { 8 };
                first * columns + in_block * column + (row - first)
            }
            // Four inputs are twice four words of two.
            Encoding::I16Rows4 => block + 16 * group + 8 * (place / 2) + 2 * place_row + place % 2,
            // Four inputs are four words; within a word the two in the middle change places.
            Encoding::I8Rows4 => block + 16 * group + 4 * place_row + 2 * (place % 2) + place / 2,
        }
    }

    /// Inputs with their padding.
    #[must_use]
    pub fn padded_inputs(self, inputs: usize) -> usize {
        match self {
            Encoding::F32Rows4 | Encoding::F32Rows8 => inputs,
            _ => padded(inputs),
        }
    }
}

/// Activation byte of an output layer.
pub const OUTPUT: u8 = 0;
/// Activation byte of a hidden layer with ReLU; the others are those of [`Activation`].
pub const RELU: u8 = Activation::Relu as u8;
/// Words before a layer's numbers.
pub const HEADER_WORDS: usize = 2;
/// Largest number of inputs or outputs of a layer.
pub const MAX_WIDTH: usize = 1024;
/// Inputs of a layer for which [`Capability::WideLayers`] is not needed.
pub const NARROW: usize = 32;
/// Largest magnitude of an integer activation.
pub const ACTIVATION_LIMIT: i64 = 32767;

/// Shift of a hidden ReLU layer of i16 weights for which kernels may be faster than for others.
pub const USUAL_SHIFT_I16: u8 = 14;
/// The same for i8 weights: of layers on few inputs, and of those behind them.
pub const USUAL_SHIFTS_I8: [u8; 2] = [10, 7];

/// One layer, borrowed from the image.
///
/// [`Self::parse`] is the only way to one, and it can only be read: kernels rely on its slices having the
/// lengths that its sizes ask for.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Dense<'a> {
    layer: Layer<'a>,
    /// Word 1 of the image, by which kernels are picked in one comparison.
    #[allow(dead_code, reason = "the portable kernels ask field by field")]
    kind: u32,
}

impl<'a> Deref for Dense<'a> {
    type Target = Layer<'a>;

    fn deref(&self) -> &Layer<'a> {
        &self.layer
    }
}

/// The outputs of the layer at the front of `words`, without their padding.
pub(crate) fn outputs(words: &[u32]) -> Option<usize> {
    words.first().map(|sizes| (sizes >> 16) as usize)
}

/// The parts of a [`Dense`].
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct Layer<'a> {
    /// Number of inputs.
    pub inputs: usize,
    /// Number of outputs.
    pub outputs: usize,
    /// Type and order of the weights.
    pub encoding: Encoding,
    /// Whether this is the last layer of its net: no activation, results in the trunk's numbers.
    pub is_output: bool,
    /// What follows the sums; [`Activation::Linear`] of an output layer.
    pub activation: Activation,
    /// Fixed point: right shift of the accumulator, or of its product with the multiplier where there
    /// are multipliers. f32: zero.
    pub shift: u8,
    /// Fixed point with tanh or SiLU: right shift from the function's Q15.16 to its i16. Else zero.
    pub activation_shift: u8,
    /// f32 or i32 per padded output; of a fixed-point ReLU layer with its rounding included.
    pub bias: &'a [u32],
    /// i32 per padded output, for a fixed-point layer that goes back to Q15.16; else empty.
    pub multipliers: &'a [u32],
    /// The weights' words.
    pub weights: &'a [u32],
}

impl<'a> Dense<'a> {
    /// Reads a layer at the front of `words`; gives it and the words behind it.
    #[must_use]
    pub fn parse(words: &'a [u32]) -> Option<(Self, &'a [u32])> {
        Self::parse_within(words, Capabilities::ALL)
    }

    /// The same of an f32 layer; apart, so that its frame is not set up for a usual layer.
    #[inline(never)]
    pub(crate) fn parse_float(words: &'a [u32]) -> Option<(Self, &'a [u32])> {
        Self::parse_within(words, Capabilities::of(&[Capability::Float, Capability::Activations]))
    }

    /// The same; `None` too for what is not in `supports`.
    #[inline(always)]
    fn parse_within(words: &'a [u32], supports: Capabilities) -> Option<(Self, &'a [u32])> {
        let (&[sizes, kind], rest) = words.split_first_chunk::<HEADER_WORDS>()?;
        let (inputs, outputs) = ((sizes & 0xffff) as usize, (sizes >> 16) as usize);
        let [encoding, activation_byte, shift, activation_shift] = kind.to_le_bytes();
        let encoding = Encoding::from_byte_within(encoding, supports)?;
        // From one on, in one comparison each.
        if inputs.wrapping_sub(1) >= MAX_WIDTH || outputs.wrapping_sub(1) >= MAX_WIDTH {
            return None;
        }
        let is_output = activation_byte == OUTPUT;
        let activation = match activation_byte {
            OUTPUT => Activation::Linear,
            RELU => Activation::Relu,
            _ if !supports.has(Capability::Activations) => return None,
            byte => Activation::from_byte(byte).filter(|&a| a != Activation::Linear)?,
        };
        let padded = padded(outputs);
        let groups = (inputs + 3) >> 2;
        let (row_words, scaled) = match encoding {
            Encoding::F32Rows4 | Encoding::F32Rows8 => (inputs, false),
            Encoding::I16Rows4 | Encoding::I16Rows => (2 * groups, is_output || !activation.is_homogeneous()),
            Encoding::I8Rows4 | Encoding::I8Packed4 | Encoding::I8Rows => {
                (groups, is_output || !activation.is_homogeneous())
            }
        };
        let (bias, rest) = rest.split_at_checked(padded)?;
        let (multipliers, rest) = rest.split_at_checked(if scaled { padded } else { 0 })?;
        let (weights, rest) = rest.split_at_checked(row_words * padded)?;
        let layer = Layer {
            inputs,
            outputs,
            encoding,
            is_output,
            activation,
            shift,
            activation_shift,
            bias,
            multipliers,
            weights,
        };
        Some((Dense { layer, kind }, rest))
    }

    /// What it needs besides its activation function.
    pub(crate) fn needs(&self) -> Capabilities {
        let needs = self.encoding.needs();
        if self.inputs > NARROW && !self.encoding.is_float() {
            needs.with(Capability::WideLayers)
        } else {
            needs
        }
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

    /// The stored number of a weight; `None` outside the layer.
    #[must_use]
    pub fn weight(&self, row: usize, column: usize) -> Option<f32> {
        let at = self.encoding.position((self.padded_outputs(), self.padded_inputs()), row, column);
        Some(match self.encoding {
            Encoding::F32Rows4 | Encoding::F32Rows8 => f32::from_bits(*self.weights.get(at)?),
            _ => self.integer(row, column)? as f32,
        })
    }

    /// [`Self::weight`] of an integer layer.
    #[inline(never)]
    pub(super) fn integer(&self, row: usize, column: usize) -> Option<i32> {
        let at = self.encoding.position((self.padded_outputs(), self.padded_inputs()), row, column);
        let word = |per: usize| Some(self.weights.get(at / per)? >> (32 / per * (at % per)));
        Some(match self.encoding {
            Encoding::F32Rows4 | Encoding::F32Rows8 => return None,
            Encoding::I16Rows4 | Encoding::I16Rows => i32::from(word(2)? as i16),
            Encoding::I8Rows4 | Encoding::I8Rows => i32::from(word(4)? as i8),
            Encoding::I8Packed4 => i32::from(word(4)? as u8) - ZERO_POINT,
        })
    }

    /// What a row's accumulator is multiplied with to give its sum: a real number for a layer with
    /// multipliers, units of its own activations for one without.
    #[must_use]
    pub fn unit(&self, row: usize) -> f32 {
        if self.encoding.is_float() {
            return 1.0;
        }
        let shifted = power_of_two(-i32::from(self.shift));
        match self.multipliers.get(row) {
            Some(&multiplier) => multiplier as i32 as f32 * shifted * power_of_two(-16),
            None => shifted,
        }
    }

    /// Slopes back through the layer: `to[j] = sum over i of delta[i] unit[i] w[i][j]`, for as many inputs
    /// as `to` has.
    pub fn backward(&self, delta: &[f32], to: &mut [f32]) -> Option<()> {
        for (column, to) in to.iter_mut().enumerate() {
            *to = self.backward_column(delta, column)?;
        }
        Some(())
    }

    /// The slope of one input, as [`Self::backward`] gives it; `None` outside the layer.
    #[must_use]
    pub fn backward_column(&self, delta: &[f32], column: usize) -> Option<f32> {
        let mut sum = 0.0;
        for (row, &delta) in delta.iter().enumerate().take(self.outputs) {
            sum += delta * self.unit(row) * self.weight(row, column)?;
        }
        Some(sum)
    }
}

/// Checks the layer at the front of `words`, which is to have so many inputs and to be an output layer or not; gives its
/// outputs, and leaves the words behind it.
#[inline(never)]
pub(crate) fn check<A: Arithmetic>(words: &mut &[u32], inputs: usize, is_output: bool) -> Result<u16, Fault> {
    // By reference: a layer that is moved is copied.
    let Some((layer, rest)) = &Dense::parse_within(words, A::SUPPORTS) else {
        return Err(refusal(words, A::SUPPORTS));
    };
    if layer.inputs != inputs || layer.is_output != is_output {
        return Err(Fault::malformed(Part::Conditioner));
    }
    *words = rest;
    A::check_dense(layer)?;
    Ok(layer.outputs as u16)
}

/// Why there is no layer at the front of `words`: what it needs is left out, or it is malformed.
#[cold]
#[inline(never)]
fn refusal(words: &[u32], supports: Capabilities) -> Fault {
    let [encoding, activation, ..] = words.get(1).copied().unwrap_or_default().to_le_bytes();
    // A table of half bytes, in a word.
    const OF_ENCODINGS: u32 = needs_by_encoding();
    let shift = if encoding < 8 { 4 * u32::from(encoding) } else { 0 };
    let needs = Capabilities::of_bits((OF_ENCODINGS >> shift & 0xf) << FIRST_NEED);
    let is_other = shift != 0 && (RELU + 1..=Activation::Silu as u8).contains(&activation);
    let needs = if is_other { needs.with(Capability::Activations) } else { needs };
    supports.refusal_or(needs, Fault::malformed(Part::Conditioner))
}

/// The lowest of the capabilities that an encoding needs.
const FIRST_NEED: u32 = Capability::OtherOrders as u32;

/// What the encodings need, half a byte each by their numbers, from [`FIRST_NEED`] on.
const fn needs_by_encoding() -> u32 {
    let mut table = 0;
    let mut number = 1;
    while let Some(encoding) = Encoding::from_byte(number) {
        let needs = encoding.needs();
        let needs = if is_native(encoding) { needs } else { needs.with(Capability::OtherOrders) };
        assert!(needs.bits() >> FIRST_NEED << FIRST_NEED == needs.bits() && needs.bits() >> FIRST_NEED < 16);
        table |= (needs.bits() >> FIRST_NEED) << (4 * number);
        number += 1;
    }
    table
}

/// `2^exponent`, for exponents of normal numbers.
#[must_use]
pub fn power_of_two(exponent: i32) -> f32 {
    f32::from_bits(((127 + exponent.clamp(-126, 127)) as u32) << 23)
}

/// Proves that no row of a fixed-point layer can overflow its i32 accumulator, whatever the
/// activations: `|bias| + sum |w| * 32767 < 2^31`.
#[inline(always)]
pub(crate) fn check_accumulators(layer: &Dense<'_>) -> Result<(), Fault> {
    let encoding = layer.encoding;
    let bits = encoding.bits();
    let block_words = (layer.padded_inputs() * bits) >> 3;
    let mut weights = layer.weights;
    for biases in layer.bias.as_chunks::<4>().0 {
        let (block, rest) =
            weights.split_at_checked(block_words).ok_or(Fault::malformed(Part::Conditioner))?;
        weights = rest;
        for (place, &bias) in biases.iter().enumerate() {
            let mut sum = 0;
            match encoding {
                Encoding::I8Rows | Encoding::I16Rows => {
                    let row_words = block_words >> 2;
                    for &word in block.get(place * row_words..).unwrap_or_default().iter().take(row_words) {
                        sum += sum_of_sizes(word, bits, 32 / bits);
                    }
                }
                Encoding::I8Packed4 => {
                    for &word in block {
                        sum += sum_of_sizes((word ^ 0x8080_8080) >> (8 * (place & 3)), bits, 1);
                    }
                }
                _ => {
                    for words in block.as_chunks::<4>().0 {
                        let word = words.get(place & 3).copied().unwrap_or_default();
                        sum += sum_of_sizes(word, bits, 32 / bits);
                    }
                }
            }
            check_bound(sum, bias)?;
        }
    }
    Ok(())
}

/// The sizes of a word's weights, the first `lanes` of them: summed over a row at most `MAX_WIDTH * 2^15`.
#[inline(always)]
fn sum_of_sizes(mut word: u32, bits: usize, lanes: usize) -> u32 {
    let unused = 32 - bits as u32;
    let mut sum = 0;
    for _ in 0..lanes {
        sum += ((word << unused) as i32 >> unused).unsigned_abs();
        word >>= bits;
    }
    sum
}

#[inline(always)]
fn check_bound(sum: u32, bias: u32) -> Result<(), Fault> {
    // From 2^16 on the product alone is too large; below, nothing wraps.
    if sum >> 16 == 0
        && sum.wrapping_mul(ACTIVATION_LIMIT as u32).wrapping_add((bias as i32).unsigned_abs()) >> 31 == 0
    {
        Ok(())
    } else {
        Err(Fault::ACCUMULATOR_OVERFLOW)
    }
}
