//! Specifications: presets resolve, and what is wrong is said with file, line, value and remedy.

use super::{features, Labelling, Plan, Spec, PRESETS};
use crate::table::Table;
use flowlet::stream::FrontEnd;
use std::path::PathBuf;

fn table(columns: &[&str], values: Vec<f32>) -> Table {
    let rows = values.len() / columns.len();
    let columns = columns.iter().map(|name| (*name).to_owned()).collect();
    Table { path: PathBuf::from("stream.npy"), columns, rows, values, ..Table::default() }
}

/// Two channels with something in them.
fn two() -> Table {
    table(&["de", "fe"], (0..6000).map(|i| ((i * i) % 1009) as f32 / 100.0).collect())
}

#[test]
fn presets_resolve_at_any_usual_rate() {
    for (name, _) in PRESETS {
        let spec = Spec::read(name).expect("a preset");
        for rate in [0.1, 1.0, 400.0, 3200.0, 48_000.0] {
            let plan = Plan::new(&spec, rate, &[two()]).expect("a plan");
            let front_end = FrontEnd::parse(&plan.record).expect("a record");
            assert_eq!(front_end.features(), plan.names.len());
            assert_eq!(plan.units.len(), plan.names.len());
            let mut unique = plan.names.clone();
            unique.sort();
            unique.dedup();
            assert_eq!(unique.len(), plan.names.len(), "{:?}", plan.names);
        }
    }
    let plan = Plan::new(&Spec::read("vibration").expect("a preset"), 48_000.0, &[two()]).expect("a plan");
    let shown = plan.names[..5].join(" ") + " " + &plan.names[14];
    assert_eq!(
        shown,
        "de.rms de.crest de.kurtosis de.band_188-375Hz de.band_375-750Hz de.envelope_750-1500Hz"
    );
    assert_eq!(plan.names.len(), 30);
}

/// Every message names the file, the line if there is one, the value, and what to do.
#[test]
fn what_is_wrong_is_said() {
    let said = |text: &str| {
        let found = Spec::parse("s.toml", text).and_then(|spec| Plan::new(&spec, 1000.0, &[two()]));
        found.expect_err("an error").to_string()
    };
    let spec = |rest: &str| said(&format!("window = 64\nhop = 32\n{rest}"));
    for (message, parts) in [
        (said("window = 64\nhopp = 3\n[features]\n"), &["s.toml, line 2", "hopp", "hop"][..]),
        (said("window = \"long\"\n[features]\nrms = \"log2\""), &["s.toml, line 1", "streams.md"]),
        (said("window = 5000\n[features]\nrms = \"log2\""), &["line 1", "5000", "8 to 4096"]),
        (said("window = 1000\n[features]\nbands = { even = 3 }"), &["line 1", "1000", "1024"]),
        (said("window = 64\nhop = 0\n[features]\nrms = \"log2\""), &["line 2", "hop = 0", "1 or more"]),
        (spec("[features]\nrms = \"log\"\n"), &["line 4", "log2"]),
        (spec("[features]\nbands = { octaves = 9 }\n"), &["line 4", "15.6", "longer window"]),
        (spec("[features]\nbands = { form = \"plain\" }\n"), &["line 4", "octaves = 7"]),
        (spec("[features]\nbands = { edges_hz = [100.0, 700.0] }\n"), &["line 4", "703", "500"]),
        (
            spec("[[features.envelope]]\noctaves = 2\nfrom_hz = 10\nto_hz = 490\n"),
            &["line 3", "484", "62.5 to 250"],
        ),
        (spec("[[features.envelope]]\nfrom = 0.2\n"), &["line 3", "octaves = 5"]),
        (spec("[features]\ncorrelation = \"some\"\n"), &["line 4", "some", "all"]),
        (spec("[features]\ncorrelation = [[\"de\", \"xx\"]]\n"), &["line 4", "'xx'", "de, fe"]),
        (spec("[features]\nmean = true\n[[channel]]\nname = \"ax\"\n"), &["line 6", "'ax'", "de, fe"]),
        (
            spec("[features]\nmean = true\n[[channel]]\nname = \"de\"\nscale = 0.0\n"),
            &["line 7", "scale = 0"],
        ),
        (said("window = 64\nsamples = \"i16\"\n[features]\nmean = true\n"), &["'de'", "scale = 0.001"]),
        (spec("[features]\n"), &["s.toml", "0 features"]),
    ] {
        for part in parts {
            assert!(message.contains(part), "'{part}' is not in '{message}'");
        }
    }
}

#[test]
fn labels_of_windows_and_gaps() {
    let text = "window = 8\nhop = 4\n[features]\nmean = true\n";
    let mut samples = table(&["x"], (0..40).map(|i| i as f32).collect());
    let plan = Plan::new(&Spec::parse("s", text).expect("a spec"), 1.0, &[samples.clone()]).expect("a plan");
    let front_end = FrontEnd::parse(&plan.record).expect("a record");
    samples.labels = Some((0..40).map(|i| (13..18).contains(&i)).collect());
    let of = |samples: &Table, share| {
        features(&front_end, &plan.names, samples, Labelling { share }).expect("features")
    };
    let any = of(&samples, 0.0);
    assert_eq!(any.values, (0..9).map(|w| 3.5 + 4.0 * w as f32).collect::<Vec<_>>());
    let labels = |table: &Table| -> String {
        table.labels.iter().flatten().map(|&is| if is { '1' } else { '0' }).collect()
    };
    assert_eq!(labels(&any), "001110000");
    assert_eq!(labels(&of(&samples, 0.5)), "000100000");
    // Samples 20 and 21 are missing: windows end before and begin behind.
    let kept: Vec<usize> = (0..40).filter(|i| !(20..22).contains(i)).collect();
    let mut holed = table(&["x"], kept.iter().map(|&i| i as f32).collect());
    holed.row_numbers = Some(kept);
    let found = of(&holed, 0.0);
    assert_eq!(found.values, [3.5, 7.5, 11.5, 15.5, 25.5, 29.5, 33.5]);
    assert!(found.notes[0].contains("1 gap"), "{:?}", found.notes);
    let short = table(&["x"], vec![0.0; 7]);
    let error = features(&front_end, &plan.names, &short, Labelling { share: 0.0 }).expect_err("too few");
    assert!(error.to_string().contains("7 samples are no window of 8"), "{error}");
}
