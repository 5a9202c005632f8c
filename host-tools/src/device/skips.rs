//! Tests that need a tool that is not there: counted, never silent.
//!
//! A test that can't run calls [`record`] and returns. `cargo xtask test` names a file in
//! `FLOWLET_SKIPS` and counts its lines. Where `CI` is set, nothing may be skipped.

use std::env;
use std::fs::OpenOptions;
use std::io::Write;

use super::toolchain::Missing;

/// Names the file that [`record`] appends to.
pub const VARIABLE: &str = "FLOWLET_SKIPS";

/// Whether a skip is a failure here: `CI` is set, and not to `false`.
pub fn forbidden() -> bool {
    env::var("CI").is_ok_and(|value| !matches!(value.as_str(), "" | "0" | "false"))
}

/// Records that a test was skipped.
///
/// # Panics
/// Where skips are [`forbidden`]: the test fails.
pub fn record(test: &str, missing: &Missing) {
    assert!(!forbidden(), "{test}: {missing}\n(nothing may be skipped where CI is set)");
    note(test, missing);
}

/// Begins the lines of skips that fail nothing.
pub const OPTIONAL: &str = "optional: ";

/// Records that a test was skipped for want of a tool that flowlet itself never needs, such as a browser: counted and
/// shown, but no failure anywhere.
pub fn record_optional(test: &str, missing: &Missing) {
    note(&format!("{OPTIONAL}{test}"), missing);
}

fn note(test: &str, missing: &Missing) {
    eprintln!("{test} skipped: {missing}");
    let file = env::var_os(VARIABLE).map(|path| OpenOptions::new().create(true).append(true).open(path));
    if let Some(Ok(mut file)) = file {
        // A line that can't be written is only missing from a count.
        let _ = writeln!(file, "{test}: {}", missing.what);
    }
}
