//! `flowlet train` within a budget, and `flowlet chips`.

use flowlet_tests::command::{normal_csv, Folder};
use flowlet_tests::Random;
use serde_json::Value;
use std::fmt::Write;

fn count(json: &Value) -> u64 {
    json.as_u64().unwrap_or_else(|| panic!("{json} is not a count"))
}

/// What `flowlet inspect` says of an image: bytes, workspace, instructions on a core.
fn measured(folder: &Folder, image: &str, core: &str) -> [u64; 3] {
    let json = folder.flowlet(&format!("inspect {image} --json")).json();
    [count(&json["image_bytes"]), count(&json["workspace_bytes"]), count(&json["instructions"][core])]
}

/// Rows of `columns` related normal columns.
fn wide_csv(columns: usize, rows: usize) -> String {
    let mut random = Random(9);
    let mut text = (0..columns).map(|c| format!("c{c}")).collect::<Vec<_>>().join(",");
    for _ in 0..rows {
        let common = random.normal();
        for column in 0..columns {
            // Writing to a String cannot fail.
            let _ = write!(text, "{}{:.4}", if column == 0 { "\n" } else { "," }, common + random.normal());
        }
    }
    text
}

/// Every budget is kept by the image as it is measured afterwards, by every candidate that is told of, and by what was
/// predicted of the chosen one.
#[test]
fn budgets_are_kept() {
    let folder = Folder::new();
    folder.write("t.csv", normal_csv(400, 4));
    let any = u64::MAX;
    for (options, core, limits) in [
        (
            "--chip stm32f401 --max-flash 16k --max-ram 2048 --max-instructions 50000",
            "cortex-m4f",
            [16384, 2048, 50000],
        ),
        (
            "--chip nRF51822-QFAA --max-flash 4096 --max-ram 512 --max-instructions 20000",
            "cortex-m0",
            [4096, 512, 20000],
        ),
        ("--max-instructions 4000", "cortex-m4f", [any, any, 4000]),
        ("--max-flash 1800 --core cortex-m33", "cortex-m33", [1800, any, any]),
        ("--max-ram 100 --numeric i16", "cortex-m4f", [any, 100, any]),
    ] {
        let run = folder.flowlet(&format!("train t.csv -o m.flow --json -q --epochs 2 --seed 3 {options}"));
        let json = run.json();
        let found = measured(&folder, "m.flow", core);
        assert!(found.iter().zip(limits).all(|(found, most)| *found <= most), "{options}: {found:?}");
        let cost = |c: &Value| ["image_bytes", "workspace_bytes", "instructions"].map(|key| count(&c[key]));
        let candidates = json["candidates"].as_array().expect("a list");
        let chosen = &candidates[count(&json["chosen"]) as usize];
        assert_eq!((cost(chosen), cost(&json)), (found, found), "{options}");
        assert_eq!(json["numeric"], chosen["numeric"]);
        assert_eq!(candidates.iter().filter(|c| c["chosen"] == true).count(), 1);
        let last = json["search"]["rungs"].clone();
        for c in candidates {
            assert!(cost(c).iter().zip(limits).all(|(cost, most)| *cost <= most), "{options}: {c}");
            assert!(c["pareto"] == false || c["rung"] == last, "{c}");
        }
        // The best proxy of the last rung but for what is too small a difference, and on the front but for that.
        let proxy = |c: &Value| c["proxy"].as_f64().expect("a number");
        let best = candidates.iter().filter(|c| c["rung"] == last).map(proxy).fold(f64::MIN, f64::max);
        assert!(chosen["rung"] == last && proxy(chosen) > best - 1.1e-3, "{options}: {best}, {chosen}");
        assert!(candidates.iter().any(|c| c["pareto"] == true));
        if options.contains("i16") {
            assert!(candidates.iter().all(|c| c["numeric"] == "i16"));
        }
    }
}

/// A chip without further limits: image and code share its flash, workspace and stack its RAM, and the runtime that is counted
/// is the one that `inspect` tells the user to link. On the small chip only the smallest runtimes leave room for an image.
#[test]
fn the_runtime_counts_where_the_chip_is_the_limit() {
    let folder = Folder::new();
    folder.write("t.csv", normal_csv(300, 6));
    for (chip, flash, ram, small) in
        [("stm32f030", 16384, 4096, true), ("nrf52832", 256 << 10, 32 << 10, false)]
    {
        let json =
            folder.flowlet(&format!("train t.csv -o m.flow --json -q --epochs 1 --chip {chip}")).json();
        let inspected = folder.flowlet("inspect m.flow --json").json();
        let runtime = &json["runtime"];
        assert_eq!(runtime["support"], inspected["support"], "{chip}");
        assert!(
            count(&runtime["code_bytes"]) + count(&inspected["image_bytes"]) <= flash,
            "{chip}: {runtime}"
        );
        assert!(
            count(&runtime["stack_bytes"]) + count(&inspected["workspace_bytes"]) <= ram,
            "{chip}: {runtime}"
        );
        assert!(
            count(&runtime["code_bytes"]) > 4096 && count(&runtime["stack_bytes"]) > 256,
            "{chip}: {runtime}"
        );
        let supports = json["candidates"].as_array().into_iter().flatten().map(|c| &c["support"]);
        assert_eq!(supports.into_iter().all(|s| s == "I8Affine" || s == "I16Affine"), small, "{chip}");
    }
}

#[test]
fn threads_change_nothing_and_what_is_named_is_kept() {
    let folder = Folder::new();
    folder.write("t.csv", normal_csv(300, 6));
    let train =
        |more: &str| folder.flowlet(&format!("train t.csv --json -q --epochs 2 --seed 1 {more}")).json();
    let one = train("-o one.flow --max-flash 6000 --threads 1");
    let two = train("-o two.flow --max-flash 6000 --threads 2");
    assert!(folder.read("one.flow") == folder.read("two.flow"), "images differ by the number of threads");
    assert_eq!((&one["candidates"], &one["chosen"]), (&two["candidates"], &two["chosen"]));
    // One kind of flow, one shape: all that is left are components and numbers, and what is asked for is kept.
    let kind = train("-o nice.flow --flow nice --layers 2 --hidden 8 --max-flash 100k");
    let candidates = kind["candidates"].as_array().expect("a list");
    assert!(candidates.iter().all(|c| c["flow"] == "nice" && c["layers"] == 2), "{kind}");
}

#[test]
fn two_and_sixty_four_features_fit_too() {
    for columns in [2, 64] {
        let folder = Folder::new();
        folder.write("t.csv", wide_csv(columns, 200));
        let budget = "--chip stm32f401 --max-flash 16384 --max-ram 2048 --max-instructions 50000";
        folder.flowlet(&format!("train t.csv -o m.flow --json -q --epochs 1 {budget}")).json();
        let [flash, ram, instructions] = measured(&folder, "m.flow", "cortex-m4f");
        assert!(flash <= 16384 && ram <= 2048 && instructions <= 50000, "{flash} {ram} {instructions}");
    }
}

#[test]
fn what_cannot_be_is_said_with_what_could() {
    let folder = Folder::new();
    folder.write("t.csv", normal_csv(300, 6));
    let train = |more: &str| folder.flowlet(&format!("train t.csv -o m.flow -q --epochs 1 {more}"));
    let small = train("--max-flash 300");
    small.fails(1, &["the smallest flow for 3 features needs", "bytes of flash", "--max-flash is 300"]);
    // What is said to be the smallest is enough, and one byte less is not.
    let least: usize = small
        .stderr
        .split("needs ")
        .nth(1)
        .and_then(|rest| rest.split(' ').next())
        .and_then(|number| number.replace(',', "").parse().ok())
        .expect("a number of bytes");
    train(&format!("--max-flash {}", least - 1)).fails(1, &["--max-flash"]);
    assert_eq!(folder.list(), ["t.csv"]);
    assert_eq!(train(&format!("--max-flash {least}")).code, 0);
    train("--max-ram 3 --max-instructions 9").fails(1, &["bytes of RAM (--max-ram is 3)", "instructions"]);
    // Each can be had, but not both.
    let json = folder.flowlet("inspect m.flow --json").json();
    let instructions = count(&json["instructions"]["cortex-m4f"]);
    let together = train(&format!("--max-flash {least} --max-instructions {}", instructions - 1));
    together.fails(1, &["instructions"]);
    // The chip's own flash holds the runtime too.
    let whole = ["bytes of flash with its runtime's code", "the chip has 8,192", "--max-flash"];
    train("--chip stm32l011").fails(1, &whole);
    train("--max-flash 16k --holdout 0").fails(1, &["holdout"]);
}

#[test]
fn wrong_usage_is_said_before_anything_is_read() {
    let folder = Folder::new();
    for (options, parts) in [
        ("--chip stm32f410x1", &["--chip", "'stm32f410x1'", "stm32f410", "flowlet chips"][..]),
        ("--chip nrf52810 --numeric f32", &["no FPU", "--numeric i16"]),
        ("--max-flash 16k --flow likeliest", &["--flow likeliest", "budget"]),
        ("--max-flash 16k --integers 255", &["--integers", "budget"]),
    ] {
        folder.write("t.csv", normal_csv(50, 1));
        folder.flowlet(&format!("train t.csv -o m.flow {options}")).fails(2, parts);
    }
    for options in
        ["--max-flash 0", "--max-ram 1.5k", "--max-instructions 0", "--chip rp2040 --core cortex-m0"]
    {
        let run = folder.flowlet(&format!("train t.csv -o m.flow {options}"));
        assert_eq!((run.code, run.stdout.as_str()), (2, ""), "{run:?}");
    }
}

#[test]
fn chips_are_listed() {
    let folder = Folder::new();
    let json = folder.flowlet("chips --json").json();
    let chips = json["chips"].as_array().expect("a list");
    assert!(chips.len() > 100);
    let f401 = chips.iter().find(|c| c["name"] == "stm32f401").expect("it is in the table");
    assert_eq!((f401["core"].as_str(), f401["ram_bytes"].as_u64()), (Some("cortex-m4f"), Some(65536)));
    let some = folder.flowlet("chips NRF53");
    assert!(some.code == 0 && some.stdout.contains("nrf5340") && !some.stdout.contains("stm32"), "{some:?}");
}
