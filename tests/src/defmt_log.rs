//! The log of a firmware, from its raw defmt frames.

use std::path::Path;

use defmt_decoder::{DecodeError, StreamDecoder, Table};

/// Decodes frames as they come.
pub struct DefmtLog {
    decoder: Box<dyn StreamDecoder + Send + Sync>,
}

impl DefmtLog {
    /// For the frames of this firmware.
    ///
    /// # Panics
    /// If it has no defmt table.
    #[must_use]
    pub fn of(elf: &Path) -> Self {
        let elf = std::fs::read(elf).unwrap_or_else(|error| panic!("{}: {error}", elf.display()));
        let table = Table::parse(&elf).expect("a readable firmware").expect("a firmware with a defmt table");
        // The decoder borrows its table; one for each log that a test reads is little to leave behind.
        Self { decoder: Box::leak(Box::new(table)).new_stream_decoder() }
    }

    /// Takes bytes; gives the lines that they complete.
    ///
    /// # Panics
    /// At a malformed frame.
    pub fn receive(&mut self, bytes: &[u8]) -> Vec<String> {
        self.decoder.received(bytes);
        let mut lines = Vec::new();
        loop {
            match self.decoder.decode() {
                Ok(frame) => lines.push(frame.display(false).to_string()),
                Err(DecodeError::UnexpectedEof) => return lines,
                Err(DecodeError::Malformed) => panic!("malformed frame after {lines:#?}"),
            }
        }
    }
}
