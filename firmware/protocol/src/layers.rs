//! Dense layers of pseudo-random numbers and what the runtime makes of them, as digests: the same code on
//! host and board, so that the kernels of both can be compared on every shape.

use flowlet::arithmetic::activation::Activation;
use flowlet::arithmetic::dense::{Dense, Encoding, ACTIVATION_LIMIT, OUTPUT};
use flowlet::arithmetic::{Arithmetic, Fixed, Float};

/// With the functions that have kernels of their own.
type Real = Float;

/// Most inputs and outputs of a layer here.
///
/// A multiple of the words of a message; two rounds of a kernel that takes 32 inputs at a time, and more.
pub const WIDEST: usize = 72;
/// Words of the widest layer: header, biases, multipliers, f32 weights.
const LAYER_WORDS: usize = 2 + 2 * WIDEST + WIDEST * WIDEST;
/// Words of a layer, its input and its output.
pub const MEMORY_WORDS: usize = LAYER_WORDS + 2 * WIDEST;
/// The same of integer layers alone, whose weights have at most 16 bits.
pub const INTEGER_MEMORY_WORDS: usize = MEMORY_WORDS - WIDEST * WIDEST / 2;

/// What a layer is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// Type and order of its weights.
    pub encoding: Encoding,
    /// `None` of an output layer.
    pub activation: Option<Activation>,
    /// Its shift; of f32 zero.
    pub shift: u8,
    /// Whether weights and inputs are as large as they may be, and of signs that add up, row by row to the
    /// upper or the lower end; f32: whether numbers span all orders of magnitude.
    pub is_extreme: bool,
}

impl Kind {
    /// From four numbers, as a row of a job has them: encoding and activation as in an image, shift, and
    /// whether it is extreme.
    #[must_use]
    pub fn from_numbers(numbers: [f32; 4]) -> Option<Self> {
        let [encoding, activation, shift, extreme] = numbers.map(|x| x as u8);
        let encodings = [
            Encoding::F32Rows4,
            Encoding::F32Rows8,
            Encoding::I16Rows4,
            Encoding::I16Rows,
            Encoding::I8Rows4,
            Encoding::I8Rows,
            Encoding::I8Packed4,
        ];
        Some(Kind {
            encoding: encodings.into_iter().find(|&e| e as u8 == encoding)?,
            activation: if activation == OUTPUT { None } else { Some(Activation::from_byte(activation)?) },
            shift,
            is_extreme: extreme != 0,
        })
    }

    /// The inverse of [`Self::from_numbers`].
    #[must_use]
    pub fn numbers(self) -> [f32; 4] {
        let activation = self.activation.map_or(OUTPUT, |a| a as u8);
        [self.encoding as u8, activation, self.shift, u8::from(self.is_extreme)].map(f32::from)
    }
}

/// Xorshift (Marsaglia 2003): three instructions a number.
struct Xorshift(u32);

impl Xorshift {
    fn next(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0
    }

    /// From `-limit` to `limit`, two in three at the ends if `extreme`.
    fn integer(&mut self, limit: i32, extreme: bool) -> i32 {
        let x = self.next();
        match x >> 30 {
            0 | 1 if extreme => limit,
            2 if extreme => -limit,
            _ => ((i64::from(x as i32) * i64::from(limit)) >> 31) as i32,
        }
    }

    /// A number around one, or of any magnitude that neither overflows nor is zero.
    fn real(&mut self, any_magnitude: bool) -> f32 {
        if any_magnitude {
            self.number(100, 50)
        } else {
            self.number(122, 6)
        }
    }

    /// A number of one of these exponents.
    fn number(&mut self, least: u32, exponents: u32) -> f32 {
        let x = self.next();
        let exponent = least + (x >> 8) % exponents;
        f32::from_bits((x & 0x8000_0000) | (exponent << 23) | (x.wrapping_mul(0x9e37_79b9) >> 9))
    }
}

impl Xorshift {
    /// An activation: one in four is zero, as ReLU makes it, and one in four nearly the one before, so that products cancel.
    fn activation(&mut self, before: f32, any_magnitude: bool) -> f32 {
        match self.next() >> 29 {
            0 | 1 => 0.0,
            step @ 2..=4 if before != 0.0 => f32::from_bits(before.to_bits() + step - 3),
            _ => self.real(any_magnitude),
        }
    }

    /// A weight: one in four undoes the one before, one in sixteen is zero, and of any magnitude one in sixteen so small that what
    /// its products leave of each other is the smallest normal number.
    fn weight(&mut self, before: f32, any_magnitude: bool) -> f32 {
        match self.next() >> 28 {
            0..=3 => -before,
            4 => 0.0,
            5 if any_magnitude => self.number(52, 16),
            _ => self.real(any_magnitude),
        }
    }
}

/// A digest of the outputs of a layer of this shape; `None` if there can't be one in this memory.
#[must_use]
pub fn digest(kind: Kind, inputs: usize, outputs: usize, memory: &mut [u32]) -> Option<u32> {
    let words = if kind.encoding.is_float() { MEMORY_WORDS } else { INTEGER_MEMORY_WORDS };
    if inputs == 0 || outputs == 0 || inputs > WIDEST || outputs > WIDEST || memory.len() < words {
        return None;
    }
    let seed = (inputs as u32) << 20 | (outputs as u32) << 8 | u32::from(kind.encoding as u8);
    let mut random = Xorshift(seed.wrapping_mul(0x85eb_ca6b) | 1);
    let (input, rest) = memory.split_at_mut_checked(WIDEST)?;
    let (output, words) = rest.split_at_mut_checked(WIDEST)?;
    write(kind, inputs, outputs, &mut random, words)?;
    let words = &*words;
    let layer = Dense::parse(words)?.0;
    // Half of the layers run as in a score of a perceptron, from their words on, half as parts of other nets.
    let from_words = (inputs + outputs).is_multiple_of(2);
    input.fill(0);
    output.fill(0);
    let done = if kind.encoding.is_float() {
        let numbers: &mut [f32] = bytemuck::cast_slice_mut(input);
        let mut before = 1.0;
        for x in numbers.iter_mut().take(inputs) {
            before = random.activation(before, kind.is_extreme);
            *x = before;
        }
        Real::check_dense(&layer).ok()?;
        let (input, output) = (&*numbers, bytemuck::cast_slice_mut(output));
        match kind.activation {
            _ if from_words => {
                let (input, output) = (bytemuck::cast_slice(input), bytemuck::cast_slice_mut(output));
                Real::dense_layer(words, input, output).map(|_| ())
            }
            Some(_) => Real::dense_hidden(&layer, input, output),
            None => Real::dense_output(&layer, input, output),
        }
    } else {
        let numbers: &mut [i16] = bytemuck::cast_slice_mut(input);
        let limit = ACTIVATION_LIMIT as i32;
        numbers.iter_mut().take(inputs).for_each(|x| *x = random.integer(limit, kind.is_extreme) as i16);
        Fixed::check_dense(&layer).ok()?;
        let input = &*numbers;
        match kind.activation {
            _ if from_words => Fixed::dense_layer(words, bytemuck::cast_slice(input), output).map(|_| ()),
            Some(_) => Fixed::dense_hidden(&layer, input, bytemuck::cast_slice_mut(output)),
            None => Fixed::dense_output(&layer, input, bytemuck::cast_slice_mut(output)),
        }
    };
    done?;
    // FNV-1a over words, and over all of the buffer: nothing may be written behind the outputs.
    Some(output.iter().fold(0x811c_9dc5, |hash: u32, &word| (hash ^ word).wrapping_mul(0x0100_0193)))
}

/// Writes a layer's words.
fn write(kind: Kind, inputs: usize, outputs: usize, random: &mut Xorshift, words: &mut [u32]) -> Option<()> {
    let Kind { encoding, activation, shift, is_extreme } = kind;
    let padded = outputs.next_multiple_of(4);
    let columns = encoding.padded_inputs(inputs);
    let activation_shift = match activation {
        Some(Activation::Tanh) if !encoding.is_float() => 1,
        Some(Activation::Silu) if !encoding.is_float() => 4,
        _ => 0,
    };
    let header = words.first_chunk_mut::<2>()?;
    let activation_byte = activation.map_or(OUTPUT, |a| a as u8);
    *header = [
        inputs as u32 | (outputs as u32) << 16,
        u32::from_le_bytes([encoding as u8, activation_byte, shift, activation_shift]),
    ];
    let body = words.get_mut(2..)?;
    body.fill(0);
    let (bias, rest) = body.split_at_mut(padded);
    if encoding.is_float() {
        bias.iter_mut().take(outputs).for_each(|b| *b = random.real(is_extreme).to_bits());
        for column in 0..inputs {
            for row in 0..outputs {
                let at = |column| encoding.position((padded, columns), row, column);
                let before = rest.get(at(column.saturating_sub(1))).copied()?;
                *rest.get_mut(at(column))? = random.weight(f32::from_bits(before), is_extreme).to_bits();
            }
        }
        return Some(());
    }
    let is_scaled = activation.is_none_or(|a| !a.is_homogeneous());
    let (multipliers, weights) = rest.split_at_mut(if is_scaled { padded } else { 0 });
    for multiplier in multipliers.iter_mut().take(outputs) {
        *multiplier = random.integer(i32::MAX, is_extreme) as u32;
    }
    // `|bias| + 32767 sum |w| < 2^31`, exhausted by an extreme row of i16 weights.
    let most = 65_535 / inputs as i32;
    let is_i8 = encoding.bits() == 8;
    // Padding is zeros, which packed weights have a byte of their own for.
    weights.fill(u32::from(encoding.stored(0) as u8) * 0x0101_0101);
    let limit = if is_i8 { 127 } else { most.min(32_767) };
    for (row, bias) in bias.iter_mut().enumerate().take(outputs) {
        let sign = if random.next() & 1 == 0 { 1 } else { -1 };
        let mut sum = 0;
        for column in 0..inputs {
            let size = if is_extreme { limit } else { random.integer(limit, false) };
            // -128 is a weight too.
            let weight = if is_extreme && is_i8 && random.next() >> 30 == 0 { -128 } else { sign * size };
            sum += i64::from(weight.unsigned_abs());
            let at = encoding.position((padded, columns), row, column);
            let stored = encoding.stored(weight);
            if is_i8 {
                *bytemuck::cast_slice_mut::<u32, i8>(weights).get_mut(at)? = stored as i8;
            } else {
                *bytemuck::cast_slice_mut::<u32, i16>(weights).get_mut(at)? = stored as i16;
            }
        }
        let left = (i64::from(i32::MAX) - sum * ACTIVATION_LIMIT).max(0) as i32;
        let size = if is_extreme { left } else { random.integer(left, false) };
        *bias = (sign * size) as u32;
    }
    Some(())
}
