//! Each thing that the loader checks of general couplings, scales and shifts, and matrices, broken by itself
//! behind a right checksum, with the error that it must give.

use flowlet::{Error, Part};
use flowlet_tests::evaluate::image_of;
use flowlet_tests::linear_flows::{coupling, elementwise, front, linear, MAPS};
use flowlet_tests::surgery::Parts;
use flowlet_tests::{Random, NUMERICS};
use flowlet_tools::export::Numeric;
use flowlet_tools::flow::{Flow, Mask, Transform};
use Error::{Malformed, NotFiniteParameter};
use Numeric::{F32, I16, I8};

const NAN: u32 = 0x7fc0_0000;
const INFINITY: u32 = 0x7f80_0000;
const WRONG: Error = Malformed(Part::Transform);
const NOT_FINITE: Error = NotFiniteParameter(Part::Transform);

/// The block behind the soft tail.
const BLOCK: usize = 1;

/// What is broken: a word of the block (0 is its head), and what it becomes.
struct Case(&'static str, usize, fn(u32) -> u32, Error);

fn run(chain: impl Fn(&mut Random) -> Transform, numerics: &[Numeric], cases: &[Case]) {
    for &numeric in numerics {
        let mut random = Random(5);
        let mut transforms = front(&mut random, 3);
        transforms.push(chain(&mut random));
        let good = image_of(&Flow { features: 3, transforms, ..Flow::default() }, numeric);
        assert_eq!(Parts::of(good.bytes()).seal(), good, "resealing changes nothing");
        for Case(what, word, change, expected) in cases {
            let mut parts = Parts::of(good.bytes());
            let at = parts.block(BLOCK) + word;
            let changed = change(parts.words[at]);
            assert_ne!(changed, parts.words[at], "{numeric:?}: {what} changes nothing");
            parts.words[at] = changed;
            let found = parts.seal().model().map(|_| ());
            assert_eq!(found, Err(*expected), "{numeric:?}: {what}");
        }
    }
}

#[test]
fn word_four_of_a_coupling_is_checked() {
    let additive = |random: &mut Random| coupling(random, Mask::half(3, true), &MAPS[0], 4);
    run(
        additive,
        &NUMERICS,
        &[
            Case("an additive coupling with a bound", 2, |_| 1 << 16, WRONG),
            Case("another map", 5, |_| 3, WRONG),
            Case("an additive coupling with an option", 5, |w| w | 1 << 8, WRONG),
            Case("a parameterization without a spline", 5, |w| w | 1 << 16, WRONG),
            Case("something in its last byte", 5, |w| w | 1 << 24, WRONG),
            Case("an affine map without outputs for it", 5, |_| 1, WRONG),
        ],
    );
    let hard = |random: &mut Random| coupling(random, Mask::half(3, true), &MAPS[2], 4);
    run(
        hard,
        &NUMERICS,
        &[
            Case("no clamp", 2, |_| 0, WRONG),
            Case("a negative clamp", 2, |w| w | 1 << 31, WRONG),
            Case("another scale map", 5, |_| 1 | 4 << 8, WRONG),
            Case("a sigmoid that has no parameters", 5, |_| 1 | 3 << 8, WRONG),
        ],
    );
    run(hard, &[F32], &[Case("NaN clamp", 2, |_| NAN, NOT_FINITE)]);
}

#[test]
fn parameters_of_a_sigmoid_are_checked() {
    let sigmoid = |random: &mut Random| coupling(random, Mask::half(3, true), &MAPS[4], 4);
    run(sigmoid, &NUMERICS, &[Case("a clamp that is not one", 2, |_| 1 << 16, WRONG)]);
    run(
        sigmoid,
        &[F32],
        &[
            Case("NaN offset", 6, |_| NAN, NOT_FINITE),
            Case("a negative floor", 7, |w| w | 1 << 31, WRONG),
            Case("a floor above one", 7, |_| 0x3f80_0001, WRONG),
            Case("NaN floor", 7, |_| NAN, WRONG),
        ],
    );
    run(sigmoid, &[I16, I8], &[Case("a floor above one", 7, |_| (1 << 30) + 1, WRONG)]);
}

#[test]
fn scales_and_shifts_are_checked() {
    let affine = |random: &mut Random| elementwise(random, 3);
    // Word 1, 2: log_det; then per feature a gain and a shift.
    let longer = |w: u32| w + (1 << 8);
    run(affine, &NUMERICS, &[Case("a word too many", 0, longer, WRONG), Case("no gain", 3, |_| 0, WRONG)]);
    run(
        affine,
        &[F32],
        &[
            Case("infinite log_det", 1, |_| INFINITY, NOT_FINITE),
            Case("a negative gain", 3, |w| w | 1 << 31, WRONG),
            Case("a subnormal gain", 3, |_| 1, WRONG),
            Case("NaN gain", 3, |_| NAN, WRONG),
            Case("a reciprocal of something else", 4, |w| w + 64, WRONG),
            Case("a reciprocal of zero", 4, |_| INFINITY, WRONG),
            Case("NaN shift", 5, |_| NAN, NOT_FINITE),
        ],
    );
    run(
        affine,
        &[I16, I8],
        &[
            Case("a shift that is too small", 3, |_| 13, WRONG),
            Case("a shift that is too large", 3, |_| 45, WRONG),
            Case("no mantissa", 4, |_| 0, WRONG),
            Case("a short mantissa", 4, |w| w >> 2, WRONG),
            Case("a negative gain", 4, |w| w.wrapping_neg(), WRONG),
            Case("a reciprocal of something else", 5, |w| w + 3, WRONG),
        ],
    );
}

#[test]
fn matrices_are_checked() {
    let matrix = |random: &mut Random| linear(random, 3);
    let longer = |w: u32| w + (1 << 8);
    run(
        matrix,
        &NUMERICS,
        &[Case("a word too many", 0, longer, WRONG), Case("no diagonal", 3, |_| 0, WRONG)],
    );
    // f32: log_det; gain, 2 weights; gain, 1; gain; shift, 2 weights; shift, 1; shift.
    run(
        matrix,
        &[F32],
        &[
            Case("NaN log_det", 1, |_| NAN, NOT_FINITE),
            Case("an infinite diagonal", 3, |_| INFINITY, WRONG),
            Case("a wrong reciprocal", 4, |w| w ^ 1 << 31, WRONG),
            Case("an infinite weight of U", 5, |_| INFINITY, WRONG),
            Case("NaN shift", 12, |_| NAN, NOT_FINITE),
            Case("NaN weight of L", 13, |_| NAN, WRONG),
        ],
    );
    // Fixed: log_det; gain (3), row (1 + 1); gain, row (1 + 1); gain, row (1); shift, row (1 + 1); shift, row (1 + 1); ...
    run(
        matrix,
        &[I16, I8],
        &[
            Case("a gain's shift that is too large", 3, |_| 45, WRONG),
            Case("a wrong reciprocal", 5, |w| w.wrapping_neg(), WRONG),
            Case("a row without a shift", 6, |_| 0, WRONG),
            Case("a row with a shift that is too large", 6, |_| 63, WRONG),
            Case("padding of an odd row", 12, |w| w | 1 << 16, WRONG),
            Case("an empty row without a shift", 16, |_| 0, WRONG),
        ],
    );
}

#[test]
fn notes_are_read_from_version_two_on() {
    let mut random = Random(1);
    let mut transforms = front(&mut random, 3);
    transforms.push(linear(&mut random, 3));
    let flow = Flow { features: 3, transforms, ..Flow::default() };
    let good = image_of(&flow, F32);
    assert_eq!(good.model().unwrap().trained_as(), "standardize, soft_tail, linear");
    let descriptor = Err(Malformed(Part::Descriptor));
    let mut parts = Parts::of(good.bytes());
    parts.behind.clear();
    assert_eq!(parts.seal().model().map(|_| ()), descriptor, "version 2 without notes");
    parts.version = 1;
    assert_eq!(parts.seal().model().unwrap().trained_as(), "");
    let mut parts = Parts::of(good.bytes());
    parts.version = 1;
    assert_eq!(parts.seal().model().map(|_| ()), descriptor, "version 1 with notes");
    let mut parts = Parts::of(good.bytes());
    parts.behind[0] = 200;
    assert_eq!(parts.seal().model().map(|_| ()), descriptor, "notes longer than the descriptor");
}
