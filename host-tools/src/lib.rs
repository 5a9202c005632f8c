//! Host side of flowlet: training, export, quantization, scoring and simulation of normalizing flows.

pub mod flow;
pub mod training;
