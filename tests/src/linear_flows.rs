//! Random flows of additive and affine couplings, scales and shifts, and matrices, with weights of the size that
//! training gives.

use crate::Random;
use flowlet_tools::flow::{
    Conditioner, Coupling, CouplingMap, Dense, ElementwiseAffine, Flow, Linear, Mask, Mlp, Permutation,
    ScaleMap, SoftTail, Standardize, Transform,
};

/// Every map of a coupling that is additive or affine.
pub const MAPS: [CouplingMap; 6] = [
    CouplingMap::Additive,
    CouplingMap::Affine { scale: ScaleMap::Tanh { clamp: 1.5 } },
    CouplingMap::Affine { scale: ScaleMap::Hard { clamp: 0.75 } },
    CouplingMap::Affine { scale: ScaleMap::SoftSign { clamp: 2.0 } },
    CouplingMap::Affine { scale: ScaleMap::Sigmoid { offset: 2.0, floor: 1e-3 } },
    CouplingMap::Affine { scale: ScaleMap::Sigmoid { offset: 1.0, floor: 0.0 } },
];

fn many(random: &mut Random, n: usize, size: f32) -> Vec<f32> {
    (0..n).map(|_| size * random.normal()).collect()
}

/// Standardizer and soft tail.
pub fn front(random: &mut Random, features: usize) -> Vec<Transform> {
    vec![
        Transform::Standardize(Standardize {
            mean: many(random, features, 100.0),
            std: (0..features).map(|_| (2.0 * random.normal()).exp2()).collect(),
        }),
        Transform::SoftTail(SoftTail { knee: 4.0 }),
    ]
}

/// A coupling with one hidden layer.
pub fn coupling(random: &mut Random, mask: Mask, map: &CouplingMap, hidden: usize) -> Transform {
    let widths = [mask.given().len(), hidden, map.outputs_per_feature() * mask.moved().len()];
    let layers = widths
        .windows(2)
        .map(|w| Dense {
            inputs: w[0],
            outputs: w[1],
            weights: many(random, w[0] * w[1], 0.8 / (w[0] as f32).sqrt()),
            bias: many(random, w[1], 0.1),
        })
        .collect();
    let conditioner = Conditioner::Mlp(Mlp { layers, ..Mlp::default() });
    Transform::Coupling(Coupling { mask, map: map.clone(), input_limit: 4.0, conditioner })
}

/// Scales from a half to two, and shifts.
pub fn elementwise(random: &mut Random, features: usize) -> Transform {
    Transform::ElementwiseAffine(ElementwiseAffine {
        log_scale: many(random, features, 0.3),
        shift: many(random, features, 0.5),
    })
}

/// A matrix near an orthogonal one in size; the diagonal of U has both signs.
pub fn linear(random: &mut Random, features: usize) -> Transform {
    let n = features;
    let size = 0.5 / (n as f32).sqrt();
    let mut upper = many(random, n * n, size);
    for i in 0..n {
        let diagonal = (0.3 * random.normal()).exp();
        upper[i * n + i] = if random.below(3) == 0 { -diagonal } else { diagonal };
    }
    Transform::Linear(Linear { lower: many(random, n * n, size), upper, shift: many(random, n, 0.5) })
}

/// A random order.
pub fn permutation(random: &mut Random, features: usize) -> Transform {
    let mut order: Vec<usize> = (0..features).collect();
    (1..features).for_each(|i| order.swap(i, random.below(i + 1)));
    Transform::Permutation(Permutation { order })
}

/// Named flows with everything that this topic has: each map alone, scales, matrices, NICE, Glow.
#[must_use]
pub fn flows() -> Vec<(String, Flow)> {
    let mut random = Random(0x11ea);
    let mut all = Vec::new();
    let mut add = |name: String, random: &mut Random, features: usize, chain: Vec<Transform>| {
        let mut transforms = front(random, features);
        transforms.extend(chain);
        all.push((name, Flow { features, transforms, ..Flow::default() }));
    };
    for (index, map) in MAPS.iter().enumerate() {
        let features = 3 + index;
        let chain =
            (0..4).map(|i| coupling(&mut random, Mask::alternating(features, i % 2 == 0), map, 7)).collect();
        add(format!("{map:?}"), &mut random, features, chain);
    }
    // Behind the tail, so that nothing on the left takes the scales up.
    let chain = vec![elementwise(&mut random, 5)];
    add("elementwise".into(), &mut random, 5, chain);
    for features in [2, 3, 8, 17, 36] {
        let chain = vec![linear(&mut random, features)];
        add(format!("linear {features}"), &mut random, features, chain);
    }
    let mut nice: Vec<Transform> =
        (0..4).map(|i| coupling(&mut random, Mask::half(6, i % 2 == 0), &MAPS[0], 12)).collect();
    nice.push(elementwise(&mut random, 6));
    add("nice".into(), &mut random, 6, nice);
    let mut glow = Vec::new();
    for i in 0..4 {
        glow.extend([elementwise(&mut random, 7), permutation(&mut random, 7), linear(&mut random, 7)]);
        glow.push(coupling(&mut random, Mask::half(7, i % 2 == 0), &MAPS[1], 12));
    }
    add("glow".into(), &mut random, 7, glow);
    let masks = [
        [true, false, false, true, false],
        [false, true, true, false, true],
        [true, true, false, true, true],
    ];
    let chain = masks.map(|mask| coupling(&mut random, Mask(mask.to_vec()), &MAPS[1], 9)).into();
    add("arbitrary masks".into(), &mut random, 5, chain);
    all
}
