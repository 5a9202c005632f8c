//! Dense kernels of the chip and the portable ones give the same bits, on every shape.

use flowlet::arithmetic::activation::Activation;
use flowlet::arithmetic::dense::{Encoding, USUAL_SHIFTS_I8, USUAL_SHIFT_I16};
use flowlet_tools::device::{layer_digests, skips, Board, DeviceError, Inquirer, Install};
use flowlet_tools::device::{LayerKind, WIDEST_LAYER};

/// Every encoding with every ending that a kernel may have code of its own for, and the step from one width
/// to the next that is enough for it.
fn kinds(board: Board) -> Vec<(LayerKind, usize)> {
    let mut kinds = Vec::new();
    let mut push = |encoding, activation, shifts: &[u8], step| {
        for &shift in shifts {
            for is_extreme in [false, true] {
                kinds.push((LayerKind { encoding, activation, shift, is_extreme }, step));
            }
        }
    };
    let relu = Some(Activation::Relu);
    // Orders that the core has kernels for, and orders that it evaluates all the same.
    let (own, foreign): (&[_], &[_]) = match board {
        Board::Microbit => {
            (&[Encoding::I8Packed4, Encoding::I16Rows4], &[Encoding::I8Rows4, Encoding::I8Rows])
        }
        Board::Mps3An547 => {
            (&[Encoding::I8Rows, Encoding::I16Rows], &[Encoding::I8Packed4, Encoding::I16Rows4])
        }
        _ => (
            &[Encoding::I16Rows4, Encoding::I8Rows4],
            &[Encoding::I8Packed4, Encoding::I8Rows, Encoding::I16Rows],
        ),
    };
    // In software every product counts, but not every width. Weights of the widest layers fill the memory of the M0, whose rows
    // are tested where they are written.
    let step = if board == Board::Mps2An385 { 7 } else { 1 };
    let floats: &[_] = if board == Board::Microbit { &[] } else { &[Encoding::F32Rows4, Encoding::F32Rows8] };
    for &encoding in floats {
        push(encoding, relu, &[0], step);
        push(encoding, None, &[0], step);
        push(encoding, Some(Activation::Tanh), &[0], 5 * step);
    }
    for &encoding in own {
        let [usual, inner] = if encoding.bits() == 16 { [USUAL_SHIFT_I16; 2] } else { USUAL_SHIFTS_I8 };
        push(encoding, relu, &[usual], 1);
        push(encoding, relu, &[inner], 1);
        push(encoding, relu, &[0, usual - 1, 20], 5);
        // With a shift of 31 the product may not fit 32 bits, and saturates.
        push(encoding, None, &[31, 40], 3);
        push(encoding, None, &[1, 32, 33, 56], 13);
        push(encoding, Some(Activation::LeakyRelu), &[usual], 7);
        push(encoding, Some(Activation::Tanh), &[34], 13);
    }
    for &encoding in foreign {
        push(encoding, relu, &[9], 29);
        push(encoding, None, &[40], 29);
        push(encoding, Some(Activation::LeakyRelu), &[9], 29);
        push(encoding, Some(Activation::Tanh), &[34], 37);
    }
    kinds
}

fn every_shape_gives_the_portable_bits(board: Board, test: &str) {
    let inquirer = match Inquirer::of_layers(board, Install::Forbidden) {
        Ok(inquirer) => inquirer,
        Err(DeviceError::Missing(missing)) => return skips::record(test, &missing),
        Err(error) => panic!("{error}"),
    };
    let mut layers = 0;
    for (kind, step) in kinds(board) {
        let widths: Vec<usize> = (1..=WIDEST_LAYER).step_by(step).collect();
        let rows: Vec<f32> =
            widths.iter().flat_map(|&inputs| kind.numbers().into_iter().chain([inputs as f32])).collect();
        let found = inquirer.run(&[], &rows, 5).unwrap_or_else(|error| panic!("{kind:?}: {error}")).rows;
        assert_eq!(found.len(), widths.len());
        let mut digests = Vec::new();
        for ((inputs, row), found) in widths.iter().zip(rows.chunks_exact(5)).zip(&found) {
            let expected = layer_digests(row).expect("a layer");
            let found = found.as_ref().expect("the board can run it");
            assert_eq!(found.len(), expected.len());
            let wrong = found.iter().zip(&expected).position(|(a, b)| a != b);
            assert_eq!(
                wrong.map(|i| i + 1),
                None,
                "{kind:?}: outputs of the first wrong layer of {inputs} inputs"
            );
            digests.extend(expected);
        }
        layers += digests.len();
        // A digest of nothing would always be the same.
        digests.sort_unstable();
        digests.dedup();
        assert!(digests.len() > WIDEST_LAYER / 2, "{kind:?}: {} different results", digests.len());
    }
    println!("{board}: {layers} layers, all bits equal");
}

#[test]
fn every_shape_gives_the_portable_bits_on_a_cortex_m0() {
    every_shape_gives_the_portable_bits(
        Board::Microbit,
        "every_shape_gives_the_portable_bits_on_a_cortex_m0",
    );
}

#[test]
fn every_shape_gives_the_portable_bits_on_a_cortex_m3() {
    every_shape_gives_the_portable_bits(
        Board::Mps2An385,
        "every_shape_gives_the_portable_bits_on_a_cortex_m3",
    );
}

#[test]
fn every_shape_gives_the_portable_bits_on_a_cortex_m4f() {
    every_shape_gives_the_portable_bits(
        Board::Mps2An386,
        "every_shape_gives_the_portable_bits_on_a_cortex_m4f",
    );
}

#[test]
fn every_shape_gives_the_portable_bits_on_a_cortex_m55() {
    every_shape_gives_the_portable_bits(
        Board::Mps3An547,
        "every_shape_gives_the_portable_bits_on_a_cortex_m55",
    );
}
