//! The numbers by which the board names the errors of the runtime.

use flowlet::Error;

/// The number of an error. Numbers are never given to another error.
#[must_use]
pub fn error_code(error: Error) -> u8 {
    match error {
        Error::Unaligned => 1,
        Error::Truncated { .. } => 2,
        Error::TrailingBytes { .. } => 3,
        Error::NotAnImage => 4,
        Error::Version(_) => 5,
        Error::Checksum { .. } => 6,
        Error::Malformed(_) => 7,
        Error::Unsupported(_) => 8,
        Error::NotFiniteParameter(_) => 9,
        Error::AccumulatorOverflow => 10,
        Error::WorkspaceMismatch { .. } => 11,
        Error::WorkspaceTooSmall { .. } => 12,
        Error::FeatureCount { .. } => 13,
        Error::NotFinite { .. } => 14,
        Error::LogicBug => 15,
        Error::ContextCount { .. } => 16,
        Error::LeftOut(_) => 17,
        Error::NoFrontEnd => 18,
        Error::WindowTooSmall { .. } => 19,
        Error::ChannelCount { .. } => 20,
        Error::WindowNotComplete => 21,
        _ => u8::MAX,
    }
}

/// What an error number means, in a few words.
#[must_use]
pub fn error_text(code: u8) -> &'static str {
    match code {
        1 => "the image is not aligned",
        2 => "the image is cut short",
        3 => "bytes follow the image",
        4 => "not a flowlet image",
        5 => "an image format version that the firmware does not read",
        6 => "the image is damaged",
        7 => "the image is malformed",
        8 => "the image asks for something that the firmware does not have",
        9 => "the image holds a number that is not finite",
        10 => "a row of weights could overflow its accumulator",
        11 => "the image states a wrong workspace",
        12 => "the workspace is too small",
        13 => "another number of features than the model has",
        14 => "a feature is NaN or infinite",
        15 => "an internal error of the runtime",
        16 => "another number of context inputs than the model has",
        17 => "the image needs what the firmware leaves out",
        18 => "the image has no front end",
        19 => "the window is too small",
        21 => "the window is not complete yet",
        20 => "another number of channels than the front end has",
        _ => "an error that this version does not know",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_has_its_own_text() {
        for code in 1..=21 {
            assert_ne!(error_text(code), error_text(0));
            assert!((1..code).all(|other| error_text(other) != error_text(code)));
        }
        assert_eq!(error_code(Error::NotFinite { feature: 3 }), 14);
        assert_eq!(error_text(error_code(Error::NotAnImage)), "not a flowlet image");
    }
}
