//! A Rust source file that holds an image, with no dependency.

use super::Facts;
use crate::export::ImageFile;
use std::fmt::Write;

/// Bytes on a line.
const BYTES: usize = 16;

/// The image as a static at a multiple of 16 bytes, with its sizes and the names of its inputs: a module.
///
/// # Errors
/// What the device's loader finds wrong with the image.
pub fn rust_source(image: &ImageFile) -> Result<String, flowlet::Error> {
    let model = image.model()?;
    let facts = Facts::of(&model);
    let bytes = image.bytes();
    let mut text = String::from(
        "// A flowlet image, made by `flowlet export --format rust`. Made anew, not edited.\n\
         // As `mod pump;`: `flowlet::Model::from_bytes(pump::IMAGE)`, `let mut workspace = [0; pump::WORKSPACE_WORDS]`.\n\n",
    );
    // Writing to a String cannot fail, here and below.
    for (meaning, name, value) in [
        ("Features of a reading.", "FEATURES", facts.features),
        ("Context inputs, behind the features.", "CONTEXTS", facts.contexts),
        ("32-bit words that a `flowlet::Scorer` works in.", "WORKSPACE_WORDS", facts.workspace_words),
        (
            "32-bit words that a `flowlet::Explainer` works in.",
            "EXPLAIN_WORKSPACE_WORDS",
            facts.explain_workspace_words,
        ),
    ] {
        let _ = writeln!(text, "/// {meaning}\n#[allow(dead_code)]\npub const {name}: usize = {value};");
    }
    let _ = writeln!(
        text,
        "/// Names of the inputs, in the order of a reading.\n#[allow(dead_code)]\npub const INPUT_NAMES: [&str; {}] = {:?};",
        facts.names.len(),
        facts.names
    );
    let _ = writeln!(
        text,
        "/// The image.\npub static IMAGE: &[u8] = &ALIGNED.0;\n\n\
         #[repr(C, align(16))]\nstruct Aligned([u8; {0}]);\n\n\
         #[rustfmt::skip]\nstatic ALIGNED: Aligned = Aligned([",
        bytes.len()
    );
    for line in bytes.chunks(BYTES) {
        let line: Vec<String> = line.iter().map(|byte| format!("0x{byte:02x}")).collect();
        let _ = writeln!(text, "    {},", line.join(", "));
    }
    text.push_str("]);\n");
    Ok(text)
}
