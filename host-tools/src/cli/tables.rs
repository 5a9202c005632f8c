//! Arguments about input tables, the same for every command that reads one.

use super::output::Output;
use crate::table::{ReadOptions, Table, TableError};
use clap::Args;
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
}

impl TableArgs {
    /// Reads the tables for training.
    pub(super) fn read_all(&self, paths: &[PathBuf], output: &Output) -> Result<Table, TableError> {
        let table = Table::read_all(paths, &self.options(None))?;
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

    fn options(&self, features: Option<Vec<String>>) -> ReadOptions {
        ReadOptions {
            label: self.label.clone(),
            columns: self.columns.clone(),
            ignore: self.ignore.clone(),
            skip_bad_rows: self.skip_bad_rows,
            features,
        }
    }
}
