//! Takes an image apart and seals it again, so that a test can break one thing at a time behind a
//! checksum that is right.
//!
//! Written from `docs/image-format.md` and not with the exporter's code.

use flowlet::image::descriptor::{ExpertRecord, Feature, Head};
use flowlet_tools::export::ImageFile;

/// The pieces of an image, free to be changed.
#[derive(Clone, Debug)]
pub struct Parts<'a> {
    /// Format version, of the header.
    pub version: u16,
    /// First record of the descriptor.
    pub head: Head<'a>,
    /// Its features, then its context inputs.
    pub features: Vec<Feature<'a>>,
    /// Its experts.
    pub experts: Vec<ExpertRecord>,
    /// The word section.
    pub words: Vec<u32>,
    /// Workspace in bytes, of the header.
    pub workspace: u32,
    /// Descriptor bytes behind the last of these records; from version 2 on, notes.
    pub behind: Vec<u8>,
}

/// The little-endian u32 at `at`.
#[must_use]
pub fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

/// Writes a little-endian u32 at `at`.
pub fn put(bytes: &mut [u8], at: usize, value: u32) {
    bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

/// CRC-32/ISO-HDLC, bit by bit from its definition.
#[must_use]
pub fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
    !bytes.iter().fold(!0, |crc, &b| (0..8).fold(crc ^ u32::from(b), |crc, _| step(crc)))
}

/// Makes the checksum right again.
pub fn repair_checksum(bytes: &mut [u8]) {
    if bytes.len() >= 16 {
        let crc = crc32(&bytes[16..]);
        put(bytes, 12, crc);
    }
}

/// Makes the length and the checksum right again.
pub fn repair(bytes: &mut [u8]) {
    if bytes.len() >= 16 {
        put(bytes, 8, bytes.len() as u32);
        repair_checksum(bytes);
    }
}

impl<'a> Parts<'a> {
    /// Takes a good image apart.
    ///
    /// # Panics
    /// If it is not good.
    #[must_use]
    pub fn of(image: &'a [u8]) -> Self {
        let descriptor = &image[32..32 + word(image, 16) as usize];
        let (head, mut rest): (Head<'a>, _) = postcard::take_from_bytes(descriptor).expect("a head");
        let mut features = Vec::new();
        for _ in 0..head.features + head.contexts {
            let (feature, behind) = postcard::take_from_bytes(rest).expect("a feature");
            features.push(feature);
            rest = behind;
        }
        let mut experts = Vec::new();
        for _ in 0..head.experts {
            let (expert, behind) = postcard::take_from_bytes(rest).expect("an expert");
            experts.push(expert);
            rest = behind;
        }
        let from = word(image, 20) as usize;
        let words = image[from..].chunks_exact(4).map(|w| word(w, 0)).collect();
        let version = word(image, 4) as u16;
        Parts { version, head, features, experts, words, workspace: word(image, 24), behind: rest.to_vec() }
    }

    /// Seals the pieces as an image, unchecked.
    #[must_use]
    pub fn seal(&self) -> ImageFile {
        let mut descriptor = record(&self.head);
        self.features.iter().for_each(|f| descriptor.extend(record(f)));
        self.experts.iter().for_each(|e| descriptor.extend(record(e)));
        descriptor.extend(&self.behind);
        let mut bytes = b"FLOW\x01\0\0\0".to_vec();
        bytes[4..6].copy_from_slice(&self.version.to_le_bytes());
        bytes.resize(32, 0);
        put(&mut bytes, 16, descriptor.len() as u32);
        put(&mut bytes, 24, self.workspace);
        bytes.extend(descriptor);
        bytes.resize(bytes.len().next_multiple_of(16), 0);
        let from = bytes.len() as u32;
        put(&mut bytes, 20, from);
        bytes.extend(self.words.iter().flat_map(|w| w.to_le_bytes()));
        repair(&mut bytes);
        ImageFile::from_bytes(&bytes)
    }

    /// Index of the head word of the `index`-th block of the first expert's chain.
    #[must_use]
    pub fn block(&self, index: usize) -> usize {
        let mut at = self.experts[0].chain as usize;
        for _ in 0..index {
            at += 1 + (self.words[at] >> 8) as usize;
        }
        at
    }

    /// Index of the head word of a coupling's first dense layer; `block` is the coupling's.
    #[must_use]
    pub fn first_layer(&self, block: usize) -> usize {
        self.block(block) + 5
    }
}

fn record(record: &impl serde::Serialize) -> Vec<u8> {
    postcard::to_stdvec(record).expect("a record can be encoded")
}
