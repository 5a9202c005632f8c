//! Conditioner nets of every kind: against PyTorch and nflows, against finite differences, in every arithmetic;
//! and what is malformed is refused.

use flowlet::arithmetic::activation::Activation as Function;
use flowlet::arithmetic::{Arithmetic, Fixed, Float};
use flowlet::conditioner::{GradientScratch, Inputs, Needs, Net, Scratch};
use flowlet::transform::{coupling::Coupling as Step, Step as AnyStep};
use flowlet::{Error, Model, Part, Scorer};
use flowlet_tests::evaluate::{forward, is_fixed, Real};
use flowlet_tests::nets::{metadata, net_flow, net_flow_with, Kind, Shape, ACTIVATIONS, KINDS};
use flowlet_tests::surgery::Parts;
use flowlet_tests::{golden, normal_readings, Random, NUMERICS};
use flowlet_tools::export::{build, import, scores, Calibration, ImageFile, Numeric};
use flowlet_tools::flow::{
    Activation, Conditioner, Coupling, CouplingMap, Flow, Mask, Reference, ScaleMap, Spline,
    SplineParameters, Transform,
};
use serde::{Deserialize, Deserializer};

/// A net by its kind. (A dependency of other tests has serde_json keep numbers as text, which a tagged enum
/// cannot read.)
fn net<'de, D: Deserializer<'de>>(input: D) -> Result<Conditioner, D::Error> {
    let value = serde_json::Value::deserialize(input)?;
    let net = match value["kind"].as_str() {
        Some("mlp") => serde_json::from_value(value).map(Conditioner::Mlp),
        Some("residual") => serde_json::from_value(value).map(Conditioner::Residual),
        _ => serde_json::from_value(value).map(Conditioner::Conv1d),
    };
    net.map_err(serde::de::Error::custom)
}

#[derive(Deserialize)]
struct Case {
    name: String,
    given: usize,
    contexts: usize,
    parameters: usize,
    input_limit: f32,
    #[serde(deserialize_with = "net")]
    conditioner: Conditioner,
    points: Vec<Point>,
}

#[derive(Deserialize)]
struct Point {
    x: Vec<f64>,
    outputs: Vec<f64>,
}

const CLAMP: f32 = 1.5;

impl Case {
    fn all() -> Vec<Self> {
        let text = std::fs::read_to_string(golden::path("conditioners.json")).expect("golden values");
        serde_json::from_str(&text).expect("cases")
    }

    fn moved(&self) -> usize {
        self.points[0].outputs.len() / self.parameters
    }

    /// One coupling: additive, so that outputs are what is added, or affine.
    fn flow(&self) -> Flow {
        let features = self.given + self.moved();
        let map = match self.parameters {
            1 => CouplingMap::Additive,
            _ => CouplingMap::Affine { scale: ScaleMap::Tanh { clamp: CLAMP } },
        };
        let coupling = Coupling {
            mask: Mask::split(features, self.given, true),
            map,
            input_limit: self.input_limit,
            conditioner: self.conditioner.clone(),
        };
        let transforms = vec![Transform::Coupling(coupling)];
        Flow { features, contexts: self.contexts, transforms, ..Flow::default() }
    }

    /// A row of the flow with `at` for each transformed feature.
    fn row(&self, x: &[f64], at: f64) -> Vec<f64> {
        let (given, context) = x.split_at(self.given);
        [given, &vec![at; self.moved()], context].concat()
    }

    fn image(&self, numeric: Numeric) -> ImageFile {
        let flow = self.flow();
        let mut random = Random(4);
        let readings: Vec<f32> = (0..600 * flow.inputs()).map(|_| 1.2 * random.normal()).collect();
        let calibration = Calibration { readings: &readings, false_alarm_rate: 0.01 };
        build(&flow, numeric, &metadata(&flow), calibration).expect("an image")
    }
}

/// The shifts, and the log-scales of an affine map.
fn expected(case: &Case, outputs: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let (shift, raw) = outputs.split_at(case.moved());
    let clamp = f64::from(CLAMP);
    (shift.to_vec(), raw.iter().map(|raw| clamp * (raw / clamp).tanh()).collect())
}

#[test]
fn the_oracle_computes_what_torch_and_nflows_do() {
    for case in Case::all() {
        let reference = Reference::from(&case.flow());
        for point in &case.points {
            let (shift, log_scale) = expected(&case, &point.outputs);
            let zero = reference.forward(&case.row(&point.x, 0.0));
            let one = reference.forward(&case.row(&point.x, 1.0));
            for (i, shift) in shift.iter().enumerate() {
                let found = zero.z[case.given + i];
                assert!((found - shift).abs() < 1e-12 * (1.0 + shift.abs()), "{}", case.name);
                let scale = log_scale.get(i).map_or(1.0, |s| s.exp());
                assert!((one.z[case.given + i] - found - scale).abs() < 1e-11, "{}", case.name);
            }
        }
    }
}

/// Largest error of shifts and log-determinants over a case's points, relative or, below one, absolute.
fn worst(case: &Case, numeric: Numeric) -> f64 {
    let image = case.image(numeric);
    let model = image.model().expect("a good image");
    let mut worst = 0.0f64;
    for point in &case.points {
        let (shift, log_scale) = expected(case, &point.outputs);
        let row: Vec<f32> = case.row(&point.x, 0.0).iter().map(|&x| x as f32).collect();
        let found = forward(&model, &row);
        for (found, want) in found.values[case.given..].iter().zip(&shift) {
            worst = worst.max((found - want).abs() / (1.0 + want.abs()));
        }
        let log_det: f64 = log_scale.iter().sum();
        worst = worst.max((found.log_det - log_det).abs() / (1.0 + log_det.abs()));
    }
    worst
}

/// Budgets of [`worst`]; random weights, as large as trained ones.
fn budget(numeric: Numeric) -> f64 {
    match numeric {
        Numeric::I16 => 2e-3,
        Numeric::I8 => 5e-2,
        // tanh by tables errs by up to 4.7e-7, in every layer of a tanh net, times the weights behind it.
        _ => 1e-5,
    }
}

#[test]
fn every_arithmetic_computes_what_torch_and_nflows_do() {
    for numeric in NUMERICS {
        for activation in ["leaky_relu", "relu", "tanh", "silu"] {
            let mut line = format!("{numeric:?} {activation}:");
            // "relu" is the end of "leaky_relu".
            let is_meant = |name: &str| {
                name.ends_with(activation) && (activation != "relu" || !name.ends_with("leaky_relu"))
            };
            for case in Case::all().iter().filter(|c| is_meant(&c.name)) {
                let worst = worst(case, numeric);
                let kind = case.name.trim_end_matches(activation);
                line += &format!(" {kind} {worst:.1e}");
                assert!(worst < budget(numeric), "{numeric:?} {}: {worst:e}", case.name);
            }
            println!("{line}");
        }
    }
}

/// The first coupling of an image.
fn coupling<'a>(model: &Model<'a>) -> Step<'a> {
    let chain = model.experts().next().expect("an expert").chain;
    let found = chain.steps().find_map(|step| match step {
        AnyStep::Coupling(c) => Some(c),
        _ => None,
    });
    found.expect("a coupling")
}

/// The device's slopes of `weights . outputs` with respect to the given inputs.
fn slopes<A: Real>(model: &Model<'_>, case: &Case, x: &[f64], weights: &[f32]) -> Vec<f64> {
    let c = coupling(model);
    let net: Net<'_> = c.net();
    let inputs = case.given + case.contexts;
    let mut needs = Needs::default();
    net.check::<A>(inputs, weights.len(), &mut needs).expect("a good net");
    // No word more than stated, and garbage in them.
    let (mut front, mut back) = (vec![0xdead_beef; needs.scratch], vec![0xbaad_f00d; needs.scratch]);
    let mut kept = vec![0x7fc0_0001; net.gradient_words(inputs)];
    let mut scratch =
        GradientScratch { scratch: Scratch { front: &mut front, back: &mut back }, kept: &mut kept };
    let values: Vec<A::Value> = x.iter().map(|&x| A::nearest(x)).collect();
    let (given, context) = values.split_at(case.given);
    let inputs =
        Inputs { given, context, limit: c.input_limit::<A>().expect("a limit"), shift: c.input_shift() };
    // Added to what is there.
    let mut slope = vec![0.25f32; case.given];
    net.backward::<A>(&inputs, weights, &mut slope, &mut scratch).expect("enough memory");
    slope.into_iter().map(|s| f64::from(s) - 0.25).collect()
}

/// The same by central differences of the f64 oracle, for the net that the image stands for.
fn differences(flow: &Flow, case: &Case, x: &[f64], weights: &[f32]) -> Vec<f64> {
    let Some(Transform::Coupling(c)) = flow.transforms.last() else { panic!("a coupling") };
    // Outputs as they are: the shifts of an additive coupling on as many features as there are outputs.
    let count = weights.len();
    let raw = Flow {
        features: case.given + count,
        contexts: case.contexts,
        transforms: vec![Transform::Coupling(Coupling {
            mask: Mask::split(case.given + count, case.given, true),
            map: CouplingMap::Additive,
            ..c.clone()
        })],
        ..Flow::default()
    };
    let reference = Reference::from(&raw);
    let length = match &c.conditioner {
        Conditioner::Conv1d(net) => net.length,
        _ => 1,
    };
    let (step, moved) = (count / length, count / length / case.parameters);
    let outputs = |x: &[f64]| -> Vec<f64> {
        let (given, context) = x.split_at(case.given);
        let z = reference.forward(&[given, &vec![0.0; count], context].concat()).z;
        let mut outputs = vec![0.0; count];
        for (index, &value) in z[case.given..].iter().enumerate() {
            let (t, channel) = (index / step, index % step);
            let parameter = channel / moved;
            // Raw log-scales in units of the clamp, as the image has them.
            let unit = if parameter == 1 { f64::from(CLAMP) } else { 1.0 };
            outputs[(parameter * length + t) * moved + channel % moved] = value / unit;
        }
        outputs
    };
    let value = |x: &[f64]| outputs(x).iter().zip(weights).map(|(o, &w)| o * f64::from(w)).sum::<f64>();
    (0..case.given)
        .map(|i| {
            let h = 1e-6;
            let at = |by: f64| {
                let mut x = x.to_vec();
                x[i] += by;
                value(&x)
            };
            (at(h) - at(-h)) / (2.0 * h)
        })
        .collect()
}

#[test]
fn the_way_back_gives_the_slopes_of_finite_differences() {
    for numeric in NUMERICS {
        // Fixed point rounds activations before it takes derivatives.
        let budget = if is_fixed(numeric) { 2e-3 } else { 5e-6 };
        for case in Case::all() {
            let image = case.image(numeric);
            let model = image.model().expect("a good image");
            let (flow, _) = import(&model);
            let mut random = Random(8);
            let (mut worst, mut off, mut all) = (0.0f64, 0, 0);
            for point in &case.points {
                let weights: Vec<f32> = (0..point.outputs.len()).map(|_| random.normal()).collect();
                let found = match is_fixed(numeric) {
                    true => slopes::<Fixed>(&model, &case, &point.x, &weights),
                    false => slopes::<Float>(&model, &case, &point.x, &weights),
                };
                let want = differences(&flow, &case, &point.x, &weights);
                let size = want.iter().fold(1.0f64, |a, b| a.max(b.abs()));
                for (i, (found, want)) in found.iter().zip(&want).enumerate() {
                    if point.x[i].abs() > f64::from(case.input_limit) {
                        assert_eq!(*found, 0.0, "{numeric:?} {}: a saturated input", case.name);
                    }
                    let error = (found - want).abs() / size;
                    all += 1;
                    off += usize::from(error > budget);
                    worst = if error > budget { worst } else { worst.max(error) };
                }
            }
            // A ReLU's kink may lie within the step, and in fixed point on the other side of the rounded sum.
            let smooth = matches!(case.conditioner.activation(), Activation::Tanh | Activation::Silu);
            let allowed = if smooth { 0 } else { 1 + all / if is_fixed(numeric) { 20 } else { 100 } };
            assert!(off <= allowed, "{numeric:?} {}: {off} of {all} slopes are off", case.name);
            println!("{numeric:?} {}: slopes within {worst:.1e}, {off} of {all} at a kink", case.name);
        }
    }
}

#[test]
fn whole_flows_keep_their_budgets_and_come_back_from_their_images() {
    let shape = Shape { length: 4, channels: 3, contexts: 1 };
    for numeric in NUMERICS {
        for kind in KINDS {
            let mut line = format!("{numeric:?} {kind:?}:");
            for activation in ACTIVATIONS {
                let mut random = Random(21);
                let flow = net_flow(&mut random, kind, activation, shape);
                let rows = normal_readings(&mut random, &flow, 400);
                let calibration = Calibration { readings: &rows, false_alarm_rate: 0.01 };
                let image = build(&flow, numeric, &metadata(&flow), calibration).expect("an image");
                let found = scores(&image, &rows).expect("scores");
                let error = |flow: &Flow| {
                    let reference = Reference::from(flow);
                    let errors: Vec<f64> = rows
                        .chunks_exact(flow.inputs())
                        .zip(&found)
                        .map(|(row, s)| (f64::from(s.log_prob) - reference.log_prob_f32(row)).abs())
                        .collect();
                    errors.iter().sum::<f64>() / errors.len() as f64
                };
                let (mean, again) = (error(&flow), error(&import(&image.model().expect("a good image")).0));
                line += &format!(" {activation:?} {mean:.1e} ({again:.1e} from the net it stands for)");
                let (budget, budget_again) = match numeric {
                    Numeric::I16 => (2e-2, 2e-2),
                    Numeric::I8 => (6e-1, 2e-2),
                    _ => (5e-5, 5e-5),
                };
                assert!(mean < budget, "{numeric:?} {kind:?} {activation:?}: {mean}");
                assert!(again < budget_again, "{numeric:?} {kind:?} {activation:?} imported: {again}");
            }
            println!("{line} nats in the mean");
        }
    }
}

/// Splines want the parameters of a feature side by side, additive couplings one parameter.
#[test]
fn other_maps_get_their_parameters_in_their_order() {
    let shape = Shape { length: 4, channels: 2, contexts: 1 };
    let spline = Spline {
        bins: 5,
        bound: 4.0,
        min_bin: 1e-3,
        min_derivative: 1e-3,
        parameters: SplineParameters::Softplus,
    };
    for numeric in NUMERICS {
        for kind in KINDS {
            for map in [CouplingMap::Additive, CouplingMap::Spline(spline)] {
                let mut random = Random(33);
                let mut flow = net_flow_with(&mut random, kind, Activation::Tanh, shape, &map);
                tame(&mut flow);
                let rows = normal_readings(&mut random, &flow, 200);
                let calibration = Calibration { readings: &rows, false_alarm_rate: 0.01 };
                let image = build(&flow, numeric, &metadata(&flow), calibration).expect("an image");
                let found = scores(&image, &rows).expect("scores");
                let mean = |flow: &Flow| {
                    let reference = Reference::from(flow);
                    let rows = rows.chunks_exact(flow.inputs()).zip(&found);
                    rows.map(|(row, s)| (f64::from(s.log_prob) - reference.log_prob_f32(row)).abs())
                        .sum::<f64>()
                        / found.len() as f64
                };
                let (error, again) = (mean(&flow), mean(&import(&image.model().expect("a good image")).0));
                println!("{numeric:?} {kind:?} {}: {error:.1e}, {again:.1e} again, nats", map_name(&map));
                let (budget, budget_again) = match numeric {
                    Numeric::I16 => (5e-3, 5e-3),
                    Numeric::I8 => (1e-1, 5e-3),
                    _ => (2e-5, 2e-5),
                };
                assert!(error < budget, "{numeric:?} {kind:?} {}: {error}", map_name(&map));
                assert!(again < budget_again, "{numeric:?} {kind:?} {} imported: {again}", map_name(&map));
            }
        }
    }
}

/// Makes outputs small: random splines are so steep that rounding shows more than the order of parameters.
fn tame(flow: &mut Flow) {
    for transform in &mut flow.transforms {
        let Transform::Coupling(c) = transform else { continue };
        let weights = match &mut c.conditioner {
            Conditioner::Mlp(net) => net.layers.last_mut().map(|l| &mut l.weights),
            Conditioner::Residual(net) => Some(&mut net.last.weights),
            Conditioner::Conv1d(net) => net.layers.last_mut().map(|l| &mut l.weights),
        };
        weights.expect("a layer").iter_mut().for_each(|w| *w *= 0.3);
    }
}

fn map_name(map: &CouplingMap) -> &'static str {
    match map {
        CouplingMap::Additive => "additive",
        CouplingMap::Affine { .. } => "affine",
        CouplingMap::Spline(_) => "spline",
    }
}

#[test]
fn fixed_point_activations_keep_their_budgets() {
    for (function, shift, exact) in [
        (Function::Tanh, 1, f64::tanh as fn(f64) -> f64),
        (Function::Silu, 3, |x| x / (1.0 + (-x).exp())),
        (Function::LeakyRelu, 3, |x| x.max(0.01 * x)),
    ] {
        let unit = f64::from(shift).exp2() / 65536.0;
        let worst = (-3 * 65536 / 2..3 * 65536 / 2)
            .step_by(3)
            .map(|x| {
                let mut out = [0];
                Fixed::activate(function, shift, &[x], &mut out);
                (f64::from(out[0]) * unit - exact(f64::from(x) / 65536.0)).abs()
            })
            .fold(0.0, f64::max);
        println!("fixed {function:?} as an activation of unit {unit:.1e}: {worst:.1e} absolute");
        assert!(
            worst < if function == Function::Tanh { 8e-5 } else { 0.5 * unit + 4e-5 },
            "{function:?}: {worst}"
        );
    }
}

/// A flow's image and the index of its first net word.
fn hurt(kind: Kind, numeric: Numeric) -> (ImageFile, usize) {
    let mut random = Random(5);
    let flow = net_flow(&mut random, kind, Activation::Silu, Shape { length: 4, channels: 1, contexts: 1 });
    let rows = normal_readings(&mut random, &flow, 100);
    let calibration = Calibration { readings: &rows, false_alarm_rate: 0.01 };
    let image = build(&flow, numeric, &metadata(&flow), calibration).expect("an image");
    let parts = Parts::of(image.bytes());
    // Behind the soft tail and the order of the scattered mask; five words of the coupling's own.
    let net = parts.block(2) + 6;
    (image.clone(), net)
}

/// The error of the image with one byte of a word of its net changed.
fn with_byte(image: &ImageFile, net: usize, word: isize, byte: usize, value: u8) -> Option<Error> {
    let mut parts = Parts::of(image.bytes());
    let at = net.checked_add_signed(word).expect("a word");
    let mut bytes = parts.words[at].to_le_bytes();
    assert_ne!(bytes[byte], value, "nothing changed");
    bytes[byte] = value;
    parts.words[at] = u32::from_le_bytes(bytes);
    reseal(image, &parts).model().err()
}

/// The parts sealed, in the format version of the image that they are from.
fn reseal(image: &ImageFile, parts: &Parts<'_>) -> ImageFile {
    let mut bytes = parts.seal().bytes().to_vec();
    bytes[4..6].copy_from_slice(&image.bytes()[4..6]);
    flowlet_tests::surgery::repair(&mut bytes);
    ImageFile::from_bytes(&bytes)
}

#[test]
fn malformed_nets_are_refused() {
    let malformed = Some(Error::Malformed(Part::Conditioner));
    for numeric in NUMERICS {
        let (image, net) = hurt(Kind::Mlp, numeric);
        assert!(reseal(&image, &Parts::of(image.bytes())).model().is_ok());
        let header = net as isize - net as isize;
        // Activations: none at all, unknown ones, an output in the middle, linear.
        for value in [0, 5, 6, 255] {
            assert_eq!(with_byte(&image, net, header + 1, 1, value), malformed, "{numeric:?} {value}");
        }
        // The activation's shift: none where one is needed, too large a one, one where none may be.
        let shifts: &[u8] = if is_fixed(numeric) { &[0, 17, 255] } else { &[1, 255] };
        for &value in shifts {
            assert_eq!(with_byte(&image, net, 1, 3, value), malformed, "{numeric:?} {value}");
        }

        let (image, net) = hurt(Kind::Residual, numeric);
        // Number of layers: odd, none, one block less, more than there may be.
        for value in [0, 1, 3, 5, 4, 18] {
            assert_eq!(with_byte(&image, net, -2, 1, value), malformed, "{numeric:?} {value} layers");
        }
        let parts = Parts::of(image.bytes());
        let model = image.model().expect("a good image");
        let Net::Residual(residual) = coupling(&model).net() else { panic!("a residual net") };
        let initial = residual.initial().expect("a layer");
        let words = 2 + initial.bias.len() + initial.multipliers.len() + initial.weights.len();
        let gate = words as isize;
        assert_eq!(parts.words[net + words] & 0xff, 4, "the gate's SiLU");
        for value in [0, 5, 6] {
            assert_eq!(with_byte(&image, net, gate, 0, value), malformed, "{numeric:?} gate {value}");
        }
        let shift = if is_fixed(numeric) { 17 } else { 1 };
        assert_eq!(with_byte(&image, net, gate, 1, shift), malformed, "{numeric:?} gate's shift");
        for byte in [2, 3] {
            assert_eq!(with_byte(&image, net, gate, byte, 1), malformed, "{numeric:?} gate's zeros");
        }
        // The trunk's layer hidden instead of an output.
        assert!(with_byte(&image, net, 1, 1, 1).is_some());
        // A width that does not fit the trunk.
        assert!(with_byte(&image, net, gate + 1, 0, 10).is_some());

        let (image, net) = hurt(Kind::Same, numeric);
        // length, channels, padding, groups, context channels.
        let sizes = [(0, 0, 0), (0, 0, 3), (0, 1, 4), (0, 2, 0), (0, 2, 2), (0, 3, 1), (1, 0, 2), (1, 1, 0)];
        let more = [(1, 1, 3), (1, 1, 255), (1, 2, 0), (1, 3, 1)];
        for (word, byte, value) in sizes.into_iter().chain(more) {
            let error = with_byte(&image, net, word, byte, value);
            assert_eq!(error, malformed, "{numeric:?} word {word}, byte {byte}: {value}");
        }
        // Kernels: none, even, another, and one too long.
        for (byte, value) in [(0, 0), (0, 4), (0, 3), (1, 1), (3, 1)] {
            assert_eq!(with_byte(&image, net, 2, byte, value), malformed, "{numeric:?} kernel {value}");
        }
    }
}

#[test]
fn no_mutant_panics() {
    let mut random = Random(77);
    for numeric in NUMERICS {
        for kind in KINDS {
            let (image, net) = hurt(kind, numeric);
            let (mut refused, mut scored) = (0, 0);
            for _ in 0..3000 {
                let mut parts = Parts::of(image.bytes());
                // Mostly the words that say what follows.
                let at = if random.below(2) == 0 {
                    net - 6 + random.below(12)
                } else {
                    random.below(parts.words.len())
                };
                parts.words[at] ^= 1 << random.below(32);
                let mutant = reseal(&image, &parts);
                match mutant.model() {
                    Err(Error::WorkspaceMismatch { needed, .. }) if needed < 1 << 20 => {
                        parts.workspace = needed;
                        let larger = reseal(&image, &parts);
                        scored += usize::from(score_some(&larger, &mut random));
                    }
                    Err(_) => refused += 1,
                    Ok(_) => scored += usize::from(score_some(&mutant, &mut random)),
                }
            }
            assert!(
                refused > 100 && scored > 100,
                "{numeric:?} {kind:?}: {refused} refused, {scored} scored"
            );
        }
    }
}

/// Scores random and wild readings of an image that may be odd; whether it loads.
fn score_some(image: &ImageFile, random: &mut Random) -> bool {
    let Ok(model) = image.model() else { return false };
    let mut workspace = vec![0; model.workspace_bytes() / 4];
    let mut scorer = Scorer::new(&model, &mut workspace).expect("enough workspace");
    for size in [1.0, 1e3, 1e30] {
        let row: Vec<f32> = (0..model.inputs()).map(|_| size * random.normal()).collect();
        let score = scorer.score(&row).expect("finite readings have a score");
        assert!(score.log_prob.is_finite() && !score.p_value.is_nan());
    }
    true
}
