//! Expectation maximization for a mixture of diagonal normals, in f64: where training of a mixture base starts.
//!
//! k-means++ (Arthur and Vassilvitskii 2007) and a few Lloyd steps, then EM (Dempster, Laird and Rubin 1977).
//! Variances shrink to the pooled within-component variance, so that a component with few rows does not collapse
//! onto them. One thread, one order of summation: the result depends on the values and the seed alone.

use super::engine::{Kernels, BLOCK};
use super::random::Random;
use crate::flow;

/// Least standard deviation of a component, in units of the base variable: EM adds its square to each variance.
pub(crate) const STD_FLOOR: f64 = 0.1;
/// Weight of the pooled variance, in rows.
const PSEUDO_ROWS: f64 = 5.0;
/// Most EM steps.
const STEPS: usize = 40;
/// EM stops once a step gains less than this, in nats per row.
const TOLERANCE: f64 = 1e-4;
/// Lloyd steps before EM.
const LLOYD: usize = 8;
/// Smaller responsibilities are left out of the sums.
const SMALL: f64 = 1e-9;
/// Least weight of a component: its logarithm is finite, and a gradient can still revive it.
const LEAST_WEIGHT: f64 = 1e-6;

/// A mixture during the fit: means and precisions `K x d`, row-major.
struct Fit<'a> {
    kernels: &'a dyn Kernels,
    rows: &'a [f32],
    features: usize,
    log_weights: Vec<f64>,
    means: Vec<f64>,
    variances: Vec<f64>,
}

/// Fits `components` diagonal normals to rows of `features` values (all finite); at most as many as there are rows.
pub(crate) fn fit(
    kernels: &dyn Kernels,
    rows: &[f32],
    features: usize,
    components: usize,
    random: &mut Random,
) -> flow::Mixture {
    let count = rows.len() / features;
    let components = components.min(count).max(1);
    let mut fit = Fit {
        kernels,
        rows,
        features,
        log_weights: vec![-(components as f64).ln(); components],
        means: Vec::new(),
        variances: vec![1.0; components * features],
    };
    fit.seed_means(components, random);
    for step in 0..=LLOYD {
        // The last one only gives the first weights and variances.
        let assigned = fit.nearest();
        let moments = fit.moments(assigned.iter().map(|&k| vec![(k, 1.0)]));
        fit.maximize(&moments, step == LLOYD);
    }
    let mut before = f64::NEG_INFINITY;
    for _ in 0..STEPS {
        let (log_prob, moments) = fit.expect();
        fit.maximize(&moments, true);
        if log_prob - before < TOLERANCE {
            break;
        }
        before = log_prob;
    }
    fit.finish()
}

/// Sums over rows, weighted with responsibilities: of ones, of differences from the mean, of their squares.
struct Moments {
    weight: Vec<f64>,
    first: Vec<f64>,
    second: Vec<f64>,
}

impl Fit<'_> {
    fn components(&self) -> usize {
        self.log_weights.len()
    }

    fn row(&self, row: usize) -> &[f32] {
        &self.rows[row * self.features..][..self.features]
    }

    /// k-means++: each further centre is a row drawn with its squared distance from the nearest one.
    fn seed_means(&mut self, components: usize, random: &mut Random) {
        let d = self.features;
        let count = self.rows.len() / d;
        let mut pick = |weights: &[f64]| {
            let total: f64 = weights.iter().sum();
            let mut left = f64::from(random.uniform()) * total;
            let last = weights.iter().rposition(|&w| w > 0.0).unwrap_or(0);
            weights
                .iter()
                .position(|&w| {
                    left -= w;
                    left < 0.0
                })
                .unwrap_or(last)
        };
        let mut nearest = vec![1.0; count];
        let mut first = true;
        for _ in 0..components {
            let centre: Vec<f64> = self.row(pick(&nearest)).iter().map(|&x| f64::from(x)).collect();
            for (row, nearest) in self.rows.chunks_exact(d).zip(&mut nearest) {
                let distance: f64 = row.iter().zip(&centre).map(|(&x, c)| (f64::from(x) - c).powi(2)).sum();
                *nearest = if first { distance } else { distance.min(*nearest) };
            }
            first = false;
            self.means.extend(centre);
        }
    }

    /// Calls `f` with each row and its half squared distances from all components, in units of their variances.
    fn for_distances(&self, mut f: impl FnMut(usize, &[f64])) {
        let d = self.features;
        let precisions: Vec<f64> = self.variances.iter().map(|v| (0.5 / v).sqrt()).collect();
        let mut panel = vec![[0.0; BLOCK]; d];
        let mut distances = vec![[0.0; BLOCK]; self.components()];
        let mut one = vec![0.0; self.components()];
        for (block, rows) in self.rows.chunks(BLOCK * d).enumerate() {
            for (i, row) in rows.chunks_exact(d).enumerate() {
                for (panel, &x) in panel.iter_mut().zip(row) {
                    panel[i] = f64::from(x);
                }
            }
            self.kernels.distances(&panel, &self.means, &precisions, &mut distances);
            for i in 0..rows.len() / d {
                for (one, distances) in one.iter_mut().zip(&distances) {
                    *one = distances[i];
                }
                f(block * BLOCK + i, &one);
            }
        }
    }

    /// The nearest mean of each row; of equals the first.
    fn nearest(&self) -> Vec<usize> {
        let mut out = Vec::with_capacity(self.rows.len() / self.features);
        self.for_distances(|_, distances| {
            let best = distances.iter().enumerate().fold((0, f64::INFINITY), |best, (k, &distance)| {
                if distance < best.1 {
                    (k, distance)
                } else {
                    best
                }
            });
            out.push(best.0);
        });
        out
    }

    fn moments(&self, shares: impl Iterator<Item = Vec<(usize, f64)>>) -> Moments {
        let mut moments = self.no_moments();
        for (row, shares) in shares.enumerate() {
            for (k, share) in shares {
                self.add(&mut moments, row, k, share);
            }
        }
        moments
    }

    fn no_moments(&self) -> Moments {
        let size = self.means.len();
        Moments { weight: vec![0.0; self.components()], first: vec![0.0; size], second: vec![0.0; size] }
    }

    fn add(&self, moments: &mut Moments, row: usize, k: usize, share: f64) {
        let own = k * self.features..(k + 1) * self.features;
        moments.weight[k] += share;
        let sums = moments.first[own.clone()].iter_mut().zip(&mut moments.second[own.clone()]);
        for (((first, second), &x), mean) in sums.zip(self.row(row)).zip(&self.means[own]) {
            let difference = f64::from(x) - mean;
            *first += share * difference;
            *second += share * difference * difference;
        }
    }

    /// Responsibilities of all rows as moments, and the mean log-density without its constant.
    fn expect(&self) -> (f64, Moments) {
        let d = self.features;
        let constants: Vec<f64> = self
            .variances
            .chunks_exact(d)
            .zip(&self.log_weights)
            .map(|(v, w)| w - 0.5 * v.iter().map(|v| v.ln()).sum::<f64>())
            .collect();
        let mut moments = self.no_moments();
        let mut shares = vec![0.0; self.components()];
        let mut total = 0.0;
        self.for_distances(|row, distances| {
            let mut largest = f64::NEG_INFINITY;
            for ((share, constant), distance) in shares.iter_mut().zip(&constants).zip(distances) {
                *share = constant - distance;
                largest = share.max(largest);
            }
            let mut sum = 0.0;
            for share in &mut shares {
                let below = *share - largest;
                *share = if below > SMALL.ln() { below.exp() } else { 0.0 };
                sum += *share;
            }
            total += largest + sum.ln();
            for (k, &share) in shares.iter().enumerate() {
                if share > SMALL * sum {
                    self.add(&mut moments, row, k, share / sum);
                }
            }
        });
        (total / (self.rows.len() / d) as f64, moments)
    }

    /// New means; with `all` new weights and variances too.
    fn maximize(&mut self, moments: &Moments, all: bool) {
        let d = self.features;
        let count = (self.rows.len() / d) as f64;
        let mut pooled = vec![0.0; d];
        let mut sums = vec![0.0; self.means.len()];
        for (k, &weight) in moments.weight.iter().enumerate() {
            for (i, pooled) in pooled.iter_mut().enumerate() {
                let at = k * d + i;
                let shift = if weight > 0.0 { moments.first[at] / weight } else { 0.0 };
                self.means[at] += shift;
                // Rounding must not make it negative.
                sums[at] = (moments.second[at] - weight * shift * shift).max(0.0);
                *pooled += sums[at] / count;
            }
        }
        if !all {
            return;
        }
        for (k, &weight) in moments.weight.iter().enumerate() {
            for (i, pooled) in pooled.iter().enumerate() {
                let at = k * d + i;
                let shrunk = (sums[at] + PSEUDO_ROWS * pooled) / (weight + PSEUDO_ROWS);
                self.variances[at] = shrunk + STD_FLOOR * STD_FLOOR;
            }
            self.log_weights[k] = (weight / count).max(LEAST_WEIGHT).ln();
        }
    }

    /// Heavy components first, weights normalized.
    fn finish(self) -> flow::Mixture {
        let d = self.features;
        let mut order: Vec<usize> = (0..self.components()).collect();
        order.sort_by(|&a, &b| self.log_weights[b].total_cmp(&self.log_weights[a]));
        let total = self.log_weights.iter().map(|w| w.exp()).sum::<f64>().ln();
        let rows = |values: &[f64], map: fn(f64) -> f64| {
            order.iter().flat_map(|&k| &values[k * d..][..d]).map(|&v| map(v) as f32).collect()
        };
        flow::Mixture {
            log_weights: order.iter().map(|&k| (self.log_weights[k] - total) as f32).collect(),
            means: rows(&self.means, |v| v),
            log_std: rows(&self.variances, |v| 0.5 * v.ln()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::{Base, Flow, Reference};
    use crate::training::engine::best_kernels;

    /// Heaps of known weight, place and size.
    fn heaps(rows: usize, random: &mut Random) -> Vec<f32> {
        (0..rows)
            .flat_map(|row| {
                let (centre, size) = match row % 10 {
                    0..=4 => ([-3.0, 0.0], [0.5, 0.5]),
                    5..=7 => ([2.0, 2.0], [0.3, 1.0]),
                    _ => ([2.0, -3.0], [1.0, 0.2]),
                };
                [0, 1].map(|i| (centre[i] + size[i] * random.normal()) as f32)
            })
            .collect()
    }

    #[test]
    fn heaps_are_found() {
        let mut random = Random::new(2, 0);
        let rows = heaps(4000, &mut random);
        let found = fit(best_kernels().as_ref(), &rows, 2, 3, &mut random);
        println!("{found:?}");
        for (k, (weight, mean, size)) in
            [(0.5, [-3.0, 0.0], [0.5, 0.5]), (0.3, [2.0, 2.0], [0.3, 1.0]), (0.2, [2.0, -3.0], [1.0, 0.2])]
                .into_iter()
                .enumerate()
        {
            let (means, log_std) = found.component(k);
            assert!((f64::from(found.log_weights[k]).exp() - weight).abs() < 0.02);
            for i in 0..2 {
                // Four standard errors.
                let error = 4.0 * size[i] / (weight * 4000.0_f64).sqrt();
                assert!((f64::from(means[i]) - mean[i]).abs() < error, "{means:?}");
                // The floor's square is added to the variance.
                let want = (size[i] * size[i] + STD_FLOOR * STD_FLOOR).sqrt();
                assert!((f64::from(log_std[i]).exp() - want).abs() < 0.05, "{log_std:?}");
            }
        }
    }

    /// Not below that of scikit-learn's GaussianMixture(32, "diag", reg_covar=0.01, random_state=0) on the same kind of
    /// data by much more than what the shrinkage costs; and the same whatever is asked again.
    #[test]
    fn more_components_never_cost_much_and_runs_repeat() {
        let mut random = Random::new(5, 0);
        let rows = heaps(2000, &mut random);
        let mean = |mixture: flow::Mixture| {
            let flow = Flow { features: 2, base: Base::Mixture(mixture), ..Flow::default() };
            let reference = Reference::from(&flow);
            rows.chunks_exact(2).map(|r| reference.log_prob_f32(r)).sum::<f64>() / 2000.0
        };
        let run = |k: usize| fit(best_kernels().as_ref(), &rows, 2, k, &mut Random::new(1, 1));
        let three = mean(run(3));
        for k in [4, 8, 32, 64] {
            let more = mean(run(k));
            println!("{k} components: {more:.3} nats, three {three:.3}");
            assert!(more > three - 0.02, "{k}: {more} {three}");
            assert_eq!(run(k), run(k));
        }
    }

    #[test]
    fn degenerate_data_gives_finite_mixtures() {
        let kernels = best_kernels();
        for (rows, k) in
            [(vec![1.5f32; 24], 5), (vec![0.0; 3], 8), ((0..30).map(|i| (i % 2) as f32).collect(), 4)]
        {
            let found = fit(kernels.as_ref(), &rows, 3, k, &mut Random::new(0, 0));
            let numbers = found.log_weights.iter().chain(&found.means).chain(&found.log_std);
            assert!(numbers.into_iter().all(|x| x.is_finite()), "{found:?}");
            assert!(found.components() <= rows.len() / 3);
        }
    }

    #[test]
    fn the_largest_fit_is_a_matter_of_seconds() {
        // No time is asserted; printed for `docs/training.md`.
        let mut random = Random::new(9, 9);
        let rows: Vec<f32> = (0..20_000 * 36).map(|i| (random.normal() + (i % 7) as f64) as f32).collect();
        let started = std::time::Instant::now();
        let found = fit(best_kernels().as_ref(), &rows, 36, 64, &mut random);
        println!("20,000 rows, 36 features, 64 components: {:.2} s", started.elapsed().as_secs_f64());
        assert_eq!(found.components(), 64);
    }
}
