//! Properties of marginal maps, the logit and splits in images: inverses, determinants, probabilities, slopes, and
//! what the loader refuses.
//!
//! `cargo test --release -p flowlet-tests --test flow marginal:: -- --nocapture` prints the errors found.

use flowlet::arithmetic::{Fixed, Float};
use flowlet::conditioner::{GradientScratch, Scratch};
use flowlet::transform::kind;
use flowlet::{Error, Part};
use flowlet_tests::evaluate::{forward, image_of, inverse, is_fixed, step_there_and_back, Real};
use flowlet_tests::surgery::Parts;
use flowlet_tests::{oracle, Random, NUMERICS};
use flowlet_tools::export::{scores, ImageFile, Numeric};
use flowlet_tools::flow::{
    Coupling, Dense, Flow, Logit, Marginal, MarginalKind, MarginalMap, Mask, Mlp, Reference, SoftTail, Split,
    Standardize, Transform,
};

const FORMS: [MarginalKind; 2] = [MarginalKind::Linear, MarginalKind::RationalQuadratic];

/// Slopes of bins between 2^-2 and 2^`steep`.
fn marginal(random: &mut Random, features: usize, form: MarginalKind, steep: f32) -> Marginal {
    let knots = 17;
    let y: Vec<f32> = (0..knots).map(|k| 3.6 * (k as f32 / (knots - 1) as f32 - 0.5)).collect();
    let map = |random: &mut Random| {
        let mut x = vec![-2.5];
        for k in 1..knots {
            let slope = ((steep + 2.0) * random.uniform() - 2.0).exp2();
            x.push(x[k - 1] + (y[k] - y[k - 1]) / slope);
        }
        let count = if form == MarginalKind::Linear { 2 } else { knots };
        let slopes = (0..count).map(|_| (3.0 * random.uniform() - 1.5).exp2()).collect();
        MarginalMap { x, y: y.clone(), slopes }
    };
    Marginal { form, features: (0..features).map(|_| map(random)).collect() }
}

fn standardizer(features: usize) -> Transform {
    Transform::Standardize(Standardize { mean: vec![0.0; features], std: vec![1.0; features] })
}

/// Integers `0..=most`, as training standardizes them.
fn bounded(features: usize, most: u32) -> Vec<Transform> {
    let std = (most as f32 + 1.0) / 0.9;
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
    let mut layer = |inputs: usize, outputs: usize| Dense {
        inputs,
        outputs,
        weights: (0..inputs * outputs).map(|_| random.normal() / (inputs as f32).sqrt()).collect(),
        bias: (0..outputs).map(|_| 0.1 * random.normal()).collect(),
    };
    let layers = vec![layer(given, 7), layer(7, 2 * (active - given))];
    let net = Mlp { layers, ..Mlp::default() };
    Transform::Coupling(Coupling::affine(Mask::split(active, given, true), 0.8, 3.0, net))
}

fn flow(features: usize, transforms: Vec<Transform>) -> Flow {
    Flow { features, transforms, ..Flow::default() }
}

/// Everything in one chain.
fn whole(random: &mut Random) -> Flow {
    let mut chain = bounded(6, 255);
    chain.push(Transform::Marginal(marginal(random, 6, MarginalKind::RationalQuadratic, 1.0)));
    chain.extend([coupling(random, 6), Transform::Split(Split { keep: 4 }), coupling(random, 4)]);
    chain.push(Transform::Marginal(marginal(random, 4, MarginalKind::Linear, 1.0)));
    chain.extend([
        Transform::Split(Split { keep: 2 }),
        coupling(random, 2),
        Transform::SoftTail(SoftTail { knee: 3.0 }),
    ]);
    flow(6, chain)
}

#[test]
fn each_step_inverts_near_and_to_thirty_thousand_deviations() {
    let mut random = Random(4);
    for numeric in [Numeric::F32, Numeric::I16] {
        let mut worst = [0.0f64; 3];
        for round in 0..30 {
            let mut map = marginal(&mut random, 3, FORMS[round % 2], 6.6);
            // Tails that do not leave Q15.16 before the readings do.
            for map in &mut map.features {
                let last = map.slopes.len() - 1;
                (map.slopes[0], map.slopes[last]) =
                    (0.35 + 0.7 * random.uniform(), 0.35 + 0.7 * random.uniform());
            }
            let chain =
                vec![standardizer(3), Transform::Marginal(map), Transform::Logit(Logit { margin: 0.02 })];
            let image = image_of(&flow(3, chain), numeric);
            let model = image.model().expect("a good image");
            for size in [0.5, 2.0, 30.0, 1000.0, 10_000.0] {
                for step in 0..2 {
                    // The logit's slope is 51 out there: 600 deviations fill Q15.16.
                    let size = if step == 1 { f64::min(size, 200.0) } else { size };
                    let x: Vec<f64> =
                        (0..3).map(|_| size * f64::from(random.normal()).clamp(-3.0, 3.0)).collect();
                    let (back, there_log, back_log) = step_there_and_back(&model, step, &x);
                    for (x, back) in x.iter().zip(&back) {
                        let error = (back - x).abs() / (1.0 + x.abs());
                        worst[step] = worst[step].max(error);
                    }
                    if round % 2 == 1 || step == 1 {
                        worst[2] = worst[2].max((there_log - back_log).abs());
                    }
                }
            }
        }
        println!(
            "{numeric:?}: map {:.1e}, logit {:.1e}, log_det there and back {:.1e}",
            worst[0], worst[1], worst[2]
        );
        // Slopes of tails down to 0.35, of bins to 0.25: half a unit of z is two of x. Where a rational quadratic is
        // steep the log-slope of what came back is that of a reading a unit off.
        let budget = if is_fixed(numeric) { [6e-5, 6e-5, 2e-1] } else { [1e-6, 1e-6, 2e-3] };
        assert!(worst.iter().zip(budget).all(|(w, b)| *w < b), "{numeric:?}: {worst:?}");
    }
}

#[test]
fn chains_with_splits_invert() {
    let mut random = Random(6);
    for numeric in NUMERICS {
        let mut worst = 0.0f64;
        for _ in 0..6 {
            let image = image_of(&whole(&mut random), numeric);
            let model = image.model().expect("a good image");
            for _ in 0..100 {
                let x: Vec<f32> = (0..6).map(|_| random.below(256) as f32).collect();
                let there = forward(&model, &x);
                let back = inverse(&model, &there.values);
                for (back, x) in back.values.iter().zip(&x) {
                    worst = worst.max((back - f64::from(*x)).abs());
                }
            }
        }
        println!("{numeric:?}: {worst:.1e} steps of 256");
        // Half a unit of Q15.16 is 0.002 steps; two maps and three couplings contract by up to 16 and 11.
        assert!(worst < if is_fixed(numeric) { 1.0 } else { 2e-3 }, "{numeric:?}: {worst}");
    }
}

#[test]
fn log_det_is_that_of_the_jacobian() {
    let mut random = Random(8);
    for numeric in NUMERICS {
        let (mut worst, mut sum) = (0.0f64, 0.0);
        for _ in 0..4 {
            let flow = whole(&mut random);
            let image = image_of(&flow, numeric);
            let model = image.model().expect("a good image");
            for _ in 0..20 {
                let x: Vec<f32> = (0..6).map(|_| random.below(256) as f32).collect();
                let wide: Vec<f64> = x.iter().map(|&x| x.into()).collect();
                let want = oracle::log_det(|x| oracle::map(&flow, x), &wide, &[1.0; 6], 1e-4);
                let error = (forward(&model, &x).log_det - want).abs() / want.abs().max(1.0);
                worst = worst.max(error);
                sum += error / 80.0;
            }
        }
        println!("{numeric:?}: largest {worst:.1e}, mean {sum:.1e}");
        let budget = match numeric {
            Numeric::F32 => [1e-4, 1e-5],
            Numeric::I16 => [3e-2, 2e-3],
            _ => [1e-1, 2e-2],
        };
        assert!(worst < budget[0] && sum < budget[1], "{numeric:?}: {worst} {sum}");
    }
}

/// The density at the middle of its step times the step is an integer's probability: over all pairs they sum to one,
/// but for the ends' tails beyond the margins.
#[test]
fn probabilities_of_integers_sum_to_one() {
    let mut random = Random(12);
    for numeric in NUMERICS {
        for (features, most) in [(1usize, 255u32), (2, 63)] {
            let mut chain = bounded(features, most);
            chain.push(Transform::Marginal(Marginal {
                form: MarginalKind::RationalQuadratic,
                features: (0..features)
                    .map(|_| MarginalMap {
                        x: vec![-1.5, -0.2, 0.6, 1.5],
                        y: vec![-2.0, -0.5, 0.75, 2.5],
                        slopes: vec![3.0, 1.0, 1.5, 3.0],
                    })
                    .collect(),
            }));
            if features == 2 {
                chain.push(coupling(&mut random, 2));
            }
            let image = image_of(&flow(features, chain), numeric);
            let count = most as usize + 1;
            let rows: Vec<f32> = (0..count.pow(features as u32))
                .flat_map(|i| [i % count, i / count].into_iter().take(features).map(|v| v as f32))
                .collect();
            let sum: f64 = scores(&image, &rows)
                .expect("finite readings")
                .iter()
                .map(|s| f64::from(s.log_prob).exp())
                .sum();
            println!("{numeric:?}, {features} of 0..={most}: {sum:.6}");
            assert!((sum - 1.0).abs() < 2e-3, "{numeric:?}, {features} features: {sum}");
        }
    }
}

/// `backward` of the whole chain against differences of the f64 oracle's log-density.
#[test]
fn slopes_of_the_way_back_are_those_of_differences() {
    fn slopes<A: Real>(image: &ImageFile, x: &[f32]) -> Vec<f64> {
        let model = image.model().expect("a good image");
        let mut z: Vec<A::Value> = forward(&model, x).values.iter().map(|&z| A::nearest(z)).collect();
        // A standard normal base: dL/dz is z.
        let mut slope: Vec<f32> = z.iter().map(|&z| A::real(z) as f32).collect();
        let (mut front, mut back, mut kept) = (vec![0; 400], vec![0; 400], vec![0; 2000]);
        let scratch = Scratch { front: &mut front, back: &mut back };
        let chain = model.experts().next().expect("an expert").chain;
        let mut scratch = GradientScratch { scratch, kept: &mut kept };
        chain.backward::<A>(&mut z, &mut slope, &[], &mut scratch).expect("a checked image");
        slope.into_iter().map(f64::from).collect()
    }
    let mut random = Random(14);
    for (numeric, budget) in [(Numeric::F32, 2e-3), (Numeric::I16, 6e-2)] {
        let (mut errors, mut count) = (0.0, 0.0);
        for _ in 0..4 {
            let flow = whole(&mut random);
            let Transform::Standardize(s) = &flow.transforms[0] else { panic!("a standardizer") };
            let std = f64::from(s.std[0]);
            let image = image_of(&flow, numeric);
            let reference = Reference::from(&flow);
            for _ in 0..25 {
                let x: Vec<f32> = (0..6).map(|_| random.below(256) as f32).collect();
                let found =
                    if is_fixed(numeric) { slopes::<Fixed>(&image, &x) } else { slopes::<Float>(&image, &x) };
                for (i, found) in found.iter().enumerate() {
                    let at = |by: f64| {
                        let mut moved: Vec<f64> = x.iter().map(|&x| x.into()).collect();
                        moved[i] += by;
                        -reference.log_prob(&moved)
                    };
                    let h = 1e-4;
                    // In standardized units, as the chain has them.
                    let want = (at(h) - at(-h)) / (2.0 * h) * std;
                    errors += (found - want).abs() / (1.0 + want.abs());
                    count += 1.0;
                }
            }
        }
        println!("{numeric:?}: mean relative error of slopes {:.1e}", errors / count);
        assert!(errors / count < budget, "{numeric:?}: {}", errors / count);
    }
}

#[test]
fn malformed_blocks_are_refused() {
    let malformed = Err(Error::Malformed(Part::Transform));
    let mut random = Random(16);
    for numeric in NUMERICS {
        let fixed = is_fixed(numeric);
        let map = marginal(&mut random, 3, MarginalKind::Linear, 2.0);
        let chain = vec![
            standardizer(3),
            Transform::Marginal(map),
            Transform::Logit(Logit { margin: 0.05 }),
            Transform::Split(Split { keep: 2 }),
        ];
        let good = image_of(&flow(3, chain), numeric);
        assert!(Parts::of(good.bytes()).seal().model().is_ok());
        let refused = |what: &str, edit: &dyn Fn(&mut Parts<'_>)| {
            let mut parts = Parts::of(good.bytes());
            edit(&mut parts);
            let found = parts.seal().model().map(|_| ());
            assert!(found.is_err(), "{numeric:?}: {what}");
            found
        };
        // The map's block: head, shape, y (17), x (3 x 17), slopes (3 x 2).
        let word = |index: usize, change: fn(u32) -> u32| {
            move |p: &mut Parts<'_>| {
                let at = p.block(0) + index;
                p.words[at] = change(p.words[at]);
            }
        };
        assert_eq!(refused("an unknown flag", &word(1, |w| w | 4)), malformed);
        assert_eq!(refused("the other form", &word(1, |w| w ^ 1)), malformed);
        assert_eq!(refused("y not shared", &word(1, |w| w & !2)), malformed);
        assert_eq!(refused("a knot more", &word(1, |w| w + 0x100)), malformed);
        assert_eq!(refused("no knots", &word(1, |w| w & !0xff00)), malformed);
        assert_eq!(refused("too many fractional bits of x", &word(1, |w| w | 0xff_0000)), malformed);
        assert_eq!(refused("too many fractional bits of y", &word(1, |w| w | 0xff00_0000)), malformed);
        let swap = |p: &mut Parts<'_>| {
            let at = p.block(0);
            p.words.swap(at + 2 + 17 + 3, at + 2 + 17 + 4);
        };
        assert_eq!(refused("knots out of order", &swap), malformed);
        assert_eq!(refused("a tail without slope", &word(2 + 4 * 17, |_| 0)), malformed);
        assert_eq!(refused("a falling tail", &word(2 + 4 * 17 + 1, |w| w ^ 1 << 31)), malformed);
        if !fixed {
            assert_eq!(refused("a NaN knot", &word(2 + 17 + 5, |_| 0x7fc0_0000)), malformed);
            assert_eq!(refused("an infinite tail", &word(2 + 4 * 17, |_| 0x7f80_0000)), malformed);
        }
        let second = |index: usize, to: u32| {
            move |p: &mut Parts<'_>| {
                let at = p.block(1) + index;
                p.words[at] = to;
            }
        };
        assert_eq!(refused("no margin", &second(1, 0)), malformed);
        let half = if fixed { 0x8000 } else { 0.5f32.to_bits() };
        assert_eq!(refused("a margin of one half", &second(1, half)), malformed);
        if !fixed {
            let found = refused("a NaN margin", &second(1, 0x7fc0_0000));
            assert_eq!(found, Err(Error::NotFiniteParameter(Part::Transform)));
        }
        for keep in [0, 3, 4, u32::MAX] {
            let split = |p: &mut Parts<'_>| {
                let at = p.block(2) + 1;
                p.words[at] = keep;
            };
            assert_eq!(refused("a split that keeps none or all", &split), malformed);
        }
        let empty = |p: &mut Parts<'_>| {
            let at = p.block(2);
            p.words[at] = u32::from(kind::SPLIT);
        };
        assert_eq!(refused("a split without a body", &empty), malformed);
    }
}
