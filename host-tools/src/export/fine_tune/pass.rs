//! One expert's score of a reading as the device computes it, and the gradient of its nets' weights at the values that the
//! device's integers had on the way.
//!
//! The way there is the runtime's own code in [`Fixed`], step by step, so that every step's values can be kept. The way back is
//! the runtime's own too ([`Transform::backward`]: slopes of the real function that the integers stand for); what is added here
//! are the outer products that make slopes of a layer's sums into those of its weights. That integers are rounded weights is
//! ignored on the way back: the straight-through estimator (Bengio et al. 2013; Jacob et al. 2018).

use crate::export::encode::Encoded;
use flowlet::arithmetic::dense::Dense;
use flowlet::arithmetic::{Arithmetic, Fixed};
use flowlet::base::Base;
use flowlet::conditioner::{GradientScratch, Inputs, Needs, Net, Scratch};
use flowlet::transform::{Chain, Coupling, Standardizer, Step, Transform};

/// Where a layer's gradient lies: its weights, row by row, then its biases.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) inputs: usize,
    pub(super) outputs: usize,
    pub(super) at: usize,
}

impl Place {
    /// Numbers of a layer.
    pub(super) fn len(self) -> usize {
        (self.inputs + 1) * self.outputs
    }
}

/// A step of the chain.
struct Stage<'a> {
    step: Step<'a>,
    /// Features that it sees.
    active: usize,
    /// Its net's layers and where their gradients lie, if they are tuned; else empty.
    layers: Vec<(Dense<'a>, Place)>,
}

/// An expert, read from the words of an image.
pub(super) struct Pass<'a> {
    features: usize,
    standardizer: Standardizer<'a>,
    stages: Vec<Stage<'a>>,
    base: Base<'a>,
    /// Words of each of the two buffers of a net, and of what the way back keeps of one step.
    scratch: usize,
    kept: usize,
}

/// What a pass works in and leaves behind.
pub(super) struct Memory {
    /// Values before each step and behind the last, features and context.
    values: Vec<Vec<i32>>,
    z: Vec<i32>,
    slope: Vec<f32>,
    front: Vec<u32>,
    back: Vec<u32>,
    kept: Vec<u32>,
    /// Inputs of each of a net's layers, as activations, and the slopes of those functions.
    activations: Vec<Vec<i16>>,
    slopes: Vec<Vec<f32>>,
    delta: Vec<f32>,
    next: Vec<f32>,
}

impl<'a> Pass<'a> {
    /// An expert over features and context inputs; `places` are those of its tuned layers, net by net. `None` where the
    /// words are not those of an image.
    pub(super) fn new(
        encoded: &'a Encoded,
        expert: usize,
        (features, contexts): (usize, usize),
        places: &[Vec<Place>],
    ) -> Option<Self> {
        let words = &encoded.words;
        let record = encoded.experts.get(expert)?;
        let (standardizer, _) = Standardizer::parse::<Fixed>(words, features + contexts)?;
        let chain = Chain::new(words.get(record.chain as usize..)?, usize::from(record.transforms));
        let mut needs = Needs::default();
        chain.check::<Fixed>(features, contexts, &mut needs).ok()?;
        let kept = chain.gradient_words(features);
        let (mut active, mut places) = (features, places.iter());
        let mut stages = Vec::new();
        for step in chain.steps() {
            let mut layers = Vec::new();
            if let Step::Coupling(c) = &step {
                let places = places.next()?;
                if let (Net::Mlp(net), false) = (c.net(), places.is_empty()) {
                    layers = net.layers().zip(places.iter().copied()).collect();
                }
            }
            let keeps = step.keeps(active);
            stages.push(Stage { step, active, layers });
            active = keeps;
        }
        let base = Base::parse(record.base, words, features)?;
        Some(Pass { features, standardizer, stages, base, scratch: needs.scratch, kept })
    }

    /// Memory for one thread's passes.
    pub(super) fn memory(&self, contexts: usize) -> Memory {
        let inputs = self.features + contexts;
        Memory {
            values: vec![vec![0; inputs]; self.stages.len() + 1],
            z: vec![0; self.features],
            slope: vec![0.0; self.features],
            front: vec![0; self.scratch],
            back: vec![0; self.scratch],
            kept: vec![0; self.kept],
            activations: Vec::new(),
            slopes: Vec::new(),
            delta: Vec::new(),
            next: Vec::new(),
        }
    }

    /// Log-density of a finite reading in nats, with the bits of the device; leaves the values of every step in `memory`.
    pub(super) fn log_prob(&self, reading: &[f32], memory: &mut Memory) -> Option<f32> {
        let Memory { values, front, back, .. } = memory;
        let (given, context) = reading.split_at_checked(self.features)?;
        let (first, _) = values.split_first_mut()?;
        let (at, context_values) = first.split_at_mut(self.features);
        self.standardizer.context::<Fixed>(self.features, context, context_values)?;
        let mut log_prob = self.standardizer.forward::<Fixed>(given, at)?;
        let mut log_det = <Fixed>::ZERO_LOG;
        for (index, stage) in self.stages.iter().enumerate() {
            let (before, behind) = values.split_at_mut(index + 1);
            let (before, behind) = (before.last()?, behind.first_mut()?);
            behind.copy_from_slice(before);
            let (x, context) = behind.split_at_mut(self.features);
            let scratch = &mut Scratch { front, back };
            let log = Transform::<Fixed>::forward(&stage.step, x.get_mut(..stage.active)?, context, scratch)?;
            log_det = <Fixed>::add(log_det, log);
        }
        let z = values.last()?.get(..self.features)?;
        log_prob = <Fixed>::add(log_prob, log_det);
        let log_prob = <Fixed>::settle(<Fixed>::add(log_prob, self.base.log_prob::<Fixed>(z)));
        Some(<Fixed>::log_to_f32(log_prob))
    }

    /// Adds `weight` times the gradient of `-log_prob` with respect to the nets' integers, at the reading that `memory` was
    /// left with by [`Self::log_prob`]. `integers` are the weights, laid out as the gradient is.
    pub(super) fn backward(
        &self,
        memory: &mut Memory,
        weight: f32,
        integers: &[f32],
        gradient: &mut [f32],
    ) -> Option<()> {
        let z = memory.values.last()?.get(..self.features)?;
        self.base.slope::<Fixed>(z, &mut memory.slope);
        for (index, Stage { step, active, layers }) in self.stages.iter().enumerate().rev() {
            let behind = memory.values.get(index + 1)?;
            let (behind, context) = behind.split_at(self.features);
            let z = memory.z.get_mut(..*active)?;
            z.copy_from_slice(behind.get(..*active)?);
            let scratch = Scratch { front: &mut memory.front, back: &mut memory.back };
            let scratch = &mut GradientScratch { scratch, kept: &mut memory.kept };
            let slope = memory.slope.get_mut(..*active)?;
            Transform::<Fixed>::backward(step, z, slope, context, scratch)?;
            if let (Step::Coupling(coupling), false) = (step, layers.is_empty()) {
                let before = memory.values.get(index)?.clone();
                net(coupling, layers, &before, (self.features, *active), memory, weight, integers, gradient)?;
            }
        }
        Some(())
    }
}

/// The weights' gradient of one net: the slopes of its outputs are what the coupling has kept first.
#[allow(clippy::too_many_arguments)] // the pieces of one pass; a struct would only rename them
fn net(
    coupling: &Coupling<'_>,
    layers: &[(Dense<'_>, Place)],
    values: &[i32],
    (features, active): (usize, usize),
    memory: &mut Memory,
    weight: f32,
    integers: &[f32],
    gradient: &mut [f32],
) -> Option<()> {
    let Memory { kept, activations, slopes, delta, next, .. } = memory;
    let (first, second) = values.get(..active)?.split_at_checked(coupling.split())?;
    let given = if coupling.condition_on_first() { first } else { second };
    let context = values.get(features..)?.get(..coupling.contexts())?;
    let limit = coupling.input_limit::<Fixed>()?;
    let inputs = Inputs { given, context, limit, shift: coupling.input_shift() };

    activations.resize_with(layers.len(), Vec::new);
    slopes.resize_with(layers.len(), Vec::new);
    activations[0].resize(layers[0].0.padded_inputs(), 0);
    inputs.load::<Fixed>(&mut activations[0])?;
    for (index, (layer, _)) in layers.iter().enumerate().take(layers.len() - 1) {
        let padded = layer.padded_outputs();
        slopes[index].resize(padded, 0.0);
        let (read, write) = activations.split_at_mut(index + 1);
        write[0].resize(padded, 0);
        <Fixed>::hidden_slopes(layer, &read[index], &mut slopes[index])?;
        <Fixed>::dense_hidden(layer, &read[index], &mut write[0])?;
    }

    let outputs = layers.last()?.0.outputs;
    delta.clear();
    delta.extend(kept.get(..outputs)?.iter().map(|&word| f32::from_bits(word) * weight));
    for (index, (layer, place)) in layers.iter().enumerate().rev() {
        let own = gradient.get_mut(place.at..place.at + place.len())?;
        let (own_weights, own_bias) = own.split_at_mut(place.inputs * place.outputs);
        let rows = integers.get(place.at..)?.chunks_exact(place.inputs);
        next.clear();
        next.resize(place.inputs, 0.0);
        let read = &activations[index];
        let to = own_weights.chunks_exact_mut(place.inputs).zip(own_bias);
        for (row, ((own, own_bias), (&delta, integers))) in to.zip(delta.iter().zip(rows)).enumerate() {
            if delta == 0.0 {
                continue;
            }
            let delta = delta * layer.unit(row);
            *own_bias += delta;
            for (own, &a) in own.iter_mut().zip(read) {
                *own += delta * f32::from(a);
            }
            for (next, &w) in next.iter_mut().zip(integers) {
                *next += delta * w;
            }
        }
        if let Some(before) = index.checked_sub(1) {
            next.iter_mut().zip(&slopes[before]).for_each(|(next, slope)| *next *= slope);
        }
        std::mem::swap(delta, next);
    }
    Some(())
}
