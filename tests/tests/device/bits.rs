//! Host and emulated chip give the same bits, for every shape, every transform and every weird float.

use flowlet_tests::device_compare::{on_host, simulator, simulator_of};
use flowlet_tests::{golden, golden_v2, metadata, normal_readings, random_flow, Random, NUMERICS};
use flowlet_tools::device::{error_code, Board, DeviceError, Refusal, Simulation, Simulator};
use flowlet_tools::export::{build, Calibration, ImageFile, Numeric};
use flowlet_tools::flow::{Flow, SoftTail, Transform};

/// Ordinary rows of each image; the special ones come on top.
const ORDINARY: usize = 300;

/// Values that break arithmetic which is only nearly the same.
const SPECIALS: [f32; 17] = [
    0.0,
    -0.0,
    1e-45,
    -1e-45,
    1e-40,
    -1e-40,
    f32::MIN_POSITIVE,
    -f32::MIN_POSITIVE,
    1e9,
    -1e9,
    1e30,
    f32::MAX,
    f32::MIN,
    f32::NAN,
    -f32::NAN,
    f32::INFINITY,
    f32::NEG_INFINITY,
];

fn simulated(simulator: &Simulator, image: &ImageFile, rows: &[f32], features: usize) -> Simulation {
    simulator.run(image.bytes(), rows, features, |_| {}).unwrap_or_else(|error| panic!("{error}"))
}

/// Ordinary rows, rows at growing distances from them, and every special value: in one feature of an
/// ordinary row, and in all.
fn readings(random: &mut Random, flow: &Flow) -> Vec<f32> {
    let features = flow.features;
    let mut rows = normal_readings(random, flow, ORDINARY);
    let ordinary = rows[..features].to_vec();
    let Transform::Standardize(s) = &flow.transforms[0] else {
        panic!("a flow starts with its standardizer")
    };
    for power in 0..30 {
        // From 2 to 2^30 standard deviations away, each feature to a side of its own.
        let away = (power as f32 + 1.0).exp2();
        let side = |random: &mut Random| if random.below(2) == 0 { away } else { -away };
        rows.extend(s.mean.iter().zip(&s.std).map(|(mean, std)| mean + std * side(random)));
    }
    for special in SPECIALS {
        rows.extend(vec![special; features]);
        for feature in 0..features {
            let mut row = ordinary.clone();
            row[feature] = special;
            rows.extend(row);
        }
    }
    rows
}

/// Compares every bit; gives the number of rows, and of those that both sides refuse.
fn compare(simulator: &Simulator, flow: &Flow, rows: &[f32], numeric: Numeric, what: &str) -> (usize, usize) {
    let normal = &rows[..ORDINARY * flow.features];
    let calibration = Calibration { readings: normal, false_alarm_rate: 0.01 };
    let image = build(flow, numeric, &metadata(flow.features), calibration).expect("an image");
    compare_image(simulator, &image, rows, flow.features, what)
}

fn compare_image(
    simulator: &Simulator,
    image: &ImageFile,
    rows: &[f32],
    features: usize,
    what: &str,
) -> (usize, usize) {
    let device = simulated(simulator, image, rows, features).rows;
    let host = on_host(image, rows);
    assert_eq!(device.len(), host.len(), "{what}");
    for (index, (device, host)) in device.iter().zip(&host).enumerate() {
        let row = &rows[index * features..][..features];
        assert_eq!(device, host, "{what}: device and host differ in row {index}, {row:?}");
        let finite = row.iter().all(|x| x.is_finite());
        assert_eq!(host.is_ok(), finite, "{what}: {row:?}");
        if let Err(code) = host {
            assert_eq!(*code, error_code(flowlet::Error::NotFinite { feature: 0 }), "{what}: {row:?}");
        }
    }
    (host.len(), host.iter().filter(|row| row.is_err()).count())
}

/// Shapes with odd feature counts, the fewest features, one and two hidden layers, and widths that are
/// no multiple of what the kernels do at a time.
const SHAPES: [(usize, usize, &[usize]); 6] =
    [(2, 2, &[4]), (3, 3, &[7]), (5, 4, &[13, 9]), (8, 6, &[32, 32]), (9, 2, &[16]), (17, 3, &[11, 5])];

#[test]
fn every_shape_gives_the_hosts_bits() {
    let Some(simulator) = simulator("every_shape_gives_the_hosts_bits") else { return };
    for numeric in NUMERICS {
        let (mut rows, mut refused) = (0, 0);
        for (seed, (features, couplings, hidden)) in SHAPES.into_iter().enumerate() {
            let mut random = Random(seed as u64);
            let flow = random_flow(&mut random, features, couplings, hidden);
            let readings = readings(&mut random, &flow);
            let what = format!("{numeric:?}, {features} features, {couplings} couplings, {hidden:?}");
            let (compared, errors) = compare(&simulator, &flow, &readings, numeric, &what);
            rows += compared;
            refused += errors;
        }
        println!("{numeric:?}: {rows} rows alike, {refused} of them refused");
        assert!(rows >= 1000 && refused >= 100, "{rows} rows, {refused} refused");
    }
}

/// Chains by what stands where: `random_flow` has the soft tail first, couplings in both directions and
/// permutations between them; here each goes, and the tail moves.
fn every_transform(simulator: &Simulator) {
    let mut random = Random(77);
    let whole = random_flow(&mut random, 5, 4, &[12]);
    let is_tail = |t: &Transform| matches!(t, Transform::SoftTail(_));
    let is_permutation = |t: &Transform| matches!(t, Transform::Permutation(_));
    let forward = |t: &Transform| matches!(t, Transform::Coupling(c) if c.mask.0[0]);
    let backward = |t: &Transform| matches!(t, Transform::Coupling(c) if !c.mask.0[0]);
    let without = |gone: &dyn Fn(&Transform) -> bool| {
        let kept = whole.transforms.iter().filter(|t| !gone(t)).cloned().collect();
        Flow { transforms: kept, ..whole.clone() }
    };
    let mut tail_last = without(&is_tail);
    tail_last.transforms.push(Transform::SoftTail(SoftTail { knee: 3.0 }));
    let chains = [
        ("tail first", whole.clone()),
        ("tail last", tail_last),
        ("no tail", without(&is_tail)),
        ("no permutation", without(&is_permutation)),
        ("conditioned on the first half only", without(&backward)),
        ("conditioned on the second half only", without(&forward)),
        ("no coupling", without(&|t| forward(t) || backward(t))),
        ("standardizer only", without(&|t| !matches!(t, Transform::Standardize(_)))),
    ];
    let rows = readings(&mut random, &whole);
    for numeric in NUMERICS {
        let mut compared = 0;
        for (what, flow) in &chains {
            compared += compare(simulator, flow, &rows, numeric, &format!("{numeric:?}, {what}")).0;
        }
        println!("{numeric:?}: {compared} rows alike in {} chains", chains.len());
        assert!(compared >= 1000);
    }
}

#[test]
fn every_transform_gives_the_hosts_bits() {
    let Some(simulator) = simulator("every_transform_gives_the_hosts_bits") else { return };
    every_transform(&simulator);
}

/// A Cortex-M55 has loops over features of its own, too; without a soft tail values are too far out for some.
#[test]
fn every_transform_gives_the_hosts_bits_on_a_cortex_m55() {
    let test = "every_transform_gives_the_hosts_bits_on_a_cortex_m55";
    let Some(simulator) = simulator_of(Board::Mps3An547, test) else { return };
    every_transform(&simulator);
}

#[test]
fn golden_images_give_the_hosts_bits() {
    let Some(simulator) = simulator("golden_images_give_the_hosts_bits") else { return };
    for numeric in NUMERICS {
        let rows = golden::readings();
        compare_image(&simulator, &golden::image(numeric), &rows, 3, &format!("golden {numeric:?}"));
        let what = format!("golden, version 2, {numeric:?}");
        compare_image(
            &simulator,
            &golden_v2::image(numeric),
            &golden_v2::readings(),
            golden_v2::INPUTS,
            &what,
        );
    }
}

#[test]
fn what_cannot_be_scored_is_refused_with_its_reason() {
    let Some(simulator) = simulator("what_cannot_be_scored_is_refused_with_its_reason") else { return };
    let refusal = |image: &[u8], features: usize| {
        let rows = vec![0.5; features * 2];
        match simulator.run(image, &rows, features, |_| {}) {
            Err(DeviceError::Refused(refusal)) => refusal,
            other => panic!("{other:?}"),
        }
    };
    for numeric in NUMERICS {
        let good = golden::image(numeric).bytes().to_vec();
        let with = |at: usize, byte: u8| {
            let mut hurt = good.clone();
            hurt[at] ^= byte;
            hurt
        };
        let longer = [&good[..], &[0; 4]].concat();
        let cases =
            [with(0, 1), with(4, 2), with(good.len() - 1, 1), longer, good[..good.len() - 4].to_vec()];
        for hurt in cases.iter().map(Vec::as_slice).chain([&b""[..], b"junk"]) {
            let expected = error_code(ImageFile::from_bytes(hurt).model().expect_err("a damaged image"));
            assert_eq!(refusal(hurt, 3), Refusal::Image(expected), "{numeric:?}");
        }
        for features in [1, 2, 4, 300] {
            let expected = Refusal::Features { image: 3, rows: features as u32 };
            assert_eq!(refusal(&good, features), expected, "{numeric:?}");
        }
    }
}

#[test]
fn costs_are_plausible_and_the_same_in_every_run() {
    let Some(simulator) = simulator("costs_are_plausible_and_the_same_in_every_run") else { return };
    let mut random = Random(5);
    let flow = random_flow(&mut random, 8, 6, &[32, 32]);
    // 6 couplings of 4 -> 32 -> 32 -> 8.
    let macs = 6.0 * (4.0 * 32.0 + 32.0 * 32.0 + 32.0 * 8.0);
    let rows = normal_readings(&mut random, &flow, ORDINARY);
    let calibration = Calibration { readings: &rows, false_alarm_rate: 0.01 };
    for numeric in NUMERICS {
        let image = build(&flow, numeric, &metadata(8), calibration).expect("an image");
        let first = simulated(&simulator, &image, &rows, 8);
        assert_eq!(first, simulated(&simulator, &image, &rows, 8), "{numeric:?}: two runs differ");

        let instructions = first.instructions_per_score.expect("rows that can be scored");
        println!("{numeric:?}: {instructions} instructions, {} bytes of stack", first.stack_bytes);
        assert!((macs..20.0 * macs).contains(&instructions), "{numeric:?}: {instructions} for {macs} MACs");
        assert!((256..8 << 10).contains(&first.stack_bytes), "{} bytes of stack", first.stack_bytes);
        assert!((8 << 10..128 << 10).contains(&first.code_bytes), "{} bytes of code", first.code_bytes);
        let workspace = image.model().expect("a good image").workspace_bytes();
        assert_eq!(first.workspace_bytes as usize, workspace, "{numeric:?}");
    }
}
