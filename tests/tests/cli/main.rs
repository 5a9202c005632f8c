//! What users of the `flowlet` command rely on: options, files, exit codes, messages.

mod alarms;
mod auto;
mod chip;
mod commands;
mod conditioners;
mod device;
mod errors;
mod eval;
mod explain;
mod export;
mod fine_tuning;
mod linear;
mod report;
mod resume;
mod score_parts;
mod streams;
mod windows;
