//! What callers of `train` rely on.

use super::*;
use crate::flow::{Activation, Reference, Transform};

/// Readings on a noisy parabola with awkward units: nothing like a Gaussian.
fn banana(rows: usize, columns: usize) -> Matrix {
    let mut random = random::Random::new(42, 7);
    let mut normal = || (0..12).map(|_| random.uniform()).sum::<f32>() - 6.0;
    let mut values = Vec::with_capacity(rows * columns);
    for _ in 0..rows {
        let a = normal();
        for column in 0..columns {
            let bend = if column % 2 == 0 { a } else { a * a };
            values.push(1000.0 * column as f32 + 10.0_f32.powi(column as i32 - 2) * (bend + 0.1 * normal()));
        }
    }
    Matrix { rows, columns, values }
}

fn quick() -> TrainConfig {
    TrainConfig { layers: 4, hidden: vec![12], epochs: Some(12), threads: 1, ..TrainConfig::default() }
}

/// Every kind of transform, net and base, with batches of several tiles and a last one of fewer tiles than threads.
#[test]
fn the_threads_do_not_change_a_bit() {
    let data = banana(700, 6);
    let conv1d = ConditionerKind::Conv1d;
    let residual = ConditionerKind::Residual;
    let plain = TrainConfig { epochs: Some(4), batch: 300, holdout: 0.1, ..quick() };
    let configs = [
        plain.clone(),
        TrainConfig { batch: 64, average: 0.0, ..plain.clone() },
        TrainConfig { flow: FlowKind::Nice, base: BaseKind::Student, ..plain.clone() },
        TrainConfig { flow: FlowKind::Nsf, base: BaseKind::Mixture, components: 3, ..plain.clone() },
        TrainConfig { flow: FlowKind::Glow, ..plain.clone() },
        TrainConfig { conditioner: residual, activation: Activation::Tanh, ..plain.clone() },
        TrainConfig { conditioner: conv1d, activation: Activation::Silu, permute: false, ..plain.clone() },
    ];
    for config in configs {
        let one = train(&data, &config, &mut ()).expect("one thread");
        for threads in [2, 3, 4, 5] {
            let many = train(&data, &TrainConfig { threads, ..config.clone() }, &mut ()).expect("threads");
            assert!(many.flow == one.flow, "another flow with {threads} threads of {config:?}");
            assert_eq!(many.val_nll.to_bits(), one.val_nll.to_bits());
            let losses =
                |trained: &Trained| trained.history.iter().map(|e| e.train_nll.to_bits()).collect::<Vec<_>>();
            assert_eq!(losses(&many), losses(&one));
        }
    }
}

#[test]
fn the_seed_matters() {
    let data = banana(700, 5);
    let one = train(&data, &quick(), &mut ()).expect("one seed");
    let other = train(&data, &TrainConfig { seed: 1, ..quick() }, &mut ()).expect("another seed");
    assert!(other.flow != one.flow);
}

#[test]
fn it_learns_and_reports_the_likelihood_that_the_oracle_computes() {
    for columns in [2, 3, 7] {
        let data = banana(900, columns);
        let config = TrainConfig { epochs: Some(40), holdout: 0.2, ..quick() };
        let trained = train(&data, &config, &mut ()).expect("trained");
        let reference = Reference::from(&trained.flow);
        assert_eq!(trained.holdout_rows.len(), 180);
        let nll = |rows: &[usize]| {
            rows.iter().map(|&r| -reference.log_prob_f32(data.row(r))).sum::<f64>() / rows.len() as f64
        };
        let want = nll(&trained.holdout_rows);
        assert!((trained.val_nll - want).abs() < 1e-3, "{} against {want}", trained.val_nll);
        // Standardized independent Gaussians cost 1.419 nats a feature.
        let gaussian = 1.419 * columns as f64;
        let got = trained.val_nll_standardized;
        assert!(got < gaussian - 0.7 * (columns - 1) as f64, "d={columns}: {got} against {gaussian}");
        assert!(matches!(trained.flow.transforms[0], Transform::Standardize(_)));
        assert!(matches!(trained.flow.transforms[1], Transform::SoftTail(_)));
        assert!(matches!(trained.flow.transforms.last(), Some(Transform::SoftTail(_))));
    }
}

#[test]
fn constant_and_wild_columns_stay_finite() {
    let mut data = banana(300, 4);
    for row in data.values.chunks_exact_mut(4) {
        row[2] = 7.25;
    }
    data.values[4] = 1e30;
    let trained = train(&data, &quick(), &mut ()).expect("trained");
    assert_eq!(trained.constant_columns, [2]);
    assert!(trained.val_nll.is_finite());
    let reference = Reference::from(&trained.flow);
    for i in 0..data.rows {
        assert!(reference.log_prob_f32(data.row(i)).is_finite());
    }
    assert!(reference.log_prob_f32(&[0.0, 1e38, -1e38, f32::MIN_POSITIVE]).is_finite());
}

#[test]
fn what_cannot_be_trained_is_said() {
    let fail = |data: &Matrix, config: &TrainConfig| train(data, config, &mut ()).expect_err("an error");
    let data = banana(100, 3);
    assert_eq!(fail(&banana(100, 1), &quick()), TrainError::TooFewFeatures(1));
    assert_eq!(fail(&banana(3, 3), &quick()), TrainError::TooFewRows { rows: 3, needed: 8 });
    for bad in [f32::NAN, f32::INFINITY] {
        let mut broken = data.clone();
        broken.values[7] = bad;
        let error = fail(&broken, &quick());
        assert!(matches!(error, TrainError::NotFinite { row: 2, column: 1, .. }), "{error}");
    }
    let short = Matrix { rows: 100, columns: 3, values: vec![0.0; 299] };
    assert_eq!(fail(&short, &quick()), TrainError::Shape { rows: 100, columns: 3, values: 299 });
    for (config, name) in [
        (TrainConfig { layers: 65, ..quick() }, "layers"),
        (TrainConfig { hidden: vec![8, 0], ..quick() }, "hidden"),
        (TrainConfig { epochs: Some(1_000_001), ..quick() }, "epochs"),
        (TrainConfig { patience: Some(0), ..quick() }, "patience"),
        (TrainConfig { batch: 0, ..quick() }, "batch"),
        (TrainConfig { lr: f32::NAN, ..quick() }, "lr"),
        (TrainConfig { noise: -0.1, ..quick() }, "noise"),
        (TrainConfig { noise_floor: 2.0, ..quick() }, "noise_floor"),
        (TrainConfig { holdout: 0.9, ..quick() }, "holdout"),
        (TrainConfig { clamp: 0.0, ..quick() }, "clamp"),
        (TrainConfig { input_limit: -1.0, ..quick() }, "input_limit"),
        (TrainConfig { knee: 0.0, ..quick() }, "knee"),
        (TrainConfig { outer_knee: f32::INFINITY, ..quick() }, "outer_knee"),
        (TrainConfig { weight_decay: -1.0, ..quick() }, "weight_decay"),
        (TrainConfig { grad_norm: 0.0, ..quick() }, "grad_norm"),
        (TrainConfig { average: -1.0, ..quick() }, "average"),
    ] {
        let error = fail(&data, &config);
        assert!(matches!(error, TrainError::Setting { name: n, .. } if n == name), "{name}: {error}");
    }
}

#[test]
fn a_reckless_learning_rate_ends_in_a_finite_flow_or_an_error() {
    let config = TrainConfig { lr: 1.0, clamp: 8.0, grad_norm: 1e30, input_limit: 100.0, ..quick() };
    match train(&banana(400, 4), &config, &mut ()) {
        Ok(trained) => assert!(trained.val_nll.is_finite()),
        Err(error) => assert!(matches!(error, TrainError::Diverged { .. }), "{error}"),
    }
}

/// Counts what it hears.
#[derive(Default)]
struct Counter {
    plan: Option<Plan>,
    batches: usize,
    epochs: usize,
    best: usize,
}

impl Progress for Counter {
    fn start(&mut self, plan: &Plan) {
        self.plan = Some(plan.clone());
    }
    fn batch(&mut self, _: usize, _: usize, nll: f64) {
        assert!(nll.is_finite());
        self.batches += 1;
    }
    fn epoch(&mut self, epoch: &Epoch, best: bool) {
        self.epochs += 1;
        if best {
            self.best = epoch.number;
        }
    }
}

#[test]
fn progress_hears_every_step_and_the_best_epoch_is_kept() {
    let mut counter = Counter::default();
    let config = TrainConfig { patience: Some(4), epochs: Some(60), lr: 0.05, ..quick() };
    let trained = train(&banana(300, 2), &config, &mut counter).expect("trained");
    let plan = counter.plan.expect("a plan");
    assert_eq!((plan.rows, plan.held_out, plan.batches), (270, 30, 2));
    assert_eq!(counter.epochs, trained.history.len());
    assert_eq!(counter.batches, plan.batches * counter.epochs);
    assert_eq!(counter.best, trained.best_epoch);
    assert_eq!(plan.parameters, trained.flow.parameters());
    let best = trained.history.iter().map(|e| e.val_nll_trimmed).fold(f64::INFINITY, f64::min);
    assert_eq!(trained.history[trained.best_epoch - 1].val_nll_trimmed, best);
}

#[test]
fn nothing_held_out_keeps_the_last_epoch() {
    let trained = train(&banana(128, 3), &TrainConfig { holdout: 0.0, ..quick() }, &mut ()).expect("trained");
    assert_eq!(trained.best_epoch, trained.epochs);
    assert!(trained.holdout_rows.is_empty());
    assert!(trained.val_nll.is_finite());
}

/// Whatever stands in front, the reported likelihood is the flow's own, in the units of the data.
#[test]
fn fronts_are_accounted_for_in_the_likelihood() {
    let own = |data: &Matrix, config: &TrainConfig| {
        let trained = train(data, config, &mut ()).expect("trained");
        let reference = Reference::from(&trained.flow);
        let rows = trained.holdout_rows.iter().map(|&r| -reference.log_prob_f32(data.row(r)));
        let want = rows.sum::<f64>() / trained.holdout_rows.len() as f64;
        assert!((trained.val_nll - want).abs() < 2e-3, "{} against {want}", trained.val_nll);
        trained
    };
    for marginal in [MarginalFront::Linear, MarginalFront::RationalQuadratic] {
        let trained = own(&banana(500, 4), &TrainConfig { marginal, ..quick() });
        assert!(matches!(trained.flow.transforms[2], Transform::Marginal(_)));
    }
    // Images of 2 x 4 pixels, integers up to 15.
    let mut random = random::Random::new(5, 5);
    let values = (0..500 * 8).map(|i| (random.uniform() * 9.0 + (i % 7) as f32).floor()).collect();
    let data = Matrix { rows: 500, columns: 8, values };
    let shape = crate::flow::ImageShape { height: 2, width: 4, channels: 1 };
    for (levels, marginal) in [(1, MarginalFront::None), (2, MarginalFront::Linear)] {
        let config = TrainConfig { image: Some(shape), levels, integers: Some(15), marginal, ..quick() };
        let trained = own(&data, &config);
        assert!(matches!(trained.flow.transforms[1], Transform::Logit(_)));
        // A step has probability at most 1, so that its density per step is at most that too, on average.
        assert!(trained.val_nll > 0.0, "{}", trained.val_nll);
    }
}

#[test]
fn what_is_no_bounded_integer_or_no_image_is_refused() {
    let data = |value: f32| Matrix { rows: 20, columns: 4, values: vec![value; 80] };
    let integers = TrainConfig { integers: Some(15), ..quick() };
    for value in [16.0, -1.0, 2.5] {
        let error = train(&data(value), &integers, &mut ()).expect_err("no such integer");
        assert_eq!(error, TrainError::NotAnInteger { row: 0, column: 0, value, most: 15 });
    }
    let shape = |height, width| crate::flow::ImageShape { height, width, channels: 1 };
    for (image, levels) in [(shape(2, 3), 1), (shape(1, 4), 2), (shape(2, 2), 3)] {
        let config = TrainConfig { image: Some(image), levels, ..quick() };
        let error = train(&data(3.0), &config, &mut ()).expect_err("no such image");
        assert!(matches!(error, TrainError::Setting { name: "image" | "levels", .. }), "{error}");
    }
}
