//! Whole layers, as [`Arithmetic`](crate::arithmetic::Arithmetic) asks for them: the choice of the kernel.
//!
//! The build script picks a module for the integer kernels and one for the float ones. Such a module has
//! some of the functions of [`portable`] under the same names, with the same results bit for bit;
//! `integer` and `float` below say which, and take the rest from there.

use super::{portable, Dense, Encoding, ACTIVATION_LIMIT};
use crate::arithmetic::activation::{Activation, LEAKY_SLOPE};
use crate::arithmetic::fixed::activation;
use crate::support::{Capabilities, Capability};

/// The integer kernels of this build.
mod integer {
    #[cfg(flowlet_integer_kernels = "armv6m")]
    pub(super) use crate::arithmetic::dense::armv6m::{accumulate, at_once, fixed_relu, fixed_scaled};
    #[cfg(flowlet_integer_kernels = "armv7em")]
    pub(super) use crate::arithmetic::dense::armv7em::{
        accumulate, at_once, fixed_relu, fixed_scaled, usual,
    };
    #[cfg(flowlet_integer_kernels = "armv7m")]
    pub(super) use crate::arithmetic::dense::armv7m::{accumulate, at_once, fixed_relu, fixed_scaled};
    #[cfg(flowlet_integer_kernels = "armv81m")]
    pub(super) use crate::arithmetic::dense::armv81m::{accumulate, at_once, fixed_relu, fixed_scaled};
    #[cfg(not(flowlet_integer_kernels = "armv7em"))]
    pub(super) use crate::arithmetic::dense::portable::usual;
    #[cfg(not(any(
        flowlet_integer_kernels = "armv6m",
        flowlet_integer_kernels = "armv7em",
        flowlet_integer_kernels = "armv7m",
        flowlet_integer_kernels = "armv81m"
    )))]
    pub(super) use crate::arithmetic::dense::portable::{accumulate, at_once, fixed_relu, fixed_scaled};
}

/// The float kernels of this build.
mod float {
    #[cfg(flowlet_float_kernels = "mve")]
    pub(super) use crate::arithmetic::dense::mve::{f32_at_once, f32_relu, f32_sums};
    #[cfg(not(any(flowlet_float_kernels = "mve", flowlet_float_kernels = "vfp")))]
    pub(super) use crate::arithmetic::dense::portable::f32_at_once;
    #[cfg(not(flowlet_float_kernels = "vfp"))]
    pub(super) use crate::arithmetic::dense::portable::f32_usual;
    #[cfg(not(any(
        flowlet_float_kernels = "mve",
        flowlet_float_kernels = "soft",
        flowlet_float_kernels = "vfp"
    )))]
    pub(super) use crate::arithmetic::dense::portable::{f32_relu, f32_sums};
    #[cfg(flowlet_float_kernels = "soft")]
    pub(super) use crate::arithmetic::dense::soft::{f32_relu, f32_sums};
    #[cfg(flowlet_float_kernels = "vfp")]
    pub(super) use crate::arithmetic::dense::vfp::{f32_at_once, f32_relu, f32_sums, f32_usual};
}

/// The words behind the layer at the front of `words`, as a kernel gives them: the address, zero if it did not take the layer,
/// and above it how many they are.
///
/// # Safety
/// So many words lie at that address, within `words`.
#[cfg(any(
    flowlet_integer_kernels = "armv6m",
    flowlet_integer_kernels = "armv7em",
    flowlet_integer_kernels = "armv7m",
    flowlet_float_kernels = "vfp"
))]
#[allow(
    unsafe_code,
    reason = "a comparison for each layer makes scores on the M4 0.2 to 0.3 % longer, and 8 bytes"
)]
#[inline(always)]
pub(super) unsafe fn behind(words: &[u32], found: u64) -> Option<&[u32]> {
    let address = found as u32 as usize;
    if address == 0 {
        return None;
    }
    // SAFETY: the caller promises that they lie within `words`, whose pointer may read them.
    Some(unsafe { core::slice::from_raw_parts(words.as_ptr().with_addr(address), (found >> 32) as usize) })
}

/// The layer at the front of `words`, by `any` if it is not of a kind that the core does at once; gives the words behind it.
#[inline(always)]
pub(crate) fn f32_at_once<'a>(
    words: &'a [u32],
    input: &[f32],
    output: &mut [f32],
    any: impl FnOnce(&'a [u32], &[f32], &mut [f32]) -> Option<&'a [u32]>,
) -> Option<&'a [u32]> {
    float::f32_at_once(words, input, output, any)
}

/// Whether the core has kernels for all integer weights in blocks of four rows, word by word in turn.
const IN_BLOCKS: bool = cfg!(any(flowlet_integer_kernels = "armv7em", flowlet_integer_kernels = "armv7m"));

/// Whether the core has kernels for i8 in the M0's order, and for i16 in blocks.
const IN_PACKED: bool = cfg!(flowlet_integer_kernels = "armv6m");

/// Whether the core has kernels for an order of integer weights: the others go weight by weight. The portable kernels take them
/// all.
#[inline(always)]
pub(crate) const fn is_native(encoding: Encoding) -> bool {
    match encoding {
        Encoding::I8Rows4 => !IN_PACKED && !IN_ROWS,
        Encoding::I8Packed4 => !IN_BLOCKS && !IN_ROWS,
        Encoding::I8Rows | Encoding::I16Rows => !IN_BLOCKS && !IN_PACKED,
        Encoding::I16Rows4 => !IN_ROWS,
        Encoding::F32Rows4 | Encoding::F32Rows8 => true,
    }
}

/// Whether the core has kernels for i8 and i16 row by row, the M55's.
const IN_ROWS: bool = cfg!(flowlet_integer_kernels = "armv81m");

/// Whether [`fixed_at_once`] takes every layer that is linear or has ReLU, its weights in an order of the core.
const AT_ONCE: bool = IN_BLOCKS || IN_PACKED || IN_ROWS;

/// Whether [`fixed_at_once`] takes every layer of an image that opens with `supports`.
#[inline(always)]
pub(crate) const fn takes_all(supports: Capabilities) -> bool {
    AT_ONCE && !supports.has(Capability::Activations) && !supports.has(Capability::OtherOrders)
}

/// The layer at the front of `words`, between buffers of i16 activations, two a word, or Q15.16 values; gives the
/// words behind it. `None` for what [`fixed_layer`] has to do.
#[cfg_attr(not(flowlet_integer_kernels = "armv81m"), inline(always))]
#[cfg_attr(flowlet_integer_kernels = "armv81m", inline(never))]
pub(crate) fn fixed_at_once<'a>(
    words: &'a [u32],
    input: &[u32],
    output: &mut [u32],
    supports: Capabilities,
) -> Option<&'a [u32]> {
    integer::at_once(words, input, output, supports)
}

/// The layer at the front of `words`, if [`fixed_at_once`] did not take it.
#[inline(never)]
pub(crate) fn fixed_layer<'a>(
    words: &'a [u32],
    input: &[u32],
    output: &mut [u32],
    supports: Capabilities,
) -> Option<&'a [u32]> {
    // By reference: a layer that is moved is copied.
    let Some((layer, rest)) = &Dense::parse_within(words, supports) else { return None };
    let input = bytemuck::cast_slice(input);
    let has_relu = !supports.has(Capability::Activations);
    if layer.is_output {
        let output = bytemuck::cast_slice_mut(output);
        if AT_ONCE {
            portable::fixed_scaled_any(layer, input, output)?;
        } else {
            integer::fixed_scaled(layer, input, output)?;
        }
    } else {
        let output = bytemuck::cast_slice_mut(output);
        if AT_ONCE && (has_relu || layer.activation == Activation::Relu) {
            portable::fixed_relu_any(layer, input, output)?;
        } else if has_relu {
            integer::fixed_relu(layer, input, output)?;
        } else {
            fixed_general(layer, input, output)?;
        }
    }
    Some(rest)
}

/// `W input + b` in f32, for all padded rows.
pub(crate) fn f32_sums(layer: &Dense<'_>, input: &[f32], output: &mut [f32]) -> Option<()> {
    float::f32_sums(layer, input, output)
}

/// A hidden f32 layer if it is of a kind that the core does at once: `Some` of whether the buffers fit.
#[inline(always)]
pub(crate) fn f32_usual(layer: &Dense<'_>, input: &[f32], output: &mut [f32]) -> Option<Option<()>> {
    float::f32_usual(layer, input, output)
}

/// [`f32_sums`] and ReLU.
pub(crate) fn f32_relu(layer: &Dense<'_>, input: &[f32], output: &mut [f32]) -> Option<()> {
    float::f32_relu(layer, input, output)
}

/// A hidden layer that was checked to have ReLU.
pub(crate) fn fixed_relu(layer: &Dense<'_>, input: &[i16], output: &mut [i16]) -> Option<()> {
    match integer::usual(layer, input, output) {
        Some(done) => done,
        None => integer::fixed_relu(layer, input, output),
    }
}

/// A hidden layer.
///
/// Leaky ReLU: as ReLU with one product, and its rounding at the end. tanh and SiLU know no scales: their
/// accumulators go back to Q15.16 first.
pub(crate) fn fixed_hidden(layer: &Dense<'_>, input: &[i16], output: &mut [i16]) -> Option<()> {
    match integer::usual(layer, input, output) {
        Some(done) => done,
        None => fixed_general(layer, input, output),
    }
}

/// [`fixed_hidden`]; apart, so that its frame is not set up for a usual layer.
#[inline(never)]
fn fixed_general(layer: &Dense<'_>, input: &[i16], output: &mut [i16]) -> Option<()> {
    match layer.activation {
        Activation::Relu => integer::fixed_relu(layer, input, output),
        Activation::LeakyRelu => {
            let output = output.as_chunks_mut::<4>().0;
            integer::accumulate(layer, input, |index, sums| {
                *output.get_mut(index)? = sums.map(|s| activation::leaky_relu(s, layer.shift));
                Some(())
            })
        }
        function => {
            let output = output.as_chunks_mut::<4>().0;
            accumulate_scaled(layer, input, |index, values| {
                let shift = layer.activation_shift;
                *output.get_mut(index)? = values.map(|x| activation::activate(function, shift, x));
                Some(())
            })
        }
    }
}

/// An output layer, in Q15.16.
pub(crate) fn fixed_output(layer: &Dense<'_>, input: &[i16], output: &mut [i32]) -> Option<()> {
    integer::fixed_scaled(layer, input, output)
}

/// Sums of all padded rows in Q15.16, four by four.
#[inline(always)]
fn accumulate_scaled(
    layer: &Dense<'_>,
    input: &[i16],
    mut emit: impl FnMut(usize, [i32; 4]) -> Option<()>,
) -> Option<()> {
    let multipliers = layer.multipliers.as_chunks::<4>().0;
    integer::accumulate(layer, input, |index, sums| {
        emit(index, portable::scale(sums, multipliers.get(index)?, u32::from(layer.shift)))
    })
}

/// Derivatives of a hidden layer's activations with respect to its sums, as [`Dense::weight`] has them;
/// zero where an activation saturates. One more pass over the weights, off the scoring path.
pub(crate) fn fixed_slopes(layer: &Dense<'_>, input: &[i16], slopes: &mut [f32]) -> Option<()> {
    let slopes = slopes.as_chunks_mut::<4>().0;
    let limit = ACTIVATION_LIMIT as i32;
    match layer.activation {
        Activation::Relu => {
            let shift = u32::from(layer.shift) & 31;
            integer::accumulate(layer, input, |index, sums| {
                let live = |s: i32| (1..limit).contains(&(s >> shift));
                *slopes.get_mut(index)? = sums.map(|s| f32::from(u8::from(live(s))));
                Some(())
            })
        }
        Activation::LeakyRelu => integer::accumulate(layer, input, |index, sums| {
            *slopes.get_mut(index)? = sums.map(|s| match activation::leaky_relu(s, layer.shift) {
                i16::MAX | -32767 => 0.0,
                _ if s < 0 => LEAKY_SLOPE,
                _ => 1.0,
            });
            Some(())
        }),
        function => accumulate_scaled(layer, input, |index, values| {
            let shift = layer.activation_shift;
            *slopes.get_mut(index)? = values.map(|x| activation::slope(function, shift, x));
            Some(())
        }),
    }
}
