//! `flowlet verify`

use super::output::Output;
use crate::export::{ImageFile, ImageFileError};
use anyhow::bail;
use clap::Args;
use flowlet::Scorer;
use serde_json::json;
use std::path::PathBuf;

/// Check an image: every byte, and that it scores its self-test vectors as it should
///
/// Exit code 1 if it does not.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  flowlet verify pump.flow && flowlet simulate pump.flow today.csv")]
pub(super) struct VerifyArgs {
    /// The image
    #[arg(value_name = "M.flow")]
    model: PathBuf,
    /// Public key that must have signed the image; format version 1 has no signatures, so that no image passes yet
    #[arg(long, value_name = "PUB")]
    key: Option<PathBuf>,
}

impl VerifyArgs {
    pub(super) fn run(self, output: &Output) -> anyhow::Result<()> {
        let image = match ImageFile::read(&self.model) {
            Ok(image) => image,
            // What is no image is a result here, not only a failure.
            Err(error @ ImageFileError::Image { .. }) => {
                let problem = error.to_string();
                let json = json!({ "ok": false, "self_test_max_error": null, "problem": problem, "signed_by": null });
                output.finish("", &json)?;
                bail!(problem);
            }
            Err(error) => return Err(error.into()),
        };
        let model = image.model()?;
        let mut workspace = vec![0; model.workspace_bytes() / 4];
        let mut scorer = Scorer::new(&model, &mut workspace)?;
        let (error, passes) = (scorer.self_test()?, scorer.self_test_passes()?);
        let vectors = model.head().self_test.vectors;
        // Host and device compute the same bits, and versions of the runtime nearly the same numbers.
        let problem = if !passes {
            Some(format!("{}: the self-test is off by {error} nats", self.model.display()))
        } else {
            // What is asked to be signed and is not must not pass.
            self.key.as_ref().map(|key| {
                format!(
                    "{}: not signed, so not by {}; leave --key out to check the rest",
                    self.model.display(),
                    key.display()
                )
            })
        };
        let ok = problem.is_none();
        let json = json!({
            "ok": ok,
            "self_test_max_error": error,
            "self_test_vectors": vectors,
            "problem": problem,
            "signed_by": null,
        });
        let text = if ok {
            format!(
                "{}: intact; {vectors} self-test vectors score {}; not signed",
                self.model.display(),
                if error == 0.0 {
                    "to the bit".to_owned()
                } else {
                    format!("within {error:.1e} nats, as an image of another version of flowlet may")
                }
            )
        } else {
            String::new()
        };
        output.finish(&text, &json)?;
        match problem {
            Some(problem) => bail!(problem),
            None => Ok(()),
        }
    }
}
