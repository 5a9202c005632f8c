//! 1-D convolutions over a sequence: windows of samples, or channels x time (Waibel et al. 1989,
//! "Phoneme recognition using time-delay neural networks"; causal as in van den Oord et al. 2016,
//! "WaveNet").
//!
//! The given inputs are `length` time steps of `channels` each, time-major (`t channels + c`); context
//! inputs are further channels with the same value at every time step. Each layer is a dense layer over
//! the `kernel` time steps that end at `t` (causal) or lie around it (same); beyond the ends is zero. A
//! step of activations is padded to a multiple of 4, so that a window is one contiguous, aligned slice for
//! the dense kernels.
//!
//! The outputs of a step come in `groups` of equal size, and output `j` of group `g` at time `t` goes to
//! `(g length + t) size + j`. With two groups of `mc` channels that is `[shift (m), raw (m)]` for the
//! `m = length mc` transformed features, time-major; with one group it is the parameters feature after
//! feature.
//!
//! ```text
//! word 0   length u16, channels u16
//! word 1   padding u8 (0 causal, 1 same), groups u8, context channels u16
//! per layer
//!   word   kernel u16, 0 u16
//!   dense  kernel x padded channels -> channels; columns of padding are zero
//! ```

use super::mlp::MAX_LAYERS;
use super::{GradientScratch, Inputs, Needs, Scratch};
use crate::arithmetic::dense::{self, Dense};
use crate::arithmetic::Arithmetic;
use crate::{Fault, Part};
use core::mem::size_of;

/// Most time steps of a sequence.
pub const MAX_LENGTH: usize = 1024;
/// Longest kernel, in time steps.
pub const MAX_KERNEL: usize = 256;

/// Which steps a window has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Padding {
    /// The step itself and those before it.
    Causal,
    /// As many before it as behind it; kernels are odd.
    Same,
}

/// A convolutional net, borrowed from the image.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Conv1d<'a> {
    length: usize,
    channels: usize,
    padding: u8,
    groups: usize,
    contexts: usize,
    layers: usize,
    words: &'a [u32],
}

/// One layer.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct ConvLayer<'a> {
    /// Time steps of its window.
    pub kernel: usize,
    /// The window's weights: inputs are the kernel's steps, each padded to a multiple of 4 channels.
    pub dense: Dense<'a>,
}

impl ConvLayer<'_> {
    /// Activations of one input step, padding included.
    fn stride(&self) -> usize {
        self.dense.inputs.checked_div(self.kernel).unwrap_or(0)
    }

    /// Zero steps before the sequence.
    fn lead(&self, padding: Padding) -> usize {
        match padding {
            Padding::Causal => self.kernel.saturating_sub(1),
            Padding::Same => self.kernel / 2,
        }
    }
}

impl<'a> Conv1d<'a> {
    pub(super) fn parse(layers: usize, words: &'a [u32]) -> Option<Self> {
        let (&[shape, kind], words) = words.split_first_chunk::<2>()?;
        let [padding, groups, _, _] = kind.to_le_bytes();
        Some(Conv1d {
            length: (shape & 0xffff) as usize,
            channels: (shape >> 16) as usize,
            padding,
            groups: usize::from(groups),
            contexts: (kind >> 16) as usize,
            layers,
            words,
        })
    }

    /// Time steps.
    #[must_use]
    pub fn length(&self) -> usize {
        self.length
    }

    /// Channels of a given time step, context aside.
    #[must_use]
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Context channels.
    #[must_use]
    pub fn contexts(&self) -> usize {
        self.contexts
    }

    /// Groups of output channels: see [`self`].
    #[must_use]
    pub fn groups(&self) -> usize {
        self.groups
    }

    /// Which steps a window has.
    #[must_use]
    pub fn padding(&self) -> Padding {
        if self.padding == 0 {
            Padding::Causal
        } else {
            Padding::Same
        }
    }

    /// Its layers, first to last; fewer than stated if one is malformed.
    pub fn layers(&self) -> impl Iterator<Item = ConvLayer<'a>> + use<'a> {
        let mut words = self.words;
        (0..self.layers).map_while(move |_| {
            let (layer, rest) = Self::layer(words)?;
            words = rest;
            Some(layer)
        })
    }

    fn layer(words: &'a [u32]) -> Option<(ConvLayer<'a>, &'a [u32])> {
        let (&kernel, rest) = words.split_first()?;
        let (dense, rest) = Dense::parse(rest)?;
        Some((ConvLayer { kernel: kernel as usize, dense }, rest))
    }

    /// Activations of one step of the inputs, padding included.
    fn input_stride(&self) -> usize {
        (self.channels + self.contexts).next_multiple_of(4)
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
        if !(1..=MAX_LENGTH).contains(&self.length)
            || !(1..=MAX_LAYERS).contains(&self.layers)
            || self.channels == 0
            || self.padding > 1
            || self.length * self.channels + self.contexts != inputs
        {
            return Err(malformed);
        }
        let mut words = self.words;
        let mut stride = self.input_stride();
        let mut scratch = 0;
        for index in 0..self.layers {
            let (&kernel, rest) = words.split_first().ok_or(malformed)?;
            words = rest;
            let kernel = kernel as usize;
            let is_last = index + 1 == self.layers;
            if !(1..=MAX_KERNEL).contains(&kernel)
                || (self.padding() == Padding::Same && kernel.is_multiple_of(2))
            {
                return Err(malformed);
            }
            let found = usize::from(dense::check::<A>(&mut words, kernel * stride, is_last)?);
            let read = (self.length + kernel - 1) * stride;
            scratch = scratch.max((read * size_of::<A::Activation>()).div_ceil(4));
            stride = dense::padded(found);
            if is_last {
                if self.groups == 0 || !found.is_multiple_of(self.groups) || self.length * found != outputs {
                    return Err(malformed);
                }
                // Outputs in their order, and one step as the kernel writes it behind them.
                scratch = scratch.max(outputs + stride);
            }
        }
        if words.is_empty() {
            needs.at_least(scratch);
            Ok(())
        } else {
            Err(malformed)
        }
    }

    /// What [`Self::backward`] keeps: the hidden layers' derivatives, and twice the widest sequence's slopes.
    pub(super) fn gradient_words(&self) -> usize {
        let (mut derivatives, mut widest) = (0, self.length * self.input_stride());
        for ConvLayer { dense, .. } in self.layers() {
            if dense.is_output {
                widest = widest.max(self.length * dense.outputs);
            } else {
                let sequence = self.length * dense.padded_outputs();
                derivatives += sequence;
                widest = widest.max(sequence);
            }
        }
        derivatives + 2 * widest
    }

    /// Activations that a layer reads: the sequence with the zero steps around it.
    fn reads(&self, layer: &ConvLayer<'_>) -> usize {
        (self.length + layer.kernel.saturating_sub(1)) * layer.stride()
    }

    /// Lays the saturated inputs out in steps, with zeros around them.
    fn load<A: Arithmetic>(
        &self,
        inputs: &Inputs<'_, A::Value>,
        first: &ConvLayer<'_>,
        to: &mut [u32],
    ) -> Option<()> {
        let to: &mut [A::Activation] = bytemuck::cast_slice_mut(to);
        let stride = self.input_stride();
        let to = to.get_mut(..self.reads(first))?;
        to.fill(bytemuck::Zeroable::zeroed());
        let steps = to.get_mut(first.lead(self.padding()) * stride..)?;
        // Never zero by the check; said here, the compiler leaves the panic of empty chunks out.
        for (t, step) in steps.chunks_mut(stride.max(1)).take(self.length).enumerate() {
            for (c, to) in step.iter_mut().take(self.channels + self.contexts).enumerate() {
                let index = if c < self.channels {
                    t * self.channels + c
                } else {
                    self.length * self.channels + (c - self.channels)
                };
                inputs.load_one::<A>(index, to);
            }
        }
        Some(())
    }

    /// Where the output `row` of time `t` stands among the outputs.
    fn place(&self, outputs: usize, t: usize, row: usize) -> usize {
        let size = outputs.checked_div(self.groups).unwrap_or(0).max(1);
        ((row / size) * self.length + t) * size + row % size
    }

    /// A hidden layer at every time step; `to` is then the next layer's reading buffer.
    fn hidden<A: Arithmetic>(
        &self,
        layer: &ConvLayer<'_>,
        next: &ConvLayer<'_>,
        from: &[u32],
        to: &mut [u32],
    ) -> Option<()> {
        let from: &[A::Activation] = bytemuck::cast_slice(from);
        let to: &mut [A::Activation] = bytemuck::cast_slice_mut(to);
        let to = to.get_mut(..self.reads(next))?;
        to.fill(bytemuck::Zeroable::zeroed());
        let (stride, width) = (layer.stride(), layer.dense.padded_outputs());
        let steps = to.get_mut(next.lead(self.padding()) * width..)?;
        for (t, step) in steps.chunks_mut(width.max(1)).take(self.length).enumerate() {
            A::dense_hidden(&layer.dense, from.get(t * stride..)?, step)?;
        }
        Some(())
    }

    /// Evaluates the net; gives the outputs in their order, with padding behind them. `None` only if the
    /// scratch is smaller than `check` said.
    ///
    /// Cost: per time step one multiply-accumulate per weight.
    pub fn evaluate<'w, A: Arithmetic>(
        &self,
        inputs: &Inputs<'_, A::Value>,
        scratch: &'w mut Scratch<'_>,
    ) -> Option<&'w mut [A::Value]> {
        let mut front: &mut [u32] = scratch.front;
        let mut back: &mut [u32] = scratch.back;
        let mut layer = self.layers().next()?;
        self.load::<A>(inputs, &layer, front)?;
        for next in self.layers().skip(1) {
            self.hidden::<A>(&layer, &next, front, back)?;
            core::mem::swap(&mut front, &mut back);
            layer = next;
        }
        let from: &[A::Activation] = bytemuck::cast_slice(front);
        let to: &mut [A::Value] = bytemuck::cast_slice_mut(back);
        let (stride, width) = (layer.stride(), layer.dense.outputs);
        let (outputs, step) = to.split_at_mut_checked(self.length * width)?;
        for t in 0..self.length {
            A::dense_output(&layer.dense, from.get(t * stride..)?, step)?;
            for (row, &value) in step.iter().take(width).enumerate() {
                *outputs.get_mut(self.place(width, t, row))? = value;
            }
        }
        Some(outputs)
    }

    /// See [`super::Net::backward`]: the hidden layers run again and leave their derivatives, then slopes go
    /// from the last layer to the first.
    ///
    /// Cost: two forward evaluations, and per time step some ten instructions per weight with an FPU.
    pub fn backward<A: Arithmetic>(
        &self,
        inputs: &Inputs<'_, A::Value>,
        slope_outputs: &[f32],
        slope_given: &mut [f32],
        scratch: &mut GradientScratch<'_>,
    ) -> Option<()> {
        let GradientScratch { scratch: Scratch { front, back }, kept } = scratch;
        let (mut front, mut back): (&mut [u32], &mut [u32]) = (front, back);
        let (mut kept_words, mut widest) = (0, self.length * self.input_stride());
        for ConvLayer { dense, .. } in self.layers() {
            let width = if dense.is_output { dense.outputs } else { dense.padded_outputs() };
            widest = widest.max(self.length * width);
            kept_words += if dense.is_output { 0 } else { self.length * width };
        }
        let (slopes, rest) = bytemuck::cast_slice_mut::<u32, f32>(kept).split_at_mut_checked(kept_words)?;
        let (mut delta, rest) = rest.split_at_mut_checked(widest)?;
        let (mut next_delta, _) = rest.split_at_mut_checked(widest)?;

        // Forward, each hidden layer's derivatives, step by step, behind those of the one before.
        let mut layer = self.layers().next()?;
        self.load::<A>(inputs, &layer, front)?;
        let mut end = 0;
        for next in self.layers().skip(1) {
            let width = layer.dense.padded_outputs();
            let read: &[A::Activation] = bytemuck::cast_slice(front);
            for t in 0..self.length {
                let start = end;
                end += width;
                let window = read.get(t * layer.stride()..)?;
                A::hidden_slopes(&layer.dense, window, slopes.get_mut(start..end)?)?;
            }
            self.hidden::<A>(&layer, &next, front, back)?;
            core::mem::swap(&mut front, &mut back);
            layer = next;
        }

        // Backward: `delta` has the slopes of a layer's sums, step by step.
        let width = layer.dense.outputs;
        for t in 0..self.length {
            for row in 0..width {
                *delta.get_mut(t * width + row)? = *slope_outputs.get(self.place(width, t, row))?;
            }
        }
        for index in (0..self.layers).rev() {
            let layer = self.layers().nth(index)?;
            self.step_back(&layer, delta, next_delta)?;
            core::mem::swap(&mut delta, &mut next_delta);
            if index > 0 {
                let words = self.length * layer.stride();
                let start = end.checked_sub(words)?;
                for (delta, slope) in delta.iter_mut().zip(slopes.get(start..end)?) {
                    *delta *= slope;
                }
                end = start;
            }
        }
        // From steps to the order of the given inputs, in place: a step never moves up.
        let stride = self.input_stride();
        for t in 0..self.length {
            for c in 0..self.channels {
                *delta.get_mut(t * self.channels + c)? = *delta.get(t * stride + c)?;
            }
        }
        inputs.add_slopes::<A>(delta.get(..self.length * self.channels)?, slope_given);
        Some(())
    }

    /// Slopes of a layer's sums, step by step, back to its input steps.
    fn step_back(&self, layer: &ConvLayer<'_>, delta: &[f32], to: &mut [f32]) -> Option<()> {
        let (stride, lead) = (layer.stride(), layer.lead(self.padding()));
        let dense = &layer.dense;
        let width = if dense.is_output { dense.outputs } else { dense.padded_outputs() };
        to.get_mut(..self.length * stride)?.fill(0.0);
        for t in 0..self.length {
            let delta = delta.get(t * width..)?.get(..dense.outputs)?;
            for tap in 0..layer.kernel {
                // Time of the input step; beyond the ends are zeros, which have no slope.
                let Some(from) = (t + tap).checked_sub(lead).filter(|&from| from < self.length) else {
                    continue;
                };
                let to = to.get_mut(from * stride..)?.get_mut(..stride)?;
                for (channel, to) in to.iter_mut().enumerate() {
                    *to += dense.backward_column(delta, tap * stride + channel)?;
                }
            }
        }
        Some(())
    }
}
