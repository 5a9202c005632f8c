//! NumPy arrays: two-dimensional (rows x columns) or one-dimensional (one column), of any real type.

use super::error::TableError;
use super::half;
use super::source::{Origin, Source};
use npyz::{DType, Endianness, NpyHeader, Order, TypeChar};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// The array as stored.
#[derive(Debug)]
pub(super) struct Array {
    bytes: Vec<u8>,
    element: Element,
    rows: usize,
    columns: usize,
    fortran: bool,
}

#[derive(Clone, Copy, Debug)]
struct Element {
    kind: Kind,
    size: usize,
    big_endian: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Bool,
    Int,
    Uint,
    Float,
}

/// Reads an array; its columns are named `c0`, `c1`, ...
pub(super) fn read(path: &Path) -> Result<Source, TableError> {
    let mut rows = Rows::open(path)?;
    let all = rows.shape.0;
    rows.next(all)
}

/// An array that is read some rows at a time.
#[derive(Debug)]
pub(super) struct Rows {
    path: PathBuf,
    file: File,
    /// Where its elements begin.
    start: u64,
    element: Element,
    /// Rows and columns.
    pub(super) shape: (usize, usize),
    fortran: bool,
    /// The next row.
    pub(super) row: usize,
}

impl Rows {
    pub(super) fn open(path: &Path) -> Result<Self, TableError> {
        let failed = |problem: String| TableError::Npy { path: path.to_path_buf(), problem };
        let io = |source| TableError::Io { path: path.to_path_buf(), source };
        let mut file = File::open(path).map_err(io)?;
        let length = file.metadata().map_err(io)?.len();
        if length == 0 {
            return Err(TableError::Empty { path: path.to_path_buf() });
        }
        let header = NpyHeader::from_reader(&mut file)
            .map_err(|e| failed(format!("not readable as .npy ({e}); write it with numpy.save")))?;
        let start = file.stream_position().map_err(io)?;
        let element = element(&header.dtype()).ok_or_else(|| {
            failed(format!(
                "elements of type {} are not real numbers; convert with .astype('float32')",
                header.dtype().descr()
            ))
        })?;
        let (rows, columns) = match *header.shape() {
            [rows] => (rows, 1),
            [rows, columns] => (rows, columns),
            ref other => {
                return Err(failed(format!(
                "the array has shape {other:?}; a table is two-dimensional (rows x columns), so reshape it"
            )))
            }
        };
        let needed = rows.checked_mul(columns).and_then(|n| n.checked_mul(element.size as u64));
        let found = length.saturating_sub(start);
        if needed != Some(found) {
            return Err(failed(format!(
                "the file is cut short or damaged: shape {rows} x {columns} does not fit {found} data bytes"
            )));
        }
        let fortran = header.order() == Order::Fortran;
        let shape = (rows as usize, columns as usize);
        Ok(Self { path: path.to_path_buf(), file, start, element, shape, fortran, row: 0 })
    }

    /// The next rows, as many as there are up to `most`.
    pub(super) fn next(&mut self, most: usize) -> Result<Source, TableError> {
        let (all, columns) = self.shape;
        let (first_row, rows) = (self.row, most.min(all - self.row));
        let bytes =
            self.read_rows(rows).map_err(|source| TableError::Io { path: self.path.clone(), source })?;
        self.row += rows;
        let array = Array { bytes, element: self.element, rows, columns, fortran: self.fortran };
        Ok(Source {
            path: self.path.clone(),
            names: (0..columns).map(|c| format!("c{c}")).collect(),
            columns: (0..columns).map(|c| (0..rows).map(|r| array.value(r, c) as f32).collect()).collect(),
            rows,
            first_row,
            positional: true,
            notes: Vec::new(),
            origin: Origin::Npy(array),
        })
    }

    fn read_rows(&mut self, rows: usize) -> std::io::Result<Vec<u8>> {
        let (all, columns) = self.shape;
        let size = self.element.size;
        let mut bytes = vec![0; rows * columns * size];
        // Stored row after row they are one piece, column after column one of each.
        let pieces = if self.fortran { columns } else { 1 };
        let length = bytes.len() / pieces.max(1);
        if length == 0 {
            return Ok(bytes);
        }
        for (column, piece) in bytes.chunks_exact_mut(length).enumerate() {
            let element = if self.fortran { column * all + self.row } else { self.row * columns };
            self.file.seek(SeekFrom::Start(self.start + (element * size) as u64))?;
            self.file.read_exact(piece)?;
        }
        Ok(bytes)
    }
}

impl Array {
    /// One element.
    pub(super) fn value(&self, row: usize, column: usize) -> f64 {
        let index = if self.fortran { column * self.rows + row } else { row * self.columns + column };
        let Element { kind, size, big_endian } = self.element;
        let mut le = [0_u8; 8];
        le[..size].copy_from_slice(&self.bytes[index * size..(index + 1) * size]);
        if big_endian {
            le[..size].reverse();
        }
        let unsigned = u64::from_le_bytes(le);
        match (kind, size) {
            (Kind::Float, 2) => f64::from(half::to_f32(unsigned as u16)),
            (Kind::Float, 4) => f64::from(f32::from_bits(unsigned as u32)),
            (Kind::Float, _) => f64::from_bits(unsigned),
            (Kind::Bool, _) => f64::from(u8::from(unsigned != 0)),
            (Kind::Uint, _) => unsigned as f64,
            (Kind::Int, _) => {
                let unused = 64 - 8 * size as u32;
                ((unsigned << unused) as i64 >> unused) as f64
            }
        }
    }
}

fn element(dtype: &DType) -> Option<Element> {
    let DType::Plain(of) = dtype else { return None };
    let size = of.num_bytes()?;
    let kind = match (of.type_char(), size) {
        (TypeChar::Bool, 1) => Kind::Bool,
        (TypeChar::Int, 1 | 2 | 4 | 8) => Kind::Int,
        (TypeChar::Uint, 1 | 2 | 4 | 8) => Kind::Uint,
        (TypeChar::Float, 2 | 4 | 8) => Kind::Float,
        _ => return None,
    };
    Some(Element { kind, size, big_endian: of.endianness() == Endianness::Big })
}
