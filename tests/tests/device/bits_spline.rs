//! Host and emulated chip give the same bits for spline couplings of every parameterization and number of bins.

use flowlet_tests::device_compare::{on_host, simulator};
use flowlet_tests::splines::{spline_flow, Shape, PARAMETERS};
use flowlet_tests::{metadata, normal_readings, Random, NUMERICS};
use flowlet_tools::export::{build, Calibration};
use flowlet_tools::flow::{Flow, Transform};

/// Ordinary rows of each image; wild ones come on top.
const ORDINARY: usize = 60;

/// Ordinary rows, rows at growing distances, zeros, subnormals and sensor faults.
fn readings(random: &mut Random, flow: &Flow) -> Vec<f32> {
    let mut rows = normal_readings(random, flow, ORDINARY);
    let Transform::Standardize(s) = &flow.transforms[0] else { panic!("a standardizer comes first") };
    for power in 0..15 {
        let away = (2.0 * power as f32 + 1.0).exp2();
        rows.extend(
            s.mean
                .iter()
                .zip(&s.std)
                .map(|(mean, std)| mean + std * if random.below(2) == 0 { away } else { -away }),
        );
    }
    for special in [0.0, -0.0, 1e-45, -1e-40, f32::MAX, f32::MIN, f32::NAN, f32::INFINITY] {
        rows.extend(vec![special; flow.inputs()]);
    }
    rows
}

#[test]
fn splines_give_the_hosts_bits() {
    let Some(simulator) = simulator("splines_give_the_hosts_bits") else { return };
    for numeric in NUMERICS {
        let mut compared = 0;
        for parameters in PARAMETERS {
            for (bins, features, size) in [(2, 2, 1.0), (4, 3, 2.0), (8, 8, 0.3), (16, 5, 1.0), (32, 2, 3.0)]
            {
                let mut random = Random(bins as u64);
                let shape = Shape { features, couplings: 4, hidden: &[32], bins, parameters, size };
                let flow = spline_flow(&mut random, shape);
                let rows = readings(&mut random, &flow);
                let normal = &rows[..ORDINARY * features];
                let calibration = Calibration { readings: normal, false_alarm_rate: 0.05 };
                let image = build(&flow, numeric, &metadata(features), calibration).expect("an image");
                let run = simulator
                    .run(image.bytes(), &rows, features, |_| {})
                    .unwrap_or_else(|error| panic!("{error}"));
                let host = on_host(&image, &rows);
                assert_eq!(run.rows.len(), host.len());
                for (row, (device, host)) in run.rows.iter().zip(&host).enumerate() {
                    assert_eq!(device, host, "{numeric:?} {shape:?} row {row}");
                }
                compared += host.len();
                println!(
                    "{numeric:?} {parameters:?}, {features} features, {bins} bins: {:.0} instructions per score, {} MACs",
                    run.instructions_per_score.expect("scores"),
                    flow.macs()
                );
            }
        }
        println!("{numeric:?}: {compared} rows alike");
        assert!(compared >= 800, "{compared}");
    }
}
