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
    progress: Progress,
}

impl<T: Sample, const CAPACITY: usize> Window<T, CAPACITY> {
    /// A window without a front end, for a `static`: it takes no samples until [`Self::follow`] is called.
    #[must_use]
    pub const fn empty() -> Self {
        Window { samples: [T::ZERO; CAPACITY], progress: Progress::EMPTY }
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
        self.progress = Progress::new::<T>(front_end, CAPACITY)?;
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
        self.progress.push(&mut self.samples, sample)
    }

    /// Whether it holds as many samples as a window has.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.progress.is_complete()
    }

    /// The samples of a channel that are there, the oldest first; none of a channel that is not.
    #[must_use]
    pub fn channel(&self, channel: usize) -> &[T] {
        self.view().channel(channel)
    }

    /// Forgets all samples: after a gap in them a window would join what does not belong together.
    pub fn clear(&mut self) {
        self.progress.clear();
    }

    /// What is there now.
    #[must_use]
    pub fn view(&self) -> View<'_, T> {
        View { samples: &self.samples, progress: self.progress }
    }
}

/// A [`Window`] in a buffer of the caller's, whose size the program learns from the image.
#[derive(Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct BorrowedWindow<'w, T> {
    samples: &'w mut [T],
    progress: Progress,
}

impl<'w, T: Sample> BorrowedWindow<'w, T> {
    /// An empty window of a front end, in `samples`, `window * channels` at least.
    ///
    /// # Errors
    /// As [`Window::follow`].
    pub fn new(front_end: &FrontEnd<'_>, samples: &'w mut [T]) -> Result<Self, Error> {
        let progress = Progress::new::<T>(front_end, samples.len())?;
        Ok(Self { samples, progress })
    }

    /// As [`Window::push`].
    ///
    /// # Errors
    /// As [`Window::push`].
    pub fn push(&mut self, sample: &[T]) -> Result<bool, Error> {
        self.progress.push(self.samples, sample)
    }

    /// As [`Window::clear`].
    pub fn clear(&mut self) {
        self.progress.clear();
    }

    /// What is there now.
    #[must_use]
    pub fn view(&self) -> View<'_, T> {
        View { samples: self.samples, progress: self.progress }
    }
}

/// The samples of a window, wherever they are kept.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct View<'w, T> {
    samples: &'w [T],
    progress: Progress,
}

impl<'w, T> View<'w, T> {
    /// As [`Window::is_complete`].
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.progress.is_complete()
    }

    /// As [`Window::channel`].
    #[must_use]
    pub fn channel(&self, channel: usize) -> &'w [T] {
        let Progress { length, channels, filled, .. } = self.progress;
        let samples = self.samples.chunks_exact(length.max(1)).take(channels).nth(channel);
        samples.and_then(|samples| samples.get(..filled)).unwrap_or_default()
    }
}

/// How far a window has come.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
struct Progress {
    length: usize,
    hop: usize,
    channels: usize,
    /// Samples of each channel that are there.
    filled: usize,
    /// Samples to let pass before the next window begins.
    skipped: usize,
}

impl Progress {
    const EMPTY: Self = Progress { length: 0, hop: 0, channels: 0, filled: 0, skipped: 0 };

    /// The start of a front end's windows, if there is room for them.
    fn new<T: Sample>(front_end: &FrontEnd<'_>, capacity: usize) -> Result<Self, Error> {
        if front_end.samples() != T::KIND {
            return Err(Error::Unsupported(Part::FrontEnd));
        }
        let (length, channels) = (front_end.window(), front_end.channel_count());
        let needed = length * channels;
        if needed > capacity {
            return Err(Error::WindowTooSmall { needed: needed as u32, found: capacity as u32 });
        }
        Ok(Progress { length, hop: front_end.hop(), channels, ..Self::EMPTY })
    }

    fn push<T: Copy>(&mut self, samples: &mut [T], sample: &[T]) -> Result<bool, Error> {
        if sample.len() != self.channels {
            let (expected, found) = (self.channels as u16, sample.len() as u16);
            return Err(Error::ChannelCount { expected, found });
        }
        if self.is_complete() {
            self.advance(samples);
        }
        if self.skipped > 0 {
            self.skipped -= 1;
            return Ok(false);
        }
        for (channel, &value) in samples.chunks_exact_mut(self.length.max(1)).zip(sample) {
            if let Some(slot) = channel.get_mut(self.filled) {
                *slot = value;
            }
        }
        // Without a front end there is nothing to fill.
        self.filled += usize::from(self.length > 0);
        Ok(self.is_complete())
    }

    /// Drops the samples that the next window does not share.
    fn advance<T: Copy>(&mut self, samples: &mut [T]) {
        let kept = self.length.saturating_sub(self.hop);
        for channel in samples.chunks_exact_mut(self.length.max(1)).take(self.channels) {
            let from = self.length - kept;
            // Always so; the compiler needs to see it.
            if from <= channel.len() {
                channel.copy_within(from.., 0);
            }
        }
        self.filled = kept;
        self.skipped = self.hop.saturating_sub(self.length);
    }

    fn is_complete(&self) -> bool {
        self.filled == self.length && self.length > 0
    }

    fn clear(&mut self) {
        self.filled = 0;
        self.skipped = 0;
    }
}
