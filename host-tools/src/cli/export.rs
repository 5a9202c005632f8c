//! `flowlet export`

use super::files;
use super::output::{grouped, Output};
use super::scoring;
use super::usage;
use crate::image_formats::{
    c_header, intel_hex, rust_source, uf2, Family, FlashAddress, Prefix, PrefixError, PAYLOAD_BYTES,
    SECTOR_BYTES,
};
use clap::{Args, ValueEnum};
use serde_json::json;
use std::path::PathBuf;

/// Write an image in another form: a source to compile in, or a file to flash
///
/// The image is checked first. An address must suit the format: a multiple of 4, of 256 for uf2.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  flowlet export pump.flow --format c-header -o pump.h             const uint32_t pump_image[], sizes, names
  flowlet export pump.flow --format rust -o src/pump.rs            mod pump; Model::from_bytes(pump::IMAGE)
  flowlet export pump.flow --format hex --address 0x08060000 -o pump.hex       probe-rs download, STM32CubeProgrammer
  flowlet export pump.flow --format uf2 --address 0x10100000 -o pump.uf2       copied to the drive of an RP2040
  flowlet export pump.flow --format bin -o pump.bin                st-flash write pump.bin 0x08060000")]
pub(super) struct ExportArgs {
    /// The image
    #[arg(value_name = "M.flow")]
    model: PathBuf,
    /// What to write
    #[arg(long, value_enum)]
    format: Format,
    /// Where in flash the image goes: hex and uf2 hold it, bin only checks it. Decimal, or 0x and hexadecimal
    #[arg(long, value_name = "A", value_parser = address)]
    address: Option<u32>,
    /// Chip of a UF2 file: rp2040, rp2350, nrf52840, stm32f4, samd21, samd51, or a number such as 0xe48bff56
    #[arg(long, value_name = "CHIP", default_value = "rp2040")]
    family: Family,
    /// Beginning of the names in a C header; from the image's file name if left out
    #[arg(long, value_name = "PREFIX", value_parser = |text: &str| -> Result<Prefix, PrefixError> { text.parse() })]
    name: Option<Prefix>,
    /// Where to write it
    #[arg(short, long, value_name = "OUT")]
    output: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Rust source: a module with the image as an aligned static, its sizes and names
    Rust,
    /// C and C++ header: the image as an aligned array, its sizes and names
    CHeader,
    /// Intel HEX
    Hex,
    /// UF2, for bootloaders that are a USB drive
    Uf2,
    /// The image's bytes
    Bin,
}

fn address(text: &str) -> Result<u32, String> {
    let digits = text.replace('_', "");
    let number = match digits.strip_prefix("0x").or(digits.strip_prefix("0X")) {
        Some(digits) => u32::from_str_radix(digits, 16),
        None => digits.parse(),
    };
    number.map_err(|_| format!("'{text}' is no 32-bit address: use one such as 0x08060000"))
}

impl ExportArgs {
    pub(super) fn run(self, output: &Output) -> anyhow::Result<()> {
        files::check_target(&self.output)?;
        let image = scoring::read_image(&self.model)?;
        let model = image.model()?;
        let bytes = image.bytes();
        let content = match self.format {
            Format::Rust | Format::CHeader => {
                if self.address.is_some() {
                    return Err(usage(
                        "the linker places what is compiled in: leave out --address, or use --format hex",
                    ));
                }
                match self.format {
                    Format::Rust => rust_source(&image)?.into_bytes(),
                    _ => c_header(&image, &self.prefix())?.into_bytes(),
                }
            }
            Format::Hex => intel_hex(bytes, self.flash_address(bytes.len(), 1)?).into_bytes(),
            Format::Uf2 => {
                let address = self.flash_address(bytes.len(), PAYLOAD_BYTES)?;
                if !address.get().is_multiple_of(SECTOR_BYTES) {
                    output.warn(&format!(
                        "{:#010x} is no multiple of {SECTOR_BYTES}: most bootloaders erase what lies before it in its sector",
                        address.get()
                    ));
                }
                uf2(bytes, address, self.family)
            }
            Format::Bin => {
                if self.address.is_some() {
                    self.flash_address(bytes.len(), 1)?;
                }
                bytes.to_vec()
            }
        };
        files::write_whole(&self.output, &content)?;

        let format = self.format.to_possible_value().map_or_else(String::new, |v| v.get_name().to_owned());
        let words = (model.workspace_bytes() / 4, flowlet::explain_workspace_words(&model));
        let text = format!(
            "{}: {} bytes of {format}: an image of {} bytes{}; {} words of workspace, {} to explain",
            self.output.display(),
            grouped(content.len()),
            grouped(bytes.len()),
            self.address.map_or_else(String::new, |address| format!(" at {address:#010x}")),
            grouped(words.0),
            grouped(words.1),
        );
        let json = json!({
            "bytes": content.len(),
            "image_bytes": bytes.len(),
            "format": format,
            "address": self.address,
            "family": (self.format == Format::Uf2).then(|| self.family.to_string()),
            "workspace_words": words.0,
            "explain_workspace_words": words.1,
            "output": self.output,
        });
        output.finish(&text, &json)
    }

    fn prefix(&self) -> Prefix {
        let stem = || self.model.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        self.name.clone().unwrap_or_else(|| Prefix::like(&stem().unwrap_or_default()))
    }

    fn flash_address(&self, bytes: usize, multiple: u32) -> anyhow::Result<FlashAddress> {
        let missing =
            || usage("this format holds the image's place in flash: give --address, such as 0x08060000");
        Ok(FlashAddress::new(self.address.ok_or_else(missing)?, bytes, multiple)?)
    }
}
