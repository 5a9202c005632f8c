//! Text tables: a header row, then numbers; comma, semicolon or tab between them.

use super::error::{CellProblem, Place, TableError};
use super::source::{Origin, Source};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// How many lines the delimiter is judged by.
const SNIFFED_LINES: usize = 50;

/// Text of a table, kept so that a bad cell can be quoted and its line counted only when there is one.
#[derive(Debug)]
pub(super) struct Text {
    path: PathBuf,
    bytes: Vec<u8>,
    delimiter: u8,
    /// Where each data row starts in `bytes`.
    offsets: Vec<u64>,
    /// Where `bytes` lie in the file.
    offset: u64,
}

/// What the rows of a text table have in common.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    pub(super) path: PathBuf,
    pub(super) delimiter: u8,
    pub(super) names: Vec<String>,
}

/// Whole records of a text table.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) bytes: Vec<u8>,
    /// Where its records begin: in the first block behind the header.
    pub(super) start: usize,
    /// Where `bytes` lie in the file.
    pub(super) offset: u64,
}

/// Reads a text table with every column as numbers; what is no number becomes NaN.
pub(super) fn read(path: &Path, skip_bad_rows: bool) -> Result<Source, TableError> {
    let owned = || path.to_path_buf();
    let mut bytes = std::fs::read(path).map_err(|source| TableError::Io { path: owned(), source })?;
    check_text(path, &bytes, 0)?;
    let marked = drop_mark(&mut bytes);
    let (layout, start, notes) = layout(path, &bytes)?;
    let source = parse(&layout, Block { bytes, start, offset: marked }, skip_bad_rows)?;
    Ok(Source { notes, ..source })
}

/// Whether the bytes are UTF-8, and more than blanks.
pub(super) fn check_text(path: &Path, bytes: &[u8], offset: u64) -> Result<(), TableError> {
    if let Err(error) = std::str::from_utf8(bytes) {
        let line = lines_before(path, offset) + line_at(bytes, error.valid_up_to());
        return Err(TableError::NotUtf8 { path: path.to_path_buf(), line });
    }
    Ok(())
}

/// Takes a byte order mark off; gives its length.
pub(super) fn drop_mark(bytes: &mut Vec<u8>) -> u64 {
    const MARK: &[u8] = b"\xef\xbb\xbf";
    if !bytes.starts_with(MARK) {
        return 0;
    }
    bytes.drain(..MARK.len());
    MARK.len() as u64
}

/// Delimiter and names; where the records begin; what a user should know.
pub(super) fn layout(path: &Path, bytes: &[u8]) -> Result<(Layout, usize, Vec<String>), TableError> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(TableError::Empty { path: path.to_path_buf() });
    }
    let delimiter = sniff(bytes);
    let mut reader = builder(delimiter).from_reader(bytes);
    let mut record = csv::StringRecord::new();
    let failed = |e: csv::Error| TableError::Csv { path: path.to_path_buf(), message: e.to_string() };
    reader.read_record(&mut record).map_err(failed)?;
    let mut notes = Vec::new();
    let names = header(path, &record, &mut notes)?;
    let start = reader.position().byte() as usize;
    Ok((Layout { path: path.to_path_buf(), delimiter, names }, start, notes))
}

/// The numbers in whole records.
pub(super) fn parse(layout: &Layout, block: Block, skip_bad_rows: bool) -> Result<Source, TableError> {
    let Layout { path, delimiter, names } = layout;
    let Block { bytes, start: first, offset } = block;
    let failed = |e: csv::Error| TableError::Csv { path: path.clone(), message: e.to_string() };
    let mut reader = builder(*delimiter).from_reader(&bytes[first..]);
    let mut record = csv::StringRecord::new();
    let mut columns: Vec<Vec<f32>> = vec![Vec::new(); names.len()];
    let mut offsets = Vec::new();
    let mut end = first;
    while reader.read_record(&mut record).map_err(failed)? {
        let start = skip_line_ends(&bytes, end);
        // The reader passes over blank lines; in a table of one column a blank line is a missing cell.
        if names.len() == 1 {
            for blank in blank_lines(&bytes, end, start) {
                columns[0].push(f32::NAN);
                offsets.push(blank as u64);
            }
        }
        end = first + reader.position().byte() as usize;
        if record.len() != names.len() {
            if !skip_bad_rows {
                return Err(TableError::Ragged {
                    path: path.clone(),
                    line: lines_before(path, offset) + line_at(&bytes, start),
                    expected: names.len(),
                    found: record.len(),
                });
            }
            columns.iter_mut().for_each(|column| column.push(f32::NAN));
        } else {
            for (column, cell) in columns.iter_mut().zip(&record) {
                column.push(number(cell));
            }
        }
        offsets.push(start as u64);
    }
    let rows = offsets.len();
    let text = Text { path: path.clone(), bytes, delimiter: *delimiter, offsets, offset };
    Ok(Source {
        path: path.clone(),
        names: names.clone(),
        columns,
        rows,
        first_row: 0,
        positional: false,
        notes: Vec::new(),
        origin: Origin::Text(text),
    })
}

/// How many bytes are whole records; `None` if not even one is.
pub(super) fn whole_records(bytes: &[u8], start: usize, delimiter: u8) -> Option<usize> {
    let after = |end: u8| bytes[start..].iter().rposition(|&b| b == end).map(|at| start + at + 1);
    if !bytes[start..].contains(&b'"') {
        return after(b'\n').or_else(|| after(b'\r'));
    }
    // A line may end inside quotes: the last record is the one that may go on.
    let mut reader = builder(delimiter).from_reader(&bytes[start..]);
    let mut record = csv::ByteRecord::new();
    let (mut begins, mut end) = (start, start);
    while let Ok(true) = reader.read_byte_record(&mut record) {
        begins = skip_line_ends(bytes, end);
        end = start + reader.position().byte() as usize;
    }
    (begins > skip_line_ends(bytes, start)).then_some(begins)
}

/// Line ends in the part of a file before an offset: only counted when an error names a line.
fn lines_before(path: &Path, offset: u64) -> usize {
    let Ok(file) = File::open(path) else { return 0 };
    let mut reader = BufReader::with_capacity(1 << 20, file.take(offset));
    let (mut ends, mut after_return) = (0, false);
    while let Ok(bytes) = reader.fill_buf() {
        let length = bytes.len();
        if length == 0 {
            break;
        }
        for &byte in bytes {
            ends += usize::from(byte == b'\r' || (byte == b'\n' && !after_return));
            after_return = byte == b'\r';
        }
        reader.consume(length);
    }
    ends
}

impl Text {
    /// Line of a data row, from 1.
    pub(super) fn place(&self, row: usize) -> Place {
        Place::Line(lines_before(&self.path, self.offset) + line_at(&self.bytes, self.offsets[row] as usize))
    }

    /// What a cell says.
    pub(super) fn cell(&self, row: usize, column: usize) -> String {
        let start = self.offsets[row] as usize;
        if matches!(self.bytes[start], b'\r' | b'\n') {
            return String::new();
        }
        let mut reader = builder(self.delimiter).from_reader(&self.bytes[start..]);
        let mut record = csv::StringRecord::new();
        match reader.read_record(&mut record) {
            Ok(true) => record.get(column).unwrap_or("").trim().to_owned(),
            _ => String::new(),
        }
    }
}

/// Why this text is not a usable number.
pub(super) fn problem(text: &str) -> CellProblem {
    if text.is_empty() {
        return CellProblem::Missing;
    }
    match text.parse::<f64>() {
        Err(_) => CellProblem::NotANumber(text.to_owned()),
        Ok(value) if !value.is_finite() && !text.bytes().any(|b| b.is_ascii_digit()) => {
            CellProblem::NotFinite(text.to_owned())
        }
        // Also numbers beyond f64, such as 1e999, which parse as infinity.
        Ok(_) => CellProblem::TooLarge(text.to_owned()),
    }
}

fn builder(delimiter: u8) -> csv::ReaderBuilder {
    let mut builder = csv::ReaderBuilder::new();
    builder.delimiter(delimiter).has_headers(false).flexible(true);
    builder
}

/// The number in a cell, rounded once to f32; NaN or an infinity where there is no usable one.
fn number(cell: &str) -> f32 {
    cell.trim().parse::<f64>().map_or(f32::NAN, |value| value as f32)
}

fn header(
    path: &Path,
    record: &csv::StringRecord,
    notes: &mut Vec<String>,
) -> Result<Vec<String>, TableError> {
    let cells: Vec<&str> = record.iter().map(str::trim).collect();
    let numeric = |cell: &&str| cell.parse::<f64>().is_ok_and(f64::is_finite);
    if cells.iter().all(numeric) {
        // `0,1,2` are the names that data frames make up; 5.1 names nothing.
        if cells.iter().any(|cell| cell.parse::<i64>().is_err()) {
            return Err(TableError::NoHeader { path: path.to_path_buf(), first: cells[0].to_owned() });
        }
        notes.push(format!(
            "{}: all column names are numbers ({}, ...); if they are data, add a header row",
            path.display(),
            cells[0]
        ));
    }
    let mut names = Vec::with_capacity(cells.len());
    for (index, cell) in cells.iter().enumerate() {
        if cell.is_empty() {
            let name = format!("column{}", index + 1);
            notes.push(format!(
                "{}: column {} has no name and is called '{name}'; if it is a row index, drop it with --ignore {name}",
                path.display(),
                index + 1
            ));
            names.push(name);
        } else {
            names.push((*cell).to_owned());
        }
    }
    Ok(names)
}

/// The delimiter that cuts the first lines into equally many fields, and of those the most.
fn sniff(bytes: &[u8]) -> u8 {
    let mut best = (b',', 0_usize, 0_usize);
    for delimiter in [b',', b';', b'\t'] {
        let mut reader = builder(delimiter).from_reader(bytes);
        let mut record = csv::ByteRecord::new();
        let mut fields = 0;
        let mut agreeing = 0;
        for line in 0..SNIFFED_LINES {
            match reader.read_byte_record(&mut record) {
                Ok(true) if line == 0 => fields = record.len(),
                Ok(true) => agreeing += usize::from(record.len() == fields),
                _ => break,
            }
        }
        if fields > 1 && (agreeing, fields) > (best.1, best.2) {
            best = (delimiter, agreeing, fields);
        }
    }
    best.0
}

/// Number of the line that holds a byte, from 1; lines end in LF, CRLF or CR.
fn line_at(bytes: &[u8], offset: usize) -> usize {
    1 + line_ends(&bytes[..offset.min(bytes.len())])
}

fn line_ends(bytes: &[u8]) -> usize {
    let mut ends = 0;
    for (index, &byte) in bytes.iter().enumerate() {
        ends += usize::from(byte == b'\n' || (byte == b'\r' && bytes.get(index + 1) != Some(&b'\n')));
    }
    ends
}

/// The first byte from `from` on that ends no line: where the reader, which passes over blank lines, finds a record.
fn skip_line_ends(bytes: &[u8], from: usize) -> usize {
    from + bytes[from..].iter().take_while(|b| matches!(b, b'\r' | b'\n')).count()
}

/// Where blank lines start between the end of one record and the start of the next.
fn blank_lines(bytes: &[u8], end: usize, start: usize) -> Vec<usize> {
    // Of a CRLF the reader takes the CR with the record and leaves the LF.
    let cut = end > 0 && bytes[end - 1] == b'\r' && bytes.get(end) == Some(&b'\n');
    let mut at = end + usize::from(cut);
    let mut blanks = Vec::new();
    while at < start {
        blanks.push(at);
        at += if bytes[at..].starts_with(b"\r\n") { 2 } else { 1 };
    }
    blanks
}
