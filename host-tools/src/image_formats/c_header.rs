//! A header that holds an image, for C99 and C++.

use super::Facts;
use crate::export::ImageFile;
use std::fmt::Write;
use std::str::FromStr;

/// Words on a line.
const WORDS: usize = 8;

/// What the names in a header begin with: `pump` gives `pump_image` and `PUMP_WORKSPACE_WORDS`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prefix(String);

/// Not the beginning of a name in C.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' begins no name in C: use letters, digits and _, a letter first, such as 'pump'")]
pub struct PrefixError(String);

impl FromStr for Prefix {
    type Err = PrefixError;

    fn from_str(text: &str) -> Result<Self, PrefixError> {
        let begins = text.starts_with(|c: char| c.is_ascii_alphabetic());
        if begins && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            Ok(Self(text.to_owned()))
        } else {
            Err(PrefixError(text.to_owned()))
        }
    }
}

impl Prefix {
    /// What comes closest to a file's name: `pump-2.i8` gives `pump_2_i8`, and `2nd` gives `model_2nd`.
    #[must_use]
    pub fn like(name: &str) -> Self {
        let name: String = name
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' })
            .collect();
        if name.starts_with(|c: char| c.is_ascii_alphabetic()) {
            Self(name)
        } else {
            Self(format!("model_{}", name.trim_start_matches('_')))
        }
    }

    /// The prefix.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The image as an array of 32-bit words, which aligns it in any C, with its sizes and the names of its inputs.
///
/// # Errors
/// What the device's loader finds wrong with the image.
pub fn c_header(image: &ImageFile, prefix: &Prefix) -> Result<String, flowlet::Error> {
    let model = image.model()?;
    let facts = Facts::of(&model);
    let (lower, upper) = (prefix.as_str(), prefix.as_str().to_ascii_uppercase());
    let bytes = image.bytes();
    // A checked image's length is a multiple of 4.
    let words: Vec<u32> =
        bytes.chunks_exact(4).map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]])).collect();
    let mut text = format!(
        "/* A flowlet image, made by `flowlet export --format c-header`. Made anew, not edited.\n   \
            The arrays are static: include it in one source file. */\n\
         #ifndef {upper}_IMAGE_H\n\
         #define {upper}_IMAGE_H\n\
         \n\
         #include <stdint.h>\n\
         \n\
         #if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__\n\
         #error \"images are little-endian and used in place\"\n\
         #endif\n\
         \n\
         #define {upper}_IMAGE_BYTES {}u\n\
         /* Values of a reading: the features, then the context inputs. */\n\
         #define {upper}_FEATURES {}u\n\
         #define {upper}_CONTEXTS {}u\n\
         #define {upper}_INPUTS {}u\n\
         /* 32-bit words of RAM that scoring takes, and explaining. */\n\
         #define {upper}_WORKSPACE_WORDS {}u\n\
         #define {upper}_EXPLAIN_WORKSPACE_WORDS {}u\n\
         {}\
         \n\
         static const char *const {lower}_input_names[{upper}_INPUTS] = {{\n",
        bytes.len(),
        facts.features,
        facts.contexts,
        facts.names.len(),
        facts.workspace_words,
        facts.explain_workspace_words,
        facts.stream.map_or_else(String::new, |(channels, words)| format!(
            "/* Values of a sample, and 32-bit words of the buffer for windows of them. */\n\
             #define {upper}_CHANNELS {channels}u\n\
             #define {upper}_STREAM_WORDS {words}u\n"
        )),
    );
    // Writing to a String cannot fail, here and below.
    for name in &facts.names {
        let _ = writeln!(text, "    {},", literal(name));
    }
    let _ = write!(text, "}};\n\nstatic const uint32_t {lower}_image[{upper}_IMAGE_BYTES / 4u] = {{\n");
    for line in words.chunks(WORDS) {
        let line: Vec<String> = line.iter().map(|word| format!("0x{word:08x}")).collect();
        let _ = writeln!(text, "    {},", line.join(", "));
    }
    let _ = write!(text, "}};\n\n#endif\n");
    Ok(text)
}

/// A string literal in ASCII; octal escapes end after three digits, so that nothing behind them joins in.
fn literal(text: &str) -> String {
    let mut literal = String::from("\"");
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => {
                literal.push('\\');
                literal.push(char::from(byte));
            }
            // Two of them begin a trigraph.
            b'?' => literal.push_str("\\?"),
            b' '..=b'~' => literal.push(char::from(byte)),
            _ => {
                let _ = write!(literal, "\\{byte:03o}");
            }
        }
    }
    literal.push('"');
    literal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_begin_names() {
        for (name, expected) in
            [("pump", "pump"), ("Pump-2.i8", "pump_2_i8"), ("2nd", "model_2nd"), ("-é", "model_")]
        {
            let prefix = Prefix::like(name);
            assert_eq!(prefix.as_str(), expected);
            assert_eq!(prefix.as_str().parse(), Ok(prefix), "{name}");
        }
        for bad in ["", "2nd", "_x", "a b", "é", "a-b"] {
            assert!(bad.parse::<Prefix>().is_err(), "{bad}");
        }
    }

    #[test]
    fn literals_hold_any_name() {
        assert_eq!(literal("a b"), r#""a b""#);
        assert_eq!(literal("\"\\??/"), r#""\"\\\?\?/""#);
        assert_eq!(literal("°C1\n"), r#""\302\260C1\012""#);
    }
}
