//! Host and emulated chip give the same bits through marginal maps, the logit and splits; what each costs.
//!
//! `cargo test --release -p flowlet-tests --test device bits_marginal:: -- --nocapture` prints instructions per feature.

use flowlet::{Model, Scorer};
use flowlet_tests::device_compare::simulator;
use flowlet_tests::marginals::marginal;
use flowlet_tests::{metadata, normal_readings, random_flow, Random, NUMERICS};
use flowlet_tools::device::{error_code, Row, ScoreBits, Simulation, Simulator};
use flowlet_tools::export::{build, Calibration, ImageFile, Numeric};
use flowlet_tools::flow::{
    Coupling, Dense, Flow, Logit, MarginalKind, Mask, Mlp, SoftTail, Split, Standardize, Transform,
};
use flowlet_tools::training::{train, FlowKind, MarginalFront, Matrix, TrainConfig};

const SPECIALS: [f32; 13] = [
    0.0,
    -0.0,
    1e-45,
    -1e-40,
    f32::MIN_POSITIVE,
    1e9,
    -1e9,
    1e30,
    f32::MAX,
    f32::MIN,
    f32::NAN,
    f32::INFINITY,
    f32::NEG_INFINITY,
];

fn standardizer(random: &mut Random, features: usize) -> Transform {
    Transform::Standardize(Standardize {
        mean: (0..features).map(|_| 100.0 * random.normal()).collect(),
        std: (0..features).map(|_| (2.0 * random.normal()).exp2()).collect(),
    })
}

fn flow(features: usize, transforms: Vec<Transform>) -> Flow {
    Flow { features, transforms, ..Flow::default() }
}

/// Integers 0..=255, standardized into the margins.
fn bounded(features: usize) -> Vec<Transform> {
    let std = 256.0 / 0.9;
    vec![
        Transform::Standardize(Standardize {
            mean: vec![-0.5 - 0.05 * std; features],
            std: vec![std; features],
        }),
        Transform::Logit(Logit { margin: 0.05 }),
    ]
}

fn coupling(random: &mut Random, active: usize) -> Transform {
    let given = active / 2;
    let layer = |random: &mut Random, inputs: usize, outputs: usize| Dense {
        inputs,
        outputs,
        weights: (0..inputs * outputs).map(|_| random.normal() / (inputs as f32).sqrt()).collect(),
        bias: (0..outputs).map(|_| 0.1 * random.normal()).collect(),
    };
    let layers = vec![layer(random, given, 9), layer(random, 9, 2 * (active - given))];
    let net = Mlp { layers, ..Mlp::default() };
    Transform::Coupling(Coupling::affine(Mask::split(active, given, true), 1.0, 3.0, net))
}

fn rows_for(random: &mut Random, flow: &Flow, ordinary: usize) -> Vec<f32> {
    let features = flow.features;
    let mut rows = normal_readings(random, flow, ordinary);
    let Transform::Standardize(s) = &flow.transforms[0] else { panic!("a standardizer") };
    for power in 0..30 {
        let away = (power as f32 + 1.0).exp2();
        rows.extend(
            s.mean
                .iter()
                .zip(&s.std)
                .map(|(m, std)| m + std * away * if random.below(2) == 0 { 1.0 } else { -1.0 }),
        );
    }
    // The whole range of bounded integers, and beyond.
    for step in -40..300 {
        rows.extend((0..features).map(|i| (step + i as i32) as f32));
    }
    let ordinary = rows[..features].to_vec();
    for special in SPECIALS {
        rows.extend(vec![special; features]);
        let mut row = ordinary.clone();
        row[random.below(features)] = special;
        rows.extend(row);
    }
    rows
}

fn image(flow: &Flow, numeric: Numeric, rows: &[f32]) -> ImageFile {
    let calibration = Calibration { readings: rows, false_alarm_rate: 0.01 };
    build(flow, numeric, &metadata(flow.features), calibration).expect("an image")
}

/// Runs both and compares every bit; gives what the device reports and the number of rows.
fn compare(simulator: &Simulator, image: &ImageFile, rows: &[f32], what: &str) -> (Simulation, usize) {
    let model: Model<'_> = image.model().expect("a good image");
    let features = model.features();
    let device =
        simulator.run(image.bytes(), rows, features, |_| {}).unwrap_or_else(|e| panic!("{what}: {e}"));
    let mut workspace = vec![0; model.workspace_bytes() / 4];
    let mut scorer = Scorer::new(&model, &mut workspace).expect("enough workspace");
    let score = |row: &[f32]| {
        let score = scorer.score(row).map_err(error_code)?;
        Ok(ScoreBits {
            log_prob: score.log_prob.to_bits(),
            p_value: score.p_value.to_bits(),
            score: score.score.to_bits(),
            alarm: score.alarm,
        })
    };
    let host: Vec<Row> = rows.chunks_exact(features).map(score).collect();
    assert_eq!(device.rows.len(), host.len(), "{what}");
    for (index, (device, host)) in device.rows.iter().zip(&host).enumerate() {
        let row = &rows[index * features..][..features];
        assert_eq!(device, host, "{what}: device and host differ in row {index}, {row:?}");
        assert_eq!(host.is_ok(), row.iter().all(|x| x.is_finite()), "{what}: {row:?}");
    }
    (device, host.len())
}

#[test]
fn marginal_maps_logits_and_splits_give_the_hosts_bits() {
    let Some(simulator) = simulator("marginal_maps_logits_and_splits_give_the_hosts_bits") else { return };
    let mut random = Random(31);
    let mut flows = Vec::new();
    for (form, knots) in [
        (MarginalKind::Linear, 2),
        (MarginalKind::Linear, 17),
        (MarginalKind::RationalQuadratic, 17),
        (MarginalKind::RationalQuadratic, 33),
    ] {
        let mut chain = vec![standardizer(&mut random, 5), Transform::SoftTail(SoftTail { knee: 4.0 })];
        chain.push(Transform::Marginal(marginal(&mut random, 5, knots, form)));
        flows.push((format!("{form:?} map, {knots} knots"), flow(5, chain.clone())));
        chain.push(coupling(&mut random, 5));
        flows.push((format!("{form:?} map, {knots} knots, coupling"), flow(5, chain)));
    }
    // Every feature its own y.
    let mut own = marginal(&mut random, 3, 9, MarginalKind::RationalQuadratic);
    own.features[1].y.iter_mut().for_each(|y| *y *= 0.9);
    flows.push(("own y".to_owned(), flow(3, vec![standardizer(&mut random, 3), Transform::Marginal(own)])));
    flows.push(("logit".to_owned(), flow(4, bounded(4))));
    let mut chain = bounded(8);
    chain.push(Transform::Marginal(marginal(&mut random, 8, 2, MarginalKind::Linear)));
    chain.extend([coupling(&mut random, 8), Transform::Split(Split { keep: 5 }), coupling(&mut random, 5)]);
    chain.extend([Transform::Split(Split { keep: 2 }), coupling(&mut random, 2)]);
    flows.push(("logit, map, two splits".to_owned(), flow(8, chain)));
    for numeric in NUMERICS {
        let mut compared = 0;
        for (what, flow) in &flows {
            let rows = rows_for(&mut random, flow, 150);
            let image = image(flow, numeric, &rows[..150 * flow.features]);
            compared += compare(&simulator, &image, &rows, &format!("{numeric:?}, {what}")).1;
        }
        println!("{numeric:?}: {compared} rows alike in {} chains", flows.len());
        assert!(compared >= 4000);
    }
}

#[test]
fn costs_per_feature() {
    let Some(simulator) = simulator("costs_per_feature") else { return };
    const FEATURES: usize = 36;
    let mut random = Random(9);
    let front = vec![standardizer(&mut random, FEATURES)];
    for numeric in [Numeric::F32, Numeric::I16] {
        let mut measure = |front: &[Transform], further: Vec<Transform>| {
            let bare = flow(FEATURES, [front, &further].concat());
            let mut rows = normal_readings(&mut random, &bare, 200);
            if further.iter().chain(front).any(|t| matches!(t, Transform::Logit(_))) {
                rows.iter_mut().for_each(|v| *v = random.below(256) as f32);
            }
            let image = image(&bare, numeric, &rows);
            let (device, _) = compare(&simulator, &image, &rows, "costs");
            (device.instructions_per_score.expect("scores"), image.bytes().len())
        };
        let (without, bytes_without) = measure(&front, Vec::new());
        let mut random = Random(10);
        for (form, most) in [(MarginalKind::Linear, 400.0), (MarginalKind::RationalQuadratic, 800.0)] {
            let map = marginal(&mut random, FEATURES, 17, form);
            let (with, bytes) = measure(&front, vec![Transform::Marginal(map)]);
            let each = (with - without) / FEATURES as f64;
            let bytes = bytes - bytes_without;
            println!("{numeric:?}, {form:?} map of 17 knots: {each:.0} instructions a feature, {bytes} bytes for 36");
            assert!(each > 20.0 && each < most, "{each}");
            // One word a knot, and the slopes; 10 KB would be too much.
            assert!(bytes < 5500);
        }
        let bounded = bounded(FEATURES);
        let (bare, _) = measure(&bounded[..1], Vec::new());
        let (with, _) = measure(&bounded, Vec::new());
        let each = (with - bare) / FEATURES as f64;
        println!("{numeric:?}, logit: {each:.0} instructions a feature");
        assert!(each > 20.0 && each < 400.0, "{each}");
    }
}

#[test]
fn random_flows_with_maps_in_front_give_the_hosts_bits() {
    let Some(simulator) = simulator("random_flows_with_maps_in_front_give_the_hosts_bits") else { return };
    let mut random = Random(41);
    for numeric in NUMERICS {
        let mut flow = random_flow(&mut random, 9, 4, &[16]);
        let map = marginal(&mut random, 9, 17, MarginalKind::RationalQuadratic);
        flow.transforms.insert(2, Transform::Marginal(map));
        let rows = rows_for(&mut random, &flow, 200);
        let image = image(&flow, numeric, &rows[..200 * 9]);
        compare(&simulator, &image, &rows, &format!("{numeric:?}, nine features"));
    }
}

/// An 8 x 8 thermal image of integers 0 to 255: a warm spot before a sloping background.
fn thermal(random: &mut Random) -> Vec<f32> {
    let (base, tilt) = (60.0 + 8.0 * random.normal(), [2.0 * random.normal(), 2.0 * random.normal()]);
    let (row, column) = (1.0 + 5.0 * random.uniform(), 1.0 + 5.0 * random.uniform());
    let (heat, size) = (40.0 + 50.0 * random.uniform(), 1.2 + random.uniform());
    (0..64)
        .map(|i| {
            let (y, x) = ((i / 8) as f32, (i % 8) as f32);
            let near = ((y - row).powi(2) + (x - column).powi(2)) / (2.0 * size * size);
            let value = base + tilt[0] * (y - 3.5) + tilt[1] * (x - 3.5) + heat * (-near).exp();
            (value + 1.5 * random.normal()).round().clamp(0.0, 255.0)
        })
        .collect()
}

#[test]
fn thermal_images_train_and_give_the_hosts_bits() {
    let mut random = Random(51);
    let images: Vec<f32> = (0..900).flat_map(|_| thermal(&mut random)).collect();
    let data = Matrix::new(900, 64, images.clone()).expect("a matrix");
    let simulator = simulator("thermal_images_train_and_give_the_hosts_bits");
    let plain = TrainConfig { epochs: Some(60), hidden: vec![16], noise: 0.1, ..TrainConfig::default() };
    let multiscale =
        TrainConfig { image: Some("8x8".parse().expect("a shape")), integers: Some(255), ..plain.clone() };
    let baseline = train(&data, &plain, &mut ()).expect("a flow").val_nll;
    for config in [
        multiscale.clone(),
        TrainConfig { levels: 3, marginal: MarginalFront::RationalQuadratic, ..multiscale.clone() },
        TrainConfig { flow: FlowKind::Nsf, epochs: Some(10), levels: 1, ..multiscale.clone() },
    ] {
        let trained = train(&data, &config, &mut ()).expect("a flow");
        println!("{} levels: {:.1} nats against {baseline:.1} without", config.levels, trained.val_nll);
        // The density is in the data's units whatever stands in front: the two compare.
        if config.epochs == plain.epochs {
            assert!(trained.val_nll < baseline + 10.0, "{} against {baseline}", trained.val_nll);
        }
        assert_eq!(
            trained.flow.transforms.iter().filter(|t| matches!(t, Transform::Split(_))).count(),
            config.levels - 1
        );
        for numeric in NUMERICS {
            let image = image(&trained.flow, numeric, &images);
            let mut rows = images[..60 * 64].to_vec();
            // A hot pixel, values beyond the integers' range, and far out.
            for (pixel, value) in [(9, 255.0), (17, -40.0), (33, 1e5), (63, f32::MAX), (5, f32::NAN)] {
                let from = rows.len();
                rows.extend_from_slice(&images[..64]);
                rows[from + pixel] = value;
            }
            if let Some(simulator) = &simulator {
                let (device, _) = compare(simulator, &image, &rows, &format!("{numeric:?}"));
                let instructions = device.instructions_per_score.expect("scores");
                println!("{numeric:?}: {} bytes, {instructions:.0} instructions", image.bytes().len());
            }
        }
    }
}
