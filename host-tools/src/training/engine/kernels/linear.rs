//! Scales and shifts of single features, a panel at a time.

use super::super::lanes::{exp, Lanes, Line, LINE};
use super::sum_line;

/// See `Kernels`.
pub(crate) trait LinearKernels: Send + Sync {
    /// `to = e^from`, for parameters.
    fn exponential(&self, from: &[Line], to: &mut [Line]);

    /// One panel of `x scale + shift`: `x` becomes z, `kept` holds `x scale`. Parameters stand side by side.
    fn elementwise(&self, scale: &[Line], shift: &[Line], x: &mut [Line], kept: &mut [Line]);

    /// Its gradient: `g` goes from d/dz to d/dx; what belongs to each log-scale and each shift is added.
    fn elementwise_gradient(
        &self,
        scale: &[Line],
        kept: &[Line],
        g: &mut [Line],
        log_scale_gradient: &mut [Line],
        shift_gradient: &mut [Line],
    );
}

impl<L: Lanes> LinearKernels for L {
    fn exponential(&self, from: &[Line], to: &mut [Line]) {
        let l = *self;
        l.vectorize(
            #[inline(always)]
            || {
                for (from, to) in from.iter().zip(to) {
                    for at in (0..LINE).step_by(L::WIDTH) {
                        l.store(exp(l, l.load(&from.0[at..])), &mut to.0[at..]);
                    }
                }
            },
        );
    }

    fn elementwise(&self, scale: &[Line], shift: &[Line], x: &mut [Line], kept: &mut [Line]) {
        let l = *self;
        l.vectorize(
            #[inline(always)]
            || {
                for (i, (x, kept)) in x.iter_mut().zip(kept).enumerate() {
                    let (scale, shift) = (scale[i / LINE].0[i % LINE], shift[i / LINE].0[i % LINE]);
                    for at in (0..LINE).step_by(L::WIDTH) {
                        let y = l.mul(l.load(&x.0[at..]), l.splat(scale));
                        l.store(y, &mut kept.0[at..]);
                        l.store(l.add(y, l.splat(shift)), &mut x.0[at..]);
                    }
                }
            },
        );
    }

    fn elementwise_gradient(
        &self,
        scale: &[Line],
        kept: &[Line],
        g: &mut [Line],
        log_scale_gradient: &mut [Line],
        shift_gradient: &mut [Line],
    ) {
        let l = *self;
        l.vectorize(
            #[inline(always)]
            || {
                for (i, (g, kept)) in g.iter_mut().zip(kept).enumerate() {
                    let scale = scale[i / LINE].0[i % LINE];
                    let mut product = Line::ZERO;
                    shift_gradient[i / LINE].0[i % LINE] += sum_line(g);
                    for at in (0..LINE).step_by(L::WIDTH) {
                        let gz = l.load(&g.0[at..]);
                        l.store(l.mul(gz, l.load(&kept.0[at..])), &mut product.0[at..]);
                        l.store(l.mul(gz, l.splat(scale)), &mut g.0[at..]);
                    }
                    log_scale_gradient[i / LINE].0[i % LINE] += sum_line(&product);
                }
            },
        );
    }
}
