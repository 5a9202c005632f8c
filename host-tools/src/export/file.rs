//! An image in memory with the alignment that the device's loader asks for, and on disk.

use super::Certificate;
use flowlet::stream::AlarmSettings;
use flowlet::Model;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// The bytes of an image, aligned to 16.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageFile {
    storage: Vec<u128>,
    length: usize,
}

/// An image file that cannot be read or written.
#[derive(Debug, Error)]
pub enum ImageFileError {
    /// The file system said no.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not a good image.
    #[error("{}: {source}", path.display())]
    Image {
        /// The file.
        path: PathBuf,
        /// Why.
        source: flowlet::Error,
    },
}

impl ImageFile {
    /// Copies `bytes` to aligned storage, unchecked.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let mut storage = vec![0u128; bytes.len().div_ceil(16)];
        bytemuck::cast_slice_mut::<u128, u8>(&mut storage)[..bytes.len()].copy_from_slice(bytes);
        ImageFile { storage, length: bytes.len() }
    }

    /// Reads and checks an image file: what a device checks when it opens it, and what it checks when it asks for more.
    ///
    /// # Errors
    /// [`ImageFileError`], naming the file.
    pub fn read(path: &Path) -> Result<Self, ImageFileError> {
        let bytes = std::fs::read(path).map_err(|source| ImageFileError::Io { path: path.into(), source })?;
        let file = Self::from_bytes(&bytes);
        file.check().map_err(|source| ImageFileError::Image { path: path.into(), source })?;
        Ok(file)
    }

    /// Checks all of the image, also the front end and the settings of the alarm, which no score needs.
    fn check(&self) -> Result<(), flowlet::Error> {
        let model = self.model()?;
        present(model.front_end())?;
        present(model.alarm())?;
        Ok(())
    }

    /// The image.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &bytemuck::cast_slice(&self.storage)[..self.length]
    }

    /// The same image with what was proved of it written into it; the image itself where it holds a certificate already.
    #[must_use]
    pub fn certified(&self, certificate: &Certificate) -> Self {
        super::assemble::with_certificate(self, &certificate.record()).unwrap_or_else(|| self.clone())
    }

    /// The same image with an alarm's settings written into it, in place of those that it had; `None` for images without the
    /// records that stand before them: write those anew with `flowlet quantize`.
    #[must_use]
    pub fn with_alarm(&self, settings: &AlarmSettings) -> Option<Self> {
        super::assemble::with_alarm(self, &(*settings).into())
    }

    /// The checked view of it.
    ///
    /// # Errors
    /// What the device's loader finds wrong.
    pub fn model(&self) -> Result<Model<'_>, flowlet::Error> {
        Model::from_bytes(self.bytes())
    }
}

/// What was asked of a model, if the model has it.
///
/// # Errors
/// What is wrong with what it has.
pub fn present<T>(asked: Result<T, flowlet::Error>) -> Result<Option<T>, flowlet::Error> {
    match asked {
        Ok(found) => Ok(Some(found)),
        Err(flowlet::Error::NoFrontEnd | flowlet::Error::NoAlarm) => Ok(None),
        Err(error) => Err(error),
    }
}
