//! The real numbers behind a net's integers while it is tuned, in units of the integer grid; and their optimizer.

use super::pass::Place;
use crate::export::dense::{EncodedDense, Numbers};
use flowlet::arithmetic::dense::ACTIVATION_LIMIT;

/// Integer units of a bias per unit of its latent: about an activation, so that a step of a bias and one of a weight move a
/// sum alike.
const BIAS_UNIT: f64 = 4096.0;
/// Of the moments: a hundred steps are too few for the usual 0.999.
const BETA1: f32 = 0.9;
const BETA2: f32 = 0.99;

/// Latents of all tuned layers of an expert, laid out as [`Place`] says.
pub(super) struct Latents {
    /// A weight in units of its grid, or how far a bias has moved, in units of [`BIAS_UNIT`].
    values: Vec<f32>,
    /// Biases before the first step; zero in the places of weights.
    start: Vec<i32>,
    first: Vec<f32>,
    second: Vec<f32>,
    steps: i32,
}

/// The tuned layers of an expert, net by net, in the order of their integers.
pub(super) fn places<'e>(nets: impl Iterator<Item = &'e [EncodedDense]>) -> Vec<Vec<Place>> {
    let mut at = 0;
    let mut place = |layer: &EncodedDense| {
        let place = Place { inputs: layer.inputs, outputs: layer.outputs, at };
        at += place.len();
        place
    };
    nets.map(|net| net.iter().map(&mut place).collect()).collect()
}

impl Latents {
    /// The integers as they are.
    pub(super) fn new<'e>(nets: impl Iterator<Item = &'e [EncodedDense]>) -> Self {
        let (mut values, mut start) = (Vec::new(), Vec::new());
        for layer in nets.flatten() {
            if let Numbers::Fixed { weights, bias, .. } = &layer.numbers {
                values.extend(weights.iter().map(|&w| w as f32));
                values.extend(bias.iter().map(|_| 0.0));
                start.extend(weights.iter().map(|_| 0));
                start.extend(bias);
            }
        }
        let zeros = vec![0.0; values.len()];
        Latents { first: zeros.clone(), second: zeros, values, start, steps: 0 }
    }

    /// A step of Adam (Kingma and Ba 2015) of `rate` grid units; `gradient` is per integer.
    pub(super) fn step(&mut self, places: &[Vec<Place>], gradient: &mut [f32], rate: f32) {
        for place in places.iter().flatten() {
            let bias = place.at + place.inputs * place.outputs..place.at + place.len();
            gradient[bias].iter_mut().for_each(|g| *g *= BIAS_UNIT as f32);
        }
        self.steps += 1;
        let correct = (1.0 - BETA2.powi(self.steps)).sqrt() / (1.0 - BETA1.powi(self.steps));
        let moments = self.first.iter_mut().zip(&mut self.second);
        for ((value, &g), (first, second)) in self.values.iter_mut().zip(gradient.iter()).zip(moments) {
            *first += (1.0 - BETA1) * (g - *first);
            *second += (1.0 - BETA2) * (g * g - *second);
            *value -= rate * correct * *first / (second.sqrt() + 1e-12);
        }
    }

    /// Rounds the latents of a net's layers, which lie at `places`, into their integers. A row whose accumulator could then
    /// wrap keeps the integers that it has.
    pub(super) fn round(&self, places: &[Place], layers: &mut [EncodedDense]) {
        for (place, layer) in places.iter().zip(layers) {
            let largest = ((1i32 << (layer.encoding.bits() - 1)) - 1) as f32;
            let Numbers::Fixed { weights, bias, .. } = &mut layer.numbers else { continue };
            let (own, own_bias) = self.values[place.at..][..place.len()].split_at(weights.len());
            let start = &self.start[place.at + weights.len()..];
            let rows = own.chunks_exact(place.inputs).zip(weights.chunks_exact_mut(place.inputs));
            for ((row, to), ((moved, start), bias)) in rows.zip(own_bias.iter().zip(start).zip(bias)) {
                let integers: Vec<i32> =
                    row.iter().map(|w| w.round().clamp(-largest, largest) as i32).collect();
                let wanted = i64::from(*start) + (f64::from(*moved) * BIAS_UNIT).round() as i64;
                let sum: i64 = integers.iter().map(|w| i64::from(w.unsigned_abs())).sum();
                if wanted.abs() + sum * ACTIVATION_LIMIT <= i64::from(i32::MAX) {
                    to.copy_from_slice(&integers);
                    *bias = wanted as i32;
                }
            }
        }
    }
}

/// The integers of all tuned layers as f32; zero in the places of biases.
pub(super) fn integers<'e>(nets: impl Iterator<Item = &'e [EncodedDense]>, to: &mut Vec<f32>) {
    to.clear();
    for layer in nets.flatten() {
        if let Numbers::Fixed { weights, bias, .. } = &layer.numbers {
            to.extend(weights.iter().map(|&w| w as f32));
            to.extend(bias.iter().map(|_| 0.0));
        }
    }
}
