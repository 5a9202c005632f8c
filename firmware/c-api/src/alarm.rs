//! From scores to an alarm that people can live with.

use crate::model::{flowlet_model_t, opened};
use crate::pointers;
use crate::score::flowlet_score_t;
use crate::status::{flowlet_status_t, FLOWLET_ERROR_ALARM_SETTINGS, FLOWLET_ERROR_NOT_OPEN};
use core::mem::{align_of, size_of};
use runtime::stream::{Alarm, AlarmRecord, AlarmSettings, Surprise, Verdict};

/// Size of an alarm, in 32-bit words; some of it is reserved.
pub const FLOWLET_ALARM_WORDS: usize = 32;

/// An alarm and what it has heard, in storage of the caller's. Begin with zeros. One stream of readings needs one alarm;
/// it is written to by every update, so that threads must not share it. Fields are private.
#[repr(C)]
#[derive(Debug)]
pub struct flowlet_alarm_t {
    opaque: [u32; FLOWLET_ALARM_WORDS],
}

/// What an alarm listens to: any of votes, an average and a sum, or all. What is off is all zeros. Levels are surprises
/// (-log2 of the p-value) in units of 2^-8 bits. `flowlet alarm` says what settings cost in false alarms and delay.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct flowlet_alarm_settings_t {
    /// Votes among the last `of` readings that raise the alarm: 1 to `of`.
    pub needed: u32,
    /// 1 to 32.
    pub of: u32,
    /// Surprise of a reading that votes.
    pub votes_level: u32,
    /// Once raised, it stays while `needed` of the last `of` reach this; at most `votes_level`.
    pub votes_clear: u32,
    /// Share of a new reading in the average, in units of 2^-16; at least 64.
    pub weight: u32,
    /// Average that raises the alarm.
    pub ewma_level: u32,
    /// Once raised, it stays while the average is at least this; above 369, the mean of normal readings.
    pub ewma_clear: u32,
    /// What the sum takes off each surprise; above 369.
    pub reference: u32,
    /// Sum that raises the alarm, at most 2^24.
    pub limit: u32,
    /// Once raised, it stays while the sum is above this; below `limit`.
    pub cusum_clear: u32,
    /// Readings after a rise before there may be another.
    pub hold_off: u32,
}

/// What an alarm says after a reading.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum flowlet_verdict_t {
    /// No alarm.
    FLOWLET_QUIET = 0,
    /// The alarm was raised by this reading.
    FLOWLET_RAISED = 1,
    /// It was raised before, and stays.
    FLOWLET_ON = 2,
    /// It ended with this reading.
    FLOWLET_CLEARED = 3,
}

/// What lies in a [`flowlet_alarm_t`].
#[repr(C)]
struct Held {
    /// [`STARTED`] if the alarm is there.
    mark: u32,
    alarm: Alarm,
}

/// No pattern that memory holds by chance, and not zero.
const STARTED: u32 = 0x414c_524d;

const _: () = assert!(
    size_of::<Held>() <= size_of::<flowlet_alarm_t>() && align_of::<Held>() <= align_of::<flowlet_alarm_t>(),
    "FLOWLET_ALARM_WORDS is too small for an alarm",
);

/// The alarm behind a pointer from C.
///
/// # Safety
/// See the crate's documentation.
unsafe fn started<'a>(alarm: *mut flowlet_alarm_t) -> Result<&'a mut Alarm, flowlet_status_t> {
    pointers::check(alarm)?;
    // SAFETY: not NULL, aligned, and the first word is initialized by the caller's word.
    if unsafe { alarm.cast::<u32>().read() } != STARTED {
        return Err(FLOWLET_ERROR_NOT_OPEN);
    }
    // SAFETY: the mark is written with a whole alarm alone, and `Held` fits the storage.
    Ok(unsafe { &mut (*alarm.cast::<Held>()).alarm })
}

/// The settings that the image brings, as `flowlet alarm` has written them.
///
/// FLOWLET_ERROR_NO_ALARM: it brings none. FLOWLET_ERROR_MALFORMED: they cannot work; opening an image does not look at them.
#[no_mangle]
pub unsafe extern "C" fn flowlet_alarm_settings(
    model: *const flowlet_model_t,
    settings: *mut flowlet_alarm_settings_t,
) -> flowlet_status_t {
    let read = || {
        // SAFETY: the caller's word.
        let model = unsafe { opened(model) }?;
        // SAFETY: the caller's word.
        let settings = unsafe { pointers::place(settings) }?;
        let record = AlarmRecord::from(model.alarm()?);
        settings.write(flowlet_alarm_settings_t {
            needed: record.needed,
            of: record.of,
            votes_level: record.votes_level,
            votes_clear: record.votes_clear,
            weight: record.weight,
            ewma_level: record.ewma_level,
            ewma_clear: record.ewma_clear,
            reference: record.reference,
            limit: record.limit,
            cusum_clear: record.cusum_clear,
            hold_off: record.hold_off,
        });
        Ok(())
    };
    read().into()
}

/// Starts an alarm that has heard nothing yet; also to forget what it has heard, after a gap in the stream.
///
/// FLOWLET_ERROR_ALARM_SETTINGS: the settings cannot work, by the ranges of their fields.
#[no_mangle]
pub unsafe extern "C" fn flowlet_alarm_start(
    alarm: *mut flowlet_alarm_t,
    settings: *const flowlet_alarm_settings_t,
) -> flowlet_status_t {
    let start = || {
        // SAFETY: the caller's word; `Held` fits the storage and is no more aligned.
        let held = unsafe { pointers::place(alarm) }?.as_mut_ptr().cast::<Held>();
        pointers::check(settings)?;
        // SAFETY: not NULL, aligned; numbers of any value.
        let settings = unsafe { settings.read() };
        let record = AlarmRecord {
            needed: settings.needed,
            of: settings.of,
            votes_level: settings.votes_level,
            votes_clear: settings.votes_clear,
            weight: settings.weight,
            ewma_level: settings.ewma_level,
            ewma_clear: settings.ewma_clear,
            reference: settings.reference,
            limit: settings.limit,
            cusum_clear: settings.cusum_clear,
            hold_off: settings.hold_off,
        };
        let settings = AlarmSettings::try_from(record).map_err(|_| FLOWLET_ERROR_ALARM_SETTINGS)?;
        // SAFETY: the storage is there, to write to.
        unsafe { held.write(Held { mark: STARTED, alarm: Alarm::new(settings) }) };
        Ok(())
    };
    start().into()
}

/// Takes the next reading's score. A reading that a sensor fault spoiled has none and does not count: leave it out.
///
/// FLOWLET_ERROR_NOT_OPEN: the alarm was not started. `verdict` is written to only with FLOWLET_OK.
#[no_mangle]
pub unsafe extern "C" fn flowlet_alarm_update(
    alarm: *mut flowlet_alarm_t,
    score: *const flowlet_score_t,
    verdict: *mut flowlet_verdict_t,
) -> flowlet_status_t {
    let update = || {
        // SAFETY: the caller's word.
        let alarm = unsafe { started(alarm) }?;
        pointers::check(score)?;
        // SAFETY: not NULL, aligned; one f32 of a score that flowlet_score wrote.
        let p_value = unsafe { (&raw const (*score).p_value).read() };
        // SAFETY: the caller's word.
        let verdict = unsafe { pointers::place(verdict) }?;
        verdict.write(match alarm.step(Surprise::of_p_value(p_value)) {
            Verdict::Quiet => flowlet_verdict_t::FLOWLET_QUIET,
            Verdict::Raised => flowlet_verdict_t::FLOWLET_RAISED,
            Verdict::On => flowlet_verdict_t::FLOWLET_ON,
            Verdict::Cleared => flowlet_verdict_t::FLOWLET_CLEARED,
        });
        Ok(())
    };
    update().into()
}
