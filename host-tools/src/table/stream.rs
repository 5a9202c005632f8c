//! Tables of any length, some rows at a time: memory does not grow with the file.

use super::source::Source;
use super::{
    check_names, choose, csv, find, left_out, nothing_left, npy, parquet, Columns, ReadOptions, Table,
    TableError,
};
use rayon::prelude::*;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Bytes of text in a chunk.
const BLOCK_BYTES: usize = 1 << 20;
/// Rows in a chunk of other formats.
const CHUNK_ROWS: usize = 1 << 14;

/// Rows that lie together in a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Chunk {
    /// The rows; their numbers count from `first_row`.
    pub table: Table,
    /// Data row in the file of the chunk's first one, from 0.
    pub first_row: usize,
}

impl Chunk {
    /// Data row in the file of a row here, from 0.
    #[must_use]
    pub fn row_number(&self, row: usize) -> usize {
        self.first_row + self.table.row_number(row)
    }
}

/// A file read chunk by chunk, with the same columns, rows and complaints as [`Table::read`].
///
/// Differences: an image's columns that have to be found by position in a text file are found by its first megabyte, and
/// an error further down shows when its chunk is read.
///
/// ```
/// use flowlet_tools::table::{Chunks, ReadOptions};
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("pump.csv");
/// std::fs::write(&path, "pressure,flow\n2.5,7\n2.75,8\n")?;
/// let mut chunks = Chunks::open(&path, &ReadOptions::default())?;
/// let batch = chunks.next_batch(4)?;
/// assert_eq!(batch[0].table.values, [2.5, 7.0, 2.75, 8.0]);
/// assert!(chunks.next_batch(4)?.is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Chunks {
    path: PathBuf,
    input: Input,
    options: ReadOptions,
    of: Columns,
    /// What was read to find the columns.
    first: Option<Source>,
    notes: Vec<String>,
    /// Rows read, those left out included.
    rows: usize,
    kept: usize,
    skipped: usize,
    ended: bool,
}

enum Input {
    Text(Blocks),
    Npy(npy::Rows),
    Parquet(parquet::Rows),
}

impl Chunks {
    /// Opens a file and finds its columns.
    ///
    /// # Errors
    /// As [`Table::read`].
    pub fn open(path: &Path, options: &ReadOptions) -> Result<Self, TableError> {
        let extension = path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase());
        let (mut input, mut notes) = match extension.as_deref() {
            Some("npy") => (Input::Npy(npy::Rows::open(path)?), Vec::new()),
            Some("parquet") => (Input::Parquet(parquet::Rows::open(path)?), Vec::new()),
            Some("csv" | "tsv" | "txt") => {
                let (blocks, notes) = Blocks::open(path, BLOCK_BYTES)?;
                (Input::Text(blocks), notes)
            }
            // A missing file is the more likely slip than a strange name.
            _ => match std::fs::metadata(path) {
                Err(source) => return Err(TableError::Io { path: path.to_path_buf(), source }),
                Ok(_) => return Err(TableError::Extension { path: path.to_path_buf() }),
            },
        };
        let no_rows = || TableError::NoRows { path: path.to_path_buf() };
        let mut first = input.next(1, options.skip_bad_rows)?.pop().ok_or_else(no_rows)?;
        // A part of nothing but blank lines is not yet the end.
        while first.rows == 0 {
            match input.next(1, options.skip_bad_rows)?.pop() {
                Some(next) => first = next,
                None => break,
            }
        }
        check_names(&first)?;
        let label = options.label.as_ref().map(|name| find(&first, name, "--label")).transpose()?;
        let chosen = choose(&first, options, label, &mut notes)?;
        if first.rows == 0 {
            return Err(no_rows());
        }
        let of = Columns { names: Table::names(&first, &chosen, options), chosen, label };
        let (path, options) = (path.to_path_buf(), options.clone());
        let first = Some(first);
        Ok(Self { path, input, options, of, first, notes, rows: 0, kept: 0, skipped: 0, ended: false })
    }

    /// The next chunks, as many as there are up to `most`, in order; none at the end. Text is parsed in parallel.
    ///
    /// # Errors
    /// As [`Table::read`], at the chunk where it shows.
    pub fn next_batch(&mut self, most: usize) -> Result<Vec<Chunk>, TableError> {
        let mut batch = Vec::new();
        while batch.is_empty() && !self.ended {
            let mut sources: Vec<Source> = self.first.take().into_iter().collect();
            sources.extend(self.input.next(most.saturating_sub(sources.len()), self.options.skip_bad_rows)?);
            self.ended = sources.is_empty();
            for source in &mut sources {
                source.first_row = self.rows;
                self.rows += source.rows;
            }
            let (of, options) = (&self.of, &self.options);
            let tables: Vec<Result<Table, TableError>> =
                sources.par_iter().map(|source| Table::select(source, of, options)).collect();
            for (source, table) in sources.iter().zip(tables) {
                let table = table?;
                self.kept += table.rows;
                self.skipped += table.skipped_rows;
                if table.rows > 0 {
                    batch.push(Chunk { table, first_row: source.first_row });
                }
            }
            // What lies behind the wanted rows need not be read.
            self.ended |= self.options.rows.as_ref().is_some_and(|wanted| self.rows >= wanted.end);
        }
        if batch.is_empty() && self.kept == 0 {
            return Err(nothing_left(&self.path, self.skipped, self.rows, &self.options));
        }
        Ok(batch)
    }

    /// What a user should know, as far as the file was read; one sentence each.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        self.notes.iter().cloned().chain(left_out(&self.path, self.skipped, self.rows)).collect()
    }

    /// The part of the file by which the columns were found, until it is taken.
    pub(super) fn first_part(&self) -> Option<&Source> {
        self.first.as_ref()
    }

    /// Data rows read so far, those left out included.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Rows left out for a bad cell so far.
    #[must_use]
    pub fn skipped_rows(&self) -> usize {
        self.skipped
    }

    /// How much there is to read in all, and of what: rows, or bytes of text.
    #[must_use]
    pub fn total(&self) -> (u64, &'static str) {
        match &self.input {
            Input::Text(blocks) => (blocks.size, "bytes"),
            Input::Npy(rows) => (rows.shape.0 as u64, "rows"),
            Input::Parquet(rows) => (rows.total as u64, "rows"),
        }
    }

    /// How much of it was read.
    #[must_use]
    pub fn done(&self) -> u64 {
        match &self.input {
            Input::Text(blocks) => blocks.offset,
            Input::Npy(_) | Input::Parquet(_) => self.rows as u64,
        }
    }
}

impl Input {
    /// The next parts of the file, in order.
    fn next(&mut self, most: usize, skip_bad_rows: bool) -> Result<Vec<Source>, TableError> {
        match self {
            Self::Text(blocks) => {
                let mut read = Vec::new();
                while read.len() < most {
                    match blocks.next()? {
                        Some(block) => read.push(block),
                        None => break,
                    }
                }
                let layout = &blocks.layout;
                let parsed: Vec<Result<Source, TableError>> =
                    read.into_par_iter().map(|block| csv::parse(layout, block, skip_bad_rows)).collect();
                parsed.into_iter().collect()
            }
            Self::Npy(rows) => several(most, || {
                let source = rows.next(CHUNK_ROWS)?;
                Ok((source.rows > 0).then_some(source))
            }),
            Self::Parquet(rows) => several(most, || {
                let source = rows.next(CHUNK_ROWS)?;
                Ok((source.rows > 0).then_some(source))
            }),
        }
    }
}

fn several(
    most: usize,
    mut next: impl FnMut() -> Result<Option<Source>, TableError>,
) -> Result<Vec<Source>, TableError> {
    let mut sources = Vec::new();
    while sources.len() < most {
        match next()? {
            Some(source) => sources.push(source),
            None => break,
        }
    }
    Ok(sources)
}

/// A text table, cut between records.
struct Blocks {
    file: File,
    layout: csv::Layout,
    /// Bytes that begin the next block, and where its records begin in them.
    carried: Vec<u8>,
    start: usize,
    /// Where `carried` lies in the file.
    offset: u64,
    size: u64,
    ended: bool,
    block_bytes: usize,
}

impl Blocks {
    fn open(path: &Path, block_bytes: usize) -> Result<(Self, Vec<String>), TableError> {
        let io = |source| TableError::Io { path: path.to_path_buf(), source };
        let mut file = File::open(path).map_err(io)?;
        let size = file.metadata().map_err(io)?.len();
        let mut carried = Vec::new();
        let mut ended = false;
        // The header may be longer than a block.
        while !ended && !carried.contains(&b'\n') {
            ended = fill(&mut file, &mut carried, block_bytes).map_err(io)?;
        }
        check_start(path, &carried, ended)?;
        let offset = csv::drop_mark(&mut carried);
        let (layout, start, notes) = csv::layout(path, &carried)?;
        Ok((Self { file, layout, carried, start, offset, size, ended, block_bytes }, notes))
    }

    /// The next whole records; none at the end.
    fn next(&mut self) -> Result<Option<csv::Block>, TableError> {
        let path = &self.layout.path;
        let io = |source| TableError::Io { path: path.to_path_buf(), source };
        let mut wanted = self.block_bytes;
        let cut = loop {
            if !self.ended && self.carried.len() < wanted {
                let more = wanted - self.carried.len();
                self.ended = fill(&mut self.file, &mut self.carried, more).map_err(io)?;
            }
            if self.ended {
                break self.carried.len();
            }
            match csv::whole_records(&self.carried, self.start, self.layout.delimiter) {
                Some(cut) if cut > self.start => break cut,
                // A record longer than a block.
                _ => wanted *= 2,
            }
        };
        if cut <= self.start && self.offset > 0 || cut == 0 {
            return Ok(None);
        }
        let rest = self.carried.split_off(cut);
        let bytes = std::mem::replace(&mut self.carried, rest);
        csv::check_text(path, &bytes, self.offset)?;
        let block = csv::Block { bytes, start: self.start, offset: self.offset };
        self.offset += cut as u64;
        self.start = 0;
        Ok(Some(block))
    }
}

/// Reads up to so many bytes; whether the file has ended.
fn fill(file: &mut File, bytes: &mut Vec<u8>, most: usize) -> std::io::Result<bool> {
    let before = bytes.len();
    file.take(most as u64).read_to_end(bytes)?;
    Ok(bytes.len() - before < most)
}

/// The header must be text; a character may be cut at the end of what was read.
fn check_start(path: &Path, bytes: &[u8], ended: bool) -> Result<(), TableError> {
    match std::str::from_utf8(bytes) {
        Err(error) if !ended && error.error_len().is_none() => Ok(()),
        _ => csv::check_text(path, bytes, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Quoted line ends, blank lines, CRLF, a missing end of the last line, no matter where blocks are cut.
    #[test]
    fn cut_anywhere_the_rows_are_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.csv");
        for end in ["\n", "\r\n", "\r"] {
            let mut text = format!("\u{feff}a;note;b{end}");
            for row in 0..60 {
                let note = match row % 4 {
                    0 => format!("\"two{end}lines; and \"\"quotes\"\"\""),
                    1 => "5\" pipe".to_owned(),
                    2 => String::new(),
                    _ => "gr\u{fc}n".to_owned(),
                };
                text.push_str(&format!("{row};{note};{}{end}", row * 3));
                if row % 7 == 0 {
                    text.push_str(end);
                }
            }
            text.truncate(text.trim_end().len());
            std::fs::write(&path, &text).unwrap();
            let options = ReadOptions::default();
            let whole = Table::read(&path, &options).unwrap();
            assert_eq!(whole.rows, 60);
            for block in [1, 7, 30, 64, 200, 5000] {
                let (blocks, _) = Blocks::open(&path, block).unwrap();
                let mut chunks =
                    Chunks { input: Input::Text(blocks), ..Chunks::open(&path, &options).unwrap() };
                chunks.first = None;
                let mut values = Vec::new();
                let mut numbers = Vec::new();
                loop {
                    let batch = chunks.next_batch(3).unwrap();
                    if batch.is_empty() {
                        break;
                    }
                    for chunk in &batch {
                        numbers.extend((0..chunk.table.rows).map(|row| chunk.row_number(row)));
                        values.extend_from_slice(&chunk.table.values);
                    }
                }
                assert_eq!(values, whole.values, "{end:?} {block}");
                assert_eq!(numbers, (0..60).collect::<Vec<_>>());
            }
        }
    }
}
