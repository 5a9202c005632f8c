//! Affine couplings, a panel at a time.

use super::super::lanes::{exp, ln_1p, tanh, Lanes, Line, LINE};
use crate::flow::ScaleMap;

/// See `Kernels`.
pub(crate) trait AffineKernels: Send + Sync {
    /// One panel of an affine coupling. On entry `shift` and `raw` are the conditioner's outputs; on return
    /// `x` is z, `shift` holds `x e^s`, `raw` holds `ds / draw`, `scale` holds `e^s`.
    fn affine(
        &self,
        map: ScaleMap,
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

/// One panel with the log-scale and its slope by `map`.
#[inline(always)]
fn affine_by<L: Lanes>(
    l: L,
    x: &mut [Line],
    (shift, raw, scale): (&mut [Line], &mut [Line], &mut [Line]),
    log_det: &mut Line,
    map: impl Fn(L::V) -> (L::V, L::V),
) {
    for (((x, shift), raw), scale) in x.iter_mut().zip(shift).zip(raw).zip(scale) {
        for at in (0..LINE).step_by(L::WIDTH) {
            let (s, slope) = map(l.load(&raw.0[at..]));
            let e = exp(l, s);
            let y = l.mul(l.load(&x.0[at..]), e);
            l.store(l.add(y, l.load(&shift.0[at..])), &mut x.0[at..]);
            l.store(y, &mut shift.0[at..]);
            l.store(slope, &mut raw.0[at..]);
            l.store(e, &mut scale.0[at..]);
            l.store(l.add(l.load(&log_det.0[at..]), s), &mut log_det.0[at..]);
        }
    }
}

/// `ln(sigmoid(y) + floor)` and its slope.
///
/// With `e = exp(-|y|)`: `min(y, 0) - ln(1 + e) + ln(1 + floor (1 + exp(-y)))`.
#[inline(always)]
fn log_sigmoid<L: Lanes>(l: L, y: L::V, floor: L::V) -> (L::V, L::V) {
    let (zero, one) = (l.splat(0.0), l.splat(1.0));
    let minus = l.sub(zero, y);
    let e = exp(l, l.min(y, minus));
    let whole = l.add(one, e);
    let grown = l.mul(floor, l.add(one, exp(l, l.min(minus, l.splat(80.0)))));
    let log = l.add(l.sub(l.min(y, zero), ln_1p(l, e)), ln_1p(l, grown));
    // Sigmoid and one minus it are 1 / (1 + e) and e / (1 + e), or the other way round.
    let high = l.reciprocal(whole);
    let low = l.mul(e, high);
    let sigmoid = l.select_gt(y, zero, high, low);
    (log, l.div(l.mul(high, low), l.add(sigmoid, floor)))
}

impl<L: Lanes> AffineKernels for L {
    fn affine(
        &self,
        map: ScaleMap,
        x: &mut [Line],
        shift: &mut [Line],
        raw: &mut [Line],
        scale: &mut [Line],
        log_det: &mut Line,
    ) {
        let l = *self;
        let (zero, one) = (l.splat(0.0), l.splat(1.0));
        let size = |v: L::V| l.max(v, l.sub(zero, v));
        let outputs = (shift, raw, scale);
        l.vectorize(
            #[inline(always)]
            || match map {
                ScaleMap::Tanh { clamp } => affine_by(l, x, outputs, log_det, |raw| {
                    let t = tanh(l, l.mul(raw, l.splat(1.0 / clamp)));
                    (l.mul(t, l.splat(clamp)), l.sub(one, l.mul(t, t)))
                }),
                ScaleMap::Hard { clamp } => affine_by(l, x, outputs, log_det, |raw| {
                    let s = l.min(l.max(raw, l.splat(-clamp)), l.splat(clamp));
                    (s, l.select_gt(l.splat(clamp), size(raw), one, zero))
                }),
                ScaleMap::SoftSign { clamp } => affine_by(l, x, outputs, log_det, |raw| {
                    let share = l.reciprocal(l.mul_add(size(raw), l.splat(1.0 / clamp), one));
                    (l.mul(raw, share), l.mul(share, share))
                }),
                ScaleMap::Sigmoid { offset, floor } => affine_by(l, x, outputs, log_det, |raw| {
                    log_sigmoid(l, l.add(raw, l.splat(offset)), l.splat(floor))
                }),
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
                        // d loss / d log_scale = gz * x e^s - weight; the scale map then passes its slope.
                        let gs = l.sub(l.mul(gz, y), l.load(&weight.0[at..]));
                        l.store(l.mul(gs, l.load(&raw.0[at..])), &mut raw.0[at..]);
                        l.store(gz, &mut shift.0[at..]);
                        l.store(l.mul(gz, l.load(&scale.0[at..])), &mut g.0[at..]);
                    }
                }
            },
        );
    }
}
