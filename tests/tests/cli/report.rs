//! `flowlet report`: what the page says, and what a real browser makes of it.

use flowlet_tests::browser;
use flowlet_tests::command::{labelled_csv, normal_csv, Folder};
use serde_json::{json, Value};
use std::sync::OnceLock;

const SECTIONS: [&str; 7] = ["scores", "rows", "worst", "training", "quantization", "cost", "image"];
/// A name that would do harm in a page that does not mind what it prints.
const WILD: &str =
    "<script>top.injected=1</script>&<b title='x'>a_name_that_is_much_longer_than_a_telephone_is_wide";

/// A folder with `m.flow` of two experts, its history, and `test.csv`; one column has a wild name.
fn trained() -> Folder {
    static FILES: OnceLock<[Vec<u8>; 2]> = OnceLock::new();
    let renamed = |text: String| text.replacen("b,", &format!("{WILD},"), 1);
    let [image, history] = FILES.get_or_init(|| {
        let folder = Folder::new();
        folder.write("train.csv", renamed(normal_csv(400, 1)));
        let json = folder.flowlet("train train.csv -o m.flow --epochs 4 --hidden 8 --layers 2 --json").json();
        assert_eq!(json["history"], "m.flow.json");
        [folder.read("m.flow"), folder.read("m.flow.json")]
    });
    let folder = Folder::new();
    folder.write("m.flow", image).write("m.flow.json", history);
    folder.write("test.csv", renamed(labelled_csv(300, 2)));
    folder
}

fn text(folder: &Folder, name: &str) -> String {
    String::from_utf8(folder.read(name)).expect("text")
}

fn section<'a>(page: &'a str, id: &str) -> &'a str {
    let from = page.find(&format!("<section id=\"{id}\"")).unwrap_or_else(|| panic!("no section {id}"));
    let rest = &page[from..];
    &rest[..rest.find("</section>").expect("an end")]
}

/// Every tag that is opened is closed, in order.
fn assert_nested(page: &str) {
    const VOID: [&str; 4] = ["meta", "link", "br", "!DOCTYPE"];
    let mut open: Vec<&str> = Vec::new();
    let body = page.split_once("</style>").expect("a style").1;
    for tag in body.split('<').skip(1) {
        let tag = tag.split_once('>').unwrap_or_else(|| panic!("a stray <: {tag}")).0;
        let name = tag.trim_start_matches('/').split([' ', '/']).next().expect("a name");
        if VOID.contains(&name) || tag.ends_with('/') {
            continue;
        }
        if tag.starts_with('/') {
            let last = open.pop();
            assert!(
                last == Some(name) || (last.is_none() && ["head", "html"].contains(&name)),
                "{last:?} {name}"
            );
        } else {
            open.push(name);
        }
    }
    assert_eq!(open, [""; 0]);
}

#[test]
fn the_page_says_all_that_is_known() {
    let folder = trained();
    let json = folder.flowlet("report m.flow test.csv --label label -o report.html --json").json();
    assert_eq!(json["path"], "report.html");
    assert_eq!(json["training_curve"], true);
    let page = text(&folder, "report.html");
    assert_nested(&page);
    for id in SECTIONS {
        section(&page, id);
    }
    // The figures are those of `eval`.
    let eval = folder.flowlet("eval m.flow test.csv --label label --json").json();
    let auroc = format!("{:.4}", eval["auroc"].as_f64().expect("a number"));
    assert!(section(&page, "scores").contains(&format!("AUROC {auroc}")), "{auroc}");
    let interval = eval["confidence"]["auroc"].as_array().expect("two numbers");
    let range =
        format!("{:.4} to {:.4}", interval[0].as_f64().expect("one"), interval[1].as_f64().expect("one"));
    assert!(page.contains(&range), "{range}");
    // The worst row is that of `score`, explained as `explain` does.
    folder.flowlet("score m.flow test.csv -o s.csv -q");
    let scores = text(&folder, "s.csv");
    let score = |line: &&str| line.split(',').nth(3).and_then(|s| s.parse::<f64>().ok()).expect("a score");
    let worst = scores.lines().skip(1).max_by(|a, b| score(a).total_cmp(&score(b))).expect("rows");
    let row = worst.split(',').next().expect("a number");
    let told = section(&page, "worst");
    assert!(told.find("<b>Row ") == told.find(&format!("<b>Row {row}</b>")), "{row}");
    let explained = folder.flowlet(&format!("explain m.flow test.csv --row {row} --json")).json();
    let shares = explained["attribution"].as_object().expect("by name");
    let most = shares
        .iter()
        .max_by(|a, b| a.1.as_f64().partial_cmp(&b.1.as_f64()).expect("numbers"))
        .expect("some")
        .0;
    let escaped = most.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('\'', "&#39;");
    assert!(told.contains(&format!("<b>{escaped}</b> bears")), "{most}");
    // Curves of both experts, and the bytes of the image.
    let training = section(&page, "training");
    assert!(training.contains("Expert 0") && training.contains("Expert 1"), "{training}");
    assert!(training.contains("epoch 4 was kept") || training.contains("epoch 3 was kept"), "{training}");
    assert!(section(&page, "quantization").contains("measured on held-out rows"));
    let bytes = folder.read("m.flow").len();
    assert!(section(&page, "cost").contains(&format!("{},{:03} bytes", bytes / 1000, bytes % 1000)));
    // The same again gives the same bytes.
    assert_eq!(folder.flowlet("report m.flow test.csv --label label -o again.html -q").code, 0);
    assert_eq!(folder.read("again.html"), folder.read("report.html"));
}

#[test]
fn without_labels_or_history_the_page_says_what_is_missing() {
    let folder = trained();
    std::fs::remove_file(folder.path().join("m.flow.json")).expect("it was there");
    let run = folder.flowlet("report m.flow test.csv -o report.html");
    assert!(run.stderr.contains("no training curve") && run.stderr.contains("m.flow.json"), "{run:?}");
    let page = text(&folder, "report.html");
    assert_nested(&page);
    assert!(section(&page, "training").contains("flowlet train writes it beside the image"));
    assert!(section(&page, "scores").contains("No label column"));

    // The history of another image is not drawn, unless it is named.
    let other = json!({ "image": "0-0", "train": { "recipe": "another" }, "curves": [] });
    folder.write("m.flow.json", other.to_string());
    let run = folder.flowlet("report m.flow test.csv -o report.html");
    assert!(run.stderr.contains("of another image"), "{run:?}");
    assert_eq!(folder.flowlet("report m.flow test.csv --history m.flow.json -o report.html -q").code, 0);
    assert!(section(&text(&folder, "report.html"), "training").contains("another"));

    folder.write("x.json", "{}");
    folder
        .flowlet("report m.flow test.csv --history x.json -o r.html")
        .fails(1, &["x.json", "flowlet train"]);
    folder.flowlet("report m.flow test.csv -o none/r.html").fails(1, &["none/r.html"]);
    assert!(!folder.list().contains(&"r.html".to_owned()));
}

#[test]
fn what_a_search_tried_is_drawn_with_its_front() {
    let folder = trained();
    let mut history: Value = serde_json::from_slice(&folder.read("m.flow.json")).expect("JSON");
    history["train"]["candidates"] = json!([
        { "name": "tiny", "nll": 3.0, "instructions": 5000, "bytes": 3000 },
        { "name": "middling", "nll": 2.0, "instructions": 20000, "bytes": 9000 },
        { "name": "wasteful", "nll": 2.5, "instructions": 60000, "bytes": 20000 },
    ]);
    history["train"]["chosen"] = json!(1);
    folder.write("m.flow.json", history.to_string());
    assert_eq!(folder.flowlet("report m.flow test.csv -o report.html -q").code, 0);
    let page = text(&folder, "report.html");
    assert_nested(&page);
    let front = section(&page, "front");
    assert!(front.contains("middling (chosen)") && front.contains("Against instructions"), "{front}");
    // Three corners: from tiny across and down to middling; what wastes is not on the line.
    let line =
        front.split("class=\"line normal\" d=\"").nth(1).and_then(|l| l.split('"').next()).expect("a line");
    assert_eq!(line.matches('L').count(), 2, "{line}");
}

#[test]
fn a_browser_shows_it_at_any_width_in_light_and_dark() {
    let Some(browser) = browser::find("a_browser_shows_it_at_any_width_in_light_and_dark") else { return };
    let folder = trained();
    assert_eq!(folder.flowlet("report m.flow test.csv --label label -o report.html -q").code, 0);
    let page = text(&folder, "report.html");
    for dark in [false, true] {
        let widths = [360, 768, 1280];
        let (found, console) = browser::look(&browser, &page, &widths, dark);
        assert_eq!(console, [""; 0]);
        assert_eq!(found.len(), widths.len());
        for (seen, width) in found.iter().zip(widths) {
            assert_eq!(seen["width"], width, "{seen}");
            assert_eq!(seen["overflow"], 0, "{seen}");
            assert_eq!(seen["sticks_out"], json!([]), "{seen}");
            assert_eq!(seen["dark"], dark, "{seen}");
            assert_eq!(seen["paper"].as_f64().expect("a number") < 0.1, dark, "{seen}");
            assert!(seen["contrast"].as_f64().expect("a number") >= 4.5, "{seen}");
            assert!(seen["smallest_text"].as_f64().expect("a number") >= 12.0, "{seen}");
            assert_eq!(seen["sections"], json!(SECTIONS), "{seen}");
            assert!(seen["pictures"].as_u64().expect("a count") >= 8, "{seen}");
            for none in [
                "mute_pictures",
                "flat_pictures",
                "links_to_nowhere",
                "twice",
                "scripts",
                "fetched",
                "headers_without_scope",
            ] {
                assert_eq!(seen[none], 0, "{none}: {seen}");
            }
            assert_eq!(seen["injected"], false, "{seen}");
        }
    }
}
