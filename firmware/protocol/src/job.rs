//! The job: one block of bytes that the host places in the board's memory.
//!
//! ```text
//!  0  magic "FJOB"
//!  4  u16  version, 1
//!  6  u16  bytes of this header, 32
//!  8  u32  bytes of the image
//! 12  u32  rows
//! 16  u32  values of a row: the features, then the context
//! 20  u32  rows to time at most
//! 24  u32  0
//! 28  u32  CRC-32 (ISO-HDLC) of the 28 bytes before it and all that follows
//! 32  the image, then zeros up to the next multiple of 16
//!     the rows: f32 bits, row after row
//! ```
//!
//! Little-endian. The block starts at a multiple of 16, and so do image and rows in it.

use crc::{Crc, Table, CRC_32_ISO_HDLC};
use serde::{Deserialize, Serialize};

/// What a job starts with.
pub const MAGIC: [u8; 4] = *b"FJOB";
/// The version of the layout.
pub const VERSION: u16 = 1;
/// Bytes of the header; the image follows.
pub const HEADER_BYTES: usize = 32;
const CHECKSUM_AT: usize = HEADER_BYTES - 4;
/// The block, the image and the rows start at multiples of this.
pub const ALIGN: usize = 16;

static CRC: Crc<u32, Table<1>> = Crc::<u32, Table<1>>::new(&CRC_32_ISO_HDLC);

/// Why a block of bytes is not a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum JobError {
    /// Shorter than a header.
    TooShort,
    /// Another magic: no job was placed here.
    Magic,
    /// Made by another version of the host tools.
    Version,
    /// Header length or reserved word are wrong.
    Header,
    /// The lengths in the header reach beyond the memory.
    Length,
    /// A job without features has no rows.
    Features,
    /// The block does not start at a multiple of [`ALIGN`].
    Alignment,
    /// Image or rows were damaged on their way.
    Checksum,
}

impl core::fmt::Display for JobError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::TooShort => "shorter than a header",
            Self::Magic => "no job in the board's memory",
            Self::Version => "made for another version of the firmware",
            Self::Header => "malformed header",
            Self::Length => "longer than the board's memory",
            Self::Features => "rows without features",
            Self::Alignment => "not aligned to 16 bytes",
            Self::Checksum => "damaged image or rows",
        })
    }
}

impl core::error::Error for JobError {}

/// A checked job, borrowed from memory.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Job<'a> {
    /// The bytes of the image; whether they are a good image is for the model to say.
    pub image: &'a [u8],
    /// The values of all rows.
    pub values: &'a [f32],
    /// Values of a row (features, then context), at least 1.
    pub features: usize,
    /// Rows to time at most.
    pub timed_rows: u32,
}

impl<'a> Job<'a> {
    /// Checks all there is to check about the job at the start of `memory`, which may go on
    /// behind it.
    ///
    /// # Errors
    /// Every [`JobError`]; never a panic, whatever the bytes.
    pub fn parse(memory: &'a [u8]) -> Result<Self, JobError> {
        let header = memory.first_chunk::<HEADER_BYTES>().ok_or(JobError::TooShort)?;
        let [m0, m1, m2, m3, v0, v1, h0, h1, words @ ..] = *header;
        if [m0, m1, m2, m3] != MAGIC {
            return Err(JobError::Magic);
        }
        if u16::from_le_bytes([v0, v1]) != VERSION {
            return Err(JobError::Version);
        }
        let mut fields = [0; 6];
        for (field, bytes) in fields.iter_mut().zip(words.chunks_exact(4)) {
            *field = bytes.try_into().map_or(0, u32::from_le_bytes);
        }
        let [image_bytes, rows, features, timed_rows, reserved, checksum] = fields;
        if usize::from(u16::from_le_bytes([h0, h1])) != HEADER_BYTES || reserved != 0 {
            return Err(JobError::Header);
        }
        if features == 0 && rows != 0 {
            return Err(JobError::Features);
        }
        let size = Sizes::new(image_bytes as usize, rows as usize, features as usize);
        let Sizes { image, rows_at, total } = size.ok_or(JobError::Length)?;
        let body = memory.get(HEADER_BYTES..total).ok_or(JobError::Length)?;
        let image = memory.get(HEADER_BYTES..image).ok_or(JobError::Length)?;
        let values = memory.get(rows_at..total).ok_or(JobError::Length)?;
        if memory.as_ptr().align_offset(ALIGN) != 0 {
            return Err(JobError::Alignment);
        }
        let covered = header.first_chunk::<CHECKSUM_AT>().ok_or(JobError::TooShort)?;
        if self::checksum(covered, body) != checksum {
            return Err(JobError::Checksum);
        }
        let values = bytemuck::try_cast_slice(values).map_err(|_| JobError::Alignment)?;
        Ok(Self { image, values, features: features.max(1) as usize, timed_rows })
    }

    /// The rows, in order.
    pub fn rows(&self) -> core::slice::ChunksExact<'a, f32> {
        // The bound is for the compiler, which can't know that `parse` saw to it.
        self.values.chunks_exact(self.features.max(1))
    }

    /// Bytes of a job, or `None` if the count does not fit in 32 bits.
    pub fn bytes(image_bytes: usize, rows: usize, features: usize) -> Option<usize> {
        Sizes::new(image_bytes, rows, features).map(|sizes| sizes.total)
    }
}

/// The header of a job whose image and rows (`body`: all that follows the header) are ready.
pub fn header(
    image_bytes: u32,
    rows: u32,
    features: u32,
    timed_rows: u32,
    body: &[u8],
) -> [u8; HEADER_BYTES] {
    let version = VERSION.to_le_bytes();
    let length = (HEADER_BYTES as u16).to_le_bytes();
    let words = [image_bytes, rows, features, timed_rows, 0];
    let fields = words.into_iter().flat_map(u32::to_le_bytes);
    let mut covered = [0; CHECKSUM_AT];
    fill(&mut covered, MAGIC.into_iter().chain(version).chain(length).chain(fields));
    let mut header = [0; HEADER_BYTES];
    fill(&mut header, covered.into_iter().chain(checksum(&covered, body).to_le_bytes()));
    header
}

fn fill(to: &mut [u8], from: impl Iterator<Item = u8>) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = from;
    }
}

fn checksum(covered: &[u8; CHECKSUM_AT], body: &[u8]) -> u32 {
    let mut digest = CRC.digest();
    digest.update(covered);
    digest.update(body);
    digest.finalize()
}

struct Sizes {
    image: usize,
    rows_at: usize,
    total: usize,
}

impl Sizes {
    fn new(image_bytes: usize, rows: usize, features: usize) -> Option<Self> {
        let image = HEADER_BYTES.checked_add(image_bytes)?;
        let rows_at = image.checked_next_multiple_of(ALIGN)?;
        let total = rows.checked_mul(features)?.checked_mul(4)?.checked_add(rows_at)?;
        u32::try_from(total).ok()?;
        Some(Self { image, rows_at, total })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[repr(C, align(16))]
    #[derive(Clone)]
    struct Memory([u8; 160]);

    /// 21 bytes of image, 3 rows of 2 features: 32 + 32 + 24 bytes.
    const TOTAL: usize = 88;
    const ROWS: [f32; 6] = [1.0, f32::NAN, f32::NEG_INFINITY, 1e-42, -0.0, 3.5];

    fn memory() -> Memory {
        let mut memory = Memory([0xEE; 160]);
        let bytes = &mut memory.0;
        bytes[32..53].fill(7);
        bytes[53..64].fill(0);
        for (to, value) in bytes[64..TOTAL].chunks_exact_mut(4).zip(ROWS) {
            to.copy_from_slice(&value.to_le_bytes());
        }
        let header = header(21, 3, 2, 9, &bytes[32..TOTAL]);
        bytes[..32].copy_from_slice(&header);
        memory
    }

    #[test]
    fn a_job_comes_back_bit_for_bit() {
        let memory = memory();
        let job = Job::parse(&memory.0).unwrap();
        assert_eq!(job.image, [7; 21]);
        assert_eq!((job.features, job.timed_rows, job.rows().len()), (2, 9, 3));
        assert!(job.values.iter().map(|v| v.to_bits()).eq(ROWS.map(f32::to_bits)));
        assert_eq!(Job::bytes(21, 3, 2), Some(TOTAL));
        assert_eq!(Job::bytes(0, 3, usize::MAX / 2), None);
    }

    #[test]
    fn no_truncation_and_no_flipped_bit_goes_unnoticed() {
        let good = memory();
        for length in 0..TOTAL {
            assert!(Job::parse(&good.0[..length]).is_err(), "{length}");
        }
        for bit in 0..TOTAL * 8 {
            let mut hurt = good.clone();
            hurt.0[bit / 8] ^= 1 << (bit % 8);
            assert!(Job::parse(&hurt.0).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn each_fault_has_its_own_error() {
        let with = |at: usize, bytes: &[u8]| {
            let mut memory = memory();
            memory.0[at..at + bytes.len()].copy_from_slice(bytes);
            Job::parse(&memory.0).unwrap_err()
        };
        assert_eq!(with(0, b"JUNK"), JobError::Magic);
        assert_eq!(with(4, &[2]), JobError::Version);
        assert_eq!(with(6, &[28]), JobError::Header);
        assert_eq!(with(24, &[1]), JobError::Header);
        assert_eq!(with(8, &[0xFF; 4]), JobError::Length);
        assert_eq!(with(12, &[0xFF; 8]), JobError::Length);
        assert_eq!(with(16, &[0; 4]), JobError::Features);
        assert_eq!(with(70, &[1]), JobError::Checksum);
        assert_eq!(Job::parse(&[]), Err(JobError::TooShort));
        let mut shifted = memory();
        shifted.0.copy_within(0..TOTAL, 4);
        assert_eq!(Job::parse(&shifted.0[4..]), Err(JobError::Alignment));
    }
}
