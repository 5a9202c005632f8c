extern crate std;
use super::*;
use std::vec::Vec;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// The surprise of a normal reading, or of one `times` as surprising.
    fn surprise(&mut self, times: f64) -> Surprise {
        let p = ((self.next() >> 11) as f64 + 1.0) / (1u64 << 53) as f64;
        Surprise::from_raw((-256.0 * times * p.log2()) as u16)
    }
}

fn bits(bits: f64) -> Surprise {
    Surprise::from_raw((bits * 256.0) as u16)
}

/// The same rules on whole histories, in f64: no state but a list of what was heard since the last clearing.
fn by_the_book(settings: AlarmSettings, surprises: &[Surprise]) -> Vec<Verdict> {
    let (mut heard, mut is_on, mut raised_at) = (Vec::new(), false, None);
    let mut verdicts = Vec::new();
    for (now, &surprise) in surprises.iter().enumerate() {
        let waits = raised_at.is_some_and(|at| now - at <= settings.hold_off() as usize);
        if waits && !is_on {
            verdicts.push(Verdict::Quiet);
            continue;
        }
        heard.push(surprise);
        let mut above = false;
        if let Some(v) = settings.votes() {
            let level = if is_on { v.clear } else { v.level };
            let last = heard.iter().rev().take(v.of.into());
            above |= last.filter(|&&s| s >= level).count() >= v.needed.into();
        }
        if let Some(e) = settings.ewma() {
            let weight = f64::from(e.weight) / 65536.0;
            let start = f64::from(Surprise::MEAN.raw());
            let mean = heard.iter().fold(start, |m, s| m + weight * (f64::from(s.raw()) - m));
            above |= mean >= f64::from(if is_on { e.clear } else { e.level }.raw());
        }
        if let Some(c) = settings.cusum() {
            let step = |sum: i64, s: &Surprise| {
                (sum + i64::from(s.raw()) - i64::from(c.reference.raw())).clamp(0, c.limit.into())
            };
            let sum = heard.iter().fold(0, step);
            above |= if is_on { sum > c.clear.into() } else { sum >= c.limit.into() };
        }
        verdicts.push(match (is_on, above) {
            (false, false) => Verdict::Quiet,
            (true, true) => Verdict::On,
            (false, true) => Verdict::Raised,
            (true, false) => Verdict::Cleared,
        });
        if above && !is_on {
            raised_at = Some(now);
        }
        if is_on && !above {
            heard.clear();
        }
        is_on = above;
    }
    verdicts
}

fn some_settings(random: &mut Random) -> AlarmSettings {
    let mut below = |n: u64| random.next() % n;
    let which = 1 + below(7);
    let of = 1 + below(32);
    let level = 300 + below(1500) as u16;
    let votes = Votes {
        needed: 1 + below(of) as u8,
        of: of as u8,
        level: Surprise::from_raw(level),
        clear: Surprise::from_raw(1 + below(level.into()) as u16),
    };
    let clear = 370 + below(200) as u16;
    let ewma = Ewma {
        weight: 700 + below(60_000) as u16,
        level: Surprise::from_raw(clear + below(400) as u16),
        clear: Surprise::from_raw(clear),
    };
    let limit = 1 + below(6000) as u32;
    let cusum = Cusum {
        reference: Surprise::from_raw(370 + below(500) as u16),
        limit,
        clear: below(limit.into()) as u32,
    };
    let hold_off = [0, 1, 20][below(3) as usize];
    let on = |bit: u64| which & bit != 0;
    AlarmSettings::new(on(1).then_some(votes), on(2).then_some(ewma), on(4).then_some(cusum), hold_off)
        .unwrap()
}

#[test]
fn verdicts_are_those_of_the_rules_on_whole_histories() {
    let mut random = Random(1);
    let (mut raised, mut cleared) = (0, 0);
    for round in 0..600 {
        let settings = some_settings(&mut random);
        // Stretches of normal and of anomalous readings.
        let surprises: Vec<Surprise> =
            (0..300).map(|i| random.surprise(if (i / 50) % 3 == 2 { 6.0 } else { 1.0 })).collect();
        let mut alarm = Alarm::new(settings);
        let found: Vec<Verdict> = surprises.iter().map(|&s| alarm.step(s)).collect();
        assert_eq!(found, by_the_book(settings, &surprises), "round {round}: {settings:?}");
        raised += found.iter().filter(|&&v| v == Verdict::Raised).count();
        cleared += found.iter().filter(|&&v| v == Verdict::Cleared).count();
    }
    assert!(raised > 1000 && cleared > 500, "{raised} {cleared}");
}

#[test]
fn it_clears_at_the_lower_level_and_waits() {
    let votes = Votes { needed: 2, of: 3, level: bits(8.0), clear: bits(4.0) };
    let mut alarm = Alarm::new(AlarmSettings::new(Some(votes), None, None, 8).unwrap());
    let verdicts: Vec<Verdict> =
        [9, 9, 5, 5, 1, 1, 9, 9, 9, 9, 9, 9].map(|s| alarm.step(Surprise::from_bits(s))).into();
    use Verdict::{Cleared, On, Quiet, Raised};
    // Cleared at the sixth; it rests until eight readings have followed the second.
    assert_eq!(verdicts, [Quiet, Raised, On, On, On, Cleared, Quiet, Quiet, Quiet, Quiet, Quiet, Raised]);
}

#[test]
fn the_largest_surprises_for_ever_overflow_nothing() {
    let level = Surprise::MAX;
    let votes = Votes { needed: 32, of: 32, level, clear: level };
    let ewma = Ewma { weight: u16::MAX, level, clear: level };
    let cusum = Cusum { reference: bits(1.5), limit: LARGEST_LIMIT, clear: 0 };
    let mut alarm = Alarm::new(AlarmSettings::new(Some(votes), Some(ewma), Some(cusum), u32::MAX).unwrap());
    for _ in 0..100_000 {
        alarm.step(Surprise::MAX);
    }
    assert!(alarm.is_on());
    // An average is never quite what it is made of.
    let ewma = Surprise::from_raw(u16::MAX - 1);
    assert_eq!(alarm.evidence(), Evidence { votes: 32, ewma, cusum: LARGEST_LIMIT });
    // It clears in bounded time: the sum stops at its limit.
    let mut readings = 0;
    while alarm.is_on() {
        alarm.step(Surprise::ZERO);
        readings += 1;
    }
    assert_eq!(readings, LARGEST_LIMIT.div_ceil(bits(1.5).raw().into()));
}

#[test]
fn settings_that_cannot_work_are_refused() {
    use SettingsError as E;
    let level = bits(3.0);
    let votes = Votes { needed: 2, of: 5, level, clear: level };
    let ewma = Ewma { weight: 6554, level, clear: level };
    let cusum = Cusum { reference: level, limit: 5120, clear: 0 };
    let with = |v, e, c| AlarmSettings::new(v, e, c, 0);
    assert_eq!(with(None, None, None), Err(E::Silent));
    for wrong in [
        Votes { needed: 0, ..votes },
        Votes { needed: 6, ..votes },
        Votes { of: 33, ..votes },
        Votes { clear: bits(3.1), ..votes },
        Votes { clear: Surprise::ZERO, level: Surprise::ZERO, ..votes },
    ] {
        assert_eq!(with(Some(wrong), Some(ewma), None), Err(E::Votes), "{wrong:?}");
    }
    for wrong in [
        Ewma { weight: 63, ..ewma },
        Ewma { level: bits(2.9), ..ewma },
        Ewma { clear: Surprise::MEAN, ..ewma },
    ] {
        assert_eq!(with(None, Some(wrong), Some(cusum)), Err(E::Ewma), "{wrong:?}");
    }
    for wrong in [
        Cusum { reference: Surprise::MEAN, ..cusum },
        Cusum { limit: LARGEST_LIMIT + 1, ..cusum },
        Cusum { clear: 5120, ..cusum },
    ] {
        assert_eq!(with(None, None, Some(wrong)), Err(E::Cusum), "{wrong:?}");
    }
}

#[test]
fn settings_survive_storage_and_damaged_ones_are_refused() {
    let mut random = Random(2);
    let mut refused = 0;
    for _ in 0..500 {
        let settings = some_settings(&mut random);
        let mut bytes = postcard::to_stdvec(&settings).unwrap();
        assert_eq!(postcard::from_bytes::<AlarmSettings>(&bytes), Ok(settings));
        let at = random.next() as usize % bytes.len();
        bytes[at] ^= 1 << (random.next() % 8);
        match postcard::from_bytes::<AlarmSettings>(&bytes) {
            // Whatever is accepted can work.
            Ok(s) => assert_eq!(AlarmSettings::new(s.votes(), s.ewma(), s.cusum(), s.hold_off()), Ok(s)),
            Err(_) => refused += 1,
        }
    }
    assert!(refused > 50, "{refused}");
}
