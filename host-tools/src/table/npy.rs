//! NumPy arrays: two-dimensional (rows x columns) or one-dimensional (one column), of any real type.

use super::error::TableError;
use super::half;
use super::source::{Origin, Source};
use npyz::{DType, Endianness, NpyHeader, Order, TypeChar};
use std::path::Path;

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
    let failed = |problem: String| TableError::Npy { path: path.to_path_buf(), problem };
    let file = std::fs::read(path).map_err(|source| TableError::Io { path: path.to_path_buf(), source })?;
    if file.is_empty() {
        return Err(TableError::Empty { path: path.to_path_buf() });
    }
    let mut rest = &file[..];
    let header = NpyHeader::from_reader(&mut rest)
        .map_err(|e| failed(format!("not readable as .npy ({e}); write it with numpy.save")))?;
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
    if needed != Some(rest.len() as u64) {
        return Err(failed(format!(
            "the file is cut short or damaged: shape {rows} x {columns} does not fit {} data bytes",
            rest.len()
        )));
    }
    let (rows, columns) = (rows as usize, columns as usize);
    let bytes = rest.to_vec();
    let array = Array { bytes, element, rows, columns, fortran: header.order() == Order::Fortran };
    Ok(Source {
        path: path.to_path_buf(),
        names: (0..columns).map(|c| format!("c{c}")).collect(),
        columns: (0..columns).map(|c| (0..rows).map(|r| array.value(r, c) as f32).collect()).collect(),
        rows,
        positional: true,
        notes: Vec::new(),
        origin: Origin::Npy(array),
    })
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
