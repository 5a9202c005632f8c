//! Tiles in fixed point: the runtime's integer operations, without its branches for values that are near.

use super::isa::Isa;
use super::tiled::{rows, rows_where, Rows, Tiled};
use super::{Lane, ROWS};
use flowlet::arithmetic::activation::Activation;
use flowlet::arithmetic::base::BaseArithmetic;
use flowlet::arithmetic::dense::Dense;
use flowlet::arithmetic::fixed::affine::Scales;
use flowlet::arithmetic::fixed::elementary::{exp, high_rounded, ln, tanh_q31};
use flowlet::arithmetic::fixed::ratio::{reciprocal, UNIT};
use flowlet::arithmetic::fixed::{FRACTION_BITS, ONE};
use flowlet::arithmetic::marginal::{Knots, MarginalArithmetic};
use flowlet::arithmetic::{Arithmetic, Fixed};
use flowlet::base::Mixture;

/// Values below this are near: 2048 standard deviations. Farther ones take a way of their own in the runtime.
const NEAR: u32 = 1 << 27;
/// Up to this exponent of a feature, subnormal readings are zero.
const LARGEST_NEAR_EXPONENT: i32 = 124;
/// Fractional bits of a sum of exponentials relative to the largest.
const MASS_BITS: u32 = 24;
/// Below every exponent of a mixture.
const LOWEST: i64 = -(1 << 62);
/// As many as there are features at most.
static ZEROS: [i32; 1024] = [0; 1024];

/// `x / 2^bits`, rounded to nearest, ties upwards; `1 <= bits <= 63`.
#[inline(always)]
fn round_shift(x: i64, bits: u32) -> i64 {
    ((x >> (bits - 1)) + 1) >> 1
}

/// Narrows with saturation.
#[inline(always)]
fn saturate(x: i64) -> i32 {
    x.clamp(i32::MIN.into(), i32::MAX.into()) as i32
}

/// A straight piece of a marginal map, in the knots' units: where it starts and where it goes, its height, and the width
/// as a divisor (its top bit shifted to place 31 by `zeros`, and 2^63 over that).
#[derive(Clone, Copy, Debug, Default)]
struct Piece {
    x: i32,
    y: i32,
    height: u32,
    zeros: u32,
    reciprocal: u32,
    log_slope: i32,
}

/// Straight pieces between knots, one more than knots; the outer two are the tails, which the runtime evaluates.
#[derive(Debug)]
pub(super) struct Lines<'a> {
    knots: Knots<'a>,
    x: Vec<i32>,
    pieces: Vec<Piece>,
}

/// A row of weights and its shift.
#[derive(Debug)]
pub(super) struct Weights {
    shift: u32,
    weights: Vec<i32>,
}

/// Four rows of a dense layer.
#[derive(Debug)]
struct Block {
    bias: [i32; 4],
    /// Of each pair of inputs, the weights of the four rows: two i16 in a word, that of the first input below.
    weights: Vec<[u32; 4]>,
    multipliers: [i32; 4],
}

/// A dense layer.
#[derive(Debug)]
pub(super) struct Layer {
    blocks: Vec<Block>,
    activation: Activation,
    shift: u32,
    activation_shift: u8,
}

/// A mixture: the right shift from half a sum of squares to Q47.16, and per component the constant, and mean (Q15.16)
/// and precision of each feature.
#[derive(Debug)]
pub(super) struct Components {
    right: u32,
    components: Vec<(i64, Vec<[i32; 2]>)>,
}

/// The scales of an affine coupling, or the clamp if it is so wide that they have no common format.
#[derive(Debug)]
pub(super) enum Scaling {
    Near(Scales),
    Wide(i32),
}

/// Accumulators to Q15.16.
#[inline(always)]
fn scale_rows(sums: &mut Lane<i32>, multiplier: i32, shift: u32) {
    if shift > 32 {
        for sum in &mut sums.0 {
            let high = ((i64::from(*sum) * i64::from(multiplier)) >> 32) as i32;
            *sum = ((high >> (shift - 33)) + 1) >> 1;
        }
    } else {
        for sum in &mut sums.0 {
            *sum = saturate(round_shift(i64::from(*sum) * i64::from(multiplier), shift));
        }
    }
}

/// Activations of two units, the first in the lower halves.
#[inline(always)]
fn pack(first: &[i32; ROWS], second: &[i32; ROWS], to: &mut Lane<u32>) {
    for ((to, &first), &second) in to.0.iter_mut().zip(first).zip(second) {
        *to = first as u32 & 0xffff | (second as u32) << 16;
    }
}

/// Activations of a hidden layer's four sums.
#[inline(always)]
fn activate(layer: &Layer, block: &Block, sums: &mut [Lane<i32>; 4]) {
    for (sums, &multiplier) in sums.iter_mut().zip(&block.multipliers) {
        let shift = match layer.activation {
            Activation::Relu => {
                for sum in &mut sums.0 {
                    *sum = (*sum >> layer.shift).clamp(0, 32767);
                }
                continue;
            }
            Activation::LeakyRelu => layer.shift as u8,
            _ => {
                scale_rows(sums, multiplier, layer.shift);
                layer.activation_shift
            }
        };
        let mut narrow = [0i16; ROWS];
        Fixed::activate(layer.activation, shift, &sums.0, &mut narrow);
        for (sum, narrow) in sums.0.iter_mut().zip(narrow) {
            *sum = narrow.into();
        }
    }
}

impl Lines<'_> {
    #[inline(always)]
    fn map(&self, x: &mut Lane<i32>, log_det: &mut Lane<i64>) -> Option<()> {
        let (x_shift, y_shift) = (u32::from(self.knots.x_shift & 15), u32::from(self.knots.y_shift & 15));
        let mut value = [0i32; ROWS];
        for (value, &x) in value.iter_mut().zip(&x.0) {
            let shifted = x << x_shift;
            let limit = if x < 0 { i32::MIN } else { i32::MAX };
            *value = if shifted >> x_shift == x { shifted } else { limit };
        }
        let mut below = Lane([0u32; ROWS]);
        for &knot in &self.x {
            for (below, &value) in below.0.iter_mut().zip(&value) {
                *below += u32::from(knot <= value);
            }
        }
        let last = self.x.len() as u32;
        for row in rows(rows_where(&below, |below| below == 0 || below == last)) {
            let (z, log) = Fixed::marginal(&self.knots, x.0[row])?;
            x.0[row] = z;
            log_det.0[row] = log_det.0[row].saturating_add(log);
        }
        let rows = x.0.iter_mut().zip(&mut log_det.0).zip(value.iter().zip(&below.0));
        for ((x, log_det), (&value, &below)) in rows {
            let piece = &self.pieces[below as usize];
            let offset = value.wrapping_sub(piece.x) as u32;
            let share = ((u64::from(offset << piece.zeros) * u64::from(piece.reciprocal)) >> 32) as u32;
            let part = (u64::from(share.min(UNIT)) * u64::from(piece.height) + (1 << 30)) >> 31;
            let y = piece.y.wrapping_add(part as i32);
            // As `round_shift`, but without its room for one.
            let half = if y_shift == 0 { 0 } else { (y >> (y_shift.wrapping_sub(1) & 31)) & 1 };
            let is_between = below != 0 && below != last;
            *x = if is_between { (y >> y_shift) + half } else { *x };
            *log_det = log_det.saturating_add(piece.log_slope.into());
        }
        Some(())
    }
}

impl Tiled for Fixed {
    /// Two i16, the first below.
    type Packed = u32;
    const PACKED: usize = 2;
    /// Shift and factor.
    type Gain = (u32, i32);
    type Weights = Weights;
    type Lines<'a> = Lines<'a>;
    type Layer = Layer;
    type Components = Components;
    type Scales = Scaling;

    #[inline(always)]
    fn standardize_rows(readings: &Lane<f32>, words: &[u32], values: &mut Lane<i32>, odd: &mut Rows) {
        let &[low, high, multiplier, _, exponent] = words else {
            *odd = Rows::MAX;
            return;
        };
        let (center, exponent) = (low as i32, exponent as i32);
        let mut far = Rows::MAX;
        if exponent <= LARGEST_NEAR_EXPONENT && high as i32 == center >> 31 {
            let mut is_far = Lane([false; ROWS]);
            for ((value, &reading), is_far) in values.0.iter_mut().zip(&readings.0).zip(&mut is_far.0) {
                let bits = reading.to_bits();
                let drop = 156i32.wrapping_sub(exponent).wrapping_sub(((bits >> 23) & 0xff) as i32);
                let size = ((((bits << 8) | 1 << 31) >> 1 >> (drop.clamp(0, 31) as u32)) + 1) >> 1;
                let sign = bits as i32 >> 31;
                let x = (size as i32 ^ sign).wrapping_sub(sign);
                let difference = x.wrapping_sub(center);
                let overflow = (x ^ center) & (x ^ difference);
                *value = high_rounded(difference, (multiplier << 4) as i32);
                *is_far = (drop | overflow) < 0;
            }
            far = rows_where(&is_far, |is_far| is_far);
        }
        for row in rows(far) {
            match Self::standardize(readings.0[row], words) {
                Some(z) if !Self::is_at_limit(z) => values.0[row] = z,
                _ => *odd |= 1 << row,
            }
        }
    }

    #[inline(always)]
    fn soft_tail_rows(x: &mut Lane<i32>, knee: i32, log_det: &mut Lane<i64>) {
        let reach = knee.unsigned_abs().wrapping_mul(2);
        for row in rows(rows_where(x, |x| x.wrapping_add(knee) as u32 > reach)) {
            let (z, log) = Self::soft_tail(x.0[row], knee);
            x.0[row] = z;
            log_det.0[row] = log_det.0[row].wrapping_add(log);
        }
    }

    fn lay_gain(words: &[u32]) -> Option<(u32, i32)> {
        let &[shift, gain, _] = words else { return None };
        Some((shift, gain as i32))
    }

    #[inline(always)]
    fn gain_rows(x: &mut Lane<i32>, (shift, gain): (u32, i32)) {
        for x in &mut x.0 {
            *x = saturate(round_shift(i64::from(*x) * i64::from(gain), shift));
        }
    }

    fn lay_weights(words: &[u32], weights: usize) -> Option<Weights> {
        let (&shift, packed) = words.split_first()?;
        let weights = bytemuck::cast_slice::<u32, i16>(packed).get(..weights)?.iter().map(|&w| w.into());
        Some(Weights { shift, weights: weights.collect() })
    }

    #[inline(always)]
    fn add_row_sum(x: &mut Lane<i32>, row: &Weights, others: &[Lane<i32>]) {
        let mut sums = [0i64; ROWS];
        for (&w, other) in row.weights.iter().zip(others) {
            for (sum, &other) in sums.iter_mut().zip(&other.0) {
                *sum = sum.wrapping_add(i64::from(w) * i64::from(other));
            }
        }
        for (x, sum) in x.0.iter_mut().zip(sums) {
            *x = x.saturating_add(saturate(round_shift(sum, row.shift)));
        }
    }

    fn lay_lines(knots: Knots<'_>) -> Option<Lines<'_>> {
        let shift = u32::from(knots.x_shift & 15);
        let mut pieces = vec![Piece::default()];
        for (x, y) in knots.x.windows(2).zip(knots.y.windows(2)) {
            let (from, end) = (x[0] as i32, x[1] as i32);
            let width = end.wrapping_sub(from) as u32;
            let zeros = width.leading_zeros() & 31;
            // The first number of the piece in the trunk's format, if there is one.
            let first = (i64::from(from) + (1 << shift) - 1) >> shift;
            let log_slope = if first << shift < i64::from(end) {
                Self::marginal(&knots, i32::try_from(first).ok()?)?.1
            } else {
                0
            };
            pieces.push(Piece {
                x: from,
                y: y[0] as i32,
                height: y[1].wrapping_sub(y[0]),
                zeros,
                reciprocal: reciprocal(width << zeros),
                log_slope: i32::try_from(log_slope).ok()?,
            });
        }
        pieces.push(Piece::default());
        Some(Lines { x: knots.x.iter().map(|&w| w as i32).collect(), pieces, knots })
    }

    #[inline(always)]
    fn line_rows(lines: &Lines<'_>, x: &mut Lane<i32>, log_det: &mut Lane<i64>) -> Option<()> {
        lines.map(x, log_det)
    }

    #[inline(always)]
    fn load_rows<'x>(
        inputs: impl Iterator<Item = &'x Lane<i32>>,
        limit: i32,
        shift: u8,
        out: &mut [Lane<u32>],
    ) {
        let half = (1 << shift) >> 1;
        out.fill(Lane([0; ROWS]));
        for (index, x) in inputs.enumerate() {
            let left = 16 * (index % 2) as u32;
            let Some(out) = out.get_mut(index / 2) else { return };
            for (out, &x) in out.0.iter_mut().zip(&x.0) {
                let activation = (x.max(-limit).min(limit) + half) >> shift;
                *out |= (activation as u32 & 0xffff) << left;
            }
        }
    }

    fn lay_layer(layer: &Dense<'_>) -> Option<Layer> {
        // i8 and i16 are exact in f32.
        let weight = |row, column| Some(layer.weight(row, column)? as i32 as u32 & 0xffff);
        let mut blocks = Vec::new();
        for (block, bias) in layer.bias.as_chunks::<4>().0.iter().enumerate() {
            let pairs = (0..layer.padded_inputs()).step_by(2).map(|column| {
                let mut four = [0; 4];
                for (row, word) in four.iter_mut().enumerate() {
                    let row = 4 * block + row;
                    *word = weight(row, column)? | weight(row, column + 1)? << 16;
                }
                Some(four)
            });
            let multipliers = layer.multipliers.as_chunks::<4>().0.get(block).copied().unwrap_or_default();
            blocks.push(Block {
                bias: bias.map(|b| b as i32),
                weights: pairs.collect::<Option<_>>()?,
                multipliers: multipliers.map(|m| m as i32),
            });
        }
        Some(Layer {
            blocks,
            activation: layer.activation,
            shift: layer.shift.into(),
            activation_shift: layer.activation_shift,
        })
    }

    #[inline(always)]
    fn hidden_rows<I: Isa>(isa: I, layer: &Layer, input: &[Lane<u32>], output: &mut [Lane<u32>]) {
        let mut sums = [Lane([0; ROWS]); 4];
        for (block, output) in layer.blocks.iter().zip(output.as_chunks_mut::<2>().0) {
            isa.integer_sums(&block.bias, &block.weights, input, &mut sums);
            activate(layer, block, &mut sums);
            let [first, second] = output;
            pack(&sums[0].0, &sums[1].0, first);
            pack(&sums[2].0, &sums[3].0, second);
        }
    }

    #[inline(always)]
    fn output_rows<I: Isa>(isa: I, layer: &Layer, input: &[Lane<u32>], output: &mut [Lane<i32>]) {
        for (block, output) in layer.blocks.iter().zip(output.as_chunks_mut::<4>().0) {
            isa.integer_sums(&block.bias, &block.weights, input, output);
            for (sums, &multiplier) in output.iter_mut().zip(&block.multipliers) {
                scale_rows(sums, multiplier, layer.shift);
            }
        }
    }

    fn lay_scales(clamp: i32) -> Scaling {
        Scales::new(clamp).map_or(Scaling::Wide(clamp), Scaling::Near)
    }

    #[inline(always)]
    fn affine_tanh_rows(
        x: &mut [Lane<i32>],
        shifts: &[Lane<i32>],
        raws: &mut [Lane<i32>],
        scales: &Scaling,
        log_det: &mut Lane<i64>,
        odd: &mut Rows,
    ) {
        let scales = match *scales {
            Scaling::Near(scales) => scales,
            Scaling::Wide(clamp) => {
                for ((x, shifts), raws) in x.iter_mut().zip(shifts).zip(raws) {
                    for row in 0..ROWS {
                        let (x, raw) = (&mut x.0[row..=row], &mut raws.0[row..=row]);
                        let log = Self::affine_tanh(x, &shifts.0[row..=row], raw, clamp);
                        log_det.0[row] = log_det.0[row].wrapping_add(log);
                    }
                }
                return;
            }
        };
        let left = scales.bits() + 1;
        let mut sums = [0i32; ROWS];
        let mut lost = Lane([0i32; ROWS]);
        for ((x, shifts), raws) in x.iter_mut().zip(shifts).zip(raws) {
            for (raw, sum) in raws.0.iter_mut().zip(&mut sums) {
                *raw = tanh_q31(*raw);
                *sum = sum.wrapping_add(scales.log_scale(*raw));
            }
            let rows = x.0.iter_mut().zip(&mut lost.0).zip(shifts.0.iter().zip(&raws.0));
            for ((x, lost), (&shift, &tanh)) in rows {
                let lifted = *x << left;
                *lost |= (lifted >> left) ^ *x;
                *x = high_rounded(lifted, scales.scale(tanh)).saturating_add(shift);
            }
        }
        for (log_det, sum) in log_det.0.iter_mut().zip(sums) {
            *log_det = sum.into();
        }
        *odd |= rows_where(&lost, |lost| lost != 0);
    }

    #[inline(always)]
    fn standard_normal_rows(z: &[Lane<i32>], log_prob: &mut Lane<i64>, odd: &mut Rows) {
        let Some(zeros) = ZEROS.get(..z.len()) else {
            *odd = Rows::MAX;
            return;
        };
        let constant = Self::standard_normal(zeros).saturating_neg();
        let mut sums = [0i64; ROWS];
        let mut reach = Lane([0i32; ROWS]);
        for z in z {
            for ((sum, reach), &z) in sums.iter_mut().zip(&mut reach.0).zip(&z.0) {
                *sum = sum.wrapping_add(i64::from(z) * i64::from(z));
                *reach |= z ^ (z >> 31);
            }
        }
        for (log_prob, sum) in log_prob.0.iter_mut().zip(sums) {
            *log_prob = -(round_shift(sum, FRACTION_BITS + 1) + constant);
        }
        *odd |= rows_where(&reach, |reach| reach as u32 >= NEAR);
    }

    fn lay_mixture(mixture: &Mixture<'_>, features: usize) -> Option<Components> {
        let format = mixture.format();
        let entry = |&word: &u32| [word as i32 >> (format.mean_shift & 31), i32::from(word as i16)];
        let lay = |(constant, words): (i64, &[u32])| {
            Some((constant, words.get(..features)?.iter().map(entry).collect()))
        };
        Some(Components {
            right: (2 * u32::from(format.precision_bits)).wrapping_sub(FRACTION_BITS - 1) & 31,
            components: mixture.parts::<Self>().map(lay).collect::<Option<_>>()?,
        })
    }

    #[inline(always)]
    fn mixture_rows<I: Isa>(
        isa: I,
        components: &Components,
        z: &[Lane<i32>],
        log_prob: &mut Lane<i64>,
        odd: &mut Rows,
    ) {
        for z in z {
            *odd |= rows_where(z, |z| z.unsigned_abs() > NEAR);
        }
        let mut mass = Mass { largest: Lane([LOWEST; ROWS]), sum: Lane([0; ROWS]) };
        let right = components.right;
        for (constant, features) in &components.components {
            let mut sums = Lane([0i64; ROWS]);
            isa.integer_squares(z, features, &mut sums);
            for (sum, &largest) in sums.0.iter_mut().zip(&mass.largest.0) {
                // Limits beyond 32767 nats are none.
                let limit = constant + (Self::NEGLIGIBLE - largest);
                let is_in = limit >= i32::MAX.into() || *sum <= limit.max(i32::MIN.into()) << right;
                // A term that low changes nothing: the first component's is above it.
                *sum = if is_in { constant - round_shift(*sum, right) } else { LOWEST };
            }
            if sums.0.iter().any(|&term| term > LOWEST) {
                mass.add(&sums);
            }
        }
        for ((log_prob, &largest), &sum) in log_prob.0.iter_mut().zip(&mass.largest.0).zip(&mass.sum.0) {
            let bits = MASS_BITS - FRACTION_BITS;
            let sum = sum.saturating_add(1 << (bits - 1)) >> bits;
            *log_prob = largest + i64::from(ln(sum.max(ONE as u32)));
        }
    }
}

/// A mixture's sum of exponentials so far: the largest exponent, and the sum relative to it in units of 2^-24.
struct Mass {
    largest: Lane<i64>,
    sum: Lane<u32>,
}

impl Mass {
    /// See [`BaseArithmetic::add_mass`].
    #[inline(always)]
    fn add(&mut self, terms: &Lane<i64>) {
        for ((largest, sum), &term) in self.largest.0.iter_mut().zip(&mut self.sum.0).zip(&terms.0) {
            let grows = term > *largest;
            let below = if grows { *largest - term } else { term - *largest };
            let is_negligible = below < -Fixed::NEGLIGIBLE;
            let (mantissa, exponent) = exp(below.max(-2 * Fixed::NEGLIGIBLE) as i32);
            let right = (30 - MASS_BITS as i32).wrapping_sub(exponent).clamp(1, 31) as u32;
            let share = mantissa.wrapping_add(1 << (right - 1)) >> right;
            let share = if is_negligible { 0 } else { share };
            let kept = ((u64::from(*sum) * u64::from(share)) >> MASS_BITS) as u32;
            *sum = if grows { kept + (1 << MASS_BITS) } else { sum.wrapping_add(share) };
            *largest = if grows { term } else { *largest };
        }
    }
}
