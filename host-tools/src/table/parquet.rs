//! Parquet files, column by column; only flat columns of numbers and booleans are used.

use super::error::TableError;
use super::half;
use super::source::{Origin, Source};
use parquet::basic::{ConvertedType, LogicalType};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{AsBytes, DataType};
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::schema::types::ColumnDescriptor;
use std::fs::File;
use std::path::{Path, PathBuf};

/// How a column's stored values are numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Meaning {
    /// As they stand.
    Plain,
    /// The bits of an unsigned integer.
    Unsigned,
    /// To be divided by a power of ten.
    Decimal(i32),
    /// Two bytes.
    Half,
    /// Text, dates, times, nested data: not numbers.
    None,
}

/// Reads a Parquet file; a missing cell and a column of anything but numbers become NaN.
pub(super) fn read(path: &Path) -> Result<Source, TableError> {
    let mut rows = Rows::open(path)?;
    let all = rows.total;
    rows.next(all)
}

/// A Parquet file that is read some rows at a time: a page of each column is in memory, and no more.
pub(super) struct Rows {
    path: PathBuf,
    reader: SerializedFileReader<File>,
    /// The next group of rows, the readers of the current one, and what is left of it.
    group: usize,
    columns: Vec<Option<ColumnReader>>,
    left: usize,
    /// Rows in all.
    pub(super) total: usize,
    /// The next row.
    pub(super) row: usize,
}

impl Rows {
    pub(super) fn open(path: &Path) -> Result<Self, TableError> {
        let file = File::open(path).map_err(|source| TableError::Io { path: path.to_path_buf(), source })?;
        if file.metadata().is_ok_and(|m| m.len() == 0) {
            return Err(TableError::Empty { path: path.to_path_buf() });
        }
        let failed =
            |e: ParquetError| TableError::Parquet { path: path.to_path_buf(), problem: e.to_string() };
        let reader = SerializedFileReader::new(file).map_err(failed)?;
        let counts = reader.metadata().row_groups().iter().map(|group| usize::try_from(group.num_rows()));
        let total = counts.sum::<Result<usize, _>>().map_err(|_| {
            failed(ParquetError::General("a row group has a negative number of rows".to_owned()))
        })?;
        let path = path.to_path_buf();
        Ok(Self { path, reader, group: 0, columns: Vec::new(), left: 0, total, row: 0 })
    }

    /// The next rows, as many as there are up to `most`.
    pub(super) fn next(&mut self, most: usize) -> Result<Source, TableError> {
        let first_row = self.row;
        let (names, columns) = self
            .read_columns(most)
            .map_err(|e| TableError::Parquet { path: self.path.clone(), problem: e.to_string() })?;
        Ok(Source {
            path: self.path.clone(),
            names,
            columns,
            rows: self.row - first_row,
            first_row,
            positional: false,
            notes: Vec::new(),
            origin: Origin::Parquet,
        })
    }

    fn read_columns(&mut self, most: usize) -> Result<(Vec<String>, Vec<Vec<f32>>), ParquetError> {
        let schema = self.reader.metadata().file_metadata().schema_descr_ptr();
        let names: Vec<String> = schema.columns().iter().map(|c| c.path().string()).collect();
        let mut columns: Vec<Vec<f32>> = vec![Vec::new(); names.len()];
        let mut rows = 0;
        while rows < most {
            if self.left == 0 {
                if self.group == self.reader.num_row_groups() {
                    break;
                }
                self.next_group()?;
                continue;
            }
            let count = self.left.min(most - rows);
            for (index, column) in columns.iter_mut().enumerate() {
                if let Some(reader) = &mut self.columns[index] {
                    append(reader, &schema.column(index), count, column)?;
                }
                column.resize(rows + count, f32::NAN);
            }
            rows += count;
            self.left -= count;
        }
        self.row += rows;
        Ok((names, columns))
    }

    fn next_group(&mut self) -> Result<(), ParquetError> {
        let schema = self.reader.metadata().file_metadata().schema_descr_ptr();
        let group = self.reader.get_row_group(self.group)?;
        self.left = usize::try_from(group.metadata().num_rows()).unwrap_or(0);
        self.columns = (0..schema.num_columns())
            .map(|index| {
                let is_number = meaning(&schema.column(index)) != Meaning::None;
                is_number.then(|| group.get_column_reader(index)).transpose()
            })
            .collect::<Result<_, _>>()?;
        self.group += 1;
        Ok(())
    }
}

fn append(
    reader: &mut ColumnReader,
    descriptor: &ColumnDescriptor,
    count: usize,
    out: &mut Vec<f32>,
) -> Result<(), ParquetError> {
    let meaning = meaning(descriptor);
    let levels = descriptor.max_def_level();
    let scaled = move |value: f64| match meaning {
        Meaning::Decimal(scale) => value / 10_f64.powi(scale),
        _ => value,
    };
    match reader {
        ColumnReader::BoolColumnReader(r) => fill(r, levels, count, out, |v| f64::from(u8::from(*v))),
        ColumnReader::Int32ColumnReader(r) if meaning == Meaning::Unsigned => {
            fill(r, levels, count, out, |v| f64::from(*v as u32))
        }
        ColumnReader::Int64ColumnReader(r) if meaning == Meaning::Unsigned => {
            fill(r, levels, count, out, |v| *v as u64 as f64)
        }
        ColumnReader::Int32ColumnReader(r) => fill(r, levels, count, out, |v| scaled(f64::from(*v))),
        ColumnReader::Int64ColumnReader(r) => fill(r, levels, count, out, |v| scaled(*v as f64)),
        ColumnReader::FloatColumnReader(r) => fill(r, levels, count, out, |v| f64::from(*v)),
        ColumnReader::DoubleColumnReader(r) => fill(r, levels, count, out, |v| *v),
        ColumnReader::FixedLenByteArrayColumnReader(r) if meaning == Meaning::Half => {
            fill(r, levels, count, out, |v| match *v.as_bytes() {
                [low, high] => f64::from(half::to_f32(u16::from_le_bytes([low, high]))),
                _ => f64::NAN,
            })
        }
        ColumnReader::FixedLenByteArrayColumnReader(r) => {
            fill(r, levels, count, out, |v| scaled(twos_complement(v.as_bytes())))
        }
        ColumnReader::ByteArrayColumnReader(r) => {
            fill(r, levels, count, out, |v| scaled(twos_complement(v.as_bytes())))
        }
        ColumnReader::Int96ColumnReader(_) => Ok(()),
    }
}

fn fill<T: DataType>(
    reader: &mut ColumnReaderImpl<T>,
    levels: i16,
    count: usize,
    out: &mut Vec<f32>,
    number: impl Fn(&T::T) -> f64,
) -> Result<(), ParquetError> {
    let mut values = Vec::new();
    let mut definitions = Vec::new();
    let mut read = 0;
    while read < count {
        let (records, _, _) = reader.read_records(count - read, Some(&mut definitions), None, &mut values)?;
        if records == 0 {
            return Err(ParquetError::General(format!("a column ends after {read} of {count} rows")));
        }
        read += records;
    }
    let mut values = values.iter().map(|v| number(v) as f32);
    if levels == 0 {
        out.extend(values);
    } else {
        out.extend(definitions.iter().map(|&d| {
            if d == levels {
                values.next().unwrap_or(f32::NAN)
            } else {
                f32::NAN
            }
        }));
    }
    Ok(())
}

fn meaning(column: &ColumnDescriptor) -> Meaning {
    use parquet::basic::Type;
    if column.max_rep_level() > 0 {
        return Meaning::None;
    }
    match column.logical_type_ref() {
        Some(LogicalType::Integer(of)) => {
            return if of.is_signed { Meaning::Plain } else { Meaning::Unsigned }
        }
        Some(LogicalType::Decimal(of)) => return Meaning::Decimal(of.scale),
        Some(LogicalType::Float16) => return Meaning::Half,
        Some(_) => return Meaning::None,
        None => {}
    }
    match column.converted_type() {
        ConvertedType::UINT_8 | ConvertedType::UINT_16 | ConvertedType::UINT_32 | ConvertedType::UINT_64 => {
            Meaning::Unsigned
        }
        ConvertedType::DECIMAL => Meaning::Decimal(column.type_scale()),
        ConvertedType::NONE
        | ConvertedType::INT_8
        | ConvertedType::INT_16
        | ConvertedType::INT_32
        | ConvertedType::INT_64 => match column.physical_type() {
            Type::INT96 | Type::BYTE_ARRAY | Type::FIXED_LEN_BYTE_ARRAY => Meaning::None,
            _ => Meaning::Plain,
        },
        _ => Meaning::None,
    }
}

/// A big-endian integer of any length, as decimals are stored.
fn twos_complement(bytes: &[u8]) -> f64 {
    let Some(&first) = bytes.first() else { return f64::NAN };
    let magnitude = bytes.iter().fold(0.0, |sum, &b| sum * 256.0 + f64::from(b));
    if first < 0x80 {
        magnitude
    } else {
        magnitude - 256_f64.powi(bytes.len() as i32)
    }
}
