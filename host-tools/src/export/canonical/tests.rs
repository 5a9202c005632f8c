//! The canonical form has the density and the z of the flow that it is made from.

use super::canonical_one;
use crate::flow::{
    Base, Coupling, CouplingMap, Dense, DiagonalNormal, ElementwiseAffine, Flow, Linear, Mask, Mlp,
    Permutation, Reference, ScaleMap, SoftTail, Split, Standardize, Transform,
};

fn canonical(flow: &Flow) -> Flow {
    canonical_one(flow, true)
}

/// An LCG's high bits.
struct Lcg(u64);

impl Lcg {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % n
    }

    fn uniform(&mut self) -> f32 {
        self.below(1 << 20) as f32 / f32::from(1u16 << 9) / 1024.0 - 1.0
    }

    fn many(&mut self, n: usize, size: f32) -> Vec<f32> {
        (0..n).map(|_| size * self.uniform()).collect()
    }

    fn permutation(&mut self, n: usize) -> Transform {
        let mut order: Vec<usize> = (0..n).collect();
        (1..n).for_each(|i| order.swap(i, self.below(i + 1)));
        Transform::Permutation(Permutation { order })
    }

    fn elementwise(&mut self, n: usize) -> Transform {
        let (log_scale, shift) = (self.many(n, 0.7), self.many(n, 1.0));
        Transform::ElementwiseAffine(ElementwiseAffine { log_scale, shift })
    }

    fn linear(&mut self, n: usize) -> Transform {
        let mut upper = self.many(n * n, 0.5);
        for i in 0..n {
            let size = 0.6 + self.uniform().abs();
            upper[i * n + i] = if self.below(2) == 0 { size } else { -size };
        }
        Transform::Linear(Linear { lower: self.many(n * n, 0.5), upper, shift: self.many(n, 1.0) })
    }

    fn mask(&mut self, n: usize) -> Mask {
        match self.below(3) {
            0 => Mask::half(n, self.below(2) == 0),
            1 => Mask::alternating(n, self.below(2) == 0),
            _ => {
                let mut mask: Vec<bool> = (0..n).map(|_| self.below(2) == 0).collect();
                mask[0] = true;
                mask[n - 1] = false;
                Mask(mask)
            }
        }
    }

    fn coupling(&mut self, mask: Mask) -> Transform {
        let map = match self.below(5) {
            0 => CouplingMap::Additive,
            1 => CouplingMap::Affine { scale: ScaleMap::Tanh { clamp: 1.5 } },
            2 => CouplingMap::Affine { scale: ScaleMap::Hard { clamp: 1.0 } },
            3 => CouplingMap::Affine { scale: ScaleMap::SoftSign { clamp: 2.0 } },
            _ => CouplingMap::Affine { scale: ScaleMap::Sigmoid { offset: 2.0, floor: 0.001 } },
        };
        let widths = [mask.given().len(), 5, map.outputs_per_feature() * mask.moved().len()];
        let layers = widths
            .windows(2)
            .map(|w| Dense {
                inputs: w[0],
                outputs: w[1],
                weights: self.many(w[0] * w[1], 0.8),
                bias: self.many(w[1], 0.3),
            })
            .collect();
        let conditioner = crate::flow::Conditioner::Mlp(Mlp { layers, ..Mlp::default() });
        Transform::Coupling(Coupling { mask, map, input_limit: 3.0, conditioner })
    }
}

/// Largest difference of z, relative above one, and of log_prob, over some readings.
fn difference(a: &Flow, b: &Flow, random: &mut Lcg) -> (f64, f64) {
    let (before, after) = (Reference::from(a), Reference::from(b));
    let mut worst = (0f64, 0f64);
    for row in 0..20 {
        let size = if row % 4 == 0 { 40.0 } else { 2.0 };
        let x: Vec<f64> = random.many(a.features, size).into_iter().map(f64::from).collect();
        let (one, other) = (before.forward(&x).z, after.forward(&x).z);
        for (a, b) in one.iter().zip(&other) {
            worst.0 = worst.0.max((a - b).abs() / a.abs().max(1.0));
        }
        if a.base == b.base {
            let (a, b) = (before.log_prob(&x), after.log_prob(&x));
            worst.1 = worst.1.max((a - b).abs() / a.abs().max(1.0));
        }
    }
    worst
}

fn count(flow: &Flow, name: &str) -> usize {
    flow.transforms.iter().filter(|t| t.name() == name).count()
}

fn is_canonical(flow: &Flow) -> bool {
    flow.couplings().all(|c| c.mask.as_split().is_some())
}

#[test]
fn orders_and_masks_leave_the_density_alone() {
    for seed in 0..200 {
        let mut random = Lcg(seed);
        let n = 2 + random.below(8);
        let mut transforms = Vec::new();
        let mut active = n;
        for _ in 0..1 + random.below(8) {
            transforms.push(match random.below(6) {
                0 => random.permutation(active),
                1 => Transform::SoftTail(SoftTail { knee: 2.0 }),
                2 if active > 3 => {
                    active -= 1;
                    Transform::Split(Split { keep: active })
                }
                _ => {
                    let mask = random.mask(active);
                    random.coupling(mask)
                }
            });
        }
        let flow = Flow { features: n, transforms, ..Flow::default() };
        let fused = canonical(&flow);
        assert!(is_canonical(&fused), "{seed}: {}", fused.summary());
        let (z, log_prob) = difference(&flow, &fused, &mut random);
        assert!(z < 1e-9 && log_prob < 1e-9, "{seed}: {z:e} {log_prob:e}: {}", flow.summary());
        assert_eq!(canonical(&fused).summary(), fused.summary(), "{seed}: it is its own canonical form");
    }
}

#[test]
fn merged_scales_and_matrices_err_by_their_rounding_to_f32() {
    let (mut worst, mut worst_log) = (0f64, 0f64);
    for seed in 0..300 {
        let mut random = Lcg(1000 + seed);
        let n = 2 + random.below(7);
        let mut transforms = Vec::new();
        if random.below(2) == 0 {
            transforms.push(Transform::Standardize(Standardize {
                mean: random.many(n, 5.0),
                std: random.many(n, 0.9).into_iter().map(|s| 1.0 + s).collect(),
            }));
        }
        for _ in 0..1 + random.below(9) {
            transforms.push(match random.below(6) {
                0 => random.permutation(n),
                1 => Transform::SoftTail(SoftTail { knee: 2.0 }),
                2 => {
                    let mask = random.mask(n);
                    random.coupling(mask)
                }
                3 => random.linear(n),
                _ => random.elementwise(n),
            });
        }
        let flow = Flow { features: n, transforms, ..Flow::default() };
        let fused = canonical(&flow);
        assert!(is_canonical(&fused));
        for pair in fused.transforms.windows(2) {
            let names = (pair[0].name(), pair[1].name());
            let mergeable = matches!(
                names,
                ("elementwise_affine" | "linear", "elementwise_affine" | "linear")
                    | ("permutation", "permutation" | "elementwise_affine")
                    | ("standardize", "elementwise_affine")
            );
            assert!(!mergeable, "{seed}: {names:?} of {}", fused.summary());
        }
        let (z, log_prob) = difference(&flow, &fused, &mut random);
        assert!(z < 2e-5 && log_prob < 2e-5, "{seed}: {z:e} {log_prob:e}: {}", flow.summary());
        worst = worst.max(z);
        worst_log = worst_log.max(log_prob);
    }
    println!("merged: z {worst:.1e}, log_prob {worst_log:.1e}");
}

#[test]
fn alternating_masks_cost_two_reorderings_in_all() {
    let mut random = Lcg(4);
    let couplings: Vec<Transform> =
        (0..6).map(|i| random.coupling(Mask::alternating(7, i % 2 == 0))).collect();
    let flow = Flow { features: 7, transforms: couplings, ..Flow::default() };
    let fused = canonical(&flow);
    assert_eq!(count(&fused, "permutation"), 2, "{}", fused.summary());
    assert!(difference(&flow, &fused, &mut random).0 < 1e-9);
}

#[test]
fn halves_in_turn_stay_as_they_are() {
    let mut random = Lcg(5);
    let mut transforms: Vec<Transform> = (0..4).map(|i| random.coupling(Mask::half(6, i % 2 == 0))).collect();
    transforms.insert(2, Transform::Permutation(Permutation { order: vec![5, 0, 3, 1, 4, 2] }));
    let flow = Flow { features: 6, transforms, ..Flow::default() };
    // Brought forward, the order is the one that the third coupling asks for.
    assert_eq!(canonical(&flow), flow);
}

#[test]
fn glow_steps_become_an_order_a_matrix_and_a_coupling() {
    let mut random = Lcg(6);
    let n = 6;
    let mut transforms = Vec::new();
    for i in 0..4 {
        transforms.extend([random.elementwise(n), random.permutation(n), random.linear(n)]);
        transforms.push(random.coupling(Mask::half(n, i % 2 == 0)));
    }
    let flow = Flow { features: n, transforms, ..Flow::default() };
    let fused = canonical(&flow);
    assert_eq!((count(&fused, "permutation"), count(&fused, "linear")), (4, 4), "{}", fused.summary());
    assert_eq!(fused.transforms.len(), 12);
}

#[test]
fn two_matrices_with_an_order_between_become_one() {
    let mut random = Lcg(7);
    let n = 5;
    let transforms = vec![random.linear(n), random.permutation(n), random.elementwise(n), random.linear(n)];
    let flow = Flow { features: n, transforms, ..Flow::default() };
    let fused = canonical(&flow);
    assert_eq!(count(&fused, "linear"), 1);
    assert!(fused.transforms.len() <= 2, "{}", fused.summary());
    assert!(difference(&flow, &fused, &mut random).0 < 1e-5);
}

#[test]
fn a_shift_goes_into_the_biases_of_the_coupling_before_it() {
    let mut random = Lcg(8);
    let mask = Mask::half(4, true);
    let shift = vec![0.0, 0.0, 0.5, -0.25];
    let affine = ElementwiseAffine { log_scale: vec![0.0; 4], shift };
    let transforms = vec![random.coupling(mask), Transform::ElementwiseAffine(affine)];
    let flow = Flow { features: 4, transforms, ..Flow::default() };
    let fused = canonical(&flow);
    assert_eq!(fused.transforms.len(), 1);
    assert!(difference(&flow, &fused, &mut random).0 < 1e-6);
}

#[test]
fn independent_normals_become_standard_ones_behind_a_scale_and_a_shift() {
    let mut random = Lcg(9);
    let base = DiagonalNormal { mean: random.many(3, 2.0), log_std: random.many(3, 0.8) };
    let coupling = random.coupling(Mask::half(3, true));
    let flow = Flow {
        features: 3,
        contexts: 0,
        transforms: vec![coupling, Transform::SoftTail(SoftTail { knee: 1.0 })],
        base: Base::DiagonalNormal(base.clone()),
    };
    let fused = canonical(&flow);
    assert_eq!(fused.base, Base::StandardNormal);
    let reference = Reference::from(&fused);
    let chain = Reference::from(&Flow { base: Base::StandardNormal, ..flow });
    for _ in 0..10 {
        let x: Vec<f64> = random.many(3, 3.0).into_iter().map(f64::from).collect();
        let inner = chain.forward(&x);
        let density: f64 = (0..3)
            .map(|i| {
                let (mean, log_std) = (f64::from(base.mean[i]), f64::from(base.log_std[i]));
                let u = (inner.z[i] - mean) / log_std.exp();
                -0.5 * u * u - log_std - 0.5 * (2.0 * std::f64::consts::PI).ln()
            })
            .sum();
        let want = inner.log_det + density;
        assert!((reference.log_prob(&x) - want).abs() < 1e-5 * want.abs().max(1.0));
    }
}

#[test]
fn flows_that_share_a_standardizer_keep_it() {
    let mut random = Lcg(10);
    let standardize = Transform::Standardize(Standardize { mean: vec![1.0, 2.0], std: vec![0.5, 3.0] });
    let flow = Flow {
        features: 2,
        transforms: vec![standardize, random.elementwise(2), random.coupling(Mask::half(2, true))],
        ..Flow::default()
    };
    let alone = super::canonical(std::slice::from_ref(&flow));
    assert_eq!(alone[0].summary(), "standardize, ".to_owned() + flow.transforms[2].name());
    for one in super::canonical(&[flow.clone(), flow.clone()]) {
        assert_eq!(one, flow);
    }
}
