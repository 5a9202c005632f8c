//! Golden images of format version 2: two experts, a context, every kind of block, net and base that the version
//! brought.

use crate::golden::committed;
use crate::Random;
use flowlet_tools::export::{build, Calibration, Combine, Ensemble, ImageFile, Metadata, Numeric};
use flowlet_tools::flow::{
    Activation, Base, Conditioner, Conv1d, ConvLayer, Coupling, CouplingMap, Dense, ElementwiseAffine, Flow,
    Linear, Logit, Marginal, MarginalKind, MarginalMap, Mask, Mixture, Mlp, Padding, Permutation,
    ResidualBlock, ResidualNet, ScaleMap, SoftTail, Spline, SplineParameters, Split, Standardize, StudentT,
    Transform,
};

/// Features and context inputs.
pub const FEATURES: usize = 4;
/// Values of a row: features, then the context.
pub const INPUTS: usize = FEATURES + 1;

/// `v2-f32.flow` and its siblings.
#[must_use]
pub fn file_name(numeric: Numeric) -> &'static str {
    match numeric {
        Numeric::F32 => "v2-f32.flow",
        Numeric::I16 => "v2-i16.flow",
        Numeric::I8 => "v2-i8.flow",
        Numeric::F32FastMath => panic!("no golden image"),
    }
}

/// The committed golden image of a numeric type, unchecked.
///
/// # Panics
/// If the file is not there.
#[must_use]
pub fn image(numeric: Numeric) -> ImageFile {
    committed(file_name(numeric))
}

fn dense(random: &mut Random, inputs: usize, outputs: usize) -> Dense {
    Dense {
        inputs,
        outputs,
        weights: (0..inputs * outputs).map(|_| random.normal() * 0.5).collect(),
        bias: (0..outputs).map(|_| random.normal() * 0.125).collect(),
    }
}

fn mlp(random: &mut Random, activation: Activation, widths: &[usize]) -> Conditioner {
    let layers = widths.windows(2).map(|w| dense(random, w[0], w[1])).collect();
    Conditioner::Mlp(Mlp { activation, layers })
}

fn coupling(mask: Mask, map: CouplingMap, conditioner: Conditioner) -> Transform {
    Transform::Coupling(Coupling { mask, map, input_limit: 4.0, conditioner })
}

fn marginal(form: MarginalKind, knots: usize) -> Transform {
    let map = |feature: usize| {
        let at = |i: usize| i as f32 - (knots as f32 - 1.0) / 2.0;
        let bend = 0.125 * (feature as f32 + 1.0);
        let x: Vec<f32> = (0..knots).map(|i| at(i) + bend * (at(i) * 2.0).sin() * 0.25).collect();
        let slopes = match form {
            MarginalKind::Linear => vec![0.75, 1.25],
            MarginalKind::RationalQuadratic => (0..knots).map(|i| 1.0 + 0.25 * at(i).cos()).collect(),
        };
        MarginalMap { x, y: (0..knots).map(at).collect(), slopes }
    };
    Transform::Marginal(Marginal { form, features: (0..FEATURES).map(map).collect() })
}

fn standardize() -> Transform {
    Transform::Standardize(Standardize {
        mean: vec![21.5, -0.25, 101_325.0, 0.5, 3000.0],
        std: vec![1.75, 0.0625, 850.0, 0.25, 400.0],
    })
}

/// The quoted expert: marginal maps, a matrix, couplings of every map and net, a split, a mixture.
#[must_use]
pub fn first_expert() -> Flow {
    let random = &mut Random(0x0f10_31e8);
    let spline = Spline {
        bins: 5,
        bound: 4.0,
        min_bin: 1e-3,
        min_derivative: 1e-3,
        parameters: SplineParameters::Softplus,
    };
    let triangle = |random: &mut Random, keep: fn(usize, usize) -> bool| -> Vec<f32> {
        let entry = |random: &mut Random, i: usize, j: usize| match (i == j, keep(i, j)) {
            (true, _) => 1.0 + 0.25 * i as f32,
            (false, true) => 0.25 * random.normal(),
            (false, false) => 0.0,
        };
        (0..FEATURES * FEATURES).map(|k| entry(random, k / FEATURES, k % FEATURES)).collect()
    };
    let residual = Conditioner::Residual(ResidualNet {
        activation: Activation::Silu,
        initial: dense(random, 3, 6),
        blocks: vec![ResidualBlock { first: dense(random, 6, 6), second: dense(random, 6, 6) }],
        last: dense(random, 6, 4),
    });
    let conv = ConvLayer {
        inputs: 2,
        outputs: 2,
        kernel: 3,
        weights: (0..12).map(|_| random.normal() * 0.5).collect(),
        bias: vec![0.125, -0.25],
    };
    let convolution = Conditioner::Conv1d(Conv1d {
        activation: Activation::Relu,
        length: 2,
        channels: 1,
        padding: Padding::Same,
        layers: vec![conv],
    });
    let affine = |scale| CouplingMap::Affine { scale };
    Flow {
        features: FEATURES,
        contexts: 1,
        transforms: vec![
            standardize(),
            Transform::SoftTail(SoftTail { knee: 4.0 }),
            marginal(MarginalKind::Linear, 9),
            Transform::Linear(Linear {
                lower: triangle(random, |i, j| j < i),
                upper: triangle(random, |i, j| j > i),
                shift: vec![0.25, -0.5, 0.0, 0.125],
            }),
            coupling(
                Mask::alternating(FEATURES, true),
                affine(ScaleMap::Tanh { clamp: 1.5 }),
                mlp(random, Activation::Tanh, &[3, 7, 4]),
            ),
            coupling(Mask::half(FEATURES, true), affine(ScaleMap::SoftSign { clamp: 2.0 }), residual),
            coupling(
                Mask::half(FEATURES, false),
                CouplingMap::Spline(spline),
                mlp(random, Activation::LeakyRelu, &[3, 6, 28]),
            ),
            Transform::ElementwiseAffine(ElementwiseAffine {
                log_scale: vec![0.25, -0.125, 0.0, 0.5],
                shift: vec![0.5, 0.0, -0.25, 1.0],
            }),
            coupling(Mask::half(FEATURES, true), affine(ScaleMap::Hard { clamp: 1.0 }), convolution),
            Transform::Split(Split { keep: 2 }),
            coupling(
                Mask::half(2, true),
                affine(ScaleMap::Sigmoid { offset: 2.0, floor: 0.001 }),
                mlp(random, Activation::Relu, &[2, 5, 2]),
            ),
        ],
        base: Base::Mixture(Mixture {
            log_weights: vec![0.5f32.ln(), 0.25f32.ln(), 0.25f32.ln()],
            means: (0..3 * FEATURES).map(|_| random.normal()).collect(),
            log_std: (0..3 * FEATURES).map(|_| 0.25 * random.normal()).collect(),
        }),
    }
}

/// The other expert: rational-quadratic marginal maps, logit, an additive coupling, Student-t.
#[must_use]
pub fn second_expert() -> Flow {
    let random = &mut Random(0x0f10_31e9);
    Flow {
        features: FEATURES,
        contexts: 1,
        transforms: vec![
            standardize(),
            marginal(MarginalKind::RationalQuadratic, 7),
            Transform::Logit(Logit { margin: 0.0625 }),
            Transform::Permutation(Permutation { order: vec![3, 1, 0, 2] }),
            coupling(
                Mask::half(FEATURES, true),
                CouplingMap::Additive,
                mlp(random, Activation::Silu, &[3, 5, 2]),
            ),
        ],
        base: Base::StudentT(StudentT {
            degrees: vec![3.0, 5.0, 8.0, 30.0],
            location: vec![0.5, -0.5, 0.0, 1.0],
            log_scale: vec![1.0, 0.5, 1.5, 0.25],
        }),
    }
}

/// Normal rows of features and context.
#[must_use]
pub fn normal_rows(random: &mut Random, rows: usize) -> Vec<f32> {
    let Transform::Standardize(s) = standardize() else { return Vec::new() };
    let row = |random: &mut Random| -> Vec<f32> {
        s.mean.iter().zip(&s.std).map(|(m, std)| m + std * random.normal()).collect()
    };
    (0..rows).flat_map(|_| row(random)).collect()
}

/// Builds a golden image anew: what the exporter of today makes of the two experts.
///
/// # Panics
/// If the exporter refuses it.
#[must_use]
pub fn build_image(numeric: Numeric) -> ImageFile {
    let experts = vec![first_expert(), second_expert()];
    let readings = normal_rows(&mut Random(1), 200);
    let named = |names: &[(&str, &str)]| names.iter().map(|(a, b)| ((*a).into(), (*b).into())).collect();
    let metadata = Metadata {
        name: "golden".into(),
        provenance: "golden image of format version 2".into(),
        features: named(&[("temperature", "°C"), ("tilt", "rad"), ("pressure", "Pa"), ("load", "")]),
        contexts: named(&[("speed", "rpm")]),
        ..Metadata::default()
    };
    let calibration = Calibration { readings: &readings, false_alarm_rate: 0.01 };
    let ensemble = Ensemble { combine: Combine::Minimum, ..Ensemble::new(experts) };
    build(ensemble, numeric, &metadata, calibration).expect("the golden experts can be exported")
}

/// Rows that the golden scores are for: normal ones, the edges of f32, and wild ones.
#[must_use]
pub fn readings() -> Vec<f32> {
    let mut readings = normal_rows(&mut Random(2), 24);
    let mean = [21.5, -0.25, 101_325.0, 0.5, 3000.0];
    readings.extend(mean);
    for wild in [0.0, -0.0, f32::from_bits(1), f32::MIN_POSITIVE, 1e6, -1e30, f32::MAX, f32::MIN] {
        readings.extend([wild; INPUTS]);
        for input in 0..INPUTS {
            let mut row = mean;
            row[input] = wild;
            readings.extend(row);
        }
    }
    readings
}
