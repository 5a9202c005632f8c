//! The one check of an image's content; after it the rest of the crate is total.

use super::descriptor::{
    CalibrationRecord, CertificateRecord, Combine, ExpertRecord, Feature, Notes, Numeric, OtherStatistics,
    Statistic, MAX_EXPERTS, MAX_FEATURES,
};
use super::model::{take, Model, NOTES_SINCE};
use crate::arithmetic::{Arithmetic, Fixed, Float};
use crate::base::Base;
use crate::conditioner::Needs;
use crate::pass::is_finite;
use crate::transform::{Chain, Standardizer};
use crate::{Error, Part};

impl Model<'_> {
    /// Checks every record, offset and number.
    pub(super) fn check(&mut self) -> Result<(), Error> {
        match self.head.numeric {
            Numeric::F32 => self.check_in::<Float>(),
            Numeric::I16 | Numeric::I8 => self.check_in::<Fixed>(),
            #[cfg(feature = "fast-math")]
            Numeric::F32FastMath => self.check_in::<Float<crate::arithmetic::FastMath>>(),
            #[cfg(not(feature = "fast-math"))]
            Numeric::F32FastMath => Err(Error::Unsupported(Part::Numeric)),
        }
    }

    fn check_in<A: Arithmetic>(&mut self) -> Result<(), Error> {
        let head = self.head;
        let features = self.features();
        if features == 0 || features > MAX_FEATURES {
            return Err(Error::Malformed(Part::Descriptor));
        }
        if self.inputs() > MAX_FEATURES {
            return Err(Error::Malformed(Part::Context));
        }
        if head.experts == 0 || usize::from(head.experts) > MAX_EXPERTS || head.quoted >= head.experts {
            return Err(Error::Malformed(Part::Experts));
        }
        // What version 1 reserved stays reserved in it.
        if self.version == 1 && head.contexts > 0 {
            return Err(Error::Unsupported(Part::Context));
        }
        if self.version == 1 && (head.experts > 1 || head.combine != Combine::Quoted) {
            return Err(Error::Unsupported(Part::Experts));
        }
        if self.version == 1 && head.statistic != Statistic::NegativeLogProb {
            return Err(Error::Unsupported(Part::Statistic));
        }
        if !is_finite(head.entropy) {
            return Err(Error::NotFiniteParameter(Part::Statistic));
        }
        let (standardizer, _) =
            Standardizer::parse::<A>(self.words_from(head.standardizer, Part::Standardizer)?, self.inputs())
                .ok_or(Error::Malformed(Part::Standardizer))?;
        standardizer.check::<A>()?;
        let needs = self.check_experts::<A>()?;
        self.gradient_words = needs.gradient as u32;
        self.check_behind::<A>()?;
        self.check_calibration::<A>(&head.calibration)?;
        self.check_self_test()?;

        let needed = 4 * (self.inputs() + 2 * needs.scratch) as u32;
        if self.workspace_bytes == needed {
            Ok(())
        } else {
            Err(Error::WorkspaceMismatch { stated: self.workspace_bytes, needed })
        }
    }

    /// Checks names and chains, and keeps the experts; gives the memory that scoring needs.
    fn check_experts<A: Arithmetic>(&mut self) -> Result<Needs, Error> {
        let malformed = Error::Malformed(Part::Descriptor);
        let mut records = self.records;
        for _ in 0..self.inputs() {
            records = take::<Feature<'_>>(records).ok_or(malformed)?.1;
        }
        let mut needs = Needs::default();
        for _ in 0..self.head.experts {
            let (record, rest) = take::<ExpertRecord>(records).ok_or(malformed)?;
            records = rest;
            let words = self.words_from(record.chain, Part::Transform)?;
            let chain = Chain::new(words, usize::from(record.transforms));
            needs = needs.max(chain.check::<A>(self.features(), self.contexts())?.1);
            Base::parse(record.base, self.words, self.features())
                .ok_or(Error::Malformed(Part::Base))?
                .check::<A>()?;
            self.experts.push(record).map_err(|_| Error::Malformed(Part::Experts))?;
        }
        self.behind = records;
        Ok(needs)
    }

    /// The records behind the experts: none in version 1, else notes, and perhaps the other statistics, and
    /// perhaps a certificate.
    fn check_behind<A: Arithmetic>(&self) -> Result<(), Error> {
        let malformed = Error::Malformed(Part::Descriptor);
        let mut records = self.behind;
        if self.version >= NOTES_SINCE {
            records = take::<Notes<'_>>(records).ok_or(malformed)?.1;
            if !records.is_empty() {
                let (statistics, rest) = take::<OtherStatistics>(records).ok_or(malformed)?;
                records = rest;
                statistics.others.iter().try_for_each(|other| self.check_calibration::<A>(other))?;
                if !records.is_empty() {
                    records = take::<CertificateRecord>(records).ok_or(malformed)?.1;
                }
            }
        }
        if records.is_empty() {
            Ok(())
        } else {
            Err(malformed)
        }
    }

    fn check_calibration<A: Arithmetic>(&self, record: &CalibrationRecord) -> Result<(), Error> {
        let malformed = Error::Malformed(Part::Calibration);
        let calibration = self.calibration_by(record).ok_or(malformed)?;
        let rate = record.false_alarm_rate;
        // The bits of an f32 from 0 to 1 are ordered as integers.
        if rate.to_bits() > 1f32.to_bits() || !calibration.is_valid::<A>() {
            return Err(malformed);
        }
        Ok(())
    }

    fn check_self_test(&self) -> Result<(), Error> {
        let malformed = Error::Malformed(Part::SelfTest);
        let mut found = 0;
        for (vector, _) in self.self_test_vectors() {
            if vector.iter().any(|&x| !is_finite(x)) {
                return Err(malformed);
            }
            found += 1;
        }
        if found == self.head.self_test.vectors {
            Ok(())
        } else {
            Err(malformed)
        }
    }

    fn words_from(&self, offset: u32, part: Part) -> Result<&[u32], Error> {
        self.words.get(offset as usize..).ok_or(Error::Malformed(part))
    }
}
