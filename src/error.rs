//! What can go wrong, at the door and at a reading.

use crate::Capability;
use core::fmt;
use core::num::NonZeroU8;

/// Everything that loading an image or scoring a reading can report.
///
/// Variants are flat and carry what to change. After [`crate::Model::from_bytes`] has accepted an
/// image, scoring can only report the reading's own faults. What no score needs is checked by whoever asks
/// for it: [`crate::Model::front_end`], [`crate::Model::alarm`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
// A word-sized tag: an error is passed on as words, where a byte-sized one is moved by calls of memcpy.
#[repr(u32)]
#[non_exhaustive]
pub enum Error {
    /// The image does not start at an address that is a multiple of 4 (see [`crate::include_image!`]).
    Unaligned,
    /// Fewer bytes than the header states, or than a header has.
    Truncated {
        /// Bytes that the image needs.
        needed: u32,
        /// Bytes that were given.
        found: u32,
    },
    /// More bytes than the header states.
    TrailingBytes {
        /// Bytes that the image has by its header.
        stated: u32,
        /// Bytes that were given.
        found: u32,
    },
    /// The first four bytes are not "FLOW".
    NotAnImage,
    /// The format version is one that this build does not read.
    Version(u16),
    /// The CRC-32 over the content differs from the header's: the image is damaged.
    Checksum {
        /// What the header states.
        stated: u32,
        /// What the content gives.
        computed: u32,
    },
    /// A part of the image is malformed: wrong lengths, offsets, counts, or values out of range.
    Malformed(Part),
    /// A part of the image asks for something that this build does not have.
    Unsupported(Part),
    /// The image needs what the model's [`crate::Support`] leaves out.
    LeftOut(Capability),
    /// The image holds a number that is not finite.
    NotFiniteParameter(Part),
    /// A fixed-point row could overflow its 32-bit accumulator.
    AccumulatorOverflow,
    /// The workspace that the header states is not what the transforms need.
    WorkspaceMismatch {
        /// Bytes by the header.
        stated: u32,
        /// Bytes by the transforms.
        needed: u32,
    },
    /// The caller's workspace is too small.
    WorkspaceTooSmall {
        /// Words (of 32 bits) needed.
        needed_words: u32,
        /// Words given.
        found_words: u32,
    },
    /// A reading with another number of inputs (features, then context) than the model has.
    FeatureCount {
        /// Inputs of the model.
        expected: u16,
        /// Inputs given.
        found: u16,
    },
    /// Another number of context values than the model has.
    ContextCount {
        /// Context inputs of the model.
        expected: u16,
        /// Values given.
        found: u16,
    },
    /// The image has no front end: its features are readings, not of streams.
    NoFrontEnd,
    /// The image brings no settings of an alarm.
    NoAlarm,
    /// A window of the front end has more samples than there is room for.
    WindowTooSmall {
        /// Samples needed, of all channels together.
        needed: u32,
        /// Samples that there is room for.
        found: u32,
    },
    /// Features were asked for of a window that is not complete.
    WindowNotComplete,
    /// Another number of channels in a sample than the front end has.
    ChannelCount {
        /// Channels of the front end.
        expected: u16,
        /// Channels given.
        found: u16,
    },
    /// A feature that is NaN or infinite: a sensor fault, not an anomaly.
    NotFinite {
        /// Index of the input: features first, then context.
        feature: u16,
    },
    /// Cannot happen after the image was checked; reported instead of a panic.
    LogicBug,
}

/// What the check of an image's content finds, in a byte: the [`Error`]s without numbers, which a core then passes on in one
/// register, and `Result<(), Fault>` with them.
#[derive(Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Fault(NonZeroU8);

/// Bits of a [`Fault`] for the part or the capability; above them stands the kind.
const WHAT_BITS: u32 = 5;
/// Kinds of faults, in the order of [`Error`]'s variants.
const MALFORMED: u8 = 1;
const UNSUPPORTED: u8 = 2;
const LEFT_OUT: u8 = 3;
const NOT_FINITE: u8 = 4;

impl Fault {
    /// See [`Error::AccumulatorOverflow`].
    pub const ACCUMULATOR_OVERFLOW: Self = Self::new(5, 0);

    #[inline(always)]
    const fn new(kind: u8, what: u8) -> Self {
        // A kind is never zero.
        Fault(match NonZeroU8::new(kind << WHAT_BITS | what) {
            Some(code) => code,
            None => NonZeroU8::MAX,
        })
    }

    /// See [`Error::Malformed`].
    #[inline(always)]
    #[must_use]
    pub const fn malformed(part: Part) -> Self {
        Self::new(MALFORMED, part as u8)
    }

    /// See [`Error::Unsupported`].
    #[inline(always)]
    #[must_use]
    pub const fn unsupported(part: Part) -> Self {
        Self::new(UNSUPPORTED, part as u8)
    }

    /// See [`Error::LeftOut`].
    #[inline(always)]
    #[must_use]
    pub const fn left_out(capability: Capability) -> Self {
        Self::new(LEFT_OUT, capability as u8)
    }

    /// [`Self::left_out`] of a capability's number.
    #[inline(always)]
    pub(crate) const fn left_out_number(number: u8) -> Self {
        Self::new(LEFT_OUT, number & ((1 << WHAT_BITS) - 1))
    }

    /// See [`Error::NotFiniteParameter`].
    #[inline(always)]
    #[must_use]
    pub const fn not_finite(part: Part) -> Self {
        Self::new(NOT_FINITE, part as u8)
    }
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Error::from(*self).fmt(f)
    }
}

impl From<Fault> for Error {
    #[cold]
    fn from(fault: Fault) -> Self {
        let what = fault.0.get() & ((1 << WHAT_BITS) - 1);
        let part = Part::from_number(what);
        match fault.0.get() >> WHAT_BITS {
            MALFORMED => Error::Malformed(part),
            UNSUPPORTED => Error::Unsupported(part),
            LEFT_OUT => Error::LeftOut(Capability::from_number(what)),
            NOT_FINITE => Error::NotFiniteParameter(part),
            _ => Error::AccumulatorOverflow,
        }
    }
}

/// The part of an image that an [`Error`] speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
#[repr(u8)]
pub enum Part {
    /// The fixed header.
    Header,
    /// The postcard descriptor.
    Descriptor,
    /// The list of experts, or how they combine.
    Experts,
    /// Inputs that condition but are not scored.
    Context,
    /// The standardizer.
    Standardizer,
    /// The chain of transforms.
    Transform,
    /// A conditioner net or one of its layers.
    Conditioner,
    /// The base distribution.
    Base,
    /// The statistic that is thresholded.
    Statistic,
    /// The calibration sketch.
    Calibration,
    /// The self-test vectors.
    SelfTest,
    /// The arithmetic that the image is made for.
    Numeric,
    /// Where features of streams come from.
    FrontEnd,
    /// The settings of the alarm.
    Alarm,
}

impl Part {
    /// The part of a number that [`Fault`] has kept.
    fn from_number(number: u8) -> Self {
        // In order, so that no table is made of it.
        match number {
            0 => Part::Header,
            1 => Part::Descriptor,
            2 => Part::Experts,
            3 => Part::Context,
            4 => Part::Standardizer,
            5 => Part::Transform,
            6 => Part::Conditioner,
            7 => Part::Base,
            8 => Part::Statistic,
            9 => Part::Calibration,
            10 => Part::SelfTest,
            11 => Part::Numeric,
            12 => Part::FrontEnd,
            _ => Part::Alarm,
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Part::Header => "header",
            Part::Descriptor => "descriptor",
            Part::Experts => "experts",
            Part::Context => "context inputs",
            Part::Standardizer => "standardizer",
            Part::Transform => "transform chain",
            Part::Conditioner => "conditioner",
            Part::Base => "base distribution",
            Part::Statistic => "statistic",
            Part::Calibration => "calibration",
            Part::SelfTest => "self-test vectors",
            Part::Numeric => "numeric type",
            Part::FrontEnd => "front end",
            Part::Alarm => "alarm settings",
        })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Unaligned => f.write_str("the image is not aligned to 4 bytes"),
            Error::Truncated { needed, found } => {
                write!(f, "the image is cut short: {needed} bytes needed, {found} found")
            }
            Error::TrailingBytes { stated, found } => {
                write!(f, "the image states {stated} bytes, but {found} were given")
            }
            Error::NotAnImage => f.write_str("not a flowlet image: it does not start with \"FLOW\""),
            Error::Version(v) => write!(f, "image format version {v} is not one that this build reads"),
            Error::Checksum { stated, computed } => {
                write!(f, "the image is damaged: CRC-32 {stated:08x} stated, {computed:08x} computed")
            }
            Error::Malformed(part) => write!(f, "the image's {part} is malformed"),
            Error::Unsupported(part) => {
                write!(f, "the image's {part} asks for something that this build does not have")
            }
            Error::LeftOut(capability) => {
                write!(f, "the image needs {capability}, which this firmware leaves out")
            }
            Error::NotFiniteParameter(part) => {
                write!(f, "the image's {part} holds a number that is not finite")
            }
            Error::AccumulatorOverflow => f.write_str("a row of weights could overflow its accumulator"),
            Error::WorkspaceMismatch { stated, needed } => {
                write!(f, "the header states {stated} bytes of workspace, the transforms need {needed}")
            }
            Error::WorkspaceTooSmall { needed_words, found_words } => {
                write!(f, "the workspace has {found_words} words, {needed_words} are needed")
            }
            Error::FeatureCount { expected, found } => {
                write!(f, "the model has {expected} features, the reading {found}")
            }
            Error::ContextCount { expected, found } => {
                write!(f, "the model has {expected} context inputs, {found} values were given")
            }
            Error::NoFrontEnd => f.write_str("the image has no front end: its features are readings"),
            Error::NoAlarm => f.write_str("the image brings no settings of an alarm"),
            Error::WindowTooSmall { needed, found } => {
                write!(f, "a window has {needed} samples of all channels, there is room for {found}")
            }
            Error::WindowNotComplete => f.write_str("the window is not complete yet"),
            Error::ChannelCount { expected, found } => {
                write!(f, "the front end has {expected} channels, the sample {found}")
            }
            Error::NotFinite { feature } => write!(f, "feature {feature} of the reading is NaN or infinite"),
            Error::LogicBug => f.write_str("internal error: a checked image broke its promise"),
        }
    }
}

impl core::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_keep_what_they_are_of() {
        for number in 0..=Part::Alarm as u8 {
            let part = Part::from_number(number);
            assert_eq!(part as u8, number);
            assert_eq!(Error::from(Fault::malformed(part)), Error::Malformed(part));
            assert_eq!(Error::from(Fault::unsupported(part)), Error::Unsupported(part));
            assert_eq!(Error::from(Fault::not_finite(part)), Error::NotFiniteParameter(part));
        }
        for capability in Capability::ALL {
            assert_eq!(Error::from(Fault::left_out(capability)), Error::LeftOut(capability));
        }
        assert_eq!(Error::from(Fault::ACCUMULATOR_OVERFLOW), Error::AccumulatorOverflow);
    }
}
