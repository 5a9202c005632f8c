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
use std::path::Path;

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
    let file = File::open(path).map_err(|source| TableError::Io { path: path.to_path_buf(), source })?;
    if file.metadata().is_ok_and(|m| m.len() == 0) {
        return Err(TableError::Empty { path: path.to_path_buf() });
    }
    read_columns(path, file)
        .map_err(|e| TableError::Parquet { path: path.to_path_buf(), problem: e.to_string() })
}

fn read_columns(path: &Path, file: File) -> Result<Source, ParquetError> {
    let reader = SerializedFileReader::new(file)?;
    let schema = reader.metadata().file_metadata().schema_descr_ptr();
    let names: Vec<String> = schema.columns().iter().map(|c| c.path().string()).collect();
    let mut columns: Vec<Vec<f32>> = vec![Vec::new(); names.len()];
    let mut rows = 0;
    for group in 0..reader.num_row_groups() {
        let group = reader.get_row_group(group)?;
        let count = usize::try_from(group.metadata().num_rows())
            .map_err(|_| ParquetError::General("a row group has a negative number of rows".to_owned()))?;
        rows += count;
        for (index, column) in columns.iter_mut().enumerate() {
            let descriptor = schema.column(index);
            if meaning(&descriptor) != Meaning::None {
                append(group.get_column_reader(index)?, &descriptor, count, column)?;
            }
            column.resize(rows, f32::NAN);
        }
    }
    Ok(Source {
        path: path.to_path_buf(),
        names,
        columns,
        rows,
        positional: false,
        notes: Vec::new(),
        origin: Origin::Parquet,
    })
}

fn append(
    reader: ColumnReader,
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
    mut reader: ColumnReaderImpl<T>,
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
