//! Entropies: what `-log_prob` is in the mean over a base's own samples, the centre of typicality.

use super::{Base, Mixture, StudentT};
use crate::training::Random;
use std::f64::consts::PI;

/// Samples that the mixture's entropy is averaged over.
const SAMPLES: usize = 20_000;

/// `ln Gamma(x)` for `x > 0`.
pub(crate) fn ln_gamma(x: f64) -> f64 {
    libm::lgamma(x)
}

/// `d ln Gamma(x) / dx` for `x > 0`, to 1e-13: recurrence up to 10, then the asymptotic series (Abramowitz and
/// Stegun 6.3.18).
fn digamma(mut x: f64) -> f64 {
    let mut sum = 0.0;
    while x < 10.0 {
        sum -= 1.0 / x;
        x += 1.0;
    }
    let square = 1.0 / (x * x);
    let series = square
        * (1.0 / 12.0
            - square
                * (1.0 / 120.0 - square * (1.0 / 252.0 - square * (1.0 / 240.0 - square * 5.0 / 660.0))));
    sum + x.ln() - 0.5 / x - series
}

/// Entropy of one normal of standard deviation 1.
fn unit_normal() -> f64 {
    0.5 * (1.0 + (2.0 * PI).ln())
}

impl Base {
    /// Differential entropy in nats over `features` features.
    ///
    /// In closed form but for a mixture, where the overlap of components is averaged over 20,000 samples with a
    /// fixed seed: standard error below 0.01 nats for up to 64 components, 0 for those that do not overlap.
    #[must_use]
    pub fn entropy(&self, features: usize) -> f64 {
        match self {
            Base::StandardNormal => features as f64 * unit_normal(),
            Base::DiagonalNormal(b) => b.log_std.iter().map(|&s| f64::from(s) + unit_normal()).sum(),
            Base::StudentT(b) => b.entropy(),
            Base::Mixture(b) => b.entropy(),
        }
    }
}

impl StudentT {
    fn entropy(&self) -> f64 {
        let one = |(&degrees, &log_scale): (&f32, &f32)| {
            let nu = f64::from(degrees);
            let half = 0.5 * (nu + 1.0);
            let ln_beta = ln_gamma(0.5 * nu) + ln_gamma(0.5) - ln_gamma(half);
            half * (digamma(half) - digamma(0.5 * nu)) + 0.5 * nu.ln() + ln_beta + f64::from(log_scale)
        };
        self.degrees.iter().zip(&self.log_scale).map(one).sum()
    }
}

impl Mixture {
    /// Entropy of the choice and of the components, less what their overlap takes back: `-E ln r_k(x)` for x
    /// from component k with responsibility `r_k(x)`, the only part that has no closed form.
    fn entropy(&self) -> f64 {
        let weights: Vec<f64> = self.log_weights.iter().map(|&w| f64::from(w).exp()).collect();
        let total: f64 = weights.iter().sum();
        let features = self.means.len() / weights.len();
        let mut entropy = 0.0;
        let mut random = Random::new(0, ENTROPY);
        let mut overlap = 0.0;
        for (k, weight) in weights.iter().map(|w| w / total).enumerate() {
            if weight <= 0.0 {
                continue;
            }
            let (means, log_std) = self.component(k);
            let spread: f64 = log_std.iter().map(|&s| f64::from(s) + unit_normal()).sum();
            entropy += weight * (spread - weight.ln());
            // In proportion to the weights, so that the choice adds no variance; pairs mirrored at the mean.
            let pairs = ((weight * SAMPLES as f64 / 2.0).ceil() as usize).max(1);
            let mut sum = 0.0;
            for _ in 0..pairs {
                let noise: Vec<f64> = (0..features).map(|_| random.normal()).collect();
                for side in [-1.0, 1.0] {
                    let deviations = noise.iter().zip(log_std).map(|(n, &s)| side * n * f64::from(s).exp());
                    let x: Vec<f64> = means.iter().zip(deviations).map(|(&m, e)| f64::from(m) + e).collect();
                    sum += self.ln_responsibility(&x, k);
                }
            }
            overlap += weight * sum / (2 * pairs) as f64;
        }
        entropy + overlap
    }

    /// `ln r_k(x)`.
    fn ln_responsibility(&self, x: &[f64], k: usize) -> f64 {
        let terms: Vec<f64> = (0..self.components())
            .map(|k| {
                let (means, log_std) = self.component(k);
                let mut term = f64::from(self.log_weights[k]);
                for ((x, &mean), &s) in x.iter().zip(means).zip(log_std) {
                    let u = (x - f64::from(mean)) * (-f64::from(s)).exp();
                    term -= f64::from(s) + 0.5 * u * u;
                }
                term
            })
            .collect();
        let largest = terms.iter().fold(f64::NEG_INFINITY, |a, &b| a.max(b));
        terms[k] - largest - terms.iter().map(|t| (t - largest).exp()).sum::<f64>().ln()
    }
}

/// What the random numbers are for.
const ENTROPY: u64 = 0x656e_7472_6f70_7900;

#[cfg(test)]
mod tests {
    use super::digamma;

    #[test]
    fn digamma_is_that_of_the_tables() {
        // scipy.special.digamma
        for (x, want) in [
            (0.25, -4.227_453_533_376_265),
            (0.5, -1.963_510_026_021_423_5),
            (1.0, -0.577_215_664_901_532_9),
            (3.7, 1.167_153_539_361_511_3),
            (40.0, 3.676_327_374_034_842_8),
        ] {
            assert!((digamma(x) - want).abs() < 1e-12, "{x}: {} {want}", digamma(x));
        }
    }
}
