//! The rules of input tables, one by one.

use super::kinds::Kind;
use super::{CellProblem, Place, ReadOptions, Table, TableError};
use std::path::PathBuf;
use tempfile::TempDir;

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"))
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, content).expect("a file in it");
        path
    }
}

fn read(content: impl AsRef<[u8]>) -> Result<Table, TableError> {
    read_with(content, &ReadOptions::default())
}

fn read_with(content: impl AsRef<[u8]>, options: &ReadOptions) -> Result<Table, TableError> {
    Table::read(&Folder::new().write("t.csv", content), options)
}

fn message(result: Result<Table, TableError>) -> String {
    result.expect_err("this table is bad").to_string()
}

fn labelled(name: &str) -> ReadOptions {
    ReadOptions { label: Some(name.to_owned()), ..ReadOptions::default() }
}

fn skipping() -> ReadOptions {
    ReadOptions { skip_bad_rows: true, ..ReadOptions::default() }
}

fn names(list: &[&str]) -> Vec<String> {
    list.iter().map(|s| (*s).to_owned()).collect()
}

#[test]
fn every_delimiter_line_end_quote_and_bom_reads_the_same() {
    let plain = read("a,b\n1,2\n3,4.5\n").unwrap();
    assert_eq!(plain.columns, ["a", "b"]);
    assert_eq!(plain.values, [1.0, 2.0, 3.0, 4.5]);
    for same in [
        "a;b\n1;2\n3;4.5\n",
        "a\tb\r\n1\t2\r\n3\t4.5",
        "\u{feff}a,b\r1,2\r3,4.5\r",
        "\"a\",\"b\"\n\"1\",2\n3,\"4.5\"\n",
        "\n\n a , b \n 1 , 2 \n\n3,+4.5e0\n\n",
    ] {
        let table = read(same).unwrap_or_else(|e| panic!("{same:?}: {e}"));
        assert_eq!((&table.columns, &table.values), (&plain.columns, &plain.values), "{same:?}");
    }
}

#[test]
fn the_delimiter_is_the_one_that_cuts_evenly() {
    let table = read("time, s;pressure\n1;2\n3;4\n").unwrap();
    assert_eq!(table.columns, ["time, s", "pressure"]);
    let table = read("\"a;b\",c\n1,2\n").unwrap();
    assert_eq!(table.columns, ["a;b", "c"]);
}

#[test]
fn columns_without_a_number_are_left_out_with_a_note() {
    let table = read("time,a,empty,b\n10:00,1,,2\n10:01,3,,4\n").unwrap();
    assert_eq!(table.columns, ["a", "b"]);
    assert_eq!(table.notes.len(), 2);
    assert!(table.notes[0].contains("'time'") && table.notes[1].contains("'empty'"), "{:?}", table.notes);
}

#[test]
fn columns_are_picked_dropped_and_labelled() {
    let text = "a,b,y,c\n1,2,0,3\n4,5,1.0,6\n";
    let table = read_with(text, &labelled("y")).unwrap();
    assert_eq!(table.columns, ["a", "b", "c"]);
    assert_eq!(table.labels, Some(vec![false, true]));
    assert_eq!(table.normal_values(), [1.0, 2.0, 3.0]);
    let picked = ReadOptions { columns: Some(names(&["c", "a"])), ..labelled("y") };
    assert_eq!(read_with(text, &picked).unwrap().columns, ["a", "c"], "file order");
    let dropped = ReadOptions { ignore: names(&["b", "y"]), ..ReadOptions::default() };
    assert_eq!(read_with(text, &dropped).unwrap().columns, ["a", "c"]);
    for bad in [
        ReadOptions { columns: Some(names(&["a", "d"])), ..ReadOptions::default() },
        ReadOptions { ignore: names(&["d"]), ..ReadOptions::default() },
        labelled("d"),
    ] {
        let said = message(read_with(text, &bad));
        assert!(said.contains("no column named 'd'") && said.contains("'a', 'b', 'y', 'c'"), "{said}");
    }
}

#[test]
fn a_bad_cell_is_named_by_file_line_and_column() {
    for (cell, problem) in [
        ("", CellProblem::Missing),
        ("abc", CellProblem::NotANumber("abc".into())),
        ("1,5", CellProblem::NotANumber("1,5".into())),
        ("nan", CellProblem::NotFinite("nan".into())),
        ("NaN", CellProblem::NotFinite("NaN".into())),
        ("-inf", CellProblem::NotFinite("-inf".into())),
        ("1e39", CellProblem::TooLarge("1e39".into())),
        ("1e999", CellProblem::TooLarge("1e999".into())),
    ] {
        for end in ["\n", "\r\n", "\r"] {
            let text = ["a;b", "1;2", "", &format!("3;{cell}"), "5;6"].join(end);
            let error = read(&text).expect_err(cell);
            let TableError::BadCell { place, column, problem: found, .. } = &error else { panic!("{error}") };
            assert_eq!((*place, column.as_str(), found), (Place::Line(4), "b", &problem), "{text:?}");
            let said = error.to_string();
            assert!(said.contains("t.csv, line 4, column 'b'"), "{said}");
            assert!(said.contains("--skip-bad-rows"), "{said}");
            let table = read_with(&text, &skipping()).unwrap();
            assert_eq!((table.values.as_slice(), table.skipped_rows), ([1.0, 2.0, 5.0, 6.0].as_slice(), 1));
            assert_eq!((table.row_number(0), table.row_number(1)), (0, 2));
        }
    }
}

#[test]
fn the_first_bad_cell_in_reading_order_is_named() {
    let said = message(read("a,b,c\n1,2,3\n4,5,x\n6,y,8\nz,1,1\n"));
    assert!(said.contains("line 3, column 'c'"), "{said}");
}

#[test]
fn a_blank_line_in_a_table_of_one_column_is_a_missing_cell() {
    for end in ["\n", "\r\n", "\r"] {
        let text = ["a", "1", "2", "", "", "3", ""].join(end);
        let said = message(read(&text));
        assert!(said.contains("line 4, column 'a': the cell is empty"), "{text:?}: {said}");
        let table = read_with(&text, &skipping()).unwrap();
        assert_eq!(
            (table.values.as_slice(), table.skipped_rows),
            ([1.0, 2.0, 3.0].as_slice(), 2),
            "{text:?}"
        );
        assert_eq!(table.row_numbers, Some(vec![0, 1, 4]), "{text:?}");
        assert_eq!(read(["a", "1", "2"].join(end)).unwrap().values, [1.0, 2.0], "{text:?}");
    }
}

#[test]
fn line_numbers_count_line_breaks_inside_quotes() {
    let said = message(read("a,note\n1,\"two\nlines\"\nx,3\n"));
    assert!(said.contains("line 4, column 'a'") || said.contains("line 2, column 'note'"), "{said}");
    let only_a = ReadOptions { columns: Some(names(&["a"])), ..ReadOptions::default() };
    let said = message(read_with("a,note\n1,\"two\nlines\"\nx,y\n", &only_a));
    assert!(said.contains("line 4, column 'a'"), "{said}");
}

#[test]
fn ragged_rows_are_errors_or_skipped() {
    for row in ["1", "1,2,3"] {
        let text = format!("a,b\n1,2\n{row}\n5,6\n");
        let said = message(read(&text));
        assert!(said.contains("line 3") && said.contains("header has 2"), "{said}");
        assert_eq!(read_with(&text, &skipping()).unwrap().skipped_rows, 1);
    }
}

#[test]
fn a_label_is_zero_or_one_and_nothing_else() {
    for (value, skippable) in [("2", false), ("0.5", false), ("-1", false), ("normal", true), ("", true)] {
        let text = format!("a,y\n1,0\n2,{value}\n3,1\n");
        let said = message(read_with(&text, &labelled("y")));
        assert!(said.contains("t.csv, line 3, label column 'y'") && said.contains("0 for normal"), "{said}");
        assert!(value.is_empty() || said.contains(&format!("'{value}'")), "{said}");
        let skip = ReadOptions { skip_bad_rows: true, ..labelled("y") };
        assert_eq!(read_with(&text, &skip).is_ok(), skippable, "{value}");
    }
}

#[test]
fn unusable_files_say_what_is_wrong() {
    for (content, part) in [
        ("", "the file is empty"),
        ("\n \r\n", "the file is empty"),
        ("a,b\n", "no data rows"),
        ("a,b,a\n1,2,3\n", "two columns are named 'a'"),
        ("5.1,3.5\n4.9,3.0\n", "add a header row"),
        ("a,b\nx,y\n", "no numeric column"),
        ("a;b\n1,5;2,5\n", "a point, not a comma"),
    ] {
        let said = message(read(content));
        assert!(said.contains("t.csv") && said.contains(part) && !said.contains('\n'), "{content:?}: {said}");
    }
    let said = message(read(b"a,b\n1,2\n3,\xb0C\n"));
    assert!(said.contains("line 3: not UTF-8"), "{said}");
    let said = message(read_with("a,b\n1,\n,2\n", &skipping()));
    assert!(said.contains("all 2 are bad"), "{said}");
}

#[test]
fn missing_files_and_strange_names_are_told_apart() {
    let folder = Folder::new();
    let options = ReadOptions::default();
    for name in ["none.csv", "none.npy", "none.parquet", "none"] {
        let error = Table::read(&folder.0.path().join(name), &options).expect_err(name);
        assert!(matches!(error, TableError::Io { .. }) && error.to_string().contains(name), "{error}");
    }
    let said = message(Table::read(&folder.write("t.xlsx", "PK"), &options));
    assert!(said.contains(".parquet"), "{said}");
}

#[test]
fn numbers_that_may_be_names_or_data_are_noted() {
    let table = read("0,1\n5,6\n7,8\n").unwrap();
    assert_eq!((table.columns.len(), table.rows), (2, 2));
    assert!(table.notes[0].contains("add a header row"), "{:?}", table.notes);
    let table = read(",a\n0,6\n1,8\n").unwrap();
    assert_eq!(table.columns, ["column1", "a"]);
    assert!(table.notes[0].contains("--ignore column1"), "{:?}", table.notes);
}

#[test]
fn the_features_of_an_image_are_found_by_name_in_its_order() {
    let text = "time,a,b,c,y\nx,1,2,,0\nx,3,4,5,1\n";
    let wanted = |list: &[&str]| ReadOptions { features: Some(names(list)), ..ReadOptions::default() };
    let table = read_with(text, &wanted(&["b", "a"])).unwrap();
    assert_eq!(
        (table.columns.as_slice(), table.values.as_slice()),
        (&*names(&["b", "a"]), &[2.0, 1.0, 4.0, 3.0][..])
    );
    let said = message(read_with(text, &wanted(&["a", "d"])));
    assert!(said.contains("no column named 'd'") && said.contains("'time', 'a', 'b', 'c', 'y'"), "{said}");
    let said = message(read_with(text, &wanted(&["c"])));
    assert!(said.contains("line 2, column 'c'"), "{said}");
    let said = message(read_with(text, &wanted(&["time"])));
    assert!(said.contains("'x' is not a number"), "{said}");
}

#[test]
fn several_files_are_joined_by_name() {
    let folder = Folder::new();
    let first = folder.write("1.csv", "a,b\n1,2\n,9\n");
    let second = folder.write("2.csv", "b;a\n4;3\n");
    let table = Table::read_all(&[&first, &second], &skipping()).unwrap();
    assert_eq!(table.values, [1.0, 2.0, 3.0, 4.0]);
    assert_eq!((table.rows, table.skipped_rows, table.row_numbers.clone()), (2, 1, Some(vec![0, 2])));
    let third = folder.write("3.csv", "a,c\n1,2\n");
    let said = message(Table::read_all(&[&first, &third], &skipping()));
    assert!(said.contains("only the first has 'b'; only the second has 'c'"), "{said}");
}

#[test]
fn kinds_are_those_of_the_normal_rows_and_most_are_counted() {
    let options = ReadOptions { label: Some("y".into()), ..ReadOptions::default() };
    let rows: String = (0..40).map(|i| format!("0.{i},7,{},{}\n", i % 2, i / 39)).collect();
    let folder = Folder::new();
    let table = Table::read(&folder.write("t.csv", format!("a,b,c,y\n{rows}")), &options).unwrap();
    assert_eq!(table.kinds(), [Kind::Continuous, Kind::Constant, Kind::Discrete { values: 2 }]);
    assert_eq!(table.kinds_in_words(), "1 continuous, b (constant), c (2 values)");
    // The anomalous last row is the only one that differs.
    let rows: String = (0..40).map(|i| format!("{},{}\n", i / 39, i / 39)).collect();
    let table = Table::read(&folder.write("u.csv", format!("a,y\n{rows}")), &options).unwrap();
    assert_eq!(table.kinds(), [Kind::Constant]);
    let many: Vec<String> = (0..9).map(|i| format!("c{i}")).collect();
    let zeros = format!("{0}\n{1}\n", many.join(","), ["0"; 9].join(","));
    let words = read(&zeros).unwrap().kinds_in_words();
    assert!(words.ends_with("c5 (constant) and 3 others"), "{words}");
}

/// A `.npy` file by the format's description (NEP 1), version 1.0.
fn npy(descr: &str, fortran: bool, shape: &str, data: &[u8]) -> Vec<u8> {
    let order = if fortran { "True" } else { "False" };
    let mut header = format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}");
    while (10 + header.len() + 1) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    file.extend((header.len() as u16).to_le_bytes());
    file.extend(header.as_bytes());
    file.extend(data);
    file
}

fn read_npy(file: &[u8], options: &ReadOptions) -> Result<Table, TableError> {
    Table::read(&Folder::new().write("t.npy", file), options)
}

#[test]
fn npy_of_any_real_type_and_order() {
    let expected = [1.0, 2.0, 3.0, 4.0_f32];
    let le = |f: fn(f64) -> Vec<u8>| [1.0, 2.0, 3.0, 4.0].into_iter().flat_map(f).collect::<Vec<u8>>();
    for (descr, data) in [
        ("<f4", le(|v| (v as f32).to_le_bytes().to_vec())),
        (">f8", le(|v| v.to_be_bytes().to_vec())),
        ("<f2", [0x3c00_u16, 0x4000, 0x4200, 0x4400].into_iter().flat_map(u16::to_le_bytes).collect()),
        ("|i1", le(|v| vec![v as u8])),
        (">i2", le(|v| (v as i16).to_be_bytes().to_vec())),
        ("<i8", le(|v| (v as i64).to_le_bytes().to_vec())),
        ("<u4", le(|v| (v as u32).to_le_bytes().to_vec())),
    ] {
        let table = read_npy(&npy(descr, false, "(2, 2)", &data), &ReadOptions::default()).expect(descr);
        assert_eq!(
            (table.columns.as_slice(), table.values.as_slice()),
            (&*names(&["c0", "c1"]), &expected[..]),
            "{descr}"
        );
        let table = read_npy(&npy(descr, true, "(2, 2)", &data), &ReadOptions::default()).expect(descr);
        assert_eq!(table.values, [1.0, 3.0, 2.0, 4.0], "{descr} in Fortran order");
        let table = read_npy(&npy(descr, false, "(4,)", &data), &ReadOptions::default()).expect(descr);
        assert_eq!((table.columns.len(), table.rows), (1, 4), "{descr} in one dimension");
    }
    let table = read_npy(&npy("|b1", false, "(2, 2)", &[0, 1, 1, 0]), &labelled("c1")).unwrap();
    assert_eq!((table.values.as_slice(), table.labels), ([0.0, 1.0].as_slice(), Some(vec![true, false])));
    let table = read_npy(&npy("|i1", false, "(1, 2)", &[0xff, 0x80]), &ReadOptions::default()).unwrap();
    assert_eq!(table.values, [-1.0, -128.0]);
}

#[test]
fn npy_that_is_no_table_says_why() {
    let options = ReadOptions::default();
    for (file, part) in [
        (npy("<c8", false, "(1, 1)", &[0; 8]), "not real numbers"),
        (npy("<U1", false, "(1, 1)", &[0; 4]), "not real numbers"),
        (npy("|u1", false, "(1, 1, 1)", &[0]), "two-dimensional"),
        (npy("<f4", false, "(2, 2)", &[0; 15]), "cut short"),
        (npy("<f4", false, "(4611686018427387904, 2)", &[0; 16]), "cut short"),
        (npy("<f4", false, "(0, 2)", &[]), "no data rows"),
        (b"not an array".to_vec(), "not readable as .npy"),
        (Vec::new(), "the file is empty"),
    ] {
        let said = message(read_npy(&file, &options));
        assert!(said.contains("t.npy") && said.contains(part), "{said}");
    }
    let mut data = 1.0_f64.to_le_bytes().to_vec();
    data.extend(f64::NAN.to_le_bytes());
    let said = message(read_npy(&npy("<f8", false, "(2, 1)", &data), &options));
    assert!(said.contains("row 1 (from 0), column 'c0'") && said.contains("NaN"), "{said}");
}

#[test]
fn npy_matches_an_image_by_position() {
    let file = npy("|u1", false, "(1, 2)", &[1, 2]);
    let wanted = |list: &[&str]| ReadOptions { features: Some(names(list)), ..ReadOptions::default() };
    let table = read_npy(&file, &wanted(&["speed", "load"])).unwrap();
    assert_eq!(
        (table.columns.as_slice(), table.values.as_slice()),
        (&*names(&["speed", "load"]), &[1.0, 2.0][..])
    );
    assert!(table.notes[0].contains("by position"), "{:?}", table.notes);
    let said = message(read_npy(&file, &wanted(&["a", "b", "c"])));
    assert!(said.contains("2 columns, but 3 are needed"), "{said}");
    let table = read_with("x,y\n1,2\n", &wanted(&["c0", "c1"])).unwrap();
    assert_eq!(table.values, [1.0, 2.0], "an image without names takes a file with names by position");
}

fn parquet_file(
    schema: &str,
    write: impl FnOnce(&mut parquet::file::writer::SerializedFileWriter<Vec<u8>>),
) -> Vec<u8> {
    let schema = std::sync::Arc::new(parquet::schema::parser::parse_message_type(schema).unwrap());
    let mut writer =
        parquet::file::writer::SerializedFileWriter::new(Vec::new(), schema, Default::default()).unwrap();
    write(&mut writer);
    writer.into_inner().unwrap()
}

#[test]
fn parquet_columns_of_numbers_are_features() {
    use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DoubleType, Int32Type, Int64Type};
    let schema = "message m { required int64 t (TIMESTAMP(MILLIS,true)); optional double a; required int32 b (INTEGER(32,false)); \
                  required binary s (STRING); required int32 price (DECIMAL(9,2)); required boolean y; }";
    let file = |second: i16| {
        parquet_file(schema, |writer| {
            for _ in 0..2 {
                let mut group = writer.next_row_group().unwrap();
                macro_rules! column {
                    ($kind:ty, $values:expr, $levels:expr) => {{
                        let mut column = group.next_column().unwrap().unwrap();
                        column.typed::<$kind>().write_batch($values, $levels, None).unwrap();
                        column.close().unwrap();
                    }};
                }
                column!(Int64Type, &[5, 6], None);
                column!(DoubleType, &[1.5, 2.5][..1 + second as usize], Some(&[1, second]));
                column!(Int32Type, &[-1, 7], None);
                column!(ByteArrayType, &[ByteArray::from("p"), ByteArray::from("q")], None);
                column!(Int32Type, &[1250, -5], None);
                column!(BoolType, &[false, true], None);
                group.close().unwrap();
            }
        })
    };
    let folder = Folder::new();
    let table = Table::read(&folder.write("t.parquet", file(1)), &labelled("y")).unwrap();
    assert_eq!(table.columns, ["a", "b", "price"]);
    let rows = [1.5, 4_294_967_295.0, 12.5, 2.5, 7.0, -0.05];
    assert_eq!(table.values, [rows, rows].concat());
    assert_eq!(table.labels, Some(vec![false, true, false, true]));
    assert_eq!(table.notes.len(), 2, "{:?}", table.notes);

    let path = folder.write("hole.parquet", file(0));
    let said = message(Table::read(&path, &labelled("y")));
    assert!(said.contains("row 1 (from 0), column 'a'"), "{said}");
    let table = Table::read(&path, &ReadOptions { skip_bad_rows: true, ..labelled("y") }).unwrap();
    assert_eq!((table.rows, table.row_numbers), (2, Some(vec![0, 2])));

    for (name, content) in [("cut.parquet", &file(1)[..100]), ("text.parquet", b"a,b\n1,2\n".as_slice())] {
        let said = message(Table::read(&folder.write(name, content), &ReadOptions::default()));
        assert!(said.contains("not readable as Parquet"), "{said}");
    }
    let said = message(Table::read(&folder.write("empty.parquet", ""), &ReadOptions::default()));
    assert!(said.contains("the file is empty"), "{said}");
}

#[test]
fn numbers_round_once_to_f32() {
    let table = read("a\n0.1\n16777217\n1e-45\n3.4028235e38\n").unwrap();
    assert_eq!(table.values, [0.1, 16_777_216.0, f32::from_bits(1), f32::MAX]);
}
