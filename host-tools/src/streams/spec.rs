//! What features are to be taken of windows, as a user writes it: TOML, or the name of a preset.
//!
//! `docs/streams.md` describes every key. Presets are files of the same form in `presets/`.

use serde::Deserialize;
use std::ops::Range;
use std::path::{Path, PathBuf};
use toml::Spanned;

/// Names and texts of the presets.
pub const PRESETS: [(&str, &str); 2] = [
    ("vibration", include_str!("presets/vibration.toml")),
    ("slow-sensors", include_str!("presets/slow-sensors.toml")),
];

/// A specification that could not be used. The message names file, line, value and remedy.
#[derive(Debug, thiserror::Error)]
#[error("{file}{}: {problem}", line.map_or_else(String::new, |line| format!(", line {line}")))]
pub struct SpecError {
    file: String,
    line: Option<usize>,
    problem: String,
}

/// What the file holds.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Content {
    pub(super) window: Spanned<u32>,
    pub(super) hop: Option<Spanned<u32>>,
    /// Of the windows that are trained on, if those are to overlap more.
    #[serde(rename = "training-hop")]
    pub(super) training_hop: Option<Spanned<u32>>,
    #[serde(default)]
    pub(super) samples: SamplesKind,
    #[serde(default)]
    pub(super) channel: Vec<ChannelSpec>,
    pub(super) features: Features,
}

/// Type of samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum SamplesKind {
    #[default]
    F32,
    I16,
}

/// What is known of a channel.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ChannelSpec {
    pub(super) name: Spanned<String>,
    #[serde(default)]
    pub(super) unit: String,
    pub(super) scale: Option<Spanned<f64>>,
    pub(super) floor: Option<Spanned<f64>>,
}

/// `"plain"` or `"log2"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum FormSpec {
    Plain,
    Log2,
}

/// Features of every channel, and of pairs.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct Features {
    pub(super) mean: bool,
    pub(super) rms: Option<FormSpec>,
    pub(super) peak: Option<FormSpec>,
    pub(super) crest: Option<FormSpec>,
    pub(super) kurtosis: Option<FormSpec>,
    pub(super) skewness: bool,
    pub(super) zero_crossings: bool,
    pub(super) jerk: Option<FormSpec>,
    pub(super) bands: Option<Spanned<BandsSpec>>,
    pub(super) centroid: Option<FormSpec>,
    pub(super) envelope: Vec<Spanned<EnvelopeSpec>>,
    pub(super) correlation: Option<Spanned<CorrelationSpec>>,
}

/// Bands of the spectrum.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct BandsSpec {
    pub(super) form: Option<FormSpec>,
    /// So many octaves below `to`.
    pub(super) octaves: Option<u32>,
    /// So many bands of equal width.
    pub(super) even: Option<u32>,
    /// Hz.
    pub(super) edges_hz: Option<Vec<f64>>,
    /// Shares of half the rate.
    pub(super) from: Option<f64>,
    pub(super) to: Option<f64>,
    pub(super) from_hz: Option<f64>,
    pub(super) to_hz: Option<f64>,
}

/// Modulation of a resonance.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct EnvelopeSpec {
    pub(super) form: Option<FormSpec>,
    /// The resonance's band: shares of half the rate, or Hz.
    pub(super) from: Option<f64>,
    pub(super) to: Option<f64>,
    pub(super) from_hz: Option<f64>,
    pub(super) to_hz: Option<f64>,
    /// Modulation bands: so many octaves below `up_to`.
    pub(super) octaves: Option<u32>,
    pub(super) up_to: Option<f64>,
    pub(super) up_to_hz: Option<f64>,
    pub(super) edges_hz: Option<Vec<f64>>,
}

/// Which pairs of channels are correlated: `"all"`, or pairs of names.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum CorrelationSpec {
    All(String),
    Pairs(Vec<[String; 2]>),
}

/// A specification that was read, with what errors need.
#[derive(Clone, Debug)]
pub struct Spec {
    pub(super) content: Content,
    /// Name of the file, or of the preset.
    name: String,
    text: String,
}

impl Spec {
    /// Reads a preset by its name, or a file.
    ///
    /// ```
    /// use flowlet_tools::streams::Spec;
    /// assert!(Spec::read("vibration").is_ok());
    /// let error = Spec::read("vibrations").unwrap_err().to_string();
    /// assert!(error.contains("no preset of this name") && error.contains("vibration, slow-sensors"));
    /// ```
    ///
    /// # Errors
    /// [`SpecError`]: no such file or preset, no TOML, an unknown key, a value of the wrong type.
    pub fn read(preset_or_path: &str) -> Result<Self, SpecError> {
        let preset = PRESETS.iter().find(|(name, _)| *name == preset_or_path);
        let text = match preset {
            Some((_, text)) => (*text).to_owned(),
            None => std::fs::read_to_string(PathBuf::from(preset_or_path)).map_err(|error| {
                let names = PRESETS.map(|(name, _)| name).join(", ");
                let missing = !Path::new(preset_or_path).exists();
                let problem = if missing {
                    format!("no preset of this name and no such file; presets are {names}, a file is TOML")
                } else {
                    format!("cannot be read: {error}")
                };
                SpecError { file: preset_or_path.to_owned(), line: None, problem }
            })?,
        };
        Self::parse(preset_or_path, &text)
    }

    /// Reads a specification from its text; `name` is for messages.
    ///
    /// # Errors
    /// As [`Spec::read`].
    pub fn parse(name: &str, text: &str) -> Result<Self, SpecError> {
        match toml::from_str(text) {
            Ok(content) => Ok(Spec { content, name: name.to_owned(), text: text.to_owned() }),
            Err(error) => {
                let line = error.span().map(|span| line_of(text, span.start));
                let remedy = "docs/streams.md lists the keys and their values";
                let problem = format!("{}; {remedy}", error.message().trim().replace('\n', ", "));
                Err(SpecError { file: name.to_owned(), line, problem })
            }
        }
    }

    /// The preset for a rate, if none was asked for.
    #[must_use]
    pub fn usual(rate: f32) -> &'static str {
        if rate >= 100.0 {
            "vibration"
        } else {
            "slow-sensors"
        }
    }

    /// Something wrong at a place in the text.
    pub(super) fn wrong(&self, span: Range<usize>, problem: impl Into<String>) -> SpecError {
        SpecError {
            file: self.name.clone(),
            line: Some(line_of(&self.text, span.start)),
            problem: problem.into(),
        }
    }

    /// Something wrong with the whole.
    pub(super) fn wrong_at_all(&self, problem: impl Into<String>) -> SpecError {
        SpecError { file: self.name.clone(), line: None, problem: problem.into() }
    }
}

fn line_of(text: &str, at: usize) -> usize {
    text.as_bytes().iter().take(at).filter(|&&byte| byte == b'\n').count() + 1
}
