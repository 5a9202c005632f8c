//! Statistics, explanations and samples: host and emulated chip give the same bits.

use flowlet_tests::trained::{self, calibration, experts, readings, usual, FEATURES};
use flowlet_tests::{metadata, normal_readings, random_flow, Random, NUMERICS};
use flowlet_tools::device::{error_code, skips, Board, DeviceError, Inquirer, Install, Simulator};
use flowlet_tools::export::{build, Combine, Ensemble, ImageFile, Numeric, Statistic};

fn inquirer(test: &str) -> Option<Inquirer> {
    match Inquirer::new(Board::Mps2An386, Install::Forbidden) {
        Ok(inquirer) => Some(inquirer),
        Err(DeviceError::Missing(missing)) => {
            skips::record(test, &missing);
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// Compares every word; gives how many there were.
fn compare(inquirer: &Inquirer, image: &ImageFile, rows: &[f32], inputs: usize, what: &str) -> usize {
    let device = inquirer.run(image.bytes(), rows, inputs).unwrap_or_else(|error| panic!("{what}: {error}"));
    let host = Inquirer::on_host(image.bytes(), rows, inputs).expect("a good image");
    assert_eq!(device.rows.len(), host.len(), "{what}");
    for (index, (device, host)) in device.rows.iter().zip(&host).enumerate() {
        assert_eq!(device, host, "{what}: row {index}, {:?}", &rows[index * inputs..][..inputs]);
    }
    println!(
        "{what}: {:?} instructions per explanation, {} bytes of workspace, {} of stack",
        device.instructions_per_explanation.map(f64::round),
        device.workspace_bytes,
        device.stack_bytes
    );
    assert!((256..8 << 10).contains(&device.stack_bytes), "{what}: {} bytes of stack", device.stack_bytes);
    host.iter().flatten().map(Vec::len).sum()
}

/// Ordinary rows, rows off them, and special values.
fn rows(normal: &[f32], inputs: usize) -> Vec<f32> {
    let mut rows = normal.to_vec();
    for (index, row) in normal.chunks(inputs).enumerate() {
        let mut row = row.to_vec();
        let special = [1e9, -1e30, f32::MAX, 0.0, -0.0, 1e-45, f32::NAN, f32::INFINITY];
        if index % 2 == 0 {
            row[index % inputs] = special[index / 2 % special.len()];
        } else {
            row.iter_mut().for_each(|x| *x *= 1.5);
        }
        rows.extend(row);
    }
    rows
}

#[test]
fn single_flows_give_the_hosts_words() {
    let Some(inquirer) = inquirer("single_flows_give_the_hosts_words") else { return };
    let mut words = 0;
    for numeric in NUMERICS {
        let normal = readings(500, 2);
        let image = build(usual(), numeric, &metadata(FEATURES), calibration(&normal)).expect("an image");
        words += compare(
            &inquirer,
            &image,
            &rows(&normal[..40 * FEATURES], FEATURES),
            FEATURES,
            &format!("{numeric:?}"),
        );
        let mut random = Random(3);
        let flow = random_flow(&mut random, 7, 4, &[13, 9]);
        let normal = normal_readings(&mut random, &flow, 300);
        let image = build(&flow, numeric, &metadata(7), calibration(&normal)).expect("an image");
        words += compare(&inquirer, &image, &rows(&normal[..20 * 7], 7), 7, &format!("{numeric:?}, random"));
    }
    assert!(words > 10_000, "{words}");
}

#[test]
fn experts_and_contexts_give_the_hosts_words() {
    let Some(inquirer) = inquirer("experts_and_contexts_give_the_hosts_words") else { return };
    let normal = readings(500, 2);
    let by_speed = trained::readings_by_speed(500, 2);
    for numeric in NUMERICS {
        for (combine, quoted, statistic) in [
            (Combine::Minimum, 1, Statistic::SquaredNorm),
            (Combine::Mean, 2, Statistic::Typicality),
            (Combine::Quoted, 2, Statistic::NegativeLogProb),
        ] {
            let ensemble =
                Ensemble { combine, quoted, ..Ensemble::new(experts().to_vec()) }.with_statistic(statistic);
            let image =
                build(&ensemble, numeric, &metadata(FEATURES), calibration(&normal)).expect("an image");
            let what = format!("{numeric:?}, {combine:?}, {statistic:?}");
            compare(&inquirer, &image, &rows(&normal[..16 * FEATURES], FEATURES), FEATURES, &what);
        }
        let image = build(trained::by_speed(), numeric, &trained::metadata(2, 1), calibration(&by_speed));
        let image = image.expect("an image");
        compare(&inquirer, &image, &rows(&by_speed[..30 * 3], 3), 3, &format!("{numeric:?}, in context"));
        let host = Inquirer::on_host(image.bytes(), &[0.0, 0.0, f32::NAN], 3).expect("a good image");
        assert_eq!(host[0], Err(error_code(flowlet::Error::NotFinite { feature: 2 })));
    }
}

/// What it costs that every expert standardizes the features anew: experts of nothing but a standardizer and a
/// standard normal, by the number of features.
#[test]
fn another_expert_standardizes_for_little() {
    let Some(_) = inquirer("another_expert_standardizes_for_little") else { return };
    let simulator = Simulator::new(Board::Mps2An386, Install::Forbidden).expect("as the other firmware");
    for (numeric, most) in [(Numeric::F32, 40.0), (Numeric::I8, 140.0)] {
        let cost = |features: usize, experts: usize| {
            let mut random = Random(5);
            let mut flow = random_flow(&mut random, features, 1, &[4]);
            flow.transforms.truncate(1);
            let rows = normal_readings(&mut random, &flow, 100);
            let ensemble = Ensemble { combine: Combine::Minimum, ..Ensemble::new(vec![flow; experts]) };
            let image = build(&ensemble, numeric, &metadata(features), calibration(&rows)).expect("an image");
            let done = simulator.run(image.bytes(), &rows, features, |_| {}).expect("a simulation");
            done.instructions_per_score.expect("rows that can be scored")
        };
        let further = |features| cost(features, 2) - cost(features, 1);
        let per_feature = (further(24) - further(8)) / 16.0;
        println!("{numeric:?}: {per_feature:.1} instructions per feature, {:.0} in all for 8", further(8));
        assert!(per_feature < most, "{numeric:?}: {per_feature}");
    }
}
