//! From the false alarms that are allowed to settings: each detector gets the same share of them.

use super::detectors::{Chain, CusumChain, EwmaChain, VotesChain};
use super::{rate, run_length, Law};
use anyhow::bail;
use flowlet::stream::alarm::LARGEST_LIMIT;
use flowlet::stream::{AlarmSettings, Cusum, Ewma, Surprise, Votes};

/// What is wanted of an alarm; levels that are `None` are chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Wanted {
    /// Votes needed, of how many readings, at which level.
    pub votes: Option<(u8, u8, Option<Surprise>)>,
    /// Weight of an average in units of 2^-16, and its level.
    pub ewma: Option<(u16, Option<Surprise>)>,
    /// A sum.
    pub cusum: Option<WantedCusum>,
    /// Readings after a rise before there may be another.
    pub hold_off: u32,
    /// Level at which votes and the average clear; that at which they are raised if `None`.
    pub clear: Option<Surprise>,
}

/// What is wanted of a sum.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WantedCusum {
    /// What a normal reading's surprise is compared with.
    pub reference: Surprise,
    /// In units of 2^-8 bits.
    pub limit: Option<u32>,
}

/// Settings with at most `allowed` false alarms per normal reading, for a calibration that reaches up to `ceiling`; without
/// it, all levels must be given.
///
/// # Errors
/// A level is missing or out of range, or no level that the calibration reaches has so few false alarms.
pub fn choose(wanted: &Wanted, allowed: Option<f64>, ceiling: Surprise) -> anyhow::Result<AlarmSettings> {
    let open = [
        wanted.votes.is_some_and(|(_, _, level)| level.is_none()),
        wanted.ewma.is_some_and(|(_, level)| level.is_none()),
        wanted.cusum.is_some_and(|c| c.limit.is_none()),
    ];
    let detectors = [wanted.votes.is_some(), wanted.ewma.is_some(), wanted.cusum.is_some()]
        .into_iter()
        .filter(|&w| w)
        .count();
    let share = match allowed {
        Some(rate) => rate / detectors.max(1) as f64,
        None if open.contains(&true) => {
            bail!("a level is missing: give it, or the false alarms that are allowed (--false-alarms \"1 per week at 1 Hz\")")
        }
        None => 0.0,
    };
    let normal = Law::normal(ceiling);
    let is_rare = |chain: &dyn Chain| rate(run_length(chain, &normal).mean, wanted.hold_off) <= share;
    let clear = |level: Surprise| wanted.clear.map_or(level, |clear| clear.min(level));

    let mut votes = None;
    if let Some((needed, of, level)) = wanted.votes {
        let at = |level| Votes { needed, of, level, clear: clear(level) };
        // A sound form before its states are counted.
        AlarmSettings::new(Some(at(Surprise::from_bits(1))), None, None, 0)?;
        let level = match level {
            Some(level) => level,
            None => {
                let mut chain = Some(VotesChain::new(at(ceiling))?);
                let found = least(1, ceiling.raw().into(), |level| {
                    let tried = chain.take().map(|c| c.with_level(surprise(level)));
                    let rare = tried.as_ref().is_some_and(|chain| is_rare(chain));
                    chain = tried;
                    rare
                });
                found.map(surprise).ok_or_else(|| too_many("votes", share, ceiling, "ask for more votes"))?
            }
        };
        votes = Some(at(level));
    }
    let mut ewma = None;
    if let Some((weight, level)) = wanted.ewma {
        let at = |level| Ewma { weight, level, clear: clear(level) };
        AlarmSettings::new(None, Some(Ewma { weight, level: Surprise::MAX, clear: Surprise::MAX }), None, 0)?;
        let level = match level {
            Some(level) => level,
            None => {
                let least_level = u32::from(Surprise::MEAN.raw()) + 1;
                let found = least(least_level, ceiling.raw().into(), |level| {
                    is_rare(&EwmaChain::new(at(surprise(level))))
                });
                found
                    .map(surprise)
                    .ok_or_else(|| too_many("average", share, ceiling, "give it a smaller weight"))?
            }
        };
        ewma = Some(at(level));
    }
    let mut cusum = None;
    if let Some(WantedCusum { reference, limit }) = wanted.cusum {
        let at = |limit| Cusum { reference, limit, clear: 0 };
        AlarmSettings::new(None, None, Some(at(1)), 0)?;
        if reference >= ceiling {
            bail!(
                "a sum with a reference of {} bits never grows: the calibration reaches up to {} bits",
                bits(reference),
                bits(ceiling)
            );
        }
        let limit = match limit {
            Some(limit) => limit,
            None => {
                let found = least(1, LARGEST_LIMIT, |limit| is_rare(&CusumChain(at(limit))));
                found.ok_or_else(|| too_many("sum", share, ceiling, "give it a larger reference"))?
            }
        };
        cusum = Some(at(limit));
    }
    for (what, level) in [("votes", votes.map(|v| v.level)), ("the average", ewma.map(|e| e.level))] {
        if level.is_some_and(|level| level > ceiling) {
            bail!(
                "{what} would need a surprise above {} bits, which the image's calibration never reaches: lower the level, or \
                 calibrate on more rows",
                bits(ceiling)
            );
        }
    }
    Ok(AlarmSettings::new(votes, ewma, cusum, wanted.hold_off)?)
}

/// The least number from `low` to `high` that holds, of which all larger ones hold too.
///
/// Approached from below in growing steps: far beyond it, alarms are so rare that their rate takes long to compute.
fn least(low: u32, high: u32, mut holds: impl FnMut(u32) -> bool) -> Option<u32> {
    let (mut fails, mut step, mut next) = (None, 64, low);
    let mut found = loop {
        if next > high {
            return None;
        }
        if holds(next) {
            break next;
        }
        fails = Some(next);
        if next == high {
            return None;
        }
        next = next.saturating_add(step).min(high);
        step += step / 2;
    };
    let Some(mut fails) = fails else { return Some(found) };
    while found - fails > 1 {
        let middle = fails + (found - fails) / 2;
        if holds(middle) {
            found = middle;
        } else {
            fails = middle;
        }
    }
    Some(found)
}

fn surprise(raw: u32) -> Surprise {
    Surprise::from_raw(raw.min(u16::MAX.into()) as u16)
}

fn bits(surprise: Surprise) -> f64 {
    f64::from(surprise.raw()) / super::law::UNITS
}

fn too_many(what: &str, share: f64, ceiling: Surprise, remedy: &str) -> anyhow::Error {
    anyhow::anyhow!(
        "with no level up to the {} bits that the image's calibration reaches does the {what} alarm as seldom as 1 in {:.0} \
         normal readings: {remedy}, allow more false alarms, or calibrate on more rows",
        bits(ceiling),
        1.0 / share
    )
}
