//! Committed figures, and whether new ones keep to them.

use super::{BenchError, Kind, Row};
use std::fmt;
use std::path::Path;

/// Figures that were accepted, and what they were measured with.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Budgets {
    /// Versions of compiler and emulator.
    pub tools: String,
    /// The figures.
    pub rows: Vec<Row>,
}

/// The figures of a row: what each is called, and by how much it may differ before it must be accepted anew.
fn figures(row: &Row) -> [(&'static str, f64, Option<f64>); 7] {
    let count = |bytes: Option<u64>| bytes.map(|bytes| bytes as f64);
    [
        ("instructions", 0.02, row.instructions),
        ("cycles", 0.02, row.cycles),
        ("bytes of stack", 0.0, count(row.stack_bytes)),
        ("bytes of workspace", 0.0, count(row.workspace_bytes)),
        ("bytes of static RAM", 0.0, count(row.static_bytes)),
        ("bytes of code", 0.01, count(row.code_bytes)),
        ("bytes of image", 0.01, count(row.image_bytes)),
    ]
}

/// A figure that left its budget.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Board, kind, name and numbers of the row.
    pub what: String,
    /// Which figure.
    pub figure: &'static str,
    /// The budget; `None` if there is none yet.
    pub before: Option<f64>,
    /// What was measured; `None` if it is gone.
    pub now: Option<f64>,
}

impl Change {
    /// Whether the figure grew, so that accepting it raises the budget.
    #[must_use]
    pub fn is_worse(&self) -> bool {
        matches!((self.before, self.now), (Some(before), Some(now)) if now > before)
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, figure, before, now } = self;
        match (before, now) {
            (Some(before), Some(now)) => {
                let percent = 100.0 * (now / before - 1.0);
                write!(f, "{what}: {now} {figure}, the budget is {before} ({percent:+.1} %)")
            }
            (None, Some(now)) => write!(f, "{what}: {now} {figure}, without a budget"),
            (_, None) => {
                write!(f, "{what}: has a budget of {} {figure}, and no such figure", before.unwrap_or(0.0))
            }
        }
    }
}

fn what(row: &Row) -> String {
    let kind = match row.kind {
        Kind::Score => "score",
        Kind::Transform => "transform",
        Kind::Layer => "layer",
        Kind::Function => "function",
        Kind::Code => "code",
    };
    format!("{}, {kind} {}, {}", row.board, row.name, row.numeric)
}

impl Budgets {
    /// Reads a file of budgets.
    ///
    /// # Errors
    /// [`BenchError::Budgets`].
    pub fn read(path: &Path) -> Result<Self, BenchError> {
        let failed = |reason: String| BenchError::Budgets { path: path.into(), reason };
        let text = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
        Self::parse(&text).map_err(failed)
    }

    /// Reads budgets from the text of their file: a comment with the tools' versions, then a table (CSV).
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let tools = text.lines().next().and_then(|line| line.strip_prefix("# ")).unwrap_or_default();
        let mut reader = csv::ReaderBuilder::new().comment(Some(b'#')).from_reader(text.as_bytes());
        let rows = reader.deserialize().collect::<Result<Vec<Row>, _>>();
        Ok(Self { tools: tools.into(), rows: rows.map_err(|error| error.to_string())? })
    }

    /// The text of the file that [`Self::parse`] reads.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn text(&self) -> Result<String, String> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        for row in &self.rows {
            writer.serialize(row).map_err(|error| error.to_string())?;
        }
        let table = writer.into_inner().map_err(|error| error.to_string())?;
        Ok(format!("# {}\n{}", self.tools, String::from_utf8_lossy(&table)))
    }

    /// Every figure that differs by more than it may, in either direction: a budget that is much too high says
    /// something untrue. `measured` may be a part of all; what was not measured is not compared.
    #[must_use]
    pub fn compare(&self, measured: &[Row]) -> Vec<Change> {
        let mut changes = Vec::new();
        for row in measured {
            let known = self.rows.iter().find(|known| known.key() == row.key());
            for (index, (figure, limit, now)) in figures(row).into_iter().enumerate() {
                let before = known.and_then(|known| figures(known).get(index).and_then(|&(.., value)| value));
                let within = match (before, now) {
                    (Some(before), Some(now)) => (now - before).abs() <= limit * before,
                    (before, now) => before.is_none() && now.is_none(),
                };
                if !within {
                    changes.push(Change { what: what(row), figure, before, now });
                }
            }
        }
        changes
    }

    /// Rows of a board that has a budget and that `measured`, all of the board, no longer has.
    #[must_use]
    pub fn gone(&self, board: &str, measured: &[Row]) -> Vec<String> {
        let of_board = self.rows.iter().filter(|row| row.board == board);
        let gone = of_board.filter(|known| !measured.iter().any(|row| row.key() == known.key()));
        gone.map(what).collect()
    }

    /// Takes all that was measured of a board in place of what was known of it. Figures that grew keep their old
    /// budget, unless they may `raise` it.
    pub fn accept(&mut self, board: &str, measured: &[Row], raise: bool) {
        let (old, mut rows): (Vec<Row>, Vec<Row>) =
            std::mem::take(&mut self.rows).into_iter().partition(|row| row.board == board);
        for row in measured {
            let known = old.iter().find(|known| known.key() == row.key()).filter(|_| !raise);
            let mut row = row.clone();
            if let Some(known) = known {
                keep(&mut row.instructions, known.instructions);
                keep(&mut row.cycles, known.cycles);
                keep(&mut row.stack_bytes, known.stack_bytes);
                keep(&mut row.workspace_bytes, known.workspace_bytes);
                keep(&mut row.static_bytes, known.static_bytes);
                keep(&mut row.code_bytes, known.code_bytes);
                keep(&mut row.image_bytes, known.image_bytes);
            }
            rows.push(row);
        }
        let order = |row: &Row| crate::device::Board::ALL.iter().position(|board| board.name() == row.board);
        // Stable, so that rows of a board stay in the order in which they were measured.
        rows.sort_by_key(order);
        self.rows = rows;
    }
}

/// The smaller one of two figures, if both exist.
fn keep<T: PartialOrd + Copy>(now: &mut Option<T>, before: Option<T>) {
    if let (Some(value), Some(before)) = (now.as_mut(), before) {
        if before < *value {
            *value = before;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::Board;

    fn row(instructions: f64, stack: u64) -> Row {
        Row {
            instructions: Some(instructions),
            stack_bytes: Some(stack),
            ..Row::new(Board::Microbit, Kind::Score, "a flow, of two", "i8")
        }
    }

    fn budgets() -> Budgets {
        let tools = "rustc 1, qemu 2".into();
        Budgets { tools, rows: vec![row(1000.0, 200)] }
    }

    #[test]
    fn a_file_comes_back() {
        let text = budgets().text().unwrap();
        assert_eq!(Budgets::parse(&text).unwrap(), budgets(), "{text}");
        assert!(Budgets::parse("# x\nboard,core\n1\n").is_err());
    }

    #[test]
    fn every_limit_holds() {
        let changed = |instructions, stack| {
            let changes = budgets().compare(&[row(instructions, stack)]);
            changes.iter().map(|change| (change.figure, change.is_worse())).collect::<Vec<_>>()
        };
        assert_eq!(changed(1020.0, 200), []);
        assert_eq!(changed(980.0, 200), []);
        assert_eq!(changed(1021.0, 200), [("instructions", true)]);
        assert_eq!(changed(979.0, 200), [("instructions", false)]);
        assert_eq!(changed(1000.0, 201), [("bytes of stack", true)]);
        assert_eq!(changed(1000.0, 199), [("bytes of stack", false)]);
        let code =
            |bytes| Row { code_bytes: Some(bytes), ..Row::new(Board::Microbit, Kind::Code, "c", "all") };
        let budgets = Budgets { rows: vec![code(1000)], ..Budgets::default() };
        assert_eq!(budgets.compare(&[code(1010)]), []);
        let text = budgets.compare(&[code(1011)])[0].to_string();
        assert!(text.contains("1011 bytes of code, the budget is 1000 (+1.1 %)"), "{text}");
    }

    #[test]
    fn rows_that_are_new_or_gone_are_named() {
        let other = Row { name: "other".into(), ..row(1.0, 1) };
        let changes = budgets().compare(std::slice::from_ref(&other));
        assert_eq!(changes.len(), 2);
        assert!(changes[0].to_string().contains("without a budget"));
        assert_eq!(budgets().gone("microbit", &[other]).len(), 1);
        assert_eq!(budgets().gone("mps2-an385", &[]).len(), 0);
    }

    #[test]
    fn accepting_lowers_and_raises_only_if_told() {
        let mut budgets = budgets();
        budgets.accept("microbit", &[row(900.0, 300)], false);
        assert_eq!(budgets.rows, [row(900.0, 200)]);
        budgets.accept("microbit", &[row(950.0, 300)], true);
        assert_eq!(budgets.rows, [row(950.0, 300)]);
        budgets.accept("mps2-an385", &[], true);
        assert_eq!(budgets.rows.len(), 1);
    }
}
