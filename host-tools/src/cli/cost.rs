//! Predicted cost of a score, without running it.

use crate::export::Numeric;
use crate::flow::Flow;
use serde_json::{Map, Value};

/// Instructions per score by core.
pub(super) fn instructions(flow: &Flow, numeric: Numeric) -> Map<String, Value> {
    let mut map = Map::new();
    map.insert("cortex-m4f".to_owned(), Value::from(cortex_m4f(flow, numeric)));
    map
}

fn cortex_m4f(flow: &Flow, _numeric: Numeric) -> u64 {
    flow.macs() as u64 * 2
}
