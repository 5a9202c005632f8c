//! Both arithmetics against the definition in f64.

extern crate std;
use super::*;
use crate::arithmetic::{Arithmetic, Fixed, Float, Tables};
use std::println;

fn exact(margin: f64, p: f64) -> (f64, f64) {
    let beyond = (p - 0.5).abs() - (0.5 - margin);
    if beyond > 0.0 {
        let slope = 1.0 / (margin * (1.0 - margin));
        ((((1.0 - margin) / margin).ln() + slope * beyond) * (p - 0.5).signum(), slope)
    } else {
        ((p / (1.0 - p)).ln(), 1.0 / (p * (1.0 - p)))
    }
}

/// Largest errors: image in units of the last place of what comes in and goes out, log-slope, round trip
/// likewise, log-slope of the inverse.
fn examine<A: Arithmetic>(margin: f64, ulp: f64) -> [f64; 4] {
    let edge = A::logit_edge(A::from_f32(margin as f32)).unwrap();
    let margin = f64::from(A::to_f32(A::from_f32(margin as f32)));
    let mut worst = [0.0f64; 4];
    let inside = (0..=20_000).map(|i| f64::from(i) / 20_000.0);
    let near = (0..2000).flat_map(|i| {
        [-1e-4, 1e-4].map(|s| 0.5 + s / 1e-4 * (0.5 - margin) + s * f64::from(i - 1000) * 0.01)
    });
    let outside = [-29_000.0, -1000.0, -3.7, -0.5, 1.5, 2.0, 900.0, 29_000.0];
    for p in inside.chain(near).chain(outside) {
        let x = A::from_f32(p as f32);
        let p = f64::from(A::to_f32(x));
        let (z, slope) = exact(margin, p);
        if z.abs() > 32_000.0 {
            continue;
        }
        let (found, log) = A::logit(edge, x);
        let value = f64::from(A::to_f32(found));
        worst[0] = worst[0].max((value - z).abs() / (ulp * (1.0 + z.abs() + slope * p.abs().min(1.0))));
        worst[1] = worst[1].max((f64::from(A::log_to_f32(log)) - slope.ln()).abs());
        let (back, log_back) = A::logit_inverse(edge, found);
        let unit = ulp * (1.0 + p.abs() + z.abs() / slope);
        worst[2] = worst[2].max((f64::from(A::to_f32(back)) - p).abs() / unit);
        // By where z came to lie, not p.
        let behind = (value.abs().min(((1.0 - margin) / margin).ln()) / 2.0).cosh() * 2.0;
        worst[3] = worst[3].max((f64::from(A::log_to_f32(log_back)) - 2.0 * behind.ln()).abs());
    }
    worst
}

#[test]
fn both_arithmetics_are_the_definition_and_invert() {
    for margin in [1.0 / 4096.0, 0.01, 0.05, 0.25] {
        let f32_errors = examine::<Float<Tables>>(margin, 1.2e-7);
        let fixed_errors = examine::<Fixed>(margin, 1.0 / 65536.0);
        println!("margin {margin}: f32 {f32_errors:?}, fixed {fixed_errors:?}");
        for (found, limit) in f32_errors.iter().zip([1.0, 2e-6, 1.0, 2e-6]) {
            assert!(found < &limit, "margin {margin}: {f32_errors:?}");
        }
        for (found, limit) in fixed_errors.iter().zip([1.0, 1.3e-5, 1.0, 1.3e-5]) {
            assert!(found < &limit, "margin {margin}: {fixed_errors:?}");
        }
    }
}

#[test]
fn margins_out_of_range_are_refused() {
    for (margin, fine) in
        [(0.0, false), (1.0 / 8192.0, false), (1.0 / 4096.0, true), (0.25, true), (0.3, false), (-0.1, false)]
    {
        assert_eq!(Fixed::logit_edge(Fixed::from_f32(margin)).is_some(), fine, "{margin}");
        assert_eq!(Float::<Tables>::logit_edge(margin).is_some(), fine, "{margin}");
    }
    assert!(Float::<Tables>::logit_edge(f32::NAN).is_none());
}
