//! The one check of an image's content; after it the rest of the crate is total.

use super::descriptor::{
    CalibrationRecord, CertificateRecord, Combine, SelfTestRecord, Statistic, MAX_EXPERTS, MAX_FEATURES,
    OTHER_STATISTICS,
};
use super::model::{Contents, Experts, NOTES_SINCE};
use super::record::{Core, Numbers, RawExpert, Reader, Record};
use crate::arithmetic::Arithmetic;
use crate::base::Base;
use crate::conditioner::Needs;
use crate::pass::{in_arithmetic, is_finite};
use crate::support::{Capability, Support};
use crate::transform::{Chain, Standardizer};
use crate::{Error, Fault, Part};

impl<'a> Contents<'a> {
    /// Checks every record behind the head, which `from` has come to, and every offset and number; finds the experts.
    #[inline(always)]
    pub(super) fn check<S: Support>(
        &self,
        numbers: &Numbers,
        from: &mut Reader<'a>,
    ) -> Result<Experts, Error> {
        let mut experts = Experts { first: RawExpert::NONE, more: 0, behind: 0 };
        let mut needs = Needs::default();
        let unsupported = Err(Fault::unsupported(Part::Numeric));
        match S::CAPABILITIES.refusal(numbers.core.numeric.needs()) {
            Some(refusal) => Err(refusal),
            None => {
                in_arithmetic!(S, numbers.core.numeric => self.check_in(numbers, from, &mut experts, &mut needs), else unsupported)
            }
        }?;
        let needed = 4 * (numbers.core.inputs(S::CAPABILITIES) + 2 * needs.scratch) as u32;
        let stated = self.workspace_bytes() as u32;
        if stated == needed {
            Ok(experts)
        } else {
            Err(Error::WorkspaceMismatch { stated, needed })
        }
    }

    /// Checks all but the workspace.
    #[inline(never)]
    fn check_in<A: Arithmetic>(
        &self,
        numbers: &Numbers,
        from: &mut Reader<'a>,
        experts: &mut Experts,
        needs: &mut Needs,
    ) -> Result<(), Fault> {
        let core = &numbers.core;
        if core.features == 0 || usize::from(core.features) > MAX_FEATURES {
            return Err(Fault::malformed(Part::Descriptor));
        }
        if core.contexts > 0 && !A::SUPPORTS.has(Capability::Context) {
            return Err(Fault::left_out(Capability::Context));
        }
        let inputs = core.inputs(A::SUPPORTS);
        if inputs > MAX_FEATURES {
            return Err(Fault::malformed(Part::Context));
        }
        if core.experts > 1 && !A::SUPPORTS.has(Capability::Experts) {
            return Err(Fault::left_out(Capability::Experts));
        }
        if usize::from(core.experts) > MAX_EXPERTS || core.quoted >= core.experts {
            return Err(Fault::malformed(Part::Experts));
        }
        if core.statistic() != Statistic::NegativeLogProb && !A::SUPPORTS.has(Capability::OtherStatistics) {
            return Err(Fault::left_out(Capability::OtherStatistics));
        }
        // What version 1 reserved stays reserved in it.
        if core.version == 1 {
            if core.contexts > 0 {
                return Err(Fault::unsupported(Part::Context));
            }
            if core.experts > 1 || core.combine() != Combine::Quoted {
                return Err(Fault::unsupported(Part::Experts));
            }
            if core.statistic() != Statistic::NegativeLogProb {
                return Err(Fault::unsupported(Part::Statistic));
            }
        }
        if !is_finite(core.entropy) {
            return Err(Fault::not_finite(Part::Statistic));
        }
        let (standardizer, _) =
            Standardizer::parse::<A>(self.words_from(core.standardizer, Part::Standardizer)?, inputs)
                .ok_or(Fault::malformed(Part::Standardizer))?;
        standardizer.check::<A>()?;
        self.check_experts::<A>(core, from, experts, needs)?;
        if A::SUPPORTS.has(Capability::Records) {
            self.check_behind::<A>(core.version, from)?;
        }
        self.check_calibration::<A>(&numbers.calibration)?;
        if A::SUPPORTS.has(Capability::SelfTest) {
            self.check_self_test(inputs, numbers.self_test).ok_or(Fault::malformed(Part::SelfTest))?;
        }
        Ok(())
    }

    /// Checks names and chains; raises `needs` to the memory that scoring takes.
    #[inline(always)]
    fn check_experts<A: Arithmetic>(
        &self,
        core: &Core,
        from: &mut Reader<'a>,
        experts: &mut Experts,
        needs: &mut Needs,
    ) -> Result<(), Fault> {
        let (features, contexts) = (usize::from(core.features), core.contexts(A::SUPPORTS));
        for _ in 0..2 * (features + contexts) {
            from.text_within(A::SUPPORTS);
        }
        for index in 0..core.experts {
            let mut other = RawExpert::NONE;
            let is_first = index == 0 || !A::SUPPORTS.has(Capability::Experts);
            let record = if is_first { &mut experts.first } else { &mut other };
            record.fill(from, A::SUPPORTS);
            if !from.is_good() {
                return Err(Fault::malformed(Part::Descriptor));
            }
            if is_first {
                experts.more = from.rest().len() as u32;
            }
            let record = *record;
            let words = self.words_from(record.chain, Part::Transform)?;
            let chain = Chain::new(words, usize::from(record.transforms));
            chain.check::<A>(features, contexts, needs)?;
            if let Some(refusal) = A::SUPPORTS.refusal(record.base().needs()) {
                return Err(refusal);
            }
            Base::parse_within(record.base(), self.words, features, A::SUPPORTS)
                .ok_or(Fault::malformed(Part::Base))?
                .check::<A>()?;
        }
        experts.behind = from.rest().len() as u32;
        Ok(())
    }

    /// Whether the vectors are all there, their inputs finite.
    #[inline(always)]
    fn check_self_test(&self, inputs: usize, record: SelfTestRecord) -> Option<()> {
        let words = self.words.get(record.offset as usize..)?;
        let mut inputs_left = inputs;
        for &word in words.get(..usize::from(record.vectors) * (inputs + 1))? {
            if inputs_left == 0 {
                // The log_prob, which may be anything.
                inputs_left = inputs;
            } else {
                inputs_left -= 1;
                if !is_finite(f32::from_bits(word)) {
                    return None;
                }
            }
        }
        Some(())
    }

    /// The records behind the experts: none in version 1, else notes, and perhaps the other statistics, and
    /// perhaps a certificate. What is behind that is checked when it is asked for.
    #[inline(always)]
    fn check_behind<A: Arithmetic>(&self, version: u8, from: &mut Reader<'a>) -> Result<(), Fault> {
        let malformed = Fault::malformed(Part::Descriptor);
        if version < NOTES_SINCE {
            return if from.rest().is_empty() { Ok(()) } else { Err(malformed) };
        }
        from.text();
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

    #[inline(never)]
    fn check_calibration<A: Arithmetic>(&self, record: &CalibrationRecord) -> Result<(), Fault> {
        let malformed = Fault::malformed(Part::Calibration);
        let calibration = self.calibration(record.offset, record.quantiles).ok_or(malformed)?;
        let rate = record.false_alarm_rate;
        // The bits of an f32 from 0 to 1 are ordered as integers.
        if rate.to_bits() > 1f32.to_bits() || !calibration.is_valid::<A>() {
            return Err(malformed);
        }
        Ok(())
    }

    #[inline(always)]
    fn words_from(&self, offset: u32, part: Part) -> Result<&'a [u32], Fault> {
        self.words.get(offset as usize..).ok_or(Fault::malformed(part))
    }
}
