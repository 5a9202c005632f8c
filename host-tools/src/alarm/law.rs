//! How surprising readings are: the distribution of a [`Surprise`].

use crate::training::random::Random;
use flowlet::stream::Surprise;

/// Units of a surprise in a bit.
pub(super) const UNITS: f64 = (1u32 << Surprise::FRACTION_BITS) as f64;

/// Distribution of a surprise, in its units of 2^-8 bits.
#[derive(Clone, Debug, PartialEq)]
pub enum Law {
    /// `P(surprise >= s) = ratio^s` up to the ceiling of a calibration, where the rest of the mass lies.
    Geometric {
        /// Of two neighbouring tail probabilities.
        ratio: f64,
        /// The largest surprise.
        ceiling: usize,
    },
    /// Probabilities of the surprises from 0 on.
    Table(Vec<f64>),
}

impl Law {
    /// That of normal readings: what calibration means.
    #[must_use]
    pub fn normal(ceiling: Surprise) -> Self {
        Law::Geometric { ratio: (-1.0 / UNITS).exp2(), ceiling: ceiling.raw().into() }
    }

    /// That of anomalous readings whose surprise is larger by a factor, such that its mean would be so many bits but for the
    /// ceiling: their p-values are those of normal ones to a power (Lehmann 1953).
    #[must_use]
    pub fn anomalous(mean_bits: f64, ceiling: Surprise) -> Self {
        let mean = mean_bits * UNITS;
        Law::Geometric { ratio: mean / (1.0 + mean), ceiling: ceiling.raw().into() }
    }

    /// That of given readings, each as likely as the other; `None` without any.
    #[must_use]
    pub fn of(surprises: &[Surprise]) -> Option<Self> {
        let largest = surprises.iter().max()?.raw();
        let mut table = vec![0.0; usize::from(largest) + 1];
        for surprise in surprises {
            table[usize::from(surprise.raw())] += 1.0 / surprises.len() as f64;
        }
        Some(Law::Table(table))
    }

    /// Probability of a surprise of at least `level`.
    #[must_use]
    pub fn reaches(&self, level: usize) -> f64 {
        match self {
            Law::Geometric { ceiling, .. } if level > *ceiling => 0.0,
            Law::Geometric { ratio, .. } => ratio.powf(level as f64),
            Law::Table(table) => table.iter().skip(level).sum(),
        }
    }

    /// That of the surprise divided by `group`, rounded down.
    pub(super) fn grouped(&self, group: usize) -> Self {
        match self {
            Law::Geometric { ratio, ceiling } => {
                Law::Geometric { ratio: ratio.powf(group as f64), ceiling: ceiling / group }
            }
            Law::Table(table) => Law::Table(table.chunks(group).map(|c| c.iter().sum()).collect()),
        }
    }

    /// Where a distribution over `0..length` goes when a surprise is added: what stays within it, and the probability
    /// beyond, which is summed by itself so that tiny ones keep their digits.
    pub(super) fn added(&self, from: &[f64], length: usize) -> (Vec<f64>, f64) {
        let mut to = vec![0.0; length];
        let at = |i: usize| from.get(i).copied().unwrap_or(0.0);
        match *self {
            Law::Geometric { ratio, ceiling } => {
                let last = ratio.powf(ceiling as f64);
                // The sum over all sources of what their tails still hold: constant time a place.
                let mut tails = 0.0;
                for (place, to) in to.iter_mut().enumerate() {
                    let ended = place.checked_sub(ceiling).map_or(0.0, |i| last * at(i));
                    tails = tails * ratio + at(place);
                    *to = (1.0 - ratio) * (tails - ended).max(0.0) + ended;
                    tails -= ended;
                }
                let reaching = length.saturating_sub(ceiling)..from.len();
                let mut beyond = 0.0;
                for source in reaching.clone() {
                    beyond = (beyond + from[source]) * ratio;
                }
                // Sources may end before the places do.
                beyond *= ratio.powf(length.saturating_sub(reaching.end) as f64);
                (to, beyond)
            }
            Law::Table(ref table) => {
                let mut tail: Vec<f64> = table
                    .iter()
                    .rev()
                    .scan(0.0, |sum, p| {
                        *sum += p;
                        Some(*sum)
                    })
                    .collect();
                tail.reverse();
                let mut beyond = 0.0;
                for (source, &mass) in from.iter().enumerate().filter(|(_, &mass)| mass > 0.0) {
                    for (to, p) in to[source.min(length)..].iter_mut().zip(table) {
                        *to += mass * p;
                    }
                    beyond += mass * tail.get(length - source).copied().unwrap_or(0.0);
                }
                (to, beyond)
            }
        }
    }

    /// A random surprise.
    pub(super) fn draw(&self, random: &mut Random) -> Surprise {
        // 48 bits: below 2^-24 a uniform of 24 would be coarse.
        let u = (f64::from(random.uniform()) + f64::from(random.uniform()) / 16_777_216.0).max(1e-15);
        let units = match self {
            Law::Geometric { ratio, ceiling } => ((u.ln() / ratio.ln()) as usize).min(*ceiling),
            Law::Table(table) => {
                let mut left = u;
                table
                    .iter()
                    .position(|p| {
                        left -= p;
                        left < 0.0
                    })
                    .unwrap_or(table.len() - 1)
            }
        };
        Surprise::from_raw(units.min(u16::MAX.into()) as u16)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_a_law_agree() {
        let ceiling = Surprise::from_raw(700);
        let law = Law::normal(ceiling);
        let table: Vec<f64> = (0..=700).map(|s| law.reaches(s) - law.reaches(s + 1)).collect();
        let table = Law::Table(table);
        let mut random = Random::new(1, 2);
        for (sources, length) in [(1, 1), (300, 400), (900, 1000), (1000, 1000), (10, 2000)] {
            let from: Vec<f64> = (0..sources).map(|_| f64::from(random.uniform()) / sources as f64).collect();
            let (a, b) = (law.added(&from, length), table.added(&from, length));
            assert!((a.1 - b.1).abs() <= 1e-12 * b.1.max(1e-3), "{} {}", a.1, b.1);
            assert!(a.0.iter().zip(&b.0).all(|(x, y)| (x - y).abs() < 1e-14));
            let total: f64 = a.0.iter().sum::<f64>() + a.1;
            assert!((total - from.iter().sum::<f64>()).abs() < 1e-12);
        }
        assert!((table.grouped(7).reaches(3) - table.reaches(21)).abs() < 1e-14);
        assert!((law.grouped(7).reaches(3) - law.reaches(21)).abs() < 1e-15);
    }

    #[test]
    fn draws_follow_the_law() {
        let law = Law::anomalous(6.0, Surprise::from_bits(20));
        let mut random = Random::new(3, 4);
        let drawn: Vec<Surprise> = (0..200_000).map(|_| law.draw(&mut random)).collect();
        for level in [300, 1500, 4000, 5120] {
            let share = drawn.iter().filter(|s| usize::from(s.raw()) >= level).count() as f64 / 2e5;
            let expected = law.reaches(level);
            assert!((share - expected).abs() < 4.0 * (expected / 2e5).sqrt(), "{level}: {share} {expected}");
        }
        assert_eq!(law.reaches(5121), 0.0);
        let again = Law::of(&drawn).expect("drawn");
        assert!((again.reaches(1500) - law.reaches(1500)).abs() < 0.01);
    }
}
