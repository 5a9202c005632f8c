//! Multi-layer perceptron: dense layers with ReLU between them, linear at the end.

use super::Scratch;
use crate::arithmetic::{dense::Dense, Arithmetic};
use crate::{Error, Part};
use core::mem::size_of;

/// Most layers that an image may give to one net.
pub const MAX_LAYERS: usize = 16;

/// A net, borrowed from the image: `layers` dense layers back to back.
#[derive(Clone, Copy, Debug)]
pub struct Mlp<'a> {
    layers: usize,
    words: &'a [u32],
}

impl<'a> Mlp<'a> {
    /// A net of `layers` layers in `words`. Cheap; [`Self::check`] is what proves it.
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

    /// Checks shapes and numbers once; gives the words that each [`Scratch`] buffer needs.
    ///
    /// # Errors
    /// [`Error::Malformed`] if the layers do not fit each other, `inputs` or `outputs`, or leave words
    /// over; what [`Arithmetic::check_dense`] finds.
    pub fn check<A: Arithmetic>(&self, inputs: usize, outputs: usize) -> Result<usize, Error> {
        let malformed = Error::Malformed(Part::Conditioner);
        if self.layers == 0 || self.layers > MAX_LAYERS {
            return Err(malformed);
        }
        let mut words = self.words;
        let mut width = inputs;
        let mut buffer_words = 0;
        for index in 0..self.layers {
            let (layer, rest) = Dense::parse(words).ok_or(malformed)?;
            words = rest;
            let is_last = index + 1 == self.layers;
            if layer.inputs != width || layer.is_output != is_last || (is_last && layer.outputs != outputs) {
                return Err(malformed);
            }
            A::check_dense(&layer)?;
            let read = layer.padded_inputs() * size_of::<A::Activation>();
            let unit = if is_last { size_of::<A::Value>() } else { size_of::<A::Activation>() };
            let written = layer.padded_outputs() * unit;
            buffer_words = buffer_words.max(read.div_ceil(4)).max(written.div_ceil(4));
            width = layer.outputs;
        }
        if words.is_empty() {
            Ok(buffer_words)
        } else {
            Err(malformed)
        }
    }

    /// Evaluates the net on `inputs`, saturated at `limit`; gives the last layer's values, with padding
    /// behind them. `None` only if the scratch is smaller than [`Self::check`] said.
    ///
    /// Cost: one multiply-accumulate per weight.
    pub fn evaluate<'w, A: Arithmetic>(
        &self,
        inputs: &[A::Value],
        limit: A::Value,
        input_shift: u8,
        scratch: &'w mut Scratch<'_>,
    ) -> Option<&'w [A::Value]> {
        let mut front: &mut [u32] = scratch.front;
        let mut back: &mut [u32] = scratch.back;
        let mut is_first = true;
        for layer in self.layers() {
            if is_first {
                let activations: &mut [A::Activation] = bytemuck::cast_slice_mut(front);
                A::load_inputs(inputs, limit, input_shift, activations.get_mut(..layer.padded_inputs())?);
                is_first = false;
            }
            let input: &[A::Activation] = bytemuck::cast_slice(front);
            if layer.is_output {
                let output: &mut [A::Value] = bytemuck::cast_slice_mut(back);
                A::dense_output(&layer, input, output)?;
                return Some(output);
            }
            A::dense_hidden(&layer, input, bytemuck::cast_slice_mut(back))?;
            core::mem::swap(&mut front, &mut back);
        }
        None
    }
}
