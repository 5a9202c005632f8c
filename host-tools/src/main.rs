//! The `flowlet` command; all of it is in the library, so that tests and other tools can use it.

use std::process::ExitCode;

fn main() -> ExitCode {
    flowlet_tools::cli::main()
}
