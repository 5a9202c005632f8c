//! Time series with labelled stretches: how soon after its start was each one noticed?

use std::ops::Range;

/// A run of anomalous rows, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Its rows.
    pub rows: Range<usize>,
    /// Rows from its first one to the first alarm within it; `None` if it was missed.
    pub delay: Option<usize>,
}

/// All segments in short.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Delays {
    /// Segments with an alarm in them.
    pub detected: usize,
    /// Segments without one.
    pub missed: usize,
    /// Median delay in rows of those detected.
    pub median: Option<f64>,
    /// Longest delay in rows of those detected.
    pub worst: Option<usize>,
}

/// The contiguous runs of anomalous rows. A run ends where another series `starts` (ascending row indices).
///
/// ```
/// use flowlet_tools::segments::segments;
/// let labels = [false, true, true, true, false, true];
/// let alarms = [false, false, false, true, true, false];
/// let found = segments(&labels, &alarms, &[0]);
/// assert_eq!((found[0].rows.clone(), found[0].delay), (1..4, Some(2)));
/// assert_eq!((found[1].rows.clone(), found[1].delay), (5..6, None));
/// ```
///
/// # Panics
/// If the slices differ in length.
#[must_use]
pub fn segments(labels: &[bool], alarms: &[bool], starts: &[usize]) -> Vec<Segment> {
    assert_eq!(labels.len(), alarms.len(), "one alarm per row");
    let mut found: Vec<Segment> = Vec::new();
    for (row, &anomalous) in labels.iter().enumerate() {
        if !anomalous {
            continue;
        }
        let goes_on = |last: &&mut Segment| last.rows.end == row && starts.binary_search(&row).is_err();
        match found.last_mut().filter(goes_on) {
            Some(last) => last.rows.end += 1,
            None => found.push(Segment { rows: row..row + 1, delay: None }),
        }
        if let Some(last) = found.last_mut().filter(|last| alarms[row] && last.delay.is_none()) {
            last.delay = Some(row - last.rows.start);
        }
    }
    found
}

impl Delays {
    /// Sums segments up.
    #[must_use]
    pub fn of(segments: &[Segment]) -> Self {
        let mut delays: Vec<usize> = segments.iter().filter_map(|s| s.delay).collect();
        delays.sort_unstable();
        let half = delays.len() / 2;
        let median = match delays.len() {
            0 => None,
            n if n % 2 == 1 => Some(delays[half] as f64),
            _ => Some((delays[half - 1] + delays[half]) as f64 / 2.0),
        };
        Self {
            detected: delays.len(),
            missed: segments.len() - delays.len(),
            median,
            worst: delays.last().copied(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_series_starts_a_new_segment() {
        let found = segments(&[true; 6], &[false, true, false, false, false, true], &[0, 3]);
        assert_eq!(found.iter().map(|s| s.rows.clone()).collect::<Vec<_>>(), [0..3, 3..6]);
        assert_eq!(Delays::of(&found), Delays { detected: 2, missed: 0, median: Some(1.5), worst: Some(2) });
    }

    #[test]
    fn without_segments_there_is_nothing_to_detect() {
        let none = Delays::of(&segments(&[false; 4], &[true; 4], &[0]));
        assert_eq!(none, Delays { detected: 0, missed: 0, median: None, worst: None });
    }
}
