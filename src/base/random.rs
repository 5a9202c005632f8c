//! Random numbers of the distributions, in f32 by exp, ln and sqrt of the `libm` crate: neither f64 nor a
//! function of the system, so that the same source gives the same bits everywhere.

use crate::arithmetic::{Elementary, Libm};
use rand_core::RngCore;

/// Most tries of a rejection method. Each accepts three of four, so that only a broken source gets there.
const TRIES: usize = 64;

/// Uniform in (0, 1]: 24 bits, and finer towards zero, so that logarithms reach far into the tail.
pub(super) fn uniform(random: &mut impl RngCore) -> f32 {
    // 2^32 - 1 rounds up to 2^32, and so to one.
    (random.next_u32() as f32 + 1.0) * (1.0 / 4_294_967_296.0)
}

/// Two independent standard normals (the polar method, Marsaglia and Bray 1964).
fn normal_pair(random: &mut impl RngCore) -> [f32; 2] {
    for _ in 0..TRIES {
        // A sign and a size: symmetric, and never both zero.
        let bits = random.next_u32();
        let signed = |bits: u32, size: f32| if bits & 1 == 1 { -size } else { size };
        let x = signed(bits, uniform(random));
        let y = signed(bits >> 1, uniform(random));
        let square = x * x + y * y;
        if square < 1.0 && square > 0.0 {
            let factor = libm::sqrtf(-2.0 * Libm::ln(square) / square);
            return [x * factor, y * factor];
        }
    }
    [0.0; 2]
}

/// Independent standard normals.
pub(super) fn fill_normal(random: &mut impl RngCore, out: &mut [f32]) {
    for pair in out.chunks_mut(2) {
        for (out, normal) in pair.iter_mut().zip(normal_pair(random)) {
            *out = normal;
        }
    }
}

/// Gamma with the given shape, of scale 1 (Marsaglia and Tsang 2000).
fn gamma(random: &mut impl RngCore, shape: f32) -> f32 {
    // Below one, by the next larger shape: G(a) = G(a + 1) U^(1/a).
    let (shape, boost) =
        if shape < 1.0 { (shape + 1.0, Libm::exp(Libm::ln(uniform(random)) / shape)) } else { (shape, 1.0) };
    let d = shape - 1.0 / 3.0;
    let c = 1.0 / libm::sqrtf(9.0 * d);
    for _ in 0..TRIES {
        let [x, _] = normal_pair(random);
        let v = 1.0 + c * x;
        let v = v * v * v;
        if v > 0.0 && Libm::ln(uniform(random)) < 0.5 * x * x + d - d * v + d * Libm::ln(v) {
            return boost * d * v;
        }
    }
    boost * d
}

/// Student-t with the given degrees of freedom, centred, of scale 1.
pub(super) fn student(random: &mut impl RngCore, degrees: f32) -> f32 {
    let [x, _] = normal_pair(random);
    // chi^2 = 2 gamma(nu / 2); the floor keeps the quotient finite for the fewest degrees.
    let mean = 2.0 * gamma(random, 0.5 * degrees) / degrees;
    x / libm::sqrtf(if mean > 1e-30 { mean } else { 1e-30 })
}
