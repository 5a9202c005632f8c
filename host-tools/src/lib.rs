//! Host side of flowlet: training, export, quantization, scoring and simulation of normalizing flows.

pub mod alarm;
pub mod batch;
pub mod bench;
pub mod bootstrap;
pub mod calibration;
pub mod chip_search;
pub mod chips;
pub mod cli;
pub mod cost;
pub mod device;
pub mod export;
pub mod flow;
pub mod image_formats;
pub mod metrics;
pub mod report;
pub mod segments;
pub mod selection;
pub mod streams;
pub mod table;
pub mod training;
