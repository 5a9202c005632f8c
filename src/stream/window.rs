//! Samples as they come, until they are a window.

use super::features::Sample;
use super::front_end::FrontEnd;
use crate::{Error, Part};

/// The last samples of each channel, in a buffer of fixed size.
///
/// `T` is what samples are (f32 in units, or i16 counts), and `CAPACITY` the most samples that there is room for, of all
/// channels together: `window * channels` of the front end at least. Length, hop and channels come from the front end
/// and are checked against both when the window is made; pushing is total then.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Window<T, const CAPACITY: usize> {
    /// One channel behind the other, `length` each.
    samples: [T; CAPACITY],
    length: usize,
    hop: usize,
    channels: usize,
    /// Samples of each channel that are there.
    filled: usize,
    /// Samples to let pass before the next window begins.
    skipped: usize,
}

impl<T: Sample, const CAPACITY: usize> Window<T, CAPACITY> {
    /// A window without a front end, for a `static`: it takes no samples until [`Self::follow`] is called.
    #[must_use]
    pub const fn empty() -> Self {
        Window { samples: [T::ZERO; CAPACITY], length: 0, hop: 0, channels: 0, filled: 0, skipped: 0 }
    }

    /// An empty window. What is large is better made by [`Self::empty`] where it stays: this one is moved.
    ///
    /// # Errors
    /// As [`Self::follow`].
    pub fn new(front_end: &FrontEnd<'_>) -> Result<Self, Error> {
        let mut window = Self::empty();
        window.follow(front_end)?;
        Ok(window)
    }

    /// Forgets all samples, and takes those of this front end from now on.
    ///
    /// # Errors
    /// [`Error::Unsupported`] with [`Part::FrontEnd`] if the front end's samples are not `T`, [`Error::WindowTooSmall`] if
    /// there is too little room.
    pub fn follow(&mut self, front_end: &FrontEnd<'_>) -> Result<(), Error> {
        if front_end.samples() != T::KIND {
            return Err(Error::Unsupported(Part::FrontEnd));
        }
        let (length, channels) = (front_end.window(), front_end.channel_count());
        let needed = length * channels;
        if needed > CAPACITY {
            return Err(Error::WindowTooSmall { needed: needed as u32, found: CAPACITY as u32 });
        }
        (self.length, self.hop, self.channels) = (length, front_end.hop(), channels);
        self.clear();
        Ok(())
    }

    /// Takes one sample of each channel; whether the window is complete now.
    ///
    /// A complete window may be looked at until the next push, which moves it on by the hop. Cost: a few instructions a
    /// channel; after a complete window a copy of what it shares with the next one.
    ///
    /// # Errors
    /// [`Error::ChannelCount`] if there is not one sample of each channel.
    pub fn push(&mut self, sample: &[T]) -> Result<bool, Error> {
        if sample.len() != self.channels {
            let (expected, found) = (self.channels as u16, sample.len() as u16);
            return Err(Error::ChannelCount { expected, found });
        }
        if self.is_complete() {
            self.advance();
        }
        if self.skipped > 0 {
            self.skipped -= 1;
            return Ok(false);
        }
        for (channel, &value) in self.samples.chunks_exact_mut(self.length.max(1)).zip(sample) {
            if let Some(slot) = channel.get_mut(self.filled) {
                *slot = value;
            }
        }
        // Without a front end there is nothing to fill.
        self.filled += usize::from(self.length > 0);
        Ok(self.is_complete())
    }

    /// Drops the samples that the next window does not share.
    fn advance(&mut self) {
        let kept = self.length.saturating_sub(self.hop);
        for channel in self.samples.chunks_exact_mut(self.length.max(1)).take(self.channels) {
            let from = self.length - kept;
            // Always so; the compiler needs to see it.
            if from <= channel.len() {
                channel.copy_within(from.., 0);
            }
        }
        self.filled = kept;
        self.skipped = self.hop.saturating_sub(self.length);
    }

    /// Whether it holds as many samples as a window has.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.filled == self.length && self.length > 0
    }

    /// The samples of a channel that are there, the oldest first; none of a channel that is not.
    #[must_use]
    pub fn channel(&self, channel: usize) -> &[T] {
        let samples = self.samples.chunks_exact(self.length.max(1)).take(self.channels).nth(channel);
        samples.and_then(|samples| samples.get(..self.filled)).unwrap_or_default()
    }

    /// Forgets all samples: after a gap in them a window would join what does not belong together.
    pub fn clear(&mut self) {
        self.filled = 0;
        self.skipped = 0;
    }
}
