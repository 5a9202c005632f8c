//! Detectors on real data, most of which is not part of the project.

mod bearing;
mod development_auto;
mod development_sets;
mod false_alarms;
mod skab;
