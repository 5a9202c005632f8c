//! Activation functions on Q15.16, giving i16 activations.
//!
//! | function | error budget against the exact function of the same Q15.16 number |
//! |---|---|
//! | [`silu`] | 2.5e-5 (1 + abs(x)), before rounding to i16 |
//! | `activate` of tanh with shift 1 | 8e-5 |
//! | `activate` of the others | half a unit of the i16 (plus [`silu`]'s own), until it saturates |

use super::{elementary, round_shift, ONE};
use crate::arithmetic::activation::{Activation, LEAKY_SLOPE};
use crate::arithmetic::dense::ACTIVATION_LIMIT;

/// Right shift of a tanh to its activation: Q0.15.
pub const TANH_SHIFT: u8 = 1;
/// 0.01 and 1 in Q22.
const LEAKY_SLOPE_Q22: i64 = 41_943;
const ONE_Q22: i64 = 1 << 22;

/// SiLU of a Q15.16 number, in Q15.16.
#[must_use]
pub fn silu(x: i32) -> i32 {
    // x/2 is rounded down by at most half a unit; tanh has slope at most 1.
    let gate = i64::from(elementary::tanh(x >> 1)) + i64::from(ONE);
    // 0 <= gate <= 2^17: the product fits, and after the shift it is no larger than x.
    round_shift(i64::from(x) * gate, 17) as i32
}

/// Saturated to an activation.
fn narrow(x: i64) -> i16 {
    x.clamp(-ACTIVATION_LIMIT, ACTIVATION_LIMIT) as i16
}

/// `leaky_relu(x) / 2^shift`, rounded and saturated; `shift <= 30`.
pub(crate) fn leaky_relu(x: i32, shift: u8) -> i16 {
    let factor = if x < 0 { LEAKY_SLOPE_Q22 } else { ONE_Q22 };
    narrow(round_shift(i64::from(x) * factor, 22 + u32::from(shift)))
}

/// `activation(x) / 2^shift` of a Q15.16 number, rounded to nearest and saturated; `1 <= shift <= 16`.
pub(crate) fn activate(activation: Activation, shift: u8, x: i32) -> i16 {
    let shifted = |x: i32| narrow(round_shift(i64::from(x), u32::from(shift)));
    match activation {
        Activation::Relu => shifted(x.max(0)),
        Activation::LeakyRelu => leaky_relu(x, shift),
        Activation::Tanh => shifted(elementary::tanh(x)),
        Activation::Silu => shifted(silu(x)),
        Activation::Linear => shifted(x),
    }
}

/// Whether `activate` takes `shift`.
pub(crate) fn shift_is_valid(activation: Activation, shift: u8) -> bool {
    match activation {
        Activation::Tanh => shift == TANH_SHIFT,
        _ => (1..=16).contains(&shift),
    }
}

/// Derivative of `activate` with respect to the real number that `x` stands for: activations per unit.
/// Zero where the activation saturates. Not on the scoring path.
pub(crate) fn slope(activation: Activation, shift: u8, x: i32) -> f32 {
    if i64::from(activate(activation, shift, x)).abs() == ACTIVATION_LIMIT && activation != Activation::Tanh {
        return 0.0;
    }
    let unit = crate::arithmetic::dense::power_of_two(16 - i32::from(shift));
    let real = |x: i32| x as f32 * (1.0 / ONE as f32);
    unit * match activation {
        Activation::Relu => f32::from(u8::from(x > 0)),
        Activation::LeakyRelu if x < 0 => LEAKY_SLOPE,
        Activation::LeakyRelu | Activation::Linear => 1.0,
        Activation::Tanh => {
            let y = real(elementary::tanh(x));
            1.0 - y * y
        }
        Activation::Silu => {
            let gate = 0.5 + 0.5 * real(elementary::tanh(x >> 1));
            gate * (1.0 + real(x) * (1.0 - gate))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Activation; 5] =
        [Activation::Relu, Activation::LeakyRelu, Activation::Tanh, Activation::Silu, Activation::Linear];

    fn exact(activation: Activation, x: f64) -> f64 {
        match activation {
            Activation::Relu => x.max(0.0),
            Activation::LeakyRelu => x.max(0.0) + 0.01 * x.min(0.0),
            Activation::Tanh => x.tanh(),
            Activation::Silu => x / (1.0 + (-x).exp()),
            Activation::Linear => x,
        }
    }

    #[test]
    fn silu_keeps_its_budget() {
        let mut worst = (0.0, 0);
        for x in (-40 * 65536..40 * 65536).step_by(7).chain([i32::MIN, i32::MAX, i32::MIN + 1]) {
            let real = f64::from(x) / 65536.0;
            let error = (f64::from(silu(x)) / 65536.0 - exact(Activation::Silu, real)).abs();
            let share = error / (1.0 + real.abs());
            worst = if share > worst.0 { (share, x) } else { worst };
        }
        assert!(worst.0 < 2.5e-5, "{worst:?}");
    }

    #[test]
    fn activations_keep_their_budgets_and_saturate() {
        for activation in ALL {
            for shift in (1..=16).filter(|&s| shift_is_valid(activation, s)) {
                let unit = f64::from(shift).exp2() / 65536.0;
                for x in (-8 * 65536..8 * 65536).step_by(101) {
                    let real = f64::from(x) / 65536.0;
                    let want = exact(activation, real).clamp(-32767.0 * unit, 32767.0 * unit);
                    let error = (f64::from(activate(activation, shift, x)) * unit - want).abs();
                    let budget = match activation {
                        Activation::Tanh => 8e-5,
                        Activation::Silu => 0.5 * unit + 2.5e-5 * (1.0 + real.abs()),
                        _ => 0.5 * unit + 1e-7,
                    };
                    assert!(error <= budget, "{activation:?} shift {shift} at {real}: {error:e}");
                }
                for end in [i32::MIN, i32::MAX] {
                    let y = activate(activation, shift, end);
                    assert!(y != i16::MIN, "{activation:?} {shift}");
                }
            }
        }
        assert_eq!(activate(Activation::Linear, 1, i32::MIN), -32767);
        assert_eq!(activate(Activation::Linear, 1, i32::MAX), 32767);
        assert_eq!(activate(Activation::Silu, 4, i32::MIN), 0);
    }

    #[test]
    fn slopes_are_the_derivatives() {
        for activation in ALL {
            let shift = if activation == Activation::Tanh { TANH_SHIFT } else { 4 };
            let unit = f64::from(shift).exp2() / 65536.0;
            for x in (-7 * 65536..7 * 65536).step_by(6571) {
                let (real, h) = (f64::from(x) / 65536.0, 1e-5);
                if real.abs() < h {
                    continue;
                }
                let want = (exact(activation, real + h) - exact(activation, real - h)) / (2.0 * h) / unit;
                let found = f64::from(slope(activation, shift, x));
                assert!((found - want).abs() < 4e-4 / unit, "{activation:?} at {real}: {found} {want}");
            }
        }
        assert_eq!(slope(Activation::Linear, 1, 65536), 0.0);
    }
}
