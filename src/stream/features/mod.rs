//! Features of a window: one family of extractors a file, each in f32 and in integers, the same code on host and device.
//!
//! | family | file | f32 | integers |
//! |---|---|---|---|
//! | mean, RMS, peak, crest factor, kurtosis, skewness, zero crossings, jerk | [`moments`] | two passes over the window | three |
//! | RMS within bands of the spectrum, its centroid | [`spectrum`] | an FFT of the window ([`fourier`]) | the same |
//! | modulation of the energy around a resonance | [`envelope`] | two shorter FFTs more | the same |
//! | correlation of two channels | [`correlation`] | three passes | four |
//!
//! In f32 all is plain IEEE 754 operations and `libm`'s logarithm and root, in a fixed order, nothing fused: the same bits
//! everywhere. In integers an amplitude is computed as its logarithm (Q11.20), whose error is
//! [`LOG_I16`] octaves at most, and becomes the bits of an f32 without any float operation.
//!
//! Every feature of finite samples is finite: see [`Channel::floor`](super::front_end::Channel::floor). A NaN or an infinity among
//! the samples makes the features of its channel NaN, which a [`crate::Scorer`] reports as a sensor's fault.

pub mod correlation;
pub mod envelope;
pub mod fourier;
mod log;
pub mod moments;
mod sine;
pub mod spectrum;

use super::front_end::{Extractor, Form, FrontEnd, Samples};
use super::window::{View, Window};
use crate::{Error, Part};
use core::ops::Range;
use fourier::Spectrum;
use moments::{FixedMoments, FloatMoments, Shape};

/// Largest error of the logarithm of an amplitude in integers, in octaves, where an FFT took part: of the amplitudes
/// within 2^-10 of the window's peak, in windows that peak at 16 counts or more. Tested against f64.
pub const LOG_I16: f64 = 4e-3;

/// What samples may be: f32 or i16.
pub trait Sample: Copy + private::Sample {
    /// Which of the two.
    const KIND: Samples;
    /// Silence.
    const ZERO: Self;
}

impl Sample for f32 {
    const KIND: Samples = Samples::F32;
    const ZERO: Self = 0.0;
}

impl Sample for i16 {
    const KIND: Samples = Samples::I16;
    const ZERO: Self = 0;
}

/// What extractors need to know of a channel, in the arithmetic of its samples.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Unit<N> {
    /// Units in a count; f32 samples are in units already.
    scale: N,
    /// See [`super::front_end::Channel::floor`].
    floor: N,
    /// Samples a second.
    rate: N,
}

/// Extractors by the arithmetic of samples; implemented beside each other in the families' files.
pub(crate) mod private {
    use super::{Form, Unit};
    use crate::stream::features::moments::Shape;
    use core::ops::Range;

    /// See [`super::Sample`].
    pub trait Sample: Sized {
        /// A word of scratch.
        type Word: Copy;
        /// A number that stands for an amplitude: itself in f32, its logarithm in integers.
        type Number: Copy;
        /// What one look at a channel's window gives.
        type Moments: Copy;

        /// From what the front end says, as f32.
        fn number(x: f32) -> Self::Number;
        /// Looks at a window.
        fn moments(samples: &[Self]) -> Self::Moments;
        /// Whether all samples were finite.
        fn is_finite(moments: &Self::Moments) -> bool;
        /// A feature from moments alone.
        fn shape(moments: &Self::Moments, shape: Shape, form: Form, unit: &Unit<Self::Number>) -> f32;
        /// Fills the words with the window's spectrum, as many as it has samples.
        fn spectrum(samples: &[Self], moments: &Self::Moments, words: &mut [Self::Word]) -> Option<()>;
        /// RMS of a band.
        fn band(
            words: &[Self::Word],
            moments: &Self::Moments,
            band: Range<usize>,
            form: Form,
            unit: &Unit<Self::Number>,
        ) -> f32;
        /// Mean frequency of a band.
        fn centroid(
            words: &[Self::Word],
            moments: &Self::Moments,
            band: Range<usize>,
            form: Form,
            unit: &Unit<Self::Number>,
        ) -> f32;
        /// Makes of a spectrum, in place, that of the squared envelope of a band; gives its words and what
        /// [`Self::modulation`] needs, `None` if there is no energy.
        fn envelope<'w>(
            words: &'w mut [Self::Word],
            moments: &Self::Moments,
            band: Range<usize>,
            unit: &Unit<Self::Number>,
        ) -> Option<(&'w [Self::Word], Self::Number)>;
        /// Depth of the modulation within a band of it.
        fn modulation(envelope: Option<(&[Self::Word], Self::Number)>, band: Range<usize>, form: Form)
            -> f32;
        /// Correlation of two channels.
        fn correlation(a: (&[Self], &Self::Moments), b: (&[Self], &Self::Moments)) -> f32;
    }
}

impl private::Sample for f32 {
    type Word = f32;
    type Number = f32;
    type Moments = FloatMoments;

    fn number(x: f32) -> f32 {
        x
    }
    fn moments(samples: &[f32]) -> FloatMoments {
        FloatMoments::new(samples)
    }
    fn is_finite(moments: &FloatMoments) -> bool {
        moments.is_finite()
    }
    fn shape(moments: &FloatMoments, shape: Shape, form: Form, unit: &Unit<f32>) -> f32 {
        moments.shape(shape, form, unit)
    }
    fn spectrum(samples: &[f32], moments: &FloatMoments, words: &mut [f32]) -> Option<()> {
        spectrum::of_f32(samples, moments, words)
    }
    fn band(words: &[f32], moments: &FloatMoments, band: Range<usize>, form: Form, unit: &Unit<f32>) -> f32 {
        spectrum::band_f32(words, moments, band, form, unit)
    }
    fn centroid(
        words: &[f32],
        moments: &FloatMoments,
        band: Range<usize>,
        form: Form,
        unit: &Unit<f32>,
    ) -> f32 {
        spectrum::centroid_f32(words, moments, band, form, unit)
    }
    fn envelope<'w>(
        words: &'w mut [f32],
        moments: &FloatMoments,
        band: Range<usize>,
        unit: &Unit<f32>,
    ) -> Option<(&'w [f32], f32)> {
        envelope::of_f32(words, moments, band, unit)
    }
    fn modulation(envelope: Option<(&[f32], f32)>, band: Range<usize>, form: Form) -> f32 {
        envelope::modulation_f32(envelope, band, form)
    }
    fn correlation(a: (&[f32], &FloatMoments), b: (&[f32], &FloatMoments)) -> f32 {
        correlation::of_f32(a, b)
    }
}

impl private::Sample for i16 {
    type Word = i32;
    type Number = i32;
    type Moments = FixedMoments;

    fn number(x: f32) -> i32 {
        log::log2_of_f32(x)
    }
    fn moments(samples: &[i16]) -> FixedMoments {
        FixedMoments::new(samples)
    }
    fn is_finite(moments: &FixedMoments) -> bool {
        let _ = moments;
        true
    }
    fn shape(moments: &FixedMoments, shape: Shape, form: Form, unit: &Unit<i32>) -> f32 {
        moments.shape(shape, form, unit)
    }
    fn spectrum(samples: &[i16], moments: &FixedMoments, words: &mut [i32]) -> Option<()> {
        spectrum::of_i16(samples, moments, words)
    }
    fn band(words: &[i32], moments: &FixedMoments, band: Range<usize>, form: Form, unit: &Unit<i32>) -> f32 {
        spectrum::band_i16(words, moments, band, form, unit)
    }
    fn centroid(
        words: &[i32],
        moments: &FixedMoments,
        band: Range<usize>,
        form: Form,
        unit: &Unit<i32>,
    ) -> f32 {
        spectrum::centroid_i16(words, moments, band, form, unit)
    }
    fn envelope<'w>(
        words: &'w mut [i32],
        moments: &FixedMoments,
        band: Range<usize>,
        unit: &Unit<i32>,
    ) -> Option<(&'w [i32], i32)> {
        envelope::of_i16(words, moments, band, unit)
    }
    fn modulation(envelope: Option<(&[i32], i32)>, band: Range<usize>, form: Form) -> f32 {
        envelope::modulation_i16(envelope, band, form)
    }
    fn correlation(a: (&[i16], &FixedMoments), b: (&[i16], &FixedMoments)) -> f32 {
        correlation::of_i16(a, b)
    }
}

/// The features of a complete window, in the order of the front end's extractors; they go into the front of `features`.
///
/// Cost on a Cortex-M4F: some 320 instructions a sample of a channel with every extractor in f32, at windows of 2,048 samples;
/// integers take 1.7 times that (`docs/streams.md`, with the command that measures). Extractors share moments and spectrum of a
/// channel where they stand together in the front end, as the host tool writes them.
///
/// # Errors
/// [`Error::Unsupported`] with [`Part::FrontEnd`] if the front end's samples are not `T`; [`Error::WindowNotComplete`];
/// [`Error::WorkspaceTooSmall`] if scratch is shorter than [`FrontEnd::scratch_words`]; [`Error::FeatureCount`] if
/// `features` is shorter than [`FrontEnd::features`].
pub fn extract<'f, T: Sample, const CAPACITY: usize>(
    front_end: &FrontEnd<'_>,
    window: &Window<T, CAPACITY>,
    scratch: &mut [T::Word],
    features: &'f mut [f32],
) -> Result<&'f [f32], Error> {
    extract_view(front_end, window.view(), scratch, features)
}

/// As [`extract`], of a window wherever it is kept; compiled once for each kind of samples.
///
/// # Errors
/// As [`extract`].
pub fn extract_view<'f, T: Sample>(
    front_end: &FrontEnd<'_>,
    window: View<'_, T>,
    scratch: &mut [T::Word],
    features: &'f mut [f32],
) -> Result<&'f [f32], Error> {
    if front_end.samples() != T::KIND {
        return Err(Error::Unsupported(Part::FrontEnd));
    }
    if !window.is_complete() {
        return Err(Error::WindowNotComplete);
    }
    let (needed, found) = (front_end.scratch_words(), scratch.len());
    let too_small = Error::WorkspaceTooSmall { needed_words: needed as u32, found_words: found as u32 };
    let scratch = scratch.get_mut(..needed).ok_or(too_small)?;
    let (expected, found) = (front_end.features(), features.len());
    let features = features
        .get_mut(..expected)
        .ok_or(Error::FeatureCount { expected: expected as u16, found: found as u16 })?;
    let mut rest = &mut *features;
    let mut look = None;
    for extractor in front_end.extractors() {
        let (outputs, behind) = rest.split_at_mut_checked(extractor.outputs()).ok_or(Error::LogicBug)?;
        rest = behind;
        let channel = usize::from(extractor.channel());
        let mut at = match look.take().filter(|look: &Look<T>| look.channel == channel) {
            Some(look) => look,
            None => Look::new(front_end, &window, channel).ok_or(Error::LogicBug)?,
        };
        at.take(&extractor, &window, scratch, outputs);
        look = Some(at);
    }
    Ok(features)
}

/// What is known of a channel's window.
struct Look<T: Sample> {
    channel: usize,
    moments: T::Moments,
    unit: Unit<T::Number>,
    /// Whether the scratch holds its spectrum.
    has_spectrum: bool,
}

impl<T: Sample> Look<T> {
    fn new(front_end: &FrontEnd<'_>, window: &View<'_, T>, channel: usize) -> Option<Self> {
        let of = front_end.channels().nth(channel)?;
        let unit = Unit {
            scale: T::number(of.scale),
            floor: T::number(of.floor),
            rate: T::number(front_end.rate()),
        };
        Some(Look { channel, moments: T::moments(window.channel(channel)), unit, has_spectrum: false })
    }

    fn take(
        &mut self,
        extractor: &Extractor<'_>,
        window: &View<'_, T>,
        scratch: &mut [T::Word],
        outputs: &mut [f32],
    ) {
        if !T::is_finite(&self.moments) {
            outputs.fill(f32::NAN);
            return;
        }
        let samples = window.channel(self.channel);
        if extractor.is_spectral() && !self.has_spectrum {
            self.has_spectrum = T::spectrum(samples, &self.moments, scratch).is_some();
        }
        let (moments, unit) = (&self.moments, &self.unit);
        match *extractor {
            Extractor::Bands { form, edges, .. } => {
                for (output, band) in outputs.iter_mut().zip(Spectrum::bands(edges)) {
                    *output = T::band(scratch, moments, band, form, unit);
                }
            }
            Extractor::Envelope { form, from, to, edges, .. } => {
                self.has_spectrum = false;
                let envelope = T::envelope(scratch, moments, from.into()..to.into(), unit);
                for (output, band) in outputs.iter_mut().zip(Spectrum::bands(edges)) {
                    *output = T::modulation(envelope, band, form);
                }
            }
            _ => {
                if let Some(output) = outputs.first_mut() {
                    *output = self.single(extractor, window, scratch);
                }
            }
        }
    }

    fn single(&self, extractor: &Extractor<'_>, window: &View<'_, T>, scratch: &[T::Word]) -> f32 {
        let shape = |shape, form| T::shape(&self.moments, shape, form, &self.unit);
        match *extractor {
            Extractor::Mean { .. } => shape(Shape::Mean, Form::Plain),
            Extractor::Rms { form, .. } => shape(Shape::Rms, form),
            Extractor::Peak { form, .. } => shape(Shape::Peak, form),
            Extractor::Crest { form, .. } => shape(Shape::Crest, form),
            Extractor::Kurtosis { form, .. } => shape(Shape::Kurtosis, form),
            Extractor::Skewness { .. } => shape(Shape::Skewness, Form::Plain),
            Extractor::ZeroCrossings { .. } => shape(Shape::ZeroCrossings, Form::Plain),
            Extractor::Jerk { form, .. } => shape(Shape::Jerk, form),
            Extractor::Centroid { form, from, to, .. } => {
                T::centroid(scratch, &self.moments, from.into()..to.into(), form, &self.unit)
            }
            Extractor::Correlation { other, .. } => {
                let theirs = window.channel(usize::from(other));
                let moments = T::moments(theirs);
                if !T::is_finite(&moments) {
                    return f32::NAN;
                }
                T::correlation((window.channel(self.channel), &self.moments), (theirs, &moments))
            }
            Extractor::Bands { .. } | Extractor::Envelope { .. } => f32::NAN,
        }
    }
}
