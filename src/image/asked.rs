//! Records that no score needs: where features come from, what an alarm listens to. Opening an image does not look at them,
//! so that firmware that does not ask for one carries no code for it; who asks gets it checked, or an error.

use super::descriptor::{CertificateRecord, OtherStatistics};
use super::model::Model;
use super::record::{take, RawNotes};
use crate::stream::{AlarmSettings, FrontEnd};
use crate::support::Support;
use crate::Error;

/// A record that is checked when it is asked for.
pub(crate) trait Asked<'a>: Sized {
    /// What is said if an image has none.
    const ABSENT: Error;

    /// Checks a record, which is not empty, of a model with so many inputs.
    fn check(record: &'a [u8], inputs: usize) -> Result<Self, Error>;
}

impl<'a, S: Support> Model<'a, S> {
    /// The front end that the model's inputs come from, checked: its features are as many as the model has inputs.
    ///
    /// Cost: one pass over the record, some 40 instructions a byte. Not part of [`Model::open`].
    ///
    /// # Errors
    /// [`Error::NoFrontEnd`] if the model's inputs are readings, and as [`FrontEnd::parse`].
    pub fn front_end(&self) -> Result<FrontEnd<'a>, Error> {
        self.ask(self.front_end_record())
    }

    /// What an alarm listens to, as `flowlet alarm` has set it, checked.
    ///
    /// Cost: reads the descriptor's end anew: once, not for every reading. Not part of [`Model::open`].
    ///
    /// # Errors
    /// [`Error::NoAlarm`] if the image brings no settings, [`Error::Malformed`] with [`crate::Part::Alarm`] for such that
    /// cannot work.
    pub fn alarm(&self) -> Result<AlarmSettings, Error> {
        self.ask(self.behind_certificate().unwrap_or_default())
    }

    fn ask<T: Asked<'a>>(&self, record: &'a [u8]) -> Result<T, Error> {
        if record.is_empty() {
            return Err(T::ABSENT);
        }
        T::check(record, self.inputs())
    }

    /// The descriptor's end; `None` if the records before it are missing.
    fn behind_certificate(&self) -> Option<&'a [u8]> {
        let (_, behind) = take::<RawNotes<'a>>(self.behind_experts())?;
        let (_, behind) = take::<OtherStatistics>(behind)?;
        Some(take::<CertificateRecord>(behind)?.1)
    }
}
