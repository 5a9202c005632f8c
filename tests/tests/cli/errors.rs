//! Whatever is wrong with what a user gives: one clear message, the contract's exit code, no output.

use flowlet_tests::command::{normal_csv, trained, Folder, QUICK};

/// Fails with code 1 in every command that reads a table.
fn bad_table(name: &str, content: impl AsRef<[u8]>, parts: &[&str]) {
    let folder = trained();
    folder.write(name, content);
    let before = folder.list();
    for command in ["score m.flow", "eval m.flow --label label", "simulate m.flow", "train -o new.flow"] {
        let with_label = parts.iter().any(|part| part.contains("label"));
        let label = if with_label && !command.contains("--label") { "--label label" } else { "" };
        if command.starts_with("eval") && !with_label {
            continue;
        }
        folder.flowlet(&format!("{command} {name} {label}")).fails(1, parts);
    }
    assert_eq!(folder.list(), before, "nothing was written");
}

#[test]
fn a_missing_file() {
    let folder = trained();
    folder.flowlet("score m.flow none.csv").fails(1, &["none.csv", "No such file"]);
    folder.flowlet("train none.csv -o new.flow").fails(1, &["none.csv", "No such file"]);
    folder.flowlet("score none.flow test.csv").fails(1, &["none.flow", "No such file"]);
    folder.flowlet("inspect none.flow").fails(1, &["none.flow"]);
    folder.flowlet("verify none.flow").fails(1, &["none.flow"]);
}

#[test]
fn an_empty_file() {
    bad_table("empty.csv", "", &["empty.csv", "empty"]);
    bad_table("empty.npy", "", &["empty.npy", "empty"]);
    bad_table("empty.parquet", "", &["empty.parquet", "empty"]);
}

#[test]
fn a_header_without_rows() {
    bad_table("header.csv", "a,b,c\n", &["header.csv", "no data rows"]);
}

#[test]
fn cells_that_are_no_finite_numbers() {
    for cell in ["NaN", "nan", "inf", "-Infinity", "", "abc", "1e39"] {
        let content = format!("a,b,c\n1,2,3\n4,{cell},6\n");
        bad_table("t.csv", content, &["t.csv", "line 3", "'b'", "--skip-bad-rows"]);
    }
}

#[test]
fn a_missing_column() {
    let folder = trained();
    folder.write("t.csv", "a,c,d\n1,2,3\n");
    for command in ["score", "simulate"] {
        let run = folder.flowlet(&format!("{command} m.flow t.csv"));
        run.fails(1, &["t.csv", "no column named 'b'", "'a', 'c', 'd'"]);
    }
    folder.flowlet("eval m.flow test.csv --label fault").fails(1, &["'fault'", "--label", "'label'"]);
    folder.flowlet("train test.csv -o new.flow --columns a,x").fails(1, &["'x'", "--columns"]);
    folder.flowlet("train test.csv -o new.flow --ignore x").fails(1, &["'x'", "--ignore"]);
}

#[test]
fn a_wrong_number_of_features() {
    let mut file = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
    let mut header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2), }".to_vec();
    header.resize(117, b' ');
    file.extend(header);
    file.push(b'\n');
    file.extend([0; 16]);
    let folder = trained();
    folder.write("t.npy", file);
    folder.flowlet("score m.flow t.npy").fails(1, &["t.npy", "2 columns, but 3 are needed"]);
}

#[test]
fn labels_other_than_zero_and_one() {
    for value in ["2", "-1", "0.5", "normal", ""] {
        let content = format!("a,b,c,label\n1,2,3,0\n1,2,3,{value}\n");
        bad_table("t.csv", content, &["t.csv", "line 3", "label column 'label'", "0 for normal"]);
    }
}

#[test]
fn ragged_rows_and_duplicate_names() {
    bad_table("t.csv", "a,b,c\n1,2,3\n1,2\n", &["t.csv", "line 3", "2 fields"]);
    bad_table("t.csv", "a,b,a,c\n1,2,3,4\n", &["t.csv", "two columns are named 'a'"]);
}

#[test]
fn files_that_are_no_tables() {
    bad_table("t.xlsx", "PK", &["t.xlsx", ".csv", ".parquet"]);
    bad_table("t.csv", b"a,b,c\n1,2,\xff\n", &["t.csv", "line 2", "UTF-8"]);
    bad_table("t.npy", "a,b,c\n1,2,3\n", &["t.npy", "not readable"]);
    bad_table("t.parquet", "a,b,c\n1,2,3\n", &["t.parquet", "not readable"]);
}

#[test]
fn training_on_too_little() {
    let folder = Folder::new();
    folder.write("one.csv", "a\n1\n2\n3\n4\n5\n6\n7\n8\n9\n");
    folder.flowlet("train one.csv -o m.flow").fails(1, &["at least 2"]);
    folder.write("few.csv", "a,b\n1,2\n3,4\n");
    folder.flowlet("train few.csv -o m.flow").fails(1, &["2", "too few"]);
    folder.write("anomalous.csv", "a,b,y\n1,2,1\n3,4,1\n");
    folder.flowlet("train anomalous.csv -o m.flow --label y").fails(1, &["no normal rows"]);
    folder.write("other.csv", "a,c\n1,2\n3,4\n");
    folder.flowlet("train few.csv other.csv -o m.flow").fails(1, &["few.csv", "other.csv", "'b'", "'c'"]);
    assert!(!folder.list().contains(&"m.flow".to_owned()));
}

#[test]
fn damaged_images() {
    let folder = trained();
    let good = folder.read("m.flow");
    let mut flipped = good.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 4;
    folder.write("flipped.flow", &flipped).write("cut.flow", &good[..good.len() - 1]);
    folder
        .write("long.flow", [&good[..], b"x"].concat())
        .write("text.flow", "a,b\n1,2\n")
        .write("empty.flow", "");
    for name in ["flipped", "cut", "long", "text", "empty"] {
        for command in ["score FILE test.csv", "inspect FILE", "verify FILE", "simulate FILE test.csv"] {
            let file = format!("{name}.flow");
            folder.flowlet(&command.replace("FILE", &file)).fails(1, &[&file]);
        }
        let run = folder.flowlet(&format!("verify {name}.flow --json"));
        assert_eq!(run.code, 1, "{run:?}");
        let json: serde_json::Value = serde_json::from_str(&run.stdout).expect("a verdict in JSON");
        assert_eq!(json["ok"], false, "{json}");
    }
}

#[test]
fn wrong_usage() {
    let folder = trained();
    folder.write("train.csv", normal_csv(50, 1));
    for arguments in [
        "",
        "polish",
        "train train.csv",
        "train -o new.flow",
        "train train.csv -o new.flow --flow magic",
        "train train.csv -o new.flow --flow realnvp --bins 8",
        "train train.csv -o new.flow --numeric i4",
        "train train.csv -o new.flow --layers 0",
        "train train.csv -o new.flow --layers -3",
        "train train.csv -o new.flow --hidden 0",
        "train train.csv -o new.flow --hidden 8,x",
        "train train.csv -o new.flow --epochs 0",
        "train train.csv -o new.flow --batch 0",
        "train train.csv -o new.flow --lr -1",
        "train train.csv -o new.flow --lr nan",
        "train train.csv -o new.flow --noise 7",
        "train train.csv -o new.flow --holdout 0.9",
        "train train.csv -o new.flow --threads 0",
        "train train.csv -o new.flow --false-alarm-rate 1",
        "score m.flow",
        "eval m.flow test.csv",
        "quantize m.flow --numeric i8 -o q.flow",
        "quantize m.flow --calibration train.csv -o q.flow",
        "simulate m.flow test.csv --board z80",
        "inspect m.flow --nonsense",
    ] {
        let run = folder.flowlet(arguments);
        assert_eq!((run.code, run.stdout.as_str()), (2, ""), "flowlet {arguments}: {run:?}");
        assert!(!run.stderr.is_empty() && !run.stderr.contains("panicked"), "flowlet {arguments}: {run:?}");
    }
    assert_eq!(folder.list(), ["m.flow", "test.csv", "train.csv"]);
    let said = folder.flowlet("train train.csv -o new.flow --flow glow --bins 8").stderr;
    assert!(said.contains("--flow nsf") && said.contains("glow"), "{said}");
    let said = folder.flowlet("simulate m.flow test.csv --board z80").stderr;
    assert!(said.contains("mps2-an386"), "{said}");
}

#[test]
fn places_that_cannot_be_written_are_refused_before_the_work() {
    let folder = trained();
    folder.write("train.csv", normal_csv(200, 1));
    std::fs::create_dir(folder.path().join("d")).expect("a folder");
    for place in ["none/out", "d", "m.flow/out"] {
        let place_named = format!("cannot write {place}");
        folder.flowlet(&format!("train train.csv -o {place} {QUICK}")).fails(1, &[&place_named]);
        folder.flowlet(&format!("score m.flow test.csv -o {place}")).fails(1, &[&place_named]);
        let quantize = format!("quantize m.flow --numeric i8 --calibration train.csv -o {place}");
        folder.flowlet(&quantize).fails(1, &[&place_named]);
    }
    folder.flowlet("demo --out m.flow").fails(1, &["m.flow"]);
}
