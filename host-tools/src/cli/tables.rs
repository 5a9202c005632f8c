//! Arguments about input tables, the same for every command that reads one.

use super::output::Output;
use super::progress::Progress;
use super::scoring;
use super::streams::StreamArgs;
use super::usage;
use crate::export::ImageFile;
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
    /// Only these data rows of each file, from 0, the last one not included: 0..400, ..400 or 400..; or shares of the file:
    /// ..60% or 60%..
    #[arg(long, value_name = "FROM..TO", value_parser = rows)]
    pub(super) rows: Option<Rows>,
    #[command(flatten)]
    pub(super) stream: StreamArgs,
}

/// Rows of a file.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Rows {
    /// By their numbers.
    Numbers(Range<usize>),
    /// By shares of the rows that there are, from 0 to 1.
    Shares(Range<f64>),
}

/// `400..`, `..400`, `100..400`, `..60%`, `60%..`.
pub(super) fn rows(text: &str) -> Result<Rows, String> {
    let parts = text.split_once("..").and_then(|(from, to)| {
        if !text.contains('%') {
            let end = |text: &str, open| if text.is_empty() { Some(open) } else { text.parse().ok() };
            return Some(Rows::Numbers(end(from, 0)?..end(to, usize::MAX)?));
        }
        let end = |text: &str, open| {
            if text.is_empty() {
                return Some(open);
            }
            let percent: f64 = text.strip_suffix('%')?.parse().ok()?;
            (0.0..=100.0).contains(&percent).then_some(percent / 100.0)
        };
        Some(Rows::Shares(end(from, 0.0)?..end(to, 1.0)?))
    });
    let is_some = |rows: &Rows| match rows {
        Rows::Numbers(range) => range.start < range.end,
        Rows::Shares(range) => range.start < range.end,
    };
    parts.filter(is_some).ok_or_else(|| {
        "must be a range of rows such as 0..400, ..400, 400.., ..60% or 60%.., with the first one below the last".to_owned()
    })
}

impl TableArgs {
    /// Reads the tables for training: at most so many rows of each label, drawn by a seed if there are more. Of streams
    /// every window, with the features that `features` names.
    pub(super) fn read_sample(
        &self,
        paths: &[PathBuf],
        most: (usize, u64),
        features: Option<&str>,
        output: &Output,
    ) -> anyhow::Result<Table> {
        if self.stream.stream {
            let mut tables: Vec<Table> = Vec::new();
            for path in paths {
                let columns = tables.first().map(|first| first.columns.clone());
                tables.push(self.read_rows(path, columns)?);
            }
            return self.stream.train(&tables, features, output);
        }
        self.stream.refuse_without()?;
        // A file that is read in parts says how far it is; a new one begins again.
        let mut shown: Option<Progress> = None;
        let mut watch = |done: u64, total: u64, unit: &'static str| {
            let progress = shown.get_or_insert_with(|| Progress::start(output, "reading", unit, total));
            progress.set(done, "", false);
            if done == total {
                progress.finish();
                shown = None;
            }
        };
        let table = Table::read_sample(paths, &self.options(None, self.numbers()?), most, &mut watch)?;
        table.notes.iter().for_each(|note| output.note(note));
        Ok(table)
    }

    /// Reads a table of an image's inputs, or of the streams that they come from.
    pub(super) fn read_for(&self, path: &Path, image: &ImageFile, output: &Output) -> anyhow::Result<Table> {
        let table = if self.stream.stream {
            let channels = self.stream.channels(image)?;
            self.stream.of_image(&self.read_rows(path, Some(channels))?, image)?
        } else {
            self.stream.refuse_without()?;
            self.read_rows(path, Some(scoring::input_names(image)?))?
        };
        table.notes.iter().for_each(|note| output.note(note));
        Ok(table)
    }

    /// The rows of a file that are wanted.
    fn read_rows(&self, path: &Path, features: Option<Vec<String>>) -> Result<Table, TableError> {
        match &self.rows {
            Some(Rows::Shares(shares)) => {
                let table = Table::read(path, &self.options(features, None))?;
                let at = |share: f64| (share * table.rows as f64).round() as usize;
                let range = at(shares.start)..at(shares.end);
                table.keep_rows(range)
            }
            Some(Rows::Numbers(range)) => Table::read(path, &self.options(features, Some(range.clone()))),
            None => Table::read(path, &self.options(features, None)),
        }
    }

    /// Opens a table of any length for an image with these features.
    pub(super) fn open_for(&self, path: &Path, image: &ImageFile) -> anyhow::Result<Chunks> {
        self.stream.refuse_without()?;
        let options = self.options(Some(scoring::input_names(image)?), self.numbers()?);
        Ok(Chunks::open(path, &options)?)
    }

    /// Rows by number, for what reads a table in parts and does not know its end.
    fn numbers(&self) -> anyhow::Result<Option<Range<usize>>> {
        match &self.rows {
            None => Ok(None),
            Some(Rows::Numbers(range)) => Ok(Some(range.clone())),
            Some(Rows::Shares(_)) => Err(usage(
                "--rows in percent is for --stream and for tables that are read whole: name rows by number, such as ..400",
            )),
        }
    }

    fn options(&self, features: Option<Vec<String>>, rows: Option<Range<usize>>) -> ReadOptions {
        ReadOptions {
            label: self.label.clone(),
            columns: self.columns.clone(),
            ignore: self.ignore.clone(),
            skip_bad_rows: self.skip_bad_rows,
            features,
            rows,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{rows, Rows};

    #[test]
    fn ranges_of_rows() {
        assert_eq!(rows("..400"), Ok(Rows::Numbers(0..400)));
        assert_eq!(rows("400.."), Ok(Rows::Numbers(400..usize::MAX)));
        assert_eq!(rows("3..9"), Ok(Rows::Numbers(3..9)));
        assert_eq!(rows("..60%"), Ok(Rows::Shares(0.0..0.6)));
        assert_eq!(rows("12.5%..50%"), Ok(Rows::Shares(0.125..0.5)));
        for wrong in ["400", "9..3", "5..5", "a..b", "-1..4", "1...4", "60%..50%", "1..50%", "..101%", "%.."]
        {
            assert!(rows(wrong).is_err(), "{wrong}");
        }
    }
}
