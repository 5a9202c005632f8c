//! A monotone map of one number through knots: straight lines or rational quadratics between them, straight
//! lines beyond the ends.
//!
//! Between the knots `(x0, y0)` and `(x1, y1)`, with `w = x1 - x0`, `h = y1 - y0`, `u = (x - x0) / w` and
//! `v = 1 - u`, a line has the slope `h / w`. A rational quadratic (Gregory and Delbourgo 1982, "Piecewise
//! rational quadratic interpolation to monotonic data"; Durkan et al. 2019) has given derivatives `d0`, `d1`
//! at both ends; with `a = w d0`, `b = w d1`
//!
//! ```text
//! y = y0 + h p / q      p = h u^2 + a u v          q = p + h v^2 + b u v
//! dy/dx = h^2 n / (w q^2)      n = b u^2 + 2 h u v + a v^2
//! ```
//!
//! where all terms are positive, so that nothing cancels. The inverse finds the bin by `y` and halves it 24
//! (f32) or 31 times (fixed point); the inverse of a line is one division.

#[cfg(test)]
mod tests;

/// What joins the knots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum MarginalForm {
    /// Straight lines; two slopes, those of the left and the right tail.
    Linear,
    /// Rational quadratics; one derivative per knot, and the tails go on with the first and the last.
    RationalQuadratic,
}

/// Fewest knots of a map.
pub const FEWEST_KNOTS: usize = 2;
/// Most knots of a map.
pub const MOST_KNOTS: usize = 33;
/// All slopes lie between `2^-SLOPE_BITS` and `2^SLOPE_BITS`.
pub const SLOPE_BITS: u32 = 10;
/// Fractional bits of a slope in fixed point.
pub const SLOPE_FRACTION_BITS: u32 = 21;
/// Most fractional bits that knots of fixed point have beyond Q15.16.
pub const MOST_KNOT_SHIFT: u8 = 13;

/// The map of one feature, as words of the image.
///
/// In f32 all words are f32. In fixed point knots are i32 with `16 + shift` fractional bits, and slopes are
/// u32 with 21 of them.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Knots<'a> {
    /// What joins them.
    pub form: MarginalForm,
    /// Where they stand, ascending.
    pub x: &'a [u32],
    /// Where they go, ascending; as many.
    pub y: &'a [u32],
    /// Slopes, see [`MarginalForm`].
    pub slopes: &'a [u32],
    /// Further fractional bits of `x`; 0 in f32.
    pub x_shift: u8,
    /// Further fractional bits of `y`; 0 in f32.
    pub y_shift: u8,
}

impl Knots<'_> {
    /// Whether there are as many numbers as the form asks for.
    #[must_use]
    pub fn shape_is_valid(&self) -> bool {
        let slopes = match self.form {
            MarginalForm::Linear => 2,
            MarginalForm::RationalQuadratic => self.x.len(),
        };
        (FEWEST_KNOTS..=MOST_KNOTS).contains(&self.x.len())
            && self.x.len() == self.y.len()
            && self.slopes.len() == slopes
    }
}

/// A map near one point, in f32, for slopes.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Piece {
    /// A straight line.
    Line {
        /// Its slope.
        slope: f32,
    },
    /// A rational quadratic.
    Rational {
        /// Width of the bin.
        w: f32,
        /// Its height.
        h: f32,
        /// Derivative at its left end.
        d0: f32,
        /// Derivative at its right end.
        d1: f32,
        /// Position in it, 0 to 1.
        u: f32,
    },
}

impl Piece {
    /// `dy/dx` and `d ln(dy/dx) / dx`.
    #[must_use]
    pub fn derivatives(&self) -> (f32, f32) {
        match *self {
            Piece::Line { slope } => (slope, 0.0),
            Piece::Rational { w, h, d0, d1, u } => {
                let v = 1.0 - u;
                let (a, b) = (w * d0, w * d1);
                let q = h * (u * u + v * v) + (a + b) * u * v;
                let n = b * u * u + 2.0 * h * u * v + a * v * v;
                let slope = h * h * n / (w * q * q);
                // d/du of n and q.
                let n_rises = 2.0 * (b * u + h * (v - u) - a * v);
                let q_rises = (a + b - 2.0 * h) * (v - u);
                (slope, (n_rises / n - 2.0 * q_rises / q) / w)
            }
        }
    }
}

/// Maps through knots, in numbers `V` with log-densities `L`.
///
/// `None` only for knots that [`Self::marginal_is_valid`] has not accepted.
pub trait MarginalArithmetic<V, L> {
    /// Whether knots ascend and all slopes lie within `2^-10..=2^10`.
    fn marginal_is_valid(knots: &Knots<'_>) -> bool;
    /// The image of `x`, and the logarithm of the slope there. A binary search and, in a bin, two divisions
    /// (a line) or three (a rational quadratic).
    fn marginal(knots: &Knots<'_>, x: V) -> Option<(V, L)>;
    /// Its inverse, with the logarithm of the forward map's slope.
    fn marginal_inverse(knots: &Knots<'_>, z: V) -> Option<(V, L)>;
    /// The map near `x`.
    fn marginal_piece(knots: &Knots<'_>, x: V) -> Option<Piece>;
}
