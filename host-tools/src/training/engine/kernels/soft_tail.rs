//! Soft tails, a panel at a time.

use super::super::lanes::{ln_1p, Lanes, Line, LINE};

/// See `Kernels`.
pub(crate) trait SoftTailKernels: Send + Sync {
    /// One panel of the soft tail: `x` becomes its image, `log_det` is added to.
    fn soft_tail(&self, knee: f32, x: &mut [Line], log_det: &mut Line);

    /// Its gradient: `g` goes from that of the images to that of the inputs `x`. `weight` is each sample's
    /// share of the loss.
    fn soft_tail_gradient(&self, knee: f32, x: &[Line], weight: &Line, g: &mut [Line]);
}

/// Whether a value of the line lies beyond the knee: few lines have one, and the others need no logarithm.
#[inline(always)]
fn any_beyond(line: &Line, knee: f32) -> bool {
    let mut any = false;
    for v in line.0 {
        any |= v.abs() > knee;
    }
    any
}

impl<L: Lanes> SoftTailKernels for L {
    fn soft_tail(&self, knee: f32, x: &mut [Line], log_det: &mut Line) {
        let l = *self;
        l.vectorize(
            #[inline(always)]
            || {
                for x in x {
                    if !any_beyond(x, knee) {
                        continue;
                    }
                    for at in (0..LINE).step_by(L::WIDTH) {
                        let v = l.load(&x.0[at..]);
                        let size = l.max(v, l.sub(l.splat(0.0), v));
                        let beyond = l.sub(size, l.splat(knee));
                        let grown = ln_1p(l, l.max(beyond, l.splat(0.0)));
                        let z = l.add(l.splat(knee), grown);
                        let z = l.select_gt(v, l.splat(0.0), z, l.sub(l.splat(0.0), z));
                        l.store(l.select_gt(beyond, l.splat(0.0), z, v), &mut x.0[at..]);
                        l.store(l.sub(l.load(&log_det.0[at..]), grown), &mut log_det.0[at..]);
                    }
                }
            },
        );
    }

    fn soft_tail_gradient(&self, knee: f32, x: &[Line], weight: &Line, g: &mut [Line]) {
        let l = *self;
        l.vectorize(
            #[inline(always)]
            || {
                for (x, g) in x.iter().zip(g) {
                    if !any_beyond(x, knee) {
                        continue;
                    }
                    for at in (0..LINE).step_by(L::WIDTH) {
                        let zero = l.splat(0.0);
                        let v = l.load(&x.0[at..]);
                        let size = l.max(v, l.sub(zero, v));
                        let beyond = l.max(l.sub(size, l.splat(knee)), zero);
                        // dz/dx = 1 / (1 + beyond), and d(-log_det)/dx is the same with the sign of x.
                        let pull = l.load(&weight.0[at..]);
                        let pull = l.select_gt(v, zero, pull, l.sub(zero, pull));
                        let pull = l.select_gt(beyond, zero, pull, zero);
                        let sum = l.add(l.load(&g.0[at..]), pull);
                        l.store(l.div(sum, l.add(l.splat(1.0), beyond)), &mut g.0[at..]);
                    }
                }
            },
        );
    }
}
