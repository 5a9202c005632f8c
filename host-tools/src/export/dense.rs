//! Dense layers in the image's order: padded rows in blocks of four or eight, see `flowlet::arithmetic::dense`.

use flowlet::arithmetic::activation::Activation;
use flowlet::arithmetic::dense::{Encoding, HEADER_WORDS, OUTPUT};

/// The numbers of a layer, unpadded and row-major, in the element type of the image.
#[derive(Clone)]
pub(super) enum Numbers {
    /// f32 weights and bias.
    Float {
        /// `outputs x inputs`.
        weights: Vec<f32>,
        /// Per output.
        bias: Vec<f32>,
    },
    /// Integer weights with i32 bias.
    Fixed {
        /// `outputs x inputs`, within the element type.
        weights: Vec<i32>,
        /// Per output, rounding included for a ReLU layer.
        bias: Vec<i32>,
        /// Per output, of a layer that goes back to Q15.16; else empty.
        multipliers: Vec<i32>,
    },
}

/// A layer that is ready to be laid out.
#[derive(Clone)]
pub(super) struct EncodedDense {
    pub(super) inputs: usize,
    pub(super) outputs: usize,
    pub(super) encoding: Encoding,
    /// `None` of an output layer.
    pub(super) activation: Option<Activation>,
    pub(super) shift: u8,
    /// From Q15.16 to i16, of a fixed-point layer with tanh or SiLU; else 0.
    pub(super) activation_shift: u8,
    /// Accumulator units per unit of the real sum, per output; all ones for f32.
    pub(super) gains: Vec<f64>,
    pub(super) numbers: Numbers,
    /// Through which it reads a residual net's trunk: an activation and the right shift from Q15.16.
    pub(super) gate: Option<(Activation, u8)>,
}

/// What a fixed-point layer's integers stand for.
pub(super) struct Meaning {
    /// `outputs x inputs`, as the weights.
    pub(super) weights: Vec<f64>,
    /// Per output.
    pub(super) bias: Vec<f64>,
    /// Integer units of an activation per real unit, per output; of a hidden layer.
    pub(super) scales: Vec<f64>,
}

impl EncodedDense {
    /// The real layer that the integers stand for, where input `i` has `scales[i]` integer units per real unit; `None` of
    /// an f32 layer.
    pub(super) fn meaning(&self, scales: &[f64]) -> Option<Meaning> {
        let Numbers::Fixed { weights, bias, multipliers } = &self.numbers else { return None };
        let shift = f64::from(self.shift).exp2();
        let is_homogeneous = self.activation.is_some_and(Activation::is_homogeneous);
        // The rounding of a ReLU layer's shift stands in its bias.
        let half = match self.activation {
            Some(Activation::Relu) if self.shift > 0 => 0.5 * shift,
            _ => 0.0,
        };
        let mut meaning = Meaning { weights: Vec::new(), bias: Vec::new(), scales: Vec::new() };
        for (row, &gain) in self.gains.iter().enumerate() {
            // A multiplier stands for 2^16 / gain, itself rounded.
            let factor = match multipliers.get(row) {
                Some(&m) => f64::from(m) / shift / 65536.0,
                None => 1.0 / gain,
            };
            let row_weights = &weights[row * self.inputs..][..self.inputs];
            meaning.weights.extend(row_weights.iter().zip(scales).map(|(&w, s)| f64::from(w) * s * factor));
            meaning.bias.push((f64::from(bias[row]) - half) * factor);
            meaning.scales.push(match self.activation {
                Some(_) if is_homogeneous => gain / shift,
                _ => (16.0 - f64::from(self.activation_shift)).exp2(),
            });
        }
        Some(meaning)
    }

    /// Words that [`Self::write`] appends.
    pub(super) fn words(&self) -> usize {
        let padded = self.outputs.next_multiple_of(4);
        let (per_row, bits) = match &self.numbers {
            Numbers::Float { .. } => (1, 32),
            Numbers::Fixed { multipliers, .. } => {
                (1 + usize::from(!multipliers.is_empty()), self.encoding.bits())
            }
        };
        HEADER_WORDS + padded * (per_row + self.encoding.padded_inputs(self.inputs) * bits / 32)
    }

    /// Appends the layer's words.
    pub(super) fn write(&self, words: &mut Vec<u32>) {
        let activation = self.activation.map_or(OUTPUT, |a| a as u8);
        words.push(self.inputs as u32 | (self.outputs as u32) << 16);
        words.push(u32::from_le_bytes([self.encoding as u8, activation, self.shift, self.activation_shift]));
        let padded = self.outputs.next_multiple_of(4);
        let columns = self.encoding.padded_inputs(self.inputs);
        match &self.numbers {
            Numbers::Float { weights, bias } => {
                push_padded(words, bias.iter().map(|b| b.to_bits()), padded);
                let mut reals = vec![0.0f32; padded * columns];
                for row in 0..self.outputs {
                    for column in 0..self.inputs {
                        let at = self.encoding.position((padded, columns), row, column);
                        reals[at] = weights[row * self.inputs + column];
                    }
                }
                words.extend(reals.iter().map(|w| w.to_bits()));
            }
            Numbers::Fixed { weights, bias, multipliers } => {
                push_padded(words, bias.iter().map(|&b| b as u32), padded);
                if !multipliers.is_empty() {
                    push_padded(words, multipliers.iter().map(|&m| m as u32), padded);
                }
                let mut integers = vec![self.encoding.stored(0); padded * columns];
                for row in 0..self.outputs {
                    for column in 0..self.inputs {
                        let at = self.encoding.position((padded, columns), row, column);
                        integers[at] = self.encoding.stored(weights[row * self.inputs + column]);
                    }
                }
                let size = self.encoding.bits() / 8;
                let bytes: Vec<u8> =
                    integers.iter().flat_map(|w: &i32| w.to_le_bytes().into_iter().take(size)).collect();
                words.extend(bytes.as_chunks::<4>().0.iter().map(|b| u32::from_le_bytes(*b)));
            }
        }
    }
}

fn push_padded(words: &mut Vec<u32>, values: impl Iterator<Item = u32>, padded: usize) {
    let end = words.len() + padded;
    words.extend(values);
    words.resize(end, 0);
}

/// The weights of a layer in an image, row-major and unpadded, as f64.
pub(super) fn weights(layer: &flowlet::arithmetic::dense::Dense<'_>) -> Vec<f64> {
    let mut weights = Vec::with_capacity(layer.inputs * layer.outputs);
    for row in 0..layer.outputs {
        for column in 0..layer.inputs {
            weights.push(layer.weight(row, column).map_or(0.0, f64::from));
        }
    }
    weights
}
