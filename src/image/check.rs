//! The one check of an image's content; after it the rest of the crate is total.

use super::descriptor::{
    CalibrationRecord, CertificateRecord, Combine, ExpertRecord, SelfTestRecord, Statistic, MAX_EXPERTS,
    MAX_FEATURES, OTHER_STATISTICS,
};
use super::model::{Checked, Contents, NOTES_SINCE};
use super::record::{take, Core, RawHead, RawNotes, SkippedFeature};
use crate::arithmetic::Arithmetic;
use crate::base::Base;
use crate::conditioner::Needs;
use crate::pass::{in_arithmetic, is_finite};
use crate::support::{Capability, Support};
use crate::transform::{Chain, Standardizer};
use crate::{Error, Part};

impl<'a> Contents<'a> {
    /// Checks every record, offset and number.
    #[inline]
    pub(super) fn check<S: Support>(&self) -> Result<Checked<'a>, Error> {
        let (head, records) =
            take::<RawHead<'a>>(self.descriptor).ok_or(Error::Malformed(Part::Descriptor))?;
        let core = head.core;
        if let Some(refusal) = S::CAPABILITIES.refusal(core.numeric.needs()) {
            return Err(refusal);
        }
        let unsupported = Err(Error::Unsupported(Part::Numeric));
        in_arithmetic!(S, core.numeric => self.check_in(core, records), else unsupported)
    }

    fn check_in<A: Arithmetic>(&self, core: Core, records: &'a [u8]) -> Result<Checked<'a>, Error> {
        let (features, contexts) = (usize::from(core.features), usize::from(core.contexts));
        let inputs = features + contexts;
        if features == 0 || features > MAX_FEATURES {
            return Err(Error::Malformed(Part::Descriptor));
        }
        if inputs > MAX_FEATURES {
            return Err(Error::Malformed(Part::Context));
        }
        if core.experts == 0 || usize::from(core.experts) > MAX_EXPERTS || core.quoted >= core.experts {
            return Err(Error::Malformed(Part::Experts));
        }
        if core.experts > 1 && !A::SUPPORTS.has(Capability::Experts) {
            return Err(Error::LeftOut(Capability::Experts));
        }
        // What version 1 reserved stays reserved in it.
        if self.version == 1 && contexts > 0 {
            return Err(Error::Unsupported(Part::Context));
        }
        if self.version == 1 && (core.experts > 1 || core.combine != Combine::Quoted) {
            return Err(Error::Unsupported(Part::Experts));
        }
        if self.version == 1 && core.statistic != Statistic::NegativeLogProb {
            return Err(Error::Unsupported(Part::Statistic));
        }
        if !is_finite(core.entropy) {
            return Err(Error::NotFiniteParameter(Part::Statistic));
        }
        let (standardizer, _) =
            Standardizer::parse::<A>(self.words_from(core.standardizer, Part::Standardizer)?, inputs)
                .ok_or(Error::Malformed(Part::Standardizer))?;
        standardizer.check::<A>()?;
        let (checked, needs) = self.check_experts::<A>(core, records)?;
        self.check_behind::<A>(checked.behind)?;
        self.check_calibration::<A>(&core.calibration)?;
        self.check_self_test(inputs, core.self_test)?;

        let needed = 4 * (inputs + 2 * needs.scratch) as u32;
        if self.workspace_bytes == needed {
            Ok(checked)
        } else {
            Err(Error::WorkspaceMismatch { stated: self.workspace_bytes, needed })
        }
    }

    /// Checks names and chains; gives the memory that scoring needs too.
    fn check_experts<A: Arithmetic>(
        &self,
        core: Core,
        mut records: &'a [u8],
    ) -> Result<(Checked<'a>, Needs), Error> {
        let malformed = Error::Malformed(Part::Descriptor);
        let (features, contexts) = (usize::from(core.features), usize::from(core.contexts));
        for _ in 0..features + contexts {
            records = take::<SkippedFeature>(records).ok_or(malformed)?.1;
        }
        let mut needs = Needs::default();
        let mut first = None;
        for _ in 0..core.experts {
            let (record, rest) = take::<ExpertRecord>(records).ok_or(malformed)?;
            records = rest;
            first = first.or(Some((record, rest)));
            let words = self.words_from(record.chain, Part::Transform)?;
            let chain = Chain::new(words, usize::from(record.transforms));
            needs = needs.max(chain.check::<A>(features, contexts)?.1);
            if let Some(refusal) = A::SUPPORTS.refusal(record.base.needs()) {
                return Err(refusal);
            }
            Base::parse(record.base, self.words, features)
                .ok_or(Error::Malformed(Part::Base))?
                .check::<A>()?;
        }
        let (first, more) = first.ok_or(malformed)?;
        let gradient_words = needs.gradient as u32;
        Ok((Checked { core, first, more, behind: records, gradient_words }, needs))
    }

    /// The records behind the experts: none in version 1, else notes, and perhaps the other statistics, and
    /// perhaps a certificate. What is behind that is checked when it is asked for.
    fn check_behind<A: Arithmetic>(&self, mut records: &[u8]) -> Result<(), Error> {
        let malformed = Error::Malformed(Part::Descriptor);
        if self.version < NOTES_SINCE {
            return if records.is_empty() { Ok(()) } else { Err(malformed) };
        }
        records = take::<RawNotes<'_>>(records).ok_or(malformed)?.1;
        if records.is_empty() {
            return Ok(());
        }
        for _ in 0..OTHER_STATISTICS {
            let (other, rest) = take::<CalibrationRecord>(records).ok_or(malformed)?;
            records = rest;
            self.check_calibration::<A>(&other)?;
        }
        if !records.is_empty() {
            take::<CertificateRecord>(records).ok_or(malformed)?;
        }
        Ok(())
    }

    fn check_calibration<A: Arithmetic>(&self, record: &CalibrationRecord) -> Result<(), Error> {
        let malformed = Error::Malformed(Part::Calibration);
        let calibration = self.calibration(record).ok_or(malformed)?;
        let rate = record.false_alarm_rate;
        // The bits of an f32 from 0 to 1 are ordered as integers.
        if rate.to_bits() > 1f32.to_bits() || !calibration.is_valid::<A>() {
            return Err(malformed);
        }
        Ok(())
    }

    fn check_self_test(&self, inputs: usize, record: SelfTestRecord) -> Result<(), Error> {
        let malformed = Error::Malformed(Part::SelfTest);
        let mut found = 0;
        for (vector, _) in self.self_test_vectors(inputs, record) {
            if vector.iter().any(|&x| !is_finite(x)) {
                return Err(malformed);
            }
            found += 1;
        }
        if found == record.vectors {
            Ok(())
        } else {
            Err(malformed)
        }
    }

    fn words_from(&self, offset: u32, part: Part) -> Result<&'a [u32], Error> {
        self.words.get(offset as usize..).ok_or(Error::Malformed(part))
    }
}
