//! Monotone maps of single features through knots, as a rule from the quantiles of the data to those of a
//! standard normal: piecewise linear or rational quadratic ([`crate::arithmetic::marginal`] has the formulas
//! and their sources). `log_det` is the sum of the logarithms of the slopes.
//!
//! ```text
//! word 0   form u8 (bit 0: rational quadratic; bit 1: all features have the y of the first),
//!          knots u8 (K, 2 to 33), x_shift u8, y_shift u8 (fixed point: fractional bits of knots beyond 16)
//! then     y, ascending: K words, or K per feature unless bit 1 is set
//! then     per feature x, ascending: K words
//! then     per feature slopes: left and right tail (linear), or one derivative per knot (K words)
//! ```
//!
//! f32: all are f32. Fixed point: knots are i32 with `16 + shift` fractional bits, slopes u32 with 21. All
//! slopes, those of bins too, lie within `2^-10..=2^10`.

use super::Transform;
use crate::arithmetic::marginal::{Knots, MarginalForm};
use crate::arithmetic::Arithmetic;
use crate::conditioner::{GradientScratch, Needs, Scratch};
use crate::{Fault, Part};

/// Bit of word 0: rational quadratic.
pub const RATIONAL_QUADRATIC: u8 = 1;
/// Bit of word 0: one `y` for all features.
pub const SHARED_Y: u8 = 2;

/// A map through knots for every feature.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Marginal<'a> {
    flags: u8,
    knots: u8,
    x_shift: u8,
    y_shift: u8,
    words: &'a [u32],
}

impl<'a> Marginal<'a> {
    pub(super) fn parse(body: &'a [u32]) -> Option<Self> {
        let (head, words) = body.split_first()?;
        let [flags, knots, x_shift, y_shift] = head.to_le_bytes();
        Some(Marginal { flags, knots, x_shift, y_shift, words })
    }

    /// What joins the knots.
    #[must_use]
    pub fn form(&self) -> MarginalForm {
        if self.flags & RATIONAL_QUADRATIC == 0 {
            MarginalForm::Linear
        } else {
            MarginalForm::RationalQuadratic
        }
    }

    /// Slopes of a feature.
    fn slopes(&self) -> usize {
        match self.form() {
            MarginalForm::Linear => 2,
            MarginalForm::RationalQuadratic => usize::from(self.knots),
        }
    }

    fn y_is_shared(&self) -> bool {
        self.flags & SHARED_Y != 0
    }

    /// The maps of `features` features, in their order; fewer only if the image was never checked.
    pub fn maps(&self, features: usize) -> impl Iterator<Item = Knots<'a>> + use<'a> {
        let (knots, slopes, form) = (usize::from(self.knots), self.slopes(), self.form());
        let Marginal { x_shift, y_shift, words, .. } = *self;
        let shared = self.y_is_shared();
        let owners = if shared { 1 } else { features };
        // Three runs of words, each walked once.
        let (mut ys, rest) = words.split_at_checked(owners.wrapping_mul(knots)).unwrap_or_default();
        let (mut xs, mut tails) = rest.split_at_checked(features.wrapping_mul(knots)).unwrap_or_default();
        core::iter::from_fn(move || {
            let (x, more_xs) = xs.split_at_checked(knots)?;
            let (y, more_ys) = ys.split_at_checked(knots)?;
            let (own, more_tails) = tails.split_at_checked(slopes)?;
            (xs, tails) = (more_xs, more_tails);
            if !shared {
                ys = more_ys;
            }
            Some(Knots { form, x, y, slopes: own, x_shift, y_shift })
        })
        .take(features)
    }
}

impl<A: Arithmetic> Transform<A> for Marginal<'_> {
    fn check(&self, features: usize, _contexts: usize, _needs: &mut Needs) -> Result<(), Fault> {
        let knots = usize::from(self.knots);
        let owners = if self.y_is_shared() { 1 } else { features };
        let per_feature = features.wrapping_mul(knots.wrapping_add(self.slopes()));
        let size = owners.wrapping_mul(knots).wrapping_add(per_feature);
        let flags_are_known = self.flags & !(RATIONAL_QUADRATIC | SHARED_Y) == 0;
        let valid = flags_are_known
            && self.words.len() == size
            && self.maps(features).all(|knots| A::marginal_is_valid(&knots));
        if valid {
            Ok(())
        } else {
            Err(Fault::malformed(Part::Transform))
        }
    }

    fn forward(&self, x: &mut [A::Value], _: &[A::Value], _: &mut Scratch<'_>) -> Option<A::Log> {
        let mut log_det = A::ZERO_LOG;
        let maps = self.maps(x.len());
        for (x, knots) in x.iter_mut().zip(maps) {
            let (z, log) = A::marginal(&knots, *x)?;
            *x = z;
            log_det = A::add(log_det, log);
        }
        Some(log_det)
    }

    fn inverse(&self, z: &mut [A::Value], _: &[A::Value], _: &mut Scratch<'_>) -> Option<A::Log> {
        let mut log_det = A::ZERO_LOG;
        let maps = self.maps(z.len());
        for (z, knots) in z.iter_mut().zip(maps) {
            let (x, log) = A::marginal_inverse(&knots, *z)?;
            *z = x;
            log_det = A::add(log_det, log);
        }
        Some(log_det)
    }

    fn backward(
        &self,
        z: &mut [A::Value],
        slope: &mut [f32],
        _: &[A::Value],
        _: &mut GradientScratch<'_>,
    ) -> Option<()> {
        let maps = self.maps(z.len());
        for ((z, slope), knots) in z.iter_mut().zip(slope).zip(maps) {
            let (x, _) = A::marginal_inverse(&knots, *z)?;
            let (rise, bend) = A::marginal_piece(&knots, x)?.derivatives();
            *slope = *slope * rise - bend;
            *z = x;
        }
        Some(())
    }
}
