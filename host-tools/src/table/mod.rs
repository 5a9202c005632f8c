//! Input tables: CSV, `.npy` and `.parquet` files as rows of features, with their labels.
//!
//! All numeric columns are features, in file order, except the label. A column with no number in it at
//! all is left out with a note. A cell without a finite number is an error that names file, line and
//! column, or, if so asked, its row is left out and counted.

mod csv;
mod error;
mod half;
mod kinds;
mod npy;
mod parquet;
mod reservoir;
mod source;
mod stream;
#[cfg(test)]
mod tests;

pub use error::{CellProblem, Place, TableError};
pub use kinds::Kind;
pub use reservoir::Watch;
use source::Source;
use std::collections::HashSet;
use std::ops::Range;
use std::path::{Path, PathBuf};
pub use stream::{Chunk, Chunks};

/// Which columns and rows of a file are wanted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReadOptions {
    /// The column that says what is anomalous; never a feature.
    pub label: Option<String>,
    /// Only these columns are features, if given.
    pub columns: Option<Vec<String>>,
    /// These columns are no features.
    pub ignore: Vec<String>,
    /// Leave rows with a bad cell out instead of failing.
    pub skip_bad_rows: bool,
    /// The names stored in an image: exactly these features, in this order.
    pub features: Option<Vec<String>>,
    /// Only these data rows of each file, from 0; all rows if not given.
    pub rows: Option<Range<usize>>,
}

/// Columns of a file that are wanted.
#[derive(Clone, Debug)]
struct Columns {
    names: Vec<String>,
    chosen: Vec<usize>,
    label: Option<usize>,
}

/// Rows of finite numbers, and where they came from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// The (first) file.
    pub path: PathBuf,
    /// Names of the features.
    pub columns: Vec<String>,
    /// Number of rows.
    pub rows: usize,
    /// The features, row after row: `rows x columns.len()`, all finite.
    pub values: Vec<f32>,
    /// Whether each row is anomalous, if a label column was named.
    pub labels: Option<Vec<bool>>,
    /// What a user should know about how the file was read; one sentence each.
    pub notes: Vec<String>,
    /// Rows left out for a bad cell.
    pub skipped_rows: usize,
    /// Data row in the file of every row here, from 0; `None` when they are the first ones and none was left out.
    pub row_numbers: Option<Vec<usize>>,
    /// Of features of windows: the front end that they come from, as an image holds it; else empty.
    pub front_end: Vec<u8>,
    /// Of features of windows: how many windows before a window share samples with it.
    pub overlap: usize,
    /// Units of the features, as far as they are known.
    pub units: Vec<String>,
}

impl Table {
    /// Reads one file.
    ///
    /// ```
    /// use flowlet_tools::table::{ReadOptions, Table};
    /// let folder = tempfile::tempdir()?;
    /// let path = folder.path().join("pump.csv");
    /// std::fs::write(&path, "time,pressure,flow,fault\n10:00,2.5,7,0\n10:01,2.75,8,1\n")?;
    /// let options = ReadOptions { label: Some("fault".into()), ..ReadOptions::default() };
    /// let table = Table::read(&path, &options)?;
    /// assert_eq!(table.columns, ["pressure", "flow"]);
    /// assert_eq!(table.values, [2.5, 7.0, 2.75, 8.0]);
    /// assert_eq!(table.labels, Some(vec![false, true]));
    /// assert!(table.notes[0].contains("'time'"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// What cannot be read or used, see [`TableError`].
    pub fn read(path: &Path, options: &ReadOptions) -> Result<Self, TableError> {
        Self::from_source(open(path, options.skip_bad_rows)?, options)
    }

    /// Reads several files with the same columns, one after the other, as one table.
    ///
    /// # Errors
    /// As [`Table::read`], and [`TableError::ColumnsDiffer`].
    pub fn read_all<P: AsRef<Path>>(paths: &[P], options: &ReadOptions) -> Result<Self, TableError> {
        Self::read_sample(paths, options, (usize::MAX, 0), &mut |_, _, _| ())
    }

    /// The features of one row.
    #[must_use]
    pub fn row(&self, row: usize) -> &[f32] {
        &self.values[row * self.columns.len()..][..self.columns.len()]
    }

    /// All rows in order.
    pub fn iter_rows(&self) -> impl ExactSizeIterator<Item = &[f32]> {
        self.values.chunks_exact(self.columns.len())
    }

    /// Data row in the file of a row here, from 0, rows that were left out included.
    #[must_use]
    pub fn row_number(&self, row: usize) -> usize {
        self.row_numbers.as_ref().map_or(row, |numbers| numbers[row])
    }

    /// The features of the rows that are not labelled anomalous, row after row.
    #[must_use]
    pub fn normal_values(&self) -> Vec<f32> {
        let Some(labels) = &self.labels else { return self.values.clone() };
        let normal = self.iter_rows().zip(labels).filter(|(_, anomalous)| !**anomalous);
        normal.flat_map(|(row, _)| row.iter().copied()).collect()
    }

    /// The features of the rows labelled anomalous, row after row; `None` if there are none.
    #[must_use]
    pub fn anomalous_values(&self) -> Option<Vec<f32>> {
        let labels = self.labels.as_ref()?;
        let anomalous = self.iter_rows().zip(labels).filter(|(_, anomalous)| **anomalous);
        let values: Vec<f32> = anomalous.flat_map(|(row, _)| row.iter().copied()).collect();
        (!values.is_empty()).then_some(values)
    }

    /// The same rows with these columns behind all others, in the order given: context inputs.
    ///
    /// # Errors
    /// [`TableError::MissingColumns`] if one is no column here, or was left out of the features.
    pub fn with_context(self, names: &[String]) -> Result<Self, TableError> {
        let absent: Vec<String> = names.iter().filter(|name| !self.columns.contains(name)).cloned().collect();
        if !absent.is_empty() {
            return Err(TableError::MissingColumns {
                path: self.path,
                missing: absent,
                wanted_by: "--context",
                available: self.columns,
            });
        }
        let is_context = |column: &usize| names.contains(&self.columns[*column]);
        let (behind, mut order): (Vec<usize>, Vec<usize>) =
            (0..self.columns.len()).partition(|column| is_context(column));
        let of = |name: &String| behind.iter().copied().find(|&column| self.columns[column] == *name);
        order.extend(names.iter().filter_map(of));
        let values = self.iter_rows().flat_map(|row| order.iter().map(|&column| row[column])).collect();
        let columns = order.iter().map(|&column| self.columns[column].clone()).collect();
        Ok(Self { columns, values, ..self })
    }

    fn from_source(source: Source, options: &ReadOptions) -> Result<Self, TableError> {
        let mut notes = source.notes.clone();
        let label = options.label.as_ref().map(|name| find(&source, name, "--label")).transpose()?;
        let chosen = choose(&source, options, label, &mut notes)?;
        let path = || source.path.clone();
        if source.rows == 0 {
            return Err(TableError::NoRows { path: path() });
        }

        let of = Columns { names: Self::names(&source, &chosen, options), chosen, label };
        let table = Self::select(&source, &of, options)?;
        if table.rows == 0 {
            return Err(nothing_left(&source.path, table.skipped_rows, source.rows, options));
        }
        notes.extend(left_out(&source.path, table.skipped_rows, source.rows));
        Ok(Self { notes, ..table })
    }

    fn names(source: &Source, chosen: &[usize], options: &ReadOptions) -> Vec<String> {
        match &options.features {
            Some(names) => names.clone(),
            None => chosen.iter().map(|&column| source.names[column].clone()).collect(),
        }
    }

    /// The wanted rows and columns of a source, which may be a part of a file; `row_numbers` are those of the source.
    fn select(source: &Source, of: &Columns, options: &ReadOptions) -> Result<Self, TableError> {
        let wanted = options.rows.clone().unwrap_or(0..usize::MAX);
        let within = |row: usize| row.saturating_sub(source.first_row).min(source.rows);
        let range = within(wanted.start)..within(wanted.end).max(within(wanted.start));
        let good = good_rows(source, &of.chosen, of.label, options.skip_bad_rows, range.clone())?;
        let rows = good.as_ref().map_or(range.len(), Vec::len);
        let skipped_rows = range.len() - rows;
        let mut values = Vec::with_capacity(rows * of.chosen.len());
        let mut labels = of.label.map(|_| Vec::with_capacity(rows));
        for index in 0..rows {
            let row = good.as_ref().map_or(range.start + index, |good| good[index]);
            values.extend(of.chosen.iter().map(|&column| source.columns[column][row]));
            if let (Some(labels), Some(label)) = (&mut labels, of.label) {
                labels.push(source.columns[label][row] == 1.0);
            }
        }
        let row_numbers = match good {
            Some(good) if skipped_rows > 0 => Some(good),
            _ if range.start > 0 => Some(range.collect()),
            _ => None,
        };
        let path = source.path.clone();
        let columns = of.names.clone();
        Ok(Self { path, columns, rows, values, labels, skipped_rows, row_numbers, ..Self::default() })
    }

    fn same_columns(&self, source: &Source, options: &ReadOptions) -> Result<(), TableError> {
        let label = options.label.as_ref().map(|name| find(source, name, "--label")).transpose()?;
        let chosen = choose(source, options, label, &mut Vec::new())?;
        let theirs: HashSet<&str> = chosen.iter().map(|&c| source.names[c].as_str()).collect();
        let ours: HashSet<&str> = self.columns.iter().map(String::as_str).collect();
        let list = |of: &HashSet<&str>, without: &HashSet<&str>| {
            let mut names: Vec<String> = of.difference(without).map(|n| format!("'{n}'")).collect();
            names.sort();
            names.join(", ")
        };
        let (only_first, only_second) = (list(&ours, &theirs), list(&theirs, &ours));
        if only_first.is_empty() && only_second.is_empty() {
            return Ok(());
        }
        let difference = [(only_first, "only the first has"), (only_second, "only the second has")]
            .into_iter()
            .filter(|(names, _)| !names.is_empty())
            .map(|(names, who)| format!("{who} {names}"))
            .collect::<Vec<_>>()
            .join("; ");
        Err(TableError::ColumnsDiffer { first: self.path.clone(), second: source.path.clone(), difference })
    }

    /// Keeps these rows alone, counted among those that are there.
    ///
    /// # Errors
    /// [`TableError::NoSuchRows`] if there are none.
    pub fn keep_rows(mut self, range: Range<usize>) -> Result<Self, TableError> {
        let range = range.start.min(self.rows)..range.end.min(self.rows);
        if range.is_empty() {
            return Err(TableError::NoSuchRows { path: self.path, rows: self.rows, first: range.start });
        }
        let columns = self.columns.len();
        self.row_numbers = Some(range.clone().map(|row| self.row_number(row)).collect());
        self.values = self.values[range.start * columns..range.end * columns].to_vec();
        self.labels = self.labels.map(|labels| labels[range.clone()].to_vec());
        self.rows = range.len();
        Ok(self)
    }

    /// Adds the rows of another table with the same columns behind its own.
    pub fn append(&mut self, other: Self) {
        if self.row_numbers.is_some() || other.row_numbers.is_some() {
            let before = self.rows + self.skipped_rows;
            let mut numbers = self.row_numbers.take().unwrap_or_else(|| (0..self.rows).collect());
            numbers.extend((0..other.rows).map(|row| before + other.row_number(row)));
            self.row_numbers = Some(numbers);
        }
        self.rows += other.rows;
        self.skipped_rows += other.skipped_rows;
        self.values.extend(other.values);
        if let (Some(labels), Some(more)) = (&mut self.labels, other.labels) {
            labels.extend(more);
        }
        self.notes.extend(other.notes);
    }
}

fn open(path: &Path, skip_bad_rows: bool) -> Result<Source, TableError> {
    let extension = path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase());
    let source = match extension.as_deref() {
        Some("csv" | "tsv" | "txt") => csv::read(path, skip_bad_rows)?,
        Some("npy") => npy::read(path)?,
        Some("parquet") => parquet::read(path)?,
        // A missing file is the more likely slip than a strange name.
        _ => match std::fs::metadata(path) {
            Err(source) => return Err(TableError::Io { path: path.to_path_buf(), source }),
            Ok(_) => return Err(TableError::Extension { path: path.to_path_buf() }),
        },
    };
    check_names(&source)?;
    Ok(source)
}

fn check_names(source: &Source) -> Result<(), TableError> {
    let mut seen = HashSet::new();
    match source.names.iter().find(|name| !seen.insert(name.as_str())) {
        Some(name) => Err(TableError::DuplicateColumn { path: source.path.clone(), name: name.clone() }),
        None => Ok(()),
    }
}

/// Why a file that has rows gave none.
fn nothing_left(path: &Path, skipped: usize, rows: usize, options: &ReadOptions) -> TableError {
    let path = path.to_path_buf();
    match &options.rows {
        Some(range) if skipped == 0 => TableError::NoSuchRows { path, rows, first: range.start },
        _ => TableError::NoRowsLeft { path, skipped },
    }
}

fn left_out(path: &Path, skipped: usize, rows: usize) -> Option<String> {
    (skipped > 0).then(|| format!("{}: {skipped} of {rows} rows left out for bad cells", path.display()))
}

fn find(source: &Source, name: &str, wanted_by: &'static str) -> Result<usize, TableError> {
    source
        .names
        .iter()
        .position(|n| n == name)
        .ok_or_else(|| missing(source, vec![name.to_owned()], wanted_by))
}

fn missing(source: &Source, missing: Vec<String>, wanted_by: &'static str) -> TableError {
    TableError::MissingColumns {
        path: source.path.clone(),
        missing,
        wanted_by,
        available: source.names.clone(),
    }
}

/// The columns that are features, by index.
fn choose(
    source: &Source,
    options: &ReadOptions,
    label: Option<usize>,
    notes: &mut Vec<String>,
) -> Result<Vec<usize>, TableError> {
    let indices = |names: &[String], wanted_by| {
        let absent: Vec<String> = names.iter().filter(|n| !source.names.contains(n)).cloned().collect();
        if !absent.is_empty() {
            return Err(missing(source, absent, wanted_by));
        }
        Ok(names
            .iter()
            .filter_map(|name| source.names.iter().position(|n| n == name))
            .collect::<HashSet<_>>())
    };
    let picked = options.columns.as_deref().map(|names| indices(names, "--columns")).transpose()?;
    let ignored = indices(&options.ignore, "--ignore")?;
    let offered: Vec<usize> = (0..source.names.len())
        .filter(|column| picked.as_ref().is_none_or(|picked| picked.contains(column)))
        .filter(|column| !ignored.contains(column) && Some(*column) != label)
        .collect();

    if let Some(wanted) = &options.features {
        return match_image(source, &offered, wanted, notes);
    }
    let mut chosen = Vec::with_capacity(offered.len());
    for &column in &offered {
        // A column asked for by name is not left out silently: its first cell will be named as bad.
        if picked.is_some() || source.rows == 0 || source.is_numeric(column) {
            chosen.push(column);
        } else {
            notes.push(format!(
                "{}: column '{}' has no number in it and is left out",
                source.path.display(),
                source.names[column]
            ));
        }
    }
    if chosen.is_empty() {
        return Err(TableError::NoFeatures {
            path: source.path.clone(),
            available: source.names.clone(),
            decimal_comma: source.has_decimal_comma(),
        });
    }
    Ok(chosen)
}

/// Finds the features that an image names; files without names are matched by position.
fn match_image(
    source: &Source,
    offered: &[usize],
    wanted: &[String],
    notes: &mut Vec<String>,
) -> Result<Vec<usize>, TableError> {
    let by_name = |name: &String| offered.iter().copied().find(|&c| source.names[c] == *name);
    let absent: Vec<String> = wanted.iter().filter(|name| by_name(name).is_none()).cloned().collect();
    if absent.is_empty() {
        return Ok(wanted.iter().filter_map(by_name).collect());
    }
    // Names of the form c0, c1, ... were made up when a file without names was trained on.
    let unnamed = wanted.iter().enumerate().all(|(index, name)| *name == format!("c{index}"));
    if !source.positional && !unnamed {
        return Err(missing(source, absent, "the model needs it"));
    }
    let numeric: Vec<usize> =
        offered.iter().copied().filter(|&c| source.positional || source.is_numeric(c)).collect();
    if numeric.len() != wanted.len() {
        return Err(TableError::WrongCount {
            path: source.path.clone(),
            found: numeric.len(),
            expected: wanted.len(),
            names: wanted.to_vec(),
        });
    }
    notes.push(format!(
        "{}: columns matched with the model's by position, as there are no names to match",
        source.path.display()
    ));
    Ok(numeric)
}

/// The rows without a bad cell; `None` when that is all of them.
fn good_rows(
    source: &Source,
    chosen: &[usize],
    label: Option<usize>,
    skip_bad_rows: bool,
    range: Range<usize>,
) -> Result<Option<Vec<usize>>, TableError> {
    // The first bad cell in reading order: earliest row, then leftmost feature.
    let first_bad = |column: &usize| {
        let bad = source.columns[*column][range.clone()].iter().position(|v| !v.is_finite());
        bad.map(|row| (range.start + row, *column))
    };
    let mut inspected = chosen.to_vec();
    inspected.extend(label);
    let bad = inspected.iter().filter_map(first_bad).min();
    if let Some((row, column)) = bad.filter(|_| !skip_bad_rows) {
        let (path, place) = (source.path.clone(), source.place(row));
        let (column_name, problem) = (source.names[column].clone(), source.problem(row, column));
        return Err(if Some(column) == label {
            TableError::BadLabel { path, place, column: column_name, problem }
        } else {
            TableError::BadCell { path, place, column: column_name, problem }
        });
    }
    // A number that is no label is a wrong column, not a bad row.
    if let Some(column) = label {
        let labels = &source.columns[column][range.clone()];
        let other = labels.iter().position(|v| v.is_finite() && *v != 0.0 && *v != 1.0);
        if let Some(row) = other.map(|row| range.start + row) {
            return Err(TableError::BadLabel {
                path: source.path.clone(),
                place: source.place(row),
                column: source.names[column].clone(),
                problem: CellProblem::OtherLabel(source.shown(row, column)),
            });
        }
    }
    if bad.is_none() {
        return Ok(None);
    }
    let is_good = |row: &usize| inspected.iter().all(|&column| source.columns[column][*row].is_finite());
    Ok(Some(range.filter(is_good).collect()))
}
