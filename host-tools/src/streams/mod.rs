//! Raw streams on the host: which features are taken of which windows, and the windows themselves, by the device's own code.

mod plan;
mod spec;
#[cfg(test)]
mod tests;
mod windows;

pub use plan::Plan;
pub use spec::{Spec, SpecError, PRESETS};
pub use windows::{features, Labelling, WindowError};
