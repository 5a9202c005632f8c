//! Where an image's features come from: the checked, borrowed view of its front-end record.
//!
//! A model that was trained on streams says in its image how long a window is, which channels it has, and which features
//! are taken of it; device and host read it there and extract the same bits. The record is checked by
//! [`crate::Model::front_end`], not when the image is opened: firmware whose features are readings carries no code for it.
//!
//! ```
//! use flowlet::stream::{extract, Window};
//! # fn demo(image: &[u8], samples: impl Iterator<Item = [f32; 2]>) -> Result<(), flowlet::Error> {
//! let model = flowlet::Model::from_bytes(image)?;
//! let front_end = model.front_end()?; // checked once
//! let mut window = Window::<f32, 4096>::new(&front_end)?; // window x channels at most
//! let mut scratch = [0.0f32; 2048]; // front_end.scratch_words() at most
//! let mut features = [0.0; 64]; // front_end.features() at most
//! let mut workspace = [0u32; 1024];
//! let mut scorer = flowlet::Scorer::new(&model, &mut workspace)?;
//! for sample in samples {
//!     if window.push(&sample)? {
//!         let score = scorer.score(extract(&front_end, &window, &mut scratch, &mut features)?)?;
//!         if score.alarm { /* raise the pin */ }
//!     }
//! }
//! # Ok(())
//! # }
//! ```

pub mod record;

use crate::image::descriptor::MAX_FEATURES;
use crate::image::record::take;
use crate::image::Asked;
use crate::{Error, Part};
pub use record::{edges, Channel, Extractor, Form, FrontEndHead, Samples};
use record::{MAX_BANDS, MAX_CHANNELS, VERSION};

/// Shortest window.
pub const SHORTEST_WINDOW: usize = 8;
/// Longest window in f32.
pub const LONGEST_WINDOW_F32: usize = 4096;
/// Longest window of integers.
pub const LONGEST_WINDOW_I16: usize = 2048;
/// Shortest window that has a spectrum; such windows are powers of two.
pub const SHORTEST_SPECTRUM: usize = 32;
/// Scales and floors lie within 2^±this.
const MOST_OCTAVES: u32 = 60;
/// Rates lie within 2^±this Hz.
const MOST_RATE_OCTAVES: u32 = 30;

/// A front end that was checked: nothing that is done with it can fail for what it says.
///
/// 40 bytes on a 32-bit core; the records stay in flash.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct FrontEnd<'a> {
    head: FrontEndHead,
    /// The records of the channels.
    channels: &'a [u8],
    /// The records of the extractors.
    extractors: &'a [u8],
    features: u16,
    is_spectral: bool,
}

impl<'a> FrontEnd<'a> {
    /// Checks a front-end record.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for another version of the record, [`Error::NotFiniteParameter`] for a rate, scale or floor
    /// that is no number, [`Error::Malformed`] for all else, each with [`Part::FrontEnd`].
    pub fn parse(record: &'a [u8]) -> Result<Self, Error> {
        let malformed = Error::Malformed(Part::FrontEnd);
        if record.first().is_some_and(|&version| version != VERSION) {
            return Err(Error::Unsupported(Part::FrontEnd));
        }
        let (head, channels) = take::<FrontEndHead>(record).ok_or(malformed)?;
        check_number(head.rate, MOST_RATE_OCTAVES)?;
        let longest = match head.samples {
            Samples::F32 => LONGEST_WINDOW_F32,
            Samples::I16 => LONGEST_WINDOW_I16,
        };
        let window = usize::from(head.window);
        let counts = 1..=MAX_CHANNELS;
        if window < SHORTEST_WINDOW
            || window > longest
            || head.hop == 0
            || !counts.contains(&usize::from(head.channels))
        {
            return Err(malformed);
        }
        let mut rest = channels;
        for _ in 0..head.channels {
            let (channel, behind) = take::<Channel<'_>>(rest).ok_or(malformed)?;
            rest = behind;
            check_number(channel.scale, MOST_OCTAVES)?;
            check_number(channel.floor, MOST_OCTAVES)?;
        }
        let extractors = rest;
        let mut features = 0;
        let mut is_spectral = false;
        for _ in 0..head.extractors {
            let (extractor, behind) = take::<Extractor<'_>>(rest).ok_or(malformed)?;
            rest = behind;
            if !is_valid(&extractor, &head) {
                return Err(malformed);
            }
            features += extractor.outputs();
            is_spectral |= extractor.is_spectral();
        }
        if !rest.is_empty() || features == 0 || features > MAX_FEATURES {
            return Err(malformed);
        }
        Ok(FrontEnd { head, channels, extractors, features: features as u16, is_spectral })
    }

    /// What samples are.
    #[must_use]
    pub fn samples(&self) -> Samples {
        self.head.samples
    }

    /// Samples a second, of each channel; Hz.
    #[must_use]
    pub fn rate(&self) -> f32 {
        self.head.rate
    }

    /// Samples of a window, of each channel.
    #[must_use]
    pub fn window(&self) -> usize {
        usize::from(self.head.window)
    }

    /// Samples from the start of a window to the start of the next.
    #[must_use]
    pub fn hop(&self) -> usize {
        self.head.hop as usize
    }

    /// Number of channels.
    #[must_use]
    pub fn channel_count(&self) -> usize {
        usize::from(self.head.channels)
    }

    /// The channels, in the order of a sample.
    pub fn channels(&self) -> impl Iterator<Item = Channel<'a>> + use<'a> {
        let mut rest = self.channels;
        (0..self.head.channels).map_while(move |_| {
            let (channel, behind) = take(rest)?;
            rest = behind;
            Some(channel)
        })
    }

    /// The extractors, in the order of their features.
    pub fn extractors(&self) -> impl Iterator<Item = Extractor<'a>> + use<'a> {
        let mut rest = self.extractors;
        (0..self.head.extractors).map_while(move |_| {
            let (extractor, behind) = take(rest)?;
            rest = behind;
            Some(extractor)
        })
    }

    /// Number of features: of the model's inputs, context included.
    #[must_use]
    pub fn features(&self) -> usize {
        usize::from(self.features)
    }

    /// Words of 32 bits that [`crate::stream::extract`] needs as scratch.
    #[must_use]
    pub fn scratch_words(&self) -> usize {
        if self.is_spectral {
            self.window()
        } else {
            0
        }
    }

    /// Words of 32 bits of a window's samples, and of scratch behind them: what one buffer for both needs.
    #[must_use]
    pub fn buffer_words(&self) -> usize {
        let bytes = match self.samples() {
            Samples::F32 => size_of::<f32>(),
            Samples::I16 => size_of::<i16>(),
        };
        (self.window() * self.channel_count() * bytes).div_ceil(4) + self.scratch_words()
    }
}

impl<'a> Asked<'a> for FrontEnd<'a> {
    const ABSENT: Error = Error::NoFrontEnd;

    fn check(record: &'a [u8], inputs: usize) -> Result<Self, Error> {
        let front_end = FrontEnd::parse(record)?;
        if front_end.features() == inputs {
            Ok(front_end)
        } else {
            Err(Error::Malformed(Part::FrontEnd))
        }
    }
}

/// A positive, normal number within `2^±octaves`: judged by its bits, as cores without an FPU do.
fn check_number(x: f32, octaves: u32) -> Result<(), Error> {
    let exponent = x.to_bits() >> 23;
    if exponent & 0xff == 0xff {
        return Err(Error::NotFiniteParameter(Part::FrontEnd));
    }
    // The sign stands above the exponent: of a negative number this is too large.
    if (127 - octaves..127 + octaves).contains(&exponent) {
        Ok(())
    } else {
        Err(Error::Malformed(Part::FrontEnd))
    }
}

fn is_valid(extractor: &Extractor<'_>, head: &FrontEndHead) -> bool {
    let half = head.window / 2;
    let has_spectrum = head.window.is_power_of_two() && usize::from(head.window) >= SHORTEST_SPECTRUM;
    if extractor.channel() >= head.channels || (extractor.is_spectral() && !has_spectrum) {
        return false;
    }
    match *extractor {
        Extractor::Bands { edges, .. } => are_edges(edges, half),
        Extractor::Centroid { from, to, .. } => 1 <= from && from < to && to <= half,
        Extractor::Envelope { from, to, edges, .. } => {
            let width = to.saturating_sub(from);
            1 <= from && to <= half && (4..=half / 2).contains(&width) && are_edges(edges, width)
        }
        Extractor::Correlation { channel, other } => other < head.channels && other != channel,
        _ => true,
    }
}

/// Whether they are the edges of at least one band, from bin 1 on, none above `most`.
fn are_edges(bytes: &[u8], most: u16) -> bool {
    let count = bytes.len() / 2;
    let mut before = 0;
    bytes.len().is_multiple_of(2)
        && (2..=MAX_BANDS + 1).contains(&count)
        && edges(bytes).all(|edge| {
            let ascends = before < edge && edge <= most;
            before = edge;
            ascends
        })
}
