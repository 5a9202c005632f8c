//! No sample is lost at the sensor's fastest rate; and what is lost when the firmware is held up is counted and reported.

use std::sync::OnceLock;

use flowlet_tests::live::{find, Stand};
use flowlet_tests::{metadata, normal_readings, random_flow, Random};
use flowlet_tools::device::{Board, Live};
use flowlet_tools::export::{build, Calibration, ImageFile, Numeric};

/// Any image of four features: only its cost matters here. Six couplings with nets of 32 units.
fn image() -> &'static ImageFile {
    static IMAGE: OnceLock<ImageFile> = OnceLock::new();
    IMAGE.get_or_init(|| {
        let mut random = Random(1);
        let flow = random_flow(&mut random, 4, 6, &[32, 32]);
        let readings = normal_readings(&mut random, &flow, 1000);
        let calibration = Calibration { readings: &readings, false_alarm_rate: 0.01 };
        build(&flow, Numeric::I8, &metadata(4), calibration).expect("an image")
    })
}

#[test]
fn no_sample_is_lost_at_220_hz_and_every_loss_is_reported() {
    let test = "no_sample_is_lost_at_220_hz_and_every_loss_is_reported";
    let Some((qemu, firmware)) = find(Board::Mps2An386, Live::Sampling, test) else { return };
    // 64 ns an instruction, as on a Cortex-M4 at 25 MHz: the emulated board's clock is the only one.
    let (lines, code) = Stand::start(&qemu, &firmware.elf, image().bytes(), true, "shift=6").rest();
    let all = lines.join("\n");
    assert_eq!(code, Some(0), "{all}");
    assert_eq!(lines[0], "INFO 220 Hz: 1000 samples due, 1000 scored, 0 lost", "{all}");
    let words: Vec<_> = lines[1].split(' ').collect();
    let ["INFO", "slowest", "verdict:", slowest, "of", period, ..] = words[..] else { panic!("{all}") };
    let [slowest, period]: [u32; 2] = [slowest, period].map(|ticks| ticks.parse().expect("ticks"));
    assert!(0 < slowest && slowest < period, "each verdict comes before the next sample: {all}");
    let held_up = [
        "INFO the main loop is held up",
        "INFO Faulty(Overrun { lost: 5 })",
        "INFO Recovered(Overrun { lost: 5 })",
        "INFO interrupts are held back",
        "INFO Faulty(Gap { missed: 2 })",
        "INFO Recovered(Gap { missed: 2 })",
    ];
    assert_eq!(lines[2..], held_up, "{all}");
    println!("{all}");
}
