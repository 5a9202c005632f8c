//! What stands between a healthy sample and the scorer: the image decides.

use flowlet::stream::{Front, Readings};
use flowlet::{Error, Model};

use crate::{Fault, CHANNELS};

#[cfg(feature = "windows")]
mod windows {
    use super::{Fault, CHANNELS};
    use flowlet::stream::front_end::Samples;
    use flowlet::stream::{FrontEnd, Window, Windows};

    /// Samples of the longest window, of each axis.
    const LONGEST: usize = 1024;
    /// Samples of all axes.
    const SAMPLES: usize = LONGEST * CHANNELS;
    /// The most features of a window.
    const FEATURES: usize = 64;

    pub(super) type Floats = Windows<'static, 'static, f32, CHANNELS, SAMPLES>;
    pub(super) type Counts = Windows<'static, 'static, i16, CHANNELS, SAMPLES>;

    /// The stage of samples in units or in counts, as the front end says; 28 KB of statics for both.
    pub(super) fn of(front_end: FrontEnd<'static>) -> Result<super::Stage, Fault> {
        let features = cortex_m::singleton!(FEATURES_OF: [f32; FEATURES] = [0.0; FEATURES]);
        let features = features.ok_or(Fault::Taken)?;
        Ok(match front_end.samples() {
            Samples::F32 => {
                let window = cortex_m::singleton!(FLOATS: Window<f32, SAMPLES> = Window::empty());
                let scratch = cortex_m::singleton!(FLOAT_SCRATCH: [f32; LONGEST] = [0.0; LONGEST]);
                let (window, scratch) = window.zip(scratch).ok_or(Fault::Taken)?;
                super::Stage::Floats(Floats::new(front_end, window, scratch, features).map_err(Fault::Model)?)
            }
            Samples::I16 => {
                let window = cortex_m::singleton!(COUNTS: Window<i16, SAMPLES> = Window::empty());
                let scratch = cortex_m::singleton!(COUNT_SCRATCH: [i32; LONGEST] = [0; LONGEST]);
                let (window, scratch) = window.zip(scratch).ok_or(Fault::Taken)?;
                super::Stage::Counts(Counts::new(front_end, window, scratch, features).map_err(Fault::Model)?)
            }
        })
    }
}

/// Every sample is a reading, or a window of them is.
pub(crate) enum Stage {
    /// The three axes, in counts.
    Readings(Readings<CHANNELS>),
    /// Features of windows of samples in units.
    #[cfg(feature = "windows")]
    Floats(windows::Floats),
    /// Features of windows of counts.
    #[cfg(feature = "windows")]
    Counts(windows::Counts),
}

impl Stage {
    /// The stage that the image asks for. An image with a front end needs the feature `windows`.
    pub(crate) fn of(model: &Model<'static>) -> Result<Self, Fault> {
        match model.front_end() {
            Err(Error::NoFrontEnd) => Ok(Self::Readings(Readings::default())),
            #[cfg(feature = "windows")]
            Ok(front_end) => windows::of(front_end),
            #[cfg(not(feature = "windows"))]
            Ok(_) => Err(Fault::Model(Error::Unsupported(flowlet::Part::FrontEnd))),
            Err(error) => Err(Fault::Model(error)),
        }
    }
}

/// The one that is in use.
macro_rules! each {
    ($stage:expr, $front:ident => $does:expr) => {
        match $stage {
            Stage::Readings($front) => $does,
            #[cfg(feature = "windows")]
            Stage::Floats($front) => $does,
            #[cfg(feature = "windows")]
            Stage::Counts($front) => $does,
        }
    };
}

impl Front<CHANNELS> for Stage {
    fn features(&self) -> usize {
        each!(self, front => front.features())
    }

    fn push(&mut self, counts: &[i16; CHANNELS]) -> Result<Option<&[f32]>, Error> {
        each!(self, front => front.push(counts))
    }

    fn clear(&mut self) {
        each!(self, front => front.clear());
    }
}
