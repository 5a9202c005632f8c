//! Weights in the order of each core: the same scores, bit for bit, on the host and on the cores themselves.

use flowlet_tests::device_compare::{on_host, readings, simulator_of, ORDINARY};
use flowlet_tests::nets::{self, net_flow, Shape, ACTIVATIONS, KINDS};
use flowlet_tests::{metadata, normal_readings, random_flow, Random};
use flowlet_tools::device::Board;
use flowlet_tools::export::{arrange, build, Calibration, Core, ImageFile, Numeric};

const INTEGERS: [Numeric; 2] = [Numeric::I16, Numeric::I8];

fn image_of(flow: &flowlet_tools::flow::Flow, numeric: Numeric, rows: &[f32]) -> ImageFile {
    let calibration = Calibration { readings: rows, false_alarm_rate: 0.05 };
    build(flow, numeric, &nets::metadata(flow), calibration).expect("an image")
}

#[test]
fn the_order_changes_no_score_no_size_and_comes_back() {
    let shape = Shape { length: 6, channels: 3, contexts: 2 };
    for numeric in [Numeric::F32, Numeric::I16, Numeric::I8] {
        for kind in KINDS {
            for activation in ACTIVATIONS {
                let mut random = Random(8);
                let flow = net_flow(&mut random, kind, activation, shape);
                let rows = normal_readings(&mut random, &flow, 60);
                let image = image_of(&flow, numeric, &rows);
                let before = on_host(&image, &rows);
                for core in Core::ALL {
                    let arranged = arrange(&image, core).expect("an image");
                    assert_eq!(arranged.bytes().len(), image.bytes().len());
                    assert_eq!(
                        on_host(&arranged, &rows),
                        before,
                        "{numeric:?} {kind:?} {activation:?} {core:?}"
                    );
                    assert_eq!(arrange(&arranged, Core::default()).expect("an image"), image, "{core:?}");
                    let has_own_order = match core {
                        Core::CortexM0 | Core::CortexM0Plus => numeric == Numeric::I8,
                        Core::CortexM55 => numeric != Numeric::F32,
                        _ => false,
                    };
                    assert_eq!(arranged.bytes() != image.bytes(), has_own_order, "{numeric:?} {core:?}");
                }
            }
        }
    }
}

/// Every activation and shape of net on a core, in the order for it.
fn a_core_gives_the_hosts_bits(board: Board, core: Core, test: &str) {
    let Some(simulator) = simulator_of(board, test) else { return };
    let shape = Shape { length: 4, channels: 3, contexts: 0 };
    let mut random = Random(77);
    let mut flows = vec![
        ("4x8x4".into(), random_flow(&mut random, 4, 3, &[8])),
        ("odd".into(), random_flow(&mut random, 5, 2, &[13, 21])),
        ("one".into(), random_flow(&mut random, 2, 2, &[1, 33])),
        ("wide".into(), random_flow(&mut random, 7, 1, &[64, 37])),
    ];
    for kind in KINDS {
        for activation in ACTIVATIONS {
            flows.push((format!("{kind:?} {activation:?}"), net_flow(&mut random, kind, activation, shape)));
        }
    }
    for (name, flow) in flows {
        let rows = readings(&mut random, &flow);
        for numeric in INTEGERS {
            let image = image_of(&flow, numeric, &rows[..ORDINARY * flow.features]);
            let image = arrange(&image, core).expect("an image");
            let device = simulator
                .run(image.bytes(), &rows, flow.features, |_| {})
                .unwrap_or_else(|error| panic!("{board}, {name}: {error}"));
            let instructions = device.instructions_per_score.unwrap_or_default();
            println!("{board}, {name}, {numeric:?}: {instructions:.0} instructions ({} MACs)", flow.macs());
            assert_eq!(device.rows, on_host(&image, &rows), "{board}, {name}, {numeric:?}");
        }
    }
}

#[test]
fn a_cortex_m0_gives_the_hosts_bits_in_its_own_order() {
    a_core_gives_the_hosts_bits(
        Board::Microbit,
        Core::CortexM0,
        "a_cortex_m0_gives_the_hosts_bits_in_its_own_order",
    );
}

#[test]
fn a_cortex_m3_gives_the_hosts_bits_in_its_own_order() {
    a_core_gives_the_hosts_bits(
        Board::Mps2An385,
        Core::CortexM3,
        "a_cortex_m3_gives_the_hosts_bits_in_its_own_order",
    );
}

#[test]
fn a_cortex_m55_gives_the_hosts_bits_in_its_own_order() {
    a_core_gives_the_hosts_bits(
        Board::Mps3An547,
        Core::CortexM55,
        "a_cortex_m55_gives_the_hosts_bits_in_its_own_order",
    );
}

/// The flow that goals are stated for: `-- --nocapture` prints what a score costs in each order.
#[test]
fn the_reference_flow_on_small_cores() {
    let mut random = Random(16);
    let flow = random_flow(&mut random, 16, 6, &[32, 32]);
    assert_eq!(flow.macs(), 10_752);
    let rows = readings(&mut random, &flow);
    let calibration = Calibration { readings: &rows[..ORDINARY * 16], false_alarm_rate: 0.05 };
    for (board, core) in [
        (Board::Microbit, Core::CortexM0),
        (Board::Mps2An385, Core::CortexM3),
        (Board::Mps3An547, Core::CortexM55),
    ] {
        let Some(simulator) = simulator_of(board, "the_reference_flow_on_small_cores") else { return };
        for numeric in INTEGERS {
            let image = build(&flow, numeric, &metadata(16), calibration).expect("an image");
            for order in [core, Core::CortexM4F] {
                let image = arrange(&image, order).expect("an image");
                let device = simulator
                    .run(image.bytes(), &rows, 16, |_| {})
                    .unwrap_or_else(|error| panic!("{board}: {error}"));
                assert_eq!(device.rows, on_host(&image, &rows), "{board}, {numeric:?}");
                let instructions = device.instructions_per_score.unwrap_or_default();
                println!("{board}, {numeric:?}, in the order for {}: {instructions:.0}", order.name());
            }
        }
    }
}
