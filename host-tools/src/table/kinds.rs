//! What kind of numbers each column holds, as far as its rows tell.

use std::collections::BTreeSet;
use std::fmt;

use serde_json::{json, Value};

use super::Table;

/// Columns with so many different values at most are said to be discrete, if each comes four times on average.
const MOST_VALUES: usize = 16;

/// Kurtosis beyond which tails are said to be heavy: a normal has 3, a Laplace 6, a Student-t of 5 degrees of freedom 9.
const HEAVY: f64 = 10.0;

/// What kind of numbers a column holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// One value.
    Constant,
    /// Few values that come again and again.
    Discrete {
        /// How many.
        values: usize,
    },
    /// More values, all of them whole.
    Whole,
    /// Any numbers, some of them very far out.
    HeavyTailed {
        /// The fourth central moment over the squared variance.
        kurtosis: f64,
    },
    /// Any numbers.
    Continuous,
}

impl Kind {
    /// The kind of a column's values.
    ///
    /// ```
    /// use flowlet_tools::table::Kind;
    /// assert_eq!(Kind::of((0..100).map(|i| (i % 3) as f32)), Kind::Discrete { values: 3 });
    /// ```
    pub fn of(values: impl Iterator<Item = f32> + Clone) -> Self {
        let (mut distinct, mut all_whole) = (BTreeSet::new(), true);
        let (mut count, mut sum) = (0usize, 0.0);
        for value in values.clone() {
            // Adding zero makes the two zeros one.
            if distinct.len() <= MOST_VALUES {
                distinct.insert((value + 0.0).to_bits());
            }
            all_whole &= value.fract() == 0.0;
            count += 1;
            sum += f64::from(value);
        }
        if distinct.len() <= 1 {
            return Self::Constant;
        }
        if distinct.len() <= MOST_VALUES && count >= 4 * distinct.len() {
            return Self::Discrete { values: distinct.len() };
        }
        let mean = sum / count as f64;
        let [second, fourth] = [2, 4].map(|power| {
            values.clone().map(|value| (f64::from(value) - mean).powi(power)).sum::<f64>() / count as f64
        });
        let kurtosis = fourth / (second * second);
        if kurtosis > HEAVY {
            Self::HeavyTailed { kurtosis }
        } else if all_whole {
            Self::Whole
        } else {
            Self::Continuous
        }
    }

    /// For programs.
    #[must_use]
    pub fn json(&self) -> Value {
        match self {
            Self::Constant => json!({ "kind": "constant" }),
            Self::Discrete { values } => json!({ "kind": "discrete", "values": values }),
            Self::Whole => json!({ "kind": "whole" }),
            Self::HeavyTailed { kurtosis } => json!({ "kind": "heavy-tailed", "kurtosis": kurtosis }),
            Self::Continuous => json!({ "kind": "continuous" }),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Constant => f.write_str("constant"),
            Self::Discrete { values } => write!(f, "{values} values"),
            Self::Whole => f.write_str("whole numbers"),
            Self::HeavyTailed { kurtosis } => write!(f, "heavy tails, kurtosis {kurtosis:.0}"),
            Self::Continuous => f.write_str("continuous"),
        }
    }
}

impl Table {
    /// The kind of each column, by the rows that are not labelled anomalous. Cost: three passes over the table.
    #[must_use]
    pub fn kinds(&self) -> Vec<Kind> {
        let is_normal = |row: &usize| self.labels.as_ref().is_none_or(|labels| !labels[*row]);
        let column = |column: usize| (0..self.rows).filter(is_normal).map(move |row| self.row(row)[column]);
        (0..self.columns.len()).map(|index| Kind::of(column(index))).collect()
    }

    /// The columns' kinds in a line of words: the usual kind as a count, the first of the others by name.
    #[must_use]
    pub fn kinds_in_words(&self) -> String {
        const NAMED: usize = 6;
        let kinds = self.kinds();
        let continuous = kinds.iter().filter(|kind| **kind == Kind::Continuous).count();
        let others = kinds.iter().zip(&self.columns).filter(|(kind, _)| **kind != Kind::Continuous);
        let mut others: Vec<String> = others.map(|(kind, name)| format!("{name} ({kind})")).collect();
        let unnamed = others.len().saturating_sub(NAMED);
        others.truncate(NAMED);
        let first = (continuous > 0).then(|| format!("{continuous} continuous"));
        let told = first.into_iter().chain(others).collect::<Vec<_>>().join(", ");
        if unnamed > 0 {
            format!("{told} and {unnamed} others")
        } else {
            told
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_told_apart() {
        let cycle = |count: usize, of: fn(usize) -> f32| Kind::of((0..count).map(of));
        assert_eq!(cycle(50, |_| 2.5), Kind::Constant);
        assert_eq!(cycle(50, |i| if i % 2 == 0 { 0.0 } else { -0.0 }), Kind::Constant);
        assert_eq!(cycle(50, |i| (i % 5) as f32 * 0.1), Kind::Discrete { values: 5 });
        // Twelve values, but seen once each: no sign that there are no others.
        assert_eq!(cycle(12, |i| (i * i) as f32 * 0.1), Kind::Continuous);
        assert_eq!(cycle(400, |i| (i * 7 % 101) as f32), Kind::Whole);
        assert_eq!(cycle(400, |i| (i * 7 % 101) as f32 * 0.3), Kind::Continuous);
        // One in 400 at 1, the rest evenly about 0 with a variance of 1e-4 / 12: by hand, some 400.
        let far = cycle(400, |i| if i == 0 { 1.0 } else { i as f32 * 2.5e-5 - 0.005 });
        let Kind::HeavyTailed { kurtosis } = far else { panic!("{far:?}") };
        assert!((390.0..400.0).contains(&kurtosis), "{kurtosis}");
    }
}
