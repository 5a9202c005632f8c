//! The one check of an image's content; after it the rest of the crate is total.

use super::descriptor::{
    CalibrationRecord, CertificateRecord, Combine, ExpertRecord, SelfTestRecord, Statistic, MAX_EXPERTS,
    MAX_FEATURES, OTHER_STATISTICS,
};
use super::model::{Checked, Contents, Experts, NOTES_SINCE};
use super::record::{Core, RawHead, RawNotes, Reader, Record, SkippedFeature};
use crate::arithmetic::Arithmetic;
use crate::base::{Base, BaseRecord};
use crate::conditioner::Needs;
use crate::pass::{in_arithmetic, is_finite};
use crate::support::{Capability, Support};
use crate::transform::{Chain, Standardizer};
use crate::{Error, Fault, Part};

/// Before the first was read.
const NO_EXPERT: ExpertRecord = ExpertRecord { chain: 0, transforms: 0, base: BaseRecord::StandardNormal };

impl<'a> Contents<'a> {
    /// Checks every record, offset and number.
    #[inline]
    pub(super) fn check<S: Support>(&self) -> Result<Checked<'a>, Error> {
        let mut from = Reader::new(self.descriptor);
        let RawHead { core, .. } = RawHead::read(&mut from);
        if !from.is_good() {
            return Err(Error::Malformed(Part::Descriptor));
        }
        let mut experts = Experts { first: NO_EXPERT, more: &[], behind: &[] };
        let mut needs = Needs::default();
        let unsupported = Err(Fault::Unsupported(Part::Numeric));
        match S::CAPABILITIES.refusal(core.numeric.needs()) {
            Some(refusal) => Err(refusal),
            None => {
                in_arithmetic!(S, core.numeric => self.check_in(&core, &mut from, &mut experts, &mut needs), else unsupported)
            }
        }?;
        let needed = 4 * (usize::from(core.features) + usize::from(core.contexts) + 2 * needs.scratch) as u32;
        if self.workspace_bytes == needed {
            Ok(Checked { core, experts })
        } else {
            Err(Error::WorkspaceMismatch { stated: self.workspace_bytes, needed })
        }
    }

    /// Checks all but the workspace.
    fn check_in<A: Arithmetic>(
        &self,
        core: &Core,
        from: &mut Reader<'a>,
        experts: &mut Experts<'a>,
        needs: &mut Needs,
    ) -> Result<(), Fault> {
        let (features, contexts) = (usize::from(core.features), usize::from(core.contexts));
        let inputs = features + contexts;
        if features == 0 || features > MAX_FEATURES {
            return Err(Fault::Malformed(Part::Descriptor));
        }
        if inputs > MAX_FEATURES {
            return Err(Fault::Malformed(Part::Context));
        }
        if core.experts == 0 || usize::from(core.experts) > MAX_EXPERTS || core.quoted >= core.experts {
            return Err(Fault::Malformed(Part::Experts));
        }
        if core.experts > 1 && !A::SUPPORTS.has(Capability::Experts) {
            return Err(Fault::LeftOut(Capability::Experts));
        }
        // What version 1 reserved stays reserved in it.
        if self.version == 1 && contexts > 0 {
            return Err(Fault::Unsupported(Part::Context));
        }
        if self.version == 1 && (core.experts > 1 || core.combine != Combine::Quoted) {
            return Err(Fault::Unsupported(Part::Experts));
        }
        if self.version == 1 && core.statistic != Statistic::NegativeLogProb {
            return Err(Fault::Unsupported(Part::Statistic));
        }
        if !is_finite(core.entropy) {
            return Err(Fault::NotFiniteParameter(Part::Statistic));
        }
        let (standardizer, _) =
            Standardizer::parse::<A>(self.words_from(core.standardizer, Part::Standardizer)?, inputs)
                .ok_or(Fault::Malformed(Part::Standardizer))?;
        standardizer.check::<A>()?;
        self.check_experts::<A>(core, from, experts, needs)?;
        self.check_behind::<A>(from)?;
        self.check_calibration::<A>(&core.calibration)?;
        self.check_self_test(inputs, core.self_test)
    }

    /// Checks names and chains; raises `needs` to the memory that scoring takes.
    fn check_experts<A: Arithmetic>(
        &self,
        core: &Core,
        from: &mut Reader<'a>,
        experts: &mut Experts<'a>,
        needs: &mut Needs,
    ) -> Result<(), Fault> {
        let (features, contexts) = (usize::from(core.features), usize::from(core.contexts));
        for _ in 0..features + contexts {
            SkippedFeature::read(from);
        }
        for index in 0..core.experts {
            let record = ExpertRecord::read(from);
            if !from.is_good() {
                return Err(Fault::Malformed(Part::Descriptor));
            }
            if index == 0 {
                (experts.first, experts.more) = (record, from.rest());
            }
            let words = self.words_from(record.chain, Part::Transform)?;
            let chain = Chain::new(words, usize::from(record.transforms));
            chain.check::<A>(features, contexts, needs)?;
            if let Some(refusal) = A::SUPPORTS.refusal(record.base.needs()) {
                return Err(refusal);
            }
            Base::parse_within(record.base, self.words, features, A::SUPPORTS)
                .ok_or(Fault::Malformed(Part::Base))?
                .check::<A>()?;
        }
        experts.behind = from.rest();
        Ok(())
    }

    /// The records behind the experts: none in version 1, else notes, and perhaps the other statistics, and
    /// perhaps a certificate. What is behind that is checked when it is asked for.
    fn check_behind<A: Arithmetic>(&self, from: &mut Reader<'a>) -> Result<(), Fault> {
        let malformed = Fault::Malformed(Part::Descriptor);
        if self.version < NOTES_SINCE {
            return if from.rest().is_empty() { Ok(()) } else { Err(malformed) };
        }
        RawNotes::read(from);
        if !from.rest().is_empty() {
            for _ in 0..OTHER_STATISTICS {
                let other = CalibrationRecord::read(from);
                if !from.is_good() {
                    return Err(malformed);
                }
                self.check_calibration::<A>(&other)?;
            }
            if !from.rest().is_empty() {
                CertificateRecord::read(from);
            }
        }
        if from.is_good() {
            Ok(())
        } else {
            Err(malformed)
        }
    }

    fn check_calibration<A: Arithmetic>(&self, record: &CalibrationRecord) -> Result<(), Fault> {
        let malformed = Fault::Malformed(Part::Calibration);
        let calibration = self.calibration(record).ok_or(malformed)?;
        let rate = record.false_alarm_rate;
        // The bits of an f32 from 0 to 1 are ordered as integers.
        if rate.to_bits() > 1f32.to_bits() || !calibration.is_valid::<A>() {
            return Err(malformed);
        }
        Ok(())
    }

    fn check_self_test(&self, inputs: usize, record: SelfTestRecord) -> Result<(), Fault> {
        let malformed = Fault::Malformed(Part::SelfTest);
        let mut words = self.words_from(record.offset, Part::SelfTest)?;
        for _ in 0..record.vectors {
            let (vector, rest) = words.split_at_checked(inputs + 1).ok_or(malformed)?;
            words = rest;
            if vector.iter().take(inputs).any(|&x| !is_finite(f32::from_bits(x))) {
                return Err(malformed);
            }
        }
        Ok(())
    }

    fn words_from(&self, offset: u32, part: Part) -> Result<&'a [u32], Fault> {
        self.words.get(offset as usize..).ok_or(Fault::Malformed(part))
    }
}
