//! Multi-layer perceptron: dense layers, each with an activation function but the last.

use super::{GradientScratch, Inputs, Needs, Scratch};
use crate::arithmetic::dense::{self, Dense};
use crate::arithmetic::Arithmetic;
use crate::{Fault, Part};
use core::mem::size_of;

/// Most layers that an image may give to one net.
pub const MAX_LAYERS: usize = 16;

/// A net, borrowed from the image: `layers` dense layers back to back.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Mlp<'a> {
    layers: usize,
    words: &'a [u32],
}

impl<'a> Mlp<'a> {
    /// A net of `layers` layers in `words`. Cheap; `check` is what proves it.
    #[must_use]
    pub fn new(layers: usize, words: &'a [u32]) -> Self {
        Mlp { layers, words }
    }

    /// Its layers, first to last; fewer than stated if one is malformed.
    pub fn layers(&self) -> impl Iterator<Item = Dense<'a>> + use<'a> {
        let mut words = self.words;
        (0..self.layers).map_while(move |_| {
            let (layer, rest) = Dense::parse(words)?;
            words = rest;
            Some(layer)
        })
    }

    /// Its layers' words, first to last: each one's, and those of all behind it.
    pub fn layer_words(&self) -> impl Iterator<Item = &'a [u32]> + use<'a> {
        let mut words = self.words;
        (0..self.layers).map_while(move |_| {
            let layer = words;
            (_, words) = Dense::parse(words)?;
            Some(layer)
        })
    }

    /// Checks shapes and numbers once.
    ///
    /// # Errors
    /// [`crate::Error::Malformed`] if the layers do not fit each other, `inputs` or `outputs`, or leave words
    /// over; what [`Arithmetic::check_dense`] finds.
    pub(super) fn check<A: Arithmetic>(
        &self,
        inputs: usize,
        outputs: usize,
        needs: &mut Needs,
    ) -> Result<(), Fault> {
        let malformed = Fault::malformed(Part::Conditioner);
        if self.layers == 0 || self.layers > MAX_LAYERS {
            return Err(malformed);
        }
        let mut words = self.words;
        let mut width = inputs;
        for index in 0..self.layers {
            let is_last = index + 1 == self.layers;
            let read = A::padded_inputs(width) * size_of::<A::Activation>();
            width = usize::from(dense::check::<A>(&mut words, width, is_last)?);
            let unit = if is_last { size_of::<A::Value>() } else { size_of::<A::Activation>() };
            let written = dense::padded(width) * unit;
            needs.at_least(read.max(written).wrapping_add(3) / 4);
        }
        if words.is_empty() && width == outputs {
            Ok(())
        } else {
            Err(malformed)
        }
    }

    /// What [`Self::backward`] keeps: the hidden layers' derivatives, and twice the widest layer's slopes.
    pub(super) fn gradient_words(&self, inputs: usize) -> usize {
        let (derivatives, widest) = self.gradient_sizes(inputs);
        derivatives + 2 * widest
    }

    /// Derivatives of all hidden layers, and the most inputs or outputs of a layer.
    fn gradient_sizes(&self, inputs: usize) -> (usize, usize) {
        self.layers().fold((0, inputs), |(derivatives, widest), layer| {
            let own = if layer.is_output { 0 } else { layer.padded_outputs() };
            (derivatives + own, widest.max(layer.outputs))
        })
    }

    /// Evaluates the net; gives the last layer's values, with padding behind them. `None` only if the
    /// scratch is smaller than `check` said.
    ///
    /// Cost: one multiply-accumulate per weight.
    pub fn evaluate<'w, A: Arithmetic>(
        &self,
        inputs: &Inputs<'_, A::Value>,
        scratch: &'w mut Scratch<'_>,
    ) -> Option<&'w mut [A::Value]> {
        let mut front: &mut [u32] = scratch.front;
        let mut back: &mut [u32] = scratch.back;
        let activations: &mut [A::Activation] = bytemuck::cast_slice_mut(front);
        inputs.load::<A>(activations.get_mut(..A::padded_inputs(inputs.len()))?)?;
        let mut words = self.words;
        loop {
            words = A::dense_layer(words, front, back)?;
            // By the check the last layer, and no other, is an output layer, and has nothing behind it.
            if words.is_empty() {
                return Some(bytemuck::cast_slice_mut(back));
            }
            core::mem::swap(&mut front, &mut back);
        }
    }

    /// See [`super::Net::backward`]: the hidden layers run again and leave their derivatives, then slopes go
    /// from the last layer to the first.
    ///
    /// Cost: two forward evaluations, and some ten instructions per weight with an FPU.
    pub fn backward<A: Arithmetic>(
        &self,
        inputs: &Inputs<'_, A::Value>,
        slope_outputs: &[f32],
        slope_given: &mut [f32],
        scratch: &mut GradientScratch<'_>,
    ) -> Option<()> {
        let GradientScratch { scratch: Scratch { front, back }, kept } = scratch;
        let (mut front, mut back): (&mut [u32], &mut [u32]) = (front, back);
        let (derivatives, widest) = self.gradient_sizes(inputs.len());
        let (slopes, rest) = bytemuck::cast_slice_mut::<u32, f32>(kept).split_at_mut_checked(derivatives)?;
        let (mut delta, rest) = rest.split_at_mut_checked(widest)?;
        let (mut next, _) = rest.split_at_mut_checked(widest)?;

        // Forward, each hidden layer's derivatives behind those of the one before.
        let loaded: &mut [A::Activation] = bytemuck::cast_slice_mut(front);
        inputs.load::<A>(loaded.get_mut(..self.layers().next()?.padded_inputs())?)?;
        let mut end = 0;
        for layer in self.layers().take_while(|layer| !layer.is_output) {
            let start = end;
            end += layer.padded_outputs();
            let read: &[A::Activation] = bytemuck::cast_slice(front);
            A::hidden_slopes(&layer, read, slopes.get_mut(start..end)?)?;
            A::dense_hidden(&layer, read, bytemuck::cast_slice_mut(back))?;
            core::mem::swap(&mut front, &mut back);
        }

        // Backward; the layers lie in the image front to back, so that each is walked to.
        for (delta, &slope) in delta.iter_mut().zip(slope_outputs) {
            *delta = slope;
        }
        for index in (0..self.layers).rev() {
            let layer = self.layers().nth(index)?;
            layer.backward(delta.get(..layer.outputs)?, next.get_mut(..layer.inputs)?)?;
            core::mem::swap(&mut delta, &mut next);
            if let Some(before) = index.checked_sub(1).and_then(|i| self.layers().nth(i)) {
                let start = end.checked_sub(before.padded_outputs())?;
                for (delta, slope) in delta.iter_mut().zip(slopes.get(start..end)?) {
                    *delta *= slope;
                }
                end = start;
            }
        }
        inputs.add_slopes::<A>(delta, slope_given);
        Some(())
    }
}
