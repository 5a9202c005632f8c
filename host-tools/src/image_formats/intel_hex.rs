//! Intel HEX, which debuggers and programmers take.

use super::FlashAddress;
use ihex::Record;

/// Data bytes of a record, as most tools write them.
const RECORD_BYTES: usize = 16;
/// What one extended linear address covers.
const SEGMENT_BYTES: u32 = 1 << 16;

/// The bytes at an address, as the text of a HEX file.
#[must_use]
pub fn intel_hex(bytes: &[u8], address: FlashAddress) -> String {
    let mut records = Vec::new();
    let (mut at, mut rest, mut segment) = (address.get(), bytes, None);
    while !rest.is_empty() {
        if segment != Some(at / SEGMENT_BYTES) {
            segment = Some(at / SEGMENT_BYTES);
            records.push(Record::ExtendedLinearAddress((at / SEGMENT_BYTES) as u16));
        }
        // No record runs over the end of what its extended address covers.
        let room = (SEGMENT_BYTES - at % SEGMENT_BYTES) as usize;
        let (value, behind) = rest.split_at(rest.len().min(RECORD_BYTES).min(room));
        records.push(Record::Data { offset: at as u16, value: value.to_vec() });
        // Wraps only behind the very last byte of the address space.
        at = at.wrapping_add(value.len() as u32);
        rest = behind;
    }
    records.push(Record::EndOfFile);
    // Fails for records of over 255 bytes and for a missing end, and there are neither.
    ihex::create_object_file_representation(&records).unwrap_or_default()
}
