//! Intervals of f64, for slopes. Their rounding is made up for where they are used ([`Interval::spread`]).

use std::ops::{Add, Div, Mul, Neg, Sub};

/// All numbers from `low` to `high`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Interval {
    pub(super) low: f64,
    pub(super) high: f64,
}

impl Interval {
    /// Nothing; what a hull starts from.
    pub(super) const EMPTY: Interval = Interval { low: f64::INFINITY, high: f64::NEG_INFINITY };

    pub(super) fn new(low: f64, high: f64) -> Self {
        Interval { low, high }
    }

    pub(super) fn point(x: f64) -> Self {
        Interval { low: x, high: x }
    }

    pub(super) fn hull(self, other: Self) -> Self {
        Interval { low: self.low.min(other.low), high: self.high.max(other.high) }
    }

    pub(super) fn middle(self) -> f64 {
        0.5 * (self.low + self.high)
    }

    /// Half its width, with what some hundred roundings made of it.
    pub(super) fn spread(self) -> f64 {
        0.5 * (self.high - self.low) + 1e-13 * self.size()
    }

    pub(super) fn size(self) -> f64 {
        self.low.abs().max(self.high.abs())
    }

    pub(super) fn widened(self, radius: f64) -> Self {
        Interval { low: self.low - radius, high: self.high + radius }
    }

    /// Of a positive interval.
    pub(super) fn ln(self) -> Self {
        Interval { low: self.low.ln(), high: self.high.ln() }
    }

    /// Of an interval of one sign or both.
    pub(super) fn square(self) -> Self {
        let (a, b) = (self.low * self.low, self.high * self.high);
        let low = if self.low <= 0.0 && self.high >= 0.0 { 0.0 } else { a.min(b) };
        Interval { low, high: a.max(b) }
    }
}

impl Add for Interval {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Interval { low: self.low + other.low, high: self.high + other.high }
    }
}

impl Neg for Interval {
    type Output = Self;
    fn neg(self) -> Self {
        Interval { low: -self.high, high: -self.low }
    }
}

impl Sub for Interval {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        self + -other
    }
}

impl Mul for Interval {
    type Output = Self;
    fn mul(self, other: Self) -> Self {
        let corners =
            [self.low * other.low, self.low * other.high, self.high * other.low, self.high * other.high];
        corners.into_iter().fold(Self::EMPTY, |all, corner| all.hull(Self::point(corner)))
    }
}

impl Mul<f64> for Interval {
    type Output = Self;
    fn mul(self, factor: f64) -> Self {
        self * Self::point(factor)
    }
}

/// By a positive interval.
impl Div for Interval {
    type Output = Self;
    fn div(self, other: Self) -> Self {
        debug_assert!(other.low > 0.0);
        self * Interval { low: 1.0 / other.high, high: 1.0 / other.low }
    }
}
