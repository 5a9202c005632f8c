//! Each thing that the loader checks, broken by itself behind a right checksum, with the error that it
//! must give.

use flowlet::image::descriptor::{Combine, Statistic};
use flowlet::{Error, Part};
use flowlet_tests::golden::{block, image};
use flowlet_tests::surgery::{put, repair, repair_checksum, word, Parts};
use flowlet_tests::NUMERICS;
use flowlet_tools::export::{ImageFile, Numeric};
use Error::{AccumulatorOverflow, Malformed, NotFiniteParameter, Unsupported};
use Numeric::{F32, I16, I8};

/// What is broken, and how.
struct Case(&'static str, fn(&mut Parts<'_>), Error);

fn run(numerics: &[Numeric], cases: &[Case]) {
    for &numeric in numerics {
        let good = image(numeric);
        for Case(what, edit, expected) in cases {
            let mut parts = Parts::of(good.bytes());
            edit(&mut parts);
            let found = parts.seal().model().map(|_| ());
            assert_eq!(found, Err(*expected), "{numeric:?}: {what}");
        }
    }
}

const NAN: u32 = 0x7fc0_0000;
const INFINITY: u32 = 0x7f80_0000;
const HALF: u32 = 0x3f00_0000;

/// Changes a word of the first coupling's block; 0 is the block's head.
fn coupling(p: &mut Parts<'_>, word: usize, change: impl Fn(u32) -> u32) {
    let at = p.block(block::FIRST_COUPLING) + word;
    p.words[at] = change(p.words[at]);
}

/// Changes a word of the first coupling's first layer (hidden, 1 input, 5 outputs).
fn layer(p: &mut Parts<'_>, word: usize, change: impl Fn(u32) -> u32) {
    let at = p.first_layer(block::FIRST_COUPLING) + word;
    p.words[at] = change(p.words[at]);
}

/// Changes a word of a fixed-point image's second, last layer of the first coupling.
fn last_layer(p: &mut Parts<'_>, word: usize, change: impl Fn(u32) -> u32) {
    let first = p.first_layer(block::FIRST_COUPLING);
    // Header, 8 padded biases, 8 rows of 4 padded inputs.
    let bytes = if p.head.numeric == I8 { 1 } else { 2 };
    let at = first + 2 + 8 + 8 * 4 * bytes / 4 + word;
    p.words[at] = change(p.words[at]);
}

#[test]
fn resealing_changes_nothing() {
    for numeric in NUMERICS {
        let good = image(numeric);
        assert_eq!(Parts::of(good.bytes()).seal(), good, "{numeric:?}");
    }
}

#[test]
fn the_descriptor_is_checked() {
    let descriptor = Malformed(Part::Descriptor);
    let experts = Malformed(Part::Experts);
    run(
        &NUMERICS,
        &[
            Case("no features", |p| p.head.features = 0, descriptor),
            Case("257 features", |p| p.head.features = 257, descriptor),
            Case("65535 features", |p| p.head.features = u16::MAX, descriptor),
            Case("a feature record too few", |p| p.features.truncate(2), descriptor),
            Case("a feature record too many", |p| p.features.push(p.features[0]), descriptor),
            Case("an expert record too few", |p| p.experts.clear(), descriptor),
            Case("an expert record too many", |p| p.experts.push(p.experts[0]), descriptor),
            Case("a byte behind the records", |p| p.behind.push(0), descriptor),
            Case("65535 context inputs", |p| p.head.contexts = u16::MAX, Malformed(Part::Context)),
            Case("no experts", |p| p.head.experts = 0, experts),
            Case("9 experts", |p| p.head.experts = 9, experts),
            Case("an expert quoted that is not there", |p| p.head.quoted = 1, experts),
            Case("two experts", |p| p.head.experts = 2, Unsupported(Part::Experts)),
            Case("their minimum", |p| p.head.combine = Combine::Minimum, Unsupported(Part::Experts)),
            Case("their mean", |p| p.head.combine = Combine::Mean, Unsupported(Part::Experts)),
            Case("|z|^2", |p| p.head.statistic = Statistic::SquaredNorm, Unsupported(Part::Statistic)),
            Case("typicality", |p| p.head.statistic = Statistic::Typicality, Unsupported(Part::Statistic)),
            Case("NaN entropy", |p| p.head.entropy = f32::NAN, NotFiniteParameter(Part::Statistic)),
        ],
    );
}

#[test]
fn descriptor_bytes_are_checked() {
    for numeric in NUMERICS {
        let good = image(numeric);
        let parts = Parts::of(good.bytes());
        let numeric_at = 32 + 1 + parts.head.name.len() + 1 + parts.head.provenance.len() + 1;
        let end = 32 + word(good.bytes(), 16) as usize;
        assert_eq!(good.bytes()[numeric_at], numeric as u8);
        for (what, at, byte) in [
            ("a name that is not UTF-8", 33, 0xff),
            ("a name that is longer than the image", 32, 0xff),
            ("an unknown arithmetic", numeric_at, 4),
            ("an unknown base", end - 1, 1),
            ("a varint without an end", end - 1, 0x80),
        ] {
            let mut bytes = good.bytes().to_vec();
            bytes[at] = byte;
            repair_checksum(&mut bytes);
            let found = ImageFile::from_bytes(&bytes).model().map(|_| ());
            assert_eq!(found, Err(Malformed(Part::Descriptor)), "{numeric:?}: {what}");
        }
    }
}

#[test]
fn the_header_is_checked() {
    let good = image(F32);
    let descriptor_length = word(good.bytes(), 16);
    let stated = word(good.bytes(), 12);
    let header = Malformed(Part::Header);
    let with = |at: usize, value: u32| {
        let mut bytes = good.bytes().to_vec();
        put(&mut bytes, at, value);
        repair_checksum(&mut bytes);
        ImageFile::from_bytes(&bytes).model().map(|_| ()).unwrap_err()
    };
    assert_eq!(with(0, u32::from_le_bytes(*b"FLOX")), Error::NotAnImage);
    assert_eq!(with(4, 3), Error::Version(3));
    assert_eq!(with(4, 0), Error::Version(0));
    assert_eq!(with(4, 1 | 1 << 16), header, "flags");
    assert_eq!(with(16, descriptor_length - 1), Malformed(Part::Descriptor));
    for wrong in
        [0, 1, descriptor_length + 16, u32::MAX, u32::MAX - 31, u32::MAX - 32, u32::MAX - 47, 1 << 31]
    {
        assert_eq!(with(16, wrong), header, "a descriptor of {wrong} bytes");
    }
    for wrong in [0, 16, 32, word(good.bytes(), 20) + 16, u32::MAX, u32::MAX - 15] {
        assert_eq!(with(20, wrong), header, "words at {wrong}");
    }
    assert_eq!(with(24, 1), header, "workspace of one byte");
    assert_eq!(with(28, 1), header, "reserved word");
    // Descriptor and words that agree with each other, but end beyond the image.
    let mut bytes = good.bytes().to_vec();
    put(&mut bytes, 16, 1 << 20);
    put(&mut bytes, 20, (1 << 20) + 32);
    repair_checksum(&mut bytes);
    assert_eq!(ImageFile::from_bytes(&bytes).model().unwrap_err(), header);
    // A length that is no multiple of 4.
    let mut bytes = good.bytes().to_vec();
    bytes.push(0);
    repair(&mut bytes);
    assert_eq!(ImageFile::from_bytes(&bytes).model().unwrap_err(), header);
    // Something in the padding.
    let mut bytes = good.bytes().to_vec();
    let padding = 32 + descriptor_length as usize;
    assert!(padding < word(good.bytes(), 20) as usize, "the golden image has padding");
    bytes[padding] = 1;
    repair_checksum(&mut bytes);
    assert_eq!(ImageFile::from_bytes(&bytes).model().unwrap_err(), Malformed(Part::Descriptor));
    // The checksum itself.
    let mut bytes = good.bytes().to_vec();
    put(&mut bytes, 12, !stated);
    let found = ImageFile::from_bytes(&bytes).model().unwrap_err();
    assert_eq!(found, Error::Checksum { stated: !stated, computed: stated });
}

#[test]
fn the_workspace_is_checked() {
    for numeric in NUMERICS {
        let good = image(numeric);
        let needed = word(good.bytes(), 24);
        for stated in [0, needed - 4, needed + 4, u32::MAX - 3] {
            let mut parts = Parts::of(good.bytes());
            parts.workspace = stated;
            let found = parts.seal().model().unwrap_err();
            assert_eq!(found, Error::WorkspaceMismatch { stated, needed }, "{numeric:?}");
        }
        // A chain of nothing needs the three values alone.
        let mut parts = Parts::of(good.bytes());
        parts.experts[0].transforms = 0;
        let found = parts.seal().model().unwrap_err();
        assert_eq!(found, Error::WorkspaceMismatch { stated: needed, needed: 12 });
        parts.workspace = 12;
        assert!(parts.seal().model().is_ok());
    }
}

#[test]
fn the_standardizer_is_checked() {
    let wrong = Malformed(Part::Standardizer);
    run(
        &NUMERICS,
        &[
            Case("at the end", |p| p.head.standardizer = p.words.len() as u32, wrong),
            Case("behind the end", |p| p.head.standardizer = p.words.len() as u32 + 1, wrong),
            Case("at u32::MAX", |p| p.head.standardizer = u32::MAX, wrong),
            Case("cut by the end", |p| p.head.standardizer = p.words.len() as u32 - 8, wrong),
        ],
    );
    run(
        &[F32],
        &[
            Case("log_det NaN", |p| p.words[0] = NAN, wrong),
            Case("mean infinite", |p| p.words[2] = INFINITY, wrong),
            Case("1/std zero", |p| p.words[3] = 0, wrong),
            Case("1/std negative", |p| p.words[3] |= 1 << 31, wrong),
            Case("std NaN", |p| p.words[4] = NAN, wrong),
            Case("last std zero", |p| p.words[10] = 0, wrong),
        ],
    );
    run(
        &[I16, I8],
        &[
            Case("center at 2^61", |p| p.words[3] = 1 << 29, wrong),
            Case("center at -2^63", |p| p.words[3] = 1 << 31, wrong),
            Case("multiplier above 2^24", |p| p.words[4] = (1 << 24) + 1, wrong),
            Case("multiplier below 2^23", |p| p.words[4] = (1 << 23) - 1, wrong),
            Case("scale above 2^21", |p| p.words[5] = (1 << 21) + 1, wrong),
            Case("scale below 2^20", |p| p.words[5] = (1 << 20) - 1, wrong),
            Case("exponent of 171", |p| p.words[6] = 171, wrong),
            Case("exponent of -131", |p| p.words[6] = -131i32 as u32, wrong),
        ],
    );
}

#[test]
fn the_chain_is_checked() {
    let wrong = Malformed(Part::Transform);
    fn kind(p: &mut Parts<'_>, index: usize, kind: u32) {
        let at = p.block(index);
        p.words[at] = p.words[at] & !0xff | kind;
    }
    fn order(p: &mut Parts<'_>, word: usize, value: u32) {
        let at = p.block(block::PERMUTATION) + 1 + word;
        p.words[at] = value;
    }
    run(
        &NUMERICS,
        &[
            Case("chain at the end", |p| p.experts[0].chain = p.words.len() as u32, wrong),
            Case("chain behind the end", |p| p.experts[0].chain = p.words.len() as u32 + 1, wrong),
            Case("chain at u32::MAX", |p| p.experts[0].chain = u32::MAX, wrong),
            Case("65535 transforms", |p| p.experts[0].transforms = u16::MAX, wrong),
            Case("kind 0", |p| kind(p, 0, 0), wrong),
            Case("kind 4", |p| kind(p, block::SECOND_COUPLING, 4), wrong),
            Case("kind 255", |p| kind(p, block::PERMUTATION, 255), wrong),
            Case("a block longer than the image", |p| coupling(p, 0, |w| w | 0xffff_ff00), wrong),
            Case("an empty coupling", |p| coupling(p, 0, |w| w & 0xff), wrong),
            Case("a soft tail of a permutation's length", |p| kind(p, block::PERMUTATION, 1), wrong),
            Case("an index twice", |p| order(p, 0, 2 | 2 << 16), wrong),
            Case("an index out of range", |p| order(p, 0, 3), wrong),
            Case("an index of 65535", |p| order(p, 0, 0xffff), wrong),
            Case("padding of the order", |p| order(p, 1, 1 | 1 << 16), wrong),
            Case("a knee of zero", |p| p.words[p.experts[0].chain as usize + 1] = 0, wrong),
            Case("a knee below zero", |p| p.words[p.experts[0].chain as usize + 1] |= 1 << 31, wrong),
            Case("split of 0", |p| coupling(p, 1, |w| w & !0xffff), wrong),
            Case("split of 3", |p| coupling(p, 1, |w| w & !0xffff | 3), wrong),
            Case("split of 65535", |p| coupling(p, 1, |w| w | 0xffff), wrong),
            Case("unknown flag", |p| coupling(p, 1, |w| w | 2 << 16), wrong),
            Case("input shift of 16", |p| coupling(p, 1, |w| w & 0xff_ffff | 16 << 24), wrong),
            Case("clamp of zero", |p| coupling(p, 2, |_| 0), wrong),
            Case("clamp below zero", |p| coupling(p, 2, |w| w | 1 << 31), wrong),
            Case("input limit of zero", |p| coupling(p, 3, |_| 0), wrong),
            Case("input limit too large", |p| coupling(p, 3, |_| 0x7f7f_ffff), wrong),
            Case("conditioner kind 0", |p| coupling(p, 4, |w| w & !0xff), wrong),
            Case("conditioner kind 9", |p| coupling(p, 4, |w| w ^ 8), wrong),
            Case("contexts of a net", |p| coupling(p, 4, |w| w | 1 << 16), Malformed(Part::Context)),
        ],
    );
    let not_finite = NotFiniteParameter(Part::Transform);
    run(
        &[F32],
        &[
            Case("a knee of NaN", |p| p.words[p.experts[0].chain as usize + 1] = NAN, not_finite),
            Case("clamp NaN", |p| coupling(p, 2, |_| NAN), not_finite),
            Case("clamp infinite", |p| coupling(p, 2, |_| INFINITY), not_finite),
            Case("input limit NaN", |p| coupling(p, 3, |_| NAN), not_finite),
            Case("input shift in f32", |p| coupling(p, 1, |w| w | 1 << 24), wrong),
        ],
    );
    run(&[I16, I8], &[Case("no input shift", |p| coupling(p, 1, |w| w & 0xff_ffff), wrong)]);
}

#[test]
fn conditioners_are_checked() {
    let wrong = Malformed(Part::Conditioner);
    run(
        &NUMERICS,
        &[
            Case("no layers", |p| coupling(p, 4, |w| w & !0xff00), wrong),
            Case("a layer too few", |p| coupling(p, 4, |w| w - 0x100), wrong),
            Case("a layer too many", |p| coupling(p, 4, |w| w + 0x100), wrong),
            Case("255 layers", |p| coupling(p, 4, |w| w | 0xff00), wrong),
            Case("no inputs", |p| layer(p, 0, |w| w & !0xffff), wrong),
            Case("an input too many", |p| layer(p, 0, |w| w + 1), wrong),
            Case("1025 inputs", |p| layer(p, 0, |w| w & !0xffff | 1025), wrong),
            Case("no outputs", |p| layer(p, 0, |w| w & 0xffff), wrong),
            Case("an output too many", |p| layer(p, 0, |w| w + (1 << 16)), wrong),
            Case("65535 outputs", |p| layer(p, 0, |w| w | 0xffff << 16), wrong),
            Case("encoding 0", |p| layer(p, 1, |w| w & !0xff), wrong),
            Case("encoding 8", |p| layer(p, 1, |w| w & !0xff | 8), wrong),
            Case("activation 5", |p| layer(p, 1, |w| w & !0xff00 | 0x500), wrong),
            Case("activation 255", |p| layer(p, 1, |w| w | 0xff00), wrong),
            Case("an output layer first", |p| layer(p, 1, |w| w & !0xff00), wrong),
            Case("zero byte", |p| layer(p, 1, |w| w | 1 << 24), wrong),
        ],
    );
    let not_finite = NotFiniteParameter(Part::Conditioner);
    run(
        &[F32],
        &[
            Case("bias NaN", |p| layer(p, 2, |_| NAN), not_finite),
            Case("bias infinite", |p| layer(p, 2, |_| INFINITY), not_finite),
            Case("weight NaN", |p| layer(p, 2 + 8, |_| NAN), not_finite),
            Case("weight NaN in a padded row", |p| layer(p, 2 + 8 + 7, |_| NAN), not_finite),
            Case("shift in f32", |p| layer(p, 1, |w| w | 1 << 16), wrong),
            Case("i8 in an f32 image", |p| layer(p, 1, |w| w & !0xff | 3), wrong),
        ],
    );
    run(
        &[I16, I8],
        &[
            Case("bias of 2^31 - 1 and weights", |p| layer(p, 2, |_| i32::MAX as u32), AccumulatorOverflow),
            Case("bias of -2^31", |p| layer(p, 2, |_| 1 << 31), AccumulatorOverflow),
            Case("bias of a padded row", |p| layer(p, 2 + 7, |_| 1 << 31), AccumulatorOverflow),
            Case("hidden shift of 31", |p| layer(p, 1, |w| w & !0xff_0000 | 31 << 16), wrong),
            Case("f32 in a fixed-point image", |p| layer(p, 1, |w| w & !0xff | 1), wrong),
            Case("output shift of 0", |p| last_layer(p, 1, |w| w & !0xff_0000), wrong),
            Case("output shift of 63", |p| last_layer(p, 1, |w| w & !0xff_0000 | 63 << 16), wrong),
        ],
    );
    // Two inputs of full weight: |w1| + |w2| = 65535 times 32767 is 2^31 - 98303.
    let full = |p: &mut Parts<'_>, bias: i32| {
        layer(p, 2, |_| bias as u32);
        layer(p, 2 + 8, |_| 0x7fff_8000);
    };
    for (bias, accepted) in [(98_302, true), (98_303, false), (-98_302, true), (-98_303, false)] {
        let good = image(I16);
        let mut parts = Parts::of(good.bytes());
        full(&mut parts, bias);
        let found = parts.seal().model().map(|_| ());
        assert_eq!(found, if accepted { Ok(()) } else { Err(AccumulatorOverflow) }, "bias {bias}");
    }
}

#[test]
fn the_calibration_is_checked() {
    let wrong = Malformed(Part::Calibration);
    fn quantile(p: &mut Parts<'_>, index: usize, value: u32) {
        let at = p.head.calibration.offset as usize + 2 + index;
        p.words[at] = value;
    }
    run(
        &NUMERICS,
        &[
            Case("at the end", |p| p.head.calibration.offset = p.words.len() as u32, wrong),
            Case("at u32::MAX", |p| p.head.calibration.offset = u32::MAX, wrong),
            Case("65535 quantiles", |p| p.head.calibration.quantiles = u16::MAX, wrong),
            Case("descending", |p| quantile(p, 0, 0x7f00_0000), wrong),
            Case("rate NaN", |p| p.head.calibration.false_alarm_rate = f32::NAN, wrong),
            Case("rate above one", |p| p.head.calibration.false_alarm_rate = 1.000_000_1, wrong),
            Case("rate below zero", |p| p.head.calibration.false_alarm_rate = -1e-9, wrong),
            Case(
                "130 quantiles",
                |p| {
                    p.head.calibration = flowlet::image::descriptor::CalibrationRecord {
                        offset: p.words.len() as u32,
                        quantiles: 130,
                        ..p.head.calibration
                    };
                    p.words.resize(p.words.len() + 132, 0);
                },
                wrong,
            ),
        ],
    );
    run(
        &[F32],
        &[
            Case("threshold NaN", |p| p.words[p.head.calibration.offset as usize] = NAN, wrong),
            Case("threshold infinite", |p| p.words[p.head.calibration.offset as usize] = INFINITY, wrong),
            Case("quantile NaN", |p| quantile(p, 3, NAN), wrong),
            Case(
                "quantiles so far apart that their difference overflows",
                |p| {
                    quantile(p, 0, f32::MIN.to_bits());
                    let last = usize::from(p.head.calibration.quantiles) - 1;
                    (1..=last).for_each(|i| quantile(p, i, f32::MAX.to_bits()));
                },
                wrong,
            ),
        ],
    );
}

#[test]
fn self_tests_are_checked() {
    let wrong = Malformed(Part::SelfTest);
    run(
        &NUMERICS,
        &[
            Case("at the end", |p| p.head.self_test.offset = p.words.len() as u32, wrong),
            Case("at u32::MAX", |p| p.head.self_test.offset = u32::MAX, wrong),
            Case("beyond the end", |p| p.head.self_test.offset += 1, wrong),
            Case("a vector too many", |p| p.head.self_test.vectors += 1, wrong),
            Case("65535 vectors", |p| p.head.self_test.vectors = u16::MAX, wrong),
            Case("NaN in a vector", |p| p.words[p.head.self_test.offset as usize + 1] = NAN, wrong),
            Case("infinity in a vector", |p| p.words[p.head.self_test.offset as usize] = INFINITY, wrong),
        ],
    );
    for numeric in NUMERICS {
        let good = image(numeric);
        let mut parts = Parts::of(good.bytes());
        parts.head.self_test.vectors = 0;
        assert!(parts.seal().model().is_ok(), "no self-test is allowed");
    }
}

#[test]
fn what_is_not_damage_is_accepted() {
    // Limits themselves, as against the first value past them above.
    let good = image(F32);
    let mut parts = Parts::of(good.bytes());
    parts.head.calibration.false_alarm_rate = 1.0;
    parts.head.calibration.quantiles = 0;
    coupling(&mut parts, 3, |_| 32767f32.to_bits());
    coupling(&mut parts, 2, |_| HALF);
    let image = parts.seal();
    let model = image.model().unwrap();
    let mut workspace = vec![0; model.workspace_bytes() / 4];
    let mut scorer = flowlet::Scorer::new(&model, &mut workspace).unwrap();
    assert_eq!(scorer.score(&[1e9, 0.0, -1e9]).unwrap().p_value, 1.0, "no quantiles, no p-value");
}

#[test]
fn every_error_says_something_of_its_own() {
    let errors = [
        Error::Unaligned,
        Error::Truncated { needed: 32, found: 3 },
        Error::TrailingBytes { stated: 32, found: 33 },
        Error::NotAnImage,
        Error::Version(7),
        Error::Checksum { stated: 1, computed: 2 },
        Malformed(Part::Header),
        Unsupported(Part::Experts),
        NotFiniteParameter(Part::Conditioner),
        AccumulatorOverflow,
        Error::WorkspaceMismatch { stated: 4, needed: 8 },
        Error::WorkspaceTooSmall { needed_words: 9, found_words: 8 },
        Error::FeatureCount { expected: 3, found: 2 },
        Error::NotFinite { feature: 1 },
    ];
    let texts: std::collections::HashSet<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(texts.len(), errors.len());
}
