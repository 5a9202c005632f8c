//! Standard output, standard error, and files that are whole or absent.

use flowlet_tests::command::{normal_csv, trained, Folder, QUICK};
use std::io::Read;
use std::process::Stdio;

#[test]
fn json_is_all_of_standard_output() {
    let folder = trained();
    folder.write("train.csv", normal_csv(200, 1));
    for command in [
        format!("train train.csv -o new.flow {QUICK}"),
        "score m.flow test.csv --label label".to_owned(),
        "score m.flow test.csv -o s.csv".to_owned(),
        "eval m.flow test.csv --label label".to_owned(),
        "quantize m.flow --numeric i16 --calibration train.csv -o q.flow".to_owned(),
        "inspect m.flow".to_owned(),
        "verify m.flow".to_owned(),
    ] {
        let json = folder.flowlet(&format!("{command} --json"));
        json.json();
        assert_eq!(json.stdout.lines().count(), 1, "{json:?}");
        let quiet = folder.flowlet(&format!("{command} --quiet"));
        assert_eq!((quiet.code, quiet.stderr.as_str()), (0, ""), "{quiet:?}");
        // Global options go before the command, too.
        assert_eq!(folder.flowlet(&format!("--json --quiet {command}")).stderr, "");
    }
}

#[test]
fn training_tells_plain_lines_where_there_is_no_terminal() {
    let folder = Folder::new();
    folder.write("t.csv", normal_csv(200, 1));
    let run = folder.flowlet(&format!("train t.csv -o m.flow {QUICK}"));
    assert_eq!(run.code, 0, "{run:?}");
    assert!(run.stderr.lines().any(|line| line.starts_with("training: 1/3 epochs  NLL ")), "{run:?}");
    assert!(!run.stderr.contains('\x1b') && !run.stderr.contains('\r'), "{run:?}");
}

#[test]
fn notes_go_to_standard_error() {
    let folder = trained();
    folder.write("t.csv", "when,a,b,c\nnoon,20,0,100\n");
    let run = folder.flowlet(&format!("train t.csv -o new.flow {QUICK}"));
    assert!(run.stderr.contains("note: ") && run.stderr.contains("'when' has no number"), "{run:?}");
    folder.write("train.csv", normal_csv(60, 1).replace('\n', ",0\n").replacen(",0", ",label", 1));
    let run = folder.flowlet(&format!("train train.csv -o new.flow {QUICK}"));
    assert!(run.stderr.contains("warning: ") && run.stderr.contains("--label label"), "{run:?}");
}

#[test]
fn a_closed_pipe_is_no_failure() {
    let folder = trained();
    let rows: String = "20,0,100\n".repeat(20_000);
    folder.write("long.csv", format!("a,b,c\n{rows}"));
    let mut child = folder
        .command("score m.flow long.csv --quiet")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("flowlet starts");
    let mut start = [0; 10];
    child.stdout.take().expect("a pipe").read_exact(&mut start).expect("some output");
    assert_eq!(&start, b"row,log_pr");
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn a_failed_command_leaves_the_old_file() {
    let folder = trained();
    folder.write("bad.csv", "a,b,c\n1,2,x\n").write("s.csv", "precious").write("q.flow", "precious");
    let before = folder.list();
    assert_eq!(folder.flowlet("score m.flow bad.csv -o s.csv").code, 1);
    assert_eq!(folder.flowlet("train bad.csv -o q.flow").code, 1);
    assert_eq!(folder.flowlet("quantize m.flow --numeric i8 --calibration bad.csv -o q.flow").code, 1);
    assert_eq!(folder.list(), before);
    assert_eq!((folder.read("s.csv"), folder.read("q.flow")), (b"precious".to_vec(), b"precious".to_vec()));
    assert_eq!(folder.flowlet("score m.flow test.csv -o s.csv -q").code, 0);
    assert_eq!(folder.list(), before, "replaced, with nothing left beside it");
    assert!(folder.read("s.csv").starts_with(b"row,"));
}

#[cfg(unix)]
#[test]
fn a_killed_training_leaves_nothing() {
    let folder = Folder::new();
    folder.write("t.csv", normal_csv(2000, 1));
    let mut child = folder
        .command("train t.csv -o m.flow --epochs 1000000")
        .stderr(Stdio::piped())
        .spawn()
        .expect("flowlet starts");
    // Once it says that it trains, it is in the middle of the work.
    let mut said = Vec::new();
    let mut stderr = child.stderr.take().expect("a pipe");
    while !String::from_utf8_lossy(&said).contains("training") {
        let mut byte = [0];
        stderr.read_exact(&mut byte).expect("it says so");
        said.push(byte[0]);
    }
    child.kill().expect("it runs");
    child.wait().expect("it ends");
    assert_eq!(folder.list(), ["t.csv"]);
}

/// A table of 7 million rows, 84 MB, is read in parts, and training remembers only the rows that it drew.
#[cfg(target_os = "linux")]
#[test]
fn a_long_table_is_drawn_from_in_bounded_memory() {
    use std::io::Write;
    const ROWS: usize = 7_000_000;
    let folder = Folder::new();
    let mut header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({ROWS}, 3), }}");
    header.push_str(&" ".repeat(117 - header.len()));
    let mut file =
        std::io::BufWriter::new(std::fs::File::create(folder.path().join("t.npy")).expect("a file"));
    file.write_all(b"\x93NUMPY\x01\x00\x76\x00").and_then(|()| writeln!(file, "{header}")).expect("a header");
    for row in 0..ROWS {
        let t = row as f32 * 0.37;
        for value in [t.sin(), (t * 1.3).cos() + 0.3 * t.sin(), (row % 1009) as f32] {
            file.write_all(&value.to_le_bytes()).expect("a value");
        }
    }
    file.into_inner().expect("all of it");

    let mut child = folder
        .command("train t.npy -o m.flow --max-rows 3000 --seed 5 --flow realnvp --layers 2 --hidden 8 --epochs 1 --json")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("flowlet starts");
    let mut peak = 0;
    let status = format!("/proc/{}/status", child.id());
    while child.try_wait().expect("it runs").is_none() {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kilobytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u32>().ok());
        peak = peak.max(kilobytes.unwrap_or(0));
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    let output = child.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("3000 of 7000000 rows are used"), "{said}");
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(json["rows"], 3000);
    // What the program needs for a table of nothing but those rows is some 20 MB.
    println!("peak of {peak} KB for a table of {} KB", ROWS * 12 / 1000);
    assert!((1_000..50_000).contains(&peak), "{peak} KB");
}
