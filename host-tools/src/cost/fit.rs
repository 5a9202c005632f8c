//! Fits the cost model of a board's core: to the committed table, and to flows of the kinds that the table lacks.
//!
//! Least squares of the relative error, without negative coefficients. What is held out are shapes and combinations that
//! no fitted flow has: they were chosen before their errors were known, as users train them, and are never fitted to.

use super::counts::count;
use crate::bench::budget::Budgets;
use crate::bench::reference::{self, numeric_name, Reference, NUMERICS};
use crate::bench::{score_of, BenchError, Kind};
use crate::device::{Board, Install, Simulator};
use crate::export::{import_ensemble, ExportError, Numeric};
use crate::flow::Activation;
use crate::training::{
    train, BaseKind, ConditionerKind, FlowKind, MarginalFront, Matrix, TrainConfig, TrainError,
};
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Readings to train on.
const ROWS: usize = 600;

/// How far off predictions are.
#[derive(Clone, Debug, PartialEq)]
pub struct Error {
    /// The core and its numbers.
    pub column: String,
    /// Whether these are the flows that were held out.
    pub is_held_out: bool,
    /// How many flows there are.
    pub flows: usize,
    /// Median of the relative error.
    pub median: f64,
    /// The largest relative error, and the flow that has it.
    pub largest: (f64, String),
}

/// Fitted coefficients of one core: by column (core and numbers), then by term.
pub type Coefficients = BTreeMap<String, BTreeMap<String, f64>>;

/// A flow's counts and what a score costs.
struct Sample {
    name: String,
    terms: BTreeMap<String, f64>,
    instructions: f64,
}

/// Measures and fits a board.
///
/// # Errors
/// [`BenchError`].
pub fn fit(
    board: Board,
    budgets: &Budgets,
    install: Install,
) -> Result<(Coefficients, Vec<Error>), BenchError> {
    let simulator = Simulator::new(board, install)?;
    let (fitted, held_out) = (flows(FITTED)?, flows(HELD_OUT)?);
    let mut coefficients = Coefficients::new();
    let mut errors = Vec::new();
    for numeric in NUMERICS {
        let column = format!("{} {}", board.core(), numeric_name(numeric));
        let mut samples = measured(&simulator, board, &fitted, numeric)?;
        samples.extend(table(board, budgets, numeric)?);
        let solved = solve(&samples);
        errors.push(error(&column, false, &samples, &solved));
        errors.push(error(&column, true, &measured(&simulator, board, &held_out, numeric)?, &solved));
        coefficients.insert(column, solved);
    }
    Ok((coefficients, errors))
}

/// The text of `data/cost/coefficients.csv` with these columns in place of those in its old text.
#[must_use]
pub fn file(old: &str, new: &Coefficients) -> String {
    let mut columns = Coefficients::new();
    let mut lines = old.lines().filter(|line| !line.starts_with('#'));
    let names: Vec<&str> = lines.next().unwrap_or_default().split(',').skip(1).collect();
    for line in lines {
        let mut cells = line.split(',');
        let term = cells.next().unwrap_or_default();
        for (name, cell) in names.iter().zip(cells) {
            let column = columns.entry((*name).to_owned()).or_default();
            column.insert(term.to_owned(), cell.parse().unwrap_or(0.0));
        }
    }
    columns.extend(new.clone());
    let mut text = "# Instructions per count; written by `cargo xtask bench --fit`.\nterm".to_owned();
    // In the order of the boards.
    let columns: Vec<_> = Board::ALL
        .into_iter()
        .flat_map(|board| NUMERICS.map(|numeric| format!("{} {}", board.core(), numeric_name(numeric))))
        .filter_map(|name| columns.remove(&name).map(|column| (name, column)))
        .collect();
    for (name, _) in &columns {
        let _ = write!(text, ",{name}");
    }
    // Those that cost something on some core.
    let used = columns.iter().flat_map(|(_, column)| column).filter(|(_, cost)| **cost >= 0.005);
    let mut terms: Vec<&String> = used.map(|(term, _)| term).collect();
    terms.sort();
    terms.dedup();
    for term in terms {
        let _ = write!(text, "\n{term}");
        for (_, column) in &columns {
            let _ = write!(text, ",{:.2}", column.get(term).copied().unwrap_or(0.0));
        }
    }
    text + "\n"
}

/// Scores of the table.
fn table(board: Board, budgets: &Budgets, numeric: Numeric) -> Result<Vec<Sample>, BenchError> {
    let of_board = |name: &str| {
        let key = (board.name(), Kind::Score, name, numeric_name(numeric));
        budgets.rows.iter().find(|row| row.key() == key).and_then(|row| row.instructions)
    };
    let sample =
        |flow: Reference| of_board(&flow.name).map(|count| Sample::new(&flow, board, numeric, count));
    reference::flows().into_iter().filter_map(sample).collect()
}

fn measured(
    simulator: &Simulator,
    board: Board,
    flows: &[Reference],
    numeric: Numeric,
) -> Result<Vec<Sample>, BenchError> {
    let sample = |flow: &Reference| {
        let row = score_of(simulator, board, flow, numeric)?;
        row.and_then(|row| row.instructions).map(|count| Sample::new(flow, board, numeric, count)).transpose()
    };
    let samples: Vec<Option<Sample>> = flows.par_iter().map(sample).collect::<Result<_, BenchError>>()?;
    Ok(samples.into_iter().flatten().collect())
}

impl Sample {
    /// Counts of the flow as its image has it.
    fn new(flow: &Reference, board: Board, numeric: Numeric, instructions: f64) -> Result<Self, BenchError> {
        let failed = |error| BenchError::Export(flow.name.clone(), error);
        let image = flow.image(board, numeric).map_err(failed)?;
        let model = image.model().map_err(|error| failed(ExportError::Flow(error.to_string())))?;
        let (ensemble, _) = import_ensemble(&model);
        let terms = count(std::slice::from_ref(ensemble.quoted_flow()), numeric, board.core());
        let terms = terms.into_iter().map(|(term, count)| (term.to_owned(), count as f64));
        Ok(Self { name: flow.name.clone(), terms: terms.collect(), instructions })
    }

    fn predict(&self, coefficients: &BTreeMap<String, f64>) -> f64 {
        self.terms.iter().map(|(term, count)| count * coefficients.get(term).unwrap_or(&0.0)).sum()
    }
}

/// Coefficients with the least squares of the relative errors, none of them negative (Lawson and Hanson 1974, "Solving
/// Least Squares Problems", chapter 23).
fn solve(samples: &[Sample]) -> BTreeMap<String, f64> {
    let mut terms: Vec<&String> = samples.iter().flat_map(|sample| sample.terms.keys()).collect();
    terms.sort();
    terms.dedup();
    let share = |s: &Sample, term: &String| s.terms.get(term).unwrap_or(&0.0) / s.instructions;
    let rows: Vec<Vec<f64>> =
        samples.iter().map(|s| terms.iter().map(|&term| share(s, term)).collect()).collect();
    let norm = |j: usize| rows.iter().map(|row| row[j] * row[j]).sum::<f64>().sqrt().max(1e-300);
    let norms: Vec<f64> = (0..terms.len()).map(norm).collect();
    let mut x = vec![0.0; terms.len()];
    let mut used: Vec<usize> = Vec::new();
    // Each round takes up the term that lowers the error fastest; some leave again. Rounding could go in circles.
    for _ in 0..4 * terms.len() {
        let error = |row: &Vec<f64>| 1.0 - row.iter().zip(&x).map(|(share, x)| share * x).sum::<f64>();
        let errors: Vec<f64> = rows.iter().map(error).collect();
        let slope =
            |j: usize| rows.iter().zip(&errors).map(|(row, error)| row[j] * error).sum::<f64>() / norms[j];
        let unused = (0..terms.len()).filter(|j| !used.contains(j)).map(|j| (slope(j), j));
        match unused.max_by(|a, b| a.0.total_cmp(&b.0)) {
            Some((slope, j)) if slope > 1e-9 => used.push(j),
            _ => break,
        }
        loop {
            let of_used: Vec<Vec<f64>> =
                rows.iter().map(|row| used.iter().map(|&j| row[j]).collect()).collect();
            let wanted = normal_equations(&of_used);
            // As far as the first one that would be negative.
            let mut way = 1.0f64;
            for (&j, &to) in used.iter().zip(&wanted) {
                if to <= 0.0 {
                    way = way.min(x[j] / (x[j] - to).max(1e-300));
                }
            }
            for (&j, &to) in used.iter().zip(&wanted) {
                x[j] += way * (to - x[j]);
            }
            if way >= 1.0 {
                break;
            }
            let (kept, gone): (Vec<_>, Vec<_>) = used.iter().partition(|&&j| x[j] > 1e-9 / norms[j]);
            gone.into_iter().for_each(|j: usize| x[j] = 0.0);
            used = kept;
        }
    }
    terms.into_iter().cloned().zip(x).collect()
}

/// `x` with the least `|rows x - 1|^2`, by Gauss elimination of the scaled normal equations with a ridge of 1e-9.
fn normal_equations(rows: &[Vec<f64>]) -> Vec<f64> {
    let n = rows.first().map_or(0, Vec::len);
    let norm = |j: usize| rows.iter().map(|row| row[j] * row[j]).sum::<f64>().sqrt().max(1e-300);
    let scale: Vec<f64> = (0..n).map(norm).collect();
    let mut a = vec![vec![0.0; n + 1]; n];
    for row in rows {
        for i in 0..n {
            for j in 0..n {
                a[i][j] += row[i] / scale[i] * row[j] / scale[j];
            }
            a[i][n] += row[i] / scale[i];
        }
    }
    for (i, row) in a.iter_mut().enumerate() {
        row[i] += 1e-9;
    }
    for i in 0..n {
        let pivot = (i..n).max_by(|&p, &q| a[p][i].abs().total_cmp(&a[q][i].abs())).unwrap_or(i);
        a.swap(i, pivot);
        let (done, below) = a.split_at_mut(i + 1);
        let pivot = &done[i];
        for row in below {
            let factor = row[i] / pivot[i];
            for (entry, above) in row.iter_mut().zip(pivot).skip(i) {
                *entry -= factor * above;
            }
        }
    }
    let mut x = vec![0.0; n];
    for i in (0..n).rev() {
        let known: f64 = (i + 1..n).map(|j| a[i][j] * x[j]).sum();
        x[i] = (a[i][n] - known) / a[i][i];
    }
    x.iter().zip(scale).map(|(x, scale)| x / scale).collect()
}

fn error(column: &str, is_held_out: bool, samples: &[Sample], solved: &BTreeMap<String, f64>) -> Error {
    let off = |sample: &Sample| (sample.predict(solved) / sample.instructions - 1.0).abs();
    let mut errors: Vec<(f64, &str)> = samples.iter().map(|sample| (off(sample), &*sample.name)).collect();
    errors.sort_by(|a, b| a.0.total_cmp(&b.0));
    let median = errors.get(errors.len() / 2).map_or(0.0, |error| error.0);
    let largest = errors.last().map_or((0.0, String::new()), |&(error, name)| (error, name.to_owned()));
    Error { column: column.to_owned(), is_held_out, flows: samples.len(), median, largest }
}

/// Features, and what differs from a flow of two affine couplings with 16 hidden units.
type Shape = (usize, fn(TrainConfig) -> TrainConfig);

/// Kinds and shapes that the table does not have.
const FITTED: &[Shape] = &[
    (5, |c| TrainConfig { hidden: vec![12], ..c }),
    (9, |c| TrainConfig { hidden: vec![24, 8], ..c }),
    (24, |c| TrainConfig { hidden: vec![64], layers: 3, ..c }),
    (3, |c| TrainConfig { hidden: vec![8], layers: 1, ..c }),
    (2, |c| TrainConfig { hidden: vec![8, 8], ..c }),
    (6, |c| TrainConfig { flow: FlowKind::Nsf, bins: 4, ..c }),
    (11, |c| TrainConfig { flow: FlowKind::Nsf, bins: 16, layers: 1, ..c }),
    (6, |c| TrainConfig { flow: FlowKind::Nice, layers: 4, ..c }),
    (20, |c| TrainConfig { flow: FlowKind::Nice, ..c }),
    (6, |c| TrainConfig { flow: FlowKind::Glow, ..c }),
    (20, |c| TrainConfig { flow: FlowKind::Glow, layers: 4, ..c }),
    (6, |c| TrainConfig { whiten: true, ..c }),
    (20, |c| TrainConfig { whiten: true, layers: 1, ..c }),
    (6, |c| TrainConfig { base: BaseKind::Student, ..c }),
    (20, |c| TrainConfig { base: BaseKind::Student, ..c }),
    (6, |c| TrainConfig { base: BaseKind::Mixture, components: 8, ..c }),
    (20, |c| TrainConfig { base: BaseKind::Mixture, components: 8, ..c }),
    (6, |c| TrainConfig { base: BaseKind::Mixture, components: 32, ..c }),
    (20, |c| TrainConfig { base: BaseKind::Mixture, components: 32, ..c }),
    (6, |c| TrainConfig { marginal: MarginalFront::Linear, ..c }),
    (20, |c| TrainConfig { marginal: MarginalFront::Linear, ..c }),
    (6, |c| TrainConfig { marginal: MarginalFront::RationalQuadratic, ..c }),
    (20, |c| TrainConfig { marginal: MarginalFront::RationalQuadratic, ..c }),
    (6, |c| TrainConfig { activation: Activation::Tanh, hidden: vec![24], ..c }),
    (20, |c| TrainConfig { activation: Activation::Silu, hidden: vec![24], ..c }),
    (6, |c| TrainConfig { activation: Activation::LeakyRelu, hidden: vec![24], ..c }),
    (20, |c| TrainConfig { activation: Activation::LeakyRelu, hidden: vec![48], ..c }),
    (6, |c| TrainConfig { conditioner: ConditionerKind::Residual, ..c }),
    (20, |c| TrainConfig { conditioner: ConditionerKind::Residual, hidden: vec![24, 24], ..c }),
    (16, |c| TrainConfig { conditioner: ConditionerKind::Conv1d, hidden: vec![8], ..c }),
    (36, |c| TrainConfig {
        conditioner: ConditionerKind::Conv1d,
        channels: 3,
        kernel: 5,
        hidden: vec![8],
        ..c
    }),
    (8, |c| TrainConfig { integers: Some(15), ..c }),
    (20, |c| TrainConfig { integers: Some(15), ..c }),
    // Widths that are no power of two, one block of rows more or less, and more layers of them.
    (10, |c| TrainConfig { hidden: vec![20], ..c }),
    (17, |c| TrainConfig { hidden: vec![24, 24], ..c }),
    (14, |c| TrainConfig { hidden: vec![40, 40], ..c }),
    (8, |c| TrainConfig { hidden: vec![28, 12], layers: 4, ..c }),
    (15, |c| TrainConfig { hidden: vec![36, 16], layers: 6, ..c }),
    (32, |c| TrainConfig { hidden: vec![48, 48], layers: 3, ..c }),
    (6, |c| TrainConfig { hidden: vec![10, 6], layers: 5, ..c }),
    (24, |c| TrainConfig { hidden: vec![32, 32, 32], ..c }),
    (2, |c| TrainConfig { hidden: vec![8], layers: 6, ..c }),
    (9, |c| TrainConfig { hidden: vec![52], layers: 3, ..c }),
    (48, |c| TrainConfig { hidden: vec![16], ..c }),
    (8, |c| TrainConfig { flow: FlowKind::Nsf, bins: 8, layers: 4, hidden: vec![20], ..c }),
    (5, |c| TrainConfig { flow: FlowKind::Nsf, bins: 6, layers: 1, hidden: vec![12], ..c }),
    (9, |c| TrainConfig { activation: Activation::Tanh, hidden: vec![16, 16], ..c }),
    (8, |c| TrainConfig { activation: Activation::Silu, hidden: vec![10, 10], layers: 3, ..c }),
    (8, |c| TrainConfig { activation: Activation::LeakyRelu, hidden: vec![16, 12], layers: 3, ..c }),
    (8, |c| TrainConfig { conditioner: ConditionerKind::Residual, hidden: vec![16], layers: 3, ..c }),
    (10, |c| TrainConfig { conditioner: ConditionerKind::Residual, hidden: vec![32, 32], ..c }),
    (10, |c| TrainConfig { flow: FlowKind::Glow, layers: 3, ..c }),
    (10, |c| TrainConfig { base: BaseKind::Mixture, components: 4, ..c }),
    (12, |c| TrainConfig { hidden: vec![36], layers: 5, ..c }),
    (12, |c| TrainConfig { hidden: vec![40, 20], layers: 4, ..c }),
    (26, |c| TrainConfig { hidden: vec![24], ..c }),
    (12, |c| TrainConfig { flow: FlowKind::Nice, hidden: vec![24], layers: 3, ..c }),
    (9, |c| TrainConfig { flow: FlowKind::Nice, hidden: vec![16, 16], layers: 6, ..c }),
    (12, |c| TrainConfig { base: BaseKind::Mixture, components: 12, ..c }),
    (9, |c| TrainConfig { base: BaseKind::Mixture, components: 6, layers: 3, hidden: vec![24], ..c }),
    (14, |c| TrainConfig { base: BaseKind::Mixture, components: 20, layers: 3, ..c }),
    (12, |c| TrainConfig { activation: Activation::LeakyRelu, hidden: vec![28], layers: 3, ..c }),
    (5, |c| TrainConfig { activation: Activation::LeakyRelu, hidden: vec![20], layers: 4, ..c }),
    (13, |c| TrainConfig { activation: Activation::Silu, hidden: vec![24], layers: 3, ..c }),
    (14, |c| TrainConfig { activation: Activation::Tanh, hidden: vec![24, 24], ..c }),
    (6, |c| TrainConfig { conditioner: ConditionerKind::Residual, hidden: vec![32], layers: 3, ..c }),
    (14, |c| TrainConfig { conditioner: ConditionerKind::Residual, hidden: vec![28], ..c }),
    (9, |c| TrainConfig { conditioner: ConditionerKind::Residual, hidden: vec![40], ..c }),
    (12, |c| TrainConfig { conditioner: ConditionerKind::Conv1d, hidden: vec![12], ..c }),
    (24, |c| TrainConfig { conditioner: ConditionerKind::Conv1d, channels: 2, hidden: vec![8, 8], ..c }),
];

/// What judges.
const HELD_OUT: &[Shape] = &[
    (7, |c| TrainConfig { hidden: vec![20, 12], layers: 3, ..c }),
    (12, |c| TrainConfig { hidden: vec![48], layers: 5, ..c }),
    (18, |c| TrainConfig { hidden: vec![24, 24, 24], layers: 4, ..c }),
    (28, |c| TrainConfig { hidden: vec![40, 20], layers: 6, ..c }),
    (6, |c| TrainConfig { hidden: vec![16, 16], layers: 8, ..c }),
    (10, |c| TrainConfig { flow: FlowKind::Nsf, bins: 6, layers: 3, hidden: vec![24], ..c }),
    (14, |c| TrainConfig { flow: FlowKind::Glow, layers: 3, hidden: vec![24], ..c }),
    (12, |c| TrainConfig { flow: FlowKind::Nice, layers: 5, hidden: vec![32], ..c }),
    (13, |c| TrainConfig { whiten: true, layers: 4, hidden: vec![20], ..c }),
    (12, |c| TrainConfig { base: BaseKind::Mixture, components: 16, layers: 3, hidden: vec![32], ..c }),
    (12, |c| TrainConfig { marginal: MarginalFront::Linear, layers: 4, hidden: vec![24], ..c }),
    (12, |c| TrainConfig { activation: Activation::Silu, layers: 3, hidden: vec![20], ..c }),
    (12, |c| TrainConfig { conditioner: ConditionerKind::Residual, layers: 3, hidden: vec![20], ..c }),
    (10, |c| TrainConfig { hidden: vec![24, 24], layers: 4, ..c }),
    (7, |c| TrainConfig { hidden: vec![16], layers: 6, ..c }),
    (9, |c| TrainConfig { hidden: vec![40, 40], layers: 4, ..c }),
    (5, |c| TrainConfig { hidden: vec![32, 32], layers: 4, ..c }),
    (3, |c| TrainConfig { hidden: vec![16, 16], layers: 6, ..c }),
    (30, |c| TrainConfig { hidden: vec![64, 32], layers: 4, ..c }),
    (7, |c| TrainConfig { flow: FlowKind::Nsf, bins: 5, hidden: vec![16, 16], ..c }),
    (10, |c| TrainConfig { base: BaseKind::Mixture, components: 8, layers: 4, hidden: vec![24], ..c }),
    (16, |c| TrainConfig { base: BaseKind::Student, layers: 4, hidden: vec![20, 20], ..c }),
    (10, |c| TrainConfig { activation: Activation::Tanh, layers: 4, hidden: vec![16, 16], ..c }),
    (7, |c| TrainConfig { activation: Activation::LeakyRelu, layers: 4, hidden: vec![32], ..c }),
    (8, |c| TrainConfig { conditioner: ConditionerKind::Residual, layers: 4, hidden: vec![32], ..c }),
    (8, |c| TrainConfig { marginal: MarginalFront::RationalQuadratic, layers: 4, hidden: vec![24], ..c }),
    (11, |c| TrainConfig { hidden: vec![24, 16], layers: 4, ..c }),
    (4, |c| TrainConfig { hidden: vec![12, 12], layers: 5, ..c }),
    (22, |c| TrainConfig { hidden: vec![56], layers: 4, ..c }),
    (6, |c| TrainConfig { activation: Activation::Tanh, hidden: vec![32], layers: 5, ..c }),
    (15, |c| TrainConfig { flow: FlowKind::Nsf, bins: 7, hidden: vec![20], layers: 4, ..c }),
    (8, |c| TrainConfig { flow: FlowKind::Glow, hidden: vec![16, 16], layers: 4, ..c }),
    (20, |c| TrainConfig { conditioner: ConditionerKind::Residual, hidden: vec![16, 16], layers: 4, ..c }),
    (13, |c| TrainConfig { base: BaseKind::Mixture, components: 10, hidden: vec![20], layers: 4, ..c }),
];

/// Flows of these shapes, trained for two epochs on noise.
fn flows(shapes: &[Shape]) -> Result<Vec<Reference>, BenchError> {
    let make = |&(features, change): &Shape| {
        let base = TrainConfig {
            layers: 2,
            hidden: vec![16],
            epochs: Some(2),
            threads: 1,
            ..TrainConfig::default()
        };
        let config = change(base);
        let bins =
            if config.flow == FlowKind::Nsf { format!(" ({} bins)", config.bins) } else { String::new() };
        let name = format!(
            "{}{bins} with {} and {:?} of {features} features",
            config.summary(),
            config.conditioner.name(),
            config.activation
        );
        let failed = |error: TrainError| BenchError::Train(name.clone(), error);
        let values = reference::noise(&name, ROWS * features, config.integers);
        let rows = values.get(..64 * features).unwrap_or_default().to_vec();
        let data = Matrix::new(ROWS, features, values).map_err(failed)?;
        let flow = train(&data, &config, &mut ()).map_err(failed)?.flow;
        Ok(Reference { name, flow, rows })
    };
    shapes.par_iter().map(make).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(terms: &[(&str, f64)], instructions: f64) -> Sample {
        let terms = terms.iter().map(|&(term, count)| (term.to_owned(), count)).collect();
        Sample { name: String::new(), terms, instructions }
    }

    #[test]
    fn what_is_linear_is_found() {
        let cost = |a: f64, b: f64| sample(&[("a", a), ("b", b), ("one", 1.0)], 100.0 + 3.0 * a + 0.5 * b);
        let samples = [cost(1.0, 9.0), cost(10.0, 4.0), cost(100.0, 1.0), cost(7.0, 70.0)];
        let solved = solve(&samples);
        assert!((solved["a"] - 3.0).abs() < 1e-3 && (solved["b"] - 0.5).abs() < 1e-3, "{solved:?}");
        assert!(error("", false, &samples, &solved).largest.0 < 1e-4);
    }

    #[test]
    fn no_coefficient_is_negative() {
        let cost = |a: f64| sample(&[("a", a), ("one", 1.0)], 100.0 - a);
        let solved = solve(&[cost(1.0), cost(10.0), cost(20.0)]);
        assert_eq!(solved["a"], 0.0);
        assert!(solved["one"] > 80.0);
    }

    #[test]
    fn the_file_keeps_other_cores() {
        let column = BTreeMap::from([("score".to_owned(), 7.0)]);
        let old = "# x\nterm,cortex-m0 i8,cortex-m4f f32\nmacs,1.00,2.00\n";
        let text = file(old, &Coefficients::from([("cortex-m0 i8".to_owned(), column)]));
        assert!(
            text.ends_with("\nterm,cortex-m0 i8,cortex-m4f f32\nmacs,0.00,2.00\nscore,7.00,0.00\n"),
            "{text}"
        );
    }
}
