//! Predicted cost of a score, without running it: a linear model over counts of what a flow is made of, fitted for
//! each core to what the emulator counts.
//!
//! `cargo xtask bench --fit` (see [`fit`]) writes `data/cost/coefficients.csv` and prints how far off the predictions are
//! of flows that it was not fitted to. Mixtures are counted as trained ones are, whose components lie apart so that most
//! are left early.

mod counts;
pub mod fit;

use crate::export::Numeric;
use crate::flow::Flow;
use serde_json::{Map, Value};

/// The table of coefficients: `term`, then a column per core and numbers, such as `cortex-m4f i8`.
const COEFFICIENTS: &str = include_str!("../../data/cost/coefficients.csv");

/// The table's lines: the columns' names, then a line for each term.
fn table() -> (Vec<&'static str>, impl Iterator<Item = (&'static str, std::str::Split<'static, char>)>) {
    let mut lines = COEFFICIENTS.lines().filter(|line| !line.starts_with('#'));
    let columns = lines.next().unwrap_or_default().split(',').skip(1).collect();
    let cells = lines.map(|line| {
        let mut cells = line.split(',');
        (cells.next().unwrap_or_default(), cells)
    });
    (columns, cells)
}

/// The core of a column, if it is for these numbers.
fn core_of(column: &str, numeric: Numeric) -> Option<&str> {
    let numbers = match numeric {
        Numeric::F32 | Numeric::F32FastMath => "f32",
        Numeric::I16 => "i16",
        Numeric::I8 => "i8",
    };
    column.strip_suffix(numbers)?.strip_suffix(' ')
}

/// The counts of a model by core, each by name: what [`instructions`] is computed from.
#[must_use]
pub fn terms(flows: &[Flow], numeric: Numeric) -> Map<String, Value> {
    let cores = table().0.into_iter().filter_map(|column| core_of(column, numeric));
    cores.map(|core| (core.to_owned(), Value::from_iter(counts::count(flows, numeric, core)))).collect()
}

/// Instructions per score by core, of flows that are run one after the other; the cores are those of the table of
/// coefficients. Flows are to be as images have them ([`import_ensemble`](crate::export::import_ensemble)).
#[must_use]
pub fn instructions(flows: &[Flow], numeric: Numeric) -> Map<String, Value> {
    let (columns, lines) = table();
    let count = |column| Some(counts::count(flows, numeric, core_of(column, numeric)?));
    let counts: Vec<_> = columns.iter().map(|&column| count(column)).collect();
    let mut sums = vec![0.0; columns.len()];
    for (term, cells) in lines {
        for ((sum, cell), counts) in sums.iter_mut().zip(cells).zip(&counts) {
            if let Some(&count) = counts.as_ref().and_then(|counts| counts.get(term)) {
                *sum += count as f64 * cell.parse::<f64>().unwrap_or(0.0);
            }
        }
    }
    let mut map = Map::new();
    for (column, sum) in columns.into_iter().zip(sums) {
        if let Some(core) = core_of(column, numeric) {
            map.insert(core.to_owned(), Value::from(sum.max(0.0).round() as u64));
        }
    }
    map
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::reference;

    #[test]
    fn the_table_is_whole() {
        let mut lines = COEFFICIENTS.lines().filter(|line| !line.starts_with('#'));
        let columns = lines.next().unwrap().split(',').count();
        for line in lines {
            let cells: Vec<&str> = line.split(',').collect();
            assert_eq!(cells.len(), columns, "{line}");
            assert!(cells[1..].iter().all(|cell| cell.parse::<f64>().is_ok_and(|x| x >= 0.0)), "{line}");
        }
    }

    #[test]
    fn a_wider_flow_costs_more_on_every_core() {
        let predict = |width| {
            let flow = reference::flow(reference::Kind::Realnvp, 8, 4, &[width, width]).flow;
            instructions(&[flow], Numeric::I8)
        };
        let (narrow, wide) = (predict(16), predict(32));
        assert!(narrow.contains_key("cortex-m4f"));
        for (core, count) in &narrow {
            assert!(count.as_u64() < wide[core].as_u64(), "{core}");
        }
    }
}
