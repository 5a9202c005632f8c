//! The front-end record: what stands in the image's head as `front_end`, in postcard.
//!
//! One [`FrontEndHead`], then as many [`Channel`] as it names, then as many [`Extractor`]; nothing behind them. A device
//! reads them front to back, by the same small reader as the image's descriptor; hosts write them with postcard.
//! Frequencies are bins of the window's spectrum: bin `k` is `k * rate / window` Hz.

use crate::image::record::{Reader, Record};
use serde::{Deserialize, Serialize};

/// The version of the record that this build writes and reads.
pub const VERSION: u8 = 1;
/// Most channels.
pub const MAX_CHANNELS: usize = 16;
/// Most bands of one extractor.
pub const MAX_BANDS: usize = 64;

/// What samples are, and what arithmetic features are computed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Samples {
    /// f32 in the channel's unit; features in f32.
    F32,
    /// Counts of the sensor as i16; features in integers, for cores without an FPU.
    I16,
}

/// First of the records.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct FrontEndHead {
    /// [`VERSION`].
    pub version: u8,
    /// What samples are.
    pub samples: Samples,
    /// Samples a second, of each channel; Hz.
    pub rate: f32,
    /// Samples of a window, of each channel.
    pub window: u16,
    /// Samples from the start of a window to the start of the next: fewer than `window` overlap, more leave gaps.
    pub hop: u32,
    /// Channels of a sample.
    pub channels: u8,
    /// Extractors.
    pub extractors: u16,
}

/// A channel of the sensor.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Channel<'a> {
    /// As in the header of the training data.
    pub name: &'a str,
    /// Unit of a sample, or empty.
    pub unit: &'a str,
    /// Units in one count of the sensor.
    pub scale: f32,
    /// Amplitudes below this, in units, count as this in logarithms, and a window whose RMS is below it has no shape
    /// (kurtosis 3, skewness 0, crest factor 1).
    pub floor: f32,
}

/// How an amplitude becomes a feature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Form {
    /// As it is.
    Plain,
    /// Its logarithm to base 2: octaves. Amplitudes and energies vary by factors, and a density over them is smoother, and
    /// needs fewer parameters, in octaves.
    Log2,
}

/// One or several features of a window.
///
/// `d` is a sample less the mean of its window and channel. Edges are `n + 1` ascending bins of `n` bands, each bin as u16,
/// little-endian; a band has its lower edge and not its upper one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Extractor<'a> {
    /// Mean of the samples, in units.
    Mean {
        /// Which channel, from 0.
        channel: u8,
    },
    /// `sqrt(mean d^2)`, in units.
    Rms {
        /// Which channel, from 0.
        channel: u8,
        /// Plain or in octaves.
        form: Form,
    },
    /// `max |d|`, in units.
    Peak {
        /// Which channel, from 0.
        channel: u8,
        /// Plain or in octaves.
        form: Form,
    },
    /// Peak by RMS.
    Crest {
        /// Which channel, from 0.
        channel: u8,
        /// Plain or in octaves.
        form: Form,
    },
    /// `mean d^4 / (mean d^2)^2`: 3 for a normal distribution.
    Kurtosis {
        /// Which channel, from 0.
        channel: u8,
        /// Plain or in octaves.
        form: Form,
    },
    /// `mean d^3 / (mean d^2)^(3/2)`.
    Skewness {
        /// Which channel, from 0.
        channel: u8,
    },
    /// How often `d` changes its sign.
    ZeroCrossings {
        /// Which channel, from 0.
        channel: u8,
    },
    /// RMS of the difference of neighbouring samples, times the rate: units a second.
    Jerk {
        /// Which channel, from 0.
        channel: u8,
        /// Plain or in octaves.
        form: Form,
    },
    /// RMS within each band, under a Hann window, in units.
    Bands {
        /// Which channel, from 0.
        channel: u8,
        /// Plain or in octaves.
        form: Form,
        /// Edges.
        #[serde(borrow)]
        edges: &'a [u8],
    },
    /// Mean frequency of the energy from bin `from` on below bin `to`, in Hz.
    Centroid {
        /// Which channel, from 0.
        channel: u8,
        /// Plain or in octaves.
        form: Form,
        /// First bin.
        from: u16,
        /// Bin behind the last one.
        to: u16,
    },
    /// How deep the energy around a resonance is modulated, per band of the modulation's frequency: RMS of the squared
    /// envelope within the band, by the squared envelope's mean. Impacts of a bearing's fault come at its own frequency and
    /// ring at that of the resonance.
    Envelope {
        /// Which channel, from 0.
        channel: u8,
        /// Plain or in octaves.
        form: Form,
        /// First bin of the resonance.
        from: u16,
        /// Bin behind its last one.
        to: u16,
        /// Edges of modulation bands.
        #[serde(borrow)]
        edges: &'a [u8],
    },
    /// Pearson's correlation of two channels, from -1 to 1.
    Correlation {
        /// Which channel, from 0.
        channel: u8,
        /// Which other one.
        other: u8,
    },
}

/// Edges of bands, as numbers.
pub fn edges(bytes: &[u8]) -> impl Iterator<Item = u16> + Clone + '_ {
    bytes.as_chunks::<2>().0.iter().map(|&edge| u16::from_le_bytes(edge))
}

impl Extractor<'_> {
    /// The (first) channel that it looks at.
    #[must_use]
    pub fn channel(&self) -> u8 {
        match *self {
            Extractor::Mean { channel }
            | Extractor::Rms { channel, .. }
            | Extractor::Peak { channel, .. }
            | Extractor::Crest { channel, .. }
            | Extractor::Kurtosis { channel, .. }
            | Extractor::Skewness { channel }
            | Extractor::ZeroCrossings { channel }
            | Extractor::Jerk { channel, .. }
            | Extractor::Bands { channel, .. }
            | Extractor::Centroid { channel, .. }
            | Extractor::Envelope { channel, .. }
            | Extractor::Correlation { channel, .. } => channel,
        }
    }

    /// How many features it gives.
    #[must_use]
    pub fn outputs(&self) -> usize {
        match self {
            Extractor::Bands { edges, .. } | Extractor::Envelope { edges, .. } => {
                (edges.len() / 2).saturating_sub(1)
            }
            _ => 1,
        }
    }

    /// Whether it needs the window's spectrum.
    #[must_use]
    pub fn is_spectral(&self) -> bool {
        matches!(self, Extractor::Bands { .. } | Extractor::Centroid { .. } | Extractor::Envelope { .. })
    }
}

impl<'a> Record<'a> for FrontEndHead {
    fn read(from: &mut Reader<'a>) -> Self {
        FrontEndHead {
            version: from.byte(),
            samples: match from.below(2) {
                0 => Samples::F32,
                _ => Samples::I16,
            },
            rate: from.f32(),
            window: from.short(),
            hop: from.number(),
            channels: from.byte(),
            extractors: from.short(),
        }
    }
}

impl<'a> Record<'a> for Channel<'a> {
    fn read(from: &mut Reader<'a>) -> Self {
        Channel {
            name: from.text().as_str(),
            unit: from.text().as_str(),
            scale: from.f32(),
            floor: from.f32(),
        }
    }
}

impl<'a> Record<'a> for Form {
    fn read(from: &mut Reader<'a>) -> Self {
        match from.below(2) {
            0 => Form::Plain,
            _ => Form::Log2,
        }
    }
}

impl<'a> Record<'a> for Extractor<'a> {
    fn read(from: &mut Reader<'a>) -> Self {
        let kind = from.number();
        let channel = from.byte();
        let form = match kind {
            1..=4 | 7..=10 => Form::read(from),
            _ => Form::Plain,
        };
        match kind {
            0 => Extractor::Mean { channel },
            1 => Extractor::Rms { channel, form },
            2 => Extractor::Peak { channel, form },
            3 => Extractor::Crest { channel, form },
            4 => Extractor::Kurtosis { channel, form },
            5 => Extractor::Skewness { channel },
            6 => Extractor::ZeroCrossings { channel },
            7 => Extractor::Jerk { channel, form },
            8 => Extractor::Bands { channel, form, edges: from.counted() },
            9 => Extractor::Centroid { channel, form, from: from.short(), to: from.short() },
            10 => Extractor::Envelope {
                channel,
                form,
                from: from.short(),
                to: from.short(),
                edges: from.counted(),
            },
            11 => Extractor::Correlation { channel, other: from.byte() },
            _ => {
                from.fail();
                Extractor::Mean { channel }
            }
        }
    }
}
