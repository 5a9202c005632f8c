//! What training leaves beside an image, for the report: its figures and its curve.
//!
//! The image is for the chip, whose flash a training curve would only cost. So `flowlet train -o pump.flow` writes
//! `pump.flow.json` next to it: the object that `--json` prints, the curves of the experts, and the checksum of the image,
//! by which a report knows that the two belong together.

use crate::export::ImageFile;
use crate::training::Experts;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// The file's content.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct History {
    /// Checksum of the image, see [`fingerprint`].
    pub image: String,
    /// What `train --json` prints.
    pub train: Value,
    /// The experts' curves, in the image's order.
    pub curves: Vec<Curve>,
}

/// How an expert was trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    /// Its recipe in short.
    pub recipe: String,
    /// The epoch that was kept; 0 for none.
    pub best_epoch: usize,
    /// Its epochs; none of an expert that needs no gradient.
    pub epochs: Vec<Point>,
}

/// One epoch. Likelihoods in nats of the standardized readings.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Number, from 1.
    pub epoch: usize,
    /// Mean negative log-likelihood of the rows trained on.
    pub train_nll: Option<f64>,
    /// That of the held-out rows without the least likely 2 %.
    pub held_out_nll: Option<f64>,
    /// Learning rate.
    pub lr: f32,
}

/// A design that was tried within a chip's budget.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Design {
    /// What it is.
    #[serde(alias = "recipe")]
    pub name: String,
    /// Held-out negative log-likelihood, nats; smaller is better.
    #[serde(
        default,
        alias = "val_nll_trimmed_standardized",
        alias = "val_nll_standardized",
        alias = "val_nll"
    )]
    pub nll: Option<f64>,
    /// AUROC, or what stands for it without labels; larger is better.
    #[serde(default, alias = "auroc_proxy", alias = "proxy")]
    pub auroc: Option<f64>,
    /// Instructions per score.
    pub instructions: f64,
    /// Size of the image.
    #[serde(alias = "image_bytes", alias = "flash_bytes")]
    pub bytes: f64,
    /// Whether it is the one that was written.
    #[serde(default)]
    pub chosen: bool,
    /// Whether no other is better at no more cost; what the search knows and a page cannot: designs that were given up
    /// early were judged by less training.
    #[serde(default)]
    pub pareto: bool,
}

/// Where the history of an image lies: `pump.flow.json` for `pump.flow`.
#[must_use]
pub fn beside(image: &Path) -> PathBuf {
    let mut name = image.as_os_str().to_owned();
    name.push(".json");
    PathBuf::from(name)
}

/// An image's checksum: the CRC-32 in its head, and its length.
#[must_use]
pub fn fingerprint(image: &ImageFile) -> String {
    let crc = crc32(image.bytes());
    format!("{crc:08x}-{}", image.bytes().len())
}

/// CRC-32 (IEEE 802.3), bit by bit: images are small.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
    })
}

impl History {
    /// What is known of a training.
    #[must_use]
    pub fn new(image: &ImageFile, train: &Value, experts: &Experts) -> Self {
        let finite = |value: f64| value.is_finite().then_some(value);
        let curves = experts.members.iter().map(|member| Curve {
            recipe: member.candidates[member.chosen].config.summary(),
            best_epoch: member.trained.best_epoch,
            epochs: (member.trained.history.iter())
                .map(|epoch| Point {
                    epoch: epoch.number,
                    train_nll: finite(epoch.train_nll),
                    held_out_nll: finite(epoch.val_nll_trimmed),
                    lr: epoch.lr,
                })
                .collect(),
        });
        Self { image: fingerprint(image), train: train.clone(), curves: curves.collect() }
    }

    /// The designs that were tried for a chip; none if there was no such search.
    #[must_use]
    pub fn designs(&self) -> Vec<Design> {
        let candidates = self.train["candidates"].as_array().map(Vec::as_slice).unwrap_or_default();
        let chosen = &self.train["chosen"];
        let design = |(index, value): (usize, &Value)| {
            let mut design = Design::deserialize(value).ok()?;
            design.chosen |= chosen.as_u64() == Some(index as u64) || chosen.as_str() == Some(&design.name);
            Some(design)
        };
        candidates.iter().enumerate().filter_map(design).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_checksum_is_the_usual_one() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(beside(Path::new("a/pump.flow")), Path::new("a/pump.flow.json"));
    }

    #[test]
    fn designs_are_those_with_a_cost() {
        let train = json!({ "chosen": 1, "candidates": [
            { "recipe": "plain", "val_nll_trimmed_standardized": 1.0 },
            { "name": "small", "nll": 2.0, "instructions": 900, "bytes": 4000 },
            { "recipe": "large", "auroc_proxy": 0.9, "instructions": 9000, "image_bytes": 8000 },
        ]});
        let designs = History { image: String::new(), train, curves: vec![] }.designs();
        assert_eq!(designs.len(), 2);
        assert!(designs[0].chosen && !designs[1].chosen && designs[1].auroc == Some(0.9));
    }
}
