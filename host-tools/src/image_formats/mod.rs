//! An image in the forms that build systems and flash tools take: sources to compile in, files to flash.
//!
//! ```no_run
//! use flowlet_tools::export::ImageFile;
//! use flowlet_tools::image_formats::{c_header, intel_hex, FlashAddress, Prefix};
//!
//! let image = ImageFile::read("pump.flow".as_ref())?;
//! std::fs::write("pump.h", c_header(&image, &"pump".parse::<Prefix>()?)?)?;
//! let address = FlashAddress::new(0x0806_0000, image.bytes().len(), FlashAddress::IMAGE_ALIGNMENT)?;
//! std::fs::write("pump.hex", intel_hex(image.bytes(), address))?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod address;
mod c_header;
mod intel_hex;
mod rust_source;
mod uf2;

pub use address::{AddressError, FlashAddress};
pub use c_header::{c_header, Prefix, PrefixError};
pub use intel_hex::intel_hex;
pub use rust_source::rust_source;
pub use uf2::{uf2, Family, UnknownFamily, PAYLOAD_BYTES, SECTOR_BYTES};

use flowlet::Model;

/// What sources say of an image beside its bytes.
struct Facts<'m> {
    features: usize,
    contexts: usize,
    workspace_words: usize,
    explain_workspace_words: usize,
    /// Channels of a sample, and words of the buffer for windows; none of features that are readings.
    stream: Option<(usize, usize)>,
    /// Features, then context.
    names: Vec<&'m str>,
}

impl<'m> Facts<'m> {
    fn of(model: &Model<'m>) -> Self {
        Facts {
            features: model.features(),
            contexts: model.contexts(),
            workspace_words: model.workspace_bytes() / 4,
            explain_workspace_words: flowlet::explain_workspace_words(model),
            stream: model.front_end().ok().map(|f| (f.channel_count(), f.buffer_words())),
            names: model.feature_names().chain(model.context_names()).map(|input| input.name).collect(),
        }
    }
}
