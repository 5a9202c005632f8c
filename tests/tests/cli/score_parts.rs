//! `flowlet score` on tables that are longer than the parts they are read in.

use flowlet_tests::command::{labelled_csv, trained, Folder};
use flowlet_tools::export::{scores, ImageFile};
use flowlet_tools::table::{ReadOptions, Table};
use std::fmt::Write;

/// Rows of the long table: some megabytes, several parts.
const ROWS: usize = 150_000;

/// `trained`, with `long.csv`: the same few hundred rows over and over, each time a little different.
fn long() -> Folder {
    let folder = trained();
    let some = labelled_csv(300, 4);
    let some: Vec<Vec<&str>> = some.lines().skip(1).map(|line| line.split(',').collect()).collect();
    let mut text = "label,note,a,b,c\r\n".to_owned();
    for row in 0..ROWS {
        let cells = &some[row % some.len()];
        // Writing to a String cannot fail.
        let _ = write!(text, "{},\"n, {row}\",{}{row},{},{}\r\n", cells[3], cells[0], cells[1], cells[2]);
    }
    folder.write("long.csv", text);
    folder
}

#[test]
fn parts_score_as_the_whole() {
    let folder = long();
    let json = folder.flowlet("score m.flow long.csv --label label -o s.csv --json").json();
    assert_eq!(json["rows"], ROWS);
    // The whole table at once, and the library's own loop over it.
    let image = ImageFile::read(&folder.path().join("m.flow")).expect("an image");
    let features = ["a", "b", "c"].map(str::to_owned).to_vec();
    let options =
        ReadOptions { label: Some("label".into()), features: Some(features), ..ReadOptions::default() };
    let table = Table::read(&folder.path().join("long.csv"), &options).expect("a table");
    let expected = scores(&image, &table.values).expect("scores");
    let text = String::from_utf8(folder.read("s.csv")).expect("text");
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("row,log_prob,p_value,score,alarm,label"));
    let labels = table.labels.expect("labels");
    let mut rows = 0;
    for (row, (line, score)) in lines.zip(&expected).enumerate() {
        let label = u8::from(labels[row]);
        let wanted = format!(
            "{row},{:?},{:?},{:?},{},{label}",
            score.log_prob,
            score.p_value,
            score.score,
            u8::from(score.alarm)
        );
        assert_eq!(line, wanted);
        rows += 1;
    }
    assert_eq!(rows, ROWS);
    assert_eq!(json["alarms"], expected.iter().filter(|s| s.alarm).count());
    // Standard output says the same; some rows in the middle are those rows.
    assert_eq!(folder.flowlet("score m.flow long.csv --label label -q").stdout, text);
    let middle = folder.flowlet("score m.flow long.csv --label label --rows 99990..100010 -q").stdout;
    let wanted: Vec<&str> = text.lines().skip(1 + 99_990).take(20).collect();
    assert_eq!(middle.lines().skip(1).collect::<Vec<_>>(), wanted);
    let beyond = folder.flowlet("score m.flow long.csv --rows 150000..");
    beyond.fails(1, &["long.csv", "150000", "no rows"]);
}

#[test]
fn a_bad_cell_far_down_is_named_and_leaves_the_old_file() {
    let folder = long();
    let text = String::from_utf8(folder.read("long.csv")).expect("text");
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines[120_001] = "0,x,1,oops,3".to_owned();
    folder.write("bad.csv", lines.join("\n")).write("s.csv", "precious");
    folder
        .flowlet("score m.flow bad.csv -o s.csv")
        .fails(1, &["bad.csv", "line 120002,", "'b'", "'oops'", "--skip-bad-rows"]);
    assert_eq!(folder.read("s.csv"), b"precious");
    lines[140_001] = "0,x,1,2".to_owned();
    folder.write("bad.csv", lines.join("\n"));
    let json = folder.flowlet("score m.flow bad.csv --skip-bad-rows -o s.csv --json").json();
    assert_eq!((&json["rows"], &json["skipped_rows"]), (&(ROWS - 2).into(), &2.into()));
    let scores = String::from_utf8(folder.read("s.csv")).expect("text");
    let number = |line: usize| scores.lines().nth(line).and_then(|l| l.split(',').next()).expect("a row");
    assert_eq!((number(120_000), number(120_001)), ("119999", "120001"), "a gap where the row was");
    lines[120_001] = "0,x,1,2,3".to_owned();
    folder.write("bad.csv", lines.join("\n"));
    folder.flowlet("score m.flow bad.csv -o s.csv").fails(1, &["bad.csv", "line 140002", "4 fields"]);
}

/// Three times the rows in the same memory, which is that of a few parts in flight.
#[cfg(target_os = "linux")]
#[test]
fn memory_does_not_grow_with_the_table() {
    use std::process::Stdio;
    let folder = long();
    let text = String::from_utf8(folder.read("long.csv")).expect("text");
    let rows = text.split_once("\r\n").expect("a header").1;
    let times = |n: usize| format!("{text}{}", rows.repeat(n - 1));
    folder.write("some.csv", times(4)).write("more.csv", times(12));
    let peak = |table: &str| {
        let mut child = folder
            .command(&format!("score m.flow {table} -o s.csv -q"))
            .env("RAYON_NUM_THREADS", "2")
            .stdout(Stdio::null())
            .spawn()
            .expect("flowlet starts");
        let status = format!("/proc/{}/status", child.id());
        let mut most = 0;
        while child.try_wait().expect("a child").is_none() {
            let text = std::fs::read_to_string(&status).unwrap_or_default();
            let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            let kilobytes = line.and_then(|l| l.trim().split(' ').next()).and_then(|n| n.parse::<u64>().ok());
            most = most.max(kilobytes.unwrap_or(0));
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        most
    };
    let size = |table: &str| std::fs::metadata(folder.path().join(table)).expect("a file").len() / 1024;
    let added = size("more.csv") - size("some.csv");
    let (some, more) = (peak("some.csv"), peak("more.csv"));
    assert!(more < some + added / 4, "{some} kB, then {more} kB, for {added} kB more of a table");
}
