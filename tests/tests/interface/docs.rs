//! What the documentation shows is what there is.

use flowlet_tests::golden;
use flowlet_tools::export::Numeric;
use std::path::Path;

fn document(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Bytes from hexadecimal digits with spaces.
fn bytes(digits: &str) -> Option<Vec<u8>> {
    digits.split_whitespace().map(|b| u8::from_str_radix(b, 16).ok().filter(|_| b.len() == 2)).collect()
}

#[test]
fn the_dump_in_the_format_document_is_the_golden_image() {
    let text = document("image-format.md");
    let dump = text.split("```text\n").nth(1).and_then(|t| t.split("```").next()).expect("a dump");
    let mut found = Vec::new();
    for line in dump.lines() {
        let (offset, digits) = line.split_once(": ").expect("an offset");
        assert_eq!(usize::from_str_radix(offset, 16), Ok(found.len()));
        found.extend(bytes(digits).expect("bytes"));
    }
    assert!(found == golden::image(Numeric::F32).bytes(), "docs/image-format.md shows another image");
}

#[test]
fn the_bytes_that_the_format_document_explains_are_there() {
    let text = document("image-format.md");
    let image = golden::image(Numeric::F32);
    let rows = text.split("## A whole image").nth(1).expect("the section").lines();
    let mut explained = 0;
    for row in rows.filter(|line| line.starts_with("| ")) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let Ok(offset) = usize::from_str_radix(cells[1], 16) else { continue };
        // Up to the first thing that is not bytes: a string, a gap.
        let digits = cells[2].split(['"', '.']).next().unwrap_or_default().replace(',', " ");
        let expected = bytes(&digits).expect("bytes");
        assert_eq!(&image.bytes()[offset..][..expected.len()], expected, "at {offset:#x}");
        explained += expected.len();
    }
    assert!(explained > 80, "{explained}");
}

#[test]
fn the_cost_tables_are_those_of_the_budgets() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../firmware/budgets.csv");
    let budgets = flowlet_tools::bench::budget::Budgets::read(&path).expect("the budgets");
    let expected = flowlet_tools::bench::table::document(&budgets);
    assert!(document("device-cost.md") == expected, "run cargo xtask gates --accept");
}

#[test]
fn the_commands_that_print_the_figures_run_a_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut documents = vec![root.join("README.md"), root.join("firmware/hardware/README.md")];
    let docs = std::fs::read_dir(root.join("docs")).expect("docs");
    documents.extend(
        docs.map(|entry| entry.expect("an entry").path())
            .filter(|path| path.extension().is_some_and(|e| e == "md")),
    );
    let mut checked = 0;
    for path in documents {
        let text = std::fs::read_to_string(&path).expect("text");
        for command in text.split("--test ").skip(1) {
            let mut words = command.split([' ', '\n', '`']);
            let [target, filter] = [words.next(), words.next()].map(Option::unwrap_or_default);
            let (module, name) = filter.split_once("::").unwrap_or((filter, ""));
            let source = root.join(format!("tests/tests/{target}/{module}.rs"));
            let tests = std::fs::read_to_string(&source).unwrap_or_default();
            let is_there = tests.split("#[test]").skip(1).any(|test| test.contains(&format!("fn {name}")));
            assert!(is_there, "{}: no test has the name {target} {filter}", path.display());
            checked += 1;
        }
    }
    assert!(checked > 30, "{checked}");
}
