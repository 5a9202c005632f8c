//! Messages on a byte stream: postcard, a CRC-32 of it, COBS, and a zero byte at the end.
//!
//! A zero is nowhere else in the stream, so a receiver that joins late or loses bytes is in
//! step again at the next frame, and the checksum tells it which frames to trust.

use crc::{Crc, CRC_32_ISO_HDLC};

use crate::Message;

/// No frame is longer than this, its closing zero included.
pub const MAX_BYTES: usize = 64;

const CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);

/// Why bytes are not a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// The message is longer than [`MAX_BYTES`] allow.
    BufferTooSmall,
    /// The byte stuffing is broken: bytes were lost or added.
    Stuffing,
    /// The checksum does not fit, or what it covers is no message of this protocol version.
    Content,
    /// Bytes follow the message inside the frame.
    Trailing,
}

impl core::fmt::Display for FrameError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::BufferTooSmall => "the buffer is too small for the frame",
            Self::Stuffing => "broken byte stuffing",
            Self::Content => "wrong checksum or unknown message",
            Self::Trailing => "bytes after the message",
        })
    }
}

impl core::error::Error for FrameError {}

/// A frame with its closing zero.
pub type Frame = heapless::Vec<u8, MAX_BYTES>;

/// The frame of a message, with its closing zero.
///
/// # Errors
/// [`FrameError::BufferTooSmall`], which no message of this protocol gives.
pub fn encode(message: &Message) -> Result<Frame, FrameError> {
    let mut content = [0; MAX_BYTES - 2];
    let content = postcard::to_slice_crc32(message, &mut content, CRC.digest())
        .map_err(|_| FrameError::BufferTooSmall)?;
    let mut frame = Frame::new();
    for byte in stuffed(content) {
        frame.push(byte).map_err(|_| FrameError::BufferTooSmall)?;
    }
    Ok(frame)
}

/// COBS of fewer than 254 bytes: each run between zeros is announced by its length plus one, and so
/// are the bytes before the first and after the last zero.
fn stuffed(content: &[u8]) -> impl Iterator<Item = u8> + '_ {
    let groups = content.split(|&byte| byte == 0);
    let announced =
        groups.flat_map(|group| core::iter::once(group.len() as u8 + 1).chain(group.iter().copied()));
    announced.chain(core::iter::once(0))
}

/// Reads a frame without its closing zero; the bytes are used up as working space.
///
/// # Errors
/// Every [`FrameError`] but `BufferTooSmall`.
pub fn decode(frame: &mut [u8]) -> Result<Message, FrameError> {
    let length = cobs::decode_in_place(frame).map_err(|_| FrameError::Stuffing)?;
    let content = frame.get(..length).ok_or(FrameError::Stuffing)?;
    let (message, rest) =
        postcard::take_from_bytes_crc32(content, CRC.digest()).map_err(|_| FrameError::Content)?;
    if rest.is_empty() {
        Ok(message)
    } else {
        Err(FrameError::Trailing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{JobError, Measurements, Outcome, Refusal, ScoreBits};

    fn longest() -> [Message; 6] {
        let bits = ScoreBits { log_prob: u32::MAX, p_value: u32::MAX, score: u32::MAX, alarm: true };
        [
            Message::Row { index: u32::MAX, outcome: Outcome::Scored(bits) },
            Message::Row { index: 0, outcome: Outcome::Failed(0) },
            Message::Finished(Measurements {
                timed_scores: u32::MAX,
                ticks: u64::MAX,
                overhead_ticks: u64::MAX,
                clock_hz: u32::MAX,
                stack_bytes: u32::MAX,
            }),
            Message::Refused(Refusal::Job(JobError::Checksum)),
            Message::Loaded { features: u32::MAX, rows: u32::MAX, workspace_bytes: u32::MAX },
            Message::Words { row: u32::MAX, at: u32::MAX, is_last: true, count: 255, words: [u32::MAX; 8] },
        ]
    }

    #[test]
    fn every_message_fits_and_comes_back() {
        for message in longest() {
            let mut frame = encode(&message).unwrap();
            let (zero, body) = frame.split_last_mut().unwrap();
            assert_eq!(*zero, 0);
            assert!(!body.contains(&0));
            assert_eq!(decode(body), Ok(message));
        }
    }

    #[test]
    fn no_flipped_bit_or_lost_byte_goes_unnoticed() {
        for message in longest() {
            let buffer = encode(&message).unwrap();
            let length = buffer.len() - 1;
            for bit in 0..length * 8 {
                let mut hurt = buffer.clone();
                hurt[bit / 8] ^= 1 << (bit % 8);
                assert!(decode(&mut hurt[..length]).is_err(), "bit {bit} of {message:?}");
            }
            for kept in 0..length {
                let mut cut = buffer.clone();
                assert!(decode(&mut cut[..kept]).is_err(), "{kept} bytes of {message:?}");
            }
        }
    }
}
