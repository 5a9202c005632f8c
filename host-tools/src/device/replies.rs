//! From the bytes of the serial line to the outcome of a job.
//!
//! Nothing is taken on trust: every frame is checked, every row must be answered once and in
//! order, and the numbers that depend on each other must agree.

use flowlet_protocol::{frame, Measurements, Message, Outcome};

use super::simulate::Row;
use super::DeviceError;

/// What a board answered to one job.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Replies {
    pub(super) rows: Vec<Row>,
    pub(super) workspace_bytes: u32,
    pub(super) measured: Measurements,
}

/// Reads the replies to a job of `rows` rows of `features` features.
pub(super) fn read(serial: &[u8], rows: usize, features: usize) -> Result<Replies, DeviceError> {
    let mut messages = Messages::new(serial);
    let workspace_bytes = loaded(&mut messages, rows, features)?;
    let mut answered = Vec::new();
    for expected in 0..rows {
        match messages.next()? {
            Message::Row { index, outcome } if index as usize == expected => answered.push(match outcome {
                Outcome::Scored(bits) => Ok(bits),
                Outcome::Failed(code) => Err(code),
            }),
            Message::Refused(refusal) => return Err(DeviceError::Refused(refusal)),
            other => return Err(unexpected(&other, &format!("row {expected}"))),
        }
    }
    let measured = match messages.next()? {
        Message::Finished(measured) => measured,
        other => return Err(unexpected(&other, "the measurements")),
    };
    messages.end()?;
    let scored = answered.iter().filter(|row| row.is_ok()).count();
    if measured.timed_scores as usize > scored || measured.overhead_ticks > measured.ticks {
        return Err(DeviceError::Replies(format!("impossible measurements: {measured:?}")));
    }
    Ok(Replies { rows: answered, workspace_bytes, measured })
}

/// The board's word that it took the job; gives the bytes of workspace that it needs.
pub(crate) fn loaded(messages: &mut Messages<'_>, rows: usize, features: usize) -> Result<u32, DeviceError> {
    match messages.next()? {
        Message::Refused(refusal) => Err(DeviceError::Refused(refusal)),
        Message::Loaded { rows: r, features: f, workspace_bytes }
            if r as usize == rows && f as usize == features =>
        {
            Ok(workspace_bytes)
        }
        Message::Loaded { rows: r, features: f, .. } => {
            let text = format!("it saw {r} rows of {f} features where {rows} of {features} were sent");
            Err(DeviceError::Replies(text))
        }
        other => Err(unexpected(&other, "the size of the job")),
    }
}

pub(crate) fn unexpected(message: &Message, wanted: &str) -> DeviceError {
    DeviceError::Replies(format!("{wanted} was expected, {message:?} came"))
}

/// The messages on a serial line, in order.
pub(crate) struct Messages<'a> {
    rest: &'a [u8],
    index: usize,
}

impl<'a> Messages<'a> {
    pub(crate) fn new(serial: &'a [u8]) -> Self {
        Self { rest: serial, index: 0 }
    }

    /// An error if anything follows.
    pub(crate) fn end(&self) -> Result<(), DeviceError> {
        if self.rest.is_empty() {
            return Ok(());
        }
        Err(DeviceError::Replies(format!("{} bytes follow the last message", self.rest.len())))
    }

    pub(crate) fn next(&mut self) -> Result<Message, DeviceError> {
        let end =
            self.rest.iter().position(|&byte| byte == 0).ok_or_else(|| {
                DeviceError::Replies(format!("they end after {} whole messages", self.index))
            })?;
        let mut bytes = self.rest[..end].to_vec();
        let index = self.index;
        let message = frame::decode(&mut bytes).map_err(|error| DeviceError::Frame { index, error })?;
        self.rest = &self.rest[end + 1..];
        self.index += 1;
        Ok(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flowlet_protocol::{JobError, Refusal, ScoreBits};

    const BITS: ScoreBits = ScoreBits { log_prob: 0x7FC0_1234, p_value: 0, score: 1, alarm: true };
    const LOADED: Message = Message::Loaded { features: 3, rows: 2, workspace_bytes: 640 };
    const ROW_0: Message = Message::Row { index: 0, outcome: Outcome::Scored(BITS) };
    const ROW_1: Message = Message::Row { index: 1, outcome: Outcome::Failed(9) };
    const END: Measurements = Measurements {
        timed_scores: 1,
        ticks: 100,
        overhead_ticks: 2,
        clock_hz: 25_000_000,
        stack_bytes: 512,
    };

    fn bytes(messages: &[Message]) -> Vec<u8> {
        messages.iter().flat_map(|m| frame::encode(m).unwrap()).collect()
    }

    fn good() -> Vec<u8> {
        bytes(&[LOADED, ROW_0, ROW_1, Message::Finished(END)])
    }

    #[test]
    fn good_replies_are_read() {
        let replies = read(&good(), 2, 3).unwrap();
        assert_eq!(replies, Replies { rows: vec![Ok(BITS), Err(9)], workspace_bytes: 640, measured: END });
    }

    #[test]
    fn no_truncation_and_no_flipped_bit_is_accepted() {
        let good = good();
        for length in 0..good.len() {
            assert!(read(&good[..length], 2, 3).is_err(), "{length}");
        }
        for bit in 0..good.len() * 8 {
            let mut hurt = good.clone();
            hurt[bit / 8] ^= 1 << (bit % 8);
            assert!(read(&hurt, 2, 3).is_err(), "{bit}");
        }
    }

    #[test]
    fn rows_that_are_missing_doubled_or_swapped_are_errors() {
        let end = Message::Finished(END);
        for messages in [
            &[LOADED, ROW_0, end][..],
            &[LOADED, ROW_1, ROW_0, end],
            &[LOADED, ROW_0, ROW_0, end],
            &[LOADED, ROW_0, ROW_1, ROW_1, end],
            &[LOADED, ROW_0, ROW_1, end, end],
            &[ROW_0, ROW_1, end],
            &[LOADED, LOADED, ROW_0, ROW_1, end],
        ] {
            assert!(matches!(read(&bytes(messages), 2, 3), Err(DeviceError::Replies(_))), "{messages:?}");
        }
        assert!(matches!(read(&good(), 3, 3), Err(DeviceError::Replies(_))));
        assert!(matches!(read(&good(), 2, 4), Err(DeviceError::Replies(_))));
    }

    #[test]
    fn impossible_measurements_are_errors() {
        for end in [Measurements { timed_scores: 2, ..END }, Measurements { overhead_ticks: 101, ..END }] {
            let serial = bytes(&[LOADED, ROW_0, ROW_1, Message::Finished(end)]);
            assert!(matches!(read(&serial, 2, 3), Err(DeviceError::Replies(_))), "{end:?}");
        }
    }

    #[test]
    fn a_refusal_says_why() {
        let refusal = Refusal::Features { image: 8, rows: 3 };
        let error = read(&bytes(&[Message::Refused(refusal)]), 2, 3).unwrap_err();
        assert!(matches!(error, DeviceError::Refused(r) if r == refusal));
        assert!(error.to_string().contains("8 features, the rows have 3"), "{error}");
        let error = DeviceError::Refused(Refusal::Job(JobError::Magic)).to_string();
        assert!(error.contains("no job"), "{error}");
    }
}
