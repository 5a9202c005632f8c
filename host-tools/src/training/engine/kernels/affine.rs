//! Affine couplings, a panel at a time.

use super::super::lanes::{exp, tanh, Lanes, Line, LINE};

/// See `Kernels`.
pub(crate) trait AffineKernels: Send + Sync {
    /// One panel of an affine coupling. On entry `shift` and `raw` are the conditioner's outputs; on return
    /// `x` is z, `shift` holds `x e^s`, `raw` holds `tanh(raw / clamp)`, `scale` holds `e^s`.
    fn affine(
        &self,
        clamp: f32,
        x: &mut [Line],
        shift: &mut [Line],
        raw: &mut [Line],
        scale: &mut [Line],
        log_det: &mut Line,
    );

    /// Its gradient: `g` goes from d/dz to d/dx; `shift` and `raw` become the gradients of the
    /// conditioner's outputs. `weight` is each sample's share of the loss.
    fn affine_gradient(
        &self,
        g: &mut [Line],
        shift: &mut [Line],
        raw: &mut [Line],
        scale: &[Line],
        weight: &Line,
    );
}

impl<L: Lanes> AffineKernels for L {
    fn affine(
        &self,
        clamp: f32,
        x: &mut [Line],
        shift: &mut [Line],
        raw: &mut [Line],
        scale: &mut [Line],
        log_det: &mut Line,
    ) {
        let l = *self;
        l.vectorize(
            #[inline(always)]
            || {
                let inverse = l.splat(1.0 / clamp);
                for (((x, shift), raw), scale) in x.iter_mut().zip(shift).zip(raw).zip(scale) {
                    for at in (0..LINE).step_by(L::WIDTH) {
                        let t = tanh(l, l.mul(l.load(&raw.0[at..]), inverse));
                        let s = l.mul(t, l.splat(clamp));
                        let e = exp(l, s);
                        let y = l.mul(l.load(&x.0[at..]), e);
                        l.store(l.add(y, l.load(&shift.0[at..])), &mut x.0[at..]);
                        l.store(y, &mut shift.0[at..]);
                        l.store(t, &mut raw.0[at..]);
                        l.store(e, &mut scale.0[at..]);
                        l.store(l.add(l.load(&log_det.0[at..]), s), &mut log_det.0[at..]);
                    }
                }
            },
        );
    }

    fn affine_gradient(
        &self,
        g: &mut [Line],
        shift: &mut [Line],
        raw: &mut [Line],
        scale: &[Line],
        weight: &Line,
    ) {
        let l = *self;
        l.vectorize(
            #[inline(always)]
            || {
                for (((g, shift), raw), scale) in g.iter_mut().zip(shift).zip(raw).zip(scale) {
                    for at in (0..LINE).step_by(L::WIDTH) {
                        let gz = l.load(&g.0[at..]);
                        let y = l.load(&shift.0[at..]);
                        let t = l.load(&raw.0[at..]);
                        // d loss / d log_scale = gz * x e^s - weight; the tanh then passes 1 - t^2.
                        let gs = l.sub(l.mul(gz, y), l.load(&weight.0[at..]));
                        l.store(l.mul(gs, l.sub(l.splat(1.0), l.mul(t, t))), &mut raw.0[at..]);
                        l.store(gz, &mut shift.0[at..]);
                        l.store(l.mul(gz, l.load(&scale.0[at..])), &mut g.0[at..]);
                    }
                }
            },
        );
    }
}
