//! Words of base distributions, broken one at a time, with the error that each must give; and mutants at random, which
//! are refused or evaluated without a panic.

use flowlet::arithmetic::{Arithmetic, Fixed, Float};
use flowlet::base::{Base, BaseRecord};
use flowlet::{Error, Part};
use flowlet_tests::evaluate::image_of;
use flowlet_tests::Random;
use flowlet_tools::export::Numeric;
use flowlet_tools::flow::{self, Flow, Mixture, StudentT};
use Error::{Malformed, NotFiniteParameter};

const FEATURES: usize = 3;
const COMPONENTS: usize = 2;
const MALFORMED: Error = Malformed(Part::Base);
const NOT_FINITE: Error = NotFiniteParameter(Part::Base);
const NAN: u32 = 0x7fc0_0000;
const INFINITY: u32 = 0x7f80_0000;

/// The words of a base, without those around it, by their own offset.
fn words(base: flow::Base, numeric: Numeric, record: BaseRecord, count: usize) -> Vec<u32> {
    let image = image_of(&Flow { features: FEATURES, base, ..Flow::default() }, numeric);
    let bytes = image.bytes();
    let from = u32::from_le_bytes(bytes[20..24].try_into().expect("four bytes")) as usize;
    let all: Vec<u32> = bytes[from..]
        .chunks_exact(4)
        .map(|w| u32::from_le_bytes(w.try_into().expect("four bytes")))
        .collect();
    // Standardizer first: its log_det and 3 or 5 words a feature; no chain.
    let offset = 2 + FEATURES * if numeric == Numeric::F32 { 3 } else { 5 };
    let found = all[offset..offset + count].to_vec();
    assert_eq!(check_in(numeric, record, &found), Ok(()), "{numeric:?}");
    found
}

fn check_in(numeric: Numeric, record: BaseRecord, words: &[u32]) -> Result<(), Error> {
    let base = Base::parse(record, words, FEATURES).ok_or(MALFORMED)?;
    match numeric {
        Numeric::F32 => base.check::<Float>()?,
        _ => base.check::<Fixed>()?,
    }
    Ok(())
}

const STUDENT: BaseRecord = BaseRecord::StudentT { offset: 0 };
const MIXTURE: BaseRecord = BaseRecord::Mixture { offset: 0, components: COMPONENTS as u8 };

fn student(numeric: Numeric) -> Vec<u32> {
    let base = StudentT { degrees: vec![4.0; 3], location: vec![0.5; 3], log_scale: vec![-0.25; 3] };
    let each = if numeric == Numeric::F32 { 4 } else { 5 };
    words(flow::Base::StudentT(base), numeric, STUDENT, 1 + FEATURES * each)
}

fn mixture(numeric: Numeric) -> Vec<u32> {
    let base = Mixture {
        log_weights: [0.75f32, 0.25].map(f32::ln).to_vec(),
        means: vec![1.0, -2.0, 0.5, 3.0, 0.0, -1.0],
        log_std: vec![-1.0, 0.0, -0.5, 0.25, -2.0, 0.1],
    };
    let each = if numeric == Numeric::F32 { 2 } else { 1 };
    words(flow::Base::Mixture(base), numeric, MIXTURE, 1 + COMPONENTS * (2 + FEATURES * each))
}

fn refuses(numeric: Numeric, record: BaseRecord, good: &[u32], cases: &[(&str, usize, u32, Error)]) {
    for &(what, at, word, expected) in cases {
        let mut hurt = good.to_vec();
        hurt[at] = word;
        assert_eq!(check_in(numeric, record, &hurt), Err(expected), "{numeric:?}: {what}");
    }
}

#[test]
fn every_word_of_a_student_t_is_checked() {
    let half = 0.5f32.to_bits();
    let minus = (-1.0f32).to_bits();
    refuses(
        Numeric::F32,
        STUDENT,
        &student(Numeric::F32),
        &[
            ("constant NaN", 0, NAN, NOT_FINITE),
            ("location infinite", 1, INFINITY, NOT_FINITE),
            ("scale NaN", 2, NAN, NOT_FINITE),
            ("scale zero", 2, 0, MALFORMED),
            ("scale negative", 2, minus, MALFORMED),
            ("inverse degrees zero", 3, 0, MALFORMED),
            ("inverse degrees NaN", 3, NAN, NOT_FINITE),
            ("exponent of no degrees", 4, half, MALFORMED),
            ("exponent infinite", 4, INFINITY, NOT_FINITE),
            ("last feature's scale", 1 + 2 * 4 + 1, minus, MALFORMED),
        ],
    );
    refuses(
        Numeric::I16,
        STUDENT,
        &student(Numeric::I16),
        &[
            ("mantissa small", 2, (1 << 30) - 1, MALFORMED),
            ("mantissa large", 2, 1 << 31, MALFORMED),
            ("inverse degrees zero", 3, 0, MALFORMED),
            ("inverse degrees large", 3, 1 << 31, MALFORMED),
            ("exponent below one half", 4, (1 << 20) - 1, MALFORMED),
            ("exponent large", 4, 1 << 31, MALFORMED),
            ("shift zero", 5, 0, MALFORMED),
            ("shift large", 5, 63, MALFORMED),
            ("last feature's shift", 1 + 2 * 5 + 4, 0, MALFORMED),
        ],
    );
}

#[test]
fn every_word_of_a_mixture_is_checked() {
    let float = mixture(Numeric::F32);
    refuses(
        Numeric::F32,
        MIXTURE,
        &float,
        &[
            ("format", 0, 1, MALFORMED),
            ("format's unused bits", 0, 1 << 16, MALFORMED),
            ("constant NaN", 1, NAN, NOT_FINITE),
            ("weights that fall", 2, u32::MAX, MALFORMED).min_second(&float),
            ("mean NaN", 3, NAN, NOT_FINITE),
            ("precision zero", 6, 0, MALFORMED),
            ("precision negative", 6, (-1.0f32).to_bits(), MALFORMED),
            ("precision infinite", 8, INFINITY, NOT_FINITE),
            ("weights that do not end at one", 10, u32::MAX - 1, MALFORMED),
        ],
    );
    let fixed = mixture(Numeric::I16);
    let format = |shift: u32, bits: u32| shift | bits << 8;
    refuses(
        Numeric::I16,
        MIXTURE,
        &fixed,
        &[
            ("mean shift 3", 0, format(3, 12), MALFORMED),
            ("mean shift 16", 0, format(16, 12), MALFORMED),
            ("7 bits", 0, format(10, 7), MALFORMED),
            ("23 bits", 0, format(10, 23), MALFORMED),
            ("format's unused bits", 0, format(10, 12) | 1 << 31, MALFORMED),
            ("precision zero", 3, 0x1234_0000, MALFORMED),
            ("precision negative", 5, 0x0001_8000, MALFORMED),
            ("weights that do not end at one", 7, 0, MALFORMED),
        ],
    );
    for numeric in [Numeric::F32, Numeric::I16] {
        let good = mixture(numeric);
        for components in [0, 1, 3, 64, 65, 255] {
            let record = BaseRecord::Mixture { offset: 0, components };
            assert_eq!(check_in(numeric, record, &good), Err(MALFORMED), "{components} components");
        }
    }
}

/// A first weight above the second only breaks the order if the second is not the largest number too.
trait Lowered {
    fn min_second(self, words: &[u32]) -> Self;
}

impl Lowered for (&str, usize, u32, Error) {
    fn min_second(self, words: &[u32]) -> Self {
        // The last cumulative weight is lowered instead: below the first.
        (self.0, 2 + (words.len() - 1) / COMPONENTS, words[2] - 1, self.3)
    }
}

#[test]
fn what_is_cut_short_or_lies_beyond_the_end_is_refused() {
    for numeric in [Numeric::F32, Numeric::I16] {
        for (record, good) in [(STUDENT, student(numeric)), (MIXTURE, mixture(numeric))] {
            for length in 0..good.len() {
                assert_eq!(check_in(numeric, record, &good[..length]), Err(MALFORMED), "{length} words");
            }
        }
        for offset in [1000, u32::MAX] {
            assert!(Base::parse(BaseRecord::StudentT { offset }, &[0; 8], FEATURES).is_none());
            assert!(Base::parse(BaseRecord::Mixture { offset, components: 1 }, &[0; 8], FEATURES).is_none());
        }
    }
}

fn evaluate<A: Arithmetic>(base: &Base<'_>, z: &[A::Value]) -> bool {
    if base.check::<A>().is_err() {
        return false;
    }
    let log_prob = A::log_to_f32(A::settle(base.log_prob::<A>(z)));
    assert!(log_prob.is_finite(), "{log_prob}");
    let _ = base.squared_norm::<A>(z);
    base.slope::<A>(z, &mut [0.0; FEATURES]);
    base.mode::<A>(z, &mut [A::ZERO; FEATURES]);
    true
}

#[test]
fn mutants_are_refused_or_evaluated_without_a_panic() {
    let mut random = Random(99);
    for numeric in [Numeric::F32, Numeric::I16] {
        for (record, good) in [(STUDENT, student(numeric)), (MIXTURE, mixture(numeric))] {
            let mut accepted = 0;
            for _ in 0..40_000 {
                let mut words = good.clone();
                for _ in 0..=random.below(3) {
                    let at = random.below(words.len());
                    words[at] = match random.below(3) {
                        0 => random.bits() as u32,
                        1 => words[at] ^ (1 << random.below(32)),
                        _ => [0, 1, u32::MAX, i32::MAX as u32, 1 << 31, NAN, INFINITY][random.below(7)],
                    };
                }
                let base = Base::parse(record, &words, FEATURES).expect("the words are there");
                let wild = random.below(2) == 0;
                accepted += usize::from(match numeric {
                    Numeric::F32 => {
                        let mut one =
                            || if wild { f32::from_bits(random.bits() as u32) } else { random.normal() };
                        let z = [(); FEATURES].map(|()| one());
                        // A chain gives no NaN; an infinity at most with absurd weights.
                        evaluate::<Float>(&base, &z.map(|z| if z.is_nan() { 0.0 } else { z }))
                    }
                    _ => {
                        let mut one =
                            || if wild { random.bits() as i32 } else { (random.bits() as i32) >> 12 };
                        evaluate::<Fixed>(&base, &[(); FEATURES].map(|()| one()))
                    }
                });
            }
            println!("{numeric:?} {record:?}: {accepted} of 40000 mutants pass the check");
            assert!(accepted > 1000 && accepted < 39_000);
        }
    }
}
