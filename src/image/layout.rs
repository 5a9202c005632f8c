//! The fixed header, and how an image gets its alignment.
//!
//! ```text
//!  0  4  magic "FLOW"
//!  4  2  format version, 2; version 1 is read too
//!  6  2  flags, 0
//!  8  4  length of the image in bytes, a multiple of 4
//! 12  4  CRC-32/ISO-HDLC of bytes 16 .. length
//! 16  4  length of the descriptor in bytes; it starts at 32
//! 20  4  offset of the words, the next multiple of 16 behind the descriptor
//! 24  4  workspace that a scorer needs, in bytes, a multiple of 4
//! 28  4  0
//! ```

use crate::{Error, Part};

/// First four bytes of every image.
pub const MAGIC: [u8; 4] = *b"FLOW";
/// The format version that this build writes.
pub const VERSION: u16 = 2;
/// The oldest format version that this build reads.
pub const OLDEST_VERSION: u16 = 1;
/// Bytes of the fixed header; the descriptor follows.
pub const HEADER_BYTES: usize = 32;
/// The words start at a multiple of this many bytes.
pub const WORDS_ALIGNMENT: usize = 16;
/// Where the checksum's coverage starts.
pub const CHECKSUM_FROM: usize = 16;

/// Byte offsets of the header's fields.
pub mod field {
    /// Format version, u16.
    pub const VERSION: usize = 4;
    /// Flags, u16.
    pub const FLAGS: usize = 6;
    /// Total length, u32.
    pub const LENGTH: usize = 8;
    /// CRC-32, u32.
    pub const CHECKSUM: usize = 12;
    /// Length of the descriptor, u32.
    pub const DESCRIPTOR_LENGTH: usize = 16;
    /// Offset of the words, u32.
    pub const WORDS: usize = 20;
    /// Workspace in bytes, u32.
    pub const WORKSPACE: usize = 24;
    /// Reserved, u32.
    pub const RESERVED: usize = 28;
}

/// The checksum of an image: CRC-32/ISO-HDLC, as in zlib and Ethernet, without a table in flash.
#[must_use]
pub fn checksum(content: &[u8]) -> u32 {
    crc::Crc::<u32, crc::NoTable>::new(&crc::CRC_32_ISO_HDLC).checksum(content)
}

/// The header's fields, read but not yet believed.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Header {
    /// Format version.
    pub version: u16,
    /// Length of the descriptor in bytes.
    pub descriptor_length: usize,
    /// Offset of the words in bytes.
    pub words: usize,
    /// Workspace in bytes.
    pub workspace: u32,
}

impl Header {
    /// Reads and checks the header against all of `image`, checksum included.
    ///
    /// # Errors
    /// [`Error::Truncated`], [`Error::TrailingBytes`], [`Error::NotAnImage`], [`Error::Version`],
    /// [`Error::Checksum`], or [`Error::Malformed`] with [`Part::Header`].
    pub fn read(image: &[u8]) -> Result<Self, Error> {
        let found = u32::try_from(image.len()).unwrap_or(u32::MAX);
        let truncated = |needed: u32| Error::Truncated { needed, found };
        let Some(header) = image.first_chunk::<HEADER_BYTES>() else {
            let is_image = image.first_chunk().is_none_or(|start| *start == MAGIC);
            return Err(if is_image { truncated(HEADER_BYTES as u32) } else { Error::NotAnImage });
        };
        let word = |at| word(header, at);
        if word(0).to_le_bytes() != MAGIC {
            return Err(Error::NotAnImage);
        }
        let [version, flags] = [word(field::VERSION) as u16, (word(field::VERSION) >> 16) as u16];
        if !(OLDEST_VERSION..=VERSION).contains(&version) {
            return Err(Error::Version(version));
        }
        let length = word(field::LENGTH);
        if found < length {
            return Err(truncated(length));
        }
        if found > length {
            return Err(Error::TrailingBytes { stated: length, found });
        }
        let stated = word(field::CHECKSUM);
        let computed = checksum(image.get(CHECKSUM_FROM..).unwrap_or_default());
        if stated != computed {
            return Err(Error::Checksum { stated, computed });
        }
        let header = Self::fields(header);
        // No sum wraps: what is longer than the image is none of its descriptors.
        let end = HEADER_BYTES + header.descriptor_length.min(image.len());
        if u32::from(flags) | word(field::RESERVED) | ((length | header.workspace) & 3) != 0
            || header.descriptor_length > image.len()
            || (end + WORDS_ALIGNMENT - 1) & !(WORDS_ALIGNMENT - 1) != header.words
            || header.words > image.len()
        {
            return Err(Error::Malformed(Part::Header));
        }
        Ok(header)
    }

    #[inline(always)]
    fn fields(header: &[u8; HEADER_BYTES]) -> Self {
        Header {
            version: word(header, field::VERSION) as u16,
            descriptor_length: word(header, field::DESCRIPTOR_LENGTH) as usize,
            words: word(header, field::WORDS) as usize,
            workspace: word(header, field::WORKSPACE),
        }
    }
}

/// The word at a byte offset; zero beyond the header. Apart where it takes four loads.
#[cfg_attr(flowlet_integer_kernels = "armv6m", inline(never))]
fn word(header: &[u8; HEADER_BYTES], at: usize) -> u32 {
    header.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |&bytes| u32::from_le_bytes(bytes))
}

/// Bytes of workspace that a scorer of `image` needs, read from its header; 0 if there is none.
///
/// `const`, so that the workspace of a compiled-in image has exactly its size:
///
/// ```
/// # const IMAGE: &[u8] = &[0; 32];
/// let mut workspace = [0u32; flowlet::workspace_words(IMAGE)];
/// ```
///
/// [`crate::Model::from_bytes`] checks that the header tells the truth.
#[must_use]
pub const fn workspace_bytes(image: &[u8]) -> usize {
    let at = field::WORKSPACE;
    match image.split_at_checked(at) {
        Some((_, rest)) => match rest.first_chunk::<4>() {
            Some(bytes) => u32::from_le_bytes(*bytes) as usize,
            None => 0,
        },
        None => 0,
    }
}

/// [`workspace_bytes`] in 32-bit words.
#[must_use]
pub const fn workspace_words(image: &[u8]) -> usize {
    workspace_bytes(image).div_ceil(4)
}

/// Content at an address that is a multiple of 16; see [`crate::include_image!`].
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(C, align(16))]
pub struct Aligned<T: ?Sized>(pub T);

/// Includes an image file in the program, aligned as [`crate::Model::from_bytes`] needs it.
///
/// ```
/// # fn main() -> Result<(), flowlet::Error> {
/// static IMAGE: &[u8] =
///     flowlet::include_image!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/v1-i8.flow"));
/// let model = flowlet::Model::from_bytes(IMAGE)?;
/// # assert_eq!(model.features(), 3);
/// # Ok(())
/// # }
/// ```
#[macro_export]
macro_rules! include_image {
    ($path:expr $(,)?) => {{
        const ALIGNED: &$crate::image::Aligned<[u8]> = &$crate::image::Aligned(*include_bytes!($path));
        &ALIGNED.0
    }};
}
