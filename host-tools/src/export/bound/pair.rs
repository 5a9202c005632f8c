//! A number of the exact chain and how far the fixed-point one lies from it, as forms in the same symbols.

use super::form::{Form, Symbols};

/// `value` of the exact chain; `value + error` is that of the fixed-point one.
///
/// Bounds of the fixed-point number alone are carried as well: where errors have grown past all use, both numbers still
/// lie within what a coupling can give.
#[derive(Clone, Debug)]
pub(super) struct Pair {
    pub(super) value: Form,
    pub(super) error: Form,
    /// Bounds of the fixed-point number.
    span: (f64, f64),
}

/// No bounds.
pub(super) const UNBOUNDED: (f64, f64) = (f64::NEG_INFINITY, f64::INFINITY);

/// Bounds of a sum of numbers, each given by its factor and its bounds.
pub(super) fn span(parts: impl Iterator<Item = (f64, (f64, f64))>, constant: f64, local: f64) -> (f64, f64) {
    let (mut low, mut high, mut size) = (constant - local, constant + local, constant.abs());
    for (factor, (a, b)) in parts {
        let (a, b) = (factor * a, factor * b);
        low += a.min(b);
        high += a.max(b);
        size += a.abs().max(b.abs());
    }
    // Roundings of f64.
    (low - 1e-13 * size, high + 1e-13 * size)
}

/// A function of one number.
pub(super) struct Curve<'f> {
    pub(super) f: &'f dyn Fn(f64) -> f64,
    /// Bounds of its slope over an interval.
    pub(super) slopes: &'f dyn Fn(f64, f64) -> (f64, f64),
}

impl Pair {
    /// What these forms say, and bounds of the fixed-point number that come from elsewhere.
    pub(super) fn new(value: Form, error: Form, (low, high): (f64, f64)) -> Self {
        let low = low.max(value.low() + error.low());
        let high = high.min(value.high() + error.high()).max(low);
        let error = error.within(low - value.high(), high - value.low());
        Pair { value, error, span: (low, high) }
    }

    /// Bounds of both numbers.
    pub(super) fn hull(&self) -> (f64, f64) {
        (self.value.low().min(self.span.0), self.value.high().max(self.span.1))
    }

    /// Bounds of the fixed-point number.
    pub(super) fn fixed(&self) -> (f64, f64) {
        self.span
    }

    /// The fixed-point number saturated at `limit` on both sides.
    pub(super) fn cut(self, limit: f64, symbols: &mut Symbols) -> Self {
        let (low, high) = self.span;
        if low >= -limit && high <= limit {
            return self;
        }
        let span = (low.clamp(-limit, limit), high.clamp(-limit, limit));
        let error = Form::interval(span.0 - self.value.high(), span.1 - self.value.low(), symbols);
        Pair { error, span, ..self }
    }

    /// Both are known to be no less than `least`.
    pub(super) fn no_less_than(self, least: f64) -> Self {
        Pair::new(self.value.within(least, f64::INFINITY), self.error, (self.span.0.max(least), self.span.1))
    }

    /// The same where a part of the sum may have saturated: nothing but its bounds are known.
    pub(super) fn doubted(self, symbols: &mut Symbols) -> Self {
        let limit = super::budgets::TRUNK_LIMIT;
        let error = Form::interval(-limit - self.value.high(), limit - self.value.low(), symbols);
        Pair { error, span: (-limit, limit), ..self }
    }

    /// An activation that saturates at `ceiling` on both sides: no further than it reached past it.
    pub(super) fn cut_at_ceiling(self, ceiling: f64, symbols: &mut Symbols) -> Self {
        let (low, high) = self.span;
        let (below, above) = ((-ceiling - low).max(0.0), (high - ceiling).max(0.0));
        if below == 0.0 && above == 0.0 {
            return self;
        }
        let cut = Form::interval(-above, below, symbols);
        let error = self.error.plus(&cut);
        Pair::new(self.value, error, (low.max(-ceiling), high.min(ceiling)))
    }

    /// A function of both; the fixed-point one errs by `local`.
    pub(super) fn curve(&self, curve: &Curve<'_>, local: f64, symbols: &mut Symbols) -> Self {
        let value = self.value.map(curve.f, curve.slopes, symbols);
        let (low, high) = self.hull();
        let slopes = (curve.slopes)(low, high);
        let error = slope_times(&self.error, slopes, local, symbols);
        let span = if slopes.0 >= 0.0 {
            ((curve.f)(self.span.0) - local, (curve.f)(self.span.1) + local)
        } else {
            UNBOUNDED
        };
        Pair::new(value, error, span)
    }

    /// `x` saturated at `limit`; where the fixed-point one saturates, it does so at `fixed_limit`, and else it is
    /// rounded by `local`.
    pub(super) fn saturated(&self, limit: f64, fixed_limit: f64, local: f64, symbols: &mut Symbols) -> Self {
        let value = self.value.broken(&|x| x.clamp(-limit, limit), &[-limit, limit], symbols);
        let (low, high) = self.hull();
        let (least, most) = (limit.min(fixed_limit), limit.max(fixed_limit));
        let error = if low >= most {
            Form::constant(fixed_limit - limit)
        } else if high <= -most {
            Form::constant(limit - fixed_limit)
        } else if low >= -least && high <= least {
            self.error.clone().widened(local, symbols)
        } else {
            // The difference of two saturations at `limit` lies between 0 and the error.
            slope_times(&self.error, (0.0, 1.0), local + (most - least), symbols)
        };
        let at = |x: f64| x.clamp(-most, most);
        Pair::new(value, error, (at(self.span.0) - local, at(self.span.1) + local))
    }

    /// The same with its intervals taken up where they are narrower.
    pub(super) fn renewed(self, symbols: &mut Symbols) -> Self {
        Pair { value: self.value.renewed(symbols), error: self.error.renewed(symbols), ..self }
    }
}

/// `s error` for any `s` within bounds, give or take `local`.
pub(super) fn slope_times(
    error: &Form,
    (least, most): (f64, f64),
    local: f64,
    symbols: &mut Symbols,
) -> Form {
    let corners = [least * error.low(), least * error.high(), most * error.low(), most * error.high()];
    let low = corners.into_iter().fold(f64::INFINITY, f64::min);
    let high = corners.into_iter().fold(f64::NEG_INFINITY, f64::max);
    error
        .scaled(0.5 * (least + most), 0.0)
        .widened(0.5 * (most - least) * error.size(), symbols)
        .within(low - 1e-18, high + 1e-18)
        .widened(local, symbols)
}
