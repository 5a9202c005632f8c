//! What no score needs is checked when it is asked for: a malformed front end or alarm leaves scores as they are, is an
//! error to whoever asks for it, and no image for the command line.

use flowlet::stream::front_end::{Extractor, Samples};
use flowlet::stream::{Alarm, AlarmRecord, AlarmSettings, Surprise, Votes};
use flowlet::{Error, Part, Scorer};
use flowlet_tests::command::Folder;
use flowlet_tests::streams::{extracts_any_samples, Plan};
use flowlet_tests::surgery::{repair_checksum, Parts};
use flowlet_tests::trained::{self, FEATURES};
use flowlet_tests::{golden, Random};
use flowlet_tools::export::{build, ImageFile, Metadata, Numeric};

fn settings() -> AlarmSettings {
    let (level, clear) = (Surprise::from_bits(7), Surprise::from_bits(2));
    let votes = Votes { needed: 3, of: 5, level, clear };
    AlarmSettings::new(Some(votes), None, None, 9).expect("sound")
}

fn front_end() -> Vec<u8> {
    let plan = Plan { samples: Samples::I16, window: 64, hop: 16, rate: 100.0, scale: 0.5, floor: 1e-3 };
    plan.record(2, &[0, 1, 0, 1].map(|channel| Extractor::Mean { channel }))
}

/// An image that holds everything.
fn image(numeric: Numeric) -> ImageFile {
    let rows = trained::readings(300, 3);
    let metadata = Metadata { front_end: front_end(), ..trained::metadata(FEATURES, 0) };
    let image = build(trained::usual(), numeric, &metadata, trained::calibration(&rows)).expect("an image");
    image.with_alarm(&settings()).expect("there is room")
}

/// The image with other bytes in place of a record.
fn replaced(image: &ImageFile, old: &[u8], new: &[u8]) -> ImageFile {
    assert_eq!(old.len(), new.len());
    let mut bytes = image.bytes().to_vec();
    let at = bytes.windows(old.len()).rposition(|window| window == old).expect("it is there");
    bytes[at..][..new.len()].copy_from_slice(new);
    repair_checksum(&mut bytes);
    ImageFile::from_bytes(&bytes)
}

fn alarm_record() -> Vec<u8> {
    postcard::to_stdvec(&AlarmRecord::from(settings())).expect("a record")
}

fn log_probs(image: &ImageFile) -> Vec<u32> {
    let model = image.model().expect("scoring needs none of it");
    let mut workspace = vec![0; model.workspace_bytes() / 4];
    let mut scorer = Scorer::new(&model, &mut workspace).expect("room");
    let rows = trained::readings(20, 4);
    rows.chunks_exact(FEATURES).map(|row| scorer.score(row).expect("a score").log_prob.to_bits()).collect()
}

#[test]
fn what_an_image_does_not_have_is_said() {
    for image in [golden::committed("v1-i8.flow"), golden::committed("v2-i8.flow")] {
        let model = image.model().expect("golden");
        assert_eq!(model.alarm().err(), Some(Error::NoAlarm));
        assert_eq!(model.front_end().err(), Some(Error::NoFrontEnd));
    }
    for numeric in [Numeric::F32, Numeric::I8] {
        let image = image(numeric);
        let model = image.model().expect("good");
        assert_eq!(model.alarm(), Ok(settings()));
        assert_eq!(model.front_end().map(|f| f.features()), Ok(FEATURES));
    }
}

#[test]
fn settings_that_cannot_work_are_an_error_to_who_asks() {
    let good = image(Numeric::I8);
    let record = alarm_record();
    for (index, wrong) in [(0, 6), (0, 0), (1, 33), (1, 2), (4, 1)] {
        let mut other = record.clone();
        other[index] = wrong;
        let image = replaced(&good, &record, &other);
        assert_eq!(log_probs(&image), log_probs(&good));
        let model = image.model().expect("it opens");
        assert_eq!(model.alarm(), Err(Error::Malformed(Part::Alarm)), "number {index} is {wrong}");
        assert!(model.front_end().is_ok());
    }
    // Cut short, or with a byte behind it.
    let parts = Parts::of(good.bytes());
    for behind in [&parts.behind[..parts.behind.len() - 1], &[&parts.behind[..], &[0]].concat()] {
        let image = Parts { behind: behind.to_vec(), ..parts.clone() }.seal();
        assert_eq!(image.model().expect("it opens").alarm(), Err(Error::Malformed(Part::Alarm)));
    }
}

#[test]
fn a_front_end_that_cannot_work_is_an_error_to_who_asks() {
    let good = image(Numeric::I8);
    let parts = Parts::of(good.bytes());
    let malformed = Error::Malformed(Part::FrontEnd);
    let record = front_end();
    let (mut version, mut hop) = (record.clone(), record.clone());
    version[0] = 2;
    // Version, samples, four bytes of the rate, window, hop.
    assert_eq!(hop[7], 16);
    hop[7] = 0;
    let plan = Plan { samples: Samples::F32, window: 64, hop: 1, rate: 1.0, scale: 1.0, floor: 1.0 };
    let three = plan.record(1, &[Extractor::Mean { channel: 0 }; 3]);
    let cases = [
        (version, Error::Unsupported(Part::FrontEnd)),
        (hop, malformed),
        (record[..record.len() - 1].to_vec(), malformed),
        // Sound, and not of this model.
        (three, malformed),
    ];
    for (record, expected) in &cases {
        let mut parts = parts.clone();
        parts.head.front_end = record;
        let image = parts.seal();
        assert_eq!(log_probs(&image), log_probs(&good));
        let model = image.model().expect("it opens");
        assert_eq!(model.front_end().err(), Some(*expected), "{record:?}");
        assert_eq!(model.alarm(), Ok(settings()));
    }
}

/// Whatever stands in the records: an error to who asks, or what works without a panic; and scores are the same.
#[test]
fn hostile_records_are_refused_or_work() {
    let good = image(Numeric::I16);
    let scores = log_probs(&good);
    let (front_end, alarm) = (front_end(), alarm_record());
    let mut random = Random(7);
    let mut counts = [0; 4];
    for round in 0..20_000 {
        let is_alarm = round % 2 == 0;
        let old = if is_alarm { &alarm } else { &front_end };
        let mut new = old.clone();
        for _ in 0..=random.below(3) {
            let at = random.below(new.len());
            new[at] =
                if random.below(2) == 0 { random.below(256) as u8 } else { new[at] ^ 1 << random.below(8) };
        }
        let image = replaced(&good, old, &new);
        let model = image.model().expect("it opens");
        if round % 64 < 2 {
            assert_eq!(log_probs(&image), scores);
        }
        let works = if is_alarm {
            assert!(model.front_end().is_ok());
            model.alarm().map(|settings| listens(&mut random, settings)).is_ok()
        } else {
            assert_eq!(model.alarm(), Ok(settings()));
            let found = model.front_end();
            found.map(|front_end| extracts_any_samples(&mut random, &front_end)).is_ok()
        };
        counts[2 * usize::from(is_alarm) + usize::from(works)] += 1;
    }
    println!(
        "front ends {} refused, {} work; alarms {} refused, {} work",
        counts[0], counts[1], counts[2], counts[3]
    );
    assert!(counts.iter().all(|&count| count > 500), "{counts:?}");
}

/// An alarm of settings that were accepted is raised by what could not be rarer, and hears any surprise.
fn listens(random: &mut Random, settings: AlarmSettings) {
    let mut alarm = Alarm::new(settings);
    for _ in 0..100 {
        alarm.step(Surprise::from_raw(random.bits() as u16));
    }
    alarm.reset();
    // Sums and averages take some thousands; the highest levels cannot be reached.
    let raised = (0..40_000).any(|_| alarm.step(Surprise::from_raw(u16::MAX)).is_on());
    assert!(raised || settings.needs() > Surprise::from_raw(65_000), "{settings:?}");
}

#[test]
fn the_command_line_takes_no_such_image() {
    let folder = Folder::new();
    let good = image(Numeric::I8);
    let (record, front_end) = (alarm_record(), front_end());
    let wrong = |record: &[u8], at: usize| {
        let mut other = record.to_vec();
        other[at] ^= 64;
        replaced(&good, record, &other)
    };
    folder.write("good.flow", good.bytes());
    folder.write("alarm.flow", wrong(&record, 1).bytes());
    folder.write("front.flow", wrong(&front_end, 0).bytes());
    assert_eq!(folder.flowlet("verify good.flow").code, 0);
    for (name, part) in [("alarm", "alarm settings"), ("front", "front end")] {
        folder.flowlet(&format!("verify {name}.flow")).fails(1, &[part]);
        folder.flowlet(&format!("inspect {name}.flow")).fails(1, &[part]);
        let run = folder.flowlet(&format!("verify {name}.flow --json"));
        let json: serde_json::Value = serde_json::from_str(&run.stdout).expect("JSON");
        assert_eq!((run.code, &json["ok"]), (1, &serde_json::json!(false)), "{run:?}");
    }
}
