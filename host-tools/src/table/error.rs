//! What can be wrong with a table, each with the remedy in its message.

use std::fmt;
use std::path::PathBuf;

/// Why a table could not be used. Every message names the file, and the line and column where there is one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    /// The file could not be opened or read.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The name ends in nothing that says what is inside.
    #[error("{}: cannot tell the format from the name; give a .csv, .tsv, .txt, .npy or .parquet file", path.display())]
    Extension {
        /// The file.
        path: PathBuf,
    },
    /// Not one byte, or nothing but blank lines.
    #[error("{}: the file is empty; a table needs a header row and at least one data row", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// A header, and nothing below it.
    #[error("{}: the table has column names but no data rows", path.display())]
    NoRows {
        /// The file.
        path: PathBuf,
    },
    /// All rows were bad and left out.
    #[error("{}: no rows are left: all {skipped} are bad; without --skip-bad-rows the first bad cell is named", path.display())]
    NoRowsLeft {
        /// The file.
        path: PathBuf,
        /// How many rows were left out.
        skipped: usize,
    },
    /// Rows that were asked for lie behind the last one.
    #[error("{}: no rows from {first} on: rows count from 0, and there are {rows}", path.display())]
    NoSuchRows {
        /// The file.
        path: PathBuf,
        /// How many data rows it has.
        rows: usize,
        /// The first one asked for.
        first: usize,
    },
    /// Bytes that are not UTF-8 text.
    #[error("{}, line {line}: not UTF-8 text; save it as UTF-8 (for example: iconv -f LATIN1 -t UTF-8)", path.display())]
    NotUtf8 {
        /// The file.
        path: PathBuf,
        /// First line concerned, from 1.
        line: usize,
    },
    /// The CSV reader gave up.
    #[error("{}: not readable as CSV: {message}", path.display())]
    Csv {
        /// The file.
        path: PathBuf,
        /// What the reader said.
        message: String,
    },
    /// Numbers where the names should be.
    #[error("{}: the first row holds numbers ({first}, ...), not column names; add a header row", path.display())]
    NoHeader {
        /// The file.
        path: PathBuf,
        /// The first cell.
        first: String,
    },
    /// Two columns of one name.
    #[error("{}: two columns are named '{name}'; rename one, as columns are matched by name", path.display())]
    DuplicateColumn {
        /// The file.
        path: PathBuf,
        /// The name.
        name: String,
    },
    /// A row of another length than the header.
    #[error(
        "{}, line {line}: the row has {found} fields and the header has {expected} (a stray delimiter or an unclosed \
         quote?); --skip-bad-rows leaves such rows out",
        path.display()
    )]
    Ragged {
        /// The file.
        path: PathBuf,
        /// Its line, from 1.
        line: usize,
        /// Fields in the header.
        expected: usize,
        /// Fields in the row.
        found: usize,
    },
    /// A cell without a usable number in a numeric column.
    #[error(
        "{}, {place}, column '{column}': {problem}; --skip-bad-rows leaves such rows out, --ignore {column} the column",
        path.display()
    )]
    BadCell {
        /// The file.
        path: PathBuf,
        /// Where in it.
        place: Place,
        /// The column's name.
        column: String,
        /// What is wrong with it.
        problem: CellProblem,
    },
    /// A label that is neither 0 nor 1.
    #[error(
        "{}, {place}, label column '{column}': {problem}; a label is 0 for normal and 1 for anomalous",
        path.display()
    )]
    BadLabel {
        /// The file.
        path: PathBuf,
        /// Where in it.
        place: Place,
        /// The column's name.
        column: String,
        /// What is wrong with it.
        problem: CellProblem,
    },
    /// Columns that were asked for and are not there.
    #[error("{}: no column named {} ({wanted_by}); the file has: {}", path.display(), quoted(missing), quoted(available))]
    MissingColumns {
        /// The file.
        path: PathBuf,
        /// What is not there.
        missing: Vec<String>,
        /// What asked for it, such as `--label` or the image.
        wanted_by: &'static str,
        /// All columns of the file.
        available: Vec<String>,
    },
    /// A file without names whose width is not the image's.
    #[error(
        "{}: {found} columns, but {expected} are needed ({}); columns without names are matched by position, so \
         pick them with --columns",
        path.display(),
        quoted(names)
    )]
    WrongCount {
        /// The file.
        path: PathBuf,
        /// How many features it offers.
        found: usize,
        /// How many are needed.
        expected: usize,
        /// Their names.
        names: Vec<String>,
    },
    /// Nothing to learn from.
    #[error("{}: no numeric column to use as a feature; the file has: {}{}", path.display(), quoted(available),
        if *decimal_comma { " (decimals need a point, not a comma)" } else { "" })]
    NoFeatures {
        /// The file.
        path: PathBuf,
        /// All columns of the file.
        available: Vec<String>,
        /// Whether cells look like `3,14`.
        decimal_comma: bool,
    },
    /// Files of one training set that differ in their columns.
    #[error("{} and {} have different columns: {difference}; use --columns or --ignore to make them agree",
        first.display(), second.display())]
    ColumnsDiffer {
        /// The first file.
        first: PathBuf,
        /// The one that differs from it.
        second: PathBuf,
        /// Which columns are in one only.
        difference: String,
    },
    /// A `.npy` file that cannot be used.
    #[error("{}: {problem}", path.display())]
    Npy {
        /// The file.
        path: PathBuf,
        /// What is wrong, and the remedy.
        problem: String,
    },
    /// A `.parquet` file that cannot be used.
    #[error("{}: not readable as Parquet: {problem}", path.display())]
    Parquet {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
}

/// Where in a file: by line in text, by row elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Line of a text file, from 1, counting the header.
    Line(usize),
    /// Data row, from 0.
    Row(usize),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(line) => write!(f, "line {line}"),
            Self::Row(row) => write!(f, "row {row} (from 0)"),
        }
    }
}

/// What is wrong with one cell.
#[derive(Clone, Debug, PartialEq)]
pub enum CellProblem {
    /// Nothing in it.
    Missing,
    /// Text that is not a number.
    NotANumber(String),
    /// NaN or an infinity, as written in the file.
    NotFinite(String),
    /// A number beyond the range of f32, as written in the file.
    TooLarge(String),
    /// A label with another value than 0 and 1.
    OtherLabel(String),
}

impl fmt::Display for CellProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => write!(f, "the cell is empty"),
            Self::NotANumber(text) => {
                write!(f, "'{}' is not a number", shortened(text))?;
                if is_decimal_comma(text) {
                    write!(f, " (decimals need a point, not a comma)")?;
                }
                Ok(())
            }
            Self::NotFinite(text) => write!(f, "'{}' is not a finite number", shortened(text)),
            Self::TooLarge(text) => write!(f, "{} is too large for an f32", shortened(text)),
            Self::OtherLabel(text) => write!(f, "'{}' is not a label", shortened(text)),
        }
    }
}

/// Whether a cell reads like `3,14`.
pub(super) fn is_decimal_comma(text: &str) -> bool {
    text.split_once(',').is_some_and(|(whole, part)| {
        let whole = whole.strip_prefix(['-', '+']).unwrap_or(whole);
        let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
        digits(whole) && digits(part)
    })
}

/// A cell may hold a whole paragraph; a message may not.
fn shortened(text: &str) -> String {
    const MOST: usize = 40;
    if text.chars().count() <= MOST {
        return text.escape_debug().to_string();
    }
    let head: String = text.chars().take(MOST).collect();
    format!("{}...", head.escape_debug())
}

fn quoted(names: &[String]) -> String {
    const MOST: usize = 40;
    let mut list: Vec<String> = names.iter().take(MOST).map(|n| format!("'{n}'")).collect();
    if names.len() > MOST {
        list.push(format!("and {} more", names.len() - MOST));
    }
    if list.is_empty() {
        return "nothing".to_owned();
    }
    list.join(", ")
}
