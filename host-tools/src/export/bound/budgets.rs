//! Error budgets of the runtime's fixed-point functions, which its tests hold: the one place from which the analysis
//! takes them.

pub(super) use flowlet::arithmetic::fixed::elementary::{EXP_RELATIVE, LN_ABSOLUTE, TANH_ABSOLUTE};
pub(super) use flowlet::arithmetic::fixed::ratio::{
    EXP_NEGATIVE_ABSOLUTE, EXP_NEGATIVE_RELATIVE, LOG2_ABSOLUTE, RATIO_ABSOLUTE, SOFTPLUS_ABSOLUTE,
    SOFTPLUS_FLOOR, SOFTPLUS_RELATIVE,
};

/// Half a unit of Q15.16: a rounding to the trunk's numbers.
pub(super) const HALF_UNIT: f64 = 0.5 / 65536.0;
/// `tanh` as an i16 activation.
pub(super) const TANH_ACTIVATION: f64 = 8e-5;
/// `silu` of `fixed::activation`, per unit of `1 + |x|`.
pub(super) const SILU_GROWING: f64 = 2.5e-5;
/// `soft_sign` of `fixed::affine`, per unit of the clamp, before its last rounding.
pub(super) const SOFT_SIGN_PER_CLAMP: f64 = 1.6e-5;
/// `log_sigmoid` of the same.
pub(super) const LOG_SIGMOID: f64 = 6e-5;
/// The factor of leaky ReLU, 41943 / 2^22, against 0.01.
pub(super) const LEAKY_SLOPE_ERROR: f64 = 1e-7;
/// Readings saturate here, in standard deviations.
pub(super) const READING_LIMIT: f64 = 32767.0;
/// Values of the trunk saturate one unit further.
pub(super) const TRUNK_LIMIT: f64 = 32768.0 - 1.0 / 65536.0;
/// Rounding of a score to f32, relative.
pub(super) const SCORE_RELATIVE: f64 = 1.0 / 16_777_216.0;
/// Relative rounding of one mass of a mixture, of adding it and of scaling the sum.
pub(super) const MASS_ROUNDING: f64 = 4.0 / 16_777_216.0;
/// `e^-17`: a component with less than this share of the sum is left out.
pub(super) const NEGLIGIBLE: f64 = 4.2e-8;
/// `ln_ratio` of `fixed::base`.
pub(super) const LN_RATIO: f64 = 1.6e-8;
/// A mass of the runtime's marginal rational quadratics against the largest of its bin: its cut to a unit, those of what it
/// was made of, and the rounding of the shares that it is multiplied with.
pub(super) const MARGINAL_MASS: f64 = 1.5 / 268_435_456.0;
/// The same of spline couplings.
pub(super) const SPLINE_MASS: f64 = 1.75 / 536_870_912.0;
