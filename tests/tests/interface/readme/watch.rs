use embedded_hal::digital::{OutputPin, PinState};

static IMAGE: &[u8] = flowlet::include_image!("../../../golden/v1-i8.flow");
const WORDS: usize = flowlet::workspace_words(IMAGE);

fn watch(readings: impl Iterator<Item = [f32; 3]>, alarm: &mut impl OutputPin) -> Result<(), flowlet::Error> {
    let model = flowlet::Model::from_bytes(IMAGE)?; // checked once; nothing after it panics
    let mut workspace = [0; WORDS]; // all the RAM that scoring needs
    let mut scorer = flowlet::Scorer::new(&model, &mut workspace)?;
    for reading in readings {
        let score = scorer.score(&reading)?; // log_prob, p_value, score, alarm
        alarm.set_state(PinState::from(score.alarm)).ok();
    }
    Ok(())
}
