//! The borrowed view of a checked image.

use super::descriptor::{
    CertificateRecord, Feature, Head, Notes, Numeric, OtherStatistics, SelfTestRecord, Statistic,
};
use super::layout::{field, workspace_bytes, Header, HEADER_BYTES};
use super::record::{take, Core, RawExpert, RawHead, RawNotes, Reader};
use crate::arithmetic::Arithmetic;
use crate::base::Base;
use crate::calibration::Calibration;
use crate::support::{Capabilities, Capability, Everything, Support};
use crate::transform::{Chain, Standardizer};
use crate::Error;
use core::marker::PhantomData;

/// The format version from which on there are [`Notes`].
pub(super) const NOTES_SINCE: u8 = 2;

/// A trained flow in an image, borrowed in place; what it holds has been checked and is used without
/// further doubt.
///
/// Costs some 64 bytes of RAM on a 32-bit core, so that it is moved without a call: the numbers of the descriptor's head that
/// scores need, two slices, and the record of the first expert, which lies behind the names and would cost a score some 60
/// instructions per feature to reach.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Model<'a, S = Everything> {
    pub(crate) core: Core,
    pub(super) experts: Experts,
    contents: Contents<'a>,
    support: PhantomData<S>,
}

/// An image whose header was checked.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) struct Contents<'a> {
    image: &'a [u8],
    pub(super) words: &'a [u32],
}

/// Where the experts' records are.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) struct Experts {
    pub(super) first: RawExpert,
    /// Bytes of the descriptor from the records of the other experts on.
    pub(super) more: u32,
    /// The same from the records behind those of the experts on.
    pub(super) behind: u32,
}

/// One flow of a model.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Expert<'a> {
    /// Its transforms.
    pub chain: Chain<'a>,
    /// Its base distribution.
    pub base: Base<'a>,
}

impl<'a> Model<'a> {
    /// Checks an image and borrows it, whatever flow it holds. Nothing that is done with the model afterwards can
    /// panic.
    ///
    /// `image` must start at a multiple of 4 bytes and be exactly as long as its header states.
    ///
    /// Cost: one pass over the image for the checksum and one over its weights.
    ///
    /// # Errors
    /// Every malformed image gives a typed [`Error`]: see there.
    pub fn from_bytes(image: &'a [u8]) -> Result<Self, Error> {
        Self::open(image)
    }
}

impl<'a, S: Support> Model<'a, S> {
    /// As [`Model::from_bytes`], for the images of a [`Support`]: of the runtime only what it names is linked.
    ///
    /// # Errors
    /// As [`Model::from_bytes`], and [`Error::LeftOut`] for an image that needs more.
    pub fn open(image: &'a [u8]) -> Result<Self, Error> {
        if image.as_ptr().align_offset(4) != 0 {
            return Err(Error::Unaligned);
        }
        let header = Header::read(image)?;
        let (descriptor, words) = image.split_at_checked(header.words).ok_or(Error::LogicBug)?;
        let words = bytemuck::try_cast_slice(words).map_err(|_| Error::Unaligned)?;
        let contents = Contents { image, words };
        let descriptor = descriptor.get(HEADER_BYTES..).ok_or(Error::LogicBug)?;
        let (descriptor, padding) =
            descriptor.split_at_checked(header.descriptor_length).ok_or(Error::LogicBug)?;
        if padding.iter().any(|&b| b != 0) {
            return Err(Error::Malformed(crate::Part::Descriptor));
        }
        let mut from = Reader::new(descriptor);
        let mut numbers = RawHead::read_within(&mut from, S::CAPABILITIES).numbers;
        // There is no version above 2.
        numbers.core.version = header.version as u8;
        if !from.is_good() {
            return Err(Error::Malformed(crate::Part::Descriptor));
        }
        let experts = contents.check::<S>(&numbers, &mut from)?;
        Ok(Model { core: numbers.core, experts, contents, support: PhantomData })
    }

    /// What a [`Support`] must have to open this image; [`crate::support::smallest`] names one that has it.
    #[must_use]
    pub fn needs(&self) -> Capabilities {
        let mut needs = self.core.numeric.needs();
        let is_fixed = needs.has(Capability::Fixed);
        if self.core.experts > 1 {
            needs = needs.with(Capability::Experts);
        }
        if self.core.contexts > 0 {
            needs = needs.with(Capability::Context);
        }
        if self.core.statistic() != Statistic::NegativeLogProb {
            needs = needs.with(Capability::OtherStatistics);
        }
        for expert in self.experts() {
            needs = needs.union(expert.chain.needs(is_fixed)).union(expert.base.needs());
        }
        needs
    }

    /// What the descriptor says of the whole model.
    ///
    /// Reads it anew: not for every reading.
    #[must_use]
    pub fn head(&self) -> Head<'a> {
        self.raw_head().head()
    }

    /// The descriptor's first record, read anew.
    fn raw_head(&self) -> RawHead<'a> {
        // What was checked is not checked again; what was not is empty as a string.
        RawHead::read_within(&mut Reader::new(self.contents.descriptor()), Capabilities::NONE)
    }

    /// The bytes that say where features come from; empty if they are readings.
    pub(super) fn front_end_record(&self) -> &'a [u8] {
        self.raw_head().front_end
    }

    /// Number of features of a reading.
    #[must_use]
    pub fn features(&self) -> usize {
        usize::from(self.core.features)
    }

    /// Number of context inputs: they condition and are not scored.
    #[must_use]
    pub fn contexts(&self) -> usize {
        self.core.contexts(S::CAPABILITIES)
    }

    /// Features and context inputs together: what a scorer is given.
    #[must_use]
    pub fn inputs(&self) -> usize {
        self.features() + self.contexts()
    }

    /// The format version that the image is written in.
    #[must_use]
    pub fn format_version(&self) -> u16 {
        u16::from(self.core.version)
    }

    /// The arithmetic that it is made for.
    #[must_use]
    pub fn numeric(&self) -> Numeric {
        self.core.numeric
    }

    /// Bytes of workspace that a [`crate::Scorer`] needs.
    #[must_use]
    pub fn workspace_bytes(&self) -> usize {
        self.contents.workspace_bytes()
    }

    /// Name and unit of each feature, in the order of a reading.
    pub fn feature_names(&self) -> impl Iterator<Item = Feature<'a>> + use<'a, S> {
        self.input_names().take(self.features())
    }

    /// Name and unit of each context input, in order.
    pub fn context_names(&self) -> impl Iterator<Item = Feature<'a>> + use<'a, S> {
        self.input_names().skip(self.features())
    }

    /// Name and unit of each input: the features, then the context.
    fn input_names(&self) -> impl Iterator<Item = Feature<'a>> + use<'a, S> {
        let head = postcard::take_from_bytes::<Head<'a>>(self.contents.descriptor());
        let mut records = head.map_or(&[][..], |(_, records)| records);
        (0..self.inputs()).map_while(move |_| {
            let (feature, rest) = postcard::take_from_bytes(records).ok()?;
            records = rest;
            Some(feature)
        })
    }

    /// Its flows.
    pub fn experts(&self) -> impl Iterator<Item = Expert<'a>> + use<'a, '_, S> {
        let mut more = Reader::new(self.contents.last_of_descriptor(self.experts.more));
        let mut record = self.experts.first;
        (0..self.core.experts).map_while(move |index| {
            if index > 0 {
                record.fill(&mut more, Capabilities::ALL);
            }
            self.expert(record)
        })
    }

    /// The expert that `log_prob` speaks of.
    pub(crate) fn quoted(&self) -> Option<Expert<'a>> {
        self.expert_at(usize::from(self.core.quoted))
    }

    pub(crate) fn expert_at(&self, index: usize) -> Option<Expert<'a>> {
        if index == 0 || !S::CAPABILITIES.has(Capability::Experts) {
            return self.expert(self.experts.first);
        }
        self.experts().nth(index)
    }

    /// Words of each of a scorer's two buffers.
    pub(crate) fn scratch_words(&self) -> usize {
        (self.workspace_bytes() / 4).saturating_sub(self.inputs()) / 2
    }

    /// What a gradient needs beside a score's workspace, in words; walks all chains.
    pub(crate) fn gradient_words(&self) -> usize {
        self.experts().map(|expert| expert.chain.gradient_words(self.features())).max().unwrap_or(0)
    }

    /// The chain as it was trained, before export fused what could be fused; empty in images of version 1.
    #[must_use]
    pub fn trained_as(&self) -> &'a str {
        postcard::take_from_bytes::<Notes<'a>>(self.behind_experts())
            .map_or("", |(notes, _)| notes.trained_as)
    }

    /// What was proved of its scores; `None` if nothing was written.
    #[must_use]
    pub fn certificate(&self) -> Option<CertificateRecord> {
        let (_, behind) = postcard::take_from_bytes::<Notes<'_>>(self.behind_experts()).ok()?;
        let (_, behind) = postcard::take_from_bytes::<OtherStatistics>(behind).ok()?;
        postcard::take_from_bytes(behind).ok().map(|(certificate, _)| certificate)
    }

    fn expert(&self, record: RawExpert) -> Option<Expert<'a>> {
        let words = self.contents.words.get(record.chain as usize..)?;
        let chain = Chain::new(words, usize::from(record.transforms));
        let base = Base::parse_within(record.base(), self.contents.words, self.features(), S::CAPABILITIES)?;
        Some(Expert { chain, base })
    }

    /// The standardizer, in the arithmetic of the image.
    #[must_use]
    pub fn standardizer<A: Arithmetic>(&self) -> Option<Standardizer<'a>> {
        let words = self.contents.words.get(self.core.standardizer as usize..)?;
        Some(Standardizer::parse::<A>(words, self.inputs())?.0)
    }

    /// The calibration of the statistic in use.
    #[must_use]
    pub fn calibration(&self) -> Option<Calibration<'a>> {
        self.contents.calibration(self.core.calibration, self.core.quantiles)
    }

    /// The calibration of any statistic; `None` if the image does not hold it.
    #[must_use]
    pub fn calibration_of(&self, statistic: Statistic) -> Option<Calibration<'a>> {
        match statistic.index_among_others(self.core.statistic()) {
            None => self.calibration(),
            Some(_) if !S::CAPABILITIES.has(Capability::Records) => None,
            Some(index) => {
                let (_, behind) = take::<RawNotes<'_>>(self.behind_experts())?;
                let other = take::<OtherStatistics>(behind)?.0.others.get(index).copied()?;
                self.contents.calibration(other.offset, other.quantiles)
            }
        }
    }

    /// The records behind those of the experts.
    pub(super) fn behind_experts(&self) -> &'a [u8] {
        self.contents.last_of_descriptor(self.experts.behind)
    }

    /// The self-test: per vector the inputs and the log_prob that the host computed, all as the bits
    /// of an f32.
    pub fn self_test_vectors(&self) -> impl Iterator<Item = (&'a [f32], f32)> + use<'a, S> {
        self.contents.self_test_vectors(self.inputs(), self.raw_head().numbers.self_test)
    }
}

impl<'a> Contents<'a> {
    /// All records, the head first.
    pub(super) fn descriptor(&self) -> &'a [u8] {
        let length = self.image.get(field::DESCRIPTOR_LENGTH..).and_then(|bytes| bytes.first_chunk());
        let length = length.map_or(0, |&bytes| u32::from_le_bytes(bytes));
        self.image.get(HEADER_BYTES..).and_then(|bytes| bytes.get(..length as usize)).unwrap_or_default()
    }

    /// The workspace that the header states.
    pub(super) fn workspace_bytes(&self) -> usize {
        workspace_bytes(self.image)
    }

    fn last_of_descriptor(&self, length: u32) -> &'a [u8] {
        let descriptor = self.descriptor();
        descriptor.get(descriptor.len().saturating_sub(length as usize)..).unwrap_or_default()
    }

    /// A calibration by its offset and the number of its quantiles.
    #[inline]
    pub(super) fn calibration(&self, offset: u32, quantiles: u16) -> Option<Calibration<'a>> {
        Calibration::parse(self.words.get(offset as usize..)?, usize::from(quantiles))
    }

    /// See [`Model::self_test_vectors`].
    pub(super) fn self_test_vectors(
        &self,
        inputs: usize,
        record: SelfTestRecord,
    ) -> impl Iterator<Item = (&'a [f32], f32)> + use<'a> {
        let mut words = self.words.get(record.offset as usize..).unwrap_or_default();
        (0..record.vectors).map_while(move |_| {
            let (vector, rest) = words.split_at_checked(inputs)?;
            let (&log_prob, rest) = rest.split_first()?;
            words = rest;
            Some((bytemuck::cast_slice(vector), f32::from_bits(log_prob)))
        })
    }
}
