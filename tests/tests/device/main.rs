//! Firmware under QEMU: the bits of the host, the cost that is told, the boards that are alive.

mod bits;
mod bits_bases;
mod bits_conditioners;
mod bits_dense;
mod bits_inquiry;
mod bits_linear;
mod bits_marginal;
mod bits_spline;
mod bits_streams;
mod boards;
mod c_api;
mod compiled_in;
mod hardware_boards;
#[cfg(unix)]
mod live_magnetometer;
#[cfg(unix)]
mod live_microbit;
#[cfg(unix)]
mod live_sampling;
mod windows;
