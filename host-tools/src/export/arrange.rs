//! The order of an image's weights for the core that will evaluate them.
//!
//! Orders of one weight type take the same room, so that rearranging an image moves bytes within its dense
//! layers and changes nothing else: no size, no offset, and not one bit of a score.

use super::ImageFile;
use flowlet::arithmetic::dense::{Dense, Encoding};
use flowlet::conditioner::Net;
use flowlet::image::layout::{checksum, field, CHECKSUM_FROM};
use flowlet::transform::Step;

/// A core that images are arranged for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Core {
    /// Cortex-M0.
    CortexM0,
    /// Cortex-M0+.
    CortexM0Plus,
    /// Cortex-M3.
    CortexM3,
    /// Cortex-M4 with FPU.
    #[default]
    CortexM4F,
    /// Cortex-M7.
    CortexM7,
    /// Cortex-M33.
    CortexM33,
    /// Cortex-M55, with its vector extension.
    CortexM55,
}

impl Core {
    /// Every core.
    pub const ALL: [Self; 7] = [
        Core::CortexM0,
        Core::CortexM0Plus,
        Core::CortexM3,
        Core::CortexM4F,
        Core::CortexM7,
        Core::CortexM33,
        Core::CortexM55,
    ];

    /// Its usual name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Core::CortexM0 => "cortex-m0",
            Core::CortexM0Plus => "cortex-m0plus",
            Core::CortexM3 => "cortex-m3",
            Core::CortexM4F => "cortex-m4f",
            Core::CortexM7 => "cortex-m7",
            Core::CortexM33 => "cortex-m33",
            Core::CortexM55 => "cortex-m55",
        }
    }

    /// The order of weights of `bits` bits that it evaluates fastest.
    #[must_use]
    pub fn encoding(self, bits: usize) -> Encoding {
        match (bits, self) {
            (8, Core::CortexM0 | Core::CortexM0Plus) => Encoding::I8Packed4,
            (8, Core::CortexM55) => Encoding::I8Rows,
            (8, _) => Encoding::I8Rows4,
            (16, Core::CortexM55) => Encoding::I16Rows,
            (16, _) => Encoding::I16Rows4,
            _ => Encoding::F32Rows8,
        }
    }
}

/// `image` with its weights in the order for `core`.
///
/// # Errors
/// What the device's loader finds wrong with the image.
pub fn arrange(image: &ImageFile, core: Core) -> Result<ImageFile, flowlet::Error> {
    arrange_by(image, |bits| core.encoding(bits))
}

/// `image` with its weights in the order that `encoding` names for their bits.
///
/// # Errors
/// What the device's loader finds wrong with the image.
pub fn arrange_by(
    image: &ImageFile,
    encoding: impl Fn(usize) -> Encoding,
) -> Result<ImageFile, flowlet::Error> {
    let model = image.model()?;
    let mut bytes = image.bytes().to_vec();
    for expert in model.experts() {
        for step in expert.chain.steps() {
            if let Step::Coupling(coupling) = step {
                for layer in layers(&coupling.net()) {
                    rearrange(&layer, encoding(layer.encoding.bits()), image.bytes(), &mut bytes);
                }
            }
        }
    }
    let crc = checksum(&bytes[CHECKSUM_FROM..]);
    bytes[field::CHECKSUM..][..4].copy_from_slice(&crc.to_le_bytes());
    let arranged = ImageFile::from_bytes(&bytes);
    arranged.model()?;
    Ok(arranged)
}

/// All dense layers of a net.
fn layers<'a>(net: &Net<'a>) -> Vec<Dense<'a>> {
    match net {
        Net::Mlp(net) => net.layers().collect(),
        Net::Residual(net) => net
            .initial()
            .into_iter()
            .chain(net.stages().flat_map(|stage| [Some(stage.first), stage.second]).flatten())
            .collect(),
        Net::Conv1d(net) => net.layers().map(|layer| layer.dense).collect(),
        other => unreachable!("no order of weights for {}", other.name()),
    }
}

/// Writes a layer of the image `from` to the same place of `to` in the order of `encoding`.
fn rearrange(layer: &Dense<'_>, encoding: Encoding, from: &[u8], to: &mut [u8]) {
    let size = encoding.bits() / 8;
    let weights: &[u8] = bytemuck::cast_slice(layer.weights);
    // The layer is borrowed from the image: its place there is the distance of their addresses.
    let at = weights.as_ptr() as usize - from.as_ptr() as usize;
    let shape = (layer.padded_outputs(), layer.padded_inputs());
    for row in 0..layer.padded_outputs() {
        for column in 0..shape.1 {
            let weight = layer.weight(row, column).expect("within the layer");
            let stored =
                if encoding.is_float() { weight.to_bits() as i32 } else { encoding.stored(weight as i32) };
            let place = at + size * encoding.position(shape, row, column);
            to[place..][..size].copy_from_slice(&stored.to_le_bytes()[..size]);
        }
    }
    // Before the weights stand the multipliers and the bias, before these the word that says the encoding.
    to[at - 4 * (layer.bias.len() + layer.multipliers.len() + 1)] = encoding as u8;
}
