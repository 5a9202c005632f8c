//! The codes that functions return, and their meaning in words.

use core::ffi::{c_char, CStr};
use runtime::Error;

/// What a function came to: 0, or why it did nothing. A code never changes its meaning; up to 63 they are those that
/// flowlet's boards report too.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum flowlet_status_t {
    /// Done.
    FLOWLET_OK = 0,
    /// The image does not start at a multiple of 4.
    FLOWLET_ERROR_IMAGE_ALIGNMENT = 1,
    /// Fewer bytes than the image states, or than a header has.
    FLOWLET_ERROR_TRUNCATED = 2,
    /// More bytes than the image states; see flowlet_image_bytes.
    FLOWLET_ERROR_TRAILING_BYTES = 3,
    /// The first four bytes are not "FLOW".
    FLOWLET_ERROR_NOT_AN_IMAGE = 4,
    /// A format version that this library does not read.
    FLOWLET_ERROR_VERSION = 5,
    /// The checksum differs: the image is damaged.
    FLOWLET_ERROR_CHECKSUM = 6,
    /// The image is malformed.
    FLOWLET_ERROR_MALFORMED = 7,
    /// The image asks for something that flowlet does not have.
    FLOWLET_ERROR_UNSUPPORTED = 8,
    /// The image holds a number that is not finite.
    FLOWLET_ERROR_NOT_FINITE_PARAMETER = 9,
    /// A row of weights could overflow its accumulator.
    FLOWLET_ERROR_ACCUMULATOR = 10,
    /// The image states a wrong workspace.
    FLOWLET_ERROR_WORKSPACE_STATED = 11,
    /// The workspace has too few words; see flowlet_workspace_words.
    FLOWLET_ERROR_WORKSPACE_TOO_SMALL = 12,
    /// Another number of inputs (features, then context) than the model has.
    FLOWLET_ERROR_INPUT_COUNT = 13,
    /// An input is NaN or infinite: a fault of the sensor, not an anomaly.
    FLOWLET_ERROR_NOT_FINITE = 14,
    /// Cannot happen.
    FLOWLET_ERROR_INTERNAL = 15,
    /// Another number of context inputs than the model has.
    FLOWLET_ERROR_CONTEXT_COUNT = 16,
    /// The image needs what this library was built without.
    FLOWLET_ERROR_LEFT_OUT = 17,
    /// The image has no front end: its features are readings, not of streams.
    FLOWLET_ERROR_NO_FRONT_END = 18,
    /// A window has more samples than there is room for.
    FLOWLET_ERROR_WINDOW_TOO_SMALL = 19,
    /// Another number of channels in a sample than the front end has.
    FLOWLET_ERROR_CHANNEL_COUNT = 20,
    /// The window is not complete.
    FLOWLET_ERROR_WINDOW_NOT_COMPLETE = 21,
    /// A pointer is NULL.
    FLOWLET_ERROR_NULL = 64,
    /// A pointer is not aligned for what it points to.
    FLOWLET_ERROR_ALIGNMENT = 65,
    /// The model or the stream was not opened, or opening it failed; or the alarm was not started.
    FLOWLET_ERROR_NOT_OPEN = 66,
    /// The workspace overlaps the model, the inputs or the place for the result; or a stream or its buffer another argument.
    FLOWLET_ERROR_OVERLAP = 67,
    /// There is no input of this index.
    FLOWLET_ERROR_INDEX = 68,
    /// The self-test's readings do not score as the image says.
    FLOWLET_ERROR_SELF_TEST = 69,
    /// The image brings no settings of an alarm.
    FLOWLET_ERROR_NO_ALARM = 70,
    /// The settings of an alarm cannot work.
    FLOWLET_ERROR_ALARM_SETTINGS = 71,
    /// An error that this version of the C API has no code for.
    FLOWLET_ERROR_UNKNOWN = 255,
}

pub(crate) use flowlet_status_t::*;

impl From<Error> for flowlet_status_t {
    fn from(error: Error) -> Self {
        match error {
            Error::Unaligned => FLOWLET_ERROR_IMAGE_ALIGNMENT,
            Error::Truncated { .. } => FLOWLET_ERROR_TRUNCATED,
            Error::TrailingBytes { .. } => FLOWLET_ERROR_TRAILING_BYTES,
            Error::NotAnImage => FLOWLET_ERROR_NOT_AN_IMAGE,
            Error::Version(_) => FLOWLET_ERROR_VERSION,
            Error::Checksum { .. } => FLOWLET_ERROR_CHECKSUM,
            Error::Malformed(_) => FLOWLET_ERROR_MALFORMED,
            Error::Unsupported(_) => FLOWLET_ERROR_UNSUPPORTED,
            Error::NotFiniteParameter(_) => FLOWLET_ERROR_NOT_FINITE_PARAMETER,
            Error::AccumulatorOverflow => FLOWLET_ERROR_ACCUMULATOR,
            Error::WorkspaceMismatch { .. } => FLOWLET_ERROR_WORKSPACE_STATED,
            Error::WorkspaceTooSmall { .. } => FLOWLET_ERROR_WORKSPACE_TOO_SMALL,
            Error::FeatureCount { .. } => FLOWLET_ERROR_INPUT_COUNT,
            Error::NotFinite { .. } => FLOWLET_ERROR_NOT_FINITE,
            Error::LogicBug => FLOWLET_ERROR_INTERNAL,
            Error::ContextCount { .. } => FLOWLET_ERROR_CONTEXT_COUNT,
            Error::LeftOut(_) => FLOWLET_ERROR_LEFT_OUT,
            Error::NoFrontEnd => FLOWLET_ERROR_NO_FRONT_END,
            Error::NoAlarm => FLOWLET_ERROR_NO_ALARM,
            Error::WindowTooSmall { .. } => FLOWLET_ERROR_WINDOW_TOO_SMALL,
            Error::ChannelCount { .. } => FLOWLET_ERROR_CHANNEL_COUNT,
            Error::WindowNotComplete => FLOWLET_ERROR_WINDOW_NOT_COMPLETE,
            _ => FLOWLET_ERROR_UNKNOWN,
        }
    }
}

impl From<Result<(), flowlet_status_t>> for flowlet_status_t {
    fn from(result: Result<(), flowlet_status_t>) -> Self {
        result.err().unwrap_or(FLOWLET_OK)
    }
}

/// What a status means, in a few words of ASCII. Takes any number, gives a static string, never NULL.
#[no_mangle]
pub extern "C" fn flowlet_strerror(status: i32) -> *const c_char {
    text(status).as_ptr()
}

fn text(status: i32) -> &'static CStr {
    match status {
        0 => c"done",
        1 => c"the image does not start at a multiple of 4",
        2 => c"the image is cut short",
        3 => c"bytes follow the image",
        4 => c"not a flowlet image",
        5 => c"an image format version that this library does not read",
        6 => c"the image is damaged",
        7 => c"the image is malformed",
        8 => c"the image asks for something that flowlet does not have",
        9 => c"the image holds a number that is not finite",
        10 => c"a row of weights could overflow its accumulator",
        11 => c"the image states a wrong workspace",
        12 => c"the workspace is too small",
        13 => c"another number of inputs than the model has",
        14 => c"an input is NaN or infinite",
        15 => c"an internal error of flowlet",
        16 => c"another number of context inputs than the model has",
        17 => c"the image needs what this library was built without",
        18 => c"the image has no front end",
        19 => c"the window is too small",
        20 => c"another number of channels than the front end has",
        21 => c"the window is not complete",
        64 => c"a pointer is NULL",
        65 => c"a pointer is not aligned",
        66 => c"the model or the stream is not open, or the alarm not started",
        67 => c"the workspace or buffer overlaps another argument",
        68 => c"no input has this index",
        69 => c"the self-test failed",
        70 => c"the image brings no settings of an alarm",
        71 => c"the settings of the alarm cannot work",
        _ => c"an error that this version does not know",
    }
}
