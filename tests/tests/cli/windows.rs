//! Raw streams on the command line: train, score, eval, explain and simulate with windows instead of rows.

use flowlet_tests::command::Folder;
use flowlet_tests::Random;
use std::fmt::Write;

/// Two axes at 1 kHz: noise and a hum; from `fault` on, impacts.
fn stream(random: &mut Random, length: usize, fault: usize) -> String {
    let mut text = "ax,ay,fault\n".to_owned();
    for at in 0..length {
        let is_fault = at >= fault;
        let hit = if is_fault && at % 50 < 6 { 6.0 * (at as f32 * 2.2).sin() } else { 0.0 };
        let hum = (at as f32 * 0.31).sin();
        let (ax, ay) = (random.normal() + hum + hit, 0.5 * random.normal() + hum + 9.81);
        let _ = writeln!(text, "{ax},{ay},{}", u8::from(is_fault));
    }
    text
}

const SPEC: &str = "window = 256\nhop = 64\n[features]\nmean = true\nrms = \"log2\"\nkurtosis = \"log2\"\n\
    correlation = \"all\"\n[features.bands]\noctaves = 5\n[[features.envelope]]\noctaves = 3\n\
    [[channel]]\nname = \"ax\"\nunit = \"g\"\n";

fn folder() -> Folder {
    let folder = Folder::new();
    let mut random = Random(4);
    folder.write("good.csv", stream(&mut random, 30_000, usize::MAX));
    folder.write("more.csv", stream(&mut random, 3000, usize::MAX));
    folder.write("mixed.csv", stream(&mut random, 12_000, 6000));
    folder.write("spec.toml", SPEC);
    folder
}

const TRAIN: &str =
    "train good.csv more.csv --stream --rate 1000 --features spec.toml --label fault --epochs 60 -o m.flow";

#[test]
fn windows_are_trained_on_scored_judged_and_explained() {
    let folder = folder();
    let trained = folder.flowlet(&format!("{TRAIN} --json")).json();
    // No window reaches from one file into the next.
    assert_eq!(trained["rows"], (30_000 - 256) / 64 + 1 + (3000 - 256) / 64 + 1);
    let names = trained["features"].as_array().expect("features");
    assert_eq!(names.len(), 2 * (3 + 5 + 3) + 1);
    assert_eq!(names[3], "ax.band_15.6-31.2Hz");
    assert_eq!(names[22], "ax~ay.correlation");

    let inspected = folder.flowlet("inspect m.flow --json").json();
    let front_end = &inspected["front_end"];
    assert_eq!((&front_end["window"], &front_end["hop"]), (&256.into(), &64.into()));
    assert_eq!(front_end["channels"][0]["unit"], "g");

    let judged =
        folder.flowlet("eval m.flow mixed.csv --stream --rate 1000 --label fault --segments --json").json();
    assert!(judged["auroc"].as_f64().expect("AUROC") > 0.99, "{judged}");
    assert_eq!(judged["segments"]["detected"], 1, "{judged}");
    let apart = "eval m.flow --stream --normal mixed.csv --normal-rows ..50% --anomalous mixed.csv --rows 6000.. --ignore fault --json";
    let apart = folder.flowlet(apart).json();
    assert!(apart["auroc"].as_f64().expect("AUROC") > 0.99, "{apart}");
    assert_eq!(apart["normal_rows"], (6000 - 256) / 64 + 1);

    let scored = folder.flowlet("score m.flow mixed.csv --stream --label fault -o scores.csv --json").json();
    assert_eq!(scored["rows"], (12_000 - 256) / 64 + 1);
    let scores = String::from_utf8(folder.read("scores.csv")).expect("text");
    assert_eq!(scores.lines().count(), 1 + (12_000 - 256) / 64 + 1);
    assert!(scores.lines().last().expect("a line").ends_with(",1,1"), "{scores}");
    let explained = folder.flowlet("explain m.flow mixed.csv --stream --row 180 --json").json();
    assert!(explained["attribution"]["ax.kurtosis"].is_number(), "{explained}");

    // A front end outlives quantization.
    let quantized =
        "quantize m.flow --numeric i16 --calibration more.csv --stream --label fault -o q.flow --json";
    assert_eq!(folder.flowlet(quantized).json()["numeric"], "i16");
    assert_eq!(folder.flowlet("inspect q.flow --json").json()["front_end"], *front_end);
}

#[test]
fn the_same_command_gives_the_same_image() {
    let folder = folder();
    assert_eq!(folder.flowlet(&format!("{TRAIN} -q --threads 1")).code, 0);
    let first = folder.read("m.flow");
    assert_eq!(folder.flowlet(&format!("{TRAIN} -q --threads 2")).code, 0);
    assert!(first == folder.read("m.flow"));
}

#[test]
fn what_does_not_go_together_is_said() {
    let folder = folder();
    let fails = |code, command: &str, parts: &[&str]| folder.flowlet(command).fails(code, parts);
    fails(2, "train good.csv --stream -o m.flow", &["--rate"]);
    fails(
        1,
        "train good.csv --stream --rate 1000 --features none.toml -o m.flow",
        &["none.toml", "vibration"],
    );
    fails(2, "train good.csv --stream --rate 1000 --context ax -o m.flow", &["--context", "--stream"]);
    folder.write("bad.toml", SPEC.replace("hop = 64", "hops = 64"));
    fails(
        1,
        "train good.csv --stream --rate 1000 --features bad.toml -o m.flow",
        &["bad.toml, line 2", "hops", "docs/streams.md"],
    );
    assert_eq!(
        folder.flowlet("train good.csv --rows ..400 --label fault --epochs 2 -q -o table.flow").code,
        0
    );
    fails(1, "score table.flow good.csv --stream", &["leave --stream out"]);
    fails(2, "train good.csv --rows ..50% -o t.flow", &["--rows", "percent"]);
    fails(2, "eval table.flow good.csv --stream", &["--label", "--normal"]);
}
