//! Spline coupling (Durkan et al. 2019, "Neural spline flows"): each transformed feature goes through a monotone
//! rational-quadratic spline of its own, the identity outside the box `[-bound, bound]`; the net's outputs are,
//! feature by feature, `[bins widths, bins heights, bins - 1 derivatives]`, raw.
//!
//! ```text
//! option byte             bins
//! parameterization byte   0 softplus (nflows, normflows), 1 soft-clipped (zuko)
//! word 5                  least share of the box that a bin takes, f32 or Q1.30
//! word 6                  least derivative at a knot, f32 or Q1.30
//! ```

use super::Direction;
use crate::arithmetic::spline::{slope, SplineParameters, SplineShape, FEWEST_BINS, MOST_BINS};
use crate::arithmetic::Arithmetic;

/// The settings of a spline coupling as its block has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Spline {
    bins: u8,
    parameters: SplineParameters,
    min_bin: u32,
    min_derivative: u32,
}

impl Spline {
    /// From the option and parameterization bytes, and words 5 and 6.
    pub(super) fn parse(bins: u8, parameters: u8, [min_bin, min_derivative]: [u32; 2]) -> Option<Self> {
        let parameters = match parameters {
            0 => SplineParameters::Softplus,
            1 => SplineParameters::SoftClipped,
            _ => return None,
        };
        Some(Spline { bins, parameters, min_bin, min_derivative })
    }

    /// Raw parameters of one transformed feature.
    #[must_use]
    pub fn outputs_per_feature(self) -> usize {
        (3 * usize::from(self.bins)).saturating_sub(1)
    }

    /// The settings in the image's numbers; `None` if one is out of its range.
    #[must_use]
    pub fn shape<A: Arithmetic>(self, bound: A::Value) -> Option<SplineShape<A::Value>> {
        Some(SplineShape {
            bins: usize::from(self.bins),
            bound,
            min_bin: A::fraction(self.min_bin)?,
            min_derivative: A::fraction(self.min_derivative)?,
            parameters: self.parameters,
        })
    }

    /// Whether the settings are in range.
    pub(super) fn is_valid<A: Arithmetic>(self, bound: A::Value) -> bool {
        let Some(shape) = self.shape::<A>(bound) else { return false };
        (FEWEST_BINS..=MOST_BINS).contains(&shape.bins)
            && A::shape_is_valid(&shape)
            && (shape.parameters == SplineParameters::Softplus
                || (shape.min_bin == A::ZERO && shape.min_derivative == A::ZERO))
    }
}

fn in_f32<A: Arithmetic>(shape: &SplineShape<A::Value>) -> SplineShape<f32> {
    SplineShape {
        bins: shape.bins,
        bound: A::to_f32(shape.bound),
        min_bin: A::fraction_to_f32(shape.min_bin),
        min_derivative: A::fraction_to_f32(shape.min_derivative),
        parameters: shape.parameters,
    }
}

/// Maps the transformed part in place.
pub(super) fn couple<A: Arithmetic>(
    transformed: &mut [A::Value],
    outputs: &[A::Value],
    shape: &SplineShape<A::Value>,
    direction: Direction,
) -> Option<A::Log> {
    let per_feature = shape.raw_parameters();
    let mut log_det = A::ZERO_LOG;
    let mut rest = outputs;
    for x in transformed {
        let (raw, tail) = rest.split_at_checked(per_feature)?;
        rest = tail;
        let (mapped, log) = match direction {
            Direction::Forward => A::spline(*x, raw, shape)?,
            Direction::Inverse => A::spline_inverse(*x, raw, shape)?,
        };
        *x = mapped;
        log_det = A::add(log_det, log);
    }
    Some(log_det)
}

/// From z back to x, from the slope of z to that of x, and to those of the net's outputs.
pub(super) fn backward<A: Arithmetic>(
    transformed: &mut [A::Value],
    slopes_transformed: &mut [f32],
    outputs: &[A::Value],
    shape: &SplineShape<A::Value>,
    slopes: &mut [f32],
) -> Option<()> {
    let per_feature = shape.raw_parameters();
    let real = in_f32::<A>(shape);
    let (mut rest, mut to) = (outputs, slopes);
    for (x, to_x) in transformed.iter_mut().zip(slopes_transformed) {
        let (raw, tail) = rest.split_at_checked(per_feature)?;
        let (slopes, slopes_tail) = to.split_at_mut_checked(per_feature)?;
        (rest, to) = (tail, slopes_tail);
        *x = A::spline_inverse(*x, raw, shape)?.0;
        for (slope, &raw) in slopes.iter_mut().zip(raw) {
            *slope = A::to_f32(raw);
        }
        // L holds -log_det.
        *to_x = slope(A::to_f32(*x), *to_x, -1.0, &real, slopes)?;
    }
    Some(())
}
