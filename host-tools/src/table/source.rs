//! A file as read, before it is decided which of its columns are features.

use super::error::{CellProblem, Place};
use super::{csv, npy};
use std::path::PathBuf;

/// Every column of a file as numbers. A cell without a usable number is NaN or an infinity here.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) path: PathBuf,
    pub(super) names: Vec<String>,
    pub(super) columns: Vec<Vec<f32>>,
    pub(super) rows: usize,
    /// Data row in the file of the first row here.
    pub(super) first_row: usize,
    /// The format has no column names; `names` are made up.
    pub(super) positional: bool,
    pub(super) notes: Vec<String>,
    pub(super) origin: Origin,
}

/// What is needed to say where a cell stands and what it holds.
#[derive(Debug)]
pub(super) enum Origin {
    Text(csv::Text),
    Npy(npy::Array),
    Parquet,
}

impl Source {
    /// Whether there is a number anywhere in the column.
    pub(super) fn is_numeric(&self, column: usize) -> bool {
        self.columns[column].iter().any(|value| value.is_finite())
    }

    /// Where a data row stands in the file.
    pub(super) fn place(&self, row: usize) -> Place {
        match &self.origin {
            Origin::Text(text) => text.place(row),
            Origin::Npy(_) | Origin::Parquet => Place::Row(self.first_row + row),
        }
    }

    /// Why a cell holds no usable number.
    pub(super) fn problem(&self, row: usize, column: usize) -> CellProblem {
        match &self.origin {
            Origin::Text(text) => csv::problem(&text.cell(row, column)),
            Origin::Npy(array) => number_problem(array.value(row, column)),
            // Parquet marks missing cells; they and NaN are the same here.
            Origin::Parquet if self.columns[column][row].is_nan() => {
                CellProblem::NotFinite("null or NaN".to_owned())
            }
            Origin::Parquet => CellProblem::TooLarge("the number".to_owned()),
        }
    }

    /// What a label cell says when it is a number.
    pub(super) fn shown(&self, row: usize, column: usize) -> String {
        match &self.origin {
            Origin::Text(text) => text.cell(row, column),
            Origin::Npy(_) | Origin::Parquet => self.columns[column][row].to_string(),
        }
    }

    /// Whether text cells look like decimals with a comma.
    pub(super) fn has_decimal_comma(&self) -> bool {
        let Origin::Text(text) = &self.origin else { return false };
        self.rows > 0 && (0..self.names.len()).any(|c| super::error::is_decimal_comma(&text.cell(0, c)))
    }
}

fn number_problem(value: f64) -> CellProblem {
    if value.is_finite() {
        CellProblem::TooLarge(format!("{value:e}"))
    } else {
        CellProblem::NotFinite(value.to_string())
    }
}
