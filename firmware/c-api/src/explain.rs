//! Why a reading is unlikely.

use crate::model::{arguments, flowlet_model_t, opened};
use crate::pointers;
use crate::status::flowlet_status_t;
use runtime::Explainer;

/// What there is to say of one reading. The arrays have one entry per feature and lie in the workspace: they are there
/// until it is used again.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct flowlet_explanation_t {
    /// Log-density in nats, with the bits of flowlet_score.
    pub log_prob: f32,
    /// -log_prob of the image's flows combined, in nats.
    pub score: f32,
    /// What normal readings score on average, in nats.
    pub typical_score: f32,
    /// `score` less that of the nearest normal reading, in nats: what is to be explained; 0 for a typical reading.
    pub excess: f32,
    /// Whether a typical reading was found.
    pub nearest_is_typical: bool,
    /// Entries of each array: the number of features.
    pub features: usize,
    /// Slope of the score, in nats per unit of the feature.
    pub gradient: *const f32,
    /// Share of each feature in the excess, in nats; they sum to it.
    pub attribution: *const f32,
    /// The nearest normal reading, in the features' units.
    pub nearest_normal: *const f32,
}

/// Explains a reading: which features made it unlikely, and by how much. Costs some hundred scores for an unlikely
/// reading, and a few for a typical one; in floats, which is slow without an FPU.
///
/// Arguments and errors are those of flowlet_score, but for a workspace of flowlet_explain_workspace_words words.
#[no_mangle]
pub unsafe extern "C" fn flowlet_explain(
    model: *const flowlet_model_t,
    inputs: *const f32,
    count: usize,
    workspace: *mut u32,
    workspace_words: usize,
    result: *mut flowlet_explanation_t,
) -> flowlet_status_t {
    let explain = || {
        // SAFETY: the caller's word.
        let opened = unsafe { opened(model) }?;
        let needed = runtime::explain_workspace_words(opened);
        // SAFETY: the caller's word.
        let (inputs, workspace) = unsafe {
            arguments((model, opened), (inputs, count), (workspace, workspace_words), needed, result)
        }?;
        let mut explainer = Explainer::new(opened, workspace)?;
        let explanation = explainer.explain(inputs)?;
        // SAFETY: the caller's word.
        let result = unsafe { pointers::place(result) }?;
        result.write(flowlet_explanation_t {
            log_prob: explanation.log_prob,
            score: explanation.score,
            typical_score: explanation.typical_score,
            excess: explanation.excess,
            nearest_is_typical: explanation.nearest_is_typical,
            features: explanation.attribution.len(),
            gradient: explanation.gradient.as_ptr(),
            attribution: explanation.attribution.as_ptr(),
            nearest_normal: explanation.nearest_normal.as_ptr(),
        });
        Ok(())
    };
    explain().into()
}
