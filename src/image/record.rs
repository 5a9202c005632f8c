//! Reads the numbers of the descriptor's records from postcard's bytes: a few hundred bytes of code on the way to a score,
//! where a general deserializer takes thousands. What it accepts is what postcard accepts, tested against it; names and
//! notes, which no score needs, are left to postcard itself.

use super::descriptor::{
    AlarmRecord, CalibrationRecord, CertificateRecord, Combine, Head, Numeric, OtherStatistics,
    SelfTestRecord, Statistic,
};
use crate::base::BaseRecord;
use crate::support::{Capabilities, Capability};

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

    /// What is read is malformed; gives zero, to be returned in its place.
    #[cold]
    #[inline(never)]
    pub(crate) fn fail(&mut self) -> u32 {
        self.rest = &[];
        self.is_good = false;
        0
    }

    #[inline(never)]
    pub(crate) fn byte(&mut self) -> u8 {
        match self.rest.split_first() {
            Some((&first, rest)) => {
                self.rest = rest;
                first
            }
            None => self.fail() as u8,
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

    /// A varint of 32 bits.
    pub(crate) fn number(&mut self) -> u32 {
        // The fifth byte has the last four bits.
        self.varint(4)
    }

    /// A varint of 16 bits, of at most three bytes.
    pub(crate) fn short(&mut self) -> u16 {
        self.varint(2) as u16
    }

    /// A varint: seven bits a byte, the lowest first; `last` bytes stand before the last that it may have, which has as many
    /// bits as they are.
    #[inline(never)]
    fn varint(&mut self, last: u32) -> u32 {
        let (mut number, mut index) = (0, 0);
        loop {
            let byte = u32::from(self.byte());
            number |= (byte & 0x7f) << ((7 * index) & 31);
            if index == last && byte >> (last & 7) != 0 {
                return self.fail();
            }
            if byte & 0x80 == 0 {
                return number;
            }
            index += 1;
        }
    }

    /// A varint below `limit`; zero in place of another.
    #[inline(never)]
    pub(crate) fn below(&mut self, limit: u32) -> u32 {
        let number = self.number();
        if number < limit {
            return number;
        }
        self.fail()
    }

    #[inline(always)]
    pub(crate) fn f32(&mut self) -> f32 {
        f32::from_bits(self.word())
    }

    /// Four bytes, the lowest first.
    #[inline(never)]
    fn word(&mut self) -> u32 {
        let mut word = 0;
        for _ in 0..4 {
            word = word >> 8 | u32::from(self.byte()) << 24;
        }
        word
    }

    #[inline(never)]
    pub(crate) fn counted(&mut self) -> &'a [u8] {
        let count = self.number();
        self.bytes(count as usize)
    }

    /// [`Self::text`] for who has a use for it; else the bytes are passed over.
    #[inline(always)]
    pub(crate) fn text_within(&mut self, supports: Capabilities) -> Text<'a> {
        if supports.has(Capability::Records) {
            self.text()
        } else {
            Text(self.counted())
        }
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

/// The numbers of a [`Head`] that scores need.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(crate) struct Core {
    pub(crate) standardizer: u32,
    /// Offset of the calibration.
    pub(crate) calibration: u32,
    pub(crate) entropy: f32,
    pub(crate) quantiles: u16,
    pub(crate) features: u16,
    pub(crate) contexts: u16,
    pub(crate) numeric: Numeric,
    pub(crate) experts: u8,
    pub(crate) quoted: u8,
    combine: u8,
    statistic: u8,
    /// The format version, which is not in the descriptor.
    pub(crate) version: u8,
}

impl Core {
    pub(crate) fn combine(&self) -> Combine {
        match self.combine {
            0 => Combine::Quoted,
            1 => Combine::Minimum,
            _ => Combine::Mean,
        }
    }

    pub(crate) fn statistic(&self) -> Statistic {
        match self.statistic {
            0 => Statistic::NegativeLogProb,
            1 => Statistic::SquaredNorm,
            _ => Statistic::Typicality,
        }
    }

    /// Context inputs: known to be none where none are supported.
    #[inline(always)]
    pub(crate) fn contexts(&self, supports: Capabilities) -> usize {
        if supports.has(Capability::Context) {
            usize::from(self.contexts)
        } else {
            0
        }
    }

    /// Features and context inputs.
    #[inline(always)]
    pub(crate) fn inputs(&self, supports: Capabilities) -> usize {
        usize::from(self.features) + self.contexts(supports)
    }
}

/// The numbers of a [`Head`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Numbers {
    pub(crate) core: Core,
    pub(crate) calibration: CalibrationRecord,
    pub(crate) self_test: SelfTestRecord,
}

impl Numbers {
    /// Before they were read.
    const NONE: Self = Numbers {
        core: Core {
            standardizer: 0,
            calibration: 0,
            entropy: 0.0,
            quantiles: 0,
            features: 0,
            contexts: 0,
            numeric: Numeric::F32,
            experts: 0,
            quoted: 0,
            combine: 0,
            statistic: 0,
            version: 0,
        },
        calibration: CalibrationRecord { offset: 0, quantiles: 0, readings: 0, false_alarm_rate: 0.0 },
        self_test: SelfTestRecord { offset: 0, vectors: 0 },
    };

    /// Where they belong, one after the other: what is collected first is moved once more.
    #[inline(never)]
    fn fill(&mut self, from: &mut Reader<'_>) {
        let core = &mut self.core;
        core.numeric = match from.below(4) {
            0 => Numeric::F32,
            1 => Numeric::I16,
            2 => Numeric::I8,
            _ => Numeric::F32FastMath,
        };
        core.features = from.short();
        core.contexts = from.short();
        core.experts = from.byte();
        core.quoted = from.byte();
        core.combine = from.below(3) as u8;
        core.statistic = from.below(3) as u8;
        core.entropy = from.f32();
        core.standardizer = from.number();
        self.calibration.fill(from);
        core.calibration = self.calibration.offset;
        core.quantiles = self.calibration.quantiles;
        self.self_test.offset = from.number();
        self.self_test.vectors = from.short();
    }
}

/// A [`Head`], its strings still bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RawHead<'a> {
    name: Text<'a>,
    provenance: Text<'a>,
    pub(crate) front_end: &'a [u8],
    pub(crate) numbers: Numbers,
}

impl<'a> Record<'a> for RawHead<'a> {
    fn read(from: &mut Reader<'a>) -> Self {
        Self::read_within(from, Capabilities::ALL)
    }
}

impl<'a> RawHead<'a> {
    /// [`Record::read`] for who has `supports`.
    #[inline(always)]
    pub(crate) fn read_within(from: &mut Reader<'a>, supports: Capabilities) -> Self {
        let (name, provenance) = (from.text_within(supports), from.text_within(supports));
        let front_end = from.counted();
        let mut numbers = Numbers::NONE;
        numbers.fill(from);
        RawHead { name, provenance, front_end, numbers }
    }

    /// With its strings.
    pub(crate) fn head(self) -> Head<'a> {
        let RawHead { name, provenance, front_end, numbers } = self;
        let Numbers { core, calibration, self_test } = numbers;
        Head {
            name: name.as_str(),
            provenance: provenance.as_str(),
            front_end,
            numeric: core.numeric,
            features: core.features,
            contexts: core.contexts,
            experts: core.experts,
            quoted: core.quoted,
            combine: core.combine(),
            statistic: core.statistic(),
            entropy: core.entropy,
            standardizer: core.standardizer,
            calibration,
            self_test,
        }
    }
}

impl CalibrationRecord {
    fn fill(&mut self, from: &mut Reader<'_>) {
        self.offset = from.number();
        self.quantiles = from.short();
        self.readings = from.number();
        self.false_alarm_rate = from.f32();
    }
}

impl<'a> Record<'a> for CalibrationRecord {
    #[inline(always)]
    fn read(from: &mut Reader<'a>) -> Self {
        let mut record = Numbers::NONE.calibration;
        record.fill(from);
        record
    }
}

/// An [`ExpertRecord`] in little: for a model.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(crate) struct RawExpert {
    pub(crate) chain: u32,
    /// Offset of the base's words, if it has any.
    offset: u32,
    pub(crate) transforms: u16,
    base: u8,
    /// Of a mixture.
    components: u8,
}

impl RawExpert {
    /// What bases need that have words.
    const BASES: Capabilities = Capabilities::of(&[Capability::StudentT, Capability::Mixture]);

    /// Before it was read.
    pub(crate) const NONE: Self = RawExpert { chain: 0, offset: 0, transforms: 0, base: 0, components: 0 };

    /// Of what `supports` does not have, and what is refused then, as far as the base's kind.
    #[cfg_attr(not(test), inline(never))]
    pub(crate) fn fill(&mut self, from: &mut Reader<'_>, supports: Capabilities) {
        self.chain = from.number();
        self.transforms = from.short();
        self.base = from.below(3) as u8;
        if self.base > 0 && supports.intersects(Self::BASES) {
            self.offset = from.number();
            if self.base > 1 {
                self.components = from.byte();
            }
        }
    }

    #[inline(always)]
    pub(crate) fn base(&self) -> BaseRecord {
        match self.base {
            0 => BaseRecord::StandardNormal,
            1 => BaseRecord::StudentT { offset: self.offset },
            _ => BaseRecord::Mixture { offset: self.offset, components: self.components },
        }
    }
}

impl<'a> Record<'a> for RawExpert {
    fn read(from: &mut Reader<'a>) -> Self {
        let mut record = Self::NONE;
        record.fill(from, Capabilities::ALL);
        record
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
mod tests;
