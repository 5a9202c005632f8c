//! Student-t distributions, a panel at a time.

use super::super::super::lanes::{exp, ln_1p, Lanes, Line, LINE};
use super::super::sum_line;

/// See `BaseKernels`.
pub(crate) trait StudentKernels {
    /// One panel: `-log_prob` per sample but for what depends on the degrees alone. `parameters` are lines of
    /// locations, then as many of log-scales.
    ///
    /// With `gradient`, `z` becomes `weight * d loss / dz` and the parameters' gradient is added to.
    fn student(
        &self,
        degrees: &[f32],
        parameters: &[Line],
        gradient: Option<&mut [Line]>,
        z: &mut [Line],
        weight: &Line,
    ) -> Line;
}

impl<L: Lanes> StudentKernels for L {
    fn student(
        &self,
        degrees: &[f32],
        parameters: &[Line],
        mut gradient: Option<&mut [Line]>,
        z: &mut [Line],
        weight: &Line,
    ) -> Line {
        let l = *self;
        l.vectorize(
            #[inline(always)]
            || {
                let stride = degrees.len().div_ceil(LINE);
                let mut out = Line::ZERO;
                for (i, (z, &nu)) in z.iter_mut().zip(degrees).enumerate() {
                    let location = parameters[i / LINE].0[i % LINE];
                    let log_scale = parameters[stride + i / LINE].0[i % LINE];
                    let inverse = exp(l, l.splat(-log_scale));
                    let (mut location_slope, mut scale_slope) = (Line::ZERO, Line::ZERO);
                    for at in (0..LINE).step_by(L::WIDTH) {
                        let q = l.mul(l.sub(l.load(&z.0[at..]), l.splat(location)), inverse);
                        let square = l.mul(q, q);
                        let log = ln_1p(l, l.mul(square, l.splat(1.0 / nu)));
                        let loss = l.mul_add(log, l.splat(0.5 * (nu + 1.0)), l.splat(log_scale));
                        l.store(l.add(l.load(&out.0[at..]), loss), &mut out.0[at..]);
                        if gradient.is_some() {
                            let w = l.load(&weight.0[at..]);
                            // d loss / dq
                            let pull = l.div(l.mul(l.splat(nu + 1.0), q), l.add(l.splat(nu), square));
                            let slope = l.mul(l.mul(w, pull), inverse);
                            l.store(slope, &mut z.0[at..]);
                            l.store(slope, &mut location_slope.0[at..]);
                            l.store(l.sub(w, l.mul(w, l.mul(pull, q))), &mut scale_slope.0[at..]);
                        }
                    }
                    if let Some(gradient) = gradient.as_deref_mut() {
                        gradient[i / LINE].0[i % LINE] -= sum_line(&location_slope);
                        gradient[stride + i / LINE].0[i % LINE] += sum_line(&scale_slope);
                    }
                }
                out
            },
        )
    }
}
