//! From raw samples to scores, host and emulated chip give the same bits: features in f32 and in integers, and scores.

use flowlet::stream::front_end::{Extractor, Form, Samples};
use flowlet::stream::{extract, Sample, Window};
use flowlet::Scorer;
use flowlet_tests::streams::{edges, image, Plan};
use flowlet_tests::Random;
use flowlet_tools::device::{
    is_soft_float, skips, static_bytes, symbols, Board, DeviceError, Inquirer, Install,
};
use flowlet_tools::export::{Core, ImageFile, Numeric};

fn inquirer(board: Board, test: &str) -> Option<Inquirer> {
    match Inquirer::of_windows(board, Install::Forbidden) {
        Ok(inquirer) => Some(inquirer),
        Err(DeviceError::Missing(missing)) => {
            skips::record(test, &missing);
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// What the board is to answer, computed here.
fn on_host<T: Sample>(image: &ImageFile, samples: &[f32], sample: fn(f32) -> T) -> Vec<Vec<u32>>
where
    T::Word: Default,
{
    let model = image.model().expect("a good image");
    let front_end = model.front_end().expect("a front end");
    let mut window = Box::new(Window::<T, 8192>::new(&front_end).expect("room"));
    let mut scratch = vec![T::Word::default(); front_end.scratch_words()];
    let mut features = vec![0.0; front_end.features()];
    let mut workspace = vec![0; model.workspace_bytes() / 4];
    let mut scorer = Scorer::new(&model, &mut workspace).expect("enough workspace");
    let mut answers = Vec::new();
    for row in samples.chunks_exact(front_end.channel_count()) {
        let values: Vec<T> = row.iter().map(|&x| sample(x)).collect();
        if !window.push(&values).expect("as many channels") {
            continue;
        }
        let features = extract(&front_end, &window, &mut scratch, &mut features).expect("features");
        let score = scorer.score(features).expect("finite features");
        let mut words: Vec<u32> = features.iter().map(|x| x.to_bits()).collect();
        words.extend([score.log_prob, score.p_value, score.score].map(f32::to_bits));
        words.push(u32::from(score.alarm));
        answers.push(words);
    }
    answers
}

/// Noise, silence, impacts, full scale: counts, sample by sample.
fn counts(random: &mut Random, channels: usize, length: usize) -> Vec<f32> {
    let mut samples = Vec::new();
    for at in 0..length {
        for channel in 0..channels {
            let part = at * 8 / length;
            let x = match part {
                0 | 1 => 900.0 * random.normal(),
                2 => 17.0,
                3 => f32::from(u8::from(at == 3 * length / 8 + 40)),
                4 => 30.0 * random.normal() + if at % 61 == 7 { 9000.0 } else { 0.0 },
                5 => 8000.0 * (at as f32 * (0.3 + channel as f32)).sin() + 12_000.0,
                6 if at % 16 < 8 => 32_767.0,
                6 => -32_768.0,
                _ => 5.0 * random.normal(),
            };
            samples.push(x.round().clamp(-32_768.0, 32_767.0));
        }
    }
    samples
}

fn compare(board: Board, test: &str, numerics: &[Numeric], core: Core, plans: &[(Plan, usize, Vec<u8>)]) {
    let Some(inquirer) = inquirer(board, test) else { return };
    let mut random = Random(21);
    let mut compared = 0;
    for (plan, channels, record) in plans {
        for &numeric in numerics {
            let image = image(&mut random, record, numeric, core);
            let mut samples = counts(&mut random, *channels, 9 * usize::from(plan.window));
            let expected = match plan.samples {
                Samples::F32 => {
                    samples.iter_mut().for_each(|x| *x *= plan.scale);
                    on_host::<f32>(&image, &samples, |x| x)
                }
                Samples::I16 => on_host::<i16>(&image, &samples, |x| x as i16),
            };
            let found = inquirer
                .run_windows(image.bytes(), &samples, *channels, expected.len())
                .unwrap_or_else(|error| panic!("{board} {plan:?}: {error}"));
            assert_eq!(found.rows.len(), expected.len());
            for (window, (device, host)) in found.rows.iter().zip(&expected).enumerate() {
                assert_eq!(device.as_ref(), Ok(host), "{board} {numeric:?} {plan:?}: window {window}");
            }
            compared += expected.len();
            println!(
                "{board} {:?} {numeric:?}, {} x {channels}, hop {}, {} features: {:.0} instructions per window and score, \
                 {} bytes of stack",
                plan.samples,
                plan.window,
                plan.hop,
                image.model().expect("a good image").inputs(),
                found.instructions_per_explanation.expect("windows"),
                found.stack_bytes
            );
        }
    }
    println!("{board}: {compared} windows alike");
    assert!(compared >= 70, "{compared}");
}

#[test]
fn features_and_scores_give_the_hosts_bits_on_a_cortex_m4f() {
    let mut plans = Vec::new();
    for (samples, windows) in
        [(Samples::F32, [64u16, 512, 2048, 4096]), (Samples::I16, [64, 256, 1024, 2048])]
    {
        for (window, form) in windows.into_iter().zip([Form::Plain, Form::Log2, Form::Log2, Form::Plain]) {
            let hop = u32::from(window) / 3;
            let plan = Plan { samples, window, hop, rate: 5000.0, scale: 1e-3, floor: 1e-4 };
            // Of two channels of 4,096 the window of the firmware has just enough.
            plans.push((plan, 2, plan.everything(form)));
        }
    }
    let test = "features_and_scores_give_the_hosts_bits_on_a_cortex_m4f";
    compare(Board::Mps2An386, test, &[Numeric::F32, Numeric::I8], Core::CortexM4F, &plans);
}

/// Three channels of 256: what an accelerometer on a micro:bit gives.
fn three_axes() -> (Plan, Vec<u8>) {
    let samples = Samples::I16;
    let plan = Plan { samples, window: 256, hop: 128, rate: 400.0, scale: 1e-3, floor: 1e-4 };
    let bands = edges(&[2, 8, 16, 32, 64, 128]);
    let modulations = edges(&[2, 4, 8, 16]);
    let form = Form::Log2;
    let mut extractors = Vec::new();
    for channel in 0..3 {
        extractors.extend([
            Extractor::Rms { channel, form },
            Extractor::Crest { channel, form },
            Extractor::Kurtosis { channel, form },
            Extractor::Bands { channel, form, edges: &bands },
            Extractor::Envelope { channel, form, from: 32, to: 64, edges: &modulations },
        ]);
    }
    (plan, plan.record(3, &extractors))
}

#[test]
fn features_and_scores_give_the_hosts_bits_on_a_cortex_m0() {
    let (plan, record) = three_axes();
    let everything = Plan { window: 128, hop: 50, ..plan };
    let plans = [(plan, 3, record), (everything, 2, everything.everything(Form::Plain))];
    let test = "features_and_scores_give_the_hosts_bits_on_a_cortex_m0";
    compare(Board::Microbit, test, &[Numeric::I8, Numeric::I16], Core::CortexM0, &plans);
}

/// What the issue of a whole detector on a Cortex-M0 allows: 12 KB of RAM, 48 KB of flash, and no soft float.
#[test]
fn the_whole_way_fits_a_cortex_m0() {
    let Some(inquirer) = inquirer(Board::Microbit, "the_whole_way_fits_a_cortex_m0") else { return };
    let (_, record) = three_axes();
    let mut random = Random(22);
    let image = image(&mut random, &record, Numeric::I8, Core::CortexM0);
    let samples = counts(&mut random, 3, 300);
    let found = inquirer.run_windows(image.bytes(), &samples, 3, 1).expect("an answer");
    let firmware = inquirer.firmware();
    let statics = static_bytes(&firmware.elf).expect("an ELF file") as usize;
    let (ram, flash) =
        (statics + found.stack_bytes as usize, firmware.code_bytes as usize + image.bytes().len());
    println!(
        "{ram} bytes of RAM ({statics} of statics, {} of stack), {flash} of flash ({} of image)",
        found.stack_bytes,
        image.bytes().len()
    );
    assert!(ram <= 12 << 10, "{ram}");
    assert!(flash <= 48 << 10, "{flash}");
    assert_eq!(symbols(&firmware.elf, is_soft_float).expect("symbols"), Vec::<String>::new());
}
