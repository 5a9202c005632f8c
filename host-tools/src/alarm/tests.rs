use super::*;
use flowlet::stream::{Cusum, Ewma, Votes};
use serde_json::Value;

fn golden(part: &str) -> Vec<Vec<Option<f64>>> {
    let text = include_str!("../../../tests/golden/alarm.json");
    let value: Value = serde_json::from_str(text).expect("JSON");
    let cases = value[part].as_array().expect("cases");
    cases.iter().map(|case| case.as_array().expect("a case").iter().map(Value::as_f64).collect()).collect()
}

fn raw(units: f64) -> Surprise {
    Surprise::from_raw(units as u16)
}

fn bits(bits: f64) -> Surprise {
    raw(bits * 256.0)
}

fn votes(needed: u8, of: u8, level: Surprise) -> Votes {
    Votes { needed, of, level, clear: level }
}

pub(super) fn close(found: f64, expected: f64, relative: f64) {
    assert!((found / expected - 1.0).abs() < relative, "{found} for {expected}");
}

#[test]
fn run_lengths_are_those_of_dense_systems() {
    for case in golden("votes") {
        let [Some(needed), Some(of), Some(level), Some(expected)] = case[..] else { panic!("{case:?}") };
        let chain = VotesChain::new(votes(needed as u8, of as u8, raw(level))).expect("few states");
        close(run_length(&chain, &Law::normal(bits(20.0))).mean, expected, 1e-9);
    }
    for case in golden("cusum") {
        // A dense system is ill-conditioned where alarms are rare.
        let [Some(reference), Some(limit), Some(ceiling), anomaly, Some(expected)] = case[..] else {
            panic!("{case:?}")
        };
        let chain = CusumChain(Cusum { reference: raw(reference), limit: limit as u32, clear: 0 });
        let law = anomaly.map_or(Law::normal(raw(ceiling)), |mean| Law::anomalous(mean, raw(ceiling)));
        close(run_length(&chain, &law).mean, expected, 1e-6);
        // The same as a delay from a fresh start.
        close(delay(&chain, &chain.start(), &law).mean, expected, 1e-6);
    }
    for case in golden("ewma") {
        let [Some(weight), Some(level), Some(ceiling), Some(expected)] = case[..] else { panic!("{case:?}") };
        let ewma = Ewma { weight: weight as u16, level: raw(level), clear: raw(level) };
        let law = Law::normal(raw(ceiling));
        // Two discretizations.
        close(run_length(&EwmaChain::new(ewma), &law).mean, expected, 4e-3);
        let coarse = run_length(&EwmaChain::with_places(ewma, 2000.0), &law).mean;
        close(coarse, run_length(&EwmaChain::new(ewma), &law).mean, 2e-3);
    }
}

#[test]
fn runs_of_votes_have_fellers_run_length() {
    for (run, level) in [(1, 5.0), (2, 6.0), (4, 3.5), (8, 2.0)] {
        let p = (-f64::from(bits(level).raw()) / 256.0).exp2();
        let p_run = p.powi(run);
        let chain = VotesChain::new(votes(run as u8, run as u8, bits(level))).expect("few states");
        close(run_length(&chain, &Law::normal(bits(20.0))).mean, (1.0 - p_run) / ((1.0 - p) * p_run), 1e-9);
    }
}

/// One-sided CUSUM of a normal variable with reference 1/2: run lengths in control and after a shift by one standard
/// deviation, as published for limits of 4 and 5.
#[test]
fn the_normal_cusum_has_the_published_run_lengths() {
    const PER_DEVIATION: f64 = 100.0;
    const FROM: f64 = -7.0;
    let law = |shift: f64| {
        let cumulative = |x: f64| 0.5 * libm::erfc(-(x - shift) / std::f64::consts::SQRT_2);
        let at = |i: usize| FROM + (i as f64) / PER_DEVIATION;
        let half = 0.5 / PER_DEVIATION;
        Law::Table((0..=1500).map(|i| cumulative(at(i) + half) - cumulative(at(i) - half)).collect())
    };
    for (limit, in_control, shifted) in [(4.0, 335.37, 8.38), (5.0, 930.89, 10.38)] {
        let chain = CusumChain(Cusum {
            reference: raw((0.5 - FROM) * PER_DEVIATION),
            limit: (limit * PER_DEVIATION) as u32,
            clear: 0,
        });
        // A lattice of a hundredth alarms half of one earlier.
        close(run_length(&chain, &law(0.0)).mean, in_control, 8e-3);
        close(run_length(&chain, &law(1.0)).mean, shifted, 2e-3);
    }
}

#[test]
fn the_devices_own_alarm_agrees() {
    let ceiling = bits(16.0);
    let normal = Law::normal(ceiling);
    let anomalies = [Law::anomalous(6.0, ceiling)];
    let level = bits(4.0);
    let ewma = Ewma { weight: 6554, level: bits(3.2), clear: bits(2.5) };
    let cusum = Cusum { reference: bits(2.5), limit: 256 * 12, clear: 0 };
    for settings in [
        AlarmSettings::new(Some(votes(3, 5, level)), None, None, 0),
        AlarmSettings::new(Some(votes(3, 5, level)), None, None, 300),
        AlarmSettings::new(None, Some(ewma), None, 0),
        AlarmSettings::new(None, None, Some(cusum), 0),
        AlarmSettings::new(Some(votes(3, 5, level)), Some(ewma), Some(cusum), 0),
    ] {
        let settings = settings.expect("sound");
        let costs = costs(&settings, ceiling, &anomalies).expect("few states");
        let readings = (3000.0 / costs.rate).min(2e7) as u64;
        let found = simulate(&settings, &normal, readings, 1);
        // The bound counts no time for the alarms themselves, and of several detectors none that alarm together.
        let slack = if costs.detectors.len() > 1 { 3.0 } else { 1.05 };
        assert!(found.interval[0] <= costs.rate, "{settings:?}: {found:?} {}", costs.rate);
        assert!(found.interval[1] * slack >= costs.rate, "{settings:?}: {found:?} {}", costs.rate);
        if costs.detectors.len() > 1 {
            continue;
        }
        // Delays, from a long normal past.
        let mut random = crate::training::random::Random::new(2, 3);
        let (mut total, mut alarm) = (0u32, flowlet::stream::Alarm::new(settings));
        let trials = 4000;
        for _ in 0..trials {
            alarm.reset();
            for _ in 0..60 {
                if alarm.step(normal.draw(&mut random)).is_on() {
                    alarm.reset();
                }
            }
            total +=
                (1..10_000).find(|_| alarm.step(anomalies[0].draw(&mut random)).is_on()).expect("an alarm");
        }
        close(f64::from(total) / f64::from(trials), costs.detectors[0].delays[0].mean, 0.05);
    }
}

#[test]
fn levels_are_the_lowest_that_keep_the_promise() {
    let ceiling = bits(14.0);
    let allowed = 1.0 / 604_800.0;
    let wanted = Wanted {
        votes: Some((3, 5, None)),
        ewma: Some((6554, None)),
        cusum: Some(WantedCusum { reference: bits(3.0), limit: None }),
        hold_off: 60,
        clear: Some(bits(2.0)),
    };
    let settings = choose(&wanted, Some(allowed), ceiling).expect("settings");
    let found = costs(&settings, ceiling, &[]).expect("few states");
    assert!(found.rate <= allowed && found.rate > 0.97 * allowed, "{} {allowed}", found.rate);
    // One unit lower breaks it.
    let v = settings.votes().expect("votes");
    let lower = Votes { level: raw(f64::from(v.level.raw()) - 1.0), ..v };
    let chain = VotesChain::new(lower).expect("few states");
    assert!(rate(run_length(&chain, &Law::normal(ceiling)).mean, 60) > allowed / 3.0);
    assert_eq!(v.clear, bits(2.0));

    let single = Wanted { votes: Some((1, 1, None)), ..Wanted::default() };
    let error = choose(&single, Some(allowed), ceiling).expect_err("19 bits are needed").to_string();
    assert!(error.contains("14 bits") && error.contains("more votes"), "{error}");
    let error = choose(&single, None, ceiling).expect_err("no level").to_string();
    assert!(error.contains("--false-alarms"), "{error}");
    let many = Wanted { votes: Some((16, 32, None)), ..Wanted::default() };
    assert!(choose(&many, Some(allowed), ceiling).expect_err("states").to_string().contains("states"));
    let high = Wanted { votes: Some((2, 3, Some(bits(15.0)))), ..Wanted::default() };
    assert!(choose(&high, None, ceiling).expect_err("beyond").to_string().contains("never reaches"));
}

#[test]
fn what_cannot_alarm_takes_for_ever() {
    // A sum that even the ceiling does not let grow.
    let chain = CusumChain(Cusum { reference: bits(8.0), limit: 256, clear: 0 });
    assert_eq!(run_length(&chain, &Law::normal(bits(8.0))).mean, f64::INFINITY);
    let law = Law::anomalous(20.0, bits(8.0));
    assert_eq!(delay(&chain, &chain.start(), &law).mean, f64::INFINITY);
    // A promise for the age of the universe is still a number: 5 of 5 beyond 14 bits.
    let chain = VotesChain::new(votes(5, 5, bits(14.0))).expect("few states");
    let p = (-14.0f64).exp2();
    let (p_run, mean) = (p.powi(5), run_length(&chain, &Law::normal(bits(14.0))).mean);
    close(mean, (1.0 - p_run) / ((1.0 - p) * p_run), 1e-9);
}
