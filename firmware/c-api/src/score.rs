//! A reading in, a score out.

use crate::model::{self, arguments, flowlet_model_t, opened};
use crate::pointers::{self, Span};
use crate::status::{flowlet_status_t, FLOWLET_ERROR_SELF_TEST};
use runtime::{Graded, Scorer};

/// What a flow says of one reading.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct flowlet_score_t {
    /// Log-density in nats, in the units of the features.
    pub log_prob: f32,
    /// Share of normal readings that are at least as unlikely, from 0 to 1.
    pub p_value: f32,
    /// The calibrated statistic that the image chose: larger is more anomalous.
    pub score: f32,
    /// Whether the statistic exceeds the image's threshold.
    pub alarm: bool,
}

/// A statistic and how rare it is.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct flowlet_graded_t {
    /// The statistic: larger is more anomalous.
    pub value: f32,
    /// Share of normal readings with at least this value, from 0 to 1; 1 if the image holds no calibration of it.
    pub p_value: f32,
    /// Whether the image holds one.
    pub has_p_value: bool,
}

/// All that one pass over a reading says.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct flowlet_statistics_t {
    /// Log-density in nats, in the units of the features.
    pub log_prob: f32,
    /// -log_prob of the image's flows combined, in nats.
    pub negative_log_prob: flowlet_graded_t,
    /// |z|^2 of the base variable.
    pub squared_norm: flowlet_graded_t,
    /// |log_prob + entropy| of the flows combined, in nats: too likely counts as anomalous too.
    pub typicality: flowlet_graded_t,
}

/// Scores a reading of `count` inputs: the features in their units, in the order of the model, then the context.
///
/// `workspace` has `workspace_words` words, at least flowlet_workspace_words; it holds nothing between calls. The
/// result is the same to the bit on every chip and on the host.
///
/// FLOWLET_ERROR_NOT_FINITE: an input is NaN or infinite. `result` is written to only with FLOWLET_OK.
#[no_mangle]
pub unsafe extern "C" fn flowlet_score(
    model: *const flowlet_model_t,
    inputs: *const f32,
    count: usize,
    workspace: *mut u32,
    workspace_words: usize,
    result: *mut flowlet_score_t,
) -> flowlet_status_t {
    let score = || {
        // SAFETY: the caller's word.
        let opened = unsafe { opened(model) }?;
        let needed = opened.workspace_bytes() / 4;
        // SAFETY: the caller's word.
        let (inputs, workspace) = unsafe {
            arguments((model, opened), (inputs, count), (workspace, workspace_words), needed, result)
        }?;
        let score = Scorer::new(opened, workspace)?.score(inputs)?;
        // SAFETY: the caller's word.
        let result = unsafe { pointers::place(result) }?;
        result.write(flowlet_score_t {
            log_prob: score.log_prob,
            p_value: score.p_value,
            score: score.score,
            alarm: score.alarm,
        });
        Ok(())
    };
    score().into()
}

/// Every statistic of a reading from one pass: costs a little more than flowlet_score. Arguments and errors are those
/// of flowlet_score.
#[no_mangle]
pub unsafe extern "C" fn flowlet_statistics(
    model: *const flowlet_model_t,
    inputs: *const f32,
    count: usize,
    workspace: *mut u32,
    workspace_words: usize,
    result: *mut flowlet_statistics_t,
) -> flowlet_status_t {
    let statistics = || {
        // SAFETY: the caller's word.
        let opened = unsafe { opened(model) }?;
        let needed = opened.workspace_bytes() / 4;
        // SAFETY: the caller's word.
        let (inputs, workspace) = unsafe {
            arguments((model, opened), (inputs, count), (workspace, workspace_words), needed, result)
        }?;
        let statistics = Scorer::new(opened, workspace)?.statistics(inputs)?;
        // SAFETY: the caller's word.
        let result = unsafe { pointers::place(result) }?;
        result.write(flowlet_statistics_t {
            log_prob: statistics.log_prob,
            negative_log_prob: graded(statistics.negative_log_prob),
            squared_norm: graded(statistics.squared_norm),
            typicality: graded(statistics.typicality),
        });
        Ok(())
    };
    statistics().into()
}

fn graded(graded: Graded) -> flowlet_graded_t {
    flowlet_graded_t {
        value: graded.value,
        p_value: graded.p_value.unwrap_or(1.0),
        has_p_value: graded.p_value.is_some(),
    }
}

/// Scores the readings that the image brings for it, once at start-up: FLOWLET_OK if they score as the image says, or
/// FLOWLET_ERROR_SELF_TEST. The workspace is that of flowlet_score.
#[no_mangle]
pub unsafe extern "C" fn flowlet_self_test(
    model: *const flowlet_model_t,
    workspace: *mut u32,
    workspace_words: usize,
) -> flowlet_status_t {
    let test = || {
        // SAFETY: the caller's word.
        let opened = unsafe { opened(model) }?;
        let needed = opened.workspace_bytes() / 4;
        // SAFETY: the caller's word.
        let words = unsafe { model::workspace((workspace, workspace_words), needed, [Span::new(model, 1)]) }?;
        if Scorer::new(opened, words)?.self_test_passes()? {
            Ok(())
        } else {
            Err(FLOWLET_ERROR_SELF_TEST)
        }
    };
    test().into()
}
