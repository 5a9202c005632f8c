//! Flows to measure, with random weights of the size that training gives: the same on every machine.

use crate::device::Board;
use crate::export::{arrange, build, Calibration, Core, ExportError, ImageFile, Metadata, Numeric};
use crate::flow::{
    Conditioner, Coupling, CouplingMap, Dense, ElementwiseAffine, Flow, Linear, Mask, Mlp, Permutation,
    ScaleMap, SoftTail, Spline, SplineParameters, Standardize, Transform,
};

/// Numbers that flows are measured in.
pub const NUMERICS: [Numeric; 3] = [Numeric::F32, Numeric::I16, Numeric::I8];

/// The name of [`NUMERICS`], as on the command line.
#[must_use]
pub fn numeric_name(numeric: Numeric) -> &'static str {
    match numeric {
        Numeric::F32 => "f32",
        Numeric::F32FastMath => "f32-fast-math",
        Numeric::I16 => "i16",
        Numeric::I8 => "i8",
    }
}

/// Rows that come with a flow: to calibrate on, and to score.
const ROWS: usize = 64;

/// A flow with rows that are normal for it.
#[derive(Clone, Debug)]
pub struct Reference {
    /// What the table calls it.
    pub name: String,
    /// The flow.
    pub flow: Flow,
    /// Readings, row by row.
    pub rows: Vec<f32>,
}

impl Reference {
    fn new(name: String, flow: Flow, random: &mut Random) -> Self {
        let Some(Transform::Standardize(s)) = flow.transforms.first() else {
            return Self { name, flow, rows: Vec::new() };
        };
        let mut rows = Vec::new();
        for _ in 0..ROWS {
            rows.extend(s.mean.iter().zip(&s.std).map(|(mean, std)| mean + std * random.normal()));
        }
        Self { name, flow, rows }
    }

    /// The flow's image, its weights in the order of the board's core.
    ///
    /// # Errors
    /// See [`ExportError`].
    pub fn image(&self, board: Board, numeric: Numeric) -> Result<ImageFile, ExportError> {
        let name = |index| (format!("f{index}"), String::new());
        let metadata = Metadata {
            name: self.name.clone(),
            provenance: "random weights".into(),
            features: (0..self.flow.features).map(name).collect(),
            ..Metadata::default()
        };
        let calibration = Calibration { readings: &self.rows, false_alarm_rate: 0.05 };
        let image = build(&self.flow, numeric, &metadata, calibration)?;
        let core = Core::ALL.into_iter().find(|core| core.name() == board.core()).unwrap_or_default();
        arrange(&image, core).map_err(|error| ExportError::Flow(error.to_string()))
    }
}

/// What couplings do with their conditioners' outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Affine couplings.
    Realnvp,
    /// Rational-quadratic splines of 8 bins.
    Spline,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Realnvp => "realnvp",
            Self::Spline => "spline",
        }
    }

    fn map(self) -> CouplingMap {
        match self {
            Self::Realnvp => CouplingMap::Affine { scale: ScaleMap::Tanh { clamp: 2.0 } },
            Self::Spline => CouplingMap::Spline(Spline {
                bins: 8,
                bound: 5.0,
                min_bin: 1e-3,
                min_derivative: 1e-3,
                parameters: SplineParameters::Softplus,
            }),
        }
    }
}

/// A flow as `flowlet train --flow realnvp` (or `nsf --bins 8`) makes it: standardizer, soft tail, couplings on
/// both halves in turn with a permutation before each further pair, soft tail.
#[must_use]
pub fn flow(kind: Kind, features: usize, layers: usize, hidden: &[usize]) -> Reference {
    let widths = hidden.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let name = format!("{} d={features} layers={layers} hidden={widths}", kind.name());
    let mut random = Random::named(&name);
    let mut transforms = vec![standardize(&mut random, features), tail()];
    for layer in 0..layers {
        if features > 2 && layer > 0 && layer % 2 == 0 {
            transforms.push(permutation(&mut random, features));
        }
        transforms.push(coupling(&mut random, features, layer % 2 == 0, kind.map(), hidden));
    }
    transforms.push(tail());
    let flow = Flow { features, transforms, ..Flow::default() };
    Reference::new(name, flow, &mut random)
}

/// The flow by which the project is measured: 16 features, 6 affine couplings, conditioners 8-32-32-16.
pub const REFERENCE: &str = "realnvp d=16 layers=6 hidden=32,32";

/// The flows of the table.
#[must_use]
pub fn flows() -> Vec<Reference> {
    let mut flows = Vec::new();
    for kind in [Kind::Realnvp, Kind::Spline] {
        for features in [4, 8, 16, 32] {
            for layers in [4, 6] {
                for width in [16, 32] {
                    flows.push(flow(kind, features, layers, &[width, width]));
                }
            }
        }
    }
    flows
}

/// Flows whose parts are measured one by one: together their conditioners have every layer of the table, and
/// their chains every kind of transform.
#[must_use]
pub fn parts() -> Vec<Reference> {
    let layers: [(usize, &[&[usize]]); 3] =
        [(16, &[&[16, 32, 32, 16], &[32], &[8]]), (32, &[&[8], &[16], &[32]]), (64, &[&[64, 64]])];
    let mut parts = Vec::new();
    for (features, nets) in layers {
        let name = format!("layers of {features} features");
        let mut random = Random::named(&name);
        let mut transforms = vec![standardize(&mut random, features)];
        for (index, hidden) in nets.iter().enumerate() {
            transforms.push(coupling(&mut random, features, index % 2 == 0, Kind::Realnvp.map(), hidden));
        }
        parts.push(Reference::new(name, Flow { features, transforms, ..Flow::default() }, &mut random));
    }
    let name = TRANSFORMS.to_owned();
    let mut random = Random::named(&name);
    let features = 16;
    let transforms = vec![
        standardize(&mut random, features),
        tail(),
        coupling(&mut random, features, true, Kind::Realnvp.map(), &[32, 32]),
        Transform::ElementwiseAffine(ElementwiseAffine {
            log_scale: (0..features).map(|_| 0.1 * random.normal()).collect(),
            shift: (0..features).map(|_| 0.1 * random.normal()).collect(),
        }),
        coupling(&mut random, features, false, CouplingMap::Additive, &[32, 32]),
        matrix(&mut random, features),
        coupling(&mut random, features, true, Kind::Spline.map(), &[32, 32]),
    ];
    parts.push(Reference::new(name, Flow { features, transforms, ..Flow::default() }, &mut random));
    parts
}

/// The one of [`parts`] whose transforms the table has.
pub const TRANSFORMS: &str = "transforms of 16 features";

fn standardize(random: &mut Random, features: usize) -> Transform {
    Transform::Standardize(Standardize {
        mean: (0..features).map(|_| 100.0 * random.normal()).collect(),
        std: (0..features).map(|_| (2.0 * random.normal()).exp2()).collect(),
    })
}

fn tail() -> Transform {
    Transform::SoftTail(SoftTail { knee: 4.0 })
}

fn permutation(random: &mut Random, features: usize) -> Transform {
    let mut order: Vec<usize> = (0..features).collect();
    for last in (1..features).rev() {
        order.swap(last, (random.bits() % (last as u64 + 1)) as usize);
    }
    Transform::Permutation(Permutation { order })
}

fn matrix(random: &mut Random, features: usize) -> Transform {
    let mut near_identity = || {
        let entry = |i: usize| if i.is_multiple_of(features + 1) { 1.0 } else { 0.05 * random.normal() };
        (0..features * features).map(entry).collect()
    };
    let (lower, upper) = (near_identity(), near_identity());
    Transform::Linear(Linear { lower, upper, shift: vec![0.1; features] })
}

fn coupling(
    random: &mut Random,
    features: usize,
    first: bool,
    map: CouplingMap,
    hidden: &[usize],
) -> Transform {
    let mask = Mask::half(features, first);
    let (inputs, moved) = (mask.given().len(), mask.moved().len());
    let mut widths = vec![inputs];
    widths.extend(hidden);
    widths.push(moved * map.outputs_per_feature());
    let last = widths.len() - 2;
    let dense = |(layer, w): (usize, &[usize])| {
        // Trained last layers start at zero and stay small.
        let size = if layer == last { 0.3 } else { 1.2 } / (w[0] as f32).sqrt();
        Dense {
            inputs: w[0],
            outputs: w[1],
            weights: (0..w[0] * w[1]).map(|_| size * random.normal()).collect(),
            bias: (0..w[1]).map(|_| 0.1 * random.normal()).collect(),
        }
    };
    let layers = widths.windows(2).enumerate().map(dense).collect();
    let net = Mlp { layers, ..Mlp::default() };
    Transform::Coupling(Coupling { mask, map, input_limit: 8.0, conditioner: Conditioner::Mlp(net) })
}

/// Standard normal numbers, the same for the same name; with `integers`, whole numbers from 0 to that.
pub(crate) fn noise(name: &str, count: usize, integers: Option<u32>) -> Vec<f32> {
    let mut random = Random::named(name);
    let mut draw = || match integers {
        Some(largest) => (random.bits() % (u64::from(largest) + 1)) as f32,
        None => random.normal(),
    };
    (0..count).map(|_| draw()).collect()
}

/// SplitMix64 (Steele, Lea, Flood 2014).
struct Random(u64);

impl Random {
    /// A generator of its own for each name (FNV-1a of it), so that one flow's draws do not move another's.
    fn named(name: &str) -> Self {
        Self(name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        }))
    }

    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Near enough to a standard normal: a sum of twelve uniforms.
    fn normal(&mut self) -> f32 {
        (0..12).map(|_| (self.bits() >> 40) as f32 / 16_777_216.0).sum::<f32>() - 6.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_flow_is_what_the_project_says_it_is() {
        let flows = flows();
        let reference = flows.iter().find(|r| r.name == REFERENCE).unwrap();
        assert_eq!(reference.flow.features, 16);
        assert_eq!(reference.flow.couplings().count(), 6);
        assert_eq!(reference.flow.macs(), 10_752);
        assert_eq!(flows.len(), 32);
    }

    #[test]
    fn every_part_has_an_image_in_every_arithmetic() {
        for reference in parts() {
            for numeric in NUMERICS {
                let image = reference.image(Board::Mps2An386, numeric).unwrap();
                assert_eq!(
                    image.bytes(),
                    reference.image(Board::Mps2An386, numeric).unwrap().bytes(),
                    "deterministic"
                );
            }
        }
    }
}
