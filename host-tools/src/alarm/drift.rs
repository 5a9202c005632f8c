//! Limits of the device's drift test for an allowed rate of false reports, and the rate of given limits.
//!
//! Mean and square of a channel are averages with the weight `2^-shift` of a standard normal's values: their run lengths, from
//! the training's moments to the first value beyond a limit, follow from Markov chains on a lattice (Brook and Evans 1972),
//! whose equations are banded and solved directly. Of the variance's `square - mean^2` the second part is taken for its mean.
//!
//! Readings that are not normal, channel by channel, keep to the limit of the mean nearly (it is a mean of many), and to those
//! of the variance the less the heavier their tails are.

use crate::training::normal;
use anyhow::bail;
use flowlet::stream::DriftSettings;

/// Units of a limit.
const ONE: f64 = 16_777_216.0;
/// A place of the lattice has this share of what one standard deviation of a value moves the average by.
const PLACE: f64 = 0.125;
/// Fewest places of a lattice.
const FEWEST_PLACES: f64 = 400.0;
/// The test takes values no farther out.
const CLIP: f64 = 8.0;
/// Longest run length that is computed: beyond it digits are lost.
const LONGEST: f64 = 1e12;
/// Shares of the allowed rate: of the mean, the smallest and the largest variance.
const SHARES: [f64; 3] = [0.5, 0.25, 0.25];

/// A quantity that is averaged.
#[derive(Clone, Copy)]
enum Quantity {
    Value,
    Square,
}

impl Quantity {
    /// Probability of a value below `x`.
    fn below(self, x: f64) -> f64 {
        match self {
            Self::Value => normal::probability(x),
            Self::Square => libm::erf((x.max(0.0) / 2.0).sqrt()),
        }
    }

    /// All that it can be.
    fn range(self) -> [f64; 2] {
        match self {
            Self::Value => [-CLIP, CLIP],
            Self::Square => [0.0, CLIP * CLIP],
        }
    }
}

/// An average with a limit.
#[derive(Clone, Copy)]
struct Average {
    quantity: Quantity,
    weight: f64,
    range: [f64; 2],
    /// Whether the ends of the range are limits; elsewhere the average is put back.
    limits: [bool; 2],
    start: f64,
}

impl Average {
    fn mean(weight: f64, limit: f64) -> Self {
        Self { quantity: Quantity::Value, weight, range: [-limit, limit], limits: [true; 2], start: 0.0 }
    }

    fn least(weight: f64, limit: f64) -> Self {
        let top = 1.0 + 12.0 * weight.sqrt();
        Self { quantity: Quantity::Square, weight, range: [limit, top], limits: [true, false], start: 1.0 }
    }

    fn most(weight: f64, limit: f64) -> Self {
        let bottom = (1.0 - 8.0 * weight.sqrt()).max(0.0);
        Self { quantity: Quantity::Square, weight, range: [bottom, limit], limits: [false, true], start: 1.0 }
    }

    /// Mean number of values to the first average beyond a limit; infinite from [`LONGEST`] on.
    fn run_length(&self) -> f64 {
        let Self { quantity, weight, range: [low, high], limits, start } = *self;
        let places = ((high - low) / (PLACE * weight)).max(FEWEST_PLACES).ceil() as usize;
        let width = (high - low) / places as f64;
        let middle = |place: usize| low + (place as f64 + 0.5) * width;
        let [least, most] = quantity.range();
        // The farthest that one value moves the average, in places.
        let down = (weight * (high - least) / width).ceil() as usize + 1;
        let up = (weight * (most - low) / width).ceil() as usize + 1;
        let mut system = Banded::new(places, down, up);
        for place in 0..places {
            let kept = (1.0 - weight) * middle(place);
            let (from, to) = (place.saturating_sub(down), (place + up + 1).min(places));
            let below = |edge: usize| match edge {
                0 if !limits[0] => 0.0,
                edge if edge == places && !limits[1] => 1.0,
                edge => quantity.below((low + edge as f64 * width - kept) / weight),
            };
            let mut before = below(from);
            for next in from..to {
                let until = below(next + 1);
                system.add(place, next, before - until);
                before = until;
            }
            system.add(place, place, 1.0);
        }
        let lengths = system.solve(vec![1.0; places]);
        let at = (((start - low) / width) as usize).min(places - 1);
        if lengths[at] > 0.0 && lengths[at] < LONGEST {
            lengths[at]
        } else {
            f64::INFINITY
        }
    }
}

/// A system of linear equations near whose diagonal all numbers are; eliminated without pivots, as those of a Markov chain that
/// ends can be.
struct Banded {
    rows: Vec<f64>,
    size: usize,
    down: usize,
    up: usize,
}

impl Banded {
    fn new(size: usize, down: usize, up: usize) -> Self {
        Self { rows: vec![0.0; size * (down + up + 1)], size, down, up }
    }

    fn at(&self, row: usize, column: usize) -> usize {
        row * (self.down + self.up + 1) + column + self.down - row
    }

    fn add(&mut self, row: usize, column: usize, number: f64) {
        let at = self.at(row, column);
        self.rows[at] += number;
    }

    fn solve(mut self, mut right: Vec<f64>) -> Vec<f64> {
        for pivot in 0..self.size {
            let end = (pivot + self.up + 1).min(self.size);
            for row in pivot + 1..(pivot + self.down + 1).min(self.size) {
                let (from, to) = (self.at(pivot, pivot), self.at(row, pivot));
                let factor = self.rows[to] / self.rows[from];
                if factor != 0.0 {
                    for offset in 0..end - pivot {
                        self.rows[to + offset] -= factor * self.rows[from + offset];
                    }
                    right[row] -= factor * right[pivot];
                }
            }
        }
        for row in (0..self.size).rev() {
            let end = (row + self.up + 1).min(self.size);
            let known: f64 =
                (row + 1..end).map(|column| self.rows[self.at(row, column)] * right[column]).sum();
            right[row] = (right[row] - known) / self.rows[self.at(row, row)];
        }
        right
    }
}

/// What squares exceed variances by, on average.
fn of_the_mean(weight: f64) -> f64 {
    weight / (2.0 - weight)
}

fn weight(settings: &DriftSettings) -> f64 {
    (-f64::from(settings.shift)).exp2()
}

/// Rate of false reports per reading of normal, independent channels with these settings.
#[must_use]
pub fn drift_rate(settings: &DriftSettings, channels: usize) -> f64 {
    let weight = weight(settings);
    let more = of_the_mean(weight);
    let limit = |units: u32| f64::from(units) / ONE;
    let averages = [
        Average::mean(weight, limit(settings.mean_limit).max(f64::MIN_POSITIVE)),
        Average::least(weight, limit(settings.least_variance) + more),
        Average::most(weight, limit(settings.most_variance) + more),
    ];
    let rate: f64 = averages.iter().filter(|a| a.range[0] < 1.0 && a.range[1] > 0.0).map(rate_of).sum();
    channels as f64 * rate / f64::from(settings.every)
}

fn rate_of(average: &Average) -> f64 {
    let inside = average.range[0] < average.start && average.start < average.range[1];
    // What is beyond its limit from the start is reported at once.
    if inside {
        1.0 / average.run_length()
    } else {
        1.0
    }
}

/// Limits that independent, normal readings leave no more often than `rate` per reading, all channels together; half of that
/// falls to the mean, a quarter to each limit of the variance. A smallest variance of 0 is one that no limit is needed for.
///
/// # Errors
/// A rate that is too high or too low for any limits, no channels, `shift` or `every` out of their ranges.
pub fn drift_limits(rate: f64, channels: usize, shift: u8, every: u16) -> anyhow::Result<DriftSettings> {
    let mut settings =
        DriftSettings { shift, every, mean_limit: 0, least_variance: 0, most_variance: u32::MAX };
    settings.check()?;
    if channels == 0 {
        bail!("no channels, no drift");
    }
    let weight = weight(&settings);
    let [of_mean, of_least, of_most] =
        SHARES.map(|share| channels as f64 / (rate * f64::from(every) * share));
    let longest = of_mean.max(of_least).max(of_most);
    if longest.is_nan() || longest >= LONGEST / 10.0 {
        bail!("a drift test cannot be as silent as that: a channel would report once in {longest:.1e} readings at most");
    }
    // The first report from the start takes some readings of the average's memory, or it means nothing.
    if of_mean * weight < 4.0 {
        bail!(
            "more than one false report in {:.0} readings means no drift: allow fewer, or take a smaller shift",
            4.0 * channels as f64 / weight / SHARES[0]
        );
    }
    let deviation = of_the_mean(weight).sqrt();
    let mean = search([deviation, 20.0 * deviation], |x| Average::mean(weight, x).run_length() >= of_mean);
    let most = search([1.0 + deviation, 2.0 + 60.0 * deviation], |x| {
        Average::most(weight, x).run_length() >= of_most
    });
    let least = search([deviation, 0.999], |x| Average::least(weight, 1.0 - x).run_length() >= of_least);
    let units = |limit: f64| (limit.max(0.0) * ONE).round() as u32;
    settings.mean_limit = units(mean);
    settings.most_variance = units(most - of_the_mean(weight));
    settings.least_variance = units(1.0 - least - of_the_mean(weight));
    Ok(settings)
}

/// The smallest number between these two that is enough, to 2^-22 of their distance; the larger if none is.
fn search([mut low, mut high]: [f64; 2], is_enough: impl Fn(f64) -> bool) -> f64 {
    for _ in 0..22 {
        let middle = 0.5 * (low + high);
        if is_enough(middle) {
            high = middle;
        } else {
            low = middle;
        }
    }
    high
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alarm::tests::close;
    use crate::training::Random;
    use flowlet::stream::{Channel, Drift, DriftNews};

    #[test]
    fn run_lengths_are_those_of_the_integral_equation() {
        let text = include_str!("../../../tests/golden/drift.json");
        let golden: serde_json::Value = serde_json::from_str(text).expect("JSON");
        type OfLimit = fn(f64, f64) -> Average;
        let of: [(&str, OfLimit); 3] =
            [("mean", Average::mean), ("least", Average::least), ("most", Average::most)];
        for (name, average) in of {
            for case in golden[name].as_array().expect("cases") {
                let [shift, limit, expected] = [0, 1, 2].map(|i| case[i].as_f64().expect("a number"));
                let found = average((-shift).exp2(), limit).run_length();
                println!("{name} {shift} {limit:.4}: {found:.1} for {expected:.1}");
                close(found, expected, 0.03);
            }
        }
    }

    /// Lucas and Saccucci 1990, table 1: limits of the EWMA chart whose run length in control is 500.
    #[test]
    fn run_lengths_are_the_published_ones() {
        for (weight, c) in [(0.05, 2.615), (0.1, 2.814), (0.25, 2.998)] {
            let limit = c * f64::sqrt(weight / (2.0 - weight));
            close(Average::mean(weight, limit).run_length(), 500.0, 0.02);
        }
    }

    /// The device's own test on independent normal channels, for limits that were chosen for a rate.
    #[test]
    fn the_device_reports_as_often_as_the_limits_were_chosen_for() {
        for (shift, every, channels, rate) in [(5, 1, 3, 1e-3), (6, 2, 4, 3e-4), (8, 1, 2, 1e-4)] {
            let settings = drift_limits(rate, channels, shift, every).expect("limits");
            close(drift_rate(&settings, channels), rate, 0.01);
            let mut state = vec![Channel::START; channels];
            let mut drift = Drift::new(settings, &mut state).expect("sound");
            let mut random = Random::new(7, u64::from(shift));
            let mut row = vec![0; channels];
            let (mut reports, readings) = (0, (1000.0 / rate) as usize);
            for _ in 0..readings {
                row.iter_mut().for_each(|z| *z = (random.normal() * 65_536.0).round() as i32);
                reports += usize::from(matches!(drift.notice(&row), Some(DriftNews::Came(_))));
            }
            println!("shift {shift}: {reports} reports, {:.0} allowed", rate * readings as f64);
            let ratio = reports as f64 / (rate * readings as f64);
            assert!((1.0 / FACTOR..FACTOR).contains(&ratio), "shift {shift}: {ratio}");
        }
    }

    /// What docs/alarms.md states.
    const FACTOR: f64 = 1.15;

    #[test]
    fn rare_reports_need_wide_limits_and_nonsense_is_refused() {
        let mut before = drift_limits(1e-4, 9, 8, 1).expect("limits");
        for rate in [1e-6, 1e-8] {
            let now = drift_limits(rate, 9, 8, 1).expect("limits");
            assert!(now.mean_limit > before.mean_limit && now.most_variance > before.most_variance);
            assert!(now.least_variance < before.least_variance);
            before = now;
        }
        for (rate, channels, shift, every) in [
            (0.5, 3, 8, 1),
            (1e-15, 3, 8, 1),
            (0.0, 3, 8, 1),
            (1e-5, 0, 8, 1),
            (1e-5, 3, 3, 1),
            (1e-5, 3, 8, 0),
        ] {
            assert!(drift_limits(rate, channels, shift, every).is_err());
        }
    }
}
