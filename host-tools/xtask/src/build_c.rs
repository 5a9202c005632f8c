//! The C library and its header.

use std::fs;
use std::path::PathBuf;

use anyhow::Context;
use flowlet_tools::device::{CLibrary, DeviceError, Install, Source};

use crate::report::{Outcome, Report};
use crate::{run, setup};

/// Generates the header and builds the library for every target of [`setup::TARGETS`].
pub(crate) fn run() -> anyhow::Result<bool> {
    let mut report = Report::default();
    report.step("flowlet.h", || match header().and_then(|text| Ok(fs::write(committed(), text)?)) {
        Ok(()) => Outcome::Passed(format!("{}", committed().display())),
        Err(error) => Outcome::Failed(format!("{error:#}")),
    });
    for target in setup::TARGETS {
        report.step(&format!("libflowlet.a for {target}"), || library(target));
    }
    Ok(report.finish())
}

fn library(target: &str) -> Outcome {
    match Source::find().and_then(|source| CLibrary::build(&source, target, Install::Allowed)) {
        Ok(library) => Outcome::Passed(library.archive.display().to_string()),
        Err(DeviceError::Missing(missing)) => Outcome::Skipped(missing),
        Err(error) => Outcome::Failed(error.to_string()),
    }
}

/// Where the header is kept.
fn committed() -> PathBuf {
    run::root().join("firmware/c-api/include/flowlet.h")
}

/// The header of the sources as they are.
fn header() -> anyhow::Result<String> {
    let home = run::root().join("firmware/c-api");
    let config = cbindgen::Config::from_file(home.join("cbindgen.toml")).map_err(anyhow::Error::msg)?;
    let bindings = cbindgen::Builder::new()
        .with_config(config)
        .with_src(home.join("src/lib.rs"))
        .generate()
        .context("reading firmware/c-api/src")?;
    let mut text = Vec::new();
    bindings.write(&mut text);
    Ok(String::from_utf8(text)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_header_is_that_of_the_sources() {
        let committed = fs::read_to_string(committed()).expect("firmware/c-api/include/flowlet.h");
        assert_eq!(
            committed,
            header().expect("sources that cbindgen reads"),
            "the C API has changed: run `cargo xtask build-c` and commit firmware/c-api/include/flowlet.h"
        );
    }
}
