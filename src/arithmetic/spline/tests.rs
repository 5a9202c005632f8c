//! Both arithmetics against an oracle in f64 that is written in the formulas of the paper, not in ours.

use super::{slope, SplineParameters, SplineShape};
use crate::arithmetic::{fixed, float, Tables};
use std::vec::Vec;

extern crate std;

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 ^ (self.0 >> 33)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 11
    }
    /// Within -1 and 1.
    fn signed(&mut self) -> f64 {
        self.next() as f64 / (1u64 << 52) as f64 - 1.0
    }
}

/// (knots x, knots z, derivatives) in f64.
fn knots(raw: &[f64], shape: &SplineShape<f64>) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
    let k = shape.bins;
    let least = f64::from(super::LEAST);
    let axis = |raw: &[f64]| {
        let raw: Vec<f64> = match shape.parameters {
            SplineParameters::Softplus => raw.to_vec(),
            SplineParameters::SoftClipped => {
                raw.iter().map(|w| w / (1.0 + (2.0 * w / 0.001f64.ln()).abs())).collect()
            }
        };
        let top = raw.iter().fold(f64::MIN, |a, &b| a.max(b));
        let total: f64 = raw.iter().map(|w| (w - top).exp()).sum();
        let clipped = shape.parameters == SplineParameters::SoftClipped;
        let floor = if clipped { 0.0 } else { shape.min_bin.max(least) };
        let mut at = -shape.bound;
        let mut edges = std::vec![at];
        for w in raw {
            at += 2.0 * shape.bound * (floor + (1.0 - k as f64 * floor) * (w - top).exp() / total);
            edges.push(at);
        }
        edges
    };
    let mut derivatives = std::vec![1.0];
    for &d in &raw[2 * k..] {
        derivatives.push(match shape.parameters {
            SplineParameters::Softplus => {
                shape.min_derivative.max(least) + if d > 30.0 { d } else { d.exp().ln_1p() }
            }
            SplineParameters::SoftClipped => (d / (1.0 + (d / 0.001f64.ln()).abs())).exp(),
        });
    }
    derivatives.push(1.0);
    (axis(&raw[..k]), axis(&raw[k..2 * k]), derivatives)
}

/// The image and the log-derivative.
fn oracle(x: f64, raw: &[f64], shape: &SplineShape<f64>) -> (f64, f64) {
    if x.abs() > shape.bound {
        return (x, 0.0);
    }
    let (xs, zs, d) = knots(raw, shape);
    let k = (1..shape.bins).take_while(|&k| x >= xs[k]).count();
    let (w, h) = (xs[k + 1] - xs[k], zs[k + 1] - zs[k]);
    let (s, t) = (h / w, ((x - xs[k]) / w).clamp(0.0, 1.0));
    let below = s + (d[k] + d[k + 1] - 2.0 * s) * t * (1.0 - t);
    let z = zs[k] + h * (s * t * t + d[k] * t * (1.0 - t)) / below;
    let above = d[k + 1] * t * t + 2.0 * s * t * (1.0 - t) + d[k] * (1.0 - t) * (1.0 - t);
    (z, (s * s * above / (below * below)).ln())
}

/// A shape in f64, f32 and fixed point, and its raw parameters on the grid of Q15.16.
struct Case {
    exact: SplineShape<f64>,
    float: SplineShape<f32>,
    fixed: SplineShape<i32>,
    raw: Vec<f64>,
    raw_float: Vec<f32>,
    raw_fixed: Vec<i32>,
}

fn case(random: &mut Random, bins: usize, parameters: SplineParameters, size: f64, minimum: f64) -> Case {
    let q30 = |x: f64| (x * f64::from(1 << 30)).round() as i32;
    let bound = [3.0, 5.0, 8.5][random.next() as usize % 3];
    let minimum = f64::from(q30(minimum)) / f64::from(1 << 30);
    let exact = SplineShape { bins, bound, min_bin: minimum, min_derivative: minimum, parameters };
    let raw_fixed: Vec<i32> =
        (0..exact.raw_parameters()).map(|_| (size * random.signed() * 65536.0) as i32).collect();
    Case {
        exact,
        float: SplineShape {
            bins,
            bound: bound as f32,
            min_bin: minimum as f32,
            min_derivative: minimum as f32,
            parameters,
        },
        fixed: SplineShape {
            bins,
            bound: (bound * 65536.0) as i32,
            min_bin: q30(minimum),
            min_derivative: q30(minimum),
            parameters,
        },
        raw: raw_fixed.iter().map(|&r| f64::from(r) / 65536.0).collect(),
        raw_float: raw_fixed.iter().map(|&r| r as f32 / 65536.0).collect(),
        raw_fixed,
    }
}

const KINDS: [SplineParameters; 2] = [SplineParameters::Softplus, SplineParameters::SoftClipped];

/// Largest errors found. Those of the maps are in units of the argument: divided by the slope where it is
/// above 1, as a knot that lies off by one unit moves a steep image by many.
#[derive(Debug, Default)]
struct Errors {
    /// Of the image.
    z: f64,
    /// Of the log-derivative.
    log: f64,
    /// Of the inverse of the image, times the slope where it is below 1.
    inverse: f64,
    /// Between the log-derivatives of the two directions.
    agreement: f64,
}

fn errors(size: f64, minimum: f64, fixed_point: bool) -> Errors {
    let mut random = Random(11);
    let mut worst = Errors::default();
    for round in 0..700 {
        let bins = [2, 4, 5, 8, 13, 16, 32][round % 7];
        let c = case(&mut random, bins, KINDS[round % 2], size, minimum);
        for _ in 0..50 {
            let x = (1.1 * c.exact.bound * random.signed() * 65536.0).round() / 65536.0;
            let (z, log) = oracle(x, &c.raw, &c.exact);
            let ((z2, log2), (x2, log3)) = if fixed_point {
                let real = |(v, l): (i32, i64)| (f64::from(v) / 65536.0, l as f64 / 65536.0);
                let map = fixed::spline::forward((x * 65536.0) as i32, &c.raw_fixed, &c.fixed).unwrap();
                (real(map), real(fixed::spline::inverse(map.0, &c.raw_fixed, &c.fixed).unwrap()))
            } else {
                let real = |(v, l): (f32, f32)| (f64::from(v), f64::from(l));
                let map = float::spline::forward::<Tables>(x as f32, &c.raw_float, &c.float).unwrap();
                let back = float::spline::inverse::<Tables>(map.0, &c.raw_float, &c.float).unwrap();
                (real(map), real(back))
            };
            worst.z = worst.z.max((z2 - z).abs() / log.exp().max(1.0));
            worst.log = worst.log.max((log2 - log).abs());
            worst.inverse = worst.inverse.max((x2 - x).abs() * log.exp().min(1.0));
            worst.agreement = worst.agreement.max((log3 - log2).abs() * log.exp().min(1.0));
        }
    }
    worst
}

#[test]
fn both_arithmetics_keep_their_budgets() {
    // Raw parameters up to 1 (what trained flows have), to 3, and to 10 (slopes from 1e-4 to 1e4).
    for (size, minimum, fixed_point, budget) in [
        (1.0, 1e-3, false, [6e-6, 1e-4, 6e-6, 1e-4]),
        (1.0, 1e-3, true, [2.5e-5, 2e-4, 2e-5, 1e-3]),
        (3.0, 1e-3, false, [6e-6, 5e-3, 6e-6, 5e-3]),
        (3.0, 1e-3, true, [3e-5, 5e-3, 2e-5, 6e-2]),
        (10.0, 1e-3, false, [6e-6, 3e-2, 6e-6, 0.1]),
        (10.0, 1e-3, true, [5e-5, 5e-3, 3e-4, 0.1]),
    ] {
        let found = errors(size, minimum, fixed_point);
        std::println!("raw to {size}, fixed {fixed_point}: {found:?}");
        let Errors { z, log, inverse, agreement } = found;
        for (found, budget) in [z, log, inverse, agreement].into_iter().zip(budget) {
            assert!(found < budget, "raw to {size}, fixed {fixed_point}: {found:e} above {budget:e}");
        }
    }
}

#[test]
fn the_box_is_closed_and_all_outside_is_untouched() {
    let mut random = Random(5);
    for round in 0..400 {
        let c = case(&mut random, 2 + round % 31, KINDS[round % 2], 12.0, [0.0, 1e-3][round / 2 % 2]);
        let b = c.fixed.bound;
        for x in [b, -b] {
            let (z, log) = fixed::spline::forward(x, &c.raw_fixed, &c.fixed).unwrap();
            assert_eq!(z, x);
            // Both sides of the joint have slope 1.
            assert!(log.abs() <= 700, "{log}");
            assert_eq!(fixed::spline::inverse(x, &c.raw_fixed, &c.fixed).unwrap().0, x);
            let x = x as f32 / 65536.0;
            let (z, log) = float::spline::forward::<Tables>(x, &c.raw_float, &c.float).unwrap();
            assert!((z - x).abs() <= 1e-6, "{z} {x}");
            assert!(log.abs() < 0.05, "{log}");
        }
        for x in [b + 1, -b - 1, i32::MAX, i32::MIN] {
            assert_eq!(fixed::spline::forward(x, &c.raw_fixed, &c.fixed), Some((x, 0)));
            assert_eq!(fixed::spline::inverse(x, &c.raw_fixed, &c.fixed), Some((x, 0)));
        }
        for x in [8.6f32, -8.6, 1e30, f32::MAX] {
            assert_eq!(float::spline::forward::<Tables>(x, &c.raw_float, &c.float), Some((x, 0.0)));
            assert_eq!(float::spline::inverse::<Tables>(x, &c.raw_float, &c.float), Some((x, 0.0)));
        }
    }
}

#[test]
fn images_never_fall_by_more_than_a_unit() {
    let mut random = Random(6);
    for round in 0..60 {
        let c = case(&mut random, 2 + round % 31, KINDS[round % 2], [2.0, 12.0][round % 2], 1e-3);
        let (mut highest, mut lowest) = (i32::MIN, i32::MIN);
        let mut highest_float = f32::MIN;
        for x in (-c.fixed.bound - 3..c.fixed.bound + 3).step_by(37) {
            let z = fixed::spline::forward(x, &c.raw_fixed, &c.fixed).unwrap().0;
            assert!(z >= highest.saturating_sub(1), "{z} after {highest}");
            highest = highest.max(z);
            let back = fixed::spline::inverse(x, &c.raw_fixed, &c.fixed).unwrap().0;
            assert!(back >= lowest.saturating_sub(1), "{back} after {lowest}");
            lowest = lowest.max(back);
            let z = float::spline::forward::<Tables>(x as f32 / 65536.0, &c.raw_float, &c.float).unwrap().0;
            assert!(z >= highest_float - 2e-6, "{z} after {highest_float}");
            highest_float = highest_float.max(z);
        }
    }
}

#[test]
fn every_raw_parameter_gives_a_number() {
    let mut random = Random(7);
    let wild = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, f32::MIN, 3e4, -3e4, 0.0, 90.0, -90.0];
    for round in 0..4000 {
        let mut c = case(&mut random, 2 + round % 31, KINDS[round % 2], 5.0, [0.0, 1e-3][round / 2 % 2]);
        for i in 0..c.raw.len() {
            if random.next().is_multiple_of(2) {
                c.raw_float[i] = wild[random.next() as usize % wild.len()];
                c.raw_fixed[i] = [i32::MIN, i32::MAX, 0, -1, 1 << 30, -(1 << 30)][random.next() as usize % 6];
            }
        }
        for _ in 0..8 {
            let x = (c.exact.bound * random.signed() * 65536.0) as i32;
            let (z, log) = fixed::spline::forward(x, &c.raw_fixed, &c.fixed).unwrap();
            assert!(z.abs() <= c.fixed.bound && log.abs() < 60 << 16, "{z} {log}");
            let (back, log) = fixed::spline::inverse(x, &c.raw_fixed, &c.fixed).unwrap();
            assert!(back.abs() <= c.fixed.bound && log.abs() < 60 << 16, "{back} {log}");
            let x = x as f32 / 65536.0;
            for map in [float::spline::forward::<Tables>, float::spline::inverse::<Tables>] {
                let (z, log) = map(x, &c.raw_float, &c.float).unwrap();
                assert!(z.abs() <= c.float.bound && log.abs() < 60.0, "{z} {log}");
            }
            let mut raw = c.raw_float.clone();
            let to_x = slope(x, 1.0, -1.0, &c.float, &mut raw).unwrap();
            assert!(to_x.is_finite() && raw.iter().all(|r| r.is_finite()), "{to_x} {raw:?}");
        }
    }
}

#[test]
fn the_gradient_is_that_of_the_map() {
    let mut random = Random(8);
    let mut worst = 0.0_f64;
    for round in 0..400 {
        let c = case(&mut random, 2 + round % 15, KINDS[round % 2], 2.0, 1e-3);
        let x = 1.02 * c.exact.bound * random.signed();
        let (xs, ..) = knots(&c.raw, &c.exact);
        // The second derivative jumps at a knot: no difference quotient across one.
        if xs.iter().any(|knot| (knot - x).abs() < 1e-3) {
            continue;
        }
        let (to_z, to_log) = (random.signed(), random.signed());
        let loss = |x: f64, raw: &[f64]| {
            let (z, log) = oracle(x, raw, &c.exact);
            to_z * z + to_log * log
        };
        let mut found = c.raw_float.clone();
        let to_x = slope(x as f32, to_z as f32, to_log as f32, &c.float, &mut found).unwrap();
        let step = 1e-5;
        let mut check = |found: f32, up: f64, down: f64| {
            let exact = (up - down) / (2.0 * step);
            worst = worst.max((f64::from(found) - exact).abs() / (1.0 + exact.abs()));
        };
        check(to_x, loss(x + step, &c.raw), loss(x - step, &c.raw));
        for (i, &found) in found.iter().enumerate() {
            let moved = |by: f64| {
                let mut raw = c.raw.clone();
                raw[i] += by;
                loss(x, &raw)
            };
            check(found, moved(step), moved(-step));
        }
    }
    std::println!("gradient errs by {worst:e} relative to 1 + |gradient|");
    assert!(worst < 1e-3, "{worst:e}");
}
