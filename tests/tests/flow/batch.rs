//! Tiles of rows score with the bits of one row after the other: every transform, net and base, every arithmetic, every
//! instruction set of this processor, ordinary rows and rows far out, last tiles of every length.

use flowlet::{Error, Model, Score, Scorer};
use flowlet_tests::bases::{mixture, student};
use flowlet_tests::device_compare::readings;
use flowlet_tests::linear_flows::{self, front, linear};
use flowlet_tests::marginals::marginal;
use flowlet_tests::nets::{self, net_flow, Shape, ACTIVATIONS, KINDS};
use flowlet_tests::splines::{self, spline_flow, PARAMETERS};
use flowlet_tests::trained::{self, by_speed, experts, readings_by_speed};
use flowlet_tests::{metadata, normal_readings, random_flow, Random, NUMERICS};
use flowlet_tools::batch::Batch;
use flowlet_tools::export::{
    arrange, build, Calibration, Combine, Core, Ensemble, ImageFile, Numeric, Statistic,
};
use flowlet_tools::flow::{
    CouplingMap, Flow, Logit, MarginalKind, Mask, ScaleMap, SoftTail, Split, Standardize, Transform,
};

/// Rows that are scored one by one, and what of them came out finite in p: a comparison of nothing but edges would not
/// say much.
fn one_by_one(model: &Model<'_>, rows: &[f32]) -> Vec<Score> {
    let mut workspace = vec![0; model.workspace_bytes() / 4];
    let mut scorer = Scorer::new(model, &mut workspace).expect("enough workspace");
    rows.chunks_exact(model.inputs()).map(|row| scorer.score(row).expect("a finite row")).collect()
}

fn bits(score: &Score) -> [u32; 4] {
    [score.log_prob.to_bits(), score.p_value.to_bits(), score.score.to_bits(), score.alarm.into()]
}

/// Compares all rows on every instruction set; gives how many.
fn compare(image: &ImageFile, rows: &[f32], what: &str) -> usize {
    let model: Model<'_> = image.model().expect("a good image");
    let expected = one_by_one(&model, rows);
    let mut distinct: Vec<u32> = expected.iter().map(|score| score.log_prob.to_bits()).collect();
    distinct.sort_unstable();
    distinct.dedup();
    assert!(2 * distinct.len() > expected.len(), "{what}: {} different scores", distinct.len());
    for batch in Batch::for_every_level(&model) {
        let found = batch.worker().score(rows).expect("finite rows");
        assert_eq!(found.len(), expected.len());
        for (row, (found, expected)) in found.iter().zip(&expected).enumerate() {
            let reading = &rows[row * model.inputs()..][..model.inputs()];
            assert_eq!(
                bits(found),
                bits(expected),
                "{what}: row {row}, {reading:?}: {found:?}, {expected:?}"
            );
        }
    }
    expected.len()
}

/// [`compare`] in every arithmetic that has tiles; rows as for the comparison with a device, and single wild features
/// among ordinary ones, so that a tile holds both.
fn compare_flow(random: &mut Random, flow: &Flow, what: &str) -> usize {
    let mut rows = wild(random, flow);
    rows.extend(normal_readings(random, flow, 3));
    let normal = normal_readings(random, flow, 300);
    let calibration = Calibration { readings: &normal, false_alarm_rate: 0.05 };
    let each = NUMERICS.into_iter().map(|numeric| {
        let image = build(flow, numeric, &nets::metadata(flow), calibration).expect("an image");
        compare(&image, &rows, &format!("{what}, {numeric:?}"))
    });
    each.sum()
}

/// Rows of all inputs at growing distances, and ordinary ones with one wild input.
fn wild(random: &mut Random, flow: &Flow) -> Vec<f32> {
    let Transform::Standardize(s) = &flow.transforms[0] else { panic!("a standardizer comes first") };
    let mut rows = normal_readings(random, flow, 150);
    for power in 0..40 {
        let away = (0.5 * power as f32).exp2();
        rows.extend(s.mean.iter().zip(&s.std).map(|(m, std)| m + std * away * random.normal()));
        let mut row = normal_readings(random, flow, 1);
        let input = random.below(flow.inputs());
        row[input] = s.mean[input] + s.std[input] * away * if random.below(2) == 0 { 1.0 } else { -1.0 };
        rows.extend(row);
    }
    for special in [0.0, -0.0, 1e-45, -1e-40, f32::MIN_POSITIVE, 1e9, -1e30, f32::MAX, f32::MIN] {
        rows.extend(vec![special; flow.inputs()]);
        let mut row = normal_readings(random, flow, 1);
        row[random.below(flow.inputs())] = special;
        rows.extend(row);
    }
    rows
}

#[test]
fn affine_couplings() {
    let mut random = Random(1);
    let mut compared = 0;
    for (features, couplings, hidden) in
        [(2, 2, &[8][..]), (5, 4, &[7]), (9, 6, &[64]), (8, 4, &[12, 20]), (33, 3, &[30, 9, 5])]
    {
        let flow = random_flow(&mut random, features, couplings, hidden);
        compared += compare_flow(&mut random, &flow, &format!("{features} features, {hidden:?}"));
    }
    println!("{compared} rows alike");
    assert!(compared > 3000);
}

#[test]
fn every_map_of_a_coupling_scales_and_matrices() {
    let mut random = Random(2);
    for (name, flow) in linear_flows::flows() {
        compare_flow(&mut random, &flow, &name);
    }
}

#[test]
fn clamps_of_every_size() {
    let mut random = Random(3);
    for clamp in [1e-3, 0.3, 0.69, 0.7, 1.5, 2.7, 3.39, 3.41, 8.0] {
        let map = CouplingMap::Affine { scale: ScaleMap::Tanh { clamp } };
        let mut transforms = front(&mut random, 5);
        for index in 0..2 {
            let mask = Mask::alternating(5, index == 0);
            transforms.push(linear_flows::coupling(&mut random, mask, &map, 9));
        }
        let flow = Flow { features: 5, transforms, ..Flow::default() };
        compare_flow(&mut random, &flow, &format!("clamp {clamp}"));
    }
}

#[test]
fn every_net_and_activation_with_context() {
    for kind in KINDS {
        for (index, activation) in ACTIVATIONS.into_iter().enumerate() {
            for shape in
                [Shape { length: 4, channels: 3, contexts: 2 }, Shape { length: 6, channels: 1, contexts: 0 }]
            {
                let mut random = Random(index as u64);
                let flow = net_flow(&mut random, kind, activation, shape);
                compare_flow(&mut random, &flow, &format!("{kind:?} {activation:?} {shape:?}"));
            }
        }
    }
}

#[test]
fn spline_couplings() {
    for parameters in PARAMETERS {
        for (bins, features) in [(2, 2), (4, 3), (8, 8)] {
            let mut random = Random(bins as u64);
            let shape = splines::Shape { features, couplings: 4, hidden: &[32], bins, parameters, size: 0.3 };
            let flow = spline_flow(&mut random, shape);
            compare_flow(&mut random, &flow, &format!("{shape:?}"));
        }
    }
}

#[test]
fn marginal_maps_of_both_forms() {
    let mut random = Random(4);
    for form in [MarginalKind::Linear, MarginalKind::RationalQuadratic] {
        for knots in [2, 3, 17, 33] {
            for with_linear in [false, true] {
                let mut flow = random_flow(&mut random, 6, 2, &[8]);
                flow.transforms.insert(2, Transform::Marginal(marginal(&mut random, 6, knots, form)));
                if with_linear {
                    flow.transforms.insert(3, linear(&mut random, 6));
                }
                compare_flow(&mut random, &flow, &format!("{form:?}, {knots} knots"));
            }
        }
    }
}

#[test]
fn every_base() {
    let mut random = Random(5);
    for components in [0, 1, 2, 7, 33, 64] {
        for features in [1, 4, 9, 18] {
            let mut flow = random_flow(&mut random, features.max(2), 2, &[12]);
            flow.base = match components {
                0 => student(&mut random, flow.features),
                k => mixture(&mut random, flow.features, k),
            };
            if features == 1 {
                flow.transforms.truncate(2);
            }
            compare_flow(&mut random, &flow, &format!("{features} features, {components} components"));
        }
    }
}

#[test]
fn logits_and_splits() {
    let mut random = Random(6);
    let std = 256.0 / 0.9;
    for features in [4, 9] {
        let mut transforms = vec![
            Transform::Standardize(Standardize {
                mean: vec![-0.5 - 0.05 * std; features],
                std: vec![std; features],
            }),
            Transform::Logit(Logit { margin: 0.05 }),
            Transform::SoftTail(SoftTail { knee: 4.0 }),
        ];
        let (mut active, map) = (features, CouplingMap::Affine { scale: ScaleMap::Tanh { clamp: 1.0 } });
        for index in 0..2 {
            transforms.push(linear_flows::coupling(&mut random, Mask::half(active, index == 0), &map, 9));
            active /= 2;
            transforms.push(Transform::Split(Split { keep: active }));
        }
        let flow = Flow { features, transforms, ..Flow::default() };
        let mut rows: Vec<f32> = (0..200 * features).map(|_| (random.below(256)) as f32).collect();
        rows.extend((0..100 * features).map(|_| 300.0 * random.normal()));
        rows.extend((0..20 * features).map(|i| (i as f32).exp2()).filter(|x| x.is_finite()));
        rows.truncate(rows.len() / features * features);
        let calibration = Calibration { readings: &rows[..200 * features], false_alarm_rate: 0.05 };
        for numeric in NUMERICS {
            let image = build(&flow, numeric, &metadata(features), calibration).expect("an image");
            compare(&image, &rows, &format!("{features} features, {numeric:?}"));
        }
    }
}

#[test]
fn experts_combinations_and_statistics() {
    let mut rows = trained::readings(300, 4);
    for (index, x) in rows.iter_mut().enumerate().skip(200) {
        *x *= 1.0 + index as f32 * 1e-3;
    }
    let calibration_rows = trained::readings(1000, 2);
    for numeric in NUMERICS.into_iter().chain([Numeric::F32FastMath]) {
        for combine in [Combine::Quoted, Combine::Minimum, Combine::Mean] {
            for statistic in Statistic::ALL {
                for quoted in [0, 2] {
                    let ensemble = Ensemble { combine, quoted, ..Ensemble::new(experts().to_vec()) };
                    let made = build(
                        ensemble.with_statistic(statistic),
                        numeric,
                        &metadata(trained::FEATURES),
                        trained::calibration(&calibration_rows),
                    );
                    let what = format!("{numeric:?} {combine:?} {statistic:?} {quoted}");
                    compare(&made.expect("an image"), &rows, &what);
                }
            }
        }
    }
}

#[test]
fn a_context_and_its_edges() {
    let mut rows = readings_by_speed(200, 3);
    for (index, x) in rows.iter_mut().enumerate().skip(300) {
        *x *= [1.0, 1e3, -1e7, 1e30][index % 4];
    }
    let calibration_rows = readings_by_speed(500, 2);
    for numeric in NUMERICS {
        let calibration = trained::calibration(&calibration_rows);
        let image = build(by_speed(), numeric, &trained::metadata(2, 1), calibration).expect("an image");
        compare(&image, &rows, &format!("{numeric:?}"));
    }
}

#[test]
fn weights_in_every_cores_order() {
    let mut random = Random(7);
    let flow = random_flow(&mut random, 7, 4, &[20, 13]);
    let rows = readings(&mut random, &flow);
    let calibration = Calibration { readings: &rows[..200 * 7], false_alarm_rate: 0.05 };
    for numeric in NUMERICS {
        let image = build(&flow, numeric, &metadata(7), calibration).expect("an image");
        for core in Core::ALL {
            let arranged = arrange(&image, core).expect("an image");
            compare(&arranged, &rows, &format!("{numeric:?}, {core:?}"));
        }
    }
}

#[test]
fn every_length_of_the_last_tile_and_parts_of_rows() {
    let mut random = Random(8);
    let flow = random_flow(&mut random, 3, 2, &[8]);
    let rows = readings(&mut random, &flow);
    let calibration = Calibration { readings: &rows[..200 * 3], false_alarm_rate: 0.05 };
    for numeric in NUMERICS {
        let image = build(&flow, numeric, &metadata(3), calibration).expect("an image");
        let model: Model<'_> = image.model().expect("a good image");
        let expected: Vec<_> = one_by_one(&model, &rows).iter().map(bits).collect();
        let batch = Batch::new(&model);
        let mut worker = batch.worker();
        for values in 0..=200 {
            let found = worker.score(&rows[..values]).expect("finite rows");
            assert_eq!(found.iter().map(bits).collect::<Vec<_>>(), expected[..values / 3], "{values}");
        }
    }
}

#[test]
fn the_first_row_that_is_no_number_is_reported() {
    let mut random = Random(9);
    let flow = random_flow(&mut random, 4, 2, &[8]);
    for numeric in NUMERICS {
        let mut rows = readings(&mut random, &flow);
        let calibration = Calibration { readings: &rows[..200 * 4], false_alarm_rate: 0.05 };
        let image = build(&flow, numeric, &metadata(4), calibration).expect("an image");
        let model: Model<'_> = image.model().expect("a good image");
        rows[70 * 4 + 1] = f32::INFINITY;
        rows[70 * 4 + 2] = f32::NAN;
        rows[75 * 4] = f32::NAN;
        let batch = Batch::new(&model);
        let mut worker = batch.worker();
        assert_eq!(worker.score(&rows), Err(Error::NotFinite { feature: 1 }));
        // And the worker is as good as before.
        assert_eq!(worker.score(&rows[..70 * 4]).expect("finite rows"), one_by_one(&model, &rows[..70 * 4]));
    }
}
