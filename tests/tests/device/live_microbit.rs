//! A whole detector on a Cortex-M0 with 16 KB of RAM: integers alone, from samples to LED and serial line.

use std::time::Duration;

use flowlet::stream::front_end::{Extractor, Form, Samples};
use flowlet::stream::health::{Channel, Fault, Health, Sample, Settings};
use flowlet::stream::{Alarm, AlarmSettings, Detector, Event, Surprise, Votes, Window, Windows};
use flowlet::Scorer;
use flowlet_tests::live::find;
use flowlet_tests::streams::{edges, features, Plan};
use flowlet_tests::{metadata, trained, Random};
use flowlet_tools::device::{is_f64, is_panic, is_soft_float, static_bytes, symbols, Board, Live};
use flowlet_tools::export::{arrange, build, Calibration, Core, ImageFile, Metadata, Numeric};
use flowlet_tools::training::TrainConfig;

const CHANNELS: usize = 3;

/// A hum that all axes share and noise of their own; with `impacts` a knock at every 41st sample, as loud as the noise.
fn sample(random: &mut Random, at: usize, impacts: bool) -> [i16; CHANNELS] {
    let hum = 400.0 * (0.21 * at as f32).sin();
    let knock = if impacts && at % 41 < 4 { 500.0 } else { 0.0 };
    [1.0, 0.6, -0.8].map(|share| (share * hum + 60.0 * random.normal() + knock).round() as i16)
}

/// Windows of 256 at 400 Hz: loudness, shape and octaves of each axis.
fn record() -> Vec<u8> {
    let plan = Plan { samples: Samples::I16, window: 256, hop: 128, rate: 400.0, scale: 1e-3, floor: 1e-3 };
    let (form, edges) = (Form::Log2, edges(&[2, 8, 16, 32, 64, 128]));
    let extractors: Vec<_> = (0..CHANNELS as u8)
        .flat_map(|channel| {
            [
                Extractor::Rms { channel, form },
                Extractor::Kurtosis { channel, form },
                Extractor::Bands { channel, form, edges: &edges },
            ]
        })
        .collect();
    plan.record(CHANNELS as u8, &extractors)
}

fn image() -> ImageFile {
    let record = record();
    let mut random = Random(1);
    let rows = |random: &mut Random, length: usize| {
        let samples: Vec<_> = (0..length).map(|at| sample(random, at, false)).collect();
        let channels: Vec<Vec<i16>> = (0..CHANNELS).map(|c| samples.iter().map(|s| s[c]).collect()).collect();
        features(&record, &channels)
    };
    let (training, calibration) = (rows(&mut random, 200_000), rows(&mut random, 100_000));
    let inputs = training[0].len();
    let config = TrainConfig { layers: 2, hidden: vec![12], ..trained::quick() };
    let flow = trained::fit(&training.concat(), inputs, &config);
    let metadata = Metadata { front_end: record.clone(), ..metadata(inputs) };
    let readings = calibration.concat();
    let calibration = Calibration { readings: &readings, false_alarm_rate: 0.01 };
    arrange(&build(&flow, Numeric::I8, &metadata, calibration).expect("an image"), Core::CortexM0)
        .expect("an order")
}

/// Normal; impacts; normal; the second axis stands still; normal.
const PARTS: [usize; 5] = [4000, 2000, 3000, 200, 2000];

fn recording() -> Vec<[i16; CHANNELS]> {
    let mut random = Random(2);
    let parts = PARTS.iter().enumerate().flat_map(|(part, &length)| vec![part; length]);
    let one = |(at, part)| {
        let mut counts = sample(&mut random, at, part == 1);
        if part == 3 {
            counts[1] = 77;
        }
        counts
    };
    parts.enumerate().map(one).collect()
}

/// What the host's detector, with the firmware's settings, says of the recording.
fn on_host(image: &ImageFile, recording: &[[i16; CHANNELS]]) -> Vec<String> {
    let model = image.model().expect("a good image");
    let mut workspace = vec![0; model.workspace_bytes() / 4];
    let scorer = Scorer::new(&model, &mut workspace).expect("enough workspace");
    let front_end = model.front_end().expect("a front end");
    let (mut window, mut scratch, mut features) = (Window::<i16, 768>::empty(), [0; 256], [0.0; 48]);
    let front = Windows::new(front_end, &mut window, &mut scratch, &mut features).expect("room");
    let votes = Votes { needed: 2, of: 3, level: Surprise::from_bits(6), clear: Surprise::from_bits(3) };
    let alarm = Alarm::new(AlarmSettings::new(Some(votes), None, None, 0).expect("good settings"));
    let channel = Channel { stuck_after: 32, ..Channel::default() };
    let health = Health::new(Settings { channels: [channel; CHANNELS], ..Settings::default() });
    let mut detector = Detector::new(health, front, scorer, alarm).expect("as many features");
    let mut lines = Vec::new();
    for (counter, &counts) in (0u32..).zip(recording) {
        let event = detector.push(&Sample { ticks: 0, counter, overruns: 0, reading: Ok(counts) });
        lines.extend(event.map(|event| match event {
            Event::Scored(score, verdict, ()) => {
                let letter = &format!("{verdict:?}")[..1];
                let (log_prob, p_value) = (score.log_prob.to_bits(), score.p_value.to_bits());
                format!("S {counter:08x} {log_prob:08x} {p_value:08x} {letter} {}", u8::from(verdict.is_on()))
            }
            Event::Faulty(Fault::Stuck { channel, .. }) => format!("F {counter:08x} K {channel:08x}"),
            Event::Recovered(_) => format!("R {counter:08x}"),
            other => panic!("{counter}: {other:?}"),
        }));
    }
    lines
}

#[test]
fn a_whole_detector_fits_a_microbit_and_says_what_the_host_says() {
    let test = "a_whole_detector_fits_a_microbit_and_says_what_the_host_says";
    let Some((qemu, firmware)) = find(Board::Microbit, Live::Microbit, test) else { return };
    let (image, recording) = (image(), recording());
    let mut job = image.bytes().to_vec();
    job.resize(job.len().next_multiple_of(4), 0);
    job.extend((recording.len() as u32).to_le_bytes());
    job.extend(recording.iter().flatten().flat_map(|count| count.to_le_bytes()));
    let run = qemu.run(Board::Microbit, &firmware.elf, Some(&job), Duration::from_secs(120));
    let run = run.and_then(flowlet_tools::device::Finished::success).expect("a run");
    let text = String::from_utf8(run.serial).expect("text");
    let mut lines: Vec<&str> = text.lines().collect();
    let end = lines.pop().expect("a last line");
    let stack = end.strip_prefix("E ").and_then(|hex| usize::from_str_radix(hex, 16).ok()).expect("a stack");
    assert_eq!(lines, on_host(&image, &recording));

    let at = |line: &str| usize::from_str_radix(&line[2..10], 16).expect("a sample's number");
    let raised: Vec<_> = lines.iter().filter(|line| line.contains(" R ")).map(|line| at(line)).collect();
    let cleared: Vec<_> = lines.iter().filter(|line| line.contains(" C ")).map(|line| at(line)).collect();
    let faults: Vec<_> = lines.iter().filter(|line| line.starts_with('F')).collect();
    let (onset, end) = (PARTS[0], PARTS[0] + PARTS[1]);
    assert!(matches!(raised[..], [at] if (onset..end).contains(&at)), "{raised:?}\n{text}");
    assert!(matches!(cleared[..], [at] if (end..end + 1500).contains(&at)), "{cleared:?}\n{text}");
    // A fault of the sensor, 32 samples after it began, and no alarm with it.
    let still = end + PARTS[2];
    assert_eq!(faults.len(), 1, "{text}");
    assert!(
        (still + 31..still + 33).contains(&at(faults[0])) && faults[0].ends_with("K 00000001"),
        "{faults:?}"
    );

    let statics = static_bytes(&firmware.elf).expect("an ELF file") as usize;
    let (ram, code) = (statics + stack, firmware.code_bytes as usize);
    let flash = code + image.bytes().len();
    println!(
        "{ram} bytes of RAM ({statics} of statics, {stack} of stack), {flash} of flash ({code} of code, {} of image); \
         {} windows; the alarm came {} samples after the impacts began",
        image.bytes().len(),
        lines.len() - 2,
        raised[0] - onset
    );
    assert!(ram <= 12 << 10, "{ram}");
    assert!(flash <= 48 << 10, "{flash}");
    let unwanted = |name: &str| is_soft_float(name) || is_f64(name) || is_panic(name);
    assert_eq!(symbols(&firmware.elf, unwanted).expect("symbols"), Vec::<String>::new());
}
