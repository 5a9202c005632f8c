//! A detector whose model is part of the firmware.
//!
//! The workspace is sized when the firmware is compiled, scores go out as defmt frames, and the
//! alarm drives a pin. The model is `models/model.flow`, or what `FLOWLET_IMAGE` names at build
//! time.
#![no_std]
#![no_main]

use defmt_semihosting as _;
use embedded_hal::digital::StatefulOutputPin;
use flowlet::{Model, Scorer};
use flowlet_firmware::board::{self, Board};
use flowlet_firmware::exit_code;

static IMAGE: &[u8] = flowlet::include_image!(concat!(env!("OUT_DIR"), "/model.flow"));

/// What the scorer works in: known from the image, at compile time.
const WORKSPACE_WORDS: usize = flowlet::workspace_words(IMAGE);

/// The wild reading below has at most so many features.
const MOST_FEATURES: usize = 256;

#[cortex_m_rt::entry]
fn main() -> ! {
    let Some(mut board) = Board::take() else { board::exit(exit_code::FAILED) };
    match watch(&mut board.alarm) {
        Ok(()) => board::exit(exit_code::DONE),
        Err(error) => {
            defmt::error!("stopped: {}", error);
            board::exit(exit_code::FAILED)
        }
    }
}

/// Scores readings, one after the other; the pin is high while the last one was an alarm. In place
/// of a sensor stand the readings that the image carries to test itself, and one that is wild in
/// every feature.
fn watch<P: StatefulOutputPin>(pin: &mut P) -> Result<(), flowlet::Error> {
    let model = Model::from_bytes(IMAGE)?;
    let mut workspace = [0; WORKSPACE_WORDS];
    let mut scorer = Scorer::new(&model, &mut workspace)?;
    defmt::info!("{} features, {} bytes of workspace", model.features(), 4 * WORKSPACE_WORDS);
    defmt::info!("self-test: off by {} nats at most", scorer.self_test()?);

    let wild = [1.0e9; MOST_FEATURES];
    let tame = model.self_test_vectors().map(|(reading, _)| reading);
    for reading in tame.chain(wild.get(..model.features())) {
        let score = scorer.score(reading)?;
        let driven = if score.alarm { pin.set_high() } else { pin.set_low() };
        match driven.and_then(|()| pin.is_set_high()) {
            Ok(high) => defmt::info!("{} pin {}", score, if high { "high" } else { "low" }),
            Err(_) => defmt::warn!("{}, but the alarm pin does not obey", score),
        }
    }
    Ok(())
}
