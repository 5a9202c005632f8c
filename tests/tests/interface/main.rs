//! What others see of the library: its C functions, its logs, its documents.

mod c_api;
mod c_api_streams;
mod defmt_formats;
mod docs;
mod readme;
