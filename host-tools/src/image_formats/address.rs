//! Where in a chip's flash an image goes.

/// A 32-bit address that fits an image: aligned, and with room for it below the end of the address space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlashAddress(u32);

/// An address that does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Not a multiple of what the format or the runtime needs.
    #[error("address {address:#010x} is no multiple of {multiple}: use {below:#010x} or {above:#010x}", below = address - address % multiple, above = u64::from(address - address % multiple) + u64::from(*multiple))]
    Unaligned {
        /// What was asked for.
        address: u32,
        /// What it must be a multiple of, in bytes.
        multiple: u32,
    },
    /// The image would not end within 32 bits of address.
    #[error("{bytes} bytes do not fit between address {address:#010x} and the end of 32-bit addresses: use one of {last:#010x} or below", last = ((1 << 32) - *bytes as u64) / 16 * 16)]
    PastTheEnd {
        /// What was asked for.
        address: u32,
        /// Length of the image.
        bytes: usize,
    },
}

impl FlashAddress {
    /// What [`flowlet::Model::from_bytes`] asks of an image's address, in bytes.
    pub const IMAGE_ALIGNMENT: u32 = 4;

    /// An address for so many bytes, a multiple of `multiple` bytes and of [`Self::IMAGE_ALIGNMENT`].
    ///
    /// # Errors
    /// [`AddressError`], with addresses that would do.
    pub fn new(address: u32, bytes: usize, multiple: u32) -> Result<Self, AddressError> {
        let multiple = multiple.max(Self::IMAGE_ALIGNMENT);
        if !address.is_multiple_of(multiple) {
            return Err(AddressError::Unaligned { address, multiple });
        }
        if u64::from(address) + bytes as u64 > 1 << 32 {
            return Err(AddressError::PastTheEnd { address, bytes });
        }
        Ok(Self(address))
    }

    /// The address.
    #[must_use]
    pub fn get(self) -> u32 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_aligned_and_leave_room() {
        assert_eq!(FlashAddress::new(0xffff_fff0, 16, 4).map(FlashAddress::get), Ok(0xffff_fff0));
        let error = FlashAddress::new(0x1000_0102, 64, 256).unwrap_err().to_string();
        assert!(error.contains("256") && error.contains("0x10000100 or 0x10000200"), "{error}");
        assert!(FlashAddress::new(6, 64, 1).is_err(), "an image needs a multiple of 4 in any format");
        let error = FlashAddress::new(0xffff_fff0, 20, 4).unwrap_err().to_string();
        assert!(error.contains("20 bytes") && error.contains("0xffffffe0"), "{error}");
    }
}
