//! `flowlet eval` beyond its figures: intervals, events in time, several images.

use flowlet_tests::command::{labelled_csv, normal_csv, trained};
use serde_json::Value;

const FIGURES: [&str; 4] = ["auroc", "average_precision", "false_alarm_rate", "detection_rate"];

fn pair(interval: &Value) -> (f64, f64) {
    let of = |end: usize| interval[end].as_f64().unwrap_or_else(|| panic!("{interval}"));
    (of(0), of(1))
}

#[test]
fn figures_have_intervals_that_hold_them() {
    let folder = trained();
    let with = folder.flowlet("eval m.flow test.csv --label label --json").json();
    let without = folder.flowlet("eval m.flow test.csv --label label --bootstrap 0 --json").json();
    assert!(without.get("confidence").is_none(), "{without}");
    let confidence = &with["confidence"];
    assert_eq!(confidence["replicates"], 1000);
    assert_eq!(confidence["block_rows_normal"], 1);
    for figure in FIGURES {
        assert_eq!(with[figure], without[figure], "{figure}");
        let ((low, high), value) = (pair(&confidence[figure]), with[figure].as_f64().expect("a number"));
        assert!(low <= value && value <= high && low < high, "{figure}: {low} {value} {high}");
    }
    let again = folder.flowlet("eval m.flow test.csv --label label --json -q").json();
    assert_eq!(again["confidence"], *confidence, "seeded");
    let other = folder.flowlet("eval m.flow test.csv --label label --bootstrap-seed 1 --json").json();
    assert_ne!(other["confidence"]["auroc"], confidence["auroc"]);
    let said = folder.flowlet("eval m.flow test.csv --label label").stdout;
    assert!(said.contains("95 % of 1000 bootstrap replicates"), "{said}");
    let blocks = folder.flowlet("eval m.flow test.csv --label label --block 20 --json").json();
    assert_eq!(blocks["confidence"]["block_rows_normal"], 20);

    let usage = |arguments: &str, word: &str| {
        let run = folder.flowlet(arguments);
        assert!(run.code == 2 && run.stdout.is_empty() && run.stderr.contains(word), "{arguments}: {run:?}");
    };
    usage("eval m.flow test.csv --label label --block 0", "--block");
    usage("eval m.flow test.csv --label label --bootstrap 5", "--bootstrap");
    usage("eval m.flow m.flow --label label", "table");
}

/// Two series: in the first an event whose first five rows still look normal, in the second one that never shows.
#[test]
fn events_are_noticed_late_or_missed() {
    let folder = trained();
    let series = |seed: u64, event: std::ops::Range<usize>, shown: std::ops::Range<usize>| {
        let mut text = "a,b,c,label\n".to_owned();
        for (row, line) in normal_csv(200, seed).lines().skip(1).take(100).enumerate() {
            let shift = if shown.contains(&row) { ",-500" } else { "" };
            let cells: Vec<&str> = line.split(',').collect();
            // Labels are what this is about: normal values are the middle of normal rows.
            let (a, b, c) =
                if shift.is_empty() { ("20.0", "0.0", "100.3") } else { (cells[0], "-500", cells[2]) };
            text.push_str(&format!("{a},{b},{c},{}\n", u8::from(event.contains(&row))));
        }
        text
    };
    folder.write("one.csv", series(7, 40..60, 45..60)).write("two.csv", series(8, 50..60, 0..0));
    let json = folder.flowlet("eval m.flow one.csv two.csv --label label --segments --json").json();
    let segments = &json["segments"];
    assert_eq!(
        (&segments["count"], &segments["detected"], &segments["missed"]),
        (&2.into(), &1.into(), &1.into())
    );
    assert_eq!((segments["median_delay"].as_f64(), segments["worst_delay"].as_u64()), (Some(5.0), Some(5)));
    let list = &segments["list"];
    assert_eq!(
        (&list[0]["file"], &list[0]["first_row"], &list[0]["delay"]),
        (&"one.csv".into(), &40.into(), &5.into())
    );
    assert_eq!(
        (&list[1]["file"], &list[1]["last_row"], &list[1]["delay"]),
        (&"two.csv".into(), &59.into(), &Value::Null)
    );
    assert_eq!(json["rows"], 200);
    assert!(json["confidence"]["block_rows_anomalous"].as_u64() > Some(1), "in blocks: {json}");
    let said = folder.flowlet("eval m.flow one.csv two.csv --label label --segments").stdout;
    assert!(said.contains("1 of 2 noticed, 1 missed"), "{said}");
    // A part of each file.
    let part = folder.flowlet("eval m.flow one.csv --label label --segments --rows 50.. --json").json();
    assert_eq!((&part["segments"]["list"][0]["first_row"], &part["rows"]), (&50.into(), &50.into()));
}

#[test]
fn images_side_by_side() {
    let folder = trained();
    folder.write("train.csv", normal_csv(400, 1)).write("more.csv", labelled_csv(900, 6));
    let other =
        "train train.csv -o q.flow --numeric i16 --flow nice --layers 1 --hidden 4 --epochs 1 --no-history";
    assert_eq!(folder.flowlet(other).code, 0);
    assert!(!folder.list().contains(&"q.flow.json".to_owned()));
    let json = folder.flowlet("eval m.flow q.flow m.flow more.csv --label label --json").json();
    let alone = folder.flowlet("eval m.flow more.csv --label label --json").json();
    for figure in FIGURES {
        assert_eq!(json[figure], alone[figure], "the first image is the result: {figure}");
    }
    let images = json["images"].as_array().expect("a list");
    assert_eq!(
        images.iter().map(|i| i["numeric"].as_str()).collect::<Vec<_>>(),
        [Some("f32"), Some("i16"), Some("f32")]
    );
    assert_ne!(images[1]["image_bytes"], images[0]["image_bytes"], "{json}");
    let comparisons = json["comparisons"].as_array().expect("a list");
    let difference = |of: usize| comparisons[of]["auroc_difference"].as_f64().expect("a number");
    let auroc = |of: usize| images[of]["auroc"].as_f64().expect("a number");
    assert!((difference(0) - (auroc(0) - auroc(1))).abs() < 1e-12, "{json}");
    let (low, high) = pair(&comparisons[0]["interval"]);
    assert!(low <= difference(0) && difference(0) <= high && low < high, "{json}");
    assert_eq!((difference(1), comparisons[1]["p_value"].as_f64()), (0.0, Some(1.0)), "with itself");
    let said = folder.flowlet("eval m.flow q.flow more.csv --label label").stdout;
    assert!(said.contains("m.flow less q.flow"), "{said}");
}

/// The alarm that an image brings is run over the rows: as `flowlet alarm` counts it, and as the scores say.
#[test]
fn a_stored_alarm_is_judged_too() {
    let folder = trained();
    assert_eq!(folder.flowlet("alarm m.flow --votes 1/1@3 -o a.flow").code, 0);
    let eval = folder.flowlet("eval a.flow test.csv --label label --bootstrap 0 --json").json();
    let alarm = folder.flowlet("alarm a.flow test.csv --label label --json").json();
    assert_eq!(eval["alarm"], alarm["measured"]);
    // One vote of three bits: on where the p-value is an eighth or less, but for what rounding of p-values moves.
    let scores = folder.flowlet("score a.flow test.csv -q").stdout;
    let p_value = |line: &str| line.split(',').nth(2).expect("a column").parse::<f64>().expect("a number");
    let on = |most: f64| scores.lines().skip(1).filter(|line| p_value(line) <= most).count() as u64;
    let rows_on = eval["alarm"]["rows_on"].as_u64().expect("a count");
    assert!(rows_on > 10 && (on(0.1245)..=on(0.1255)).contains(&rows_on), "{rows_on}");
    assert!(folder.flowlet("eval m.flow test.csv --label label --json").json()["alarm"].is_null());
    let text = folder.flowlet("eval a.flow test.csv --label label").stdout;
    assert!(text.contains("stored alarm"), "{text}");
}
