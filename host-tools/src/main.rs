//! The `flowlet` command.

fn main() {}
