//! The firmware with an image compiled in: what it logs and what it does to its alarm pin.

use std::path::Path;
use std::time::Duration;

use defmt_decoder::{DecodeError, Table};
use flowlet::{Model, Score, Scorer};
use flowlet_tests::golden;
use flowlet_tools::device::{skips, Binary, Board, DeviceError, Install, Qemu, Source};
use flowlet_tools::export::Numeric;

/// What `compiled_in` puts behind the readings that the image carries.
const WILD: f32 = 1e9;

/// Builds the firmware with an image, runs it, and gives the lines of its log.
fn log(image: &Path) -> Result<Vec<String>, DeviceError> {
    let board = Board::Mps2An386;
    let qemu = Qemu::find(Install::Forbidden)?;
    let binary = Binary::CompiledIn { image: image.into() };
    let firmware = Source::find()?.build(board, &binary, Install::Forbidden)?;
    let run = qemu.run(board, &firmware.elf, None, Duration::from_secs(60))?.success()?;
    let elf = std::fs::read(&firmware.elf).expect("the firmware that just ran");
    Ok(decode(&elf, &run.stdout))
}

fn decode(elf: &[u8], frames: &[u8]) -> Vec<String> {
    let table = Table::parse(elf).expect("a readable firmware").expect("a firmware with a defmt table");
    let mut decoder = table.new_stream_decoder();
    decoder.received(frames);
    let mut lines = Vec::new();
    loop {
        match decoder.decode() {
            Ok(frame) => lines.push(frame.display(false).to_string()),
            Err(DecodeError::UnexpectedEof) => return lines,
            Err(DecodeError::Malformed) => panic!("malformed frame after {lines:#?}"),
        }
    }
}

/// The readings that the firmware scores, scored by the host.
fn on_host(model: &Model<'_>) -> Vec<Score> {
    let wild = vec![WILD; model.features()];
    let mut workspace = vec![0; model.workspace_bytes() / 4];
    let mut scorer = Scorer::new(model, &mut workspace).expect("enough workspace");
    let tame = model.self_test_vectors().map(|(reading, _)| reading);
    tame.chain([wild.as_slice()]).map(|reading| scorer.score(reading).expect("a finite reading")).collect()
}

/// The value behind `name: ` in a line; floats are printed so that they come back to the bit.
fn field<'l>(line: &'l str, name: &str) -> &'l str {
    let (_, rest) = line.split_once(&format!("{name}: ")).unwrap_or_else(|| panic!("no {name} in {line}"));
    rest.split([',', ' ', '}']).next().unwrap_or_default()
}

fn bits(line: &str, name: &str) -> u32 {
    let text = field(line, name);
    text.parse::<f32>().unwrap_or_else(|error| panic!("{text}: {error}")).to_bits()
}

#[test]
fn the_compiled_in_image_scores_as_on_the_host_and_drives_the_pin() {
    let image = golden::image(Numeric::I8);
    let lines = match log(&golden::path(golden::file_name(Numeric::I8))) {
        Ok(lines) => lines,
        Err(DeviceError::Missing(missing)) => {
            let test = "the_compiled_in_image_scores_as_on_the_host_and_drives_the_pin";
            return skips::record(test, &missing);
        }
        Err(error) => panic!("{error}"),
    };
    let model = image.model().expect("a good image");
    let scores = on_host(&model);
    let all = lines.join("\n");
    assert_eq!(lines.len(), 2 + scores.len(), "{all}");
    let workspace = model.workspace_bytes();
    assert!(lines[0].contains(&format!("3 features, {workspace} bytes of workspace")), "{all}");
    // The image is older than the arithmetic: the difference is the host's, and within the tolerance of versions.
    let mut workspace = vec![0; workspace / 4];
    let mut scorer = Scorer::new(&model, &mut workspace).expect("enough workspace");
    let off = scorer.self_test().expect("finite readings");
    assert_eq!(bits(&lines[1].replace("off by", "off by:"), "off by"), off.to_bits(), "{off} {all}");
    assert_eq!(scorer.self_test_passes(), Ok(true), "{off}");
    for (line, score) in lines[2..].iter().zip(&scores) {
        assert_eq!(bits(line, "log_prob"), score.log_prob.to_bits(), "{line}: {score:?}");
        assert_eq!(bits(line, "p_value"), score.p_value.to_bits(), "{line}: {score:?}");
        assert_eq!(bits(line, "score"), score.score.to_bits(), "{line}: {score:?}");
        assert_eq!(field(line, "alarm"), score.alarm.to_string(), "{line}: {score:?}");
        let pin = if score.alarm { "pin high" } else { "pin low" };
        assert!(line.ends_with(pin), "{line}: {score:?}");
    }
    let alarms = scores.iter().filter(|score| score.alarm).count();
    assert!(0 < alarms && alarms < scores.len(), "both levels of the pin must occur:\n{all}");
    println!("{} readings alike, {alarms} alarms\n{all}", scores.len());
}
