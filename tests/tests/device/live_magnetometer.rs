//! A magnetometer on I2C, watched live: the alarm pin and the log follow the field, the scores have the host's bits, and
//! every fault of the sensor is told apart from an anomaly.
//!
//! The test and the firmware go hand in hand: the field is set over QMP, an edge of the data-ready line asks for one
//! sample, and the line of the log that belongs to it is awaited. Nothing depends on the time that anything takes.

use std::sync::OnceLock;

use flowlet::stream::health::{Health, Sample, Settings};
use flowlet::stream::{Alarm, AlarmSettings, Detector, Event, Readings, Surprise, Votes};
use flowlet::Scorer;
use flowlet_tests::live::{bits, field, find, Stand};
use flowlet_tests::{metadata, trained, Random};
use flowlet_tools::device::{static_bytes, Board, Firmware, Live, Qemu};
use flowlet_tools::export::{build, Calibration, ImageFile, Numeric};
use flowlet_tools::training::{BaseKind, TrainConfig};

/// The LEDs of the FPGA.
const LEDS: u32 = 0x4002_8000;
/// In a row, each the same as the first.
const RUNS: usize = 20;
const NORMAL: usize = 60;
const ABNORMAL: usize = 12;

/// A machine turns beside the sensor: the field's tip runs on a circle, and the room warms up and cools down.
/// With a smaller radius each axis for itself is as it always was.
fn counts(random: &mut Random, radius: f32, angle: f32, share: f32) -> [i16; 4] {
    let mut around = |center: f32, noise: f32| (center + noise * random.normal()).round() as i16;
    [
        around(900.0 + radius * angle.cos(), 12.0),
        around(900.0 + radius * angle.sin(), 12.0),
        around(400.0, 8.0),
        around(200.0 + 24.0 * share, 1.0),
    ]
}

const RADIUS: f32 = 300.0;

fn readings(rows: usize, seed: u64) -> Vec<f32> {
    let mut random = Random(seed);
    let mut row = || {
        let (angle, share) = (std::f32::consts::TAU * random.uniform(), 2.0 * random.uniform() - 1.0);
        counts(&mut random, RADIUS, angle, share).map(f32::from)
    };
    (0..rows).flat_map(|_| row()).collect()
}

/// Trained once in a process, in seconds.
fn image() -> &'static ImageFile {
    static IMAGE: OnceLock<ImageFile> = OnceLock::new();
    IMAGE.get_or_init(|| {
        let config = TrainConfig { base: BaseKind::Mixture, components: 12, layers: 2, ..trained::quick() };
        let flow = trained::fit(&readings(4000, 1), 4, &config);
        let calibration = readings(4000, 2);
        let calibration = Calibration { readings: &calibration, false_alarm_rate: 0.01 };
        build(&flow, Numeric::I8, &metadata(4), calibration).expect("an image")
    })
}

/// Every field that a run goes through: normal, abnormal, normal again.
fn fields() -> Vec<[i16; 4]> {
    let mut random = Random(3);
    let mut at = |turn: usize, radius| {
        let turn = turn as f32;
        counts(&mut random, radius, 0.35 * turn, (0.05 * turn).sin())
    };
    let mut fields: Vec<_> = (0..NORMAL).map(|turn| at(turn, RADIUS)).collect();
    fields.extend((NORMAL..NORMAL + ABNORMAL).map(|turn| at(turn, 0.3 * RADIUS)));
    fields.extend((NORMAL + ABNORMAL..NORMAL + 2 * ABNORMAL).map(|turn| at(turn, RADIUS)));
    fields
}

/// What the host's detector, with the firmware's settings, says of the fields.
fn on_host(fields: &[[i16; 4]]) -> Vec<Option<Event>> {
    let model = image().model().expect("a good image");
    let mut workspace = vec![0; model.workspace_bytes() / 4];
    let scorer = Scorer::new(&model, &mut workspace).expect("enough workspace");
    let votes = Votes { needed: 3, of: 5, level: Surprise::from_bits(6), clear: Surprise::from_bits(4) };
    let alarm = Alarm::new(AlarmSettings::new(Some(votes), None, None, 0).expect("good settings"));
    let health = Health::new(Settings::default());
    let mut detector = Detector::new(health, Readings::default(), scorer, alarm).expect("four features");
    let sample = |(counter, &counts)| Sample { ticks: 0, counter, overruns: 0, reading: Ok(counts) };
    (0..).zip(fields).map(sample).map(|sample| detector.push(&sample)).collect()
}

/// The board at work, its first lines read.
fn stand(qemu: &Qemu, firmware: &Firmware, with_sensor: bool) -> Stand {
    let mut stand = Stand::start(qemu, &firmware.elf, image().bytes(), with_sensor, "shift=0");
    assert_eq!(stand.line(), "INFO self-test passes: true");
    assert_eq!(stand.line(), "INFO watching");
    stand
}

/// Sets the field, asks for a sample, and awaits the line of the log.
fn step(stand: &mut Stand, counts: [i16; 4]) -> String {
    stand.set_field(counts);
    stand.data_ready();
    stand.line()
}

#[test]
fn pin_and_log_follow_the_field_with_the_hosts_bits() {
    let test = "pin_and_log_follow_the_field_with_the_hosts_bits";
    let Some((qemu, firmware)) = find(Board::Mps2An386, Live::Magnetometer, test) else { return };
    let fields = fields();
    let expected = on_host(&fields);
    let mut first: Option<Vec<String>> = None;
    let mut delays = Vec::new();
    for run in 0..RUNS {
        let mut stand = stand(&qemu, &firmware, true);
        let mut raised = None;
        let mut lines = Vec::new();
        for (turn, (&counts, event)) in fields.iter().zip(&expected).enumerate() {
            let line = step(&mut stand, counts);
            let Some(Event::Scored(score, verdict, ())) = event else { panic!("{turn}: {event:?}") };
            assert!(
                line.contains(&format!("counter: {turn}, overruns: 0, reading: Ok({counts:?})")),
                "{line}"
            );
            assert_eq!(bits(&line, "log_prob"), score.log_prob.to_bits(), "{line} {score:?}");
            assert_eq!(bits(&line, "p_value"), score.p_value.to_bits(), "{line} {score:?}");
            assert_eq!(bits(&line, "score"), score.score.to_bits(), "{line} {score:?}");
            assert!(line.contains(&format!("}}, {verdict:?}, ())")), "{line} {verdict:?}");
            let pin = stand.qmp.word(LEDS) & 1 == 1;
            assert_eq!((pin, field(&line, "pin")), (verdict.is_on(), pin.to_string().as_str()), "{line}");
            if pin && raised.is_none() {
                raised = Some(turn);
            }
            // The time is the machine's, all else must be the same in each run.
            lines.push(line.split_once("counter").map(|(_, rest)| rest.to_owned()).expect("a counter"));
        }
        let raised = raised.unwrap_or_else(|| panic!("run {run}: no alarm:\n{}", lines.join("\n")));
        assert!(raised >= NORMAL, "run {run}: a false alarm at {raised}:\n{}", lines.join("\n"));
        delays.push(raised + 1 - NORMAL);
        assert_eq!(stand.qmp.word(LEDS) & 1, 0, "the pin falls when the field is normal again");
        assert_eq!(&lines, first.get_or_insert_with(|| lines.clone()), "run {run}");
    }
    // One axis for itself would not show it.
    let normal = readings(4000, 1);
    for counts in &fields[NORMAL..NORMAL + ABNORMAL] {
        for (axis, &count) in counts.iter().enumerate() {
            let column = || normal.iter().skip(axis).step_by(4).copied();
            let (low, high) = (column().fold(f32::MAX, f32::min), column().fold(f32::MIN, f32::max));
            assert!((low..=high).contains(&f32::from(count)), "axis {axis}: {count} is not in {low}..{high}");
        }
    }
    assert!(delays.iter().all(|&delay| delay == delays[0] && delay <= 5), "{delays:?}");
    println!("{RUNS} runs alike; detection delay: {} samples, of which three must vote", delays[0]);
    // The board lends any image this much.
    const WORKSPACE: u64 = 512 << 10;
    let statics = static_bytes(&firmware.elf).expect("an ELF file");
    let (code, besides) = (firmware.code_bytes, statics.checked_sub(WORKSPACE).expect("the workspace"));
    println!("{code} bytes of code and constants; {besides} of static RAM besides the workspace");
}

#[test]
fn faults_of_the_sensor_are_reported_as_such() {
    let test = "faults_of_the_sensor_are_reported_as_such";
    let Some((qemu, firmware)) = find(Board::Mps2An386, Live::Magnetometer, test) else { return };
    let mut random = Random(4);
    let mut normal = |turn: usize| counts(&mut random, RADIUS, 0.35 * turn as f32, 0.0);

    // Nobody on the bus: said once, and scored never.
    let mut unplugged = stand(&qemu, &firmware, false);
    let lines = [(); 12].map(|()| {
        unplugged.data_ready();
        unplugged.line()
    });
    assert!(
        lines[0].starts_with("WARN ") && lines[0].contains("Faulty(Unreadable(NoAcknowledge))"),
        "{lines:#?}"
    );
    for line in &lines[1..] {
        assert!(line.contains("reading: Err(NoAcknowledge) } None pin: false"), "{line}");
    }

    let mut stand = stand(&qemu, &firmware, true);
    let until = |stand: &mut Stand, what: &str, field: &mut dyn FnMut(usize) -> [i16; 4]| {
        for turn in 0..40 {
            let line = step(stand, field(turn));
            assert!(line.contains("pin: false") && !line.contains("Raised"), "{line}");
            if line.contains(what) {
                return turn;
            }
        }
        panic!("never {what}")
    };
    until(&mut stand, "Scored", &mut normal);
    // The field does not change by a single count, as it never does.
    let at = until(&mut stand, "Faulty(Stuck { channel: 0, samples: 20 })", &mut |_| [900, 1200, 400, 200]);
    assert_eq!(at, 19, "the twentieth repetition");
    let at = until(&mut stand, "Recovered(Stuck { channel: 0, samples: 20 })", &mut normal);
    assert_eq!(at, 7, "the eighth clean sample");
    // A magnet on the sensor: its y axis stands at the end of its range, the others still move.
    let at = until(&mut stand, "Faulty(Saturated { channel: 1, high: true })", &mut |turn| {
        let [x, _, z, temperature] = normal(turn);
        [x, 2047, z, temperature]
    });
    assert!(at <= 2, "the third saturated sample, at the latest: {at}");
    until(&mut stand, "Recovered(Saturated { channel: 1, high: true })", &mut normal);
    until(&mut stand, "Scored", &mut normal);
}
