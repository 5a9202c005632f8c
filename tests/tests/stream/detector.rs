//! A detector with a drift test: scores and alarms as without, and news of a drift beside them, each said once.

use flowlet::stream::health::{Health, Sample, Settings};
use flowlet::stream::{
    Alarm, AlarmSettings, Channel, Detector, Drift, DriftNews, DriftSettings, Event, Readings, Surprise,
    Votes,
};
use flowlet::{Error, Scorer};
use flowlet_tests::{metadata, trained, Random};
use flowlet_tools::export::{build, ImageFile, Numeric};

const CHANNELS: usize = 3;
const STD: f32 = 200.0;

fn counts(random: &mut Random, moved: f32) -> [i16; CHANNELS] {
    let common = random.normal();
    let noise = [(); CHANNELS].map(|()| STD * (0.6 * common + 0.8 * random.normal()));
    [noise[0], noise[1] + moved * STD, noise[2]].map(|x| x.round() as i16)
}

fn image() -> ImageFile {
    let mut random = Random(1);
    let rows: Vec<f32> = (0..2000).flat_map(|_| counts(&mut random, 0.0).map(f32::from)).collect();
    let flow = trained::fit(&rows, CHANNELS, &trained::quick());
    build(&flow, Numeric::I8, &metadata(CHANNELS), trained::calibration(&rows)).expect("an image")
}

fn alarm() -> Alarm {
    let level = Surprise::from_bits(5);
    let votes = Votes { needed: 3, of: 5, level, clear: level };
    Alarm::new(AlarmSettings::new(Some(votes), None, None, 0).expect("sound"))
}

const ONE: u32 = 1 << 24;
const DRIFT: DriftSettings = DriftSettings {
    shift: 6,
    every: 1,
    mean_limit: ONE / 2,
    least_variance: ONE / 4,
    most_variance: 3 * ONE,
};

#[test]
fn scores_alarms_and_drifts_of_one_reading_are_all_told() {
    let image = image();
    let model = image.model().expect("good");
    let words = model.workspace_bytes() / 4;
    let (mut first, mut second) = (vec![0; words], vec![0; words]);
    let health = || Health::new(Settings::<CHANNELS>::default());
    let scorer = Scorer::new(&model, &mut first).expect("room");
    let mut plain = Detector::new(health(), Readings::default(), scorer, alarm()).expect("it fits");
    let mut channels = [Channel::START; CHANNELS];
    let drift = Drift::new(DRIFT, &mut channels).expect("sound");
    let scorer = Scorer::new(&model, &mut second).expect("room");
    let detector = Detector::new(health(), Readings::default(), scorer, alarm()).expect("it fits");
    let mut detector = detector.with_drift(drift).expect("as many channels");

    let mut random = Random(2);
    let (mut told, mut alarmed_at_news) = (Vec::new(), 0);
    for step in 0..6000_u32 {
        // Three standard deviations for a while, so that the alarm is on too.
        let moved = if (2000..4000).contains(&step) { 3.0 } else { 0.0 };
        let reading = Ok(counts(&mut random, moved));
        let sample = Sample { ticks: 0, counter: step, overruns: 0, reading };
        let (Some(Event::Scored(score, verdict, ())), Some(Event::Scored(same, also, news))) =
            (plain.push(&sample), detector.push(&sample))
        else {
            panic!("both score at each sample")
        };
        assert_eq!((score, verdict), (same, also), "what follows changes no score");
        if let Some(news) = news {
            alarmed_at_news += u32::from(verdict.is_on());
            told.push((step, news));
        }
    }
    let [(came, DriftNews::Came(there)), (over, DriftNews::Over(back))] = told[..] else {
        panic!("{told:?}")
    };
    assert_eq!((there.channel, back.channel), (1, 1));
    assert!((2000..2060).contains(&came) && (4000..4300).contains(&over), "{told:?}");
    assert!(there.moments.mean > DRIFT.mean_limit as i32 && back.moments.mean < DRIFT.mean_limit as i32);
    assert_eq!(alarmed_at_news, 1, "an alarm and a drift at the same reading");
    // The same state as of a test that is fed by hand.
    assert!(detector.drift().channels().iter().all(|channel| !channel.is_reported()));
    assert!(detector.drift().worst().is_none());
}

#[test]
fn a_drift_test_of_other_features_is_refused() {
    let image = image();
    let model = image.model().expect("good");
    let mut words = vec![0; model.workspace_bytes() / 4];
    let scorer = Scorer::new(&model, &mut words).expect("room");
    let health = Health::new(Settings::<CHANNELS>::default());
    let detector = Detector::new(health, Readings::default(), scorer, alarm()).expect("it fits");
    let mut channels = [Channel::START; CHANNELS + 1];
    let drift = Drift::new(DRIFT, &mut channels).expect("sound");
    let found = detector.with_drift(drift).map(|_| ()).expect_err("one too many");
    assert_eq!(found, Error::FeatureCount { expected: 3, found: 4 });
}
