//! The detectors of an alarm as Markov chains: what they have heard, without an alarm so far.

use super::law::Law;
use anyhow::bail;
use flowlet::stream::{Cusum, Ewma, Surprise, Votes};
use std::collections::HashMap;

/// Most states of a chain of votes.
const MOST_STATES: f64 = 1_048_576.0;
/// Places of an average, about: its error falls with their square.
const PLACES: f64 = 8192.0;

/// A detector that has not alarmed yet.
pub trait Chain {
    /// Distribution of its state before the first reading.
    fn start(&self) -> Vec<f64>;
    /// A law as its steps take it.
    fn prepared(&self, law: &Law) -> Law {
        law.clone()
    }
    /// The distribution after a reading of a prepared law, and the probability of an alarm by it.
    fn step(&self, from: &[f64], law: &Law) -> (Vec<f64>, f64);
}

/// Votes: a state is which of the last `of - 1` readings voted, fewer than `needed`.
#[derive(Debug)]
pub struct VotesChain {
    votes: Votes,
    /// State after no vote, and after one (`None`: alarm).
    next: Vec<(usize, Option<usize>)>,
}

impl VotesChain {
    /// All states that can be reached.
    ///
    /// # Errors
    /// More than a million of them, where most of many readings must vote.
    pub fn new(votes: Votes) -> anyhow::Result<Self> {
        let (needed, of) = (u32::from(votes.needed), u32::from(votes.of));
        let states: f64 = (0..needed).map(|votes| choose(of - 1, votes)).sum();
        if states > MOST_STATES {
            bail!(
                "{needed} votes of {of} have {states:.0} states, more than the {MOST_STATES:.0} that are computed exactly: \
                 take fewer readings, or an average (--ewma) or a sum (--cusum) instead"
            );
        }
        let window = ((1u64 << (of - 1)) - 1) as u32;
        let (mut index, mut masks, mut next) = (HashMap::from([(0, 0)]), vec![0u32], Vec::new());
        while next.len() < masks.len() {
            let mask = masks[next.len()];
            let mut number = |mask: u32| {
                *index.entry(mask).or_insert_with(|| {
                    masks.push(mask);
                    masks.len() - 1
                })
            };
            let quiet = number(mask << 1 & window);
            let vote = (mask.count_ones() + 1 < needed).then(|| number((mask << 1 | 1) & window));
            next.push((quiet, vote));
        }
        Ok(Self { votes, next })
    }

    /// The same chain with another level.
    #[must_use]
    pub fn with_level(mut self, level: Surprise) -> Self {
        self.votes.level = level;
        self
    }
}

impl Chain for VotesChain {
    fn start(&self) -> Vec<f64> {
        let mut start = vec![0.0; self.next.len()];
        start[0] = 1.0;
        start
    }

    fn step(&self, from: &[f64], law: &Law) -> (Vec<f64>, f64) {
        let p = law.reaches(self.votes.level.raw().into());
        let (mut to, mut alarm) = (vec![0.0; from.len()], 0.0);
        for (&mass, &(quiet, vote)) in from.iter().zip(&self.next) {
            to[quiet] += mass * (1.0 - p);
            match vote {
                Some(vote) => to[vote] += mass * p,
                None => alarm += mass * p,
            }
        }
        (to, alarm)
    }
}

/// Binomial coefficient.
fn choose(n: u32, k: u32) -> f64 {
    (0..k).map(|i| f64::from(n - i.min(n)) / f64::from(i + 1)).product()
}

/// The sum, exactly: a state is its value in units of a surprise.
#[derive(Clone, Copy, Debug)]
pub struct CusumChain(pub Cusum);

impl Chain for CusumChain {
    fn start(&self) -> Vec<f64> {
        let mut start = vec![0.0; self.0.limit as usize];
        start[0] = 1.0;
        start
    }

    fn step(&self, from: &[f64], law: &Law) -> (Vec<f64>, f64) {
        let reference = usize::from(self.0.reference.raw());
        let (mut to, alarm) = law.added(from, from.len() + reference);
        let zero: f64 = to[..=reference].iter().sum();
        to.drain(..reference);
        to[0] = zero;
        (to, alarm)
    }
}

/// The average, on a lattice (Brook and Evans 1972): a place is `weight` times some units of a surprise, so that a new reading
/// moves it by whole places, and only what remains of the old average is divided between two of them.
#[derive(Clone, Copy, Debug)]
pub struct EwmaChain {
    weight: f64,
    level: f64,
    /// Units of a surprise in a place, by the weight.
    group: usize,
    places: usize,
}

impl EwmaChain {
    /// With some 8000 places.
    #[must_use]
    pub fn new(ewma: Ewma) -> Self {
        Self::with_places(ewma, PLACES)
    }

    /// With about so many places.
    #[must_use]
    pub fn with_places(ewma: Ewma, places: f64) -> Self {
        let weight = f64::from(ewma.weight) / 65536.0;
        let level = f64::from(ewma.level.raw());
        let group = (level / weight / places).ceil().max(1.0);
        let places = (level / (weight * group)).ceil() as usize + 1;
        Self { weight, level, group: group as usize, places }
    }

    fn place(&self) -> f64 {
        self.weight * self.group as f64
    }

    /// Puts mass at a value: between the two nearest places. The level is half a place above the last.
    fn put(&self, to: &mut [f64], value: f64, mass: f64) {
        let first = self.level - (self.places as f64 - 0.5) * self.place();
        let position = ((value - first) / self.place()).clamp(0.0, (self.places - 1) as f64);
        let (place, part) = (position as usize, position.fract());
        to[place] += mass * (1.0 - part);
        if let Some(next) = to.get_mut(place + 1) {
            *next += mass * part;
        }
    }
}

impl Chain for EwmaChain {
    fn start(&self) -> Vec<f64> {
        let mut start = vec![0.0; self.places];
        self.put(&mut start, Surprise::MEAN.raw().into(), 1.0);
        start
    }

    fn prepared(&self, law: &Law) -> Law {
        law.grouped(self.group)
    }

    fn step(&self, from: &[f64], law: &Law) -> (Vec<f64>, f64) {
        let first = self.level - (self.places as f64 - 0.5) * self.place();
        // What grouping took off a surprise, on average.
        let lost = self.weight * (self.group as f64 - 1.0) / 2.0;
        let mut kept = vec![0.0; from.len()];
        for (place, &mass) in from.iter().enumerate() {
            let value = first + place as f64 * self.place();
            self.put(&mut kept, (1.0 - self.weight) * value + lost, mass);
        }
        law.added(&kept, from.len())
    }
}
