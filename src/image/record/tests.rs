extern crate std;
use super::*;
use crate::image::descriptor::{ExpertRecord, Feature, Notes};
use serde::{Deserialize, Serialize};
use std::vec::Vec;

impl<'a> Record<'a> for Feature<'a> {
    fn read(from: &mut Reader<'a>) -> Self {
        Feature { name: from.text().as_str(), unit: from.text().as_str() }
    }
}

impl From<RawExpert> for ExpertRecord {
    fn from(raw: RawExpert) -> Self {
        ExpertRecord { chain: raw.chain, transforms: raw.transforms, base: raw.base() }
    }
}

impl<'a> From<RawNotes<'a>> for Notes<'a> {
    fn from(notes: RawNotes<'a>) -> Self {
        Notes { trained_as: notes.0.as_str() }
    }
}

impl<'a> From<RawHead<'a>> for Head<'a> {
    fn from(head: RawHead<'a>) -> Self {
        head.head()
    }
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as u32
    }

    /// A number of any size.
    pub(crate) fn number(&mut self) -> u32 {
        let shift = self.next() % 32;
        (self.next() << 1 | self.next() & 1) >> shift
    }
}

/// Both readers on the same bytes: what they find, as postcard writes it, and what they leave.
fn agree<'a, T, U>(bytes: &'a [u8])
where
    T: Record<'a> + Into<U>,
    U: Serialize + Deserialize<'a>,
{
    let ours = take::<T>(bytes).map(|(record, rest)| (postcard::to_stdvec(&record.into()).unwrap(), rest));
    let theirs =
        postcard::take_from_bytes::<U>(bytes).ok().map(|(r, rest)| (postcard::to_stdvec(&r).unwrap(), rest));
    assert_eq!(ours, theirs, "{bytes:?}");
}

fn all_agree(bytes: &[u8]) {
    agree::<RawHead<'_>, Head<'_>>(bytes);
    agree::<CalibrationRecord, CalibrationRecord>(bytes);
    agree::<Feature<'_>, Feature<'_>>(bytes);
    agree::<RawExpert, ExpertRecord>(bytes);
    agree::<RawNotes<'_>, Notes<'_>>(bytes);
    agree::<OtherStatistics, OtherStatistics>(bytes);
    agree::<CertificateRecord, CertificateRecord>(bytes);
    agree::<AlarmRecord, AlarmRecord>(bytes);
}

fn records(random: &mut Random) -> Vec<Vec<u8>> {
    let calibration = |random: &mut Random| CalibrationRecord {
        offset: random.number(),
        quantiles: random.number() as u16,
        readings: random.number(),
        false_alarm_rate: 0.01,
    };
    let head = Head {
        name: "pump \u{e4}\u{20ac}\u{1f600}",
        provenance: "",
        front_end: &[1, 2, 255],
        numeric: [Numeric::F32, Numeric::I16, Numeric::I8, Numeric::F32FastMath][random.next() as usize % 4],
        features: random.number() as u16,
        contexts: random.number() as u16,
        experts: random.next() as u8,
        quoted: random.next() as u8,
        combine: [Combine::Quoted, Combine::Minimum, Combine::Mean][random.next() as usize % 3],
        statistic: Statistic::ALL[random.next() as usize % 3],
        entropy: 1.5,
        standardizer: random.number(),
        calibration: calibration(random),
        self_test: SelfTestRecord { offset: random.number(), vectors: random.number() as u16 },
    };
    let base = match random.next() % 3 {
        0 => BaseRecord::StandardNormal,
        1 => BaseRecord::StudentT { offset: random.number() },
        _ => BaseRecord::Mixture { offset: random.number(), components: random.next() as u8 },
    };
    let expert = ExpertRecord { chain: random.number(), transforms: random.number() as u16, base };
    let others = OtherStatistics { others: [calibration(random), calibration(random)] };
    let certificate = CertificateRecord {
        over_box: f32::INFINITY,
        near_rows: 0.5,
        radius: 0.01,
        at_rows: 0.02,
        rows: random.number(),
    };
    std::vec![
        postcard::to_stdvec(&head).unwrap(),
        postcard::to_stdvec(&Feature { name: "\u{7ff}\u{800}\u{ffff}", unit: "Pa" }).unwrap(),
        postcard::to_stdvec(&expert).unwrap(),
        postcard::to_stdvec(&Notes { trained_as: "standardize, affine_coupling x4" }).unwrap(),
        postcard::to_stdvec(&others).unwrap(),
        postcard::to_stdvec(&certificate).unwrap(),
        postcard::to_stdvec(&AlarmRecord::from_numbers([(); 11].map(|()| random.number()))).unwrap(),
    ]
}

#[test]
fn reads_what_postcard_reads_and_refuses_what_it_refuses() {
    let mut random = Random(1);
    for _ in 0..300 {
        for record in records(&mut random) {
            all_agree(&record);
            for length in 0..record.len() {
                all_agree(&record[..length]);
            }
            for _ in 0..40 {
                let mut damaged = record.clone();
                let at = random.next() as usize % damaged.len();
                damaged[at] = random.next() as u8;
                // Long enough that a changed length may find its bytes.
                damaged.extend((0..random.next() % 12).map(|_| 0x80 | random.next() as u8));
                all_agree(&damaged);
            }
        }
    }
}

#[test]
fn numbers_have_one_length_at_most() {
    for bytes in [
        &[0xff, 0xff, 0xff, 0xff, 0x0f][..],
        &[0xff, 0xff, 0xff, 0xff, 0x10],
        &[0x80, 0x80, 0x80, 0x80, 0x80, 0x00],
        &[0x80, 0x80, 0x80, 0x00],
        &[0xff, 0xff, 0x03],
        &[0xff, 0xff, 0x04],
        &[0x80, 0x80, 0x00],
    ] {
        let mut reader = Reader::new(bytes);
        let number = reader.number();
        assert_eq!(
            reader.is_good().then_some(number),
            postcard::take_from_bytes::<u32>(bytes).ok().map(|(n, _)| n),
            "{bytes:?}"
        );
        let mut reader = Reader::new(bytes);
        let short = reader.short();
        assert_eq!(
            reader.is_good().then_some(short),
            postcard::take_from_bytes::<u16>(bytes).ok().map(|(n, _)| n),
            "{bytes:?}"
        );
    }
}

#[test]
fn utf8_is_what_the_standard_library_takes_for_it() {
    let edges = [
        0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xec, 0xed,
        0xee, 0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xf8, 0xff,
    ];
    for a in edges {
        for b in edges {
            for c in edges {
                for d in edges {
                    let bytes = [a, b, c, d];
                    for length in 1..=4 {
                        let bytes = &bytes[..length];
                        assert_eq!(is_utf8(bytes), core::str::from_utf8(bytes).is_ok(), "{bytes:x?}");
                    }
                }
            }
        }
    }
}
