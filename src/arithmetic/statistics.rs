//! What combining experts, typicality and explanations ask of the numbers.

/// Operations on log-densities `L` beside those of [`super::Arithmetic`]; total, as all of them.
pub trait StatisticsArithmetic<L>: Sized {
    /// A finite number of nats as a log-density; saturates.
    fn log_from_f32(x: f32) -> L;

    /// `sum / count` for 1 to 8 experts.
    ///
    /// f32: the rounded quotient. Fixed point: `sum R / 2^32` rounded to nearest, half up, with
    /// `R = 2^32 / count` rounded: no division, exact for powers of two, else off by at most half a unit
    /// (2^-17 nats) and 2^-33 `sum`.
    fn mean_log(sum: L, count: usize) -> L;

    /// `1 / std` of one input in its unit, from its words of the standardizer.
    fn inverse_std(parameters: &[u32]) -> Option<f32>;
}
