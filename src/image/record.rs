//! Reads the numbers of the descriptor's records from postcard's bytes: a few hundred bytes of code on the way to a score,
//! where a general deserializer takes thousands. What it accepts is what postcard accepts, tested against it; names and
//! notes, which no score needs, are left to postcard itself.

use super::descriptor::{
    AlarmRecord, CalibrationRecord, CertificateRecord, Combine, ExpertRecord, Head, Numeric, OtherStatistics,
    SelfTestRecord, Statistic,
};
use crate::base::BaseRecord;

/// A record of the descriptor.
pub(crate) trait Record<'a>: Sized {
    /// The record at the front of the bytes; leaves those behind it. Of a malformed one, anything: see
    /// [`Reader::is_good`].
    fn read(from: &mut Reader<'a>) -> Self;
}

/// One record at the front of `bytes`, and the bytes behind it; `None` if it is malformed.
pub(crate) fn take<'a, T: Record<'a>>(bytes: &'a [u8]) -> Option<(T, &'a [u8])> {
    let mut reader = Reader::new(bytes);
    let record = T::read(&mut reader);
    reader.is_good.then_some((record, reader.rest))
}

/// Bytes that are read front to back.
///
/// What cannot be read is zero or empty, and so is all behind it: whoever has read a record asks [`Self::is_good`], once,
/// instead of passing on what each of its numbers lacks.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    is_good: bool,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(rest: &'a [u8]) -> Self {
        Reader { rest, is_good: true }
    }

    /// Whether all that was read so far was there and well formed.
    pub(crate) fn is_good(&self) -> bool {
        self.is_good
    }

    /// The bytes that are not read yet.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// What is read is malformed.
    pub(crate) fn fail(&mut self) {
        self.rest = &[];
        self.is_good = false;
    }

    #[inline(never)]
    pub(crate) fn byte(&mut self) -> u8 {
        match self.rest.split_first() {
            Some((&first, rest)) => {
                self.rest = rest;
                first
            }
            None => {
                self.fail();
                0
            }
        }
    }

    pub(crate) fn bytes(&mut self, count: usize) -> &'a [u8] {
        match self.rest.split_at_checked(count) {
            Some((bytes, rest)) => {
                self.rest = rest;
                bytes
            }
            None => {
                self.fail();
                &[]
            }
        }
    }

    /// A varint: seven bits a byte, the lowest first.
    #[inline(never)]
    pub(crate) fn number(&mut self) -> u32 {
        let (mut number, mut shift) = (0, 0);
        loop {
            let byte = self.byte();
            number |= u32::from(byte & 0x7f) << shift;
            if shift == 28 && byte >= 16 {
                // The fifth byte has the last four bits.
                self.fail();
                return 0;
            }
            if byte & 0x80 == 0 {
                return number;
            }
            shift = (shift + 7) & 31;
        }
    }

    /// A varint of 16 bits, of at most three bytes.
    #[inline(never)]
    pub(crate) fn short(&mut self) -> u16 {
        let before = self.rest.len();
        let number = self.number();
        if before - self.rest.len() > 3 || number > u32::from(u16::MAX) {
            self.fail();
        }
        number as u16
    }

    /// One of `choices` by its number.
    pub(crate) fn choice<T: Copy, const N: usize>(&mut self, choices: [T; N]) -> Option<T> {
        let number = self.number();
        let choice = choices.get(number as usize).copied();
        if choice.is_none() {
            self.fail();
        }
        choice
    }

    #[inline(never)]
    pub(crate) fn f32(&mut self) -> f32 {
        f32::from_le_bytes(self.bytes(4).first_chunk().copied().unwrap_or_default())
    }

    pub(crate) fn counted(&mut self) -> &'a [u8] {
        let count = self.number();
        self.bytes(count as usize)
    }

    /// The bytes of a string, known to be UTF-8.
    #[inline(never)]
    pub(crate) fn text(&mut self) -> Text<'a> {
        let text = self.counted();
        if !is_utf8(text) {
            self.fail();
        }
        Text(text)
    }
}

/// The bytes of a string, known to be UTF-8.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Text<'a>(&'a [u8]);

impl<'a> Text<'a> {
    /// As a string: empty if it is none after all.
    pub(crate) fn as_str(self) -> &'a str {
        core::str::from_utf8(self.0).unwrap_or_default()
    }
}

/// Whether bytes are UTF-8 (RFC 3629: the shortest form, no surrogates, at most U+10FFFF).
fn is_utf8(mut bytes: &[u8]) -> bool {
    while let Some((&first, mut rest)) = bytes.split_first() {
        let length = (!first).leading_zeros();
        if length != 0 {
            if !(2..=4).contains(&length) {
                return false;
            }
            let mut point = u32::from(first) & (0x7f >> length);
            for _ in 1..length {
                let Some((&next, behind)) = rest.split_first() else { return false };
                if next & 0xc0 != 0x80 {
                    return false;
                }
                point = point << 6 | u32::from(next & 0x3f);
                rest = behind;
            }
            // The first point that needs so many bytes: 2^7, 2^11, 2^16.
            let least = if length == 2 { 0x80 } else { 1 << (5 * length - 4) };
            if point < least || char::from_u32(point).is_none() {
                return false;
            }
        }
        bytes = rest;
    }
    true
}

/// The numbers of a [`Head`].
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(crate) struct Core {
    pub(crate) numeric: Numeric,
    pub(crate) features: u16,
    pub(crate) contexts: u16,
    pub(crate) experts: u8,
    pub(crate) quoted: u8,
    pub(crate) combine: Combine,
    pub(crate) statistic: Statistic,
    pub(crate) entropy: f32,
    pub(crate) standardizer: u32,
    pub(crate) calibration: CalibrationRecord,
    pub(crate) self_test: SelfTestRecord,
}

impl Core {
    /// The whole head, with its texts.
    pub(crate) fn head<'a>(self, (name, provenance, front_end): (&'a str, &'a str, &'a [u8])) -> Head<'a> {
        let Core { numeric, features, contexts, experts, quoted, combine, statistic, .. } = self;
        let Core { entropy, standardizer, calibration, self_test, .. } = self;
        Head {
            name,
            provenance,
            front_end,
            numeric,
            features,
            contexts,
            experts,
            quoted,
            combine,
            statistic,
            entropy,
            standardizer,
            calibration,
            self_test,
        }
    }
}

/// A [`Head`], its strings still bytes.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(not(test), allow(dead_code, reason = "texts are read by the test against postcard alone"))]
pub(crate) struct RawHead<'a> {
    name: Text<'a>,
    provenance: Text<'a>,
    pub(crate) front_end: &'a [u8],
    pub(crate) core: Core,
}

impl<'a> Record<'a> for RawHead<'a> {
    #[inline]
    fn read(from: &mut Reader<'a>) -> Self {
        RawHead {
            name: from.text(),
            provenance: from.text(),
            front_end: from.counted(),
            core: Core::read(from),
        }
    }
}

impl<'a> Record<'a> for Core {
    #[inline]
    fn read(from: &mut Reader<'a>) -> Self {
        let numerics = [Numeric::F32, Numeric::I16, Numeric::I8, Numeric::F32FastMath];
        Core {
            numeric: from.choice(numerics).unwrap_or(Numeric::F32),
            features: from.short(),
            contexts: from.short(),
            experts: from.byte(),
            quoted: from.byte(),
            combine: from
                .choice([Combine::Quoted, Combine::Minimum, Combine::Mean])
                .unwrap_or(Combine::Quoted),
            statistic: from.choice(Statistic::ALL).unwrap_or(Statistic::NegativeLogProb),
            entropy: from.f32(),
            standardizer: from.number(),
            calibration: CalibrationRecord::read(from),
            self_test: SelfTestRecord { offset: from.number(), vectors: from.short() },
        }
    }
}

impl<'a> Record<'a> for CalibrationRecord {
    #[inline(never)]
    fn read(from: &mut Reader<'a>) -> Self {
        CalibrationRecord {
            offset: from.number(),
            quantiles: from.short(),
            readings: from.number(),
            false_alarm_rate: from.f32(),
        }
    }
}

/// A [`Feature`] that was read over.
pub(crate) struct SkippedFeature;

impl<'a> Record<'a> for SkippedFeature {
    fn read(from: &mut Reader<'a>) -> Self {
        from.text();
        from.text();
        SkippedFeature
    }
}

impl<'a> Record<'a> for ExpertRecord {
    #[inline(never)]
    fn read(from: &mut Reader<'a>) -> Self {
        ExpertRecord {
            chain: from.number(),
            transforms: from.short(),
            base: match from.number() {
                0 => BaseRecord::StandardNormal,
                1 => BaseRecord::StudentT { offset: from.number() },
                2 => BaseRecord::Mixture { offset: from.number(), components: from.byte() },
                _ => {
                    from.fail();
                    BaseRecord::StandardNormal
                }
            },
        }
    }
}

/// [`Notes`], unread.
#[cfg_attr(not(test), allow(dead_code, reason = "texts are read by the test against postcard alone"))]
pub(crate) struct RawNotes<'a>(Text<'a>);

impl<'a> Record<'a> for RawNotes<'a> {
    fn read(from: &mut Reader<'a>) -> Self {
        RawNotes(from.text())
    }
}

impl<'a> Record<'a> for OtherStatistics {
    fn read(from: &mut Reader<'a>) -> Self {
        OtherStatistics { others: [CalibrationRecord::read(from), CalibrationRecord::read(from)] }
    }
}

impl<'a> Record<'a> for CertificateRecord {
    fn read(from: &mut Reader<'a>) -> Self {
        CertificateRecord {
            over_box: from.f32(),
            near_rows: from.f32(),
            radius: from.f32(),
            at_rows: from.f32(),
            rows: from.number(),
        }
    }
}

impl<'a> Record<'a> for AlarmRecord {
    fn read(from: &mut Reader<'a>) -> Self {
        let mut numbers = [0; AlarmRecord::NUMBERS];
        for number in &mut numbers {
            *number = from.number();
        }
        AlarmRecord::from_numbers(numbers)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::super::descriptor::{Feature, Notes};
    use super::*;
    use serde::{Deserialize, Serialize};
    use std::vec::Vec;

    impl<'a> Record<'a> for Feature<'a> {
        fn read(from: &mut Reader<'a>) -> Self {
            Feature { name: from.text().as_str(), unit: from.text().as_str() }
        }
    }

    impl<'a> From<RawNotes<'a>> for Notes<'a> {
        fn from(notes: RawNotes<'a>) -> Self {
            Notes { trained_as: notes.0.as_str() }
        }
    }

    impl<'a> From<RawHead<'a>> for Head<'a> {
        fn from(head: RawHead<'a>) -> Self {
            head.core.head((head.name.as_str(), head.provenance.as_str(), head.front_end))
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
        let ours =
            take::<T>(bytes).map(|(record, rest)| (postcard::to_stdvec(&record.into()).unwrap(), rest));
        let theirs = postcard::take_from_bytes::<U>(bytes)
            .ok()
            .map(|(r, rest)| (postcard::to_stdvec(&r).unwrap(), rest));
        assert_eq!(ours, theirs, "{bytes:?}");
    }

    fn all_agree(bytes: &[u8]) {
        agree::<RawHead<'_>, Head<'_>>(bytes);
        agree::<CalibrationRecord, CalibrationRecord>(bytes);
        agree::<Feature<'_>, Feature<'_>>(bytes);
        agree::<ExpertRecord, ExpertRecord>(bytes);
        agree::<RawNotes<'_>, Notes<'_>>(bytes);
        agree::<OtherStatistics, OtherStatistics>(bytes);
        agree::<CertificateRecord, CertificateRecord>(bytes);
        agree::<AlarmRecord, AlarmRecord>(bytes);
        assert_eq!(
            take::<SkippedFeature>(bytes).map(|(_, rest)| rest),
            take::<Feature<'_>>(bytes).map(|(_, rest)| rest)
        );
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
            numeric: [Numeric::F32, Numeric::I16, Numeric::I8, Numeric::F32FastMath]
                [random.next() as usize % 4],
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
            0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xec,
            0xed, 0xee, 0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xf8, 0xff,
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
}
