//! Host and emulated chip give the same bits for every kind of conditioner net and every activation.

use flowlet_tests::device_compare::{on_host, simulator};
use flowlet_tests::nets::{metadata, net_flow, Shape, ACTIVATIONS, KINDS};
use flowlet_tests::{normal_readings, Random, NUMERICS};
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

/// Odd and even shapes, with and without context; the second has one channel.
const SHAPES: [Shape; 2] =
    [Shape { length: 4, channels: 3, contexts: 2 }, Shape { length: 6, channels: 1, contexts: 0 }];

#[test]
fn every_net_gives_the_hosts_bits() {
    let Some(simulator) = simulator("every_net_gives_the_hosts_bits") else { return };
    for numeric in NUMERICS {
        let mut compared = 0;
        for kind in KINDS {
            let mut instructions = String::new();
            for (index, activation) in ACTIVATIONS.into_iter().enumerate() {
                let shape = SHAPES[index % SHAPES.len()];
                let mut random = Random(index as u64);
                let flow = net_flow(&mut random, kind, activation, shape);
                let rows = readings(&mut random, &flow);
                let normal = &rows[..ORDINARY * flow.inputs()];
                let calibration = Calibration { readings: normal, false_alarm_rate: 0.05 };
                let image = build(&flow, numeric, &metadata(&flow), calibration).expect("an image");
                let run = simulator
                    .run(image.bytes(), &rows, flow.inputs(), |_| {})
                    .unwrap_or_else(|error| panic!("{error}"));
                let host = on_host(&image, &rows);
                assert_eq!(run.rows.len(), host.len());
                for (row, (device, host)) in run.rows.iter().zip(&host).enumerate() {
                    assert_eq!(device, host, "{numeric:?} {kind:?} {activation:?} row {row}");
                }
                compared += host.len();
                let per_score = run.instructions_per_score.expect("scores");
                instructions += &format!(" {activation:?} {per_score:.0} ({} MACs)", flow.macs());
            }
            println!("{numeric:?} {kind:?}: instructions per score:{instructions}");
        }
        println!("{numeric:?}: {compared} rows alike");
        assert!(compared >= 1000, "{compared}");
    }
}
