//! Integer kernels in assembly, for a Cortex-M with the DSP extension (M4, M7, M33).
//!
//! Four rows share each pair of activations, and `SMLAD` does two multiply-accumulates. The inner loop is a
//! chain of steps of four inputs, entered where as many are left as the layer has: a layer of flow size has
//! no loop there, a wider one runs through the chain again. A ReLU layer with a shift that the exporter
//! prefers ([`USUAL_SHIFT_I16`], [`USUAL_SHIFTS_I8`]) ends a block of rows with constants: one `USAT` is the
//! shift, ReLU and saturation. All but the first of these shifts, and everything else, end it out of line.
#![allow(
    unsafe_code,
    reason = "kernels in assembly: i16 32x32 in 0.8 instructions per multiply-accumulate, compiled for speed 2.7"
)]

use super::{portable, Dense, Encoding, USUAL_SHIFTS_I8, USUAL_SHIFT_I16};
use crate::support::{Capabilities, Capability};
use core::arch::global_asm;
use core::mem::MaybeUninit;

/// Steps of four inputs in a chain.
const CHAIN: usize = super::NARROW / 4;

/// Code that takes over where a block's sums are complete. Not to be called.
type Ending = unsafe extern "C" fn();

kernels! {
    /// `groups` steps for each block of 4 rows from `bias` to `bias_end`, ReLU with a usual shift: the first, or that of
    /// `exit`.
    Usual (
        weights: *const u32,
        input: *const u32,
        exit: Ending,
        groups: usize,
        bias: *const u32,
        bias_end: *const u32,
        output: *mut u32,
    )
    flowlet_i16_usual_7 flowlet_i8_usual_7 flowlet_i8_inner_7
}

kernels! {
    /// The same with any `ending`, and whole chains after the first `groups` steps, as many as each half of `passes` says;
    /// without these `exit` is the ending itself.
    General (
        weights: *const u32,
        input: *const u32,
        exit: Ending,
        groups: usize,
        bias: *const u32,
        bias_end: *const u32,
        passes: usize,
        ending: Ending,
        shift: u32,
        multipliers: *const u32,
        rounding: u32,
        output: *mut u32,
    )
    flowlet_i16_general_7 flowlet_i8_general_7
}

/// A layer from its words on: hidden with ReLU, or last, its weights in an order of the function's unit. Gives the address
/// of the words behind it, and in the upper half how many these are; zero if it is no such layer, or does not fit the
/// words or the buffers, and then nothing is done.
type AtOnce =
    unsafe extern "C" fn(*const u32, usize, *const u32, usize, *mut u32, usize, MaybeUninit<Room>) -> u64;

macro_rules! at_once {
    ($($name:ident)*) => {
        extern "C" {
            $(fn $name(
                words: *const u32,
                length: usize,
                input: *const u32,
                input_length: usize,
                output: *mut u32,
                output_length: usize,
                room: MaybeUninit<Room>,
            ) -> u64;)*
        }
    };
}

at_once!(flowlet_layer_1 flowlet_layer_2 flowlet_layer_3 flowlet_layer_7);

/// Where [`AtOnce`] keeps what [`General`] is told.
#[repr(C)]
#[derive(Clone, Copy)]
struct Room([u32; 5]);

extern "C" {
    /// Shift, ReLU and saturation to i16.
    fn flowlet_end_relu_7();
    /// The same with the second usual shift of i8 weights.
    fn flowlet_end_inner_7();
    /// Product with a multiplier, a shift of 33 or more.
    fn flowlet_end_scaled_7();
    /// The same with a shift of 32.
    fn flowlet_end_scaled32_7();
    /// The same with a shift of 1 to 31.
    fn flowlet_end_wide_7();
    /// The sums themselves.
    fn flowlet_end_sums_7();
    /// Where a chain goes on with whole ones.
    fn flowlet_i16_pass_7();
    fn flowlet_i8_pass_7();
}

const ENCODING_I16: u8 = Encoding::I16Rows4 as u8;
const ENCODING_I8: u8 = Encoding::I8Rows4 as u8;

/// Word 1 of a ReLU layer that ends in constants.
const USUAL_I16: u32 = u32::from_le_bytes([ENCODING_I16, super::RELU, USUAL_SHIFT_I16, 0]);
const USUAL_I8: u32 = u32::from_le_bytes([ENCODING_I8, super::RELU, USUAL_SHIFTS_I8[0], 0]);

/// Word 1 of a ReLU layer of i8 weights that ends in the other constant.
const INNER_I8: u32 = u32::from_le_bytes([ENCODING_I8, super::RELU, USUAL_SHIFTS_I8[1], 0]);

/// The kernels for an order of weights.
#[derive(Debug)]
struct Kernel {
    general: General,
    pass: Ending,
}

/// By their [`Encoding`], from [`ENCODING_I16`] on.
static KERNELS: [Kernel; 2] = [
    Kernel { general: flowlet_i16_general_7, pass: flowlet_i16_pass_7 },
    Kernel { general: flowlet_i8_general_7, pass: flowlet_i8_pass_7 },
];

/// The layer at the front of `words`, hidden with ReLU or last, its weights in an order of these kernels; gives the words
/// behind it.
///
/// Every score comes by here: a [`Dense`] is not made.
#[inline(always)]
pub(super) fn at_once<'a>(
    words: &'a [u32],
    input: &[u32],
    output: &mut [u32],
    supports: Capabilities,
) -> Option<&'a [u32]> {
    // What else the firmware supports takes layers in parts, by unit 7.
    let whole_only = !supports.has(Capability::Activations)
        && !supports.has(Capability::Residual)
        && !supports.has(Capability::Conv1d);
    let run: AtOnce = match (supports.has(Capability::I8Weights), supports.has(Capability::I16Weights)) {
        _ if !whole_only || supports.has(Capability::OtherOrders) => flowlet_layer_7,
        (true, true) => flowlet_layer_3,
        _ if supports.has(Capability::WideLayers) => flowlet_layer_3,
        (true, false) => flowlet_layer_1,
        (false, _) => flowlet_layer_2,
    };
    let (front, room) = (words.as_ptr(), MaybeUninit::uninit());
    let (to, to_length) = (output.as_mut_ptr(), output.len());
    // SAFETY: it reads and writes within these lengths, which it checks, and keeps the caller's registers.
    let found = unsafe { run(front, words.len(), input.as_ptr(), input.len(), to, to_length, room) };
    // SAFETY: what the kernel gives lies behind the layer, in `words`.
    unsafe { super::behind(words, found) }
}

/// A hidden layer if it is a usual one; else `None`, and nothing is done.
///
/// `Some(None)`: the buffers do not fit it, or are not aligned to words.
#[inline(always)]
pub(super) fn usual(layer: &Dense<'_>, input: &[i16], output: &mut [i16]) -> Option<Option<()>> {
    match layer.kind {
        USUAL_I16 => run_usual(flowlet_i16_usual_7, layer, input, output),
        USUAL_I8 => run_usual(flowlet_i8_usual_7, layer, input, output),
        INNER_I8 => run_usual(flowlet_i8_inner_7, layer, input, output),
        _ => None,
    }
}

#[inline(always)]
fn run_usual(kernel: Usual, layer: &Dense<'_>, input: &[i16], output: &mut [i16]) -> Option<Option<()>> {
    let groups = (layer.inputs + 3) >> 2;
    if groups > CHAIN {
        return None;
    }
    let are_aligned = (input.as_ptr() as usize | output.as_ptr() as usize).is_multiple_of(4);
    if input.len() < 4 * groups || output.len() < layer.bias.len() || !are_aligned {
        return Some(None);
    }
    let bias = layer.bias.as_ptr_range();
    // SAFETY: a `Dense` has at least one input and one block of 4 rows, and the weights of all its blocks;
    // input and output are as long as its padded sizes. One step at least and one chain at most. The
    // function keeps the caller's registers.
    unsafe {
        kernel(
            layer.weights.as_ptr(),
            input.as_ptr().cast(),
            flowlet_end_inner_7,
            groups,
            bias.start,
            bias.end,
            output.as_mut_ptr().cast(),
        );
    }
    Some(Some(()))
}

/// What a block ends in.
enum End<'m> {
    /// Right shift, up to 31; 2 words of output.
    Relu(u32),
    /// Right shift from 1 to 63, and a multiplier per row; 4 words of output.
    Scaled(u32, &'m [u32]),
    /// 4 words of output.
    Sums,
}

/// Runs the blocks of `bias` on their `weights`, which are all of `layer`'s or those of one block of 4 rows.
#[inline(always)]
fn run(
    layer: &Dense<'_>,
    (weights, bias): (&[u32], &[u32]),
    input: &[i16],
    output: &mut [u32],
    end: End<'_>,
) -> Option<()> {
    let groups = (layer.inputs + 3) >> 2;
    let kernel = KERNELS.get(usize::from((layer.encoding as u8).wrapping_sub(ENCODING_I16)))?;
    let (words, multipliers) = match end {
        End::Relu(_) => (bias.len() / 2, bias),
        End::Scaled(_, multipliers) => (bias.len(), multipliers),
        End::Sums => (bias.len(), bias),
    };
    let is_aligned = (input.as_ptr() as usize).is_multiple_of(4);
    if input.len() < 4 * groups || output.len() < words || multipliers.len() < bias.len() || !is_aligned {
        return None;
    }
    // SAFETY: a `Dense` of integers has at least one input and one block of 4 rows, and the weights of all
    // its blocks; so has one block of it. Input, output and multipliers are as long as these ask for.
    unsafe { blocks(kernel, groups, (weights, bias), input.as_ptr().cast(), output.as_mut_ptr(), end) };
    Some(())
}

/// Blocks of 4 rows, as many as `bias` has, by the kernels that take any `end`.
///
/// # Safety
/// At least one row and one group of 4 inputs; weights (and multipliers) of all rows; `input` has all groups, and
/// `output` room for all rows, both aligned to words.
#[inline(always)]
unsafe fn blocks(
    kernel: &Kernel,
    groups: usize,
    (weights, bias): (&[u32], &[u32]),
    input: *const u32,
    output: *mut u32,
    end: End<'_>,
) {
    let (ending, shift, rounding, multipliers): (Ending, _, _, &[u32]) = match end {
        End::Relu(shift) => (flowlet_end_relu_7, shift, 0, bias),
        End::Scaled(shift @ 33.., multipliers) => {
            (flowlet_end_scaled_7, shift - 32, 1 << (shift.wrapping_sub(33) & 31), multipliers)
        }
        End::Scaled(32, multipliers) => (flowlet_end_scaled32_7, 0, 0, multipliers),
        End::Scaled(shift, multipliers) => (flowlet_end_wide_7, shift, 0, multipliers),
        End::Sums => (flowlet_end_sums_7, 0, 0, bias),
    };
    let passes = (groups - 1) / CHAIN;
    let bias = bias.as_ptr_range();
    // SAFETY: by the contract; one step at least and one chain at most before the whole ones. The function keeps
    // the caller's registers.
    unsafe {
        (kernel.general)(
            weights.as_ptr(),
            input,
            if passes == 0 { ending } else { kernel.pass },
            groups - passes * CHAIN,
            bias.start,
            bias.end,
            passes << 16 | passes,
            ending,
            shift,
            multipliers.as_ptr(),
            rounding,
            output,
        );
    }
}

/// Whether the weights lie in an order that is for other cores.
#[inline(always)]
fn is_foreign(encoding: Encoding) -> bool {
    !matches!(encoding, Encoding::I8Rows4 | Encoding::I16Rows4)
}

/// See [`portable::fixed_relu`]; the output is aligned to words.
pub(super) fn fixed_relu(layer: &Dense<'_>, input: &[i16], output: &mut [i16]) -> Option<()> {
    if is_foreign(layer.encoding) {
        return portable::fixed_relu_any(layer, input, output);
    }
    let output = bytemuck::try_cast_slice_mut(output.get_mut(..layer.bias.len())?).ok()?;
    run(layer, (layer.weights, layer.bias), input, output, End::Relu(u32::from(layer.shift) & 31))
}

/// See [`portable::fixed_scaled`].
#[inline(always)]
pub(super) fn fixed_scaled(layer: &Dense<'_>, input: &[i16], output: &mut [i32]) -> Option<()> {
    if is_foreign(layer.encoding) {
        return portable::fixed_scaled_any(layer, input, output);
    }
    let end = End::Scaled(u32::from(layer.shift) & 63, layer.multipliers);
    run(layer, (layer.weights, layer.bias), input, bytemuck::cast_slice_mut(output), end)
}

/// See [`portable::accumulate`].
#[inline(always)]
pub(super) fn accumulate(
    layer: &Dense<'_>,
    input: &[i16],
    mut emit: impl FnMut(usize, [i32; 4]) -> Option<()>,
) -> Option<()> {
    for (index, bias) in layer.bias.as_chunks::<4>().0.iter().enumerate() {
        emit(index, block_sums(layer, (index, bias), input)?)?;
    }
    Some(())
}

#[inline(never)]
fn block_sums(layer: &Dense<'_>, (index, bias): (usize, &[u32; 4]), input: &[i16]) -> Option<[i32; 4]> {
    if is_foreign(layer.encoding) {
        return portable::block_any(layer, (4 * index, bias), input);
    }
    let words = layer.padded_inputs() * layer.encoding.bits() / 8;
    let weights = layer.weights.get(index * words..(index + 1) * words)?;
    let mut sums = [0; 4];
    run(layer, (weights, bias), input, &mut sums, End::Sums)?;
    Some(sums.map(|s| s as i32))
}

#[cfg(flowlet_armv8m)]
macro_rules! extension {
    () => {
        ".cpu cortex-m33"
    };
}
#[cfg(not(flowlet_armv8m))]
macro_rules! extension {
    () => {
        ""
    };
}

/// The kernels of one unit: see the file's first lines.
macro_rules! assemble {
    ($unit:literal) => {
        global_asm!(
            extension!(),
            include_str!("armv7em.s"),
            unit = const $unit,
            chain = const CHAIN,
            usual_i16 = const USUAL_SHIFT_I16,
            usual_i8 = const USUAL_SHIFTS_I8[0],
            inner_i8 = const USUAL_SHIFTS_I8[1],
        );
    };
}

assemble!(1);
assemble!(2);
assemble!(3);
assemble!(7);
