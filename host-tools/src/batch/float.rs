//! Tiles in f32: one product, one sum, one rounding at a time, in the runtime's order.

use super::isa::Isa;
use super::tiled::{rows, rows_where, Rows, Tiled};
use super::{Lane, ROWS};
use flowlet::arithmetic::activation::Activation;
use flowlet::arithmetic::base::BaseArithmetic;
use flowlet::arithmetic::dense::Dense;
use flowlet::arithmetic::marginal::Knots;
use flowlet::arithmetic::{Arithmetic, Elementary, Float, Tables, READING_LIMIT};
use flowlet::base::Mixture;

/// Features between two looks at whether a component can still matter.
const STRIDE: usize = 16;

/// Where a straight piece of a marginal map starts, where it goes, its slope and the slope's logarithm.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece {
    x: f32,
    y: f32,
    slope: f32,
    log_slope: f32,
}

/// Straight pieces: knots, and one more piece than knots.
#[derive(Debug)]
pub(super) struct Lines {
    knots: Vec<f32>,
    pieces: Vec<Piece>,
}

/// A dense layer: four rows a block, and within it the four weights of each input.
#[derive(Debug)]
pub(super) struct Layer {
    blocks: Vec<([f32; 4], Vec<[f32; 4]>)>,
    activation: Activation,
}

/// A component of a mixture: its constant, and the mean and the precision of each feature.
#[derive(Debug)]
pub(super) struct Component {
    constant: f32,
    features: Vec<[f32; 2]>,
}

/// A mixture's sum of exponentials so far: the largest exponent, and the sum relative to it.
struct Mass {
    largest: Lane<f32>,
    sum: Lane<f32>,
}

impl Mass {
    /// See [`BaseArithmetic::add_mass`]; minus infinity changes nothing.
    #[inline(always)]
    fn add(&mut self, terms: &Lane<f32>) {
        for ((largest, sum), &term) in self.largest.0.iter_mut().zip(&mut self.sum.0).zip(&terms.0) {
            let grows = term > *largest;
            let below = if grows { *largest - term } else { term - *largest };
            let share = if below > -Float::<Tables>::NEGLIGIBLE { Tables::exp(below) } else { 0.0 };
            *sum = if grows { *sum * share + 1.0 } else { *sum + share };
            *largest = if grows { term } else { *largest };
        }
    }
}

impl Tiled for Float {
    type Packed = f32;
    const PACKED: usize = 1;
    type Gain = f32;
    type Weights = Vec<f32>;
    type Lines<'a> = Lines;
    type Layer = Layer;
    type Components = Vec<Component>;
    /// The clamp.
    type Scales = f32;

    #[inline(always)]
    fn standardize_rows(readings: &Lane<f32>, words: &[u32], values: &mut Lane<f32>, odd: &mut Rows) {
        let &[mean, inverse_std, _] = words else {
            *odd = Rows::MAX;
            return;
        };
        let (mean, inverse_std) = (f32::from_bits(mean), f32::from_bits(inverse_std));
        for (value, &reading) in values.0.iter_mut().zip(&readings.0) {
            *value = (reading - mean) * inverse_std;
        }
        *odd |= rows_where(values, |z| z.abs() >= READING_LIMIT);
    }

    #[inline(always)]
    fn soft_tail_rows(x: &mut Lane<f32>, knee: f32, log_det: &mut Lane<f32>) {
        for row in rows(rows_where(x, |x| x.abs() > knee)) {
            let (z, log) = Self::soft_tail(x.0[row], knee);
            x.0[row] = z;
            log_det.0[row] += log;
        }
    }

    fn lay_gain(words: &[u32]) -> Option<f32> {
        words.first().map(|&w| f32::from_bits(w))
    }

    #[inline(always)]
    fn gain_rows(x: &mut Lane<f32>, gain: f32) {
        for x in &mut x.0 {
            *x *= gain;
        }
    }

    fn lay_weights(words: &[u32], weights: usize) -> Option<Vec<f32>> {
        Some(words.get(..weights)?.iter().map(|&w| f32::from_bits(w)).collect())
    }

    #[inline(always)]
    fn add_row_sum(x: &mut Lane<f32>, weights: &Vec<f32>, others: &[Lane<f32>]) {
        let mut sums = [0.0; ROWS];
        for (&w, other) in weights.iter().zip(others) {
            for (sum, &other) in sums.iter_mut().zip(&other.0) {
                *sum += w * other;
            }
        }
        for (x, sum) in x.0.iter_mut().zip(sums) {
            *x += sum;
        }
    }

    fn lay_lines(knots: Knots<'_>) -> Option<Lines> {
        let numbers = |words: &[u32]| words.iter().map(|&w| f32::from_bits(w)).collect::<Vec<_>>();
        let (x, y, tails) = (numbers(knots.x), numbers(knots.y), numbers(knots.slopes));
        let piece = |x, y, slope| Piece { x, y, slope, log_slope: Tables::ln(slope) };
        let mut pieces = vec![piece(*x.first()?, *y.first()?, *tails.first()?)];
        for (x, y) in x.windows(2).zip(y.windows(2)) {
            pieces.push(piece(x[0], y[0], (y[1] - y[0]) / (x[1] - x[0])));
        }
        pieces.push(piece(*x.last()?, *y.last()?, *tails.last()?));
        Some(Lines { knots: x, pieces })
    }

    #[inline(always)]
    fn line_rows(lines: &Lines, x: &mut Lane<f32>, log_det: &mut Lane<f32>) -> Option<()> {
        let mut below = [0u32; ROWS];
        for &knot in &lines.knots {
            for (below, &x) in below.iter_mut().zip(&x.0) {
                *below += u32::from(knot <= x);
            }
        }
        for ((x, log_det), below) in x.0.iter_mut().zip(&mut log_det.0).zip(below) {
            let piece = lines.pieces[below as usize];
            *x = piece.y + (*x - piece.x) * piece.slope;
            *log_det += piece.log_slope;
        }
        Some(())
    }

    #[inline(always)]
    fn load_rows<'x>(
        inputs: impl Iterator<Item = &'x Lane<f32>>,
        limit: f32,
        _shift: u8,
        out: &mut [Lane<f32>],
    ) {
        for (out, x) in out.iter_mut().zip(inputs) {
            for (out, &x) in out.0.iter_mut().zip(&x.0) {
                let high = if x > limit { limit } else { x };
                *out = if x < -limit { -limit } else { high };
            }
        }
    }

    fn lay_layer(layer: &Dense<'_>) -> Option<Layer> {
        let mut blocks = Vec::new();
        for (block, bias) in layer.bias.as_chunks::<4>().0.iter().enumerate() {
            let weights = (0..layer.inputs).map(|column| {
                let mut four = [0.0; 4];
                for (row, weight) in four.iter_mut().enumerate() {
                    *weight = layer.weight(4 * block + row, column)?;
                }
                Some(four)
            });
            blocks.push((bias.map(f32::from_bits), weights.collect::<Option<_>>()?));
        }
        Some(Layer { blocks, activation: layer.activation })
    }

    #[inline(always)]
    fn hidden_rows<I: Isa>(isa: I, layer: &Layer, input: &[Lane<f32>], output: &mut [Lane<f32>]) {
        let mut sums = [Lane([0.0; ROWS]); 4];
        for ((bias, weights), output) in layer.blocks.iter().zip(output.as_chunks_mut::<4>().0) {
            isa.float_sums(bias, weights, input, &mut sums);
            for (output, sums) in output.iter_mut().zip(&sums) {
                if layer.activation == Activation::Relu {
                    for (output, &y) in output.0.iter_mut().zip(&sums.0) {
                        *output = if y <= 0.0 { 0.0 } else { y };
                    }
                } else {
                    Self::activate(layer.activation, 0, &sums.0, &mut output.0);
                }
            }
        }
    }

    #[inline(always)]
    fn output_rows<I: Isa>(isa: I, layer: &Layer, input: &[Lane<f32>], output: &mut [Lane<f32>]) {
        for ((bias, weights), output) in layer.blocks.iter().zip(output.as_chunks_mut::<4>().0) {
            isa.float_sums(bias, weights, input, output);
        }
    }

    fn lay_scales(clamp: f32) -> f32 {
        clamp
    }

    #[inline(always)]
    fn affine_tanh_rows(
        x: &mut [Lane<f32>],
        shifts: &[Lane<f32>],
        raws: &mut [Lane<f32>],
        clamp: &f32,
        log_det: &mut Lane<f32>,
        odd: &mut Rows,
    ) {
        let mut trace = Lane([0.0; ROWS]);
        for ((x, shifts), raws) in x.iter_mut().zip(shifts).zip(raws) {
            let mut log_scales = [0.0; ROWS];
            for (log_scale, &raw) in log_scales.iter_mut().zip(&raws.0) {
                *log_scale = Tables::scaled_tanh(raw, *clamp);
            }
            for ((trace, &raw), (log_det, &log_scale)) in
                trace.0.iter_mut().zip(&raws.0).zip(log_det.0.iter_mut().zip(&log_scales))
            {
                *trace += raw;
                *log_det += log_scale;
            }
            // Apart, so that the loop with the table has one array that it writes and one that it reads.
            let mut scales = [0.0; ROWS];
            for (scale, &log_scale) in scales.iter_mut().zip(&log_scales) {
                *scale = Tables::exp(log_scale);
            }
            for ((x, &shift), scale) in x.0.iter_mut().zip(&shifts.0).zip(scales) {
                *x = *x * scale + shift;
            }
        }
        *odd |= rows_where(&trace, |trace| !trace.is_finite());
    }

    #[inline(always)]
    fn standard_normal_rows(z: &[Lane<f32>], log_prob: &mut Lane<f32>, _odd: &mut Rows) {
        // Exactly: the density of one zero.
        let constant = -Self::standard_normal(&[0.0]);
        log_prob.0 = [0.0; ROWS];
        for z in z {
            for (log_prob, &z) in log_prob.0.iter_mut().zip(&z.0) {
                *log_prob -= 0.5 * z * z + constant;
            }
        }
    }

    fn lay_mixture(mixture: &Mixture<'_>, features: usize) -> Option<Vec<Component>> {
        let lay = |(constant, words): (f32, &[u32])| {
            let (means, precisions) = words.split_at_checked(features)?;
            let both = means.iter().zip(precisions).map(|(&m, &p)| [m, p].map(f32::from_bits));
            Some(Component { constant, features: both.collect() })
        };
        mixture.parts::<Self>().map(lay).collect()
    }

    #[inline(always)]
    fn mixture_rows<I: Isa>(
        isa: I,
        components: &Vec<Component>,
        z: &[Lane<f32>],
        log_prob: &mut Lane<f32>,
        _odd: &mut Rows,
    ) {
        let (largest, sum) = Self::NO_MASS;
        let mut mass = Mass { largest: Lane([largest; ROWS]), sum: Lane([sum; ROWS]) };
        for component in components {
            let mut sums = [Lane([0.0f32; ROWS]); 4];
            let mut half = Lane([0.0f32; ROWS]);
            let mut out = Lane([0u32; ROWS]);
            for (z, features) in z.chunks(STRIDE).zip(component.features.chunks(STRIDE)) {
                isa.float_squares(z, features, &mut sums);
                for row in 0..ROWS {
                    half.0[row] =
                        0.5 * ((sums[0].0[row] + sums[1].0[row]) + (sums[2].0[row] + sums[3].0[row]));
                    let limit = component.constant + (Self::NEGLIGIBLE + -mass.largest.0[row]);
                    out.0[row] |= u32::from(half.0[row] > limit);
                }
            }
            if out.0.contains(&0) {
                for (half, &out) in half.0.iter_mut().zip(&out.0) {
                    let term = component.constant + -*half;
                    let term = if term > f32::MIN { term } else { f32::MIN };
                    *half = if out == 0 { term } else { f32::NEG_INFINITY };
                }
                mass.add(&half);
            }
        }
        for ((log_prob, &largest), &sum) in log_prob.0.iter_mut().zip(&mass.largest.0).zip(&mass.sum.0) {
            *log_prob = largest + Tables::ln(sum);
        }
    }
}
