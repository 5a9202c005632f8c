//! The whole way on the bundled data.

use std::path::PathBuf;

use clap::Args;

use crate::report::{Outcome, Report};
use crate::{run, setup};

/// Options of `cargo xtask demo`.
#[derive(Args)]
pub(crate) struct Demo {
    /// Where the image, the scores and the report go
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

impl Demo {
    pub(crate) fn run(self) -> anyhow::Result<bool> {
        let mut report = Report::default();
        setup::steps(&mut report);
        report.step("demo", || self.demo());
        Ok(report.finish())
    }

    /// `flowlet demo`, with the code of this checkout.
    fn demo(&self) -> Outcome {
        let mut command = run::cargo(&["run", "--release", "--package", "flowlet-tools", "--bin", "flowlet"]);
        // The user's folder, not the workspace's, is what relative paths mean.
        let here = std::env::current_dir().unwrap_or_else(|_| run::root());
        command.args(["--manifest-path"]).arg(run::root().join("Cargo.toml"));
        command.args(["--", "demo"]).current_dir(here);
        if let Some(out) = &self.out {
            command.arg("--out").arg(out);
        }
        run::shown(&mut command)
    }
}
