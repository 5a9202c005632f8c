//! The bearing data of the Case Western Reserve University Bearing Data Center, trained and judged by one command each.
//!
//! `FLOWLET_BEARING_DATA` names the folder with `normal.npy`, `ir_7.npy`, `b_7.npy`, `b_14.npy` (48 kHz, two channels), else
//! `../shared/data/bearing` beside the repository is used; without it the test is skipped, which is said.

use flowlet_tests::command::Folder;
use flowlet_tools::device::{skips, Board, DeviceError, Inquirer, Install};
use flowlet_tools::export::ImageFile;
use flowlet_tools::streams;
use flowlet_tools::table::{ReadOptions, Table};
use std::path::{Path, PathBuf};

fn data(test: &str) -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("FLOWLET_BEARING_DATA") {
        return Some(PathBuf::from(named));
    }
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/bearing");
    if !beside.is_dir() {
        println!("skipped {test}: no bearing data; FLOWLET_BEARING_DATA names their folder");
        return None;
    }
    Some(beside)
}

/// Samples that the emulated board is given of each file.
const ON_BOARD: usize = 20_000;

#[test]
fn faults_of_bearings_are_told_from_normal_running() {
    let test = "faults_of_bearings_are_told_from_normal_running";
    let Some(data) = data(test) else { return };
    let file = |name: &str| data.join(name).display().to_string();
    let folder = Folder::new();
    let normal = file("normal.npy");
    let trained =
        folder.flowlet(&format!("train {normal} --stream --rate 48000 --rows ..60% -o b.flow --json")).json();
    assert_eq!(trained["numeric"], "i8", "{trained}");
    for (fault, least) in [("ir_7.npy", 0.999), ("b_7.npy", 0.99), ("b_14.npy", 0.95)] {
        let fault = file(fault);
        let judged = folder
            .flowlet(&format!(
                "eval b.flow --stream --rate 48000 --normal {normal} --normal-rows 60%.. --anomalous {fault} --json"
            ))
            .json();
        let figure = |name: &str| judged[name].as_f64().expect(name);
        println!(
            "{fault}: AUROC {:.5}, {:.4} of normal windows alarm, {:.4} of the fault's",
            figure("auroc"),
            figure("false_alarm_rate"),
            figure("detection_rate")
        );
        assert!(figure("auroc") >= least, "{fault}: {judged}");
        assert!(figure("false_alarm_rate") < 0.05, "{fault}: {judged}");
    }
    let other = folder.flowlet(&format!("score b.flow {normal} --stream --rate 12000"));
    other.fails(1, &["48000 Hz", "12000"]);

    let inquirer = match Inquirer::of_windows(Board::Mps2An386, Install::Forbidden) {
        Ok(inquirer) => inquirer,
        Err(DeviceError::Missing(missing)) => return skips::record(test, &missing),
        Err(error) => panic!("{error}"),
    };
    let image = ImageFile::read(&folder.path().join("b.flow")).expect("the image");
    let model = image.model().expect("a good image");
    let front_end = model.front_end().expect("a front end");
    let names: Vec<String> = model.feature_names().map(|feature| feature.name.to_owned()).collect();
    for name in ["normal.npy", "b_14.npy"] {
        let rows = Some(200_000..200_000 + ON_BOARD);
        let samples = Table::read(&data.join(name), &ReadOptions { rows, ..ReadOptions::default() });
        let samples = samples.expect("the samples");
        let labelling = streams::Labelling { share: 0.0 };
        let features = streams::features(&front_end, &names, &samples, labelling).expect("features");
        let scores = flowlet_tools::export::scores(&image, &features.values).expect("scores");
        let device = inquirer.run_windows(image.bytes(), &samples.values, 2, features.rows).expect("answers");
        for (window, (device, score)) in device.rows.iter().zip(&scores).enumerate() {
            let mut host: Vec<u32> = features.row(window).iter().map(|x| x.to_bits()).collect();
            host.extend([score.log_prob, score.p_value, score.score].map(f32::to_bits));
            host.push(u32::from(score.alarm));
            assert_eq!(device.as_ref(), Ok(&host), "{name}, window {window}");
        }
        println!(
            "{name}: {} windows alike on the board; {:.0} instructions per window, its features and its score, on a \
             Cortex-M4F; {} bytes of stack",
            features.rows,
            device.instructions_per_explanation.expect("windows"),
            device.stack_bytes
        );
        assert!(features.rows > 10);
    }
}
