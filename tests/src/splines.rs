//! Flows of spline couplings.

use crate::Random;
use flowlet_tools::flow::{
    Conditioner, Coupling, CouplingMap, Dense, Flow, Mask, Mlp, Permutation, SoftTail, Spline,
    SplineParameters, Standardize, Transform,
};

/// Both meanings of raw parameters.
pub const PARAMETERS: [SplineParameters; 2] = [SplineParameters::Softplus, SplineParameters::SoftClipped];

/// Shape of [`spline_flow`].
#[derive(Clone, Copy, Debug)]
pub struct Shape<'a> {
    /// At least 2.
    pub features: usize,
    /// Couplings, in turn on both halves.
    pub couplings: usize,
    /// Hidden layers.
    pub hidden: &'a [usize],
    /// Bins of each spline.
    pub bins: usize,
    /// What raw parameters mean.
    pub parameters: SplineParameters,
    /// Size of the last layers' weights: 1 makes steep splines, 0.3 those of trained flows.
    pub size: f32,
}

/// Standardizer, soft tail and spline couplings with random weights, a permutation before every third.
#[must_use]
pub fn spline_flow(random: &mut Random, shape: Shape<'_>) -> Flow {
    let features = shape.features;
    let mut transforms = vec![
        Transform::Standardize(Standardize {
            mean: (0..features).map(|_| 100.0 * random.normal()).collect(),
            std: (0..features).map(|_| (2.0 * random.normal()).exp2()).collect(),
        }),
        Transform::SoftTail(SoftTail { knee: 4.0 }),
    ];
    let minimum = if shape.parameters == SplineParameters::Softplus { 1e-3 } else { 0.0 };
    for index in 0..shape.couplings {
        if index % 3 == 2 {
            let order = (0..features).rev().collect();
            transforms.push(Transform::Permutation(Permutation { order }));
        }
        let mask = Mask::half(features, index % 2 == 0);
        let mut widths = vec![mask.given().len()];
        widths.extend(shape.hidden);
        widths.push((3 * shape.bins - 1) * mask.moved().len());
        let last = widths.len() - 2;
        let dense = |(layer, w): (usize, &[usize])| {
            let size = if layer == last { shape.size } else { 1.0 } / (w[0] as f32).sqrt();
            Dense {
                inputs: w[0],
                outputs: w[1],
                weights: (0..w[0] * w[1]).map(|_| size * random.normal()).collect(),
                bias: (0..w[1]).map(|_| 0.3 * random.normal()).collect(),
            }
        };
        let layers = widths.windows(2).enumerate().map(dense).collect();
        transforms.push(Transform::Coupling(Coupling {
            mask,
            map: CouplingMap::Spline(Spline {
                bins: shape.bins,
                bound: 5.0,
                min_bin: minimum,
                min_derivative: minimum,
                parameters: shape.parameters,
            }),
            input_limit: 2.0,
            conditioner: Conditioner::Mlp(Mlp { layers, ..Mlp::default() }),
        }));
    }
    transforms.push(Transform::SoftTail(SoftTail { knee: 8.0 }));
    Flow { features, transforms, ..Flow::default() }
}
