//! Shared helpers of the integration tests in `tests/tests`.

pub mod bases;
pub mod browser;
pub mod command;
pub mod defmt_log;
pub mod development;
pub mod device_compare;
pub mod evaluate;
pub mod golden;
pub mod golden_flows;
pub mod golden_v2;
pub mod linear_flows;
#[cfg(unix)]
pub mod live;
pub mod marginals;
pub mod nets;
pub mod oracle;
#[cfg(unix)]
pub mod qmp;
pub mod splines;
pub mod streams;
pub mod surgery;
pub mod trained;

use flowlet_tools::export::{Metadata, Numeric};
use flowlet_tools::flow::{Coupling, Dense, Flow, Mask, Mlp, Permutation, SoftTail, Standardize, Transform};

/// Every weight type that an image can have.
pub const NUMERICS: [Numeric; 3] = [Numeric::F32, Numeric::I16, Numeric::I8];

/// A small deterministic generator (SplitMix64), so that expected values stay the same for ever.
#[derive(Clone, Debug)]
pub struct Random(pub u64);

impl Random {
    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in [0, 1).
    pub fn uniform(&mut self) -> f32 {
        (self.bits() >> 40) as f32 / (1u64 << 24) as f32
    }

    /// Standard normal, by summing uniforms: tails do not matter here.
    pub fn normal(&mut self) -> f32 {
        (0..12).map(|_| self.uniform()).sum::<f32>() - 6.0
    }

    /// Uniform in `0..n`.
    pub fn below(&mut self, n: usize) -> usize {
        (self.bits() % n as u64) as usize
    }
}

/// A flow with random weights of the size that training gives: `couplings` affine couplings with
/// `hidden` units per hidden layer, permutations between them.
#[must_use]
pub fn random_flow(random: &mut Random, features: usize, couplings: usize, hidden: &[usize]) -> Flow {
    let mut transforms = vec![
        Transform::Standardize(Standardize {
            mean: (0..features).map(|_| 100.0 * random.normal()).collect(),
            std: (0..features).map(|_| (2.0 * random.normal()).exp2()).collect(),
        }),
        Transform::SoftTail(SoftTail { knee: 4.0 }),
    ];
    for index in 0..couplings {
        let split = (features / 2).max(1);
        let condition_on_first = index % 2 == 0;
        let inputs = if condition_on_first { split } else { features - split };
        let mut widths = vec![inputs];
        widths.extend(hidden);
        widths.push(2 * (features - inputs));
        let layers = widths
            .windows(2)
            .map(|w| Dense {
                inputs: w[0],
                outputs: w[1],
                weights: (0..w[0] * w[1]).map(|_| random.normal() / (w[0] as f32).sqrt()).collect(),
                bias: (0..w[1]).map(|_| 0.1 * random.normal()).collect(),
            })
            .collect();
        let mask = Mask::split(features, split, condition_on_first);
        let net = Mlp { layers, ..Mlp::default() };
        transforms.push(Transform::Coupling(Coupling::affine(mask, 2.0, 8.0, net)));
        if index % 2 == 1 {
            let mut order: Vec<usize> = (0..features).collect();
            for i in (1..features).rev() {
                order.swap(i, random.below(i + 1));
            }
            transforms.push(Transform::Permutation(Permutation { order }));
        }
    }
    Flow { features, transforms, ..Flow::default() }
}

/// Readings that are normal for the flow's standardizer, row-major.
#[must_use]
pub fn normal_readings(random: &mut Random, flow: &Flow, rows: usize) -> Vec<f32> {
    let Some(Transform::Standardize(s)) = flow.transforms.first() else {
        panic!("a flow starts with its standardizer")
    };
    (0..rows)
        .flat_map(|_| s.mean.iter().zip(&s.std).map(|(m, std)| m + std * random.normal()).collect::<Vec<_>>())
        .collect()
}

/// Metadata with features `f0`, `f1`, ...
#[must_use]
pub fn metadata(features: usize) -> Metadata {
    Metadata {
        name: "test".into(),
        provenance: "made by a test".into(),
        features: (0..features).map(|i| (format!("f{i}"), String::new())).collect(),
        ..Metadata::default()
    }
}
