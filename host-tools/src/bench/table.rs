//! The cost table as text.

use super::Row;

/// The rows as a table in Markdown.
#[must_use]
pub fn text(rows: &[Row]) -> String {
    rows.iter().map(|row| format!("{row:?}\n")).collect()
}
