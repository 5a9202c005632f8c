//! `cargo xtask`: set-up, demo, tests and gates.

fn main() {}
