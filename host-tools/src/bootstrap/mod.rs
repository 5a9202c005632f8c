//! How far figures of quality can be trusted: the bootstrap (Efron and Tibshirani 1993, "An introduction to the
//! bootstrap"), stratified by label, so that every replicate has as many normal and anomalous rows as the table.
//!
//! Rows in time order are not independent, and drawing them one by one would promise too much: they are drawn in
//! circular blocks (Politis and Romano 1992), of a length chosen from the scores' own correlation (see [`block`]).
//! Intervals are percentiles of the replicates. Seeded, and the same for any number of threads.

pub mod block;
#[cfg(test)]
mod tests;

use crate::training::Random;
use rayon::prelude::*;

/// Share of replicates inside an interval.
pub const LEVEL: f64 = 0.95;

/// Rows that were judged. Slices of the same length.
#[derive(Clone, Copy, Debug)]
pub struct Judged<'a> {
    /// Whether each row is anomalous.
    pub labels: &'a [bool],
    /// Its statistic; larger is more anomalous.
    pub scores: &'a [f64],
    /// Whether it raised the alarm.
    pub alarms: &'a [bool],
}

/// How rows are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blocks {
    /// One by one: rows are independent.
    Single,
    /// In runs as long as their correlation asks for, for normal and anomalous rows apart.
    Automatic,
    /// In runs of so many rows.
    Of(usize),
}

/// How the bootstrap is done.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Number of replicates; some 1,000 for a 95 % interval.
    pub replicates: usize,
    /// Seed of the draws.
    pub seed: u64,
    /// How rows are drawn.
    pub blocks: Blocks,
}

/// Where 95 % of the replicates lie.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// Intervals of the figures that `flowlet eval` gives; `None` where the figure itself is undefined.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Intervals {
    /// Replicates drawn.
    pub replicates: usize,
    /// Length of the blocks of normal and of anomalous rows.
    pub block_rows: [usize; 2],
    /// Area under the ROC curve.
    pub auroc: Option<Interval>,
    /// Average precision, at the table's own share of anomalies.
    pub average_precision: Option<Interval>,
    /// Share of normal rows that alarm.
    pub false_alarm_rate: Option<Interval>,
    /// Share of anomalous rows that alarm.
    pub detection_rate: Option<Interval>,
}

/// Two images on the same rows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Difference {
    /// AUROC of the first less that of the second.
    pub auroc: f64,
    /// Where 95 % of the replicates' differences lie.
    pub interval: Interval,
    /// Two-sided: twice the smaller share of replicates on one side of zero, at least 1 in the number of replicates.
    pub p_value: f64,
}

/// Intervals of the quality of one image; `done` hears of every replicate.
///
/// Cost: a few nanoseconds per row and replicate.
///
/// # Panics
/// If the slices differ in length.
#[must_use]
pub fn intervals(judged: &Judged<'_>, plan: &Plan, done: impl Fn() + Sync) -> Intervals {
    assert_eq!(judged.alarms.len(), judged.scores.len(), "one alarm per score");
    let ranking = Ranking::new(judged.labels, judged.scores);
    let strata = Strata::new(judged.labels, judged.scores, plan.blocks);
    let alarms: Vec<bool> = ranking.order.iter().map(|&row| judged.alarms[row as usize]).collect();
    let count = |anomalous: bool| strata.rows[usize::from(anomalous)].len() as f64;
    let replicate = |number: usize, weights: &mut Vec<u32>| {
        strata.draw(plan.seed, number, weights);
        let mut alarmed = [0.0_f64; 2];
        for ((&row, &alarm), &anomalous) in ranking.order.iter().zip(&alarms).zip(&ranking.anomalous) {
            alarmed[usize::from(anomalous)] += f64::from(weights[row as usize] * u32::from(alarm));
        }
        let (auroc, average_precision) = ranking.areas(weights);
        done();
        [auroc, average_precision, alarmed[0] / count(false), alarmed[1] / count(true)]
    };
    let found: Vec<[f64; 4]> = (0..plan.replicates)
        .into_par_iter()
        .map_init(Vec::new, |weights, number| replicate(number, weights))
        .collect();
    let of = |figure: usize| percentiles(found.iter().map(|f| f[figure]).collect());
    let rate = |figure: usize, class: bool| {
        let rows = &strata.rows[usize::from(class)];
        let alarmed = rows.iter().filter(|&&row| judged.alarms[row as usize]).count();
        let independent = rows.len() as f64 / strata.block_rows[usize::from(class)] as f64;
        of(figure).map(|interval| at_the_edge(interval, alarmed, rows.len(), independent))
    };
    Intervals {
        replicates: plan.replicates,
        block_rows: strata.block_rows,
        auroc: of(0),
        average_precision: of(1),
        false_alarm_rate: rate(2, false),
        detection_rate: rate(3, true),
    }
}

/// Compares two images' scores of the same rows, both judged on the same replicates; `None` without both kinds of
/// rows or without replicates.
///
/// # Panics
/// If the slices differ in length.
#[must_use]
pub fn compare(labels: &[bool], first: &[f64], second: &[f64], plan: &Plan) -> Option<Difference> {
    let rankings = [Ranking::new(labels, first), Ranking::new(labels, second)];
    let ones = vec![1; labels.len()];
    let auroc = rankings[0].areas(&ones).0 - rankings[1].areas(&ones).0;
    let strata = Strata::new(labels, first, plan.blocks);
    let differences: Vec<f64> = (0..plan.replicates)
        .into_par_iter()
        .map_init(Vec::new, |weights, number| {
            strata.draw(plan.seed, number, weights);
            rankings[0].areas(weights).0 - rankings[1].areas(weights).0
        })
        .collect();
    let share = |is: fn(f64) -> bool| {
        differences.iter().filter(|&&d| is(d)).count() as f64 / plan.replicates.max(1) as f64
    };
    let p_value = 2.0 * share(|d| d <= 0.0).min(share(|d| d >= 0.0));
    let p_value = p_value.clamp(1.0 / plan.replicates.max(1) as f64, 1.0);
    percentiles(differences).map(|interval| Difference { auroc, interval, p_value })
}

/// Rows from the highest score to the lowest, in groups of equal scores.
struct Ranking {
    order: Vec<u32>,
    anomalous: Vec<bool>,
    /// Whether the next row in order scores less.
    ends: Vec<bool>,
}

impl Ranking {
    fn new(labels: &[bool], scores: &[f64]) -> Self {
        assert_eq!(labels.len(), scores.len(), "one label per score");
        assert!(u32::try_from(labels.len()).is_ok(), "at most 2^32 rows");
        // As `metrics` ranks: -0.0 and 0.0 are one score, a NaN is above all.
        let key = |row: u32| {
            let score = scores[row as usize];
            if score.is_nan() {
                f64::NAN.abs()
            } else {
                score + 0.0
            }
        };
        let mut order: Vec<u32> = (0..labels.len() as u32).collect();
        order.sort_by(|&a, &b| key(b).total_cmp(&key(a)));
        let anomalous = order.iter().map(|&row| labels[row as usize]).collect();
        let ends = (0..order.len())
            .map(|at| order.get(at + 1).is_none_or(|&next| key(next).to_bits() != key(order[at]).to_bits()))
            .collect();
        Self { order, anomalous, ends }
    }

    /// AUROC and average precision when every row counts as often as its weight says; NaN where undefined.
    fn areas(&self, weights: &[u32]) -> (f64, f64) {
        let (mut hits, mut misses) = (0_u64, 0_u64);
        let (mut found, mut taken) = (0_u64, 0_u64);
        let (mut twice_lost, mut precision) = (0.0, 0.0);
        for ((&row, &anomalous), &end) in self.order.iter().zip(&self.anomalous).zip(&self.ends) {
            let weight = u64::from(weights[row as usize]);
            if anomalous {
                hits += weight;
            } else {
                misses += weight;
            }
            if end && hits + misses > 0 {
                // Pairs lost to the normal rows above; what is won follows from them.
                twice_lost += hits as f64 * (2.0 * (taken - found) as f64 + misses as f64);
                found += hits;
                taken += hits + misses;
                precision += hits as f64 * (found as f64 / taken as f64);
                (hits, misses) = (0, 0);
            }
        }
        let (positives, negatives) = (found as f64, (taken - found) as f64);
        let lost = twice_lost / (2.0 * positives * negatives);
        (1.0 - lost, precision / positives)
    }
}

/// Normal rows and anomalous rows, drawn from apart.
struct Strata {
    rows: [Vec<u32>; 2],
    block_rows: [usize; 2],
}

impl Strata {
    fn new(labels: &[bool], scores: &[f64], blocks: Blocks) -> Self {
        let rows = [false, true].map(|class| {
            (0..labels.len() as u32).filter(|&row| labels[row as usize] == class).collect::<Vec<_>>()
        });
        let block_rows = [0, 1].map(|class| {
            let rows: &Vec<u32> = &rows[class];
            let length = match blocks {
                Blocks::Single => 1,
                Blocks::Of(length) => length,
                Blocks::Automatic => {
                    let scores: Vec<f64> = rows.iter().map(|&row| scores[row as usize]).collect();
                    block::length(&block::ranks(&scores))
                }
            };
            length.clamp(1, rows.len().max(1))
        });
        Self { rows, block_rows }
    }

    /// How often each row counts in a replicate.
    fn draw(&self, seed: u64, replicate: usize, weights: &mut Vec<u32>) {
        let mut random = Random::new(seed, replicate as u64);
        weights.clear();
        weights.resize(self.rows[0].len() + self.rows[1].len(), 0);
        for (rows, &block) in self.rows.iter().zip(&self.block_rows) {
            let mut left = rows.len();
            while left > 0 {
                let start = random.below(rows.len());
                for step in 0..block.min(left) {
                    weights[rows[(start + step) % rows.len()] as usize] += 1;
                }
                left -= block.min(left);
            }
        }
    }
}

/// The middle 95 % of the replicates, by linear interpolation between order statistics; `None` if any is undefined.
fn percentiles(mut values: Vec<f64>) -> Option<Interval> {
    if values.is_empty() || values.iter().any(|v| v.is_nan()) {
        return None;
    }
    values.sort_by(f64::total_cmp);
    let at = |share: f64| {
        let place = share * (values.len() - 1) as f64;
        let (below, above) = (values[place.floor() as usize], values[place.ceil() as usize]);
        below + (above - below) * place.fract()
    };
    let outside = (1.0 - LEVEL) / 2.0;
    Some(Interval { low: at(outside), high: at(1.0 - outside) })
}

/// Where none or all of the rows alarm, replicates do too, and say nothing of how rare the other case is: there the
/// exact one-sided bound counts (Clopper and Pearson 1934).
fn at_the_edge(interval: Interval, alarmed: usize, rows: usize, independent: f64) -> Interval {
    let outside = 1.0 - (1.0 - LEVEL).powf(1.0 / independent.max(1.0));
    match alarmed {
        0 => Interval { low: 0.0, high: outside },
        all if all == rows => Interval { low: 1.0 - outside, high: 1.0 },
        _ => interval,
    }
}
