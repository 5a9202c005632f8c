//! States of training beside the image that is being made, from which the same command goes on after a kill.

use super::output::Output;
use crate::training::Keeper;
use clap::Args;
use flowlet::image::layout::checksum;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Options of states that are kept.
#[derive(Args, Debug)]
pub(super) struct CheckpointArgs {
    /// Seconds between states of training that are kept in M.flow.checkpoint until the image is written; the same
    /// command goes on from there after a kill, to the same image. 0: after every epoch
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0, value_parser = seconds, help_heading = "Training")]
    checkpoint_every: f64,
    /// Train from the beginning, whatever an interrupted run has left
    #[arg(long, help_heading = "Training")]
    fresh: bool,
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.0..=1e9).contains(&seconds) => Ok(seconds),
        _ => Err("must be a number of seconds, such as 10, or 0 for every epoch".to_owned()),
    }
}

/// What is in the file, behind its checksum.
#[derive(Default, Serialize, Deserialize)]
struct Kept {
    /// Version of the program that wrote it.
    version: String,
    /// The state of each run, by its number.
    states: BTreeMap<u64, Vec<u8>>,
}

impl Kept {
    fn read(bytes: &[u8]) -> Option<Self> {
        let (sum, content) = bytes.split_first_chunk::<4>()?;
        if u32::from_le_bytes(*sum) != checksum(content) {
            return None;
        }
        postcard::from_bytes(content).ok()
    }

    fn bytes(&self) -> postcard::Result<Vec<u8>> {
        let content = postcard::to_stdvec(self)?;
        Ok([&checksum(&content).to_le_bytes()[..], &content].concat())
    }
}

/// States of the runs that lead to one image.
pub(super) struct Checkpoint<'a> {
    output: &'a Output,
    path: PathBuf,
    every: Duration,
    written: Instant,
    kept: Kept,
    /// Whether a failure to write was told.
    told: bool,
}

impl<'a> Checkpoint<'a> {
    /// For the image at `image`, with what an interrupted run has left.
    pub(super) fn open(image: &Path, args: &CheckpointArgs, output: &'a Output) -> Self {
        let path = with_suffix(image, ".checkpoint");
        let version = env!("CARGO_PKG_VERSION");
        let found = if args.fresh { None } else { fs::read(&path).ok() };
        let kept = match found.map(|bytes| Kept::read(&bytes)) {
            Some(Some(kept)) if kept.version == version => kept,
            found => {
                if found.is_some() {
                    output
                        .note(&format!("{} is of another version or damaged: starting anew", path.display()));
                }
                Kept { version: version.to_owned(), ..Kept::default() }
            }
        };
        let every = Duration::from_secs_f64(args.checkpoint_every);
        Self { output, path, every, written: Instant::now(), kept, told: false }
    }

    /// Takes the file away: the image is written.
    pub(super) fn remove(self) {
        fs::remove_file(&self.path).ok();
    }

    /// Always through the same file, so that kills leave one at most. Not forced onto the disk: what a power cut
    /// damages has the wrong checksum.
    fn write(&self) -> anyhow::Result<()> {
        let part = with_suffix(&self.path, ".part");
        fs::write(&part, self.kept.bytes()?)?;
        fs::rename(part, &self.path)?;
        Ok(())
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    PathBuf::from(name)
}

impl Keeper for Checkpoint<'_> {
    fn find(&mut self, run: u64) -> Option<Vec<u8>> {
        self.kept.states.get(&run).cloned()
    }

    fn is_due(&self) -> bool {
        self.written.elapsed() >= self.every
    }

    fn keep(&mut self, run: u64, state: Vec<u8>) {
        self.kept.states.insert(run, state);
        if !self.is_due() {
            return;
        }
        self.written = Instant::now();
        if let Err(error) = self.write() {
            if !self.told {
                self.told = true;
                self.output
                    .warn(&format!("training goes on, but could not be resumed after a kill: {error:#}"));
            }
        }
    }
}
