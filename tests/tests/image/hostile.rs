//! No bytes make the loader panic, and none that it accepts make a score panic or be NaN.
//!
//! Run it once with overflow checks in the runtime as well, which release builds leave out:
//!
//! ```text
//! cargo test --release -p flowlet-tests --test image hostile:: \
//!     --config profile.release.package.flowlet.overflow-checks=true
//! ```

use flowlet::arithmetic::{Arithmetic, Fixed, Float};
use flowlet::conditioner::Scratch;
use flowlet::{
    explain_workspace_words, Error, Explainer, I16Affine, I8Affine, Model, Sampler, Scorer, Support,
};
use flowlet_tests::golden::image;
use flowlet_tests::golden_v2;
use flowlet_tests::surgery::{put, repair, repair_checksum, word};
use flowlet_tests::{metadata, trained, Random, NUMERICS};
use flowlet_tools::export::{build, Combine, Ensemble, ImageFile, Numeric};

/// Whether `bytes` load, from an aligned address.
fn load(bytes: &[u8]) -> Result<(), Error> {
    ImageFile::from_bytes(bytes).model().map(|_| ())
}

#[test]
fn every_truncation_is_an_error() {
    for numeric in NUMERICS {
        let good = image(numeric);
        let bytes = good.bytes();
        for length in 0..bytes.len() {
            let expected = match length {
                // The magic is wrong or missing: which of both is of no matter.
                0..4 => None,
                4..32 => Some(Error::Truncated { needed: 32, found: length as u32 }),
                _ => Some(Error::Truncated { needed: bytes.len() as u32, found: length as u32 }),
            };
            let found = load(&bytes[..length]).expect_err("cut short");
            assert!(expected.is_none_or(|e| e == found), "{numeric:?} cut to {length}: {found:?}");
            // And with a length and a checksum that say that all is well.
            let mut cut = bytes[..length].to_vec();
            repair(&mut cut);
            assert!(load(&cut).is_err(), "{numeric:?} cut to {length} and repaired");
        }
    }
}

#[test]
fn every_single_byte_flip_is_an_error() {
    for numeric in NUMERICS {
        let good = image(numeric);
        let mut copy = good.clone().bytes().to_vec();
        for at in 0..copy.len() {
            for mask in (0..8).map(|bit| 1 << bit).chain([0xff, 0x55, 0x0f]) {
                copy[at] ^= mask;
                assert!(load(&copy).is_err(), "{numeric:?}: byte {at} ^ {mask:#04x}");
                copy[at] ^= mask;
            }
        }
        assert_eq!(load(&copy), Ok(()));
    }
}

#[test]
fn every_header_flip_behind_a_right_checksum_is_an_error() {
    // From byte 16 on a forger can mend the checksum; every field there is checked for itself.
    for numeric in NUMERICS {
        let good = image(numeric);
        for at in 16..32 {
            for bit in 0..8 {
                let mut bytes = good.bytes().to_vec();
                bytes[at] ^= 1 << bit;
                repair_checksum(&mut bytes);
                assert!(load(&bytes).is_err(), "{numeric:?}: byte {at}, bit {bit}");
            }
        }
    }
}

#[test]
fn trailing_bytes_are_an_error() {
    for numeric in NUMERICS {
        let good = image(numeric);
        for more in 1..20 {
            let mut bytes = good.bytes().to_vec();
            let stated = bytes.len() as u32;
            bytes.resize(bytes.len() + more, 0);
            let found = bytes.len() as u32;
            assert_eq!(load(&bytes), Err(Error::TrailingBytes { stated, found }));
        }
    }
}

#[test]
fn an_unaligned_address_is_an_error() {
    let good = image(Numeric::F32);
    let mut bytes = vec![0u8; 16];
    bytes.extend(good.bytes());
    // The storage is aligned to 16, so that these addresses are off by 1, 2 and 3.
    for off in 1..4 {
        bytes.copy_within(16.., 16 - off);
        let storage = ImageFile::from_bytes(&bytes);
        let slice = &storage.bytes()[16 - off..][..good.bytes().len()];
        assert_eq!(Model::from_bytes(slice).unwrap_err(), Error::Unaligned);
        bytes.truncate(16);
        bytes.extend(good.bytes());
    }
    // A multiple of 4 is enough.
    let mut shifted = vec![0u8; 4];
    shifted.extend(good.bytes());
    assert!(Model::from_bytes(&ImageFile::from_bytes(&shifted).bytes()[4..]).is_ok());
}

/// Numbers at the edges of their types.
const SPECIAL: [u32; 12] = [
    0,
    1,
    0xffff_ffff,
    0x7fff_ffff,
    0x8000_0000,
    0x7f80_0000,
    0x7f7f_ffff,
    0xff7f_ffff,
    0x7fc0_0000,
    0x8000_0001,
    0x0000_ffff,
    0xffff_fff0,
];

fn mutate(random: &mut Random, bytes: &mut [u8]) {
    // Mostly behind the header, and half of that in the words.
    let words = word(bytes, 20) as usize;
    let from = match random.below(8) {
        0 => 0,
        1..4 => 32,
        _ => words.min(bytes.len() - 4),
    };
    let at = from + random.below(bytes.len() - from);
    let aligned = (at & !3).min(bytes.len() - 4);
    match random.below(7) {
        0 => bytes[at] ^= 1 << random.below(8),
        1 => bytes[at] = random.bits() as u8,
        2 => bytes[at] = bytes[at].wrapping_add(1),
        3 => put(bytes, aligned, SPECIAL[random.below(SPECIAL.len())]),
        4 => put(bytes, aligned, random.bits() as u32),
        5 => {
            let other = random.below(bytes.len() / 4) * 4;
            let copied = word(bytes, other);
            put(bytes, aligned, copied);
        }
        _ => {
            let scaled = f32::from_bits(word(bytes, aligned)) * 1e30;
            put(bytes, aligned, scaled.to_bits());
        }
    }
}

fn resize(random: &mut Random, bytes: &mut Vec<u8>) {
    let words = 4 * (1 + random.below(8));
    match random.below(3) {
        0 => bytes.truncate(bytes.len() - words),
        1 => bytes.extend((0..words).map(|_| random.bits() as u8)),
        _ => {
            // A hole or a bulge in the middle, so that everything behind it moves.
            let at = 32 + random.below(bytes.len() - 32 - words);
            if random.below(2) == 0 {
                bytes.drain(at..at + words);
            } else {
                let inserted: Vec<u8> = (0..words).map(|_| random.bits() as u8).collect();
                bytes.splice(at..at, inserted);
            }
        }
    }
}

fn wild_readings(random: &mut Random, features: usize) -> Vec<Vec<f32>> {
    let normal = (0..features).map(|_| 100.0 * random.normal()).collect();
    let any = (0..features)
        .map(|_| f32::from_bits(random.bits() as u32))
        .map(|x| if x.is_finite() { x } else { 0.0 })
        .collect();
    let edge = [0.0, f32::MAX, f32::MIN, -0.0, f32::from_bits(1), 1e6, -3e4];
    let edges = (0..features).map(|_| edge[random.below(edge.len())]).collect();
    vec![normal, any, edges]
}

/// Both directions of a chain, from any values: neither may panic.
fn there_and_back<A: Arithmetic>(model: &Model<'_>, reading: &[f32]) {
    let mut values: Vec<A::Value> = reading.iter().map(|x| A::value(x.to_bits()).unwrap()).collect();
    let words = (model.workspace_bytes() / 4 - reading.len()) / 2;
    let context = values.split_off(model.features());
    let (mut front, mut back) = (vec![0; words], vec![0; words]);
    let mut scratch = Scratch { front: &mut front, back: &mut back };
    let chain = model.experts().next().unwrap().chain;
    chain.forward::<A>(&mut values, &context, &mut scratch).expect("a checked image");
    chain.inverse::<A>(&mut values, &context, &mut scratch).expect("a checked image");
    let mut readings = vec![0.0; values.len()];
    model.standardizer::<A>().unwrap().inverse::<A>(&values, &mut readings).expect("a checked image");
}

/// An accepted image keeps every promise of the scorer.
fn keeps_its_promises(random: &mut Random, image: &ImageFile, what: &str) {
    let model = image.model().unwrap();
    let inputs = model.inputs();
    let mut workspace: Vec<u32> = (0..model.workspace_bytes() / 4).map(|_| random.bits() as u32).collect();
    let mut scorer = Scorer::new(&model, &mut workspace).unwrap();
    assert!(scorer.self_test().is_ok(), "{what}");
    for reading in wild_readings(random, inputs) {
        let score = scorer.score(&reading).unwrap_or_else(|e| panic!("{what}: {reading:?} gives {e}"));
        assert!(score.log_prob.is_finite(), "{what}: {reading:?} gives {score:?}");
        assert!(score.score.is_finite(), "{what}: {reading:?} gives {score:?}");
        assert!(score.p_value > 0.0 && score.p_value <= 1.0, "{what}: {reading:?} gives {score:?}");
        match model.numeric() {
            Numeric::F32 => there_and_back::<Float>(&model, &reading),
            _ => there_and_back::<Fixed>(&model, &reading),
        }
    }
    assert!(model.feature_names().count() == model.features());
    // An explanation takes a hundred passes.
    if random.below(8) == 0 {
        explains_and_draws(random, &model, what);
    }
}

/// What opens for less than everything scores as it should, though its records may be anything.
fn keeps_its_promises_in<S: Support>(random: &mut Random, image: &ImageFile, what: &str) {
    let Ok(model) = Model::<S>::open(image.bytes()) else {
        let needs = image.model().map(|model| model.needs());
        assert!(!needs.is_ok_and(|needs| S::CAPABILITIES.covers(needs)), "{what}: refused");
        return;
    };
    let mut workspace: Vec<u32> = (0..model.workspace_bytes() / 4).map(|_| random.bits() as u32).collect();
    let mut scorer = Scorer::new(&model, &mut workspace).unwrap();
    for reading in wild_readings(random, model.inputs()) {
        let score = scorer.score(&reading).unwrap_or_else(|e| panic!("{what}: {reading:?} gives {e}"));
        assert!(score.log_prob.is_finite() && score.score.is_finite(), "{what}: {reading:?} gives {score:?}");
        assert!(score.p_value > 0.0 && score.p_value <= 1.0, "{what}: {reading:?} gives {score:?}");
    }
}

/// Neither panics, and an explanation is in finite numbers that sum up.
fn explains_and_draws(random: &mut Random, model: &Model<'_>, what: &str) {
    let mut workspace: Vec<u32> = (0..explain_workspace_words(model)).map(|_| random.bits() as u32).collect();
    let mut explainer = Explainer::new(model, &mut workspace).unwrap();
    let readings = wild_readings(random, model.inputs());
    for reading in &readings {
        let e = explainer.explain(reading).unwrap_or_else(|e| panic!("{what}: {reading:?} gives {e}"));
        let all = e.gradient.iter().chain(e.attribution).chain(e.nearest_normal);
        assert!(all.chain([&e.score, &e.excess]).all(|x| x.is_finite()), "{what}: {reading:?} gives {e:?}");
    }
    let mut sampler = Sampler::new(model, &mut workspace).unwrap();
    let mut drawn = vec![0.0; model.features()];
    for reading in &readings {
        let context = &reading[model.features()..];
        sampler.sample_in_context(random, context, &mut drawn).unwrap_or_else(|e| panic!("{what}: {e}"));
    }
}

/// Images of version 2: experts with a mixture among them, a context, and every kind of part in one.
#[test]
fn random_mutations_of_experts_load_as_an_error_or_score() {
    const MUTATIONS: usize = 12_000;
    for numeric in NUMERICS {
        let rows = trained::readings(200, 2);
        let experts = Ensemble { combine: Combine::Minimum, ..Ensemble::new(trained::experts().to_vec()) };
        let calibration = trained::calibration(&rows);
        let experts = build(&experts, numeric, &metadata(trained::FEATURES), calibration).unwrap();
        let rows = trained::readings_by_speed(200, 2);
        let calibration = trained::calibration(&rows);
        let in_context = build(trained::by_speed(), numeric, &trained::metadata(2, 1), calibration).unwrap();
        let every_kind = golden_v2::image(numeric);
        for (kind, good) in [("experts", &experts), ("context", &in_context), ("every kind", &every_kind)] {
            let mut accepted = 0;
            for index in 0..MUTATIONS {
                let mut random = Random((numeric as u64) << 40 | (kind.len() as u64) << 32 | index as u64);
                let mut bytes = good.bytes().to_vec();
                for _ in 0..1 + random.below(4) {
                    mutate(&mut random, &mut bytes);
                }
                repair(&mut bytes);
                let mutant = ImageFile::from_bytes(&bytes);
                if mutant.model().is_ok() {
                    accepted += 1;
                    keeps_its_promises(&mut random, &mutant, &format!("{numeric:?} {kind} mutation {index}"));
                }
            }
            println!("{numeric:?}, {kind}: {accepted} of {MUTATIONS} mutants load and score");
            assert!(accepted > MUTATIONS / 20, "{numeric:?}, {kind}: only {accepted}");
        }
    }
}

#[test]
fn random_mutations_load_as_an_error_or_score() {
    const MUTATIONS: usize = 100_000;
    for numeric in NUMERICS {
        let good = image(numeric);
        let mut accepted = 0;
        for index in 0..MUTATIONS {
            // A generator per mutation, so that a failure can be repeated alone.
            let mut random = Random((numeric as u64) << 32 | index as u64);
            let mut bytes = good.bytes().to_vec();
            for _ in 0..1 + random.below(4) {
                mutate(&mut random, &mut bytes);
            }
            if index % 4 == 3 {
                resize(&mut random, &mut bytes);
            }
            if index % 2 == 0 {
                repair_checksum(&mut bytes);
            } else {
                repair(&mut bytes);
            }
            let mutant = ImageFile::from_bytes(&bytes);
            let what = format!("{numeric:?} mutation {index}");
            if mutant.model().is_ok() {
                accepted += 1;
                keeps_its_promises(&mut random, &mutant, &what);
            }
            match numeric {
                Numeric::I8 => keeps_its_promises_in::<I8Affine>(&mut random, &mutant, &what),
                Numeric::I16 => keeps_its_promises_in::<I16Affine>(&mut random, &mutant, &what),
                _ => {}
            }
        }
        println!("{numeric:?}: {accepted} of {MUTATIONS} mutants load and score");
        assert!(accepted > MUTATIONS / 20, "{numeric:?}: only {accepted} mutants got past the check");
    }
}

#[test]
fn the_checksum_is_the_published_one() {
    // The check value of CRC-32/ISO-HDLC in the RevEng catalogue.
    assert_eq!(flowlet_tests::surgery::crc32(b"123456789"), 0xcbf4_3926);
    assert_eq!(flowlet::image::layout::checksum(b"123456789"), 0xcbf4_3926);
}

#[test]
fn noise_is_an_error() {
    let mut random = Random(5);
    for _ in 0..20_000 {
        let mut bytes: Vec<u8> = (0..random.below(200)).map(|_| random.bits() as u8).collect();
        if bytes.len() >= 6 && random.below(2) == 0 {
            bytes[..6].copy_from_slice(b"FLOW\x01\0");
            repair(&mut bytes);
        }
        assert!(load(&bytes).is_err());
    }
}
