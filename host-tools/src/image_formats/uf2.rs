//! UF2, the file that a bootloader's drive takes by copying (RP2040, nRF52, STM32F4, SAMD).
//!
//! The crates for it only read. Each block of 512 bytes stands for itself, by <https://github.com/microsoft/uf2>:
//!
//! ```text
//!   0  4  0x0a324655, "UF2\n"        16  4  bytes of payload, 256
//!   4  4  0x9e5d5157                 20  4  number of the block, from 0
//!   8  4  flags, 0x2000: a family    24  4  blocks in the file
//!  12  4  address of the payload     28  4  family of the chip
//!  32 476 payload, zeros behind it  508  4  0x0ab16f30
//! ```

use super::FlashAddress;
use std::fmt;
use std::str::FromStr;

/// Bytes of the image in a block; a block's address is a multiple of it.
pub const PAYLOAD_BYTES: u32 = 256;
/// Most bootloaders erase flash in sectors of so many bytes, whatever else lies in them.
pub const SECTOR_BYTES: u32 = 4096;
const BLOCK_BYTES: usize = 512;
const HEADER: [u32; 3] = [0x0a32_4655, 0x9e5d_5157, 0x2000];
const END: u32 = 0x0ab1_6f30;

/// A chip's family, by which a bootloader knows that a file is meant for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Family(pub u32);

/// Families by name, from `uf2families.json` beside the specification.
const FAMILIES: [(&str, u32); 6] = [
    ("rp2040", 0xe48b_ff56),
    ("rp2350", 0xe48b_ff59),
    ("nrf52840", 0xada5_2840),
    ("stm32f4", 0x5775_5a57),
    ("samd21", 0x68ed_2b88),
    ("samd51", 0x5511_4460),
];

/// No family has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no UF2 family '{0}'; there are {names}, and numbers such as 0xe48bff56", names = FAMILIES.map(|(name, _)| name).join(", "))]
pub struct UnknownFamily(String);

impl FromStr for Family {
    type Err = UnknownFamily;

    fn from_str(text: &str) -> Result<Self, UnknownFamily> {
        let named = FAMILIES.iter().find(|(name, _)| *name == text).map(|(_, id)| *id);
        let number = || u32::from_str_radix(text.strip_prefix("0x")?, 16).ok();
        named.or_else(number).map(Self).ok_or_else(|| UnknownFamily(text.to_owned()))
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match FAMILIES.iter().find(|(_, id)| *id == self.0) {
            Some((name, _)) => f.write_str(name),
            None => write!(f, "{:#010x}", self.0),
        }
    }
}

/// The bytes at an address (a multiple of [`PAYLOAD_BYTES`]) as a UF2 file; zeros fill the last block.
#[must_use]
pub fn uf2(bytes: &[u8], address: FlashAddress, family: Family) -> Vec<u8> {
    let payloads = bytes.chunks(PAYLOAD_BYTES as usize);
    let blocks = payloads.len() as u32;
    let mut file = Vec::with_capacity(payloads.len() * BLOCK_BYTES);
    for (number, payload) in (0u32..).zip(payloads) {
        let at = address.get() + number * PAYLOAD_BYTES;
        for word in HEADER.into_iter().chain([at, PAYLOAD_BYTES, number, blocks, family.0]) {
            file.extend(word.to_le_bytes());
        }
        file.extend(payload);
        file.resize((number as usize + 1) * BLOCK_BYTES - 4, 0);
        file.extend(END.to_le_bytes());
    }
    file
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_go_by_name_and_by_number() {
        for (name, id) in FAMILIES {
            assert_eq!(name.parse(), Ok(Family(id)));
            assert_eq!(Family(id).to_string(), name);
        }
        assert_eq!("0x1234".parse::<Family>().map(|family| family.to_string()), Ok("0x00001234".into()));
        let error = "rp2041".parse::<Family>().unwrap_err().to_string();
        assert!(error.contains("rp2040") && error.contains("0x"), "{error}");
    }
}
