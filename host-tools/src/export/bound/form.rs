//! Affine forms (Stolfi and de Figueiredo 1997, "Self-validated numerical methods"): `center + sum of terms[k] e_k + rest e`,
//! where every `e` lies within -1 and 1, the `e_k` are shared between forms, and `rest` is each form's own. What forms have
//! in common cancels where they are subtracted. Beside it stands an interval, which may be narrower.
//!
//! Rounding of the analysis itself (f64) goes into `rest`, generously.

/// Of each operation's magnitude: some 2^4 roundings of f64.
const SLACK: f64 = 4e-15;

/// Hands out the shared `e_k`.
#[derive(Clone, Debug, Default)]
pub(super) struct Symbols(usize);

impl Symbols {
    pub(super) fn fresh(&mut self) -> usize {
        self.0 += 1;
        self.0 - 1
    }

    pub(super) fn count(&self) -> usize {
        self.0
    }
}

/// A number that is not known exactly.
#[derive(Clone, Debug)]
pub(super) struct Form {
    center: f64,
    terms: Vec<f64>,
    rest: f64,
    low: f64,
    high: f64,
}

impl Form {
    pub(super) fn constant(center: f64) -> Self {
        Form { center, terms: Vec::new(), rest: 0.0, low: center, high: center }
    }

    /// All of an interval, with a symbol of its own.
    pub(super) fn interval(low: f64, high: f64, symbols: &mut Symbols) -> Self {
        let center = 0.5 * (low + high);
        let mut form = Form { center, terms: Vec::new(), rest: SLACK * center.abs(), low, high };
        form.add_term(0.5 * (high - low), symbols);
        form
    }

    fn add_term(&mut self, radius: f64, symbols: &mut Symbols) {
        if radius > 0.0 {
            let index = symbols.fresh();
            self.terms.resize(index, 0.0);
            self.terms.push(radius);
        }
    }

    pub(super) fn radius(&self) -> f64 {
        self.terms.iter().map(|t| t.abs()).sum::<f64>() + self.rest
    }

    pub(super) fn low(&self) -> f64 {
        self.low
    }

    pub(super) fn high(&self) -> f64 {
        self.high
    }

    pub(super) fn size(&self) -> f64 {
        self.low.abs().max(self.high.abs())
    }

    /// With the slack of the operation that made it, and its interval no wider than its hull.
    fn settled(mut self, magnitude: f64) -> Self {
        self.rest += SLACK * magnitude;
        let radius = self.radius() * (1.0 + SLACK);
        self.low = self.low.max(self.center - radius);
        self.high = self.high.min(self.center + radius);
        self
    }

    /// `constant + sum of factor * form`.
    pub(super) fn sum<'f>(parts: impl Iterator<Item = (f64, &'f Form)> + Clone, constant: f64) -> Self {
        let length = parts.clone().map(|(_, f)| f.terms.len()).max().unwrap_or(0);
        let mut sum =
            Form { center: constant, terms: vec![0.0; length], rest: 0.0, low: constant, high: constant };
        let mut magnitude = constant.abs();
        for (factor, form) in parts {
            if factor == 0.0 {
                continue;
            }
            sum.center += factor * form.center;
            for (to, term) in sum.terms.iter_mut().zip(&form.terms) {
                *to += factor * term;
            }
            sum.rest += factor.abs() * form.rest;
            let (a, b) = (factor * form.low, factor * form.high);
            sum.low += a.min(b);
            sum.high += a.max(b);
            magnitude += factor.abs() * (form.center.abs() + form.size());
        }
        // Terms round too; their number is bounded by what a net sums.
        let magnitude = 8.0 * magnitude + sum.radius();
        sum.low -= SLACK * magnitude;
        sum.high += SLACK * magnitude;
        sum.settled(magnitude)
    }

    pub(super) fn plus(&self, other: &Form) -> Self {
        Self::sum([(1.0, self), (1.0, other)].into_iter(), 0.0)
    }

    /// `factor * self + constant`.
    pub(super) fn scaled(&self, factor: f64, constant: f64) -> Self {
        Self::sum(std::iter::once((factor, self)), constant)
    }

    /// Anything within `radius` of it.
    pub(super) fn widened(mut self, radius: f64, symbols: &mut Symbols) -> Self {
        self.add_term(radius, symbols);
        self.low -= radius;
        self.high += radius;
        self
    }

    /// The same with no symbol for what is not known: for what is used only once.
    pub(super) fn blurred(mut self, radius: f64) -> Self {
        self.rest += radius;
        self.low -= radius;
        self.high += radius;
        self
    }

    /// Known to be no less than `low` and no more than `high`.
    pub(super) fn within(mut self, low: f64, high: f64) -> Self {
        self.low = self.low.max(low).min(self.high.max(low));
        self.high = self.high.min(high).max(self.low);
        self
    }

    /// Its interval as a new form where that is much narrower than what the symbols say.
    pub(super) fn renewed(self, symbols: &mut Symbols) -> Self {
        if self.high - self.low < 1.4 * self.radius() {
            Self::interval(self.low, self.high, symbols)
        } else {
            self
        }
    }

    /// The product; its second order has a symbol of its own.
    pub(super) fn times(&self, other: &Form, symbols: &mut Symbols) -> Self {
        let (mut product, second) = self.product(other);
        product.rest = (product.rest - second).max(0.0) + SLACK * second;
        product.add_term(second, symbols);
        product
    }

    /// The product, forms of the same symbols being independent in the second order; its radius is part of the rest, and
    /// stands beside the product.
    pub(super) fn product(&self, other: &Form) -> (Self, f64) {
        let (a, b) = (self, other);
        let length = a.terms.len().max(b.terms.len());
        let term = |f: &Form, k: usize| f.terms.get(k).copied().unwrap_or(0.0);
        let corners = [a.low * b.low, a.low * b.high, a.high * b.low, a.high * b.high];
        let fold = |f: fn(f64, f64) -> f64| corners.into_iter().fold(corners[0], f);
        let (ra, rb) = (a.radius(), b.radius());
        let product = Form {
            center: a.center * b.center,
            terms: (0..length).map(|k| a.center * term(b, k) + b.center * term(a, k)).collect(),
            rest: a.center.abs() * b.rest + b.center.abs() * a.rest + ra * rb,
            low: fold(f64::min),
            high: fold(f64::max),
        };
        let magnitude = (a.center.abs() + ra) * (b.center.abs() + rb);
        let slack = SLACK * magnitude;
        let product = Form { low: product.low - slack, high: product.high + slack, ..product };
        (product.settled(4.0 * magnitude), ra * rb)
    }

    /// `f` of it, for an `f` whose slopes over an interval `slopes` bounds.
    pub(super) fn map(
        &self,
        f: &dyn Fn(f64) -> f64,
        slopes: &dyn Fn(f64, f64) -> (f64, f64),
        symbols: &mut Symbols,
    ) -> Self {
        let (low, high) = (self.low, self.high);
        let width = high - low;
        if width < 1e-9 {
            // The mean-value form; `f` at the ends is within it.
            let (least, most) = slopes(low, high);
            let at = 0.5 * (low + high);
            let line = self.scaled(0.5 * (least + most), f(at) - 0.5 * (least + most) * at);
            let reach = 0.5 * width * least.abs().max(most.abs());
            let line = line.within(f(at) - reach, f(at) + reach);
            return line.widened(0.25 * (most - least) * width + SLACK * f(at).abs(), symbols);
        }
        let slope = (f(high) - f(low)) / width;
        let (mut least, mut most) = (f64::INFINITY, f64::NEG_INFINITY);
        let (mut bottom, mut top) = (f64::INFINITY, f64::NEG_INFINITY);
        let piece = width / PIECES as f64;
        for i in 0..PIECES {
            let from = low + piece * i as f64;
            let to = if i + 1 == PIECES { high } else { from + piece };
            let (s0, s1) = slopes(from, to);
            let half = 0.5 * (to - from) * (1.0 + SLACK);
            let at = 0.5 * (from + to);
            // Deviation from the line, by the slope of what is left.
            let rest = half * (s0 - slope).abs().max((s1 - slope).abs());
            let value = f(at);
            least = least.min(value - slope * at - rest);
            most = most.max(value - slope * at + rest);
            let reach = half * s0.abs().max(s1.abs());
            bottom = bottom.min(value - reach);
            top = top.max(value + reach);
        }
        let slack = SLACK * (bottom.abs().max(top.abs()) + slope.abs() * low.abs().max(high.abs()));
        self.scaled(slope, 0.5 * (least + most))
            .widened(0.5 * (most - least) + slack, symbols)
            .within(bottom - slack, top + slack)
            .settled(0.0)
    }

    /// `f` of it, for an `f` that is straight between `breaks`.
    pub(super) fn broken(&self, f: &dyn Fn(f64) -> f64, breaks: &[f64], symbols: &mut Symbols) -> Self {
        let (low, high) = (self.low, self.high);
        let slope = if high > low { (f(high) - f(low)) / (high - low) } else { 0.0 };
        let inner = breaks.iter().copied().filter(|b| low < *b && *b < high);
        let points = [low, high].into_iter().chain(inner);
        let (mut least, mut most) = (f64::INFINITY, f64::NEG_INFINITY);
        let (mut bottom, mut top) = (f64::INFINITY, f64::NEG_INFINITY);
        for at in points {
            let value = f(at);
            least = least.min(value - slope * at);
            most = most.max(value - slope * at);
            bottom = bottom.min(value);
            top = top.max(value);
        }
        let slack = SLACK * (low.abs().max(high.abs()) * (1.0 + slope.abs()));
        self.scaled(slope, 0.5 * (least + most))
            .widened(0.5 * (most - least) + slack, symbols)
            .within(bottom - slack, top + slack)
            .settled(0.0)
    }

    /// Keeps the `keep` symbols that weigh most in `forms` and makes the others part of each one's own rest.
    pub(super) fn condense(forms: &mut [&mut Form], keep: usize, symbols: &mut Symbols) {
        let count = symbols.count();
        if count <= keep {
            return;
        }
        let mut weights = vec![0.0; count];
        for form in &*forms {
            for (weight, term) in weights.iter_mut().zip(&form.terms) {
                *weight += term.abs();
            }
        }
        let mut order: Vec<usize> = (0..count).collect();
        order.sort_by(|&a, &b| weights[b].total_cmp(&weights[a]).then(a.cmp(&b)));
        order.truncate(keep);
        order.sort_unstable();
        for form in forms.iter_mut() {
            let total: f64 = form.terms.iter().map(|t| t.abs()).sum();
            let terms: Vec<f64> = order.iter().map(|&k| form.terms.get(k).copied().unwrap_or(0.0)).collect();
            let kept: f64 = terms.iter().map(|t| t.abs()).sum();
            form.rest += (total - kept).max(0.0) + SLACK * total;
            form.terms = terms;
        }
        *symbols = Symbols(keep);
    }
}

/// Pieces of an interval over which a curve is compared with its line.
const PIECES: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    /// Every form holds the number that its symbols stand for, whatever was computed.
    #[test]
    fn forms_hold_what_they_stand_for() {
        let mut state = 7u64;
        let mut uniform = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 11) as f64 / (1u64 << 53) as f64 * 2.0 - 1.0
        };
        for round in 0..300 {
            let mut symbols = Symbols::default();
            let width = 0.5f64.powi(round % 30);
            let (a, b) = (3.0 * uniform(), 2.0 * uniform());
            let x = Form::interval(a - width, a + width, &mut symbols);
            let y = Form::interval(b - width, b + width, &mut symbols);
            let sum = Form::sum([(0.7, &x), (-1.3, &y)].into_iter(), 0.2);
            let product = sum.times(&x, &mut symbols);
            let tanh = |v: f64| v.tanh();
            let slopes = |low: f64, high: f64| {
                let slope = |v: f64| 1.0 - v.tanh() * v.tanh();
                let most = if low <= 0.0 && high >= 0.0 { 1.0 } else { slope(low).max(slope(high)) };
                (slope(low).min(slope(high)), most)
            };
            let mut mapped = product.map(&tanh, &slopes, &mut symbols);
            let mut difference = Form::sum([(1.0, &mapped), (-1.0, &x)].into_iter(), 0.0);
            Form::condense(&mut [&mut mapped, &mut difference], 3, &mut symbols);
            let renewed = difference.clone().renewed(&mut symbols);
            for _ in 0..40 {
                let (x, y) = (a + width * uniform(), b + width * uniform());
                let z = ((0.7 * x - 1.3 * y + 0.2) * x).tanh();
                for (form, value) in [(&mapped, z), (&difference, z - x), (&renewed, z - x)] {
                    assert!(form.low <= value && value <= form.high, "{value} of {form:?}");
                    assert!((value - form.center).abs() <= form.radius(), "{value} of {form:?}");
                }
            }
        }
    }

    #[test]
    fn what_forms_share_cancels() {
        let mut symbols = Symbols::default();
        let x = Form::interval(-1.0, 1.0, &mut symbols);
        let y = x.scaled(2.0, 0.5);
        let rest = Form::sum([(1.0, &y), (-2.0, &x)].into_iter(), 0.0);
        assert!(rest.radius() < 1e-12 && (rest.center - 0.5).abs() < 1e-12);
        assert!(rest.high - rest.low < 1e-12);
    }
}
