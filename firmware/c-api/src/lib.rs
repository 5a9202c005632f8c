//! The C API of flowlet: `flowlet.h` is generated from this crate, `libflowlet.a` is this crate.
//!
//! Every function checks what it is given once and is total after it: a pointer that is NULL, misaligned or too short
//! by the length beside it is an error code, never a fault. What no check can see is the caller's word, under
//! *Safety* below. No heap, no global state, no panic.
//!
//! # Safety
//! Of every function here: a pointer that is not NULL points to as many values as the length beside it says (one, if
//! there is none), which nothing else writes to during the call; the image stays where it is, unchanged, for as long
//! as a model of it is used; a model is what `flowlet_open` wrote, or zeros.
#![no_std]
#![allow(unsafe_code, reason = "pointers from C")]
#![allow(non_camel_case_types, reason = "the names that C sees")]
#![allow(clippy::missing_safety_doc, reason = "the same for all: see the crate's documentation")]

mod alarm;
mod explain;
mod model;
mod pointers;
mod score;
mod status;
mod stream;
mod support;

pub use alarm::{
    flowlet_alarm_settings, flowlet_alarm_settings_t, flowlet_alarm_start, flowlet_alarm_t,
    flowlet_alarm_update, flowlet_verdict_t, FLOWLET_ALARM_WORDS,
};
pub use explain::{flowlet_explain, flowlet_explanation_t};
pub use model::{
    flowlet_context_count, flowlet_explain_workspace_words, flowlet_feature_count, flowlet_image_bytes,
    flowlet_input_name, flowlet_input_unit, flowlet_model_t, flowlet_open, flowlet_text_t,
    flowlet_workspace_words, FLOWLET_MODEL_WORDS,
};
pub use score::{
    flowlet_graded_t, flowlet_score, flowlet_score_t, flowlet_self_test, flowlet_statistics,
    flowlet_statistics_t,
};
pub use status::{flowlet_status_t, flowlet_strerror};
pub use stream::{
    flowlet_channel_count, flowlet_features, flowlet_push, flowlet_push_counts, flowlet_stream_clear,
    flowlet_stream_open, flowlet_stream_t, flowlet_stream_words, FLOWLET_STREAM_WORDS,
};

/// Nothing in the library panics, so that this is not linked; a compiler asks for it all the same.
#[cfg(target_os = "none")]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
