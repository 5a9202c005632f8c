//! The generalized Pareto distribution: what excesses over a high threshold look like, whatever they come from
//! (Pickands 1975), fitted to few of them.
//!
//! Penalized maximum likelihood (Coles and Dixon 1999, with a normal penalty of the shape), in which the largest excess counts
//! as one of unknown size (type II censoring): a single wild row says that such rows exist, and not how heavy the tail is.
//! `docs/calibration.md` compares it with other estimators.

use statrs::function::beta::beta_reg;

/// Least and largest shape. Below -0.5 the likelihood is irregular; at 1 the mean is infinite.
pub const SHAPES: (f64, f64) = (-0.5, 1.0);
/// Shapes that are looked at.
const GRID: usize = 61;
/// Bisections of a scale, and of an interval: to the last digit or two of an f64 within the ranges searched.
const BISECTIONS: usize = 90;
/// Scales per shape in a posterior.
const SCALES: usize = 61;
/// Points that stand for the share of readings above the threshold.
const SHARES: usize = 16;
/// Parts of the posterior below that share of it are left out.
const NEGLIGIBLE: f64 = 1e-6;

/// What is known of a shape beforehand: a normal distribution.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prior {
    /// Mean of the shape.
    pub mean: f64,
    /// Standard deviation of it; infinite for plain maximum likelihood.
    pub std: f64,
}

/// For thresholds. Scores of trained flows fall off a little more slowly than an exponential. A mean of 0.3 comes closer to
/// the requested rates on eight tables, and sets thresholds too high for lighter tails (`docs/calibration.md`).
impl Default for Prior {
    fn default() -> Self {
        Prior { mean: 0.2, std: 0.2 }
    }
}

impl Prior {
    /// For intervals, which are to hold for light tails and for heavy ones.
    pub const WIDE: Self = Prior { mean: 0.1, std: 0.3 };

    fn penalty(self, shape: f64) -> f64 {
        if self.std.is_finite() {
            0.5 * ((shape - self.mean) / self.std).powi(2)
        } else {
            0.0
        }
    }
}

/// Excesses over a threshold: `P(excess > y) = (1 + shape y / scale)^(-1 / shape)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GeneralizedPareto {
    /// 0: exponential; above: a power law; below: bounded.
    pub shape: f64,
    /// Positive, in units of the excess.
    pub scale: f64,
}

impl GeneralizedPareto {
    /// The share of excesses above `excess`, 0..=1.
    #[must_use]
    pub fn survival(self, excess: f64) -> f64 {
        let z = excess.max(0.0) / self.scale;
        if self.shape.abs() < 1e-9 {
            return (-z).exp();
        }
        let base = 1.0 + self.shape * z;
        if base <= 0.0 {
            0.0
        } else {
            (-base.ln() / self.shape).exp()
        }
    }

    /// The excess that a share `p` in (0, 1] is above.
    #[must_use]
    pub fn excess(self, p: f64) -> f64 {
        if self.shape.abs() < 1e-9 {
            -p.ln() * self.scale
        } else {
            (-self.shape * p.ln()).exp_m1() / self.shape * self.scale
        }
    }

    /// Fits ascending excesses, of which the `censored` largest only count as at least the next smaller one.
    ///
    /// Cost: some 100 000 steps over all excesses or less; 500 take a few milliseconds.
    ///
    /// # Panics
    /// Unless two excesses at least are left and the largest of them is positive.
    #[must_use]
    pub fn fit(excesses: &[f64], censored: usize, prior: Prior) -> Self {
        let sample = Sample::new(excesses, censored);
        let merit = |shape: f64| sample.log_likelihood(shape, sample.scale(shape)) - prior.penalty(shape);
        let step = (SHAPES.1 - SHAPES.0) / (GRID - 1) as f64;
        let at = |i: usize| SHAPES.0 + step * i as f64;
        let best = (1..GRID).fold(0, |best, i| if merit(at(i)) > merit(at(best)) { i } else { best });
        // Golden sections between its neighbours.
        let ratio = (5f64.sqrt() - 1.0) / 2.0;
        let (mut low, mut high) = (at(best.saturating_sub(1)), at((best + 1).min(GRID - 1)));
        for _ in 0..40 {
            let (a, b) = (high - ratio * (high - low), low + ratio * (high - low));
            if merit(a) > merit(b) {
                high = b;
            } else {
                low = a;
            }
        }
        let shape = f64::midpoint(low, high);
        GeneralizedPareto { shape, scale: sample.scale(shape) }
    }
}

/// The interval that holds the share of readings above `excess` with confidence `level`, where `above` of `readings` gave
/// these `excesses` over the threshold: shape and scale by their posterior under `prior` (flat in the logarithm of the
/// scale), and the share of readings above the threshold by its Beta distribution.
#[must_use]
pub fn credible_rate(
    excesses: &[f64],
    censored: usize,
    prior: Prior,
    readings: usize,
    excess: f64,
    level: f64,
) -> (f64, f64) {
    let sample = Sample::new(excesses, censored);
    let centre = sample.mean().ln();
    let mut parts: Vec<(f64, f64)> = Vec::with_capacity(GRID * SCALES);
    for i in 0..GRID {
        let shape = SHAPES.0 + (SHAPES.1 - SHAPES.0) * i as f64 / (GRID - 1) as f64;
        for j in 0..SCALES {
            let scale = (centre - 2.5 + 4.5 * j as f64 / (SCALES - 1) as f64).exp();
            let merit = sample.log_likelihood(shape, scale) - prior.penalty(shape);
            if merit.is_finite() {
                parts.push((GeneralizedPareto { shape, scale }.survival(excess), merit));
            }
        }
    }
    let largest = parts.iter().map(|p| p.1).fold(f64::NEG_INFINITY, f64::max);
    parts.iter_mut().for_each(|p| p.1 = (p.1 - largest).exp());
    parts.retain(|p| p.1 > NEGLIGIBLE);
    let n = excesses.len() as f64;
    let shares = (0..SHARES)
        .map(|i| beta_quantile(n, readings as f64 + 1.0 - n, (i as f64 + 0.5) / SHARES as f64))
        .collect::<Vec<f64>>();
    let mut rates: Vec<(f64, f64)> =
        parts.iter().flat_map(|&(s, weight)| shares.iter().map(move |share| (s * share, weight))).collect();
    rates.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let total: f64 = rates.iter().map(|r| r.1).sum();
    let quantile = |q: f64| {
        let mut sum = 0.0;
        let found = rates.iter().find(|r| {
            sum += r.1;
            sum >= q * total
        });
        found.or(rates.last()).map_or(0.0, |r| r.0)
    };
    (quantile((1.0 - level) / 2.0), quantile(f64::midpoint(1.0, level)))
}

/// The value that a Beta(a, b) variable is below with probability `p`; `a`, `b` positive.
#[must_use]
pub fn beta_quantile(a: f64, b: f64, p: f64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..BISECTIONS {
        let middle = f64::midpoint(low, high);
        if beta_reg(a, b, middle) < p {
            low = middle;
        } else {
            high = middle;
        }
    }
    f64::midpoint(low, high)
}

/// Excesses, the largest of them censored.
struct Sample<'a> {
    known: &'a [f64],
    censored: f64,
    /// Where they are censored.
    bound: f64,
}

impl<'a> Sample<'a> {
    fn new(excesses: &'a [f64], censored: usize) -> Self {
        let known = &excesses[..excesses.len() - censored];
        let bound = known[known.len() - 1];
        assert!(known.len() > 1 && bound > 0.0, "no excesses to fit");
        Sample { known, censored: censored as f64, bound }
    }

    fn mean(&self) -> f64 {
        let n = self.known.len() as f64;
        (self.known.iter().sum::<f64>() + self.censored * self.bound) / (n + self.censored)
    }

    fn log_likelihood(&self, shape: f64, scale: f64) -> f64 {
        let n = self.known.len() as f64;
        if 1.0 + shape * self.bound / scale <= 0.0 {
            return f64::NEG_INFINITY;
        }
        if shape.abs() < 1e-9 {
            let sum: f64 = self.known.iter().sum();
            return -n * scale.ln() - (sum + self.censored * self.bound) / scale;
        }
        let log = |x: f64| (shape * x / scale).ln_1p();
        let sum: f64 = self.known.iter().map(|&x| log(x)).sum();
        -n * scale.ln() - (1.0 / shape + 1.0) * sum - self.censored * log(self.bound) / shape
    }

    /// The likeliest scale of a shape: where the derivative by it, which falls, is zero.
    fn scale(&self, shape: f64) -> f64 {
        let least = self.bound * (-shape).max(0.0) * (1.0 + 1e-12);
        let (mut low, mut high) = (least.max(self.mean() * 1e-9), (self.mean() + self.bound) * 1e3);
        for _ in 0..BISECTIONS {
            let scale = (low * high).sqrt();
            let part = |x: f64| (x / scale) / (1.0 + shape * x / scale);
            let sum: f64 = self.known.iter().map(|&x| part(x)).sum();
            if (1.0 + shape) * sum + self.censored * part(self.bound) > self.known.len() as f64 {
                low = scale;
            } else {
                high = scale;
            }
        }
        (low * high).sqrt()
    }
}
