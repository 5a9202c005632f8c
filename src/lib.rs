//! Exact log-likelihoods of sensor readings on a microcontroller.
#![no_std]
#![deny(missing_docs)]
