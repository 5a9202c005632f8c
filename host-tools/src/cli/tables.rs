//! Arguments about input tables, the same for every command that reads one.

use super::output::Output;
use super::progress::Progress;
use crate::table::{Chunks, ReadOptions, Table, TableError};
use clap::Args;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// How tables are read.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Input")]
pub(super) struct TableArgs {
    /// Column that labels rows: 0 normal, 1 anomalous; never a feature
    #[arg(long, value_name = "COL")]
    pub(super) label: Option<String>,
    /// Use only these columns as features
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    pub(super) columns: Option<Vec<String>>,
    /// Do not use these columns
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    pub(super) ignore: Vec<String>,
    /// Leave out rows with a missing or non-numeric cell, and count them, instead of failing
    #[arg(long)]
    pub(super) skip_bad_rows: bool,
    /// Only these data rows of each file, from 0, the last one not included: 0..400, ..400 or 400..
    #[arg(long, value_name = "FROM..TO", value_parser = rows)]
    rows: Option<Range<usize>>,
}

/// `400..`, `..400`, `100..400`.
fn rows(text: &str) -> Result<Range<usize>, String> {
    let end = |text: &str, open: usize| if text.is_empty() { Some(open) } else { text.parse().ok() };
    let parts = text.split_once("..").and_then(|(from, to)| Some(end(from, 0)?..end(to, usize::MAX)?));
    parts.filter(|range| range.start < range.end).ok_or_else(|| {
        "must be a range of rows such as 0..400, ..400 or 400.., with the first one below the last".to_owned()
    })
}

impl TableArgs {
    /// Reads the tables for training: at most so many rows of each label, drawn by a seed if there are more.
    pub(super) fn read_sample(
        &self,
        paths: &[PathBuf],
        most: (usize, u64),
        output: &Output,
    ) -> Result<Table, TableError> {
        // A file that is read in parts says how far it is; a new one begins again.
        let mut shown: Option<(u64, Progress)> = None;
        let mut watch = |done: u64, total: u64, unit: &'static str| {
            if shown.as_ref().is_none_or(|(of, _)| *of != total) {
                shown = Some((total, Progress::start(output, "reading", unit, total)));
            }
            if let Some((_, progress)) = &shown {
                progress.set(done, "", false);
                if done == total {
                    progress.finish();
                }
            }
        };
        let table = Table::read_sample(paths, &self.options(None), most, &mut watch)?;
        table.notes.iter().for_each(|note| output.note(note));
        Ok(table)
    }

    /// Reads a table for an image with these features.
    pub(super) fn read_for(
        &self,
        path: &Path,
        features: Vec<String>,
        output: &Output,
    ) -> Result<Table, TableError> {
        let table = Table::read(path, &self.options(Some(features)))?;
        table.notes.iter().for_each(|note| output.note(note));
        Ok(table)
    }

    /// Opens a table of any length for an image with these features.
    pub(super) fn open_for(&self, path: &Path, features: Vec<String>) -> Result<Chunks, TableError> {
        Chunks::open(path, &self.options(Some(features)))
    }

    fn options(&self, features: Option<Vec<String>>) -> ReadOptions {
        ReadOptions {
            label: self.label.clone(),
            columns: self.columns.clone(),
            ignore: self.ignore.clone(),
            skip_bad_rows: self.skip_bad_rows,
            features,
            rows: self.rows.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::rows;

    #[test]
    fn ranges_of_rows() {
        assert_eq!(rows("..400"), Ok(0..400));
        assert_eq!(rows("400.."), Ok(400..usize::MAX));
        assert_eq!(rows("3..9"), Ok(3..9));
        for wrong in ["400", "9..3", "5..5", "a..b", "-1..4", "1...4"] {
            assert!(rows(wrong).is_err(), "{wrong}");
        }
    }
}
