//! What can go wrong in training, and what to do about it.

/// Why training did not give a flow.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// A setting is out of its range.
    #[error("{name} is {value}: {remedy}")]
    Setting {
        /// The field of [`TrainConfig`](super::TrainConfig).
        name: &'static str,
        /// Its value.
        value: String,
        /// What it should be.
        remedy: &'static str,
    },
    /// The matrix does not hold `rows * columns` values.
    #[error("a matrix of {rows} x {columns} cannot hold {values} values: give rows * columns of them")]
    Shape {
        /// Rows claimed.
        rows: usize,
        /// Columns claimed.
        columns: usize,
        /// Values found.
        values: usize,
    },
    /// A coupling needs one feature to condition on and one to transform.
    #[error("{0} feature(s): a coupling flow needs at least 2; add a column, such as a lagged copy")]
    TooFewFeatures(usize),
    /// Too few rows to fit and hold out.
    #[error("{rows} training rows are too few: at least {needed} are needed")]
    TooFewRows {
        /// Rows given.
        rows: usize,
        /// Rows needed.
        needed: usize,
    },
    /// NaN or infinity in the data.
    #[error("row {row}, column {column} is {value}: drop or repair rows that are not finite")]
    NotFinite {
        /// Row, from 0.
        row: usize,
        /// Column, from 0.
        column: usize,
        /// The value.
        value: f32,
    },
    /// A value that is no integer, or out of the range of bounded integers.
    #[error(
        "row {row}, column {column} is {value}: not one of the integers 0 to {most} that --integers promises"
    )]
    NotAnInteger {
        /// Row, from 0.
        row: usize,
        /// Column, from 0.
        column: usize,
        /// The value.
        value: f32,
        /// The largest integer.
        most: u32,
    },
    /// The loss or the parameters stopped being finite, at ever lower learning rates.
    #[error("training diverged {restarts} times, last at learning rate {lr:e}: lower lr or clamp, or look for columns on wild scales")]
    Diverged {
        /// How often it was restarted.
        restarts: usize,
        /// The learning rate of the last attempt.
        lr: f32,
    },
    /// The threads could not be started.
    #[error("cannot start {threads} threads: {reason}")]
    Threads {
        /// Threads wanted.
        threads: usize,
        /// The system's reason.
        reason: String,
    },
}
