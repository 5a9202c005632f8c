//! Base distributions, a panel at a time.

mod mixture;
mod student_t;

pub(crate) use mixture::{MixtureKernels, MixtureShape, BLOCK};
pub(crate) use student_t::StudentKernels;

use super::super::lanes::{Lanes, Line, LINE};

/// See `Kernels`.
pub(crate) trait BaseKernels: MixtureKernels + StudentKernels + Send + Sync {
    /// One panel of the standard normal base: returns `|z|^2 / 2` per sample and turns `z` into
    /// the gradient `weight * z`.
    fn base(&self, z: &mut [Line], weight: &Line) -> Line;
}

impl<L: Lanes> BaseKernels for L {
    fn base(&self, z: &mut [Line], weight: &Line) -> Line {
        let l = *self;
        l.vectorize(
            #[inline(always)]
            || {
                let mut out = Line::ZERO;
                for at in (0..LINE).step_by(L::WIDTH) {
                    let mut sum = l.splat(0.0);
                    let w = l.load(&weight.0[at..]);
                    for z in z.iter_mut() {
                        let v = l.load(&z.0[at..]);
                        sum = l.mul_add(v, v, sum);
                        l.store(l.mul(v, w), &mut z.0[at..]);
                    }
                    l.store(l.mul(sum, l.splat(0.5)), &mut out.0[at..]);
                }
                out
            },
        )
    }
}
