//! All that the runtime can say of a row, as one sequence of words: the same code on host and board, so that
//! every word can be compared.

use flowlet::{explain_workspace_words, Error, Explainer, Model, Sampler, Scorer};
use rand_core::RngCore;

/// Readings that are drawn in the context of each row.
pub const SAMPLES: u32 = 2;
/// Stands for a p-value that the image cannot give.
pub const NO_P_VALUE: u32 = u32::MAX;
/// Most inputs of a model.
const MOST_INPUTS: usize = 256;

/// Words of workspace that [`inquire`] needs.
#[must_use]
pub fn workspace_words(model: &Model<'_>) -> usize {
    explain_workspace_words(model).max(model.workspace_bytes() / 4)
}

/// Scores, grades, explains, and draws.
///
/// Sends, floats as bits: log_prob, p-value, score and alarm; value and p-value of `-log_prob`, of the squared norm
/// and of typicality; log_prob, score, typical score, excess of the explanation, and whether its nearest reading is
/// typical; per feature gradient, attribution and nearest normal reading; [`SAMPLES`] readings in the row's context.
///
/// # Errors
/// What the runtime reports; some words may have been sent by then.
pub fn inquire(
    model: &Model<'_>,
    workspace: &mut [u32],
    row: &[f32],
    seed: u64,
    mut send: impl FnMut(u32),
) -> Result<(), Error> {
    let mut scorer = Scorer::new(model, workspace)?;
    let score = scorer.score(row)?;
    [score.log_prob, score.p_value, score.score].iter().for_each(|x| send(x.to_bits()));
    send(u32::from(score.alarm));
    let statistics = scorer.statistics(row)?;
    for graded in [statistics.negative_log_prob, statistics.squared_norm, statistics.typicality] {
        send(graded.value.to_bits());
        send(graded.p_value.map_or(NO_P_VALUE, f32::to_bits));
    }

    let mut explainer = Explainer::new(model, workspace)?;
    let explanation = explainer.explain(row)?;
    let numbers = [explanation.log_prob, explanation.score, explanation.typical_score, explanation.excess];
    numbers.iter().for_each(|x| send(x.to_bits()));
    send(u32::from(explanation.nearest_is_typical));
    for slice in [explanation.gradient, explanation.attribution, explanation.nearest_normal] {
        slice.iter().for_each(|x| send(x.to_bits()));
    }

    let mut sampler = Sampler::new(model, workspace)?;
    let mut random = SplitMix(seed);
    let mut drawn = [0.0; MOST_INPUTS];
    let drawn = drawn.get_mut(..model.features()).ok_or(Error::LogicBug)?;
    let context = row.get(model.features()..).ok_or(Error::LogicBug)?;
    for _ in 0..SAMPLES {
        sampler.sample_in_context(&mut random, context, drawn)?;
        drawn.iter().for_each(|x| send(x.to_bits()));
    }
    Ok(())
}

/// A small generator (Steele, Lea and Flood 2014), so that host and board draw the same.
#[derive(Clone, Debug)]
pub struct SplitMix(pub u64);

impl RngCore for SplitMix {
    fn next_u32(&mut self) -> u32 {
        (self.next_u64() >> 32) as u32
    }

    fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn fill_bytes(&mut self, to: &mut [u8]) {
        for chunk in to.chunks_mut(8) {
            for (to, byte) in chunk.iter_mut().zip(self.next_u64().to_le_bytes()) {
                *to = byte;
            }
        }
    }
}
