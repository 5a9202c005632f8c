//! Activation functions of the nets' hidden units, with their derivatives.

use super::super::lanes::{exp, tanh, Lanes, Line, LINE};
use crate::flow::Activation;

/// Slope of the leaky ReLU below zero.
const LEAKY_SLOPE: f32 = 0.01;

/// Kernels of hidden units.
pub(crate) trait ActivationKernels: Send + Sync {
    /// Replaces sums by their activations and leaves the derivatives in `slopes`.
    fn activate(&self, activation: Activation, values: &mut [Line], slopes: &mut [Line]);

    /// `to *= factors`
    fn multiply(&self, factors: &[Line], to: &mut [Line]);
}

/// Runs `f` from a vector of sums to activations and derivatives.
#[inline(always)]
fn each<L: Lanes>(l: L, values: &mut [Line], slopes: &mut [Line], f: impl Fn(L::V) -> (L::V, L::V)) {
    for (value, slope) in values.iter_mut().zip(slopes) {
        for at in (0..LINE).step_by(L::WIDTH) {
            let (y, dy) = f(l.load(&value.0[at..]));
            l.store(y, &mut value.0[at..]);
            l.store(dy, &mut slope.0[at..]);
        }
    }
}

impl<L: Lanes> ActivationKernels for L {
    fn activate(&self, activation: Activation, values: &mut [Line], slopes: &mut [Line]) {
        let l = *self;
        l.vectorize(
            #[inline(always)]
            || {
                let (zero, one) = (l.splat(0.0), l.splat(1.0));
                match activation {
                    Activation::Relu => {
                        each(l, values, slopes, |x| (l.max(x, zero), l.select_gt(x, zero, one, zero)))
                    }
                    Activation::LeakyRelu => each(l, values, slopes, |x| {
                        let leak = l.splat(LEAKY_SLOPE);
                        (l.max(x, l.mul(x, leak)), l.select_gt(x, zero, one, leak))
                    }),
                    Activation::Tanh => each(l, values, slopes, |x| {
                        let y = tanh(l, x);
                        (y, l.sub(one, l.mul(y, y)))
                    }),
                    Activation::Silu => each(l, values, slopes, |x| {
                        let gate = l.div(one, l.add(one, exp(l, l.sub(zero, x))));
                        let y = l.mul(x, gate);
                        // gate (1 + x (1 - gate)), where x (1 - gate) = x - y.
                        (y, l.mul(gate, l.add(one, l.sub(x, y))))
                    }),
                }
            },
        );
    }

    fn multiply(&self, factors: &[Line], to: &mut [Line]) {
        let l = *self;
        l.vectorize(
            #[inline(always)]
            || {
                for (factor, to) in factors.iter().zip(to) {
                    for at in (0..LINE).step_by(L::WIDTH) {
                        l.store(l.mul(l.load(&to.0[at..]), l.load(&factor.0[at..])), &mut to.0[at..]);
                    }
                }
            },
        );
    }
}
