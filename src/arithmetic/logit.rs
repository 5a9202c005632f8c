//! Log-odds of a number between 0 and 1, continued linearly beyond a margin.

#[cfg(test)]
mod tests;

/// Smallest margin: 2^-12.
pub const SMALLEST_MARGIN: f32 = 1.0 / 4096.0;
/// Largest margin.
pub const LARGEST_MARGIN: f32 = 0.25;

/// The logit in numbers `V` with log-densities `L`.
///
/// `y = ln(p / (1 - p))` and the log-slope `-ln(p (1 - p))` for `p` in `margin..=1 - margin`; beyond, the
/// straight line with the slope of the edge.
pub trait LogitArithmetic<V, L> {
    /// What is the same for all features: the edge, its image, the slope there and its logarithm.
    type Edge: Copy;

    /// The edge for a margin; `None` unless it is within [`SMALLEST_MARGIN`] and [`LARGEST_MARGIN`].
    fn logit_edge(margin: V) -> Option<Self::Edge>;
    /// The image of `p`, and the logarithm of the slope there: one logarithm of a quotient, one of a product.
    fn logit(edge: Self::Edge, p: V) -> (V, L);
    /// Its inverse, with the logarithm of the forward map's slope: one exponential, one logarithm, one division.
    fn logit_inverse(edge: Self::Edge, y: V) -> (V, L);
}
