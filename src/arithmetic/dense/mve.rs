//! Float kernels in assembly, for cores with vector instructions (Cortex-M52, M55, M85): four rows a vector, each product
//! rounded before it is added, as everywhere.
#![allow(
    unsafe_code,
    reason = "kernels in assembly: 32x32 in 1.1 instructions per multiply-accumulate, compiled for speed 1.3 and for size 7.7"
)]

use super::{Dense, Encoding};
use core::arch::global_asm;

global_asm!(include_str!("mve.s"), options(raw));

kernels! {
    /// So many blocks of rows on so many inputs; what is below `least` as an integer becomes that.
    Blocks (
        weights: *const u32,
        input: *const f32,
        output: *mut f32,
        bias: *const u32,
        inputs: usize,
        blocks: usize,
        least: i32,
    )
    flowlet_f32_blocks_4 flowlet_f32_blocks_8
}

/// See [`portable::f32_sums`](super::portable::f32_sums).
pub(super) fn f32_sums(layer: &Dense<'_>, input: &[f32], output: &mut [f32]) -> Option<()> {
    run(layer, input, output, i32::MIN)
}

/// See [`portable::f32_relu`](super::portable::f32_relu).
pub(super) fn f32_relu(layer: &Dense<'_>, input: &[f32], output: &mut [f32]) -> Option<()> {
    run(layer, input, output, 0)
}

#[inline(never)]
fn run(layer: &Dense<'_>, input: &[f32], output: &mut [f32], least: i32) -> Option<()> {
    let rows = layer.bias.len();
    let rows8 = match layer.encoding {
        Encoding::F32Rows8 => rows & !7,
        Encoding::F32Rows4 => 0,
        _ => return None,
    };
    if input.len() < layer.inputs || output.len() < rows {
        return None;
    }
    let parts: [(Blocks, usize, usize); 2] =
        [(flowlet_f32_blocks_8, 0, rows8 / 8), (flowlet_f32_blocks_4, rows8, (rows - rows8) / 4)];
    for (kernel, first, blocks) in parts {
        if blocks == 0 {
            continue;
        }
        let (bias, weights) = (layer.bias.get(first..)?, layer.weights.get(first * layer.inputs..)?);
        let output = output.get_mut(first..)?;
        // SAFETY: a `Dense` has one input at least, and biases and weights of all its rows; the input is as long as it asks
        // for, and the output has room for all rows from the first one on. The function keeps the caller's registers.
        unsafe {
            kernel(
                weights.as_ptr(),
                input.as_ptr(),
                output.as_mut_ptr(),
                bias.as_ptr(),
                layer.inputs,
                blocks,
                least,
            );
        }
    }
    Some(())
}
