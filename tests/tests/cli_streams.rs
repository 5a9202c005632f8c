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
