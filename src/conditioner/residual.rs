//! Residual net: blocks of two layers that add to a trunk (He et al. 2016, "Identity mappings in deep
//! residual networks"; the conditioner of Durkan et al. 2019, "Neural spline flows", and of nflows).
//!
//! `h = initial(x)`; per block `h += second(act(first(act(h))))`; the outputs are `last(h)`, with no
//! activation before it.
//!
//! The trunk `h` stays in the chain's numbers (Q15.16 in fixed point), so that blocks add without losing
//! bits; what a layer reads of it goes through a *gate*, which applies an activation and gives the layer's
//! input format:
//!
//! ```text
//! dense    initial, an output layer (its sums are the trunk's)
//! per block
//!   gate   activation u8 (1 to 4), shift u8 (fixed point: right shift from Q15.16 to i16; else 0), 0 u16
//!   dense  first, a hidden layer
//!   dense  second, an output layer as wide as the trunk
//! gate     activation 5 (linear)
//! dense    last, an output layer
//! ```
//!
//! `layers` of the coupling's block counts the dense layers: 2 and 2 per block.

use super::mlp::MAX_LAYERS;
use super::{GradientScratch, Inputs, Needs, Scratch};
use crate::arithmetic::activation::Activation;
use crate::arithmetic::dense::{self, Dense};
use crate::arithmetic::Arithmetic;
use crate::{Fault, Part};
use core::mem::size_of;

/// A residual net, borrowed from the image.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Residual<'a> {
    layers: usize,
    words: &'a [u32],
}

/// How a layer reads the trunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Gate {
    /// Applied to each value of the trunk.
    pub activation: Activation,
    /// Right shift from Q15.16 to an integer activation; 0 in f32.
    pub shift: u8,
}

impl Gate {
    fn parse(word: u32) -> Option<Self> {
        match word.to_le_bytes() {
            [activation, shift, 0, 0] => Some(Gate { activation: Activation::from_byte(activation)?, shift }),
            _ => None,
        }
    }
}

/// One block, or the end: a gate and the layers behind it.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Stage<'a> {
    /// How the trunk is read.
    pub gate: Gate,
    /// `first` of a block, or the last layer.
    pub first: Dense<'a>,
    /// `second` of a block; `None` at the end.
    pub second: Option<Dense<'a>>,
}

impl<'a> Residual<'a> {
    /// A net of `layers` dense layers in `words`. Cheap; `check` is what proves it.
    #[must_use]
    pub fn new(layers: usize, words: &'a [u32]) -> Self {
        Residual { layers, words }
    }

    /// The layer that makes the trunk; `None` only if the image was never checked.
    #[must_use]
    pub fn initial(&self) -> Option<Dense<'a>> {
        Some(Dense::parse(self.words)?.0)
    }

    /// The blocks and, last, the end.
    pub fn stages(&self) -> impl Iterator<Item = Stage<'a>> + use<'a> {
        let mut words = Dense::parse(self.words).map_or(&[][..], |(_, rest)| rest);
        let blocks = self.blocks();
        (0..=blocks).map_while(move |index| {
            let (stage, rest) = Self::stage(words, index < blocks)?;
            words = rest;
            Some(stage)
        })
    }

    fn blocks(&self) -> usize {
        self.layers.saturating_sub(2) / 2
    }

    fn stage(words: &'a [u32], is_block: bool) -> Option<(Stage<'a>, &'a [u32])> {
        let (&gate, rest) = words.split_first()?;
        let gate = Gate::parse(gate)?;
        let (first, rest) = Dense::parse(rest)?;
        if !is_block {
            return Some((Stage { gate, first, second: None }, rest));
        }
        let (second, rest) = Dense::parse(rest)?;
        Some((Stage { gate, first, second: Some(second) }, rest))
    }

    /// Checks shapes and numbers once.
    ///
    /// # Errors
    /// [`crate::Error::Malformed`] if the parts do not fit each other, `inputs` or `outputs`, or leave words over;
    /// what [`Arithmetic::check_dense`] finds.
    pub(super) fn check<A: Arithmetic>(
        &self,
        inputs: usize,
        outputs: usize,
        needs: &mut Needs,
    ) -> Result<(), Fault> {
        let malformed = Fault::malformed(Part::Conditioner);
        if self.layers < 2 || self.layers > MAX_LAYERS || !self.layers.is_multiple_of(2) {
            return Err(malformed);
        }
        let mut words = self.words;
        let width = usize::from(dense::check::<A>(&mut words, inputs, true)?);
        let activations = |count: usize| (count * size_of::<A::Activation>()).div_ceil(4);
        let trunk = dense::padded(width);
        let mut front = activations(A::padded_inputs(inputs));
        let mut back = trunk.max(activations(trunk));
        for index in 0..=self.blocks() {
            let is_block = index < self.blocks();
            let (&gate, rest) = words.split_first().ok_or(malformed)?;
            words = rest;
            let gate = Gate::parse(gate).ok_or(malformed)?;
            A::SUPPORTS.check_activation(gate.activation)?;
            if (gate.activation == Activation::Linear) == is_block
                || !A::activation_is_valid(gate.activation, gate.shift)
            {
                return Err(malformed);
            }
            let first = usize::from(dense::check::<A>(&mut words, width, !is_block)?);
            let padded = dense::padded(first);
            if is_block {
                if usize::from(dense::check::<A>(&mut words, first, true)?) != width {
                    return Err(malformed);
                }
                front = front.max(activations(padded));
            } else if first != outputs {
                return Err(malformed);
            } else {
                front = front.max(activations(trunk));
                back = back.max(padded);
            }
        }
        if words.is_empty() {
            needs.at_least((trunk + front).max(back));
            Ok(())
        } else {
            Err(malformed)
        }
    }

    /// What [`Self::backward`] keeps: derivatives of every gate and hidden layer, and twice the widest layer's slopes.
    pub(super) fn gradient_words(&self, inputs: usize) -> usize {
        let trunk = self.initial().map_or(0, |initial| initial.padded_outputs());
        let (mut derivatives, mut widest) = (0, trunk.max(inputs));
        for Stage { first, second, .. } in self.stages() {
            derivatives += trunk;
            if second.is_some() {
                derivatives += first.padded_outputs();
                widest = widest.max(first.outputs);
            }
        }
        derivatives + 2 * widest
    }

    /// Evaluates the net; gives the last layer's values, with padding behind them. `None` only if the
    /// scratch is smaller than `check` said.
    ///
    /// Cost: one multiply-accumulate per weight, and the activations of the trunk once per block.
    pub fn evaluate<'w, A: Arithmetic>(
        &self,
        inputs: &Inputs<'_, A::Value>,
        scratch: &'w mut Scratch<'_>,
    ) -> Option<&'w mut [A::Value]> {
        let width = dense::outputs(self.words)?;
        let (trunk, front) = scratch.front.split_at_mut_checked(width.next_multiple_of(4))?;
        let back: &mut [u32] = scratch.back;
        let loaded: &mut [A::Activation] = bytemuck::cast_slice_mut(front);
        inputs.load::<A>(loaded.get_mut(..A::padded_inputs(inputs.len()))?)?;
        let mut words = A::dense_layer(self.words, front, trunk)?;
        let trunk: &mut [A::Value] = bytemuck::cast_slice_mut(trunk);
        // What a layer sees of the trunk.
        let seen = A::padded_inputs(width);
        for _ in 0..self.blocks() {
            let (&gate, rest) = words.split_first()?;
            read::<A>(Gate::parse(gate)?, trunk.get(..width)?, seen, back)?;
            let rest = A::dense_layer(rest, back, front)?;
            words = A::dense_layer(rest, front, back)?;
            let added: &[A::Value] = bytemuck::cast_slice(back);
            for (trunk, &added) in trunk.iter_mut().zip(added) {
                *trunk = A::add_values(*trunk, added);
            }
        }
        let (&gate, words) = words.split_first()?;
        read::<A>(Gate::parse(gate)?, trunk.get(..width)?, seen, front)?;
        A::dense_layer(words, front, back)?;
        Some(bytemuck::cast_slice_mut(back))
    }

    /// `trunk = initial(inputs)`.
    fn start<A: Arithmetic>(
        &self,
        initial: &Dense<'_>,
        inputs: &Inputs<'_, A::Value>,
        trunk: &mut [A::Value],
        front: &mut [u32],
    ) -> Option<()> {
        let loaded: &mut [A::Activation] = bytemuck::cast_slice_mut(front);
        let loaded = loaded.get_mut(..initial.padded_inputs())?;
        inputs.load::<A>(loaded)?;
        A::dense_output(initial, loaded, trunk)
    }

    /// See [`super::Net::backward`]: the trunk is computed again, each gate and hidden layer leaving its
    /// derivatives, then slopes go back along the trunk and through each block.
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
        let initial = self.initial()?;
        let width = initial.padded_outputs();
        let (trunk, front) = front.split_at_mut_checked(width)?;
        let trunk: &mut [A::Value] = bytemuck::cast_slice_mut(trunk);
        let (mut kept_words, mut widest) = (0, width.max(inputs.len()));
        for stage in self.stages() {
            kept_words += width;
            if stage.second.is_some() {
                kept_words += stage.first.padded_outputs();
                widest = widest.max(stage.first.outputs);
            }
        }
        let (slopes, rest) = bytemuck::cast_slice_mut::<u32, f32>(kept).split_at_mut_checked(kept_words)?;
        let (delta, rest) = rest.split_at_mut_checked(widest)?;
        let (inner, _) = rest.split_at_mut_checked(widest)?;

        // Forward: per stage the gate's derivatives, then those of the block's hidden layer.
        self.start::<A>(&initial, inputs, trunk, front)?;
        let mut end = 0;
        for Stage { gate, first, second } in self.stages() {
            let start = end;
            end += width;
            A::activate_slopes(gate.activation, gate.shift, trunk, slopes.get_mut(start..end)?);
            if let Some(second) = second {
                let start = end;
                end += first.padded_outputs();
                read_trunk::<A>(gate, trunk, &first, back)?;
                A::hidden_slopes(&first, bytemuck::cast_slice(back), slopes.get_mut(start..end)?)?;
                add_block::<A>((gate, first, second), trunk, front, back)?;
            }
        }

        // Backward: `delta` is the slope of the trunk, `inner` that within a block.
        for index in (0..=self.blocks()).rev() {
            let Stage { first, second, .. } = self.stages().nth(index)?;
            match second {
                None => {
                    first.backward(slope_outputs.get(..first.outputs)?, delta.get_mut(..first.inputs)?)?;
                    let start = end.checked_sub(width)?;
                    multiply(delta.get_mut(..first.inputs)?, slopes.get(start..end)?);
                    end = start;
                }
                Some(second) => {
                    second.backward(delta.get(..second.outputs)?, inner.get_mut(..second.inputs)?)?;
                    let start = end.checked_sub(first.padded_outputs())?;
                    multiply(inner.get_mut(..first.outputs)?, slopes.get(start..end)?);
                    end = start;
                    let start = end.checked_sub(width)?;
                    let gates = slopes.get(start..end)?;
                    end = start;
                    // Column by column into the trunk's slope, so that no third buffer is needed.
                    for ((column, delta), gate) in delta.iter_mut().enumerate().take(first.inputs).zip(gates)
                    {
                        *delta += gate * first.backward_column(inner.get(..first.outputs)?, column)?;
                    }
                }
            }
        }
        initial.backward(delta.get(..initial.outputs)?, inner.get_mut(..initial.inputs)?)?;
        inputs.add_slopes::<A>(inner, slope_given);
        Some(())
    }
}

/// What `layer` sees of the trunk, at the front of `to`.
fn read_trunk<A: Arithmetic>(
    gate: Gate,
    trunk: &[A::Value],
    layer: &Dense<'_>,
    to: &mut [u32],
) -> Option<()> {
    read::<A>(gate, trunk.get(..layer.inputs)?, layer.padded_inputs(), to)
}

/// `trunk` through a gate, and zeros behind it, `padded` in all.
fn read<A: Arithmetic>(gate: Gate, trunk: &[A::Value], padded: usize, to: &mut [u32]) -> Option<()> {
    let to: &mut [A::Activation] = bytemuck::cast_slice_mut(to);
    A::activate(gate.activation, gate.shift, trunk, to.get_mut(..padded)?);
    Some(())
}

/// `trunk += second(first(gate(trunk)))`.
fn add_block<A: Arithmetic>(
    (gate, first, second): (Gate, Dense<'_>, Dense<'_>),
    trunk: &mut [A::Value],
    front: &mut [u32],
    back: &mut [u32],
) -> Option<()> {
    read_trunk::<A>(gate, trunk, &first, back)?;
    A::dense_hidden(&first, bytemuck::cast_slice(back), bytemuck::cast_slice_mut(front))?;
    let added: &mut [A::Value] = bytemuck::cast_slice_mut(back);
    A::dense_output(&second, bytemuck::cast_slice(front), added)?;
    for (trunk, &added) in trunk.iter_mut().zip(added.iter()) {
        *trunk = A::add_values(*trunk, added);
    }
    Some(())
}

fn multiply(values: &mut [f32], factors: &[f32]) {
    for (value, factor) in values.iter_mut().zip(factors) {
        *value *= factor;
    }
}
