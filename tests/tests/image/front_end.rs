//! The front-end record: what is accepted, and what is refused with which error; and windows as samples come.

use flowlet::stream::front_end::{Channel, Extractor, Form, FrontEndHead, Samples};
use flowlet::stream::{extract, FrontEnd, Window};
use flowlet::{Error, Part};
use flowlet_tests::streams::{edges, extracts_any_samples, record, Plan};
use flowlet_tests::Random;

const PLAN: Plan = Plan { samples: Samples::F32, window: 64, hop: 16, rate: 100.0, scale: 0.5, floor: 1e-3 };
const MALFORMED: Error = Error::Malformed(Part::FrontEnd);

fn refusal(plan: Plan, extractors: &[Extractor<'_>]) -> Error {
    FrontEnd::parse(&plan.record(2, extractors)).expect_err("a refusal")
}

#[test]
fn a_record_says_what_was_written() {
    for form in [Form::Plain, Form::Log2] {
        let bytes = PLAN.everything(form);
        let front_end = FrontEnd::parse(&bytes).expect("a good record");
        assert_eq!((front_end.window(), front_end.hop(), front_end.rate()), (64, 16, 100.0));
        assert_eq!((front_end.channel_count(), front_end.features(), front_end.scratch_words()), (2, 35, 64));
        let names: Vec<&str> = front_end.channels().map(|channel| channel.name).collect();
        assert_eq!(names, ["a", "b"]);
        // What postcard reads is what the device's own reader reads.
        let (head, mut rest) = postcard::take_from_bytes::<FrontEndHead>(&bytes).expect("a head");
        for channel in front_end.channels() {
            let (read, behind) = postcard::take_from_bytes::<Channel<'_>>(rest).expect("a channel");
            assert_eq!(channel, read);
            rest = behind;
        }
        let mut count = 0;
        for extractor in front_end.extractors() {
            let (read, behind) = postcard::take_from_bytes::<Extractor<'_>>(rest).expect("an extractor");
            assert_eq!(extractor, read);
            rest = behind;
            count += 1;
        }
        assert!(rest.is_empty() && count == head.extractors);
    }
}

#[test]
fn each_fault_has_its_error() {
    let mean = [Extractor::Mean { channel: 0 }];
    assert_eq!(refusal(Plan { window: 7, ..PLAN }, &mean), MALFORMED);
    assert_eq!(refusal(Plan { window: 4097, ..PLAN }, &mean), MALFORMED);
    assert_eq!(refusal(Plan { window: 4096, samples: Samples::I16, ..PLAN }, &mean), MALFORMED);
    assert_eq!(refusal(Plan { hop: 0, ..PLAN }, &mean), MALFORMED);
    for (wrong, error) in [
        (f32::NAN, Error::NotFiniteParameter(Part::FrontEnd)),
        (f32::INFINITY, Error::NotFiniteParameter(Part::FrontEnd)),
        (0.0, MALFORMED),
        (-1.0, MALFORMED),
        (1e-42, MALFORMED),
        (1e30, MALFORMED),
    ] {
        assert_eq!(refusal(Plan { rate: wrong, ..PLAN }, &mean), error, "{wrong}");
        assert_eq!(refusal(Plan { scale: wrong, ..PLAN }, &mean), error, "{wrong}");
        assert_eq!(refusal(Plan { floor: wrong, ..PLAN }, &mean), error, "{wrong}");
    }
    assert_eq!(refusal(PLAN, &[]), MALFORMED);
    assert_eq!(refusal(PLAN, &[Extractor::Mean { channel: 2 }]), MALFORMED);
    assert_eq!(refusal(PLAN, &[Extractor::Correlation { channel: 0, other: 0 }]), MALFORMED);
    assert_eq!(refusal(PLAN, &[Extractor::Correlation { channel: 0, other: 2 }]), MALFORMED);
    assert_eq!(refusal(PLAN, &mean.repeat(257)), MALFORMED);

    let form = Form::Log2;
    let bands = |bins: &[u16]| refusal(PLAN, &[Extractor::Bands { channel: 0, form, edges: &edges(bins) }]);
    for wrong in [&[][..], &[1], &[0, 4], &[4, 4], &[5, 4], &[1, 33]] {
        assert_eq!(bands(wrong), MALFORMED, "{wrong:?}");
    }
    let odd = [1, 0, 2, 0, 3];
    assert_eq!(refusal(PLAN, &[Extractor::Bands { channel: 0, form, edges: &odd }]), MALFORMED);
    for (from, to) in [(0, 4), (4, 4), (5, 4), (1, 33)] {
        assert_eq!(refusal(PLAN, &[Extractor::Centroid { channel: 0, form, from, to }]), MALFORMED);
    }
    let edges = edges(&[1, 4]);
    for (from, to) in [(0, 8), (8, 11), (8, 25), (30, 38), (9, 5)] {
        let envelope = Extractor::Envelope { channel: 0, form, from, to, edges: &edges };
        assert_eq!(refusal(PLAN, &[envelope]), MALFORMED, "{from} {to}");
    }
    // No spectrum of a window that is no power of two, or too short.
    for window in [24, 16, 100] {
        let bands = Extractor::Bands { channel: 0, form, edges: &edges };
        assert_eq!(refusal(Plan { window, ..PLAN }, &[bands]), MALFORMED);
        assert!(FrontEnd::parse(&Plan { window, ..PLAN }.record(1, &mean)).is_ok());
    }

    let good = PLAN.record(1, &mean);
    let mut other = good.clone();
    other[0] = 2;
    assert_eq!(FrontEnd::parse(&other).expect_err("a version"), Error::Unsupported(Part::FrontEnd));
    assert_eq!(FrontEnd::parse(&[good.clone(), vec![0]].concat()).expect_err("a byte more"), MALFORMED);
    let unnamed = Channel { name: "", unit: "", scale: 1.0, floor: 1.0 };
    let head = FrontEndHead {
        version: 1,
        samples: Samples::F32,
        rate: 1.0,
        window: 8,
        hop: 1,
        channels: 0,
        extractors: 1,
    };
    assert_eq!(FrontEnd::parse(&record(head, &[], &mean)).expect_err("no channel"), MALFORMED);
    let many = FrontEndHead { channels: 17, ..head };
    assert_eq!(FrontEnd::parse(&record(many, &[unnamed; 17], &mean)).expect_err("too many"), MALFORMED);
}

/// Whatever the bytes: an error, or a front end that extracts as many features as it says.
#[test]
fn hostile_records_are_refused_or_work() {
    let mut random = Random(3);
    let (mut refused, mut worked) = (0, 0);
    let good = [
        PLAN.everything(Form::Log2),
        Plan { samples: Samples::I16, ..PLAN }.everything(Form::Plain),
        PLAN.record(1, &[Extractor::Mean { channel: 0 }]),
    ];
    for good in &good {
        for length in 0..good.len() {
            assert!(FrontEnd::parse(&good[..length]).is_err(), "{length}");
        }
    }
    for round in 0..60_000 {
        let mut bytes = good[round % good.len()].clone();
        for _ in 0..=random.below(3) {
            let at = random.below(bytes.len());
            bytes[at] =
                if round % 2 == 0 { random.below(256) as u8 } else { bytes[at] ^ (1 << random.below(8)) };
        }
        let Ok(front_end) = FrontEnd::parse(&bytes) else {
            refused += 1;
            continue;
        };
        worked += 1;
        extracts_any_samples(&mut random, &front_end);
    }
    println!("{refused} refused, {worked} worked");
    assert!(refused > 10_000 && worked > 5_000);
}

/// Windows of a counter, for hops below, at and above the length.
#[test]
fn windows_come_at_every_hop_and_hold_the_last_samples() {
    for hop in [1, 3, 8, 9, 15, 16, 17, 40, 1000] {
        let bytes = Plan { window: 16, hop, ..PLAN }.record(2, &[Extractor::Mean { channel: 0 }]);
        let front_end = FrontEnd::parse(&bytes).expect("a good record");
        let mut window = Window::<f32, 32>::new(&front_end).expect("room");
        let mut starts = Vec::new();
        for at in 0..2100 {
            if window.push(&[at as f32, -(at as f32)]).expect("two channels") {
                let start = window.channel(0)[0];
                let expected: Vec<f32> = (0..16).map(|i| start + i as f32).collect();
                assert_eq!(window.channel(0), expected);
                assert_eq!(window.channel(1), expected.iter().map(|x| -x).collect::<Vec<_>>());
                assert_eq!(*expected.last().expect("16"), at as f32);
                assert!(window.channel(2).is_empty());
                starts.push(start as u32);
            }
        }
        let expected: Vec<u32> = (0..2100).step_by(hop as usize).filter(|start| start + 16 <= 2100).collect();
        assert_eq!(starts, expected, "hop {hop}");
    }
}

#[test]
fn a_window_says_what_does_not_fit() {
    let bytes = PLAN.everything(Form::Log2);
    let front_end = FrontEnd::parse(&bytes).expect("a good record");
    let small = Window::<f32, 127>::new(&front_end).expect_err("too small");
    assert_eq!(small, Error::WindowTooSmall { needed: 128, found: 127 });
    let other = Window::<i16, 128>::new(&front_end).expect_err("other samples");
    assert_eq!(other, Error::Unsupported(Part::FrontEnd));

    let mut window = Window::<f32, 128>::new(&front_end).expect("room");
    let (mut scratch, mut features) = ([0.0; 64], [0.0; 35]);
    let few = window.push(&[1.0]).expect_err("one channel");
    assert_eq!(few, Error::ChannelCount { expected: 2, found: 1 });
    for _ in 0..63 {
        assert!(!window.push(&[1.0, 2.0]).expect("two channels"));
    }
    let early = extract(&front_end, &window, &mut scratch, &mut features).expect_err("too early");
    assert_eq!(early, Error::WindowNotComplete);
    assert!(window.push(&[1.0, 2.0]).expect("two channels"));
    let short = extract(&front_end, &window, &mut scratch[1..], &mut features).expect_err("scratch");
    assert_eq!(short, Error::WorkspaceTooSmall { needed_words: 64, found_words: 63 });
    let short = extract(&front_end, &window, &mut scratch, &mut features[1..]).expect_err("features");
    assert_eq!(short, Error::FeatureCount { expected: 35, found: 34 });
    assert_eq!(extract(&front_end, &window, &mut scratch, &mut features).expect("features").len(), 35);
    // After a gap nothing of before counts.
    window.clear();
    assert!(window.channel(0).is_empty() && !window.is_complete());
}
