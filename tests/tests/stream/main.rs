//! From samples to features and alarms, and the sensors before them.

mod alarms;
mod bit_bang;
mod detector;
mod features;
mod sensors;
