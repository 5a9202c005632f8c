//! Activation functions in f32.

use super::{elementary, Elementary};
use crate::arithmetic::activation::{Activation, LEAKY_SLOPE};

/// `activation(x)`.
pub(super) fn activate<E: Elementary>(activation: Activation, x: f32) -> f32 {
    match activation {
        // NaN-free by the checks, so that plain comparison is ReLU.
        Activation::Relu if x < 0.0 => 0.0,
        Activation::LeakyRelu if x < 0.0 => LEAKY_SLOPE * x,
        Activation::Relu | Activation::LeakyRelu | Activation::Linear => x,
        Activation::Tanh => E::tanh(x),
        Activation::Silu => elementary::silu_with::<E>(x),
    }
}

/// [`activate`] of each, in place.
pub(super) fn activate_each<E: Elementary>(activation: Activation, values: &mut [f32]) {
    match activation {
        Activation::Relu => relu_each(values),
        Activation::Tanh => E::tanh_each(values),
        other => values.iter_mut().for_each(|value| *value = activate::<E>(other, *value)),
    }
}

/// ReLU by the bits, so that an FPU need not compare; NaN stays what it is unless its sign is set.
fn relu_each(values: &mut [f32]) {
    for value in values {
        let bits = value.to_bits();
        *value = f32::from_bits(bits & !((bits as i32 >> 31) as u32));
    }
}

/// Its derivative.
pub(super) fn slope<E: Elementary>(activation: Activation, x: f32) -> f32 {
    match activation {
        Activation::Relu if x <= 0.0 => 0.0,
        Activation::LeakyRelu if x < 0.0 => LEAKY_SLOPE,
        Activation::Relu | Activation::LeakyRelu | Activation::Linear => 1.0,
        Activation::Tanh => {
            let y = E::tanh(x);
            1.0 - y * y
        }
        Activation::Silu => {
            let gate = sigmoid::<E>(x);
            gate * (1.0 + x * (1.0 - gate))
        }
    }
}

/// `1 / (1 + e^-x)`; the exponent is capped so that no infinity arises.
fn sigmoid<E: Elementary>(x: f32) -> f32 {
    let negated = if x < -87.0 { 87.0 } else { -x };
    1.0 / (1.0 + E::exp(if negated < -87.0 { -87.0 } else { negated }))
}

#[cfg(test)]
mod tests {
    use super::super::Tables;
    use super::*;

    #[test]
    fn activations_and_slopes_keep_their_budgets() {
        for i in -40_000..=40_000 {
            let x = i as f32 * 1e-3;
            let wide = f64::from(x);
            let gate = 1.0 / (1.0 + (-wide).exp());
            let cases = [
                (Activation::Tanh, wide.tanh(), 1.0 - wide.tanh().powi(2)),
                (Activation::Silu, wide * gate, gate * (1.0 + wide * (1.0 - gate))),
                (Activation::LeakyRelu, if x < 0.0 { 0.01 * wide } else { wide }, 0.0),
            ];
            for (activation, value, derivative) in cases {
                let found = f64::from(activate::<Tables>(activation, x));
                let budget = match activation {
                    Activation::Tanh => elementary::TANH_ABSOLUTE,
                    Activation::Silu => elementary::SILU_RELATIVE * value.abs(),
                    _ => 4e-7 * value.abs(),
                };
                assert!((found - value).abs() <= budget, "{activation:?} at {x}: {found} {value}");
                if activation != Activation::LeakyRelu {
                    let found = f64::from(slope::<Tables>(activation, x));
                    let budget = 1.3e-6 * (1.0 + wide.abs());
                    assert!(
                        (found - derivative).abs() < budget,
                        "{activation:?}' at {x}: {found} {derivative}"
                    );
                }
            }
        }
        for x in [-3e38, -1e4, 3e38] {
            assert!(activate::<Tables>(Activation::Silu, x).is_finite());
            assert!(slope::<Tables>(Activation::Silu, x).is_finite());
        }
    }
}
